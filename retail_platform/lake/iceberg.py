"""The one-snapshot commit: everything that touches pyiceberg's semi-private calls is here.

A `delete` followed by `add_files` would leave two snapshots, the first of them empty. One overwrite
drops the old data files and adds the new ones, so a reader sees the old version or the new one.
"""

from collections.abc import Mapping, Sequence

from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate
from pyiceberg.typedef import Identifier

from retail_platform.contracts.model import Table
from retail_platform.lake.schema import SchemaPlan, partition_spec


def create_with_snapshot(
    catalog: Catalog,
    identifier: Identifier,
    table: Table,
    plan: SchemaPlan,
    files: Sequence[str],
    properties: Mapping[str, str],
) -> IcebergTable:
    """Creates a table together with its first snapshot, in one commit."""
    transaction = catalog.create_table_transaction(
        identifier, plan.schema, partition_spec=partition_spec(table, plan.schema)
    )
    with transaction.update_snapshot(snapshot_properties=dict(properties)).fast_append() as append:
        for file in files:
            append.append_data_file(
                parquet_file_to_data_file(transaction._table.io, transaction.table_metadata, file)
            )
    return transaction.commit_transaction()


def overwrite(
    iceberg: IcebergTable,
    plan: SchemaPlan,
    files: Sequence[str],
    replaced: str | BooleanExpression,
    properties: Mapping[str, str],
) -> IcebergTable:
    """Replaces the data files that match `replaced` by `files`, in one snapshot.

    Args:
        iceberg: Freshly loaded.
        plan: The schema that the table shall have; evolved in the same commit.
        files: New data files (URIs), with field ids as in `plan`.
        replaced: Partition filter of what is dropped; `ALL` for the whole table.
        properties: Written into the snapshot's summary.

    Raises:
        ValidationException, CommitFailedException: Another writer came first; load the table
            anew and try again.
    """
    old_files = [task.file for task in iceberg.scan(row_filter=replaced).plan_files()]
    with iceberg.transaction() as transaction:
        if plan.changes:
            _set_schema(transaction, plan.schema)
        snapshot = transaction.update_snapshot(snapshot_properties=dict(properties)).overwrite()
        with snapshot as update:
            for old in old_files:
                update.delete_data_file(old)
            for file in files:
                update.append_data_file(
                    parquet_file_to_data_file(iceberg.io, transaction.table_metadata, file)
                )
    return iceberg


def _set_schema(transaction: Transaction, schema: Schema) -> None:
    """Sets the very schema whose field ids the data files carry.

    `update_schema()` would assign field ids by itself and refuses to retype a column freely.
    """
    number = 1 + max(known.schema_id for known in transaction.table_metadata.schemas)
    numbered = Schema(*schema.fields, schema_id=number)
    transaction._apply((AddSchemaUpdate(schema=numbered), SetCurrentSchemaUpdate()))


ALL = AlwaysTrue()
"""The whole table."""
