"""Contracts as Iceberg schemas, and what changed between the two."""

import re
from collections.abc import Iterator, Sequence
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
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from retail_platform.contracts.model import VECTOR, Table
from retail_platform.engines.parquet import ELEMENT

_TYPES: dict[str, IcebergType] = {
    "int": IntegerType(),
    "bigint": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "string": StringType(),
    "binary": BinaryType(),
    "date": DateType(),
    "timestamp": TimestamptzType(),
    # Its numbers' field id follows from the table; see `plan_schema`.
    VECTOR: ListType(0, FloatType(), element_required=False),
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
        """The field id of every column, and of the numbers of every vector."""
        columns = {field.name: field.field_id for field in self.schema.fields}
        return columns | {
            field.name + ELEMENT: field.field_type.element_id
            for field in self.schema.fields
            if isinstance(field.field_type, ListType)
        }


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
        if known is not None and str(known.field_type) == str(wanted):
            field_id, wanted = known.field_id, known.field_type
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
    schema = Schema(*_with_elements(fields, last_field_id))
    wanted_spec = _partition_spec(table, schema)
    if spec is not None and _parts(spec) != _parts(wanted_spec):
        by = "day" if table.by_day else "month"
        changes.append(
            f"stored by {by}" if table.partition or table.by_day else "no longer stored by month"
        )
    return SchemaPlan(schema, wanted_spec, tuple(changes), frozenset(fresh))


def _with_elements(fields: Sequence[NestedField], last_field_id: int) -> Iterator[NestedField]:
    """The fields with ids for the numbers of new vectors: after all columns', as pyiceberg has it."""
    for field in fields:
        if isinstance(field.field_type, ListType) and not field.field_type.element_id:
            last_field_id += 1
            numbered = ListType(last_field_id, FloatType(), element_required=False)
            yield NestedField(field.field_id, field.name, numbered, required=False)
        else:
            yield field


def _partition_spec(table: Table, schema: Schema) -> PartitionSpec:
    """Tables by month or by day are partitioned by the identity of that column."""
    column = table.partition.column if table.partition else table.by_day
    if not column:
        return PartitionSpec()
    source_id = schema.find_field(column).field_id
    return PartitionSpec(PartitionField(source_id, 1000, IdentityTransform(), column))


def _parts(spec: PartitionSpec) -> list[tuple[int, str]]:
    return [(field.source_id, field.name) for field in spec.fields]
