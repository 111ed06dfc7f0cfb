"""What a reader may trust: how fresh every table is, what its checks found, where its columns are from.

All of it stands in the contracts and in the catalog's snapshots; no data file is read. How it is
shown is the affair of who asks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import dropwhile

from retail_platform.contracts.checks import checks_of
from retail_platform.contracts.lineage import column_lineage
from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import Feed, Severity, Table
from retail_platform.engines.extraction import source_columns
from retail_platform.lake.lake import Lake, Version
from retail_platform.recommender.report import METRICS, PLATFORM, Comparison, Report

MODEL = "product_embeddings"
"""The trained table whose versions tell of the recommender."""


@dataclass(frozen=True)
class CheckOutcome:
    """A check of a table, and what it found of the version that readers see.

    Attributes:
        name: Unique within the table.
        description: The rule in a sentence.
        severity: Whether a failure is an error or a warning.
        failing_rows: How many rows, or months, offended when the version was published; see
            `Version.checks`. None where that is not known: the version is older than the check, or
            nothing is built.
    """

    name: str
    description: str
    severity: Severity
    failing_rows: int | None


@dataclass(frozen=True, order=True)
class Source:
    """A column that another is made from.

    Attributes:
        layer: Of the lake; for a raw table its feed, `source` for the OLTP database or `landing` for
            files.
        table: The table there.
        column: The column there.
    """

    layer: str
    table: str
    column: str


@dataclass(frozen=True)
class TrustedColumn:
    """A column of a table.

    Attributes:
        name: Of the column.
        type: One of the contracts' types.
        description: What is in it.
        sources: What it is made from; empty for constants, and in tables without SQL.
    """

    name: str
    type: str
    description: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class TableTrust:
    """What is known of the version of a table that readers see.

    Attributes:
        layer: Of the lake.
        name: Of the table.
        description: What the table is for.
        snapshot_id: Iceberg's id; None where the table was never built, as in the next three.
        committed_at: When it was published, UTC.
        rows: In the whole table.
        bytes: Size of its data files.
        freshness_hours: How old the version may be.
        fresh: Whether it is younger than that; a table that was never built is not.
        checks: All of its contract's, in the order in which they are shown.
        columns: All of its contract's, in stored order.
    """

    layer: str
    name: str
    description: str
    snapshot_id: int | None
    committed_at: datetime | None
    rows: int | None
    bytes: int | None
    freshness_hours: float
    fresh: bool
    checks: tuple[CheckOutcome, ...]
    columns: tuple[TrustedColumn, ...]


@dataclass(frozen=True)
class TrainedModel:
    """A version of the recommender.

    Attributes:
        version: Equal for equal vectors.
        snapshot_id: Of `MODEL`, the table.
        trained_at: When it was published in the lake, UTC.
        report: What it was made of (method, lines, customers, products), and how it was judged.
    """

    version: str
    snapshot_id: int
    trained_at: datetime
    report: Report


@dataclass(frozen=True)
class Figure:
    """What the published method reached.

    Attributes:
        protocol: What was asked.
        metric: One of `report.METRICS`.
        value: Between 0 and 1.
        before: The same of the model before; None where it was not asked, or there is none.
    """

    protocol: str
    metric: str
    value: float
    before: float | None


@dataclass(frozen=True)
class ModelTrust:
    """The recommender that readers see, against the one before it.

    Attributes:
        newest: The one they see.
        before: The one that was published before it; None where there is none.
        figures: By protocol and metric; empty where nothing could be asked of the newest, which
            `newest.report.unjudged` gives the reason for.
    """

    newest: TrainedModel
    before: TrainedModel | None
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Trust:
    """What a reader may trust.

    Attributes:
        at: The instant that freshness is judged for.
        tables: Every table of the contracts, in their order.
        model: The recommender; None where none was trained.
    """

    at: datetime
    tables: tuple[TableTrust, ...]
    model: ModelTrust | None


def trust(lake: Lake, at: datetime) -> Trust:
    """What a reader may trust of the versions that the lake shows now.

    Args:
        lake: What is read: its catalog, and no data file.
        at: The instant that freshness is judged for, with a time zone.

    Raises:
        LakeError: The catalog cannot be read.
    """
    tables = tuple(
        _table(lake.contracts, table, lake.version(table.name), at)
        for table in lake.contracts.tables.values()
    )
    return Trust(at, tables, _model(lake))


def _table(contracts: Contracts, table: Table, version: Version | None, at: datetime) -> TableTrust:
    found = version.checks if version else {}
    return TableTrust(
        layer=table.layer,
        name=table.name,
        description=table.description,
        snapshot_id=version.snapshot_id if version else None,
        committed_at=version.committed_at if version else None,
        rows=version.row_count if version else None,
        bytes=version.byte_count if version else None,
        freshness_hours=table.freshness_hours,
        fresh=version is not None and table.is_fresh(version.committed_at, at),
        checks=tuple(
            CheckOutcome(check.name, check.description, check.severity, found.get(check.name))
            for check in checks_of(table)
        ),
        columns=_columns(contracts, table),
    )


def _columns(contracts: Contracts, table: Table) -> tuple[TrustedColumn, ...]:
    sources = _sources(contracts, table)
    return tuple(
        TrustedColumn(column.name, column.type, column.description, sources.get(column.name, ()))
        for column in table.columns
    )


def _sources(contracts: Contracts, table: Table) -> dict[str, tuple[Source, ...]]:
    if table.feed is Feed.LANDING:
        return {
            column.name: (Source(table.feed.value, table.name, column.name),)
            for column in source_columns(table)
        }

    def layer(name: str) -> str:
        return table.feed.value if table.layer == "raw" else contracts.table(name).layer

    return {
        column: tuple(
            Source(layer(source.table), source.table, source.column)
            for source in sources
            # Of a table that reads its own last version only what is from elsewhere tells anything.
            if source.table != table.name or table.layer == "raw"
        )
        for column, sources in column_lineage(contracts, table).items()
    }


def _model(lake: Lake) -> ModelTrust | None:
    if MODEL not in lake.contracts.tables:
        return None
    # What was rolled back is newer than what readers see, and not what they shall trust.
    seen = dropwhile(lambda version: not version.current, lake.history(MODEL))
    newest = _trained(next(seen, None))
    if newest is None:
        return None
    before = _trained(next(seen, None))
    return ModelTrust(newest, before, tuple(_figures(newest, before)))


def _trained(version: Version | None) -> TrainedModel | None:
    if version is None or version.report is None:
        return None
    report = version.report
    return TrainedModel(report.model_version, version.snapshot_id, version.committed_at, report)


def _figures(newest: TrainedModel, before: TrainedModel | None) -> Iterator[Figure]:
    earlier = before.report.comparison if before else None
    for result in newest.report.comparison.results if newest.report.comparison else ():
        if result.method != PLATFORM:
            continue
        for metric in METRICS:
            value: float = getattr(result, metric)
            yield Figure(
                result.protocol.value, metric, value, _reached(earlier, result.protocol, metric)
            )


def _reached(comparison: Comparison | None, protocol: str, metric: str) -> float | None:
    result = comparison.result(PLATFORM, protocol) if comparison else None
    value: float | None = getattr(result, metric) if result else None
    return value
