"""Contracts as Arrow schemas whose Parquet files Iceberg can read: columns known by field id."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retail_platform.contracts.model import VECTOR, Table
from retail_platform.engines.protocol import OutputTable
from retail_platform.errors import EngineError

ELEMENT = ".element"
"""What follows a vector's name in `OutputTable.field_ids` for the field id of its numbers."""

_TYPES: dict[str, pa.DataType] = {
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    VECTOR: pa.list_(pa.field("element", pa.float32())),
}


def arrow_type(name: str) -> pa.DataType:
    """A contract's type in Arrow."""
    if name.startswith("decimal("):
        precision, scale = name.removeprefix("decimal(").rstrip(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return _TYPES[name]


def stored_schema(table: Table, field_ids: Mapping[str, int]) -> pa.Schema:
    """The columns of a table as its data files have them."""
    return pa.schema([_field(c.name, arrow_type(c.type), field_ids, c.name) for c in table.columns])


def write_parquet(rows: pa.Table, output: OutputTable, path: Path) -> None:
    """Writes rows that something else than SQL gave into one data file.

    Args:
        rows: The contract's columns, in any order, of types that can be cast to the contract's.
        output: Whose contract and field ids they are.
        path: A file that is not there yet.

    Raises:
        EngineError: They are not the contract's columns, or a value does not fit.
    """
    table = output.contract
    if sorted(rows.column_names) != sorted(table.column_names):
        raise EngineError(
            f"{table.layer}.{table.name} was given the columns {', '.join(rows.column_names)}, and "
            f"its contract says {', '.join(table.column_names)}: let both agree"
        )
    schema = stored_schema(table, output.field_ids)
    try:
        stored = pa.table(
            [rows.column(field.name).cast(field.type) for field in schema], schema=schema
        )
    except pa.ArrowInvalid as error:
        raise EngineError(
            f"a value does not fit the contract of {table.layer}.{table.name}: {error}"
        ) from error
    pq.write_table(stored, path, compression="snappy", store_decimal_as_integer=True)


def _field(
    name: str, type_: pa.DataType, field_ids: Mapping[str, int], key: str
) -> "pa.Field[Any]":
    if pa.types.is_list(type_):
        type_ = pa.list_(_field("element", type_.value_type, field_ids, key + ELEMENT))
    return pa.field(name, type_, metadata={"PARQUET:field_id": str(field_ids[key])})
