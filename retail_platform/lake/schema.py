"""Contracts as Iceberg schemas, and what changed between the two."""

import re
from dataclasses import dataclass

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from retail_platform.contracts.model import Table

_TYPES: dict[str, IcebergType] = {
    "int": IntegerType(),
    "bigint": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "string": StringType(),
    "binary": BinaryType(),
    "date": DateType(),
    "timestamp": TimestamptzType(),
}


def iceberg_type(name: str) -> IcebergType:
    """The Iceberg type of a contract's type."""
    if match := re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", name):
        return DecimalType(int(match[1]), int(match[2]))
    return _TYPES[name]


@dataclass(frozen=True)
class SchemaPlan:
    """The schema that a table will have, and how it differs from the one it has.

    Attributes:
        schema: Columns that stay as they were keep their field ids; a new or retyped column gets
            a fresh one, so that old snapshots stay readable.
        spec: How the table will be partitioned.
        changes: In words, one for each difference; empty where nothing changed.
        fresh: The columns that no older data file has: those added or retyped.
    """

    schema: Schema
    spec: PartitionSpec
    changes: tuple[str, ...] = ()
    fresh: frozenset[str] = frozenset()

    @property
    def field_ids(self) -> dict[str, int]:
        """The field id of every column."""
        return {field.name: field.field_id for field in self.schema.fields}


def plan_schema(
    table: Table,
    current: Schema | None,
    last_field_id: int = 0,
    spec: PartitionSpec | None = None,
) -> SchemaPlan:
    """The schema of `table`, given the one that it has in the lake, and how it is partitioned."""
    existing = {field.name: field for field in current.fields} if current else {}
    fields: list[NestedField] = []
    changes: list[str] = []
    fresh: set[str] = set()
    for column in table.columns:
        wanted = iceberg_type(column.type)
        known = existing.pop(column.name, None)
        if known is not None and known.field_type == wanted:
            field_id = known.field_id
        else:
            last_field_id += 1
            field_id = last_field_id
            if known is not None:
                changes.append(f"{column.name} retyped from {known.field_type} to {wanted}")
                fresh.add(column.name)
            elif current is not None:
                changes.append(f"{column.name} added")
                fresh.add(column.name)
        # Optional even where the contract forbids NULL: engines write optional columns, and the
        # audit, which runs before every commit, is what keeps NULLs out.
        fields.append(NestedField(field_id, column.name, wanted, required=False))
    changes.extend(f"{name} removed" for name in existing)
    schema = Schema(*fields)
    wanted_spec = _partition_spec(table, schema)
    if spec is not None and _parts(spec) != _parts(wanted_spec):
        changes.append("stored by month" if table.partition else "no longer stored by month")
    return SchemaPlan(schema, wanted_spec, tuple(changes), frozenset(fresh))


def _partition_spec(table: Table, schema: Schema) -> PartitionSpec:
    """Monthly tables are partitioned by the identity of their month column."""
    if not table.partition:
        return PartitionSpec()
    column = table.partition.column
    source_id = schema.find_field(column).field_id
    return PartitionSpec(PartitionField(source_id, 1000, IdentityTransform(), column))


def _parts(spec: PartitionSpec) -> list[tuple[int, str]]:
    return [(field.source_id, field.name) for field in spec.fields]
