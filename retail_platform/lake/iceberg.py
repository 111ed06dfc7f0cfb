"""The one-snapshot commit: everything that touches pyiceberg's semi-private calls is here.

A `delete` followed by `add_files` would leave two snapshots, the first of them empty. One overwrite
drops the old data files and adds the new ones, so a reader sees the old version or the new one.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    SetCurrentSchemaUpdate,
    SetDefaultSpecUpdate,
    TableUpdate,
)
from pyiceberg.table.update.snapshot import ExpireSnapshots, _OverwriteFiles
from pyiceberg.typedef import Identifier

from retail_platform.lake.schema import SchemaPlan

_READABLE_SINCE = "retail.readable-since"


def create_with_snapshot(
    catalog: Catalog,
    identifier: Identifier,
    location: str,
    plan: SchemaPlan,
    files: Sequence[str],
    properties: Mapping[str, str],
) -> IcebergTable:
    """Creates a table together with its first snapshot, in one commit."""
    transaction = catalog.create_table_transaction(identifier, plan.schema, location, plan.spec)
    metadata = transaction.table_metadata  # a copy, made anew each time it is asked for
    with transaction.update_snapshot(snapshot_properties=dict(properties)).fast_append() as append:
        for file in files:
            append.append_data_file(
                parquet_file_to_data_file(transaction._table.io, metadata, file)
            )
    return transaction.commit_transaction()


def live_files(iceberg: IcebergTable, snapshot: Snapshot) -> Iterator[DataFile]:
    """The data files of a snapshot, read from its manifests: four times as quick as a scan's plan."""
    for manifest in snapshot.manifests(iceberg.io):
        if _has_files(manifest):
            for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True):
                yield entry.data_file


def overwrite(
    iceberg: IcebergTable,
    plan: SchemaPlan,
    files: Sequence[str],
    replaced: Sequence[DataFile],
    properties: Mapping[str, str],
) -> IcebergTable:
    """Replaces data files by others, in one snapshot.

    Args:
        iceberg: Freshly loaded.
        plan: The schema that the table shall have; evolved in the same commit.
        files: New data files (URIs), with field ids as in `plan`.
        replaced: What is dropped, of `live_files`.
        properties: Written into the snapshot's summary.

    Raises:
        ValidationException, CommitFailedException: Another writer came first; load the table
            anew and try again.
    """
    with _Transaction(iceberg) as transaction:
        if plan.changes:
            _set_schema(transaction, plan)
        metadata = transaction.table_metadata
        with _Overwrite(
            Operation.OVERWRITE if metadata.current_snapshot() else Operation.APPEND,
            transaction,
            iceberg.io,
            snapshot_properties=dict(properties),
        ) as update:
            for old in replaced:
                update.delete_data_file(old)
            for file in files:
                update.append_data_file(parquet_file_to_data_file(iceberg.io, metadata, file))
    return iceberg


def forget_snapshots(iceberg: IcebergTable, before: datetime) -> int:
    """Expires the snapshots that are older than `before`, but the current one; says how many.

    pyiceberg takes them out of the table's log of what was current when, and their neighbours
    would seem to have been current instead. So the table remembers since when its log is whole.
    """
    known = iceberg.snapshots()
    transaction = iceberg.transaction()
    ExpireSnapshots(transaction).older_than(before).commit()
    left = {snapshot.snapshot_id for snapshot in transaction.table_metadata.snapshots}
    if len(left) < len(known):
        ended = [
            following.timestamp_ms
            for entry, following in pairwise(iceberg.history())
            if entry.snapshot_id not in left
        ]
        since = max(ended, default=readable_since(iceberg))
        transaction.set_properties({_READABLE_SINCE: str(since)})
        transaction.commit_transaction()
    return len(known) - len(left)


def readable_since(iceberg: IcebergTable) -> int:
    """The first moment, in milliseconds since 1970, at which it is known what was current."""
    log = iceberg.history()
    first = log[0].timestamp_ms if log else 0
    return max(first, int(iceberg.properties.get(_READABLE_SINCE, 0)))


def _set_schema(transaction: Transaction, plan: SchemaPlan) -> None:
    """Sets the very schema whose field ids the data files carry, and the partitioning.

    `update_schema()` would assign field ids by itself and refuses to retype a column freely.
    """
    metadata = transaction.table_metadata
    number = 1 + max(known.schema_id for known in metadata.schemas)
    numbered = Schema(*plan.schema.fields, schema_id=number)
    transaction._apply((AddSchemaUpdate(schema=numbered), SetCurrentSchemaUpdate()))
    if plan.spec.fields != metadata.spec().fields:
        number = 1 + max(known.spec_id for known in metadata.partition_specs)
        spec = PartitionSpec(*plan.spec.fields, spec_id=number)
        transaction._apply(
            (
                AddPartitionSpecUpdate(spec=spec),
                SetDefaultSpecUpdate.model_validate({"spec-id": number}),
            )
        )


class _Transaction(Transaction):
    """A transaction that makes its metadata anew only after a change.

    pyiceberg copies all of it, every snapshot included, each of the twenty times that a commit asks
    for it, which takes longer than all the rest of a small commit.
    """

    _made: tuple[TableMetadata, tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        base, updates = self._table.metadata, self._updates
        if self._made is None or self._made[0] is not base or self._made[1] is not updates:
            self._made = (base, updates, super().table_metadata)
        return self._made[2]


class _Overwrite(_OverwriteFiles):
    """An overwrite that forgets the manifests in which earlier ones recorded their deletions.

    pyiceberg carries them on for ever, one more with every commit, and each is read again by the
    next; Iceberg's other implementations drop them. Snapshots that had them keep them.
    """

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        return [
            manifest
            for manifest in super()._process_manifests(manifests)
            if _has_files(manifest) or manifest.added_snapshot_id == self.snapshot_id
        ]


def _has_files(manifest: ManifestFile) -> bool:
    return manifest.has_added_files() or manifest.has_existing_files()
