"""Events are sent at their rate, to Kinesis each once although shards refuse some."""

import json
from collections.abc import Sequence
from itertools import count, islice
from typing import Any

import boto3
import pytest

from lambda_inference.events import BrowseEvent, decode
from retail_platform.errors import RetailError, StreamError
from retail_platform.streaming import sending
from retail_platform.streaming.sending import KinesisSink, encoded, send
from retail_platform_tests.lambda_inference.events import browse
from retail_platform_tests.lambda_inference.events import encoded as raw

STREAM = "browse-events"


def events() -> Any:
    return (decode(raw(browse("A01", event_id=f"e-{n}", session_id=f"s-{n % 7}"))) for n in count())


class Noted:
    """A sink that notes what it is given, and when."""

    def __init__(self) -> None:
        self.time = 0.0
        self.put_at: list[tuple[float, int]] = []
        self.flushed = False

    def put(self, records: Sequence[bytes]) -> None:
        self.put_at.append((self.time, len(records)))

    def tick(self) -> None: ...

    def flush(self) -> None:
        self.flushed = True

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds


def sent_by(sink: Noted, **how: Any) -> int:
    limits = {"seconds": None, "count": None} | how
    told = list(send(events(), sink, clock=lambda: sink.time, pause=sink.pause, **limits))
    assert sink.flushed
    return told[-1] if told else 0


def test_events_are_sent_at_their_rate() -> None:
    sink = Noted()
    assert sent_by(sink, rate=50, seconds=10) == pytest.approx(500, abs=1)
    first_half = sum(number for at, number in sink.put_at if at < 5)
    assert first_half == pytest.approx(250, abs=3)


def test_a_slow_rate_is_kept_too() -> None:
    assert sent_by(Noted(), rate=0.5, seconds=10) == 5


def test_as_many_as_are_asked_for() -> None:
    assert sent_by(Noted(), rate=1000, count=77) == 77
    assert sent_by(Noted(), rate=0, count=250) == 250
    assert sent_by(Noted(), rate=10, seconds=0) == 0


def test_what_waits_is_flushed_although_it_is_interrupted() -> None:
    sink = Noted()
    stream = send(events(), sink, rate=0, seconds=None, count=None)
    next(stream)
    stream.close()
    assert sink.flushed


@pytest.fixture
def stream(aws: str) -> str:
    boto3.client("kinesis").create_stream(StreamName=STREAM, ShardCount=2)
    return STREAM


def received() -> list[dict[str, Any]]:
    kinesis = boto3.client("kinesis")
    found = []
    for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = kinesis.get_records(ShardIterator=iterator, Limit=10_000)["Records"]
        found += [json.loads(record["Data"]) for record in records]
    return found


def test_events_come_into_the_stream_in_the_order_of_their_visit(stream: str) -> None:
    KinesisSink(stream).put([encoded(event) for event in islice(events(), 1_200)])
    found = received()
    assert {one["event_id"] for one in found} == {f"e-{n}" for n in range(1_200)}
    for visit in range(7):
        order = [int(one["event_id"][2:]) for one in found if one["session_id"] == f"s-{visit}"]
        assert order == sorted(order)


class Full:
    """A Kinesis whose shards take every third record of a call."""

    def __init__(self, takes: bool = True) -> None:
        self.takes = takes
        self.taken: list[bytes] = []
        self.calls: list[int] = []

    def put_records(self, **arguments: Any) -> dict[str, Any]:
        records = arguments["Records"]
        self.calls.append(len(records))
        told: list[dict[str, str]] = []
        for number, record in enumerate(records):
            if self.takes and number % 3 == 0:
                self.taken.append(record["Data"])
                told.append({"SequenceNumber": "1"})
            else:
                told.append({"ErrorCode": "ProvisionedThroughputExceededException"})
        return {"Records": told}


def test_what_a_full_shard_refuses_is_sent_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Full()
    monkeypatch.setattr(sending, "client", lambda _: full)
    records = [encoded(event) for event in islice(events(), 20)]
    KinesisSink("s", lambda _: None).put(records)
    assert sorted(full.taken) == sorted(records)
    assert full.calls == sorted(full.calls, reverse=True)


def test_a_stream_that_takes_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "client", lambda _: Full(takes=False))
    with pytest.raises(StreamError, match=r"refused 3 events 8 times: .* more shards"):
        KinesisSink("s", lambda _: None).put([b"a", b"b", b"c"])


def test_calls_are_within_kinesis_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Full()
    monkeypatch.setattr(sending, "client", lambda _: full)
    monkeypatch.setattr(sending, "MOST_BYTES", 100)
    KinesisSink("s", lambda _: None).put([b"x" * 60] * 3)
    assert full.calls == [1, 1, 1]


def test_a_stream_that_is_not_there_is_told(aws: str) -> None:
    with pytest.raises(RetailError, match="sending to the stream nowhere"):
        KinesisSink("nowhere").put([b"{}"])


def test_an_event_is_what_it_was() -> None:
    event: BrowseEvent = next(events())
    assert decode(encoded(event)) == event
