"""Sends failed records again, once what they failed of was mended."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from lambda_inference.events import BrowseEvent, Rejected
from lambda_inference.records import Record, events_of
from retail_platform.lake.lake import Lake
from retail_platform.streaming.sending import Sink, encoded

_AT_A_TIME = 500


@dataclass
class Replayed:
    """What became of failed records.

    Attributes:
        sent: Events that were sent again.
        delivered: Events that had reached the lake already.
        rejected: Records that are no events still, by the reason.
    """

    sent: int = 0
    delivered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def replay(lake: Lake, sink: Sink) -> Replayed:
    """Sends the events of `delivery_failures` that are not in `recommendation_events`.

    An event without an id gets one of its failure's, so that however often it is replayed, it counts
    once.

    Args:
        lake: Where both tables are.
        sink: Where events go.

    Raises:
        LakeError: Nothing was ever taken into the lake.
    """
    ids = lake.rows("recommendation_events", columns=["event_id"])["event_id"]
    there = set(ids.to_pylist())
    outcome = Replayed()
    waiting: list[bytes] = []
    failures = lake.batches("delivery_failures")
    for failure in (failure for batch in failures for failure in batch.to_pylist()):
        try:
            events = events_of(Record("", failure["data"] or b"", origin=failure["failure_id"]))
        except Rejected as rejected:
            outcome.rejected[str(rejected)] += 1
            continue
        for event in events:
            if event.event_id in there:
                outcome.delivered += 1
                continue
            there.add(event.event_id)
            waiting.append(encoded(_dated(event, failure["failed_at"])))
            outcome.sent += 1
        if len(waiting) >= _AT_A_TIME:
            sink.put(waiting)
            waiting = []
    sink.put(waiting)
    sink.flush()
    return outcome


def _dated(event: BrowseEvent, at: object) -> BrowseEvent:
    """An event of an older producer has no time; it was given up soon after it came."""
    if event.occurred_at is not None:
        return event
    return msgspec.structs.replace(event, occurred_at=at)
