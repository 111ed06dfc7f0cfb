"""The lake: published snapshots of tables, and how a new one replaces the last."""

import json
import logging
import random
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from retail_platform.contracts.loader import LAYERS, Contracts
from retail_platform.contracts.model import Table
from retail_platform.contracts.months import MonthRange, parse_month
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

_MEASURES = "retail.measures"
_SOURCE_TOTALS = "retail.source-totals"
_SOURCE_MOVED = "retail.source-moved"
_INPUTS = "retail.inputs"
_COMMIT_ATTEMPTS = 12
_LOCK_SECONDS = 600

log = logging.getLogger(__name__)


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
    """

    table: Table
    plan: SchemaPlan
    files: tuple[DataFile, ...]
    months: MonthRange | None
    measures: Measures
    inputs: dict[str, int]
    source_totals: Measures | None = None
    source_moved: bool = False


@dataclass(frozen=True)
class Vacuumed:
    """What a vacuum removed."""

    snapshots: int
    files: int
    bytes: int


class Lake:
    """Iceberg tables in a folder, with their catalog in SQLite beside them."""

    def __init__(self, folder: Path, contracts: Contracts) -> None:
        """Nothing is read or written until the lake is used.

        Args:
            folder: Where the catalog, metadata and data files are.
            contracts: The tables that may be in the lake.
        """
        self.folder = folder
        self.contracts = contracts

    @cached_property
    def _catalog(self) -> SqlCatalog:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            catalog = SqlCatalog(
                "retail",
                # As SQLAlchemy spells it: a folder may have a % in its name.
                uri=str(URL.create("sqlite", database=str(self.folder / "catalog.db"))),
                warehouse=file_uri(self.folder),
            )
            for layer in LAYERS:
                catalog.create_namespace_if_not_exists(layer)
        except Exception as error:
            # SQLAlchemy, SQLite and the file system each raise their own; to a user it is one fact.
            raise LakeError(
                f"the lake in {self.folder} cannot be opened ({error}); "
                "check that the disk is writable and not full"
            ) from error
        return catalog

    def _load(self, table: Table) -> IcebergTable | None:
        try:
            return self._catalog.load_table((table.layer, table.name))
        except NoSuchTableError:
            return None
        except OSError as error:
            raise LakeError(
                f"{table.name} cannot be read: {error}; a lake works only where it was built: "
                "move it back to its folder, or build again in an empty one"
            ) from error

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
        known = self.contracts.tables
        return {
            name: layer
            for layer in LAYERS
            for _, name in self._catalog.list_tables(layer)
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
        files = [
            DataFile(file.file_path, _month_of(iceberg, file))
            for file in live_files(iceberg, snapshot)
        ]
        return tuple(sorted(file for file in files if _is_within(file.month, months)))

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
        return file_uri(self.folder / table.layer / table.name)

    def new_location(self, table: Table) -> str:
        """A fresh folder (URI) for the data files of one run; it is not created."""
        return f"{self.location(table)}/data/{uuid.uuid4().hex}"

    def publish(self, publication: Publication) -> Version:
        """Makes the new version visible, in one Iceberg snapshot.

        Raises:
            LakeError: The commit failed; readers still see the last version.
        """
        for attempt in range(1, _COMMIT_ATTEMPTS + 1):
            try:
                return self._publish(publication)
            except (CommitFailedException, ValidationException) as error:
                # Another writer came first: its version is the one to replace now.
                if attempt == _COMMIT_ATTEMPTS:
                    raise LakeError(
                        f"{publication.table.name} could not be published: other writers came "
                        f"first {attempt} times ({error}); build it again"
                    ) from error
                time.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311  (only apart)
            except (OSError, SQLAlchemyError) as error:
                raise LakeError(
                    f"{publication.table.name} could not be published: {error}; "
                    "readers still see the last version"
                ) from error
        raise AssertionError("unreachable")

    def _publish(self, publication: Publication) -> Version:
        table = publication.table
        iceberg = self._load(table)
        uris = [file.uri for file in publication.files]
        properties = _properties(publication, self._retained(publication))
        if iceberg is None:
            iceberg = create_with_snapshot(
                self._catalog,
                (table.layer, table.name),
                publication.plan,
                uris,
                properties,
            )
        else:
            old = iceberg.current_snapshot()
            replaced = [
                file
                for file in (live_files(iceberg, old) if old else ())
                if _is_within(_month_of(iceberg, file), publication.months)
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
            return self._rollback(self.contracts.table(name), snapshot_id)

    def _rollback(self, table: Table, snapshot_id: int) -> Version:
        known = [version.snapshot_id for version in self.history(table.name)]
        if snapshot_id not in known:
            listed = ", ".join(str(known_id) for known_id in known) or "none"
            raise ConfigurationError(
                f"{table.name} has no snapshot {snapshot_id}; it has {listed} "
                f"(see `retail history {table.name}`)"
            )
        iceberg = self._catalog.load_table((table.layer, table.name))
        snapshot = iceberg.snapshot_by_id(snapshot_id)
        assert snapshot is not None  # noqa: S101  (listed in the history)
        schema_id = snapshot.schema_id
        if schema_id is not None and schema_id != iceberg.schema().schema_id:
            raise ConfigurationError(
                f"snapshot {snapshot_id} of {table.name} has other columns than its contract; "
                f"read it with `retail query --as-of`, or restore the contract and build"
            )
        with iceberg.manage_snapshots() as manage:
            manage.set_current_snapshot(snapshot_id=snapshot_id)
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
        folder = (self.folder / table.layer / table.name).resolve()
        if not folder.exists():
            return Vacuumed(0, 0, 0)
        # Compared as the disk has them: a home has many spellings, and a link is one of them.
        if iceberg and local_path(iceberg.location()).resolve() != folder:
            raise LakeError(
                f"the files of {table.name} are not in {folder} but at {iceberg.location()}: "
                "nothing of it was deleted; vacuum from where the lake was built"
            )
        forgotten = forget_snapshots(iceberg, forget_before) if iceberg else 0
        named = _named_files(iceberg) if iceberg else set()
        old = [
            (path, path.stat())
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path not in named
        ]
        old = [(path, stat) for path, stat in old if stat.st_mtime < delete_before.timestamp()]
        for path, _ in old:
            path.unlink()
            _prune(path.parent, folder)
        return Vacuumed(forgotten, len(old), sum(stat.st_size for _, stat in old))

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """One writer at a time; the kernel frees the lock of a killed one.

        Raises:
            LakeError: Another writer does not come to an end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "lake.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log.warning("another build is at work on the lake; waiting for it")
            try:
                lock.acquire(timeout=_LOCK_SECONDS)
            except Timeout:
                raise LakeError(
                    f"another build has been at work on the lake for {_LOCK_SECONDS} s; wait for "
                    "it or stop it, then try again"
                ) from None
        try:
            yield
        finally:
            lock.release()

    def discard(self, locations: Sequence[str]) -> None:
        """Deletes what a failed run wrote, which no snapshot names."""
        for location in locations:
            shutil.rmtree(local_path(location), ignore_errors=True)


def local_path(uri: str) -> Path:
    """The path of a `file://` URI."""
    return Path(uri.removeprefix("file://"))


def file_uri(path: Path) -> str:
    """`file://` and the path as it is: Iceberg's readers do not decode percent signs."""
    return f"file://{path}"


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


def _named_files(iceberg: IcebergTable) -> set[Path]:
    """Every file that a readable snapshot, or the table's own metadata, needs."""
    named = {iceberg.metadata_location}
    named |= {entry.metadata_file for entry in iceberg.metadata.metadata_log}
    for snapshot in iceberg.snapshots():
        named.add(snapshot.manifest_list)
        named |= {manifest.manifest_path for manifest in snapshot.manifests(iceberg.io)}
        named |= {file.file_path for file in live_files(iceberg, snapshot)}
    return {local_path(uri).resolve() for uri in named}


def _prune(folder: Path, top: Path) -> None:
    """Removes a folder that became empty, and those above it, up to the table's own."""
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
