"""A table as data: what `schema.yml` says beside the table's SQL.

Plain frozen dataclasses, so that an engine run can carry a contract as JSON to where neither
YAML nor pydantic is installed. Reading and validating the files is `contracts.loader`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

VECTOR = "array<float>"
"""The type of a vector of 32-bit numbers, none of them NULL; only trained tables have such."""

COLUMN_TYPES = (
    "int",
    "bigint",
    "double",
    "boolean",
    "string",
    "binary",
    "date",
    "timestamp",
    VECTOR,
)
"""The types of columns, beside `decimal(p,s)`."""


QUARANTINE = "quarantine"
"""The one table without SQL: the rows of monthly source tables that have no usable month."""


class Feed(StrEnum):
    """Where the rows of a raw table come from; each has one feed."""

    SOURCE = "source"
    LANDING = "landing"


class Severity(StrEnum):
    """What a failed check does: `error` stops publication, `warn` is only reported."""

    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: snake_case.
        type: One of `COLUMN_TYPES` (timestamps are UTC, in microseconds) or `decimal(p,s)`.
        description: One sentence for the reader of the catalog.
        nullable: Whether NULL is allowed.
        accepted_values: The only values allowed besides NULL; empty means any.
        min: Smallest allowed value, as an SQL literal without quotes.
        max: Largest allowed value, as an SQL literal without quotes.
    """

    name: str
    type: str
    description: str
    nullable: bool = True
    accepted_values: tuple[str, ...] = ()
    min: str | None = None
    max: str | None = None


@dataclass(frozen=True)
class ForeignKey:
    """Values of `columns`, where none is NULL, exist in the key `to_columns` of `table`."""

    columns: tuple[str, ...]
    table: str
    to_columns: tuple[str, ...]
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class Rule:
    """A business rule.

    Attributes:
        name: Unique within the table.
        description: The rule in a sentence.
        sql: Spark SQL, portable subset, that returns the rows that offend it.
        severity: Whether a row that offends stops publication.
        condition: Where one row shows whether it offends: the condition that is true of it then.
            The loader takes it from `sql`, so that an engine needs no parser.
    """

    name: str
    description: str
    sql: str
    severity: Severity = Severity.ERROR
    condition: str = ""


@dataclass(frozen=True)
class Gate:
    """What a trained model has to reach, or it is not published.

    Attributes:
        name: Unique within the table.
        description: The demand in a sentence.
        protocol: What is asked of it; see `recommender.evaluation`.
        metric: Which figure counts, such as `recall_at_10`.
        at_least: The least that passes.
        times: The method whose same figure `at_least` multiplies; empty where it is the demand.
        severity: Whether a model that falls short is withheld.
    """

    name: str
    description: str
    protocol: str
    metric: str
    at_least: float
    times: str = ""
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class MonthPartition:
    """The table is partitioned by `column`, the first day of the month of `date`."""

    column: str
    date: str


@dataclass(frozen=True)
class Table:
    """The contract of one lake table.

    Attributes:
        layer: `raw`, `star` or `ml`: the folder under `sql/` and the namespace in the lake.
        name: Unique over all layers.
        description: What the table is for.
        grain: What one row is.
        columns: In the order in which they are stored.
        primary_key: Columns that identify a row.
        sql: The model (Spark SQL) or, in `raw`, the extraction query (MySQL dialect).
        trained_from: Set for a table that has no SQL because it is trained: what it is trained
            from, the training set first.
        sql_path: Where `sql` was read from, relative to the folder `sql/`.
        delivered: Set for a table that has no SQL because its rows are what was delivered: the
            folder of deliveries that they come from.
        by_day: Of a delivered table: the date column by whose days it is stored.
        feed: `raw` only: where its rows come from; a setting, not a part of the contract.
        partition: Set for a table that is stored and built by month.
        foreign_keys: References to other tables.
        rules: Business rules.
        gates: What the model behind a trained table has to reach.
        min_rows: Fewer rows than this fail the audit. Of a `raw` table: fewer in the source, in all
            its months, fail the extraction.
        optional: `raw` only: a source without this table gives an empty one.
        measures: Named aggregates (Spark SQL) by which the table is reconciled.
        reconciles_with: The table whose measures of the same names must be equal, month by
            month; `raw` tables reconcile with their source and leave it empty.
        freshness_hours: How old the last materialization may be.
    """

    layer: str
    name: str
    description: str
    grain: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    sql: str = ""
    sql_path: str = ""
    trained_from: tuple[str, ...] = ()
    delivered: str = ""
    by_day: str = ""
    feed: Feed = Feed.SOURCE
    partition: MonthPartition | None = None
    foreign_keys: tuple[ForeignKey, ...] = ()
    rules: tuple[Rule, ...] = ()
    gates: tuple[Gate, ...] = ()
    min_rows: int = 0
    optional: bool = False
    measures: dict[str, str] = field(default_factory=dict)
    reconciles_with: str | None = None
    freshness_hours: float = 36.0

    def is_fresh(self, committed_at: datetime, at: datetime) -> bool:
        """Whether a version is young enough.

        Args:
            committed_at: When it was published, with a zone.
            at: The instant that this is judged for, with a zone.
        """
        return at - committed_at < timedelta(hours=self.freshness_hours)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns' names in stored order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column called `name`; `KeyError` where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
