"""The checks that follow from a contract, as portable SQL that counts offending rows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from retail_platform.contracts.model import QUARANTINE, Column, Feed, ForeignKey, Severity, Table

RECONCILES = "reconciles"
"""The name of the check that compares a table's measures with those of what it was made from."""

RECONCILES_ELSEWHERE = "reconciles_other_months"
"""The same for the months that a run does not build. It fails a run and does not withhold it: a
refreshed month is better published although another month has to be built again."""

READS_EVERY_COLUMN = "reads_every_column"
"""The name of the check that a raw table's query reads all columns that its source has."""

FEEDS = {Feed.SOURCE: "the source", Feed.LANDING: "what has landed"}
"""What to call the other side of a raw table."""

ENOUGH_HISTORY = "enough_history"
"""The name of the check that a trained table's gates could be judged."""


@dataclass(frozen=True)
class Check:
    """One check of one table.

    Attributes:
        name: Unique within the table.
        description: The rule in a sentence.
        severity: Whether a failure stops publication.
        offenders: Spark SQL that returns the offending rows; empty for a check that is not made
            by a query over the table.
        condition: Where one row shows whether it offends: the condition that is true of it then.
            All such checks of a table cost one scan.
        foreign_key: Where the check is that of a reference.
        blocking: Whether a failure of severity `error` stops publication.
    """

    name: str
    description: str
    severity: Severity = Severity.ERROR
    offenders: str = ""
    condition: str = ""
    foreign_key: ForeignKey | None = None
    blocking: bool = True

    def result(self, table: str, failing_rows: int, detail: str = "") -> "CheckResult":
        """The outcome of this check on `table`."""
        return CheckResult(table, self, failing_rows, detail)


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        table: The table that was checked.
        check: The check.
        failing_rows: How many rows, or months, offend.
        detail: What was found, and what to do about it; examples of the offending rows.
        evidence: What it was judged by, where that is more than a sentence: Markdown.
        figures: What it was judged by as numbers, which the UI draws over time.
    """

    table: str
    check: Check
    failing_rows: int
    detail: str = ""
    evidence: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether no row offends."""
        return self.failing_rows == 0

    @property
    def fails(self) -> bool:
        """Whether a build with this result has failed: it did not pass and is no mere warning."""
        return not self.passed and self.check.severity is Severity.ERROR

    @property
    def blocks(self) -> bool:
        """Whether the failure stops publication."""
        return self.fails and self.check.blocking


def failing_rows(results: Iterable[CheckResult]) -> dict[str, int]:
    """How many rows offend each check of one table, by the check's name."""
    return {result.check.name: result.failing_rows for result in results}


def check_of(table: Table, name: str) -> Check:
    """The check of `table` called `name`; `KeyError` where there is none."""
    for check in checks_of(table):
        if check.name == name:
            return check
    raise KeyError(name)


def checks_of(table: Table) -> tuple[Check, ...]:
    """All checks of a table, in the order in which they are shown."""
    return tuple(
        replace(check, offenders=f"SELECT * FROM {qualified(table)} WHERE {check.condition}")
        if check.condition and not check.offenders
        else check
        for check in _checks(table)
    )


def _checks(table: Table) -> Iterator[Check]:
    required = [column.name for column in table.columns if not column.nullable]
    if required:
        yield Check(
            "not_null",
            f"no NULL in {', '.join(required)}",
            condition=" OR ".join(f"{name} IS NULL" for name in required),
        )
    if table.primary_key:
        columns = ", ".join(table.primary_key)
        yield Check(
            "primary_key",
            f"({columns}) identifies a row",
            offenders=f"SELECT {columns}, count(*) AS copies FROM {qualified(table)} "
            f"GROUP BY {columns} HAVING count(*) > 1",
        )
    for column in table.columns:
        if condition := _bounds(column):
            yield Check(f"{column.name}_in_range", _bounds_text(column), condition=condition)
        if column.accepted_values:
            values = ", ".join(_literal(value) for value in column.accepted_values)
            yield Check(
                f"{column.name}_accepted",
                f"{column.name} is one of {values}",
                condition=f"{column.name} NOT IN ({values})",
            )
    if table.min_rows and not table.partition:
        yield Check(
            "row_count",
            f"at least {table.min_rows} rows",
            offenders=f"SELECT count(*) AS found FROM {qualified(table)} "
            f"HAVING count(*) < {table.min_rows}",
        )
    for key in table.foreign_keys:
        yield _foreign_key(table, key)
    for rule in table.rules:
        yield Check(
            rule.name,
            rule.description,
            rule.severity,
            offenders=rule.sql,
            condition=rule.condition,
        )
    for gate in table.gates:
        yield Check(gate.name, gate.description, gate.severity)
    if table.gates:
        yield Check(ENOUGH_HISTORY, "there are enough sales to judge the model by", Severity.WARN)
    if table.layer == "raw" and table.name != QUARANTINE and not table.delivered:
        reader = "the query" if table.feed is Feed.SOURCE else "the contract"
        told = f"{reader} reads every column of its {table.feed}"
        yield Check(READS_EVERY_COLUMN, told, Severity.WARN)
    if table.measures and table.name != QUARANTINE:
        counterpart = table.reconciles_with or FEEDS[table.feed]
        names = ", ".join(table.measures)
        yield Check(RECONCILES, f"{names} equal {counterpart}")
        if table.partition:
            yield Check(
                RECONCILES_ELSEWHERE,
                f"{names} equal {counterpart} in the months that the run did not build",
                blocking=False,
            )


def qualified(table: Table) -> str:
    """`layer.name`, as SQL names the table."""
    return f"{table.layer}.{table.name}"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _bounds(column: Column) -> str:
    sides = []
    if column.min is not None:
        sides.append(f"{column.name} < {column.min}")
    if column.max is not None:
        sides.append(f"{column.name} > {column.max}")
    return " OR ".join(sides)


def _bounds_text(column: Column) -> str:
    low = f"{column.min} <= " if column.min is not None else ""
    high = f" <= {column.max}" if column.max is not None else ""
    return f"{low}{column.name}{high}"


def _foreign_key(table: Table, key: ForeignKey) -> Check:
    columns = ", ".join(f"child.{name}" for name in key.columns)
    present = " AND ".join(f"child.{name} IS NOT NULL" for name in key.columns)
    match = " AND ".join(
        f"parent.{there} = child.{here}"
        for here, there in zip(key.columns, key.to_columns, strict=True)
    )
    return Check(
        f"{'_'.join(key.columns)}_exists",
        f"{', '.join(key.columns)} stands in {key.table}",
        key.severity,
        offenders=f"SELECT {columns}, count(*) AS times FROM {qualified(table)} child "
        f"LEFT ANTI JOIN {key.table} parent ON {match} WHERE {present} GROUP BY {columns}",
        foreign_key=key,
    )
