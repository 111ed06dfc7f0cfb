"""PostgreSQL as a source: its catalogue, its types, its errors."""

from collections.abc import Sequence
from typing import Any

import psycopg

from retail_platform.errors import SourceError
from retail_platform.sources.address import Address
from retail_platform.sources.columns import Family, SourceType
from retail_platform.sources.naming import Relations

_TYPES = {
    "int2": Family.INTEGER,
    "int4": Family.INTEGER,
    "int8": Family.INTEGER,
    "float4": Family.FLOAT,
    "float8": Family.FLOAT,
    "bool": Family.BOOLEAN,
    "bytea": Family.BINARY,
    "date": Family.DATE,
    "timestamp": Family.TIMESTAMP,
    "timestamptz": Family.ZONED,
    "uuid": Family.TEXT,
    "json": Family.TEXT,
    "jsonb": Family.TEXT,
}
_TEXT_CATEGORIES = ("S", "E")  # strings, enumerations

# The catalogue of pg_class and not of information_schema, which leaves out materialized views; but
# like there, and like in MySQL, what the user may not read is not there.
_RELATIONS = """
    SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND has_column_privilege(c.oid, a.attnum, 'SELECT')
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND has_schema_privilege(n.oid, 'USAGE')
      AND CASE WHEN %(schema)s = '' THEN pg_table_is_visible(c.oid) AND n.nspname !~ '^(pg_|information_schema)'
          ELSE lower(n.nspname) = lower(%(schema)s) END
    GROUP BY c.oid, c.relname
"""


class PostgresDriver:
    """One connection to a PostgreSQL server."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection = connect(self._address)

    def bulk_url(self) -> str:
        """The source's own URL."""
        return self._address.url

    def relations(self, schema: str) -> Relations:
        """The tables and views of a schema; the empty name means those of the search path."""
        return {name: tuple(columns) for name, columns in self._run(_RELATIONS, {"schema": schema})}

    def describe(self, sql: str) -> dict[str, SourceType]:
        """The columns of a query, from the result of reading none of its rows."""
        columns = self._run(f"SELECT * FROM ({sql}) AS q LIMIT 0").description or []
        found = self._run(
            "SELECT oid, typname, typcategory FROM pg_type WHERE oid = ANY(%(oids)s)",
            {"oids": [column.type_code for column in columns]},
        )
        kinds = {oid: (name, category) for oid, name, category in found}
        return {
            column.name: _source_type(*kinds[column.type_code], column.precision, column.scale)
            for column in columns
        }

    def fetch(self, sql: str) -> Sequence[Sequence[Any]]:
        """All rows of a query that gives few."""
        return self._run(sql).fetchall()

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _run(self, sql: str, parameters: dict[str, object] | None = None) -> psycopg.Cursor[Any]:
        address = self._address
        try:
            try:
                return self._connection.execute(sql, parameters)
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
                self._connection = connect(address)  # it was idle for too long
                return self._connection.execute(sql, parameters)
        except (psycopg.Error, UnicodeError) as error:
            raise SourceError(f"{address} refused a query: {address.redact(error)}") from None


def connect(
    address: Address,
    kind: type[psycopg.Connection[Any]] = psycopg.Connection,
    connect_timeout: int = 10,
) -> psycopg.Connection[Any]:
    """Opens a connection.

    Args:
        address: Where to.
        kind: The class of the connection.
        connect_timeout: How many seconds that may take.

    Raises:
        SourceError: The server does not answer, or refuses; the message says what to correct.
    """
    try:
        connection = kind.connect(
            address.url, autocommit=True, connect_timeout=connect_timeout, client_encoding="utf8"
        )
        connection.execute(address.dialect.session)
    except psycopg.Error as error:
        raise SourceError(_why_not_connected(address, error)) from None
    return connection


def _source_type(name: str, category: str, precision: int | None, scale: int | None) -> SourceType:
    if name == "numeric":
        shown = f"numeric({precision},{scale})" if precision is not None else "numeric"
        return SourceType(Family.DECIMAL, shown, precision, scale)
    if name in _TYPES:
        return SourceType(_TYPES[name], name)
    if category in _TEXT_CATEGORIES:
        return SourceType(Family.TEXT, name)
    return SourceType(Family.OTHER, name)


def _why_not_connected(address: Address, error: psycopg.Error) -> str:
    # libpq gives no code for a failed connection; servers that speak another language
    # fall through to the last line, which shows what they said.
    said = address.redact(error).strip()
    if f'database "{address.database}" does not exist' in said:
        return (
            f"{address}: there is no database {address.database}; "
            f"create it, or correct {address.place}"
        )
    if "authentication failed" in said or "no password supplied" in said:
        return (
            f"{address} refused user {address.user}: wrong user or password; "
            f"correct {address.place}; a URL has special letters of a password percent-encoded"
        )
    if "onnection refused" in said or "timeout" in said or "resolve host" in said:
        return (
            f"{address} does not answer: start the PostgreSQL server there, or correct host and "
            f"port in {address.place} ({said})"
        )
    return f"{address} cannot be reached: {said}; check {address.place}"
