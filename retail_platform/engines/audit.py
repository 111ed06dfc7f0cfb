"""The audit of one table, as portable SQL that every engine answers, in as few scans as can be.

One scan counts the rows, those that offend a rule on single rows or refer to a row that is not
there, and measures, all by month. A second one groups by the primary key. Only where something
offends is it looked for.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

from retail_platform.contracts.checks import Check, CheckResult, checks_of, qualified
from retail_platform.contracts.model import ForeignKey, Table
from retail_platform.engines.protocol import Audit

_EXAMPLES = 5
_PRIMARY_KEY = "primary_key"  # the check that has a shortcut


class Sql(Protocol):
    """Answers SQL of the portable subset over tables, as `layer.name` or `name`."""

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement, by column."""

    def keys_differ(self, table: Table) -> bool:
        """Whether it is certain, and cheaply known, that no two rows have the same primary key."""


def audit(sql: Sql, table: Table) -> Audit:
    """Checks and measures the rows that `sql` shows as `table`."""
    checks = [check for check in checks_of(table) if check.offenders]
    counted = [check for check in checks if check.condition or check.foreign_key]
    months = sql.rows(_scan(table, counted))
    offending = {
        check.name: sum(month[f"c{number}"] or 0 for month in months)
        for number, check in enumerate(counted)
    }
    return Audit(
        table=table.name,
        row_count=sum(month["n"] for month in months),
        measures={
            # A missing month fails the audit, which shall say so rather than stumble over it here.
            f"{month['month']:%Y-%m}" if month["month"] else "": {
                name: Decimal(str(month[f"m{number}"] or 0))
                for number, name in enumerate(table.measures)
            }
            for month in months
            if table.measures
        },
        checks=tuple(_result(sql, table, check, offending.get(check.name)) for check in checks),
    )


def _scan(table: Table, counted: Sequence[Check]) -> str:
    """The statement that counts and measures by month."""
    lookups = [(number, check.foreign_key) for number, check in enumerate(counted)]
    columns = [
        f"{table.partition.column if table.partition else 'NULL'} AS month",
        "count(*) AS n",
        *(
            f"count_if({_offends(number, check)}) AS c{number}"
            for number, check in enumerate(counted)
        ),
        *(f"{measure} AS m{number}" for number, measure in enumerate(table.measures.values())),
    ]
    joins = [_lookup(number, key) for number, key in lookups if key]
    by_month = [f"GROUP BY {table.partition.column}"] if table.partition else []
    return " ".join(
        [f"SELECT {', '.join(columns)} FROM {qualified(table)} child", *joins, *by_month]
    )


def _offends(number: int, check: Check) -> str:
    if check.foreign_key is None:
        return check.condition
    present = " AND ".join(f"child.{name} IS NOT NULL" for name in check.foreign_key.columns)
    return f"{present} AND f{number}.found IS NULL"


def _lookup(number: int, key: ForeignKey) -> str:
    """Joins each row with the one row, or none, that it refers to."""
    columns = [f"{name} AS k{position}" for position, name in enumerate(key.to_columns)]
    match = " AND ".join(
        f"f{number}.k{position} = child.{name}" for position, name in enumerate(key.columns)
    )
    # A key that stands there twice must not count the row twice.
    parents = f"SELECT DISTINCT {', '.join(columns)}, true AS found FROM {key.table}"
    return f"LEFT JOIN ({parents}) f{number} ON {match}"


def _result(sql: Sql, table: Table, check: Check, counted: int | None) -> CheckResult:
    if counted == 0 or (check.name == _PRIMARY_KEY and sql.keys_differ(table)):
        return check.result(table.name, 0)
    found = sql.rows(f"SELECT count(*) AS n FROM ({check.offenders}) offenders")[0]["n"]
    if not found:
        return check.result(table.name, 0)
    examples = sql.rows(f"SELECT * FROM ({check.offenders}) offenders LIMIT {_EXAMPLES}")
    shown = "; ".join(
        ", ".join(f"{name}={_shorten(value)}" for name, value in row.items()) for row in examples
    )
    return check.result(table.name, found, f"{found} offending, such as: {shown}")


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
