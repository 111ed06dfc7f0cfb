"""What a run reads of the source: its statements, its totals, and what makes it refuse."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate, groupby

from retail_platform.contracts.checks import READS_EVERY_COLUMN, CheckResult, check_of
from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import QUARANTINE, Feed, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.protocol import Measures, SourceRead
from retail_platform.errors import SourceError
from retail_platform.sources.database import Source
from retail_platform.sources.query import SourceQuery

OpenSource = Callable[[], AbstractContextManager[Source]]
"""Connects to the OLTP database for the time of a `with`."""


class Extraction:
    """What one run asks of the source, checked against it before a row is read."""

    def __init__(
        self,
        source: Source,
        contracts: Contracts,
        tables: Sequence[Table],
        months: MonthRange,
        stored: MonthRange,
        connections: int,
    ) -> None:
        """Prepares the queries.

        Args:
            source: Where they are asked.
            contracts: All tables.
            tables: Those that are read.
            months: What is read of the monthly ones.
            stored: The months that the lake may hold; other rows go to quarantine.
            connections: How many statements may be asked at once.

        Raises:
            SourceError: The source does not have what a query asks for.
        """
        self.source = source
        self._tables = tuple(tables)
        self._months = months
        self._stored = stored
        self._connections = connections
        self._monthly = tuple(table for table in contracts.fed_by(Feed.SOURCE) if table.partition)
        asked = {table.name: table for table in tables}
        if asked.pop(QUARANTINE, None):
            asked |= {table.name: table for table in self._monthly}
        self._queries: dict[str, SourceQuery] = {}
        for table in asked.values():
            if (query := source.prepare(table)) is not None:
                self._queries[table.name] = query

    def reads(self, table: Table, totals: Measures) -> tuple[SourceRead, ...]:
        """The statements whose rows make `table`; none for an optional table that is absent.

        Args:
            table: One of those that are read.
            totals: The source's measures of it, by which a monthly table is shared out among the
                connections.
        """
        if table.name == QUARANTINE:
            return tuple(
                SourceRead(
                    table,
                    self._queries[table.name].quarantined(self._stored.first, self._stored.end),
                )
                for table in self._monthly
                if table.name in self._queries
            )
        query = self._queries.get(table.name)
        if query is None:
            return ()
        if table.partition is None:
            return (SourceRead(table, query.rows()),)
        runs = _runs(self._months, totals, self._connections)
        return tuple(SourceRead(table, query.rows(months)) for months in runs)

    def totals(self) -> dict[str, Measures]:
        """The source's own measures of every table that is read, of all its months."""
        return {
            table.name: self.source.totals(self._queries[table.name])
            if table.name in self._queries
            else {}
            for table in self._tables
        }

    def require_rows(self, totals: Mapping[str, Measures]) -> None:
        """Refuses a source that is empty where it must not be: the lake would be emptied too.

        Raises:
            SourceError: A table has fewer rows than its contract's `min_rows`.
        """
        short = [
            table.name
            for table in self._tables
            if sum(row.get("rows", 0) for row in totals[table.name].values()) < table.min_rows
        ]
        if short:
            raise SourceError(
                f"{self.source.address} has no rows, or too few, in {', '.join(short)}; what is "
                "published stays. Is it the right database? Fill it, or change min_rows in "
                "sql/raw/schema.yml"
            )

    def reads_every_column(self, table: Table) -> CheckResult:
        """Warns of columns of the source that the query leaves out."""
        query = self._queries.get(table.name)
        unread = query.unread_columns if query else ()
        detail = (
            f"sql/{table.sql_path} does not read {', '.join(unread)}; add them there and to "
            "sql/raw/schema.yml, or leave them out knowingly"
        )
        return check_of(table, READS_EVERY_COLUMN).result(
            table.name, len(unread), detail if unread else ""
        )


def _runs(months: MonthRange, totals: Measures, most: int) -> list[MonthRange]:
    """All the months in consecutive runs, `most` at most, of about as many rows each."""
    # One more for each month, so that months without rows as yet are shared out too.
    rows = [1 + int(totals.get(f"{month:%Y-%m}", {}).get("rows", 0)) for month in months]
    total, seen = sum(rows), accumulate(rows)
    shares = (
        (2 * end - of_month) * most // (2 * total) for of_month, end in zip(rows, seen, strict=True)
    )
    shared = groupby(zip(shares, months, strict=True), key=lambda pair: pair[0])
    runs = [[month for _, month in run] for _, run in shared]
    return [MonthRange(run[0], run[-1]) for run in runs]
