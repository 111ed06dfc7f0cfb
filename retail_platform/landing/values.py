"""What stands in a file as a contract's types, exactly or not at all. Pure."""

import base64
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retail_platform.contracts.model import COLUMN_TYPES
from retail_platform.engines.parquet import arrow_type
from retail_platform.errors import RetailError

_WRITTEN = {
    "date": ", such as 2004-01-31",
    "timestamp": ", such as 2004-01-31T12:00:00Z",
    "boolean": ": true or false",
    "binary": " in base64",
}
"""How values of a type are written, for messages."""

_INTEGER = r"^[+-]?[0-9]+$"


class UnfitFile(RetailError):
    """A file that is not as the contract of its table says; the message says where and why."""


class _Unfit(Exception):
    """A column has a value that does not fit; which one is looked for then."""


def fitted(column: "pa.Array[Any]", to: pa.DataType, name: str, before: int) -> "pa.Array[Any]":
    """A column in another type, no value of it changed.

    Text is read as JSON and CSV have it: a point in decimals, days as 2004-01-31, instants in ISO
    8601 (in UTC where they do not say), binary data in base64.

    Args:
        column: What the file has.
        to: The contract's type.
        name: Of the column, for messages.
        before: How many rows stand before these in the file.

    Raises:
        UnfitFile: A value does not fit.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()  # type: ignore[attr-defined]
    if not _is_akin(column.type, to):
        raise UnfitFile(f"{name} is {column.type} in the file and {_named(to)} in the contract")
    try:
        return _cast(column, to)
    except (_Unfit, pa.ArrowInvalid, ValueError):
        index = _first_unfit(column, to)
        value = column[index].as_py()
        shown = repr(value if len(str(value)) <= 60 else f"{str(value)[:60]}...")
        told = f"row {before + index + 1}: {name} {shown} is no {_named(to)}"
        raise UnfitFile(f"{told}{_WRITTEN.get(_named(to), '')}") from None


def _is_akin(type_: pa.DataType, to: pa.DataType) -> bool:
    """Whether values of a type can be those of another: a float is no exact decimal."""
    if type_ == to or pa.types.is_null(type_) or _is_text(type_):
        return True
    if pa.types.is_integer(to) or pa.types.is_decimal(to):
        return pa.types.is_integer(type_) or pa.types.is_decimal(type_)
    if pa.types.is_floating(to):
        return pa.types.is_floating(type_)
    if pa.types.is_date(to):
        return pa.types.is_temporal(type_) and not pa.types.is_time(type_)
    if pa.types.is_timestamp(to):
        return pa.types.is_timestamp(type_) or pa.types.is_date(type_)
    return pa.types.is_binary(to) and (
        pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_)
    )


def _cast(column: "pa.Array[Any]", to: pa.DataType) -> "pa.Array[Any]":
    if _is_text(column.type):
        return _parsed(column.cast(pa.string()), to)
    if pa.types.is_decimal(to) and pa.types.is_integer(column.type):
        return column.cast(pa.decimal128(38, 0)).cast(to)
    if pa.types.is_timestamp(column.type) and pa.types.is_date(to):
        days = pc.floor_temporal(column, unit="day")
        _require(pc.equal(days, column))
    return column.cast(to)


def _parsed(column: "pa.Array[Any]", to: pa.DataType) -> "pa.Array[Any]":
    if pa.types.is_string(to):
        return column
    if pa.types.is_binary(to):
        decoded = [
            None if value is None else base64.b64decode(value, validate=True)
            for value in column.to_pylist()
        ]
        return pa.array(decoded, to)
    if pa.types.is_integer(to):  # Arrow takes 0x1f for a number too
        _require(pc.match_substring_regex(column, _INTEGER))
        return pc.utf8_ltrim(column, "+").cast(to)
    if pa.types.is_timestamp(to):
        try:
            return column.cast(pa.timestamp("us")).cast(to)
        except pa.ArrowInvalid:
            return column.cast(to)
    return column.cast(to)


def _require(holds: "pa.Array[Any]") -> None:
    """Raises `_Unfit` where something does not hold; of NULL everything does."""
    if not pc.all(holds, min_count=0).as_py():
        raise _Unfit


def _first_unfit(column: "pa.Array[Any]", to: pa.DataType) -> int:
    """The index of the first value that does not fit."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _cast(column.slice(low, middle - low), to)
        except (_Unfit, pa.ArrowInvalid, ValueError):
            high = middle
        else:
            low = middle
    return low


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _named(type_: pa.DataType) -> str:
    """A type as contracts have it."""
    if pa.types.is_decimal(type_):
        return f"decimal({type_.precision},{type_.scale})"
    return next(name for name in COLUMN_TYPES if arrow_type(name) == type_)
