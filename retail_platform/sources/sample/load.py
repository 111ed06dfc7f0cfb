"""Writes the sample's nine tables into a MySQL, MariaDB or PostgreSQL database, all or nothing.

PostgreSQL gets everything in one transaction. MySQL commits with every `CREATE TABLE`, so there
the rows go into tables named `loading_...`, which take the nine names when all are full; what a
killed load leaves is dropped by the next one.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.address import Address
from retail_platform.sources.dialect import MYSQL, POSTGRES
from retail_platform.sources.sample.schema import TABLES

if TYPE_CHECKING:
    import psycopg
    import pymysql

Batches = Iterable[tuple[str, pa.RecordBatch]]
Progress = Callable[[str, int], None]

_UNKNOWN_DATABASE = 1049
_STAGING_PREFIX = "loading_"


@dataclass(frozen=True)
class Loaded:
    """What a load wrote.

    Attributes:
        rows: Rows by table, for each of the nine tables.
        first_month: First day of the first month that has orders.
        last_month: First day of the last month that has orders.
    """

    rows: dict[str, int]
    first_month: date
    last_month: date


def load(url: str, batches: Batches, on_progress: Progress, *, replace: bool = False) -> Loaded:
    """Creates the nine tables in the database at `url` and fills them.

    Args:
        url: `mysql://user:password@host:port/database` or `postgresql://...`. A MySQL database
            that does not exist is created.
        batches: `(table, batch)`, each batch with its table's Arrow schema.
        on_progress: Called after every batch with the table's name and its rows so far.
        replace: Whether the nine tables, where they exist, are replaced. Other tables are never
            touched. Until the load ends, readers of MySQL see the old rows and readers of
            PostgreSQL wait.

    Raises:
        ConfigurationError: Where the URL is unusable, or the database already has one of the
            tables and `replace` is not set.
        SourceError: Where the database cannot be reached, or refuses rows. It then holds what it
            held before.
    """
    tally = _Tally(on_progress)
    address = Address.parse(url)
    write = _load_postgresql if address.dialect is POSTGRES else _load_mysql
    with _told_plainly(address):
        write(address, tally.counted(batches), replace)
    return tally.loaded()


class _Tally:
    """Counts rows and order months as the batches pass."""

    def __init__(self, on_progress: Progress) -> None:
        self._on_progress = on_progress
        self._rows = dict.fromkeys(TABLES, 0)
        self._days: list[date] = []

    def counted(self, batches: Batches) -> Iterator[tuple[str, pa.RecordBatch]]:
        for table, batch in batches:
            if not batch.num_rows:
                continue
            yield table, batch
            self._rows[table] += batch.num_rows
            if table == "orders":
                days = batch.column("orderDate")
                seen = [*self._days, pc.min(days).as_py(), pc.max(days).as_py()]
                self._days = [min(seen), max(seen)]
            self._on_progress(table, self._rows[table])

    def loaded(self) -> Loaded:
        first, last = self._days
        return Loaded(dict(self._rows), first.replace(day=1), last.replace(day=1))


def _refuse_existing(existing: Iterable[str]) -> None:
    if names := sorted(existing):
        raise ConfigurationError(
            f"The database already has the tables {', '.join(names)}. Give --replace to replace"
            " all nine tables and their rows, or the --url of another database."
        )


@contextmanager
def _told_plainly(address: Address) -> Iterator[None]:
    """Turns a driver's error into one that names the database, without its password."""
    import psycopg
    import pymysql

    try:
        yield
    except (psycopg.Error, pymysql.err.Error, OSError) as error:
        raise SourceError(
            f"{address} did not take the sample: {address.redact(error).strip()} - no table was"
            f" replaced. Check that the {address.dialect.product} server runs, the URL's user and"
            " password, that the user may create tables, and free disk space; then run the command"
            " again."
        ) from None


# PostgreSQL


def _load_postgresql(address: Address, batches: Batches, replace: bool) -> None:
    import psycopg

    with psycopg.connect(address.url, client_encoding="UTF8") as connection:
        if not replace:
            _refuse_existing(_postgresql_tables(connection))
        connection.execute(f"DROP TABLE IF EXISTS {', '.join(TABLES)}")
        for table in TABLES.values():
            connection.execute(table.create_statement(POSTGRES))
        for name, batch in batches:
            with connection.cursor().copy(f"COPY {name} FROM STDIN WITH (FORMAT csv)") as copy:
                copy.write(_csv(batch, binary_prefix="\\x"))


def _postgresql_tables(connection: "psycopg.Connection[tuple[Any, ...]]") -> list[str]:
    found = connection.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = current_schema() AND table_name = ANY(%s)",
        [list(TABLES)],
    )
    return [name for (name,) in found]


# MySQL and MariaDB


def _load_mysql(address: Address, batches: Batches, replace: bool) -> None:
    connection = _mysql_connection(address)
    with connection, connection.cursor() as cursor, TemporaryDirectory() as folder:
        if not replace:
            _refuse_existing(_mysql_tables(cursor))
        cursor.execute("SET foreign_key_checks = 0, unique_checks = 0")
        staging = {name: _STAGING_PREFIX + name for name in TABLES}
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(staging.values())}")
        for name, table in TABLES.items():
            cursor.execute(table.create_statement(MYSQL, staging[name]))
        write = _mysql_writer(cursor, Path(folder) / "rows.csv")
        for name, batch in batches:
            write(staging[name], batch)
            connection.commit()
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(TABLES)}")
        renames = ", ".join(f"{loading} TO {name}" for name, loading in staging.items())
        cursor.execute(f"RENAME TABLE {renames}")


def _mysql_connection(address: Address) -> "pymysql.Connection[Any]":
    """A connection to the URL's database, which is created where the server lacks it."""
    import pymysql

    from retail_platform.sources.mysql import login

    def connect(database: str | None) -> "pymysql.Connection[Any]":
        return pymysql.connect(**login(address), database=database, local_infile=True)

    try:
        return connect(address.database)
    except pymysql.err.OperationalError as error:
        if error.args[0] != _UNKNOWN_DATABASE:
            raise
    connection = connect(None)
    database = address.dialect.quoted(address.database)
    connection.cursor().execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    connection.select_db(address.database)
    return connection


def _mysql_tables(cursor: "pymysql.cursors.Cursor") -> list[str]:
    cursor.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = database() AND table_name IN %s",
        [list(TABLES)],
    )
    return [name for (name,) in cursor.fetchall()]


def _mysql_writer(
    cursor: "pymysql.cursors.Cursor", file: Path
) -> Callable[[str, pa.RecordBatch], None]:
    """LOAD DATA where the server allows it; MySQL 8 by default does not, and gets INSERTs."""
    cursor.execute("SELECT @@local_infile")
    (allowed,) = cursor.fetchone() or (0,)

    def load_data(table: str, batch: pa.RecordBatch) -> None:
        file.write_bytes(_csv(batch))
        cursor.execute(_load_data_statement(table, batch.schema, file))
        _refuse_changed_rows(cursor, table, batch.num_rows)

    def insert(table: str, batch: pa.RecordBatch) -> None:
        placeholders = ", ".join(["%s"] * batch.num_columns)
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        cursor.executemany(f"INSERT INTO {table} VALUES ({placeholders})", list(rows))

    return load_data if allowed else insert


def _load_data_statement(table: str, schema: pa.Schema, file: Path) -> str:
    """Reads every field into a variable: where NULL is allowed, an empty one is, and a BLOB is hex."""
    values = [f"{field.name} = {_field_value(field, f'@v{n}')}" for n, field in enumerate(schema)]
    return (
        f"LOAD DATA LOCAL INFILE '{file.as_posix()}' INTO TABLE {table} CHARACTER SET utf8mb4"
        " FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n'"
        f" ({', '.join(f'@v{n}' for n in range(len(values)))}) SET {', '.join(values)}"
    )


def _field_value(field: "pa.Field[Any]", variable: str) -> str:
    value = f"NULLIF({variable}, '')" if field.nullable else variable
    return f"UNHEX({value})" if pa.types.is_binary(field.type) else value


def _refuse_changed_rows(cursor: "pymysql.cursors.Cursor", table: str, rows: int) -> None:
    """LOAD DATA LOCAL drops duplicates and bends bad values with a mere warning."""
    written = cursor.rowcount
    cursor.execute("SHOW WARNINGS LIMIT 1")
    warning = cursor.fetchone()
    if warning or written != rows:
        raise SourceError(
            f"MySQL took {written:,} of {rows:,} rows of {table} and said: {warning}. The rows do"
            " not fit the table; the tables that were there before are unchanged."
        )


def _csv(batch: pa.RecordBatch, binary_prefix: str = "") -> bytes:
    """The batch as CSV without a header: values quoted, NULL empty, binary as hex."""
    columns = [
        pa.array(
            [
                None if value is None else binary_prefix + value.hex()
                for value in column.to_pylist()
            ],
            pa.string(),
        )
        if pa.types.is_binary(column.type)
        else column
        for column in batch.columns
    ]
    sink = BytesIO()
    pyarrow.csv.write_csv(
        pa.RecordBatch.from_arrays(columns, names=batch.schema.names),
        sink,
        pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid"),
    )
    return sink.getvalue()
