"""The laptop's engine: DuckDB in this process, within a memory limit."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from retail_platform.contracts.checks import qualified
from retail_platform.contracts.model import Table
from retail_platform.contracts.sql import to_duckdb
from retail_platform.engines.audit import audit
from retail_platform.engines.extraction import extract
from retail_platform.engines.protocol import (
    DataFile,
    InputTable,
    OutputTable,
    RowReader,
    RunRequest,
    TableResult,
)
from retail_platform.errors import EngineError

_TYPES = {
    "string": "VARCHAR",
    "binary": "BLOB",
    "timestamp": "TIMESTAMPTZ",
    "long": "BIGINT",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DuckDBEngine:
    """Runs models in DuckDB.

    Attributes:
        memory_limit: What DuckDB may hold before it spills, such as `1GB`.
        spill_folder: Where it spills.
    """

    memory_limit: str
    spill_folder: Path

    def run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        """See `engines.protocol.Engine.run`."""
        with self._connection() as connection:
            written: dict[str, _Written] = {}
            for output in request.outputs:
                inputs = _inputs(output, written)
                written[output.contract.name] = _write(connection, output, inputs, source)
            # Audited after all are written, because a check may read a table that comes later.
            for table in request.references:
                _show(connection, table)
            for result in written.values():
                _show(connection, result.whole)
            return [_audit_written(connection, result) for result in written.values()]

    def audit(
        self, tables: Sequence[InputTable], references: Sequence[InputTable]
    ) -> list[TableResult]:
        """See `engines.protocol.Engine.audit`."""
        with self._connection() as connection:
            for table in (*tables, *references):
                _show(connection, table)
            return [_audit(connection, table, 0.0) for table in tables]

    @contextmanager
    def _connection(self) -> Iterator[DuckDBPyConnection]:
        connection = duckdb.connect(
            config={
                "memory_limit": self.memory_limit,
                "temp_directory": str(self.spill_folder),
                # Tables have no order, and keeping one costs memory.
                "preserve_insertion_order": "false",
            }
        )
        try:
            yield connection
        except duckdb.Error as error:
            raise EngineError(f"DuckDB: {error}") from error
        finally:
            connection.close()


@dataclass(frozen=True)
class _Written:
    output: OutputTable
    files: tuple[DataFile, ...]
    seconds: float

    @property
    def whole(self) -> InputTable:
        """The whole new version, the months that the run left alone included."""
        return InputTable(self.output.contract, self.files + self.output.retained)


def _inputs(output: OutputTable, written: Mapping[str, _Written]) -> list[InputTable]:
    """What the model reads, the tables that this run has written before it as written."""
    inputs = []
    for table in output.inputs:
        fresh = written.get(table.contract.name)
        if fresh is None:
            inputs.append(table)
        elif output.contract.partition:
            inputs.append(InputTable(table.contract, fresh.files))
        else:
            inputs.append(fresh.whole)
    return inputs


def _audit_written(connection: DuckDBPyConnection, written: _Written) -> TableResult:
    """Audits the new rows alone; other tables' checks see the whole new version."""
    contract = written.output.contract
    fresh = InputTable(contract, written.files)
    _show(connection, fresh)
    result = _audit(connection, fresh, written.seconds)
    _show(connection, written.whole)
    return result


def duckdb_type(type_: str) -> str:
    """A contract's type, or Iceberg's name of it, as DuckDB names it."""
    return _TYPES.get(type_, type_.upper())


def _show(connection: DuckDBPyConnection, shown: InputTable) -> None:
    """Makes a table readable as `layer.name`, and as `name`."""
    table = shown.contract
    columns = ", ".join(
        f'CAST(NULL AS {duckdb_type(column.type)}) AS "{column.name}"'
        if column.name in shown.absent or not shown.files
        else f'"{column.name}"'
        for column in table.columns
    )
    if shown.files:
        listed = ", ".join(_quote(_path(file.uri)) for file in shown.files)
        rows = f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false)"
    else:
        rows = f"SELECT {columns} WHERE false"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.layer}")
    connection.execute(f"CREATE OR REPLACE VIEW {qualified(table)} AS {rows}")
    connection.execute(f'CREATE OR REPLACE VIEW "{table.name}" AS FROM {qualified(table)}')


def _write(
    connection: DuckDBPyConnection,
    output: OutputTable,
    inputs: Sequence[InputTable],
    source: RowReader | None,
) -> _Written:
    """Writes one table."""
    log.info("writing %s", qualified(output.contract))
    started = time.perf_counter()
    table = output.contract
    _path(output.location).mkdir(parents=True, exist_ok=True)
    try:
        if output.reads is not None:
            if source is None:
                raise EngineError(f"{table.name} is read from a source, but none was given")
            files = extract(output, source)
        elif table.partition and any(file.month for read in inputs for file in read.files):
            files = _copy_each_month(connection, output, inputs)
        else:
            files = _copy_at_once(connection, output, inputs)
    except duckdb.Error as error:
        raise EngineError(f"{_named(table)} could not be built: {error}") from error
    return _Written(output, files, time.perf_counter() - started)


def _named(table: Table) -> str:
    return f"{qualified(table)} (sql/{table.sql_path})"


def _copy_at_once(
    connection: DuckDBPyConnection, output: OutputTable, inputs: Sequence[InputTable]
) -> tuple[DataFile, ...]:
    """Writes the model's rows in one statement: of a table that does not come by month."""
    for table in inputs:
        _show(connection, table)
    folder, select = _path(output.location), to_duckdb(output.contract.sql)
    if output.months is None or output.contract.partition is None:
        copied = _copy(connection, output, select, folder / "part-0.parquet")
        return tuple(DataFile(uri) for uri, _ in copied)
    # The model does not know which months are asked for. A missing month is kept for the audit.
    month = f'"{output.contract.partition.column}"'
    asked = f"{month} BETWEEN DATE '{output.months.first}' AND DATE '{output.months.last}'"
    copied = _copy(
        connection,
        output,
        f"SELECT * FROM ({select}) WHERE coalesce({asked}, true)",
        folder,
        f", PARTITION_BY ({month}), WRITE_PARTITION_COLUMNS true, FILENAME_PATTERN 'part-{{uuid}}'",
    )
    return tuple(DataFile(uri, min(months, default=None)) for uri, months in copied)


def _copy_each_month(
    connection: DuckDBPyConnection, output: OutputTable, inputs: Sequence[InputTable]
) -> tuple[DataFile, ...]:
    """Writes month after month, a month a file, as many at a time as there are threads.

    Memory is bounded by the months at hand, not by the table, and no month's rows have to be kept
    apart from the others': at 3M rows this takes a third of the memory of one partitioned
    statement, and at 30M rows it is several times as quick, because nothing spills.
    """
    months = sorted({file.month for table in inputs for file in table.files if file.month})
    found = connection.execute("SELECT current_setting('threads')").fetchone()
    workers = min(len(months), int(found[0]) if found else 1)
    idle: SimpleQueue[DuckDBPyConnection] = SimpleQueue()
    for number in range(workers):
        # A catalog for each, because each sees another month under the same name.
        catalog = f'"{output.contract.name} {number}"'
        cursor = connection.cursor()
        cursor.execute(f"ATTACH ':memory:' AS {catalog}")
        cursor.execute(f"USE {catalog}")
        for table in inputs:
            _show(cursor, table)
        idle.put(cursor)

    def copy(month: date) -> list[DataFile]:
        cursor = idle.get()
        try:
            return _copy_month(cursor, output, inputs, month)
        finally:
            idle.put(cursor)

    with ThreadPoolExecutor(workers) as pool:
        return tuple(file for files in pool.map(copy, months) for file in files)


def _copy_month(
    connection: DuckDBPyConnection, output: OutputTable, inputs: Sequence[InputTable], month: date
) -> list[DataFile]:
    monthly = [table for table in inputs if any(file.month for file in table.files)]
    for table in monthly:
        of_month = tuple(file for file in table.files if file.month == month)
        _show(connection, replace(table, files=of_month))
    target = _path(output.location) / f"{month}.parquet"
    copied = _copy(connection, output, to_duckdb(output.contract.sql), target)
    for _, months in copied:
        if months != {month}:
            others = ", ".join(f"{other:%Y-%m}" for other in sorted(months - {month}))
            raise EngineError(
                f"{_named(output.contract)} gives rows of {others or 'no month'} from its inputs' "
                f"rows of {month:%Y-%m}: let its month be theirs, or take its partition out of the "
                "contract"
            )
    return [DataFile(uri, month) for uri, _ in copied]


def _copy(
    connection: DuckDBPyConnection, output: OutputTable, select: str, target: Path, more: str = ""
) -> list[tuple[str, set[date]]]:
    """Writes the rows of `select`, none of them no file: its URI and the months of its rows."""
    field_ids = ", ".join(f'"{name}": {number}' for name, number in output.field_ids.items())
    files = connection.execute(
        f"COPY ({select}) TO {_quote(target)} (FORMAT parquet, COMPRESSION snappy, "
        f"FIELD_IDS {{{field_ids}}}, RETURN_STATS true{more})"
    ).fetchall()
    return [
        (f"file://{path}", _months_in(output.contract, statistics))
        for path, rows, _, _, statistics, *_ in files
        if rows
    ]


def _months_in(table: Table, statistics: Mapping[str, Mapping[str, str]]) -> set[date]:
    """The months at both ends of a file, which in a file of one month are one."""
    if table.partition is None:
        return set()
    of_month = statistics[f'"{table.partition.column}"']
    return {date.fromisoformat(of_month[end]) for end in ("min", "max") if end in of_month}


def _audit(connection: DuckDBPyConnection, shown: InputTable, seconds: float) -> TableResult:
    started = time.perf_counter()
    found = audit(_DuckDBSql(connection), shown.contract)
    return TableResult(
        table=shown.contract.name,
        files=shown.files,
        row_count=found.row_count,
        byte_count=sum(_path(file.uri).stat().st_size for file in shown.files),
        seconds=seconds + time.perf_counter() - started,
        measures=found.measures,
        checks=found.checks,
    )


@dataclass(frozen=True)
class _DuckDBSql:
    """Implements `engines.audit.Sql`."""

    connection: DuckDBPyConnection

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement, by column."""
        found = self.connection.execute(to_duckdb(sql))
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def keys_differ(self, table: Table) -> bool:
        """All keys differ if their hashes do; equal hashes need a look at the keys.

        Grouping by one number takes two thirds of the time and memory of grouping by the key.
        """
        key = ", ".join(f'"{name}"' for name in table.primary_key)
        found = self.connection.execute(
            f"SELECT count(DISTINCT hash({key})) = count(*) FROM {qualified(table)}"
        ).fetchone()
        return bool(found and found[0])


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _quote(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
