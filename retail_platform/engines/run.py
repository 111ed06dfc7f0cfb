"""A run, the same for every engine: write each table, then audit all of them.

What differs is a `Backend`: how it shows data files as tables, answers SQL, and writes a model.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import pyarrow as pa

from retail_platform.contracts.checks import qualified
from retail_platform.contracts.model import Table
from retail_platform.engines.audit import Sql, audit
from retail_platform.engines.protocol import (
    Audit,
    DataFile,
    InputTable,
    OutputTable,
    RunRequest,
    TableResult,
)
from retail_platform.errors import EngineError
from retail_platform.recommender.report import Report

log = logging.getLogger(__name__)

Extract = Callable[[OutputTable], tuple[DataFile, ...]]
"""Writes a table with `reads` from the source's rows; raises SourceError where it cannot."""


class Backend(Sql, Protocol):
    """An engine at work, for the time of one run."""

    def show(self, table: InputTable) -> None:
        """Makes a table readable as `layer.name`, and as `name`."""

    def write(self, output: OutputTable, inputs: Sequence[InputTable]) -> tuple[DataFile, ...]:
        """Writes the rows of a model, the month of every file being that of all its rows.

        Raises:
            EngineError: The model fails, or does not give what its contract says.
        """

    def arrow(self, sql: str) -> pa.Table:
        """All rows of a statement, which fit into memory."""

    def store(self, output: OutputTable, rows: pa.Table) -> tuple[DataFile, ...]:
        """Writes rows that have the contract's columns, into one file; none of them no file."""

    def byte_count(self, files: Sequence[DataFile]) -> int:
        """The size of data files."""


@dataclass(frozen=True)
class _Written:
    output: OutputTable
    files: tuple[DataFile, ...]
    seconds: float
    report: Report | None = None

    @property
    def fresh(self) -> InputTable:
        """What the run has written."""
        return InputTable(self.output.contract, self.files)

    @property
    def whole(self) -> InputTable:
        """The whole new version, the months that the run left alone included."""
        return InputTable(self.output.contract, self.files + self.output.retained)


def run(backend: Backend, request: RunRequest, extract: Extract | None) -> list[TableResult]:
    """Writes and audits every output; see `engines.protocol.Engine.run`.

    Args:
        backend: The engine.
        request: What to read and to write.
        extract: Writes what is read from the source; None where there is none.
    """
    written: dict[str, _Written] = {}
    trained = [output for output in request.outputs if output.contract.trained_from]
    for output in request.outputs:
        if not output.contract.trained_from:
            written[output.contract.name] = _write(backend, output, written, extract)
        elif output.contract.name not in written:
            written |= _train(backend, trained, written)
    # Audited after all are written, because a check may read a table that comes later.
    for table in request.references:
        backend.show(table)
    for result in written.values():
        backend.show(result.whole)
    return [_audit_written(backend, result) for result in written.values()]


def audit_tables(
    backend: Backend, tables: Sequence[InputTable], references: Sequence[InputTable]
) -> list[Audit]:
    """Audits tables and writes nothing; see `engines.protocol.Auditor.audit`."""
    for table in (*tables, *references):
        backend.show(table)
    return [audit(backend, table.contract) for table in tables]


def named(table: Table) -> str:
    """A table and where its model stands, for messages."""
    return f"{qualified(table)} (sql/{table.sql_path})"


def misplaced(table: Table, months: Iterable[date], others: Iterable[date | None]) -> str:
    """What is wrong with a model that gives other months than those of the rows it reads."""
    given = ", ".join(
        f"{month:%Y-%m}" if month else "no month" for month in sorted(others, key=str)
    )
    return (
        f"{named(table)} gives rows of {given} from its inputs' rows of {min(months):%Y-%m} to "
        f"{max(months):%Y-%m}: let its month be theirs, or take its partition out of the contract"
    )


def not_as_promised(table: Table, wrong: Sequence[str]) -> str:
    """What is wrong with a model whose columns are not those of its contract."""
    return (
        f"{named(table)} does not give what its contract says: {'; '.join(wrong)}; cast every "
        "column to its type, or change the contract"
    )


def _write(
    backend: Backend,
    output: OutputTable,
    written: Mapping[str, _Written],
    extract: Extract | None,
) -> _Written:
    log.info("writing %s", qualified(output.contract))
    started = time.perf_counter()
    if output.reads is None:
        files = backend.write(output, _inputs(output, written))
    elif extract is None:
        raise EngineError(f"{output.contract.name} is read from a source, but none was given")
    else:
        files = extract(output)
    return _Written(output, files, time.perf_counter() - started)


def _train(
    backend: Backend, outputs: Sequence[OutputTable], written: Mapping[str, _Written]
) -> dict[str, _Written]:
    """Writes all trained tables, which one training gives."""
    from retail_platform.engines.training import train_tables

    log.info("training %s", ", ".join(qualified(output.contract) for output in outputs))
    started = time.perf_counter()
    inputs = {table.contract.name: table for table in _inputs(outputs[0], written)}
    for table in inputs.values():
        backend.show(table)
    trained = train_tables(backend.arrow, inputs[outputs[0].contract.trained_from[0]].contract)
    files = {o.contract.name: backend.store(o, trained.tables[o.contract.name]) for o in outputs}
    seconds = time.perf_counter() - started
    return {
        output.contract.name: _Written(
            output, files[output.contract.name], seconds / len(outputs), trained.report
        )
        for output in outputs
    }


def _inputs(output: OutputTable, written: Mapping[str, _Written]) -> list[InputTable]:
    """What the model reads, the tables that this run has written before it as written."""
    inputs = []
    for table in output.inputs:
        result = written.get(table.contract.name)
        if result is None:
            inputs.append(table)
        else:
            inputs.append(result.fresh if output.contract.partition else result.whole)
    return inputs


def _audit_written(backend: Backend, written: _Written) -> TableResult:
    """Audits the new rows alone; other tables' checks see the whole new version."""
    started = time.perf_counter()
    table = written.fresh
    backend.show(table)
    found = audit(backend, table.contract)
    result = TableResult(
        table=found.table,
        files=table.files,
        row_count=found.row_count,
        byte_count=backend.byte_count(table.files),
        seconds=written.seconds + time.perf_counter() - started,
        measures=found.measures,
        checks=found.checks,
        report=written.report,
    )
    backend.show(written.whole)
    return result
