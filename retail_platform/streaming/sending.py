"""Events on their way: to a stream of Kinesis, or through the Lambda's handler on this machine."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import msgspec

from lambda_inference.events import BrowseEvent
from retail_platform.aws import aws_errors, client
from retail_platform.errors import StreamError

_ENCODER = msgspec.json.Encoder()

MOST_RECORDS, MOST_BYTES = 500, 4_000_000
"""Of one call to Kinesis."""

ATTEMPTS = 8
"""Of a record that a full shard refuses."""


class Sink(Protocol):
    """Where records go."""

    def put(self, records: Sequence[bytes]) -> None:
        """Sends records."""

    def tick(self) -> None:
        """Is told every now and then, for what has waited long enough."""

    def flush(self) -> None:
        """Sends all that waits."""


def encoded(event: BrowseEvent) -> bytes:
    """An event as it is sent."""
    return _ENCODER.encode(event)


class KinesisSink:
    """A stream of Kinesis.

    Args:
        stream: Its name (RETAIL_EVENT_STREAM).
        pause: Sleeps, between the attempts at what was refused.
    """

    def __init__(self, stream: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._stream = stream
        self._pause = pause

    @cached_property
    def _kinesis(self) -> Any:
        return client("kinesis")

    def put(self, records: Sequence[bytes]) -> None:
        """Sends records; those that are refused for the moment are sent again.

        Raises:
            StreamError: They are refused for good.
            RetailError: AWS refuses the call.
        """
        for call in _calls(records):
            waiting = call
            for attempt in range(ATTEMPTS):
                if attempt:
                    self._pause(0.1 * 2**attempt)
                waiting = self._refused(waiting)
                if not waiting:
                    break
            else:
                raise StreamError(
                    f"the stream {self._stream} refused {len(waiting)} events {ATTEMPTS} times: "
                    "send fewer a second, or give it more shards"
                )

    def tick(self) -> None:
        """Nothing waits."""

    def flush(self) -> None:
        """Nothing waits."""

    def _refused(self, records: Sequence[bytes]) -> list[bytes]:
        with aws_errors(f"sending to the stream {self._stream}", "correct RETAIL_EVENT_STREAM"):
            answer = self._kinesis.put_records(
                StreamName=self._stream,
                Records=[{"Data": data, "PartitionKey": _key(data)} for data in records],
            )
        told: list[dict[str, Any]] = answer["Records"]
        return [data for data, one in zip(records, told, strict=True) if one.get("ErrorCode")]


def _calls(records: Sequence[bytes]) -> Iterator[list[bytes]]:
    call: list[bytes] = []
    size = 0
    for data in records:
        if call and (len(call) == MOST_RECORDS or size + len(data) > MOST_BYTES):
            yield call
            call, size = [], 0
        call.append(data)
        size += len(data)
    if call:
        yield call


class _OfVisit(msgspec.Struct):
    session_id: str = ""


_VISIT = msgspec.json.Decoder(_OfVisit)


def _key(data: bytes) -> str:
    """By which shards are chosen: the events of a visit stay in their order."""
    try:
        return _VISIT.decode(data).session_id[:256] or "none"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "none"


def send(
    events: Iterator[BrowseEvent],
    sink: Sink,
    *,
    rate: float,
    seconds: float | None,
    count: int | None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Generator[int, None, None]:
    """Sends events at a rate, until there were enough; says how many there are now and then.

    Args:
        events: What is sent.
        sink: Where to.
        rate: Events a second; 0 for as many as there can be.
        seconds: How long; None for no end.
        count: How many; None for no end.
        clock: Gives the time in seconds.
        pause: Sleeps.
    """
    began = clock()
    sent = 0
    try:
        while count is None or sent < count:
            passed = clock() - began
            if seconds is not None and passed >= seconds:
                break
            due = (int(passed * rate) + 1 if rate else sent + 100) - sent
            if count is not None:
                due = min(due, count - sent)
            if due > 0:
                sink.put([encoded(next(events)) for _ in range(min(due, 1000))])
                sent += min(due, 1000)
                yield sent
            else:
                sink.tick()
                pause(min(0.05, 1 / rate))
    finally:
        sink.flush()
