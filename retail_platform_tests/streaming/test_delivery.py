"""The laptop's Firehose: nothing that is put is lost, and all is laid down as Firehose would."""

import base64
import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_platform.streaming import delivery as delivery_module
from retail_platform.streaming.arrivals import FolderArrivals
from retail_platform.streaming.delivery import ATTEMPTS, BATCH_RECORDS, LocalDelivery
from retail_platform.streaming.rows import lines_of


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def upper(request: dict[str, Any]) -> dict[str, Any]:
    """Makes records upper case; those with a digit fail, those with a dash are dropped by mistake."""
    records = []
    for record in request["records"]:
        data = base64.b64decode(record["data"])
        if b"-" in data:
            continue
        failed = any(byte in b"0123456789" for byte in data)
        told = record["data"] if failed else base64.b64encode(data.upper() + b"\n").decode()
        records.append(
            {
                "recordId": record["recordId"],
                "result": "ProcessingFailed" if failed else "Ok",
                "data": told,
            }
        )
    return {"records": records[::-1]}


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail_platform.streaming.delivery.time.sleep", lambda _: None)


def laid(folder: Path, kind: str) -> list[bytes]:
    """The lines that were laid down, in the order of their objects."""
    arrivals = FolderArrivals(folder)
    return [line for one in arrivals.after(kind) for line in lines_of(arrivals.read(one.key))]


def failed(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in laid(folder, "processing-failed")]


def test_records_are_transformed_and_laid_down_in_their_order(tmp_path: Path) -> None:
    delivery = LocalDelivery(tmp_path, upper, Clock())
    delivery.put([b"a", b"b", b"c"])
    assert list(FolderArrivals(tmp_path).after("recommendations")) == []
    delivery.flush()
    assert laid(tmp_path, "recommendations") == [b"A", b"B", b"C"]
    (one,) = FolderArrivals(tmp_path).after("recommendations")
    assert one.key.startswith("recommendations/2026/03/01/12/retail-events-1-2026-03-01-12-00-00-")
    assert one.day is not None
    delivery.flush()
    assert len(laid(tmp_path, "recommendations")) == 3, "what was flushed is not laid down again"


def test_failed_records_have_firehoses_fields(tmp_path: Path) -> None:
    delivery = LocalDelivery(tmp_path, upper, Clock())
    delivery.put([b"a", b"7", b"-"])
    delivery.flush()
    assert laid(tmp_path, "recommendations") == [b"A"]
    told = failed(tmp_path)
    assert [base64.b64decode(one["rawData"]) for one in told] == [b"7", b"-"]
    assert told[0].keys() == {
        "attemptsMade",
        "arrivalTimestamp",
        "errorCode",
        "errorMessage",
        "attemptEndingTimestamp",
        "rawData",
        "lambdaArn",
    }
    assert {one["errorCode"] for one in told} == {"Lambda.ProcessingFailedStatus"}


def test_a_function_that_dies_is_tried_again(tmp_path: Path) -> None:
    tries = Counter[int]()

    def dies(request: dict[str, Any]) -> dict[str, Any]:
        tries[len(request["records"])] += 1
        if tries.total() < ATTEMPTS:
            raise RuntimeError("out of memory")
        return upper(request)

    delivery = LocalDelivery(tmp_path, dies, Clock())
    delivery.put([b"a", b"b"])
    delivery.flush()
    assert laid(tmp_path, "recommendations") == [b"A", b"B"]
    assert tries == {2: ATTEMPTS}


def test_the_batch_of_a_function_that_keeps_dying_is_kept(tmp_path: Path) -> None:
    def dies(_: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("out of memory")

    delivery = LocalDelivery(tmp_path, dies, Clock())
    delivery.put([b"a", b"b"])
    delivery.flush()
    told = failed(tmp_path)
    assert [base64.b64decode(one["rawData"]) for one in told] == [b"a", b"b"]
    assert {one["errorCode"] for one in told} == {"Lambda.FunctionError"}
    assert all("RuntimeError: out of memory" in one["errorMessage"] for one in told)


def test_a_record_waits_neither_for_many_nor_for_long(tmp_path: Path) -> None:
    clock = Clock()
    delivery = LocalDelivery(tmp_path, upper, clock)
    delivery.put([b"a"])
    clock.passes(delivery_module.BATCH_SECONDS)
    delivery.tick()
    assert laid(tmp_path, "recommendations") == []
    clock.passes(delivery_module.BUFFER_SECONDS)
    delivery.tick()
    assert laid(tmp_path, "recommendations") == [b"A"]
    clock.passes(60)
    delivery.tick()
    assert len(list(FolderArrivals(tmp_path).after("recommendations"))) == 1


def test_objects_are_of_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "BUFFER_BYTES", 1_000)
    delivery = LocalDelivery(tmp_path, upper, Clock())
    for _ in range(10):
        delivery.put([b"x" * 9] * BATCH_RECORDS)
    assert len(list(FolderArrivals(tmp_path).after("recommendations"))) == 10


def test_keys_are_in_the_order_of_time(tmp_path: Path) -> None:
    clock = Clock()
    delivery = LocalDelivery(tmp_path, upper, clock)
    for letter in b"abcdef":
        delivery.put([bytes([letter])])
        delivery.flush()
        clock.passes(1_000)
    assert laid(tmp_path, "recommendations") == [b"A", b"B", b"C", b"D", b"E", b"F"]


def test_packed_objects_are_packed(tmp_path: Path) -> None:
    delivery = LocalDelivery(tmp_path, upper, Clock())
    delivery.put([b"a"])
    delivery.flush()
    (one,) = FolderArrivals(tmp_path).after("recommendations")
    assert gzip.decompress(FolderArrivals(tmp_path).read(one.key)) == b"A\n"


@given(st.lists(st.lists(st.binary(min_size=1, max_size=4), max_size=250), max_size=4))
def test_what_is_put_is_laid_down_or_kept_as_failed(
    tmp_path_factory: pytest.TempPathFactory, puts: list[list[bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("delivered")
    delivery = LocalDelivery(folder, lambda request: encoded_transform(request), Clock())
    for records in puts:
        delivery.put(records)
    delivery.flush()
    answered = [base64.b64decode(line) for line in laid(folder, "recommendations")]
    kept = [base64.b64decode(one["rawData"]) for one in failed(folder)]
    assert Counter(answered + kept) == Counter(one for records in puts for one in records)


def encoded_transform(request: dict[str, Any]) -> dict[str, Any]:
    """Answers a record's base64 as a line; odd bytes at its beginning fail."""
    return {
        "records": [
            {
                "recordId": record["recordId"],
                "result": "Ok" if base64.b64decode(record["data"])[0] % 2 else "ProcessingFailed",
                "data": base64.b64encode(record["data"].encode() + b"\n").decode(),
            }
            for record in request["records"]
        ]
    }
