"""The laptop's engine: DuckDB in this process, within a memory limit."""

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
from retail_platform.engines.protocol import (
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
}


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
        with self._backend() as backend:
            return run(backend, request, source)

    def audit(
        self, tables: Sequence[InputTable], references: Sequence[InputTable]
    ) -> list[TableResult]:
        """See `engines.protocol.Engine.audit`."""
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
            listed = ", ".join(_quote(_path(file.uri)) for file in table.files)
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
                return self._write_each_month(output, inputs)
            return self._write_at_once(output)
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

    def _write_at_once(self, output: OutputTable) -> tuple[DataFile, ...]:
        """Writes the model's rows in one statement: of a table that does not come by month."""
        folder, select = _path(output.location), to_duckdb(output.contract.sql)
        if output.months is None or output.contract.partition is None:
            copied = self._copy(output, select, folder / "part-0.parquet")
            return tuple(DataFile(uri) for uri, _ in copied)
        # The model does not know which months are asked for. A missing month is kept for the audit.
        month = f'"{output.contract.partition.column}"'
        asked = f"{month} BETWEEN DATE '{output.months.first}' AND DATE '{output.months.last}'"
        copied = self._copy(
            output,
            f"SELECT * FROM ({select}) WHERE coalesce({asked}, true)",
            folder,
            f", PARTITION_BY ({month}), WRITE_PARTITION_COLUMNS true"
            ", FILENAME_PATTERN 'part-{uuid}'",
        )
        return tuple(DataFile(uri, min(months, default=None)) for uri, months in copied)

    def _write_each_month(
        self, output: OutputTable, inputs: Sequence[InputTable]
    ) -> tuple[DataFile, ...]:
        """Writes month after month, a month a file, as many at a time as there are threads.

        Memory is bounded by the months at hand, not by the table, and no month's rows have to be
        kept apart from the others': 3M rows take half the memory of one partitioned statement, and
        30M rows a seventh of its time, because nothing spills.
        """
        months = sorted({file.month for table in inputs for file in table.files if file.month})
        found = self.connection.execute("SELECT current_setting('threads')").fetchone()
        workers = min(len(months), int(found[0]) if found else 1)
        idle: SimpleQueue[_DuckDB] = SimpleQueue()
        for number in range(workers):
            # A catalog for each, because each sees another month under the same name.
            catalog = f'"{output.contract.name} {number}"'
            worker = _DuckDB(self.connection.cursor())
            worker.connection.execute(f"ATTACH ':memory:' AS {catalog}")
            worker.connection.execute(f"USE {catalog}")
            for table in inputs:
                worker.show(table)
            idle.put(worker)

        def write(month: date) -> list[DataFile]:
            worker = idle.get()
            try:
                return worker._write_month(output, inputs, month)
            finally:
                idle.put(worker)

        with ThreadPoolExecutor(workers) as pool:
            return tuple(file for files in pool.map(write, months) for file in files)

    def _write_month(
        self, output: OutputTable, inputs: Sequence[InputTable], month: date
    ) -> list[DataFile]:
        for table in inputs:
            if any(file.month for file in table.files):
                of_month = tuple(file for file in table.files if file.month == month)
                self.show(replace(table, files=of_month))
        target = _path(output.location) / f"{month}.parquet"
        copied = self._copy(output, to_duckdb(output.contract.sql), target)
        for _, months in copied:
            if months != {month}:
                raise EngineError(misplaced(output.contract, month, months))
        return [DataFile(uri, month) for uri, _ in copied]

    def _copy(
        self, output: OutputTable, select: str, target: Path, more: str = ""
    ) -> list[tuple[str, set[date]]]:
        """Writes the rows of `select`, none of them no file: its URI and the months of its rows."""
        field_ids = ", ".join(f'"{name}": {number}' for name, number in output.field_ids.items())
        files = self.connection.execute(
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


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _quote(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
