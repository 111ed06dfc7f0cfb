"""Extraction queries as a source answers them: by month, safe for connectorx, with totals.

Pure text: nothing here talks to a database.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlglot import exp

from retail_platform.contracts.model import Table
from retail_platform.contracts.months import MonthRange
from retail_platform.contracts.sql import parse
from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.columns import SourceType, fits, safe_expression
from retail_platform.sources.dialect import Dialect

REASON = "quarantine_reason"
"""The column by which the query of a monthly table sets a row aside; NULL for a good row."""


@dataclass(frozen=True)
class SourceQuery:
    """The extraction query of one raw table, checked against its source.

    Attributes:
        table: The contract.
        dialect: Of the source.
        sql: The user's query in that dialect.
        types: The type of every column that it gives.
        unread_columns: `table.column` of what the source's table has and the query never reads.
    """

    table: Table
    dialect: Dialect
    sql: str
    types: Mapping[str, SourceType]
    unread_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses a query whose columns are not those of the contract.

        Raises:
            ConfigurationError: A column is missing, or one is not in the contract.
            SourceError: A column's type cannot hold its values exactly in the contract's.
        """
        table = self.table
        path = f"sql/{table.sql_path}"
        expected = self._columns()
        missing = [name for name in expected if name not in self.types]
        if missing:
            raise ConfigurationError(
                f"{path} does not select {', '.join(missing)}: add them, or take them out of "
                f"sql/{table.layer}/schema.yml"
            )
        allowed = {*expected, REASON} if table.partition else set(expected)
        extra = [name for name in self.types if name not in allowed]
        if extra:
            raise ConfigurationError(
                f"{path} selects {', '.join(extra)}, which the contract of {table.name} lacks: "
                f"add them to sql/{table.layer}/schema.yml, or select them no more"
            )
        wrong = [
            f"{table.name}.{name} is {self.types[name].name} in the source, the contract says "
            f"{table.column(name).type}"
            for name in expected
            if not fits(self.types[name], table.column(name).type)
        ]
        if wrong:
            raise SourceError(f"{'; '.join(wrong)}: cast it in {path} or change the contract")

    def rows(self, months: MonthRange | None = None) -> str:
        """The statement that reads the rows of some months.

        Args:
            months: Of a monthly table; None reads all its usable rows. Ignored for others.
        """
        return self._select([self._safe(name) for name in self._columns()], self._good(months))

    def quarantined(self, first: date, end: date) -> str:
        """The statement that reads the rows of a monthly table that belong to no month.

        They have all columns of the contract but the month, and `quarantine_reason`.

        Args:
            first: The first day that counts.
            end: The first day after the running month.

        Raises:
            ConfigurationError: The table is not monthly.
        """
        day = self._day()
        reason = (
            f"CASE WHEN {self._usable()} IS NOT TRUE"
            f" THEN CASE WHEN {day} IS NULL THEN 'no date' ELSE '{self.dialect.unusable}' END"
            f" WHEN {day} < DATE '{first}' THEN 'before first_month'"
            f" WHEN {day} >= DATE '{end}' THEN 'after the running month' END"
        )
        # MySQL takes `day IS NULL` in WHERE for true of a zero date; IS NOT TRUE has no such quirk.
        aside = [
            f"{self._usable()} IS NOT TRUE",
            f"{day} < DATE '{first}'",
            f"{day} >= DATE '{end}'",
        ]
        if REASON in self.types:
            given = self._column(REASON)
            reason = f"COALESCE(CAST({given} AS {self.dialect.text}), {reason})"
            aside.append(f"{given} IS NOT NULL")
        columns = [self._safe(name) for name in self._columns()]
        columns.append(f"{reason} AS {self.dialect.quoted(REASON)}")
        return self._select(columns, [" OR ".join(aside)])

    def totals(self) -> str:
        """The statement that gives the month as YYYYMM and the contract's measures, in order.

        The month is NULL for rows that belong to none. A table that is not monthly has one row.
        """
        measures = [self._measure(sql) for sql in self.table.measures.values()]
        if self.table.partition is None:
            return self._select(["NULL", *measures], [])
        good = " AND ".join(self._good(None))
        month = f"CASE WHEN {good} THEN {self.dialect.month.format(self._day())} END"
        return f"{self._select([month, *measures], [])} GROUP BY 1"

    def bounds(self, within: MonthRange | None = None) -> str:
        """The statement that gives the first and the last month of a monthly table, as YYYYMM.

        Args:
            within: Months before and after are left out; None for all.

        Raises:
            ConfigurationError: The table is not monthly.
        """
        days = [self.dialect.month.format(f"{bound}({self._day()})") for bound in ("MIN", "MAX")]
        return self._select(days, self._good(within))

    def _columns(self) -> list[str]:
        """The contract's columns without the month, which an engine derives."""
        month = self.table.partition.column if self.table.partition else None
        return [name for name in self.table.column_names if name != month]

    def _good(self, months: MonthRange | None) -> list[str]:
        """What holds for the rows that belong to some month."""
        if self.table.partition is None:
            return []
        conditions = [self._usable()]
        if months:  # a bare column, so that an index on the date is used
            conditions.append(f"{self._day()} >= DATE '{months.first}'")
            conditions.append(f"{self._day()} < DATE '{months.end}'")
        if REASON in self.types:
            conditions.append(f"{self._column(REASON)} IS NULL")
        return conditions

    def _day(self) -> str:
        if self.table.partition is None:
            raise ConfigurationError(f"{self.table.name} is not a monthly table")
        return self._column(self.table.partition.date)

    def _usable(self) -> str:
        return self.dialect.usable.format(self._day())

    def _safe(self, name: str) -> str:
        expression = safe_expression(
            self.types[name], self.table.column(name).type, self._column(name), self.dialect
        )
        return f"{expression} AS {self.dialect.quoted(name)}"

    def _measure(self, sql: str) -> str:
        tree = parse(sql)
        for cast in list(tree.find_all(exp.TryCast)):  # how sqlglot takes a CAST of Spark
            cast.replace(exp.Cast(this=cast.this, to=cast.to))
        return tree.sql(dialect=self.dialect.name, identify=True)

    def _column(self, name: str) -> str:
        return f"q.{self.dialect.quoted(name)}"

    def _select(self, expressions: list[str], conditions: list[str]) -> str:
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {', '.join(expressions)} FROM ({self.sql}) AS q{where}"
