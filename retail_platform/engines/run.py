"""A run, the same for every engine: write each table, then audit all of them.

What differs is a `Backend`: how it shows data files as tables, answers SQL, and writes a model.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

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

    def byte_count(self, files: Sequence[DataFile]) -> int:
        """The size of data files."""


@dataclass(frozen=True)
class _Written:
    output: OutputTable
    files: tuple[DataFile, ...]
    seconds: float

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
    for output in request.outputs:
        written[output.contract.name] = _write(backend, output, written, extract)
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
    )
    backend.show(written.whole)
    return result
