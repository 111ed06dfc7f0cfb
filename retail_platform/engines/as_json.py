"""A run's request and its answer as JSON, for an engine that runs somewhere else, and reports.

The data classes' own type hints say how each value is read, so a field that is added travels by
itself. No pydantic, because the other end has none.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from retail_platform.errors import EngineError

Value = TypeVar("Value")

_PLAIN = (str, bool, int, float, type(None))


def dump(value: object) -> Any:
    """What `json.dumps` takes.

    Raises:
        TypeError: There is a value in it of a type that cannot travel.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, date | Decimal):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: dump(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return [dump(item) for item in sorted(value)]
    if isinstance(value, Sequence):
        return [dump(item) for item in value]
    raise TypeError(f"a {type(value).__name__} cannot travel as JSON")


def load(type_: type[Value], data: Any) -> Value:
    """The value of `type_` that `dump` made `data` from.

    Raises:
        EngineError: `data` is not of that type.
    """
    try:
        loaded: Value = _load(type_, data)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise EngineError(
            f"malformed {type_.__name__}: {type(error).__name__}: {error}; do both ends run the "
            "same version of the platform?"
        ) from error
    return loaded


def load_if_known(type_: type[Value], data: Any) -> Value | None:
    """The value that was kept as `data`; None for none, or for one of another version's form."""
    try:
        return None if data is None else load(type_, data)
    except EngineError:
        return None


def _load(kind: Any, data: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _load(kind, data)
    if origin in (tuple, frozenset):
        return origin(_load(arguments[0], item) for item in data)
    if origin is not None:  # the mappings
        return {key: _load(arguments[1], item) for key, item in data.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        known = _fields(kind)
        if unknown := sorted(data.keys() - known.keys()):
            raise KeyError(", ".join(unknown))
        return kind(**{name: _load(known[name], item) for name, item in data.items()})
    if kind is date:
        return date.fromisoformat(data)
    if kind is Decimal or issubclass(kind, Enum):
        return kind(data)
    if not isinstance(data, (int, float) if kind is float else kind):
        raise TypeError(f"{data!r} is no {kind.__name__}")
    return data


@cache
def _fields(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
