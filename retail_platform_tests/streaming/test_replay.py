"""What failed is sent again once it is mended, and then the count closes."""

import json
from pathlib import Path
from typing import Any

import pytest

from lambda_inference import events as contract
from lambda_inference.firehose import transform
from retail_platform.errors import LakeError
from retail_platform.streaming.delivery import LocalDelivery
from retail_platform.streaming.replay import Replayed, replay
from retail_platform_tests.lambda_inference.events import browse, encoded
from retail_platform_tests.lambda_inference.test_firehose import lists_of
from retail_platform_tests.streaming.test_ingestion import Stream, stream_in


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    return stream_in(tmp_path)


def healthy(request: dict[str, Any]) -> dict[str, Any]:
    return transform(request, lists_of(3))


def crashing(_: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("a bug of that day")


def put(folder: Path, *records: bytes, through: Any = healthy) -> None:
    delivery = LocalDelivery(folder / "delivered", through)
    delivery.put(records)
    delivery.flush()


def replayed(stream: Stream, folder: Path) -> Replayed:
    outcome = replay(stream.lake, LocalDelivery(folder / "delivered", healthy))
    stream.take()
    return outcome


def test_before_anything_was_taken_there_is_nothing_to_replay(
    stream: Stream, tmp_path: Path
) -> None:
    with pytest.raises(LakeError, match="never built"):
        replayed(stream, tmp_path)
    stream.take()
    assert replayed(stream, tmp_path) == Replayed()


def test_a_crashed_batch_is_replayed_and_the_count_closes(stream: Stream, tmp_path: Path) -> None:
    sent = [encoded(browse("A01", event_id=f"e-{number}")) for number in range(10)]
    put(tmp_path, *sent[:6])
    put(tmp_path, *sent[6:], through=crashing)
    stream.take()
    assert len(stream.events()) == 6
    assert len(stream.rows("delivery_failures")) == 4
    assert replayed(stream, tmp_path) == Replayed(sent=4)
    assert set(stream.events()) == {f"e-{number}" for number in range(10)}
    assert replayed(stream, tmp_path) == Replayed(delivered=4)
    assert len(stream.events()) == 10


def test_events_without_an_id_count_once_however_often_they_are_replayed(
    stream: Stream, tmp_path: Path
) -> None:
    old = [encoded({"session_id": f"s-{n}", "browse_history": []}) for n in range(3)]
    put(tmp_path, b"\n".join(old[:2]), old[2], through=crashing)
    stream.take()
    first = replay(stream.lake, LocalDelivery(tmp_path / "delivered", healthy))
    again = replay(stream.lake, LocalDelivery(tmp_path / "delivered", healthy))
    assert (first.sent, again.sent) == (3, 3), "the first had not reached the lake yet"
    stream.take()
    rows = stream.rows()
    assert sorted(row["session_id"] for row in rows) == ["s-0", "s-1", "s-2"]
    failed_at = {row["failed_at"] for row in stream.rows("delivery_failures")}
    assert {row["occurred_at"] for row in rows} <= failed_at


def test_what_is_no_event_still_is_left_with_its_reason(stream: Stream, tmp_path: Path) -> None:
    put(tmp_path, b"{", b"{", encoded(browse("A01", schema_version=2)))
    stream.take()
    outcome = replayed(stream, tmp_path)
    assert (outcome.sent, outcome.delivered) == (0, 0)
    assert sorted(outcome.rejected.values()) == [1, 2]
    assert any("schema_version 2 is later than 1" in reason for reason in outcome.rejected)


def test_events_of_a_later_contract_are_replayed_once_it_is_understood(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, encoded(browse("A01", schema_version=2, event_id="e-new")))
    stream.take()
    monkeypatch.setattr(contract, "SCHEMA_VERSION", 2)
    assert replayed(stream, tmp_path) == Replayed(sent=1)
    assert stream.events() == ["e-new"]


def test_a_line_of_another_kind_is_no_event(stream: Stream, tmp_path: Path) -> None:
    stream.lay("processing-failed/2026/03/01/12/odd.gz", json.dumps({"rawData": "%"}).encode())
    stream.take()
    assert replayed(stream, tmp_path).rejected.total() == 1
