"""Delivered objects as rows of the lake's tables, whose contracts stand in `sql/events`."""

import base64
import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256

import msgspec

from lambda_inference.answers import RecommendationEvent
from lambda_inference.events import Rejected
from lambda_inference.records import Record, events_of
from retail_platform.streaming.daily import RowTuples

UNREADABLE = "Lake.Unreadable"
"""The code of what was delivered as an answer and is none."""

_CENT = Decimal("0.01")


class FailedRecord(msgspec.Struct, frozen=True):
    """A line of Firehose's error output.

    Attributes:
        rawData: What was sent, in base64.
        errorCode: Such as Lambda.ProcessingFailedStatus.
        errorMessage: What Firehose says of it.
        arrivalTimestamp: When the stream took it, in milliseconds since 1970.
        attemptEndingTimestamp: When it was given up.
        attemptsMade: How often it was tried.
    """

    rawData: str
    errorCode: str = ""
    errorMessage: str | None = None
    arrivalTimestamp: int | None = None
    attemptEndingTimestamp: int | None = None
    attemptsMade: int = 0


_EVENT = msgspec.json.Decoder(RecommendationEvent)
_FAILED = msgspec.json.Decoder(FailedRecord)


def lines_of(data: bytes) -> list[bytes]:
    """The lines of an object, unpacked where it is packed.

    One that is cut off ends where it is; one that cannot be unpacked is one line, which is nothing.
    """
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error):
            try:
                data = zlib.decompressobj(wbits=31).decompress(data)
            except zlib.error:
                return [data]
    return [line for line in data.split(b"\n") if line.strip()]


@dataclass(frozen=True)
class Answered:
    """An event that was delivered.

    Attributes:
        event: It, with its recommendations.
        delivered_in: The object.
    """

    event: RecommendationEvent
    delivered_in: str

    @property
    def id(self) -> str:
        """The event's."""
        return self.event.event_id

    @property
    def day(self) -> date:
        """The event's, in UTC."""
        return self.event.occurred_at.astimezone(UTC).date()


@dataclass(frozen=True)
class Failure:
    """A record that failed.

    Attributes:
        id: Made of its place.
        at: When it was given up.
        code: What the failure is called.
        message: What is said of it.
        data: What was sent.
        delivered_in: The object.
    """

    id: str
    at: datetime
    code: str
    message: str | None
    data: bytes
    delivered_in: str

    @property
    def day(self) -> date:
        """When it was given up, in UTC."""
        return self.at.date()


def answers_of(key: str, lines: Iterable[bytes], now: datetime) -> Iterator[Answered | Failure]:
    """The events of an object, and as failures the lines that are none.

    Args:
        key: The object's.
        lines: Of it.
        now: When a line that is none is given up.
    """
    for number, line in enumerate(lines):
        try:
            answered = Answered(_EVENT.decode(line), key)
            _ = answered.day  # in UTC it may be before all years
            yield answered
        except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
            message = f"no answered event: {error}"
            yield Failure(_failure_id(key, number), now, UNREADABLE, message, line, key)


def failures_of(key: str, lines: Iterable[bytes], now: datetime) -> Iterator[Failure]:
    """The failed records of an object. As `answers_of`."""
    for number, line in enumerate(lines):
        id_ = _failure_id(key, number)
        try:
            failed = _FAILED.decode(line)
            data = base64.b64decode(failed.rawData, validate=True)
            milliseconds = failed.attemptEndingTimestamp or failed.arrivalTimestamp
            at = now if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
        except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
            yield Failure(id_, now, UNREADABLE, f"no failed record: {error}", line, key)
            continue
        yield Failure(id_, at, failed.errorCode or UNREADABLE, failed.errorMessage, data, key)


def event_rows(events: Iterable[Answered]) -> dict[str, RowTuples]:
    """Events as rows of `recommendation_events`, `recommended_items` and `browsed_items`."""
    rows: RowTuples = []
    items: RowTuples = []
    looked_at: RowTuples = []
    for answered in events:
        event, day = answered.event, answered.day
        limit = event.credit_limit
        similar = event.similar_items
        rows.append(
            (
                event.event_id,
                day,
                event.occurred_at,
                event.generated_at,
                event.session_id,
                event.customer_number,
                event.city,
                event.country,
                None if limit is None else Decimal(repr(limit)).quantize(_CENT),
                len(event.browse_history),
                len(event.recommended_items),
                None if similar is None else similar.product_code,
                event.strategy.value,
                event.model_version,
                event.degraded,
                answered.delivered_in,
            )
        )
        items += [
            (
                event.event_id,
                day,
                rank,
                one.id,
                one.score,
                one.reason.kind.value,
                one.reason.product_code,
            )
            for rank, one in enumerate(event.recommended_items, 1)
        ]
        looked_at += [
            (event.event_id, day, place, one.product_code, one.quantity, one.in_shopping_cart)
            for place, one in enumerate(event.browse_history, 1)
        ]
    return {
        "recommendation_events": rows,
        "recommended_items": items,
        "browsed_items": looked_at,
    }


def failure_rows(failures: Iterable[Failure]) -> RowTuples:
    """Failures as rows of `delivery_failures`."""
    rows: RowTuples = []
    for one in failures:
        reason, events = None, 0
        try:
            events = len(events_of(Record("", one.data)))
        except Rejected as rejected:
            reason = str(rejected)
        rows.append(
            (
                one.id,
                one.day,
                one.at,
                one.code,
                one.message,
                reason,
                events,
                one.data,
                one.delivered_in,
            )
        )
    return rows


def _failure_id(key: str, number: int) -> str:
    return sha256(f"{key}#{number}".encode()).hexdigest()[:32]
