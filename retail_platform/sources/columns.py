"""Types of source columns: which of them a contract's type can hold, and how they are read safely.

connectorx is quick but trusts what it reads: decimals come as decimal128(38,10), deeper digits
cut without a word and larger values a panic; dates outside the calendar panic. Such columns are
read as text, or as NULL where the value is no date at all.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from retail_platform.sources.dialect import Dialect

_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
_ARROW_SCALE = 10  # of connectorx's decimals
_SAFE_INTEGER_DIGITS = 18  # value x 10^10 must fit rust_decimal's 96 bits: below 7.9e18


class Family(StrEnum):
    """Types that hold the same kind of value."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    BIT = "bit"
    TEXT = "text"
    BINARY = "binary"
    DATE = "date"
    TIMESTAMP = "timestamp"
    ZONED = "timestamp with time zone"
    NULL = "null"
    OTHER = "other"


@dataclass(frozen=True)
class SourceType:
    """The type of an output column of an extraction query.

    Attributes:
        family: What kind of values it holds.
        name: As the source calls it, for people.
        precision: All digits of a decimal; None where it has no bound.
        scale: Digits after the point; None where they have no bound.
        flag: An integer or bit of one digit, which a source uses for true and false.
    """

    family: Family
    name: str
    precision: int | None = None
    scale: int | None = None
    flag: bool = False


def fits(source: SourceType, contract: str) -> bool:
    """Whether every value of `source` is one of the contract's type, or too long and refused.

    An integer that overflows is found when it is cast; a rounded decimal or a lost time of day
    would not be, so these do not fit.
    """
    family = source.family
    if family is Family.NULL:
        return True
    if decimal := _DECIMAL.fullmatch(contract):
        if family is Family.DECIMAL:
            return source.scale is not None and source.scale <= int(decimal[2])
        return family is Family.INTEGER
    match contract:
        case "int" | "bigint":
            return family in (Family.INTEGER, Family.BIT, Family.BOOLEAN) or (
                family is Family.DECIMAL and source.scale == 0
            )
        case "boolean":
            return family is Family.BOOLEAN or source.flag
        case "double":
            return family is Family.FLOAT
        case "string":
            return family is Family.TEXT
        case "binary":
            return family is Family.BINARY
        case "date":
            return family is Family.DATE
        case "timestamp":
            return family in (Family.TIMESTAMP, Family.ZONED, Family.DATE)
    return False


def safe_expression(source: SourceType, contract: str, column: str, dialect: Dialect) -> str:
    """The SQL that reads `column`, an expression, so that connectorx gives its exact value."""
    match source.family:
        case Family.DECIMAL if dialect.name == "postgres" or not _is_safe_decimal(source):
            # PostgreSQL's NaN is a panic at any precision, and its text is quicker to read anyway.
            return f"CAST({column} AS {dialect.text})"
        case Family.INTEGER if _DECIMAL.fullmatch(contract):
            return f"CAST({column} AS {dialect.text})"  # Arrow widens no integer to a decimal
        case Family.NULL:
            return f"CAST({column} AS {dialect.text})"
        case Family.TEXT if source.name == "json":
            return f"CAST({column} AS {dialect.text})"  # connectorx writes JSON anew, its own way
        case Family.TEXT if dialect.name == "postgres" and source.name not in ("text", "varchar"):
            return f"CAST({column} AS TEXT)"
        case Family.BIT:
            return f"CAST({column} AS UNSIGNED)"
        case Family.DATE | Family.TIMESTAMP:
            return f"CASE WHEN {dialect.usable.format(column)} THEN {column} END"
        case Family.ZONED:
            utc = f"({column} AT TIME ZONE 'UTC')"
            return f"CASE WHEN {dialect.usable.format(utc)} THEN {utc} END"
    return column


def _is_safe_decimal(source: SourceType) -> bool:
    if source.precision is None or source.scale is None:
        return False
    return source.scale <= _ARROW_SCALE and source.precision - source.scale <= _SAFE_INTEGER_DIGITS
