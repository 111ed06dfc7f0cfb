"""The laptop's engine: DuckDB in this process, within a memory limit."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection

from retail_platform.contracts.checks import qualified
from retail_platform.contracts.model import VECTOR, Table
from retail_platform.contracts.sql import to_duckdb
from retail_platform.engines.extraction import extract
from retail_platform.engines.parquet import write_parquet
from retail_platform.engines.protocol import (
    Audit,
    DataFile,
    InputTable,
    OutputTable,
    RowReader,
    RunRequest,
    TableResult,
)
from retail_platform.engines.run import audit_tables, misplaced, named, not_as_promised, run
from retail_platform.errors import EngineError

_TYPES = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "binary": "BLOB",
    "timestamp": "TIMESTAMPTZ",
    "long": "BIGINT",
    VECTOR: "FLOAT[]",
    "list<float>": "FLOAT[]",
}

_SMALL_BYTES = 8 * 1024**2
"""Monthly inputs, as stored, up to which one statement for all months is quicker than one for each."""


@dataclass(frozen=True)
class DuckDBEngine:
    """Runs models in DuckDB.

    Attributes:
        memory_limit: What DuckDB may hold before it spills, such as `1GB`.
        spill_folder: Where it spills.
    """

    source_connections: ClassVar[int] = 1

    memory_limit: str
    spill_folder: Path

    def run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        """See `engines.protocol.Engine.run`."""
        with self._backend() as backend:
            return run(backend, request, partial(extract, source=source) if source else None)

    def audit(self, tables: Sequence[InputTable], references: Sequence[InputTable]) -> list[Audit]:
        """See `engines.protocol.Auditor.audit`."""
        with self._backend() as backend:
            return audit_tables(backend, tables, references)

    @contextmanager
    def _backend(self) -> "Iterator[_DuckDB]":
        connection = duckdb.connect(
            config={
                "memory_limit": self.memory_limit,
                "temp_directory": str(self.spill_folder),
                # Tables have no order, and keeping one costs memory.
                "preserve_insertion_order": "false",
            }
        )
        try:
            # The day of an instant is that of UTC, wherever the laptop is.
            connection.execute("SET TimeZone = 'UTC'")
            yield _DuckDB(connection)
        except duckdb.Error as error:
            raise EngineError(f"DuckDB: {error}") from error
        finally:
            connection.close()


def duckdb_type(type_: str) -> str:
    """A contract's type, or Iceberg's name of it, as DuckDB names it."""
    return _TYPES.get(type_, type_.upper().replace(" ", ""))


@dataclass(frozen=True)
class _DuckDB:
    """Implements `engines.run.Backend`."""

    connection: DuckDBPyConnection

    def show(self, table: InputTable) -> None:
        """Makes a table readable as `layer.name`, and as `name`."""
        contract = table.contract
        columns = ", ".join(
            f'CAST(NULL AS {duckdb_type(column.type)}) AS "{column.name}"'
            if column.name in table.absent or not table.files
            else f'"{column.name}"'
            for column in contract.columns
        )
        if table.files:
            listed = ", ".join(quoted(_path(file.uri)) for file in table.files)
            rows = f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false)"
        else:
            rows = f"SELECT {columns} WHERE false"
        view = qualified(contract)
        self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {contract.layer}")
        self.connection.execute(f"CREATE OR REPLACE VIEW {view} AS {rows}")
        self.connection.execute(f'CREATE OR REPLACE VIEW "{contract.name}" AS FROM {view}')

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement, by column."""
        found = self.connection.execute(to_duckdb(sql))
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def arrow(self, sql: str) -> pa.Table:
        """All rows of a statement."""
        rows: pa.Table = self.connection.sql(to_duckdb(sql)).to_arrow_table()
        return rows

    def store(self, output: OutputTable, rows: pa.Table) -> tuple[DataFile, ...]:
        """Writes rows into one file."""
        if not len(rows):
            return ()
        path = _path(output.location) / "part-0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(rows, output, path)
        return (DataFile(f"file://{path}"),)

    def keys_differ(self, table: Table) -> bool:
        """All keys differ if their hashes do; equal hashes need a look at the keys.

        Grouping by one number takes two thirds of the time and memory of grouping by the key.
        """
        key = ", ".join(f'"{name}"' for name in table.primary_key)
        found = self.connection.execute(
            f"SELECT count(DISTINCT hash({key})) = count(*) FROM {qualified(table)}"
        ).fetchone()
        return bool(found and found[0])

    def byte_count(self, files: Sequence[DataFile]) -> int:
        """The size of data files."""
        return sum(_path(file.uri).stat().st_size for file in files)

    def write(self, output: OutputTable, inputs: Sequence[InputTable]) -> tuple[DataFile, ...]:
        """Writes the rows of a model."""
        _path(output.location).mkdir(parents=True, exist_ok=True)
        try:
            for table in inputs:
                self.show(table)
            self._require_types(output.contract)
            if output.contract.partition and any(f.month for read in inputs for f in read.files):
                return tuple(self._write_by_month(output, inputs))
            return tuple(self._write_at_once(output))
        except duckdb.Error as error:
            raise EngineError(f"{named(output.contract)} could not be built: {error}") from error

    def _require_types(self, table: Table) -> None:
        """Refuses a model whose columns are not of the contract's types, before it runs."""
        described = self.connection.execute(f"DESCRIBE {to_duckdb(table.sql)}").fetchall()
        given = {name: str(kind).replace(" WITH TIME ZONE", "TZ") for name, kind, *_ in described}
        wrong = [
            f"{column.name} is {given.get(column.name, 'missing').lower()} and not {column.type}"
            for column in table.columns
            if given.get(column.name) != duckdb_type(column.type)
        ]
        wrong += [
            f"{name} is not in the contract" for name in given if name not in table.column_names
        ]
        if wrong:
            raise EngineError(not_as_promised(table, wrong))

    def _write_at_once(self, output: OutputTable) -> list[DataFile]:
        """Writes the model's rows in one statement: of a table that does not come by month."""
        select = to_duckdb(output.contract.sql)
        if output.months is None or output.contract.partition is None:
            return self._copy(output, select)
        # The model does not know which months are asked for. A missing month is kept for the audit.
        month = f'"{output.contract.partition.column}"'
        asked = f"{month} BETWEEN DATE '{output.months.first}' AND DATE '{output.months.last}'"
        return self._copy(output, f"SELECT * FROM ({select}) WHERE coalesce({asked}, true)", None)

    def _write_by_month(self, output: OutputTable, inputs: Sequence[InputTable]) -> list[DataFile]:
        """Writes one month after the other, as many at a time as there are threads.

        Memory is bounded by the months at hand, not by the table: 3M rows take half the memory of
        one statement, and 30M rows a seventh of its time, because nothing spills.
        """
        batches = _batches(inputs)
        found = self.connection.execute("SELECT current_setting('threads')").fetchone()
        workers = min(len(batches), int(found[0]) if found else 1)
        idle: SimpleQueue[_DuckDB] = SimpleQueue()
        for number in range(workers):
            # A catalog for each, because each sees other months under the same name.
            catalog = f'"{output.contract.name} {number}"'
            worker = _DuckDB(self.connection.cursor())
            worker.connection.execute(f"ATTACH ':memory:' AS {catalog}")
            worker.connection.execute(f"USE {catalog}")
            for table in inputs:
                if not any(file.month for file in table.files):
                    worker.show(table)
            idle.put(worker)

        def write(months: frozenset[date]) -> list[DataFile]:
            worker = idle.get()
            try:
                return worker._write_months(output, inputs, months)
            finally:
                idle.put(worker)

        with ThreadPoolExecutor(workers) as pool:
            return [file for files in pool.map(write, batches) for file in files]

    def _write_months(
        self, output: OutputTable, inputs: Sequence[InputTable], months: frozenset[date]
    ) -> list[DataFile]:
        for table in inputs:
            if any(file.month for file in table.files):
                of_months = tuple(file for file in table.files if file.month in months)
                self.show(replace(table, files=of_months))
        name = f"{min(months)}.parquet" if len(months) == 1 else None
        files = self._copy(output, to_duckdb(output.contract.sql), name)
        if others := {file.month for file in files} - months:
            raise EngineError(misplaced(output.contract, months, others))
        return files

    def _copy(
        self, output: OutputTable, select: str, name: str | None = "part-0.parquet"
    ) -> list[DataFile]:
        """Writes the rows of `select`, none of them no file.

        Args:
            output: Where to, and by which field ids.
            select: DuckDB's SQL.
            name: Of the one file, which is quicker; None makes a file for each month.
        """
        folder, partition = _path(output.location), output.contract.partition
        field_ids = ", ".join(f'"{name}": {number}' for name, number in output.field_ids.items())
        options = (
            f"FORMAT parquet, COMPRESSION snappy, FIELD_IDS {{{field_ids}}}, RETURN_STATS true"
        )
        target = folder / name if name else folder
        if partition and name is None:
            options += (
                f', PARTITION_BY ("{partition.column}"), WRITE_PARTITION_COLUMNS true'
                ", OVERWRITE_OR_IGNORE true, FILENAME_PATTERN 'part-{uuid}'"
            )
        files = self.connection.execute(
            f"COPY ({select}) TO {quoted(target)} ({options})"
        ).fetchall()
        return [
            DataFile(f"file://{path}", month)
            for path, rows, _, _, statistics, *_ in files
            for month in _months_of(output.contract, statistics)
            if rows
        ]


def _batches(inputs: Sequence[InputTable]) -> list[frozenset[date]]:
    """Which months are written by one statement: all of a small table, each of a large one."""
    monthly = [file for table in inputs for file in table.files if file.month]
    months = sorted({file.month for file in monthly if file.month})
    if sum(_path(file.uri).stat().st_size for file in monthly) <= _SMALL_BYTES:
        return [frozenset(months)]
    return [frozenset([month]) for month in months]


def _months_of(table: Table, statistics: Mapping[str, Mapping[str, str]]) -> set[date | None]:
    """The months at both ends of a file, which in a file of one month are one; or no month."""
    if table.partition is None:
        return {None}
    of_month = statistics[f'"{table.partition.column}"']
    ends = [of_month.get(end) for end in ("min", "max")]
    return {date.fromisoformat(end) if end else None for end in ends}


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def quoted(value: object) -> str:
    """A text as a literal of SQL."""
    return "'" + str(value).replace("'", "''") + "'"
