"""What a shop's site sends: someone's browsing, one JSON object a line.

The contract for others is `schemas/browse_event.v1.json`, which a test holds against this.
"""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated

import msgspec

SCHEMA_VERSION = 1
"""Of the events that are understood; a later one may mean something else by the same words."""

MOST_BROWSED = 1_000
"""Products in one event."""

MOST_CREDIT = 1e12
"""Below which a credit limit is. With cents that is fourteen digits, which a float keeps exactly."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_LATEST = {"maximum": SCHEMA_VERSION}  # which `decode` refuses in words of its own
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Browsed(msgspec.Struct, frozen=True):
    """A product that someone looked at.

    Attributes:
        product_code: The product.
        quantity: How many he looked at or wants.
        in_shopping_cart: Whether they are in his cart.
    """

    product_code: _Text
    quantity: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 1
    in_shopping_cart: bool = False


class BrowseEvent(msgspec.Struct, kw_only=True):
    """Someone's browsing, up to an instant.

    Attributes:
        event_id: Tells the event from all others, however often it is delivered; derived from its
            place in the stream where it is absent.
        schema_version: Of this contract.
        session_id: Of the visit.
        customer_number: Who it is; null for a visitor whom nobody knows.
        city: Where he is.
        country: Where he is.
        credit_limit: What he may owe.
        occurred_at: When, with a zone; when the stream took it where it is absent.
        browse_history: What he looked at, the latest last; it may be empty.
    """

    event_id: _Text | None = None
    schema_version: Annotated[int, msgspec.Meta(ge=1, extra_json_schema=_LATEST)] = SCHEMA_VERSION
    session_id: _Text
    customer_number: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    city: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    country: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    credit_limit: Annotated[float, msgspec.Meta(gt=-MOST_CREDIT, lt=MOST_CREDIT)] | None = None
    occurred_at: Instant | None = None
    browse_history: Annotated[list[Browsed], msgspec.Meta(max_length=MOST_BROWSED)]


class Rejected(ValueError):
    """An event that cannot be answered; the message says why, and quotes nothing of it."""


class _Versioned(msgspec.Struct):
    schema_version: int = SCHEMA_VERSION


_DECODER = msgspec.json.Decoder(BrowseEvent)
_VERSION = msgspec.json.Decoder(_Versioned)


def decode(
    line: bytes, origin: str | None = None, arrived_at: datetime | None = None
) -> BrowseEvent:
    """One event.

    Args:
        line: JSON.
        origin: What names the line in the stream, such as its shard and sequence number: an event
            without an id gets one from it, or where it is None, from the line itself.
        arrived_at: When the stream took it; stands for an unknown `occurred_at`.

    Raises:
        Rejected: It is no JSON, not by the contract, or of a later version of it.
    """
    try:
        event = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_later(line)
        raise Rejected(f"not a browse event: {error}") from None
    if event.schema_version > SCHEMA_VERSION:
        raise _later(event.schema_version)
    if event.event_id is None:
        event.event_id = sha256(line if origin is None else origin.encode()).hexdigest()[:32]
    try:
        event.occurred_at = (
            arrived_at if event.occurred_at is None else event.occurred_at.astimezone(UTC)
        )
    except OverflowError:
        raise Rejected("not a browse event: occurred_at is before or after all years") from None
    return event


def _refuse_later(line: bytes) -> None:
    """Says of an event of a later contract that it is one, and not which field is odd."""
    try:
        version = _VERSION.decode(line).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if version > SCHEMA_VERSION:
        raise _later(version) from None


def _later(version: int) -> Rejected:
    return Rejected(
        f"schema_version {version} is later than {SCHEMA_VERSION}, the latest that is understood: "
        "deploy a newer Lambda, then replay"
    )
