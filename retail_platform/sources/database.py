"""The OLTP database that is copied: what it has, what its queries give, its rows and totals."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from retail_platform.contracts.model import Table
from retail_platform.contracts.months import MonthRange
from retail_platform.errors import SourceError
from retail_platform.sources.address import Address
from retail_platform.sources.driver import Driver
from retail_platform.sources.naming import MissingTableError, Relations, UnknownNameError, resolve
from retail_platform.sources.query import SourceQuery

if TYPE_CHECKING:
    import pyarrow as pa

Totals = dict[str, dict[str, Decimal]]
"""Measures by month (`2004-01`), and under `""` of all rows without a month."""


def open_source(url: str) -> "Source":
    """The database at `url`; nothing is connected before the first question.

    Args:
        url: `mysql://` or `postgresql://`; a secret, which no message shows.

    Raises:
        ConfigurationError: It is no such URL.
    """
    return Source(Address.parse(url))


class Source:
    """A MySQL, MariaDB or PostgreSQL database that is only read.

    Small questions share one connection, opened with the first of them. Methods raise
    SourceError where the database is down, refuses, or does not hold what `sql/raw` asks of it.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._relations: dict[str, Relations] = {}

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Source({self.address})"

    def prepare(self, table: Table) -> SourceQuery | None:
        """The extraction query of a raw table as this source answers it.

        Returns:
            None where an optional table is missing.

        Raises:
            SourceError: A table or column is missing, or a type does not fit the contract.
            ConfigurationError: The query itself is wrong.
        """
        dialect = self.address.dialect
        try:
            resolved = resolve(table, self._relations_of, dialect)
        except MissingTableError as error:
            if table.optional:
                return None
            if not any(self._relations.values()):
                raise SourceError(self._sees_nothing()) from error
            raise SourceError(f"{self.address}: {error}") from error
        except UnknownNameError as error:
            raise SourceError(f"{self.address}: {error}") from error
        try:
            types = self._driver.describe(resolved.sql)
        except SourceError as error:
            raise SourceError(f"{error}: correct sql/{table.sql_path}") from error
        return SourceQuery(table, dialect, resolved.sql, types, resolved.unread_columns)

    def totals(self, query: SourceQuery) -> Totals:
        """The contract's measures of all that the query gives, by month, in one statement."""
        names = list(query.table.measures)
        if not names:
            return {}
        return {
            f"{month // 100:04}-{month % 100:02}" if month else "": {
                name: Decimal(str(value or 0)) for name, value in zip(names, values, strict=True)
            }
            for month, *values in self._driver.fetch(query.totals())
        }

    def months(
        self, queries: Iterable[SourceQuery], within: MonthRange | None = None
    ) -> MonthRange | None:
        """From the first to the last month that any monthly table has; None where there is none.

        Args:
            queries: Of the tables.
            within: Months before and after do not count; None where all do.
        """
        found = [
            date(month // 100, month % 100, 1)
            for query in queries
            if query.table.partition
            for row in self._driver.fetch(query.bounds(within))
            for month in row
            if month
        ]
        return MonthRange(min(found), max(found)) if found else None

    def stream(
        self, sql: str, table: str, schema: "pa.Schema | None" = None
    ) -> "AbstractContextManager[pa.RecordBatchReader]":
        """The rows that a statement gives, batch by batch; see `reading.open_stream`."""
        from retail_platform.sources.reading import open_stream  # connectorx loads slowly

        return open_stream(self.address, self._driver.bulk_url(), sql, table, schema)

    def close(self) -> None:
        """Ends the connection, if there is one."""
        if "_driver" in self.__dict__:
            self._driver.close()
            del self._driver

    @cached_property
    def _driver(self) -> Driver:
        if self.address.dialect.name == "mysql":
            from retail_platform.sources.mysql import MySQLDriver

            return MySQLDriver(self.address)
        from retail_platform.sources.postgres import PostgresDriver

        return PostgresDriver(self.address)

    def _sees_nothing(self) -> str:
        address = self.address
        return (
            f"{address}: user {address.user} sees no table at all in {address.database}: correct "
            f"the database in {address.place}, grant the user SELECT on its tables, or fill it"
        )

    def _relations_of(self, schema: str) -> Relations:
        if schema not in self._relations:
            self._relations[schema] = self._driver.relations(schema)
        return self._relations[schema]
