"""The laptop's engine: DuckDB in this process, within a memory limit."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from retail_platform.contracts.checks import Check, CheckResult, checks_of, qualified
from retail_platform.contracts.model import Table
from retail_platform.contracts.sql import to_duckdb
from retail_platform.engines.extraction import extract
from retail_platform.engines.protocol import (
    InputTable,
    Measures,
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
_EXAMPLES = 5
_PRIMARY_KEY = "primary_key"  # the check that has a shortcut

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
                _show_inputs(connection, output, written)
                written[output.contract.name] = _write(connection, output, source)
            # Audited after all are written, because a check may read a table that comes later.
            for table in request.references:
                _show(connection, table.contract, table.files)
            for result in written.values():
                _show(connection, result.output.contract, result.whole)
            return [_audit_written(connection, result) for result in written.values()]

    def audit(
        self, tables: Sequence[InputTable], references: Sequence[InputTable]
    ) -> list[TableResult]:
        """See `engines.protocol.Engine.audit`."""
        with self._connection() as connection:
            for table in (*tables, *references):
                _show(connection, table.contract, table.files)
            return [_audit(connection, table.contract, table.files, 0.0) for table in tables]

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
    files: tuple[str, ...]
    seconds: float

    @property
    def whole(self) -> tuple[str, ...]:
        """The files of the whole new version, the months that the run left alone included."""
        return self.files + self.output.retained


def _show_inputs(
    connection: DuckDBPyConnection, output: OutputTable, written: Mapping[str, _Written]
) -> None:
    for table in output.inputs:
        fresh = written.get(table.contract.name)
        if fresh is None:
            files = table.files
        else:
            files = fresh.files if output.contract.partition else fresh.whole
        _show(connection, table.contract, files)


def _audit_written(connection: DuckDBPyConnection, written: _Written) -> TableResult:
    """Audits the new rows alone; other tables' checks see the whole new version."""
    contract = written.output.contract
    _show(connection, contract, written.files)
    result = _audit(connection, contract, written.files, written.seconds)
    _show(connection, contract, written.whole)
    return result


def duckdb_type(type_: str) -> str:
    """A contract's type, or Iceberg's name of it, as DuckDB names it."""
    return _TYPES.get(type_, type_.upper())


def _show(connection: DuckDBPyConnection, table: Table, files: Sequence[str]) -> None:
    """Makes the files readable as `layer.name`, and as `name`."""
    columns = ", ".join(f'"{name}"' for name in table.column_names)
    if files:
        listed = ", ".join(_quote(_path(file)) for file in files)
        rows = (
            f"SELECT {columns} FROM read_parquet([{listed}], "
            "union_by_name = true, hive_partitioning = false)"
        )
    else:
        typed = ", ".join(
            f'CAST(NULL AS {duckdb_type(column.type)}) AS "{column.name}"'
            for column in table.columns
        )
        rows = f"SELECT {typed} WHERE false"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.layer}")
    connection.execute(f"CREATE OR REPLACE VIEW {qualified(table)} AS {rows}")
    connection.execute(f'CREATE OR REPLACE VIEW "{table.name}" AS FROM {qualified(table)}')


def _write(
    connection: DuckDBPyConnection, output: OutputTable, source: RowReader | None
) -> _Written:
    """Writes one table."""
    log.info("writing %s", qualified(output.contract))
    started = time.perf_counter()
    table = output.contract
    _path(output.location).mkdir(parents=True, exist_ok=True)
    try:
        if output.reads is None:
            files = _copy(connection, to_duckdb(table.sql), output)
        else:
            if source is None:
                raise EngineError(f"{table.name} is read from a source, but none was given")
            files = extract(output, source)
    except duckdb.Error as error:
        raise EngineError(
            f"{table.layer}.{table.name} (sql/{table.sql_path}) could not be built: {error}"
        ) from error
    return _Written(output, files, time.perf_counter() - started)


def _copy(connection: DuckDBPyConnection, select: str, output: OutputTable) -> tuple[str, ...]:
    """Writes the rows of `select`; a table without rows has no files."""
    table = output.contract
    folder = _path(output.location)
    field_ids = ", ".join(f'"{name}": {number}' for name, number in output.field_ids.items())
    options = f"FORMAT parquet, COMPRESSION snappy, FIELD_IDS {{{field_ids}}}, RETURN_FILES true"
    if table.partition:
        target = folder
        options += (
            f', PARTITION_BY ("{table.partition.column}"), WRITE_PARTITION_COLUMNS true'
            ", FILENAME_PATTERN 'part-{uuid}'"
        )
    else:
        target = folder / "part-0.parquet"
    found = connection.execute(f"COPY ({select}) TO {_quote(target)} ({options})").fetchone()
    rows, paths = found if found else (0, [])
    return tuple(f"file://{path}" for path in paths) if rows else ()


def _audit(
    connection: DuckDBPyConnection, table: Table, files: Sequence[str], seconds: float
) -> TableResult:
    started = time.perf_counter()
    checks = [check for check in checks_of(table) if check.offenders or check.condition]
    row_count, counts = _count_offenders(connection, table, checks)
    results = [_result(connection, table, check, counts.get(check.name)) for check in checks]
    measures = _measure(connection, table)
    return TableResult(
        table=table.name,
        files=tuple(files),
        row_count=row_count,
        byte_count=sum(_path(file).stat().st_size for file in files),
        seconds=seconds + time.perf_counter() - started,
        measures=measures,
        checks=tuple(results),
    )


def _count_offenders(
    connection: DuckDBPyConnection, table: Table, checks: Sequence[Check]
) -> tuple[int, dict[str, int]]:
    """The rows of the table, and the offenders of all row conditions, in one scan."""
    conditional = [check for check in checks if check.condition]
    counts = ", ".join(["count(*)", *(f"count_if({_condition(check)})" for check in conditional)])
    found = connection.execute(f"SELECT {counts} FROM {qualified(table)}").fetchone()
    row_count, *offending = found if found else (0,)
    return row_count, {
        check.name: count for check, count in zip(conditional, offending, strict=True)
    }


def _condition(check: Check) -> str:
    return to_duckdb(f"SELECT {check.condition}").removeprefix("SELECT ")


def _result(
    connection: DuckDBPyConnection, table: Table, check: Check, counted: int | None
) -> CheckResult:
    if counted == 0 or (check.name == _PRIMARY_KEY and _hashes_differ(connection, table)):
        return check.result(table.name, 0)
    select = check.offenders or f"SELECT * FROM {qualified(table)} WHERE {check.condition}"
    offenders = connection.execute(to_duckdb(select))
    names = [column[0] for column in offenders.description or ()]
    examples = offenders.fetchmany(_EXAMPLES)
    if not examples:
        return check.result(table.name, 0)
    total = counted
    if total is None:
        found = connection.execute(f"SELECT count(*) FROM ({to_duckdb(select)})").fetchone()
        total = found[0] if found else len(examples)
    shown = "; ".join(
        ", ".join(f"{name}={_shorten(value)}" for name, value in zip(names, row, strict=True))
        for row in examples
    )
    detail = f"{total} offending, such as: {shown}"
    return check.result(table.name, total, detail)


def _hashes_differ(connection: DuckDBPyConnection, table: Table) -> bool:
    """Whether all keys differ because their hashes do; equal hashes need a look at the keys.

    Grouping by one number takes two thirds of the time and memory of grouping by the key.
    """
    key = ", ".join(f'"{name}"' for name in table.primary_key)
    found = connection.execute(
        f"SELECT count(DISTINCT hash({key})) = count(*) FROM {qualified(table)}"
    ).fetchone()
    return bool(found and found[0])


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _measure(connection: DuckDBPyConnection, table: Table) -> Measures:
    """The measures of the contract by month."""
    if not table.measures:
        return {}
    month = table.partition.column if table.partition else "NULL"
    aggregates = ", ".join(
        to_duckdb(f"SELECT {sql}").removeprefix("SELECT ") for sql in table.measures.values()
    )
    rows = connection.execute(
        f"SELECT {month}, {aggregates} FROM {qualified(table)} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    # A missing month fails the audit, which shall say so rather than stumble over it here.
    measures = {
        f"{key:%Y-%m}" if key else "": _decimals(table.measures, values) for key, *values in rows
    }
    if not table.partition and not measures:
        return {"": {name: Decimal(0) for name in table.measures}}
    return measures


def _decimals(names: Mapping[str, str], values: Sequence[object]) -> dict[str, Decimal]:
    return {
        name: Decimal(str(value if value is not None else 0))
        for name, value in zip(names, values, strict=True)
    }


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _quote(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
