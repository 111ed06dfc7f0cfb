"""What an engine is asked and what it answers: plain data, so that it can travel as JSON.

An engine turns data files into data files. It knows no catalog: the request names the exact files
of pinned snapshots, and the answer names the files that were written, which become visible only
when the lake commits them.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Protocol

import pyarrow as pa

from retail_platform.contracts.checks import CheckResult
from retail_platform.contracts.model import Table
from retail_platform.contracts.months import MonthRange
from retail_platform.recommender.report import Report

Measures = dict[str, dict[str, Decimal]]
"""Named aggregates by month (`2004-01`), or under `""` for a table that is not monthly."""


@dataclass(frozen=True, order=True)
class DataFile:
    """One Parquet file.

    Attributes:
        uri: Where it is.
        month: The first day of the month of all its rows, or in a table of deliveries their day;
            None in a table that is stored as a whole.
    """

    uri: str
    month: date | None = None


@dataclass(frozen=True)
class InputTable:
    """A table as an engine reads it.

    Attributes:
        contract: Its columns.
        files: The data files of one snapshot, or of some of its months.
        absent: Columns that the contract has gained, or holds in another type, since the files
            were written: read as NULL, as Iceberg has it.
        snapshot_id: The published snapshot that the files are of, for who reads by the catalog.
    """

    contract: Table
    files: tuple[DataFile, ...]
    absent: frozenset[str] = frozenset()
    snapshot_id: int | None = None


@dataclass(frozen=True)
class SourceRead:
    """One statement that the source database answers.

    Attributes:
        contract: The raw table whose rows it gives; its columns but the month, and for the
            quarantine also the reason.
        sql: In the source's own dialect.
    """

    contract: Table
    sql: str


@dataclass(frozen=True)
class OutputTable:
    """A table to be written.

    Attributes:
        contract: Its columns, checks and measures; `contract.sql` is the model. A trained table has
            none, and all trained tables of a request come of one training.
        location: A fresh, empty folder (URI) for its data files.
        field_ids: The Iceberg field id of every column, and of a vector's numbers under
            `name.element`.
        months: The months that are replaced; None where the table is not monthly.
        inputs: What the model reads: exact files of pinned snapshots, pruned to the run's months
            where both the input and this table are monthly. Of a trained table also what its
            training set reads, which is asked for earlier days. The rows of a month are made from its
            monthly inputs' rows of that month, so an engine may take one month after the other. A
            table that the same run writes before this one is read as written; its own name means
            its last version.
        retained: The data files of the last version that stay beside the new ones.
        reads: Where set, the rows come from the source by these statements and not from the
            model; an empty tuple gives an empty table.
    """

    contract: Table
    location: str
    field_ids: Mapping[str, int]
    months: MonthRange | None = None
    inputs: tuple[InputTable, ...] = ()
    retained: tuple[DataFile, ...] = ()
    reads: tuple[SourceRead, ...] | None = None


@dataclass(frozen=True)
class RunRequest:
    """One engine run.

    Attributes:
        outputs: The tables to write, in their order.
        references: Whole tables that the checks compare with and that the run does not write.
    """

    outputs: tuple[OutputTable, ...]
    references: tuple[InputTable, ...] = ()


@dataclass(frozen=True)
class TableResult:
    """What became of one table.

    Attributes:
        table: Its name.
        files: The data files; none for an empty table.
        row_count: Rows in them.
        byte_count: Their size in bytes.
        seconds: Time spent on writing and auditing the table.
        measures: The contract's measures, of the rows in `files`.
        checks: Outcomes of the contract's checks on those rows.
        origin: What an engine elsewhere tells of its run, for the catalog.
        report: What is known of the training of a trained table.
    """

    table: str
    files: tuple[DataFile, ...]
    row_count: int
    byte_count: int
    seconds: float
    measures: Measures
    checks: tuple[CheckResult, ...]
    origin: Mapping[str, str] = field(default_factory=dict)
    report: Report | None = None


class RowReader(Protocol):
    """Answers a statement with a stream of rows: the source, as an engine sees it."""

    def stream(
        self, sql: str, table: str, schema: pa.Schema | None = None
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        """The rows that `sql` gives, batch by batch.

        Args:
            sql: In the source's own dialect.
            table: What is being read, for messages.
            schema: Names and types to which the rows are cast, without loss; None for as they come.
        """


@dataclass(frozen=True)
class Audit:
    """What was found of a table.

    Attributes:
        table: Its name.
        row_count: Its rows.
        measures: The contract's measures by month.
        checks: Outcomes of the contract's checks that look at the table.
    """

    table: str
    row_count: int
    measures: Measures
    checks: tuple[CheckResult, ...]


class Auditor(Protocol):
    """Checks tables that are published."""

    def audit(self, tables: Sequence[InputTable], references: Sequence[InputTable]) -> list[Audit]:
        """Runs the checks of all `tables` on their rows and writes nothing.

        Args:
            tables: What to check.
            references: Other tables that the checks compare with.
        """


class Engine(Protocol):
    """Runs SQL over data files."""

    @property
    def source_connections(self) -> int:
        """How many statements it can ask of the source at once."""

    def run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        """Writes and audits every output of the request.

        Args:
            request: What to read and to write.
            source: Needed where an output is read from the source.

        Raises:
            SourceError: The source could not be read.
            EngineError: A model failed.
            TrainingError: There is nothing to train from.
        """
