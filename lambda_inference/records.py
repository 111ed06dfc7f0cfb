"""Records of a stream, each of one or more events, and the batch that they arrive in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from lambda_inference.answers import RecommendationEvent
from lambda_inference.events import BrowseEvent, Rejected, decode


@dataclass(frozen=True)
class Record:
    """What a stream delivers.

    Attributes:
        key: By which the batch is answered.
        data: Events, one a line.
        origin: Names the record in the stream; None where nothing does.
        arrived_at: When the stream took it; None where it is not told.
    """

    key: str
    data: bytes
    origin: str | None = None
    arrived_at: datetime | None = None


@dataclass(frozen=True)
class Answered:
    """A record and what became of it.

    Attributes:
        record: The record.
        events: Its events with their recommendations; none where it was rejected.
        rejection: Why it was rejected, as a whole: half of a record cannot be replayed.
    """

    record: Record
    events: Sequence[RecommendationEvent]
    rejection: str | None = None


Answer = Callable[[Sequence[BrowseEvent]], list[RecommendationEvent]]


def events_of(record: Record) -> list[BrowseEvent]:
    """The events of a record.

    Raises:
        Rejected: One of them cannot be answered, or there are none.
    """
    lines = [line for line in record.data.split(b"\n") if line.strip()]
    if not lines:
        raise Rejected("the record is empty")
    events = []
    for number, line in enumerate(lines):
        origin = None if record.origin is None else f"{record.origin}/{number}"
        try:
            events.append(decode(line, origin, record.arrived_at))
        except Rejected as error:
            place = f"line {number + 1} of {len(lines)}: " if len(lines) > 1 else ""
            raise Rejected(f"{place}{error}") from None
    return events


def answer_records(records: Iterable[Record], answer: Answer) -> list[Answered]:
    """What becomes of each record, in their order; all events are answered in one batch."""
    decoded: list[tuple[Record, list[BrowseEvent] | Rejected]] = []
    for record in records:
        try:
            decoded.append((record, events_of(record)))
        except Rejected as error:
            decoded.append((record, error))
    answers = iter(answer([e for _, found in decoded if isinstance(found, list) for e in found]))
    return [
        Answered(record, (), str(found))
        if isinstance(found, Rejected)
        else Answered(record, [next(answers) for _ in found])
        for record, found in decoded
    ]
