"""The lake: published snapshots of tables, and how a new one replaces the last."""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchIcebergTableError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThanOrEqual, Reference
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot

from retail_platform.contracts.loader import LAYERS, Contracts
from retail_platform.contracts.model import Table
from retail_platform.contracts.months import MonthRange, parse_month
from retail_platform.engines.as_json import dump, load_if_known
from retail_platform.engines.parquet import arrow_type
from retail_platform.engines.protocol import DataFile, Measures
from retail_platform.errors import ConfigurationError, LakeError
from retail_platform.lake.iceberg import (
    create_with_snapshot,
    forget_snapshots,
    live_files,
    overwrite,
    readable_since,
)
from retail_platform.lake.schema import SchemaPlan, plan_schema
from retail_platform.lake.storage import Storage
from retail_platform.recommender.report import Report

_MEASURES = "retail.measures"
_SOURCE_TOTALS = "retail.source-totals"
_SOURCE_MOVED = "retail.source-moved"
_INPUTS = "retail.inputs"
_REPORT = "retail.training"
_BATCH = "retail.batch"
_CHECKS = "retail.checks"
_COMMIT_ATTEMPTS = 12

_T = TypeVar("_T")


@dataclass(frozen=True)
class Version:
    """One published snapshot of a table.

    Attributes:
        table: The table's name.
        snapshot_id: Iceberg's id.
        committed_at: UTC.
        row_count: Rows in the whole table.
        byte_count: Size of its data files in bytes.
        file_count: Number of its data files.
        measures: The contract's measures by month, of the whole table.
        source_totals: `raw` only: the source's own measures at the time of the read.
        source_moved: Whether the source kept changing while it was read.
        inputs: The snapshot id of every table that it was built from.
        report: What is known of the training of a trained table.
        batch: Which deliveries its newest rows came from.
        checks: How many rows, or months, offended each of the table's checks when it was published,
            by the check's name. Those of single rows looked at the rows that the publication wrote,
            not at months or days that it left as they were. Empty where nothing was checked.
        current: Whether readers see it.
    """

    table: str
    snapshot_id: int
    committed_at: datetime
    row_count: int
    byte_count: int
    file_count: int
    measures: Measures
    source_totals: Measures
    source_moved: bool
    inputs: dict[str, int]
    report: Report | None = None
    batch: str = ""
    checks: Mapping[str, int] = field(default_factory=dict)
    current: bool = True


@dataclass(frozen=True)
class Publication:
    """What one commit puts into the place of a table's rows, or of some of its months.

    Attributes:
        table: The contract.
        plan: The schema that the data files were written with.
        files: The data files.
        months: The months that are replaced; None for the whole table.
        measures: The measures of `files`.
        inputs: The snapshot id of every table that they were built from.
        source_totals: `raw` only: the source's own measures.
        source_moved: Whether the source kept changing while it was read.
        report: What is known of the training of a trained table.
        batch: Which deliveries the rows came from.
        merged: Of a delivered table: the files that are in `files` too, and are replaced; all others
            stay.
        checks: The failing rows of each check that `files` were judged by, by its name.
    """

    table: Table
    plan: SchemaPlan
    files: tuple[DataFile, ...]
    months: MonthRange | None
    measures: Measures
    inputs: dict[str, int]
    source_totals: Measures | None = None
    source_moved: bool = False
    report: Report | None = None
    batch: str = ""
    merged: frozenset[str] | None = None
    checks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Vacuumed:
    """What a vacuum removed."""

    snapshots: int
    files: int
    bytes: int


class Lake:
    """Iceberg tables in a storage, which has their catalog too."""

    def __init__(self, storage: Storage, contracts: Contracts) -> None:
        """Nothing is read or written until the lake is used.

        Args:
            storage: Where the catalog, metadata and data files are.
            contracts: The tables that may be in the lake.
        """
        self.storage = storage
        self.contracts = contracts
        self._loaded: dict[str, IcebergTable | None] | None = None

    def _load(self, table: Table) -> IcebergTable | None:
        """A table as it is now; the only writer need not ask for it again until it commits."""
        if self._loaded is None:
            return self._load_anew(table)
        if table.name not in self._loaded:
            self._loaded[table.name] = self._load_anew(table)
        return self._loaded[table.name]

    def _load_anew(self, table: Table) -> IcebergTable | None:
        with self.storage.reading(table.name):
            try:
                return self.storage.catalog.load_table(self._identifier(table))
            except NoSuchIcebergTableError:
                raise  # a table of another kind is no missing one
            except NoSuchTableError:
                return None

    def _existing(self, name: str) -> IcebergTable:
        iceberg = self._load(self.contracts.table(name))
        if iceberg is None:
            raise LakeError(f"{name} was never built: run `retail build {name}` first")
        return iceberg

    def _identifier(self, table: Table) -> tuple[str, str]:
        return self.storage.namespace(table.layer), table.name

    # Reading

    def version(self, name: str, as_of: datetime | None = None) -> Version | None:
        """The version of a table that readers see, or saw at `as_of`; None before the first.

        Raises:
            ConfigurationError: What they saw at `as_of` was nothing yet, or is forgotten.
        """
        table = self.contracts.table(name)
        iceberg = self._load(table)
        snapshot = _snapshot(iceberg, as_of) if iceberg else None
        return _version(table, snapshot, current=True) if snapshot else None

    def months(self, name: str) -> set[date]:
        """The months of which a monthly table has rows, each as its first day."""
        return {file.month for file in self.files(name) if file.month}

    def published(self) -> dict[str, str]:
        """The layer of every table that is in the lake, by the table's name."""
        storage, known = self.storage, self.contracts.tables
        with storage.reading("the lake"):
            return {
                name: layer
                for layer in LAYERS
                for _, name in storage.catalog.list_tables(storage.namespace(layer))
                if name in known
            }

    def history(self, name: str) -> list[Version]:
        """Every version that is still readable, the newest first."""
        table = self.contracts.table(name)
        iceberg = self._load(table)
        if iceberg is None:
            return []
        current = iceberg.current_snapshot()
        return [
            _version(table, snapshot, current=snapshot == current)
            for snapshot in sorted(
                iceberg.snapshots(), key=lambda s: (s.timestamp_ms, s.sequence_number or 0)
            )[::-1]
        ]

    def files(
        self,
        name: str,
        months: MonthRange | None = None,
        snapshot_id: int | None = None,
    ) -> tuple[DataFile, ...]:
        """The data files of a table, or of some of its months; none before its first build."""
        table = self.contracts.table(name)
        iceberg = self._load(table)
        if iceberg is None:
            return ()
        if snapshot_id is None:
            snapshot = iceberg.current_snapshot()
        else:
            snapshot = iceberg.snapshot_by_id(snapshot_id)
        if snapshot is None:
            return ()
        with self.storage.reading(name):
            files = [
                DataFile(file.file_path, _month_of(iceberg, file))
                for file in live_files(iceberg, snapshot)
            ]
        return tuple(sorted(file for file in files if _is_within(file.month, months)))

    def rows(
        self, name: str, snapshot_id: int | None = None, columns: Sequence[str] = ("*",)
    ) -> pa.Table:
        """All rows of a table, as of a snapshot, or some of their columns; they have to fit into memory.

        Raises:
            LakeError: It was never built.
        """
        iceberg = self._existing(name)
        with self.storage.reading(name):
            return iceberg.scan(snapshot_id=snapshot_id, selected_fields=tuple(columns)).to_arrow()

    def sizes(self, name: str, days: Set[date]) -> list[tuple[DataFile, int]]:
        """The data files of some days of a delivered table, each with its bytes."""
        table = self.contracts.table(name)
        iceberg = self._load(table)
        snapshot = iceberg.current_snapshot() if iceberg else None
        if iceberg is None or snapshot is None:
            return []
        with self.storage.reading(name):
            return [
                (DataFile(file.file_path, day), file.file_size_in_bytes)
                for file in live_files(iceberg, snapshot)
                if (day := _month_of(iceberg, file)) in days
            ]

    def of_days(self, name: str, columns: Sequence[str], since: date, to: date) -> pa.Table:
        """Columns of a delivered table, of some days; they have to fit into memory."""
        table = self.contracts.table(name)
        iceberg = self._load(table)
        if iceberg is None:
            schema = [(c, arrow_type(table.column(c).type)) for c in columns]
            return pa.schema(schema).empty_table()
        days = f"{table.by_day} >= '{since}' AND {table.by_day} <= '{to}'"
        with self.storage.reading(name):
            return iceberg.scan(row_filter=days, selected_fields=tuple(columns)).to_arrow()

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """All rows of a table, a part at a time in memory.

        Raises:
            LakeError: It was never built.
        """
        iceberg = self._existing(name)
        with self.storage.reading(name):
            yield from iceberg.scan().to_arrow_batch_reader()

    def between(self, name: str, column: str, values: "pa.Array[Any]") -> Iterator[pa.RecordBatch]:
        """Rows of a table, those among them whose `column` is from the least to the greatest of values.

        What a file's own statistics rule out is not read; of the rest a part at a time is in memory.
        """
        table = self.contracts.table(name)
        iceberg = self._load(table)
        if iceberg is None or iceberg.current_snapshot() is None or not len(values):
            return
        least, greatest = pc.min(values).as_py(), pc.max(values).as_py()
        with self.storage.reading(name):
            yield from iceberg.scan(
                row_filter=And(
                    GreaterThanOrEqual(term=Reference(column), value=least),
                    LessThanOrEqual(term=Reference(column), value=greatest),
                )
            ).to_arrow_batch_reader()

    def columns(self, name: str, snapshot_id: int | None = None) -> list[tuple[str, str]]:
        """Names and Iceberg types of the columns, as of a snapshot."""
        table = self.contracts.table(name)
        iceberg = self._load(table)
        if iceberg is None:
            return []
        schema = iceberg.scan(snapshot_id=snapshot_id).projection()
        return [(field.name, str(field.field_type)) for field in schema.fields]

    # Writing

    def plan(self, table: Table) -> SchemaPlan:
        """The schema in which the next version of `table` has to be written."""
        iceberg = self._load(table)
        if iceberg is None:
            return plan_schema(table, None)
        return plan_schema(table, iceberg.schema(), iceberg.metadata.last_column_id, iceberg.spec())

    def location(self, table: Table) -> str:
        """The folder (URI) of a table."""
        return f"{self.storage.warehouse}/{table.layer}/{table.name}"

    def new_location(self, table: Table) -> str:
        """A fresh folder (URI) for the data files of one run; it is not created."""
        return f"{self.location(table)}/data/{uuid.uuid4().hex}"

    def publish(self, publication: Publication) -> Version:
        """Makes the new version visible, in one Iceberg snapshot.

        Raises:
            LakeError: The commit failed; readers still see the last version.
        """
        return self._committed(publication.table, lambda: self._publish(publication))

    def _committed(self, table: Table, commit: Callable[[], _T]) -> _T:
        """Tries a commit again, from a fresh load, for as long as other writers come first."""
        for attempt in range(1, _COMMIT_ATTEMPTS + 1):
            self.storage.require_held()
            self._forget_loaded(table)
            try:
                with self.storage.publishing(table.name):
                    return commit()
            except (CommitFailedException, TableAlreadyExistsError, ValidationException) as error:
                # Another writer came first: its version is the one to replace now.
                if attempt == _COMMIT_ATTEMPTS:
                    raise LakeError(
                        f"{table.name} could not be published: other writers came "
                        f"first {attempt} times ({error}); build it again"
                    ) from error
                time.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311  (only apart)
            finally:
                self._forget_loaded(table)
        raise AssertionError("unreachable")

    def _forget_loaded(self, table: Table) -> None:
        if self._loaded is not None:
            self._loaded.pop(table.name, None)

    def _publish(self, publication: Publication) -> Version:
        table = publication.table
        iceberg = self._load(table)
        uris = [file.uri for file in publication.files]
        properties = _properties(publication, self._retained(publication))
        if iceberg is None:
            iceberg = create_with_snapshot(
                self.storage.catalog,
                self._identifier(table),
                self.location(table),
                publication.plan,
                uris,
                properties,
            )
        else:
            old = iceberg.current_snapshot()
            live = list(live_files(iceberg, old)) if old else []
            if old and not {file.file_path for file in live}.isdisjoint(uris):
                # Files are written for one publication: this is it, only its answer was lost.
                return _version(table, old, current=True)
            replaced = [
                file
                for file in live
                if (
                    _is_within(_month_of(iceberg, file), publication.months)
                    if publication.merged is None
                    else file.file_path in publication.merged
                )
            ]
            iceberg = overwrite(iceberg, publication.plan, uris, replaced, properties)
        snapshot = iceberg.current_snapshot()
        assert snapshot is not None  # noqa: S101  (just committed)
        return _version(table, snapshot, current=True)

    def _retained(self, publication: Publication) -> Measures:
        """The measures of the months that the publication leaves as they are."""
        months = publication.months
        version = self.version(publication.table.name)
        if months is None or version is None:
            return {}
        return {
            key: value for key, value in version.measures.items() if parse_month(key) not in months
        }

    def rollback(self, name: str, snapshot_id: int) -> Version:
        """Shows readers an earlier version of a table again.

        Raises:
            ConfigurationError: The table has no such snapshot; the message lists those it has.
        """
        with self.exclusively():
            return self.restore(name, snapshot_id)

    def restore(self, name: str, snapshot_id: int) -> Version:
        """The same for who is the only writer already."""
        table = self.contracts.table(name)
        self._require_restorable(table, snapshot_id)
        return self._committed(table, lambda: self._rollback(table, snapshot_id))

    def _require_restorable(self, table: Table, snapshot_id: int) -> None:
        known = [version.snapshot_id for version in self.history(table.name)]
        if snapshot_id not in known:
            listed = ", ".join(str(known_id) for known_id in known) or "none"
            raise ConfigurationError(
                f"{table.name} has no snapshot {snapshot_id}; it has {listed} "
                f"(see `retail history {table.name}`)"
            )
        iceberg = self._load(table)
        assert iceberg  # noqa: S101  (it has a history)
        snapshot = iceberg.snapshot_by_id(snapshot_id)
        assert snapshot  # noqa: S101  (listed in it)
        schema_id = snapshot.schema_id
        if schema_id is not None and schema_id != iceberg.schema().schema_id:
            raise ConfigurationError(
                f"snapshot {snapshot_id} of {table.name} has other columns than its contract; "
                f"read it with `retail query --as-of`, or restore the contract and build"
            )

    def _rollback(self, table: Table, snapshot_id: int) -> Version:
        iceberg = self.storage.catalog.load_table(self._identifier(table))
        with iceberg.manage_snapshots() as manage:
            manage.set_current_snapshot(snapshot_id=snapshot_id)
        snapshot = iceberg.current_snapshot()
        assert snapshot is not None  # noqa: S101  (just set)
        return _version(table, snapshot, current=True)

    # Care

    def vacuum(self, keep: timedelta, grace: timedelta) -> Vacuumed:
        """Forgets old snapshots and deletes files that no readable snapshot names.

        Args:
            keep: Snapshots younger than this stay readable; the current one always does.
            grace: Files younger than this stay, because a running build may be about to name them.
        """
        now = datetime.now(UTC)
        with self.exclusively():
            swept = [
                self._vacuum(table, now - keep, now - grace)
                for table in self.contracts.tables.values()
            ]
        return Vacuumed(
            snapshots=sum(one.snapshots for one in swept),
            files=sum(one.files for one in swept),
            bytes=sum(one.bytes for one in swept),
        )

    def _vacuum(self, table: Table, forget_before: datetime, delete_before: datetime) -> Vacuumed:
        iceberg = self._load(table)
        folder = self.storage.canonical(self.location(table))
        if iceberg and self.storage.canonical(iceberg.location()) != folder:
            raise LakeError(
                f"the files of {table.name} are not in {folder.removeprefix('file://')} but at "
                f"{iceberg.location()}: nothing of it was deleted; vacuum from where the lake was "
                "built"
            )
        forgotten = self._committed(table, lambda: self._forget(table, forget_before))
        named = self._named_files(table)
        old = [
            file
            for file in self.storage.files(folder)
            if file.uri not in named and file.modified < delete_before
        ]
        self.storage.delete([file.uri for file in old])
        return Vacuumed(forgotten, len(old), sum(file.size for file in old))

    def _forget(self, table: Table, before: datetime) -> int:
        iceberg = self._load(table)
        return forget_snapshots(iceberg, before) if iceberg else 0

    def _named_files(self, table: Table) -> set[str]:
        """Every file that a readable snapshot, or the table's own metadata, needs."""
        iceberg = self._load(table)
        if iceberg is None:
            return set()
        with self.storage.reading(table.name):
            named = {iceberg.metadata_location}
            named |= {entry.metadata_file for entry in iceberg.metadata.metadata_log}
            for snapshot in iceberg.snapshots():
                named.add(snapshot.manifest_list)
                named |= {manifest.manifest_path for manifest in snapshot.manifests(iceberg.io)}
                named |= {file.file_path for file in live_files(iceberg, snapshot)}
        return {self.storage.canonical(uri) for uri in named}

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """One writer at a time; the lock of a killed one becomes free by itself.

        Raises:
            LakeError: Another writer does not come to an end.
        """
        with self.storage.exclusively():
            self._loaded = {}
            try:
                yield
            finally:
                self._loaded = None

    def discard(self, locations: Sequence[str]) -> None:
        """Deletes what a failed run wrote, which no snapshot names."""
        for location in locations:
            self.storage.discard(location)


def _snapshot(iceberg: IcebergTable, as_of: datetime | None) -> Snapshot | None:
    if as_of is None:
        return iceberg.current_snapshot()
    moment = int(as_of.timestamp() * 1000)
    seen = [entry for entry in iceberg.history() if entry.timestamp_ms <= moment]
    since = readable_since(iceberg)
    if not seen or moment < since:
        oldest = datetime.fromtimestamp(since / 1000, UTC)
        raise ConfigurationError(
            f"{'.'.join(iceberg.name())} has no version as of {as_of.isoformat()}; "
            f"its oldest readable one is of {oldest.isoformat()}"
        )
    return iceberg.snapshot_by_id(seen[-1].snapshot_id)


def _version(table: Table, snapshot: Snapshot, *, current: bool) -> Version:
    summary = snapshot.summary
    properties = dict(summary.additional_properties) if summary else {}
    return Version(
        table=table.name,
        snapshot_id=snapshot.snapshot_id,
        committed_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        row_count=int(properties.get("total-records", 0)),
        byte_count=int(properties.get("total-files-size", 0)),
        file_count=int(properties.get("total-data-files", 0)),
        measures=_read_measures(properties.get(_MEASURES, "{}")),
        source_totals=_read_measures(properties.get(_SOURCE_TOTALS, "{}")),
        source_moved=_SOURCE_MOVED in properties,
        inputs=json.loads(properties.get(_INPUTS, "{}")),
        report=load_if_known(Report, json.loads(properties.get(_REPORT, "null"))),
        batch=properties.get(_BATCH, ""),
        checks=json.loads(properties.get(_CHECKS, "{}")),
        current=current,
    )


def _properties(publication: Publication, retained: Measures) -> dict[str, str]:
    measures = {**retained, **publication.measures}
    properties = {
        _MEASURES: _write_measures(measures),
        _INPUTS: json.dumps(publication.inputs, sort_keys=True),
    }
    if publication.source_totals is not None:
        properties[_SOURCE_TOTALS] = _write_measures(publication.source_totals)
    if publication.source_moved:
        properties[_SOURCE_MOVED] = "true"
    if publication.batch:
        properties[_BATCH] = publication.batch
    if publication.checks:
        properties[_CHECKS] = json.dumps(dict(publication.checks), separators=(",", ":"))
    if publication.report is not None:
        properties[_REPORT] = json.dumps(dump(publication.report))
    return properties


def _write_measures(measures: Measures) -> str:
    return json.dumps(
        {key: {name: str(value) for name, value in row.items()} for key, row in measures.items()},
        sort_keys=True,
    )


def _read_measures(text: str) -> Measures:
    return {
        key: {name: Decimal(value) for name, value in row.items()}
        for key, row in json.loads(text).items()
    }


def _is_within(month: date | None, months: MonthRange | None) -> bool:
    return months is None or month is None or month in months


def _month_of(iceberg: IcebergTable, file: IcebergFile) -> date | None:
    """The month of a file: the value, in days since 1970, of the partition field it was stored by."""
    by_month = iceberg.specs()[file.spec_id].fields
    return date(1970, 1, 1) + timedelta(days=file.partition[0]) if by_month else None
