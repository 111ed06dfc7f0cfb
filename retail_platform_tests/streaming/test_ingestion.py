"""Each event comes into the lake once, however it was delivered and whatever ingestion dies of."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_inference.answers import RecommendationEvent, Strategy, lines
from retail_platform.build import AuditFailed
from retail_platform.contracts.checks import checks_of
from retail_platform.contracts.loader import load_contracts
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.errors import LakeError
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake, Publication, Version
from retail_platform.lake.s3 import S3Storage
from retail_platform.streaming import daily
from retail_platform.streaming import ingestion as ingestion_module
from retail_platform.streaming.arrivals import BucketArrivals, FolderArrivals
from retail_platform.streaming.ingestion import Ingestion
from retail_platform_tests.aws import LAKE_BUCKET
from retail_platform_tests.streaming.deliveries import (
    NOON,
    answered,
    failures_of,
    ids,
    key,
    lay,
    object_of,
    upload,
)

CONTRACTS = load_contracts()
TABLES = (
    "recommendation_events",
    "recommended_items",
    "browsed_items",
    "delivery_failures",
    "deliveries",
)


@dataclass(frozen=True)
class Stream:
    """A delivery stream and the lake behind it."""

    ingestion: Ingestion
    lay: Callable[[str, bytes], None]

    @property
    def lake(self) -> Lake:
        return self.ingestion.lake

    def deliver(self, name: str, *events: RecommendationEvent) -> None:
        self.lay(key(name), object_of(events))

    def take(self) -> dict[str, int]:
        """Ingests; says how many rows were new in each table."""
        return {one.version.table: one.rows for one in self.ingestion.run()}

    def rows(self, table: str = "recommendation_events") -> list[dict[str, Any]]:
        return sorted(self.lake.rows(table).to_pylist(), key=str)

    def events(self) -> list[str]:
        return [row["event_id"] for row in self.rows()]


def stream_in(folder: Path) -> Stream:
    delivered = folder / "delivered"
    ingestion = Ingestion(
        Lake(FolderStorage(folder / "lake"), CONTRACTS),
        DuckDBEngine("500MB", folder / "spill"),
        FolderArrivals(delivered),
    )
    return Stream(ingestion, lambda key, data: lay(delivered, key, data))


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    return stream_in(tmp_path)


@pytest.fixture(params=["folder", "bucket"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Stream:
    """The same on a laptop and on AWS."""
    if request.param == "folder":
        return stream_in(tmp_path)
    request.getfixturevalue("aws")
    ingestion = Ingestion(
        Lake(S3Storage(LAKE_BUCKET, database_prefix="retail_"), CONTRACTS),
        DuckDBEngine("500MB", tmp_path / "spill"),
        BucketArrivals(LAKE_BUCKET, "delivered"),
    )
    return Stream(ingestion, lambda key, data: upload(LAKE_BUCKET, f"delivered/{key}", data))


def test_before_anything_arrives_the_tables_are_there_and_empty(stream: Stream) -> None:
    assert stream.take() == dict.fromkeys(TABLES, 0)
    assert all(stream.lake.version(name) for name in TABLES)
    assert stream.rows() == []
    assert next(stream.ingestion.pending(), None) is None


def test_what_was_delivered_is_in_the_lake(anywhere: Stream) -> None:
    event = answered(
        "e-1", "A01", "B02", customer_number=103, credit_limit=21000.05, strategy=Strategy.KNOWN
    )
    anywhere.deliver("a.gz", event)
    assert [one.key for one in anywhere.ingestion.pending()] == [key("a.gz")]
    assert anywhere.take() == {
        "recommendation_events": 1,
        "recommended_items": 3,
        "browsed_items": 2,
        "delivery_failures": 0,
        "deliveries": 1,
    }
    assert anywhere.rows() == [
        {
            "event_id": "e-1",
            "event_date": date(2026, 3, 1),
            "occurred_at": NOON,
            "generated_at": NOON + timedelta(seconds=1),
            "session_id": "s-1",
            "customer_number": 103,
            "city": "Nantes",
            "country": "France",
            "credit_limit": Decimal("21000.05"),
            "browsed": 2,
            "recommended": 3,
            "similar_to": "B02",
            "strategy": "known",
            "model_version": "m1",
            "degraded": False,
            "delivered_in": key("a.gz"),
        }
    ]
    items = anywhere.rows("recommended_items")
    assert [(row["rank"], row["product_code"], row["because_of"]) for row in items] == [
        (1, "A", "A01"),
        (2, "B", "A01"),
        (3, "C", "A01"),
    ]
    assert [row["product_code"] for row in anywhere.rows("browsed_items")] == ["A01", "B02"]
    (delivery,) = anywhere.rows("deliveries")
    assert (delivery["object"], delivery["lines"], delivery["added"]) == (key("a.gz"), 1, 1)
    version = anywhere.lake.version("recommendation_events")
    assert version
    assert version.checks == {
        check.name: 0 for check in checks_of(CONTRACTS.table("recommendation_events"))
    }
    assert anywhere.take() == dict.fromkeys(TABLES, 0)


def test_an_event_that_is_delivered_three_times_is_one_row(anywhere: Stream) -> None:
    event = answered("e-1", "A01")
    anywhere.deliver("a.gz", event, event)
    anywhere.deliver("b.gz", event)
    assert anywhere.take()["recommendation_events"] == 1
    anywhere.deliver("c.gz", event, answered("e-2"))
    assert anywhere.take()["recommendation_events"] == 1
    assert anywhere.events() == ["e-1", "e-2"]
    assert len(anywhere.rows("recommended_items")) == 6
    assert [row["added"] for row in anywhere.rows("deliveries")] == [1, 0, 1]


def test_an_event_that_is_sent_again_about_midnight_is_one_row(stream: Stream) -> None:
    for number, hours in enumerate((0, 13, -13)):
        stream.deliver(f"{number}.gz", answered("e-1", at=NOON + timedelta(hours=hours)))
        stream.take()
    assert stream.events() == ["e-1"]


@pytest.mark.parametrize("year", [1, 9999])
def test_a_clock_that_is_far_off_harms_no_one(stream: Stream, year: int) -> None:
    odd = datetime(year, 1, 1, tzinfo=UTC) if year == 1 else datetime(9999, 12, 31, tzinfo=UTC)
    told = lines([answered("e-odd")]).replace(
        NOON.isoformat().replace("+00:00", "Z").encode(), odd.isoformat().encode()
    )
    stream.lay(key("odd.gz"), told)
    stream.deliver("a.gz", answered("e-1"))
    stream.take()
    assert stream.events() == ["e-1", "e-odd"]


def test_objects_of_one_second_are_all_taken(anywhere: Stream) -> None:
    """Whatever S3 says of their time, which has no more than seconds."""
    for number in range(7):
        anywhere.deliver(f"{number}.gz", answered(f"e-{number}"))
        if number % 3 == 0:
            anywhere.take()
    anywhere.take()
    assert anywhere.events() == [f"e-{number}" for number in range(7)]


def test_a_late_object_is_taken_and_a_very_old_one_is_not_looked_for(stream: Stream) -> None:
    stream.deliver("a.gz", answered("e-1"))
    stream.take()
    late, old = (NOON - timedelta(days=days) for days in (1, 30))
    stream.lay(key("late.gz", at=late), object_of([answered("e-0", at=late)]))
    stream.lay(key("old.gz", at=old), object_of([answered("e-old", at=old)]))
    assert [one.key for one in stream.ingestion.pending()] == [key("late.gz", at=late)]
    stream.take()
    assert stream.events() == ["e-0", "e-1"]


def test_a_key_of_the_future_hides_nothing(stream: Stream) -> None:
    future = datetime.now(UTC) + timedelta(days=400)
    stream.lay(key("far.gz", at=future), object_of([answered("e-far")]))
    stream.take()
    now = datetime.now(UTC)
    stream.lay(key("now.gz", at=now), object_of([answered("e-now")]))
    stream.take()
    assert stream.events() == ["e-far", "e-now"]


def test_failed_records_are_kept_with_their_bytes_and_the_reason(anywhere: Stream) -> None:
    from retail_platform_tests.lambda_inference.events import browse, encoded

    valid, bad = encoded(browse("A01")), b'{"session_id": \xff'
    anywhere.lay(key("f.gz", "processing-failed"), failures_of(valid, bad, bad))
    assert anywhere.take()["delivery_failures"] == 3
    rows = anywhere.rows("delivery_failures")
    assert sorted((row["events"], row["data"]) for row in rows) == [(0, bad), (0, bad), (1, valid)]
    assert {row["error_code"] for row in rows} == {"Lambda.FunctionError"}
    assert {row["reason"] is None for row in rows if row["events"]} == {True}
    assert all("not a browse event" in row["reason"] for row in rows if not row["events"])
    assert {row["failure_date"] for row in rows} == {date(2026, 3, 1)}
    anywhere.lay(key("f.gz", "processing-failed"), failures_of(valid, bad, bad)[:-1] + b"\0")
    assert anywhere.take()["delivery_failures"] == 0, "the same object again is no new failure"


ODD = {
    "no JSON": b"nonsense\n",
    "no event": b'{"event_id": "e"}\n',
    "not UTF-8": b'{"event_id": "\xff"}\n',
    "a guess": lines([answered("e", "A01")]).replace(b'"browsed"', b'"guessed"'),
    "before all years": lines([answered("e")]).replace(
        b"2026-03-01T12:00:00Z", b"0001-01-01T00:00:00+14:00"
    ),
    "beyond all years": b'{"rawData": "AA==", "arrivalTimestamp": 9223372036854775807}',
    "badly packed": b"\x1f\x8b\x08\x00 nonsense",
    "no answer": object_of([]),
}


@pytest.mark.parametrize("folder", ["recommendations", "processing-failed"])
def test_lines_that_are_nothing_are_failures_and_hold_nothing_up(
    stream: Stream, folder: str
) -> None:
    for name, data in ODD.items():
        stream.lay(key(f"{name}.gz", folder), data)
    stream.deliver("good.gz", answered("e-1"))
    taken = stream.take()
    assert taken["recommendation_events"] == 1
    assert taken["delivery_failures"] == len(ODD) - 1
    failures = stream.rows("delivery_failures")
    assert {row["error_code"] for row in failures} == {"Lake.Unreadable"}
    assert {row["data"] for row in failures} == {
        data.removesuffix(b"\n") for name, data in ODD.items() if name != "no answer"
    }
    assert next(stream.ingestion.pending(), None) is None


def test_an_object_that_is_cut_off_gives_what_it_has(stream: Stream) -> None:
    events = [answered(f"e-{number:03}", "A01") for number in range(200)]
    stream.lay(key("cut.gz"), object_of(events)[:-200])
    taken = stream.take()
    assert 0 < taken["recommendation_events"] < 200
    assert taken["delivery_failures"] <= 1
    stream.lay(key("cut.gz"), object_of(events))  # it is written anew, whole
    stream.take()
    assert set(stream.events()) == ids(events)


def test_files_are_put_together_as_new_ones_come(stream: Stream) -> None:
    events = [answered(f"e-{number:03}", "A01") for number in range(20)]
    files = []
    for event in events:
        stream.deliver(f"{event.event_id}.gz", event)
        stream.take()
        files.append(len(stream.lake.files("recommendation_events")))
    assert max(files) <= 14, "never more than seven of each size"
    assert set(stream.events()) == ids(events)
    assert len(stream.rows("recommended_items")) == 60
    assert stream.lake.rows("recommended_items").schema.names == list(
        CONTRACTS.table("recommended_items").column_names
    )


def test_large_files_are_left_as_they_are(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "_LARGE_BYTES", 1)
    for number in range(10):
        stream.deliver(f"{number}.gz", answered(f"e-{number}"))
        stream.take()
    assert len(stream.lake.files("recommendation_events")) == 10


def test_each_day_is_stored_by_itself(stream: Stream) -> None:
    days = [NOON + timedelta(days=number) for number in range(3)]
    stream.deliver("a.gz", *(answered(f"e-{at:%d}", at=at) for at in days))
    stream.take()
    files = stream.lake.files("recommendation_events")
    assert {file.month for file in files} == {at.date() for at in days}
    assert len(files) == 3


def test_the_day_is_that_of_utc_wherever_the_laptop_is(tmp_path: Path) -> None:
    """In a process of its own: DuckDB asks the system for its zone once."""
    late = NOON.replace(hour=23, minute=30)
    stream = stream_in(tmp_path)
    stream.lay(key("a.gz", at=late), object_of([answered("e-1", at=late)]))
    script = (
        "import sys, pathlib\n"
        "from retail_platform_tests.streaming.test_ingestion import stream_in\n"
        "stream = stream_in(pathlib.Path(sys.argv[1]))\n"
        "print(stream.take()['recommendation_events'], stream.rows()[0]['event_date'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["1", "2026-03-01"], done.stderr


def test_many_objects_are_taken_in_parts(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion_module, "BATCH_OBJECTS", 3)
    for number in range(10):
        stream.deliver(f"{number}.gz", answered(f"e-{number}"))
    assert stream.take()["recommendation_events"] == 10
    assert len({row["ingested_at"] for row in stream.rows("deliveries")}) == 4
    assert len(stream.events()) == 10


@pytest.mark.parametrize("dies_at", TABLES)
def test_an_ingestion_that_dies_between_commits_loses_and_doubles_nothing(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    stream.deliver("a.gz", answered("e-1", "A01"))
    stream.take()
    stream.deliver("b.gz", answered("e-2", "A01"), answered("e-3", "A01"))
    stream.lay(key("f.gz", "processing-failed"), failures_of(b"{"))
    publish = Lake.publish

    def dying(self: Lake, publication: Publication) -> Version:
        if publication.table.name == dies_at:
            raise KeyboardInterrupt
        return publish(self, publication)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "publish", dying)
        with pytest.raises(KeyboardInterrupt):
            stream.take()
    stream.deliver("c.gz", answered("e-4", "A01"))
    stream.take()
    assert stream.events() == ["e-1", "e-2", "e-3", "e-4"]
    assert len(stream.rows("recommended_items")) == 12
    assert len(stream.rows("browsed_items")) == 4
    assert len(stream.rows("delivery_failures")) == 1
    assert len(stream.rows("deliveries")) == 4
    assert next(stream.ingestion.pending(), None) is None


def test_a_first_ingestion_that_dies_is_no_different(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.deliver("a.gz", answered("e-1", "A01"))
    with monkeypatch.context() as patch:
        patch.setattr(daily.DailyTables, "commit", dies_after(2))
        with pytest.raises(KeyboardInterrupt):
            stream.take()
    stream.take()
    assert stream.events() == ["e-1"]
    assert len(stream.rows("recommended_items")) == 3


def dies_after(commits: int) -> Callable[..., Version]:
    commit = daily.DailyTables.commit
    left = [commits]

    def dying(self: daily.DailyTables, *args: Any) -> Version:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return commit(self, *args)

    return dying


def test_rows_that_break_the_contract_are_not_published(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.deliver("a.gz", answered("e-1"))
    stream.take()
    before = {name: stream.lake.version(name) for name in TABLES}
    stream.deliver("b.gz", answered("e-2"))
    with monkeypatch.context() as patch:
        patch.setattr(
            ingestion_module,
            "event_rows",
            lambda _: (
                {name: [] for name in TABLES}
                | {"recommended_items": [("e-2", NOON.date(), 0, "A", 1.0, "guessed", None)]}
            ),
        )
        with pytest.raises(AuditFailed, match=r"recommended_items\.rank_in_range"):
            stream.take()
    assert {name: stream.lake.version(name) for name in TABLES} == before
    assert stream.take()["recommendation_events"] == 1, "it is taken again once that is mended"


def test_what_cannot_be_taken_back_is_told(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    stream.deliver("a.gz", answered("e-1", "A01"))
    with monkeypatch.context() as patch:
        patch.setattr(daily.DailyTables, "commit", dies_after(1))
        with pytest.raises(KeyboardInterrupt):
            stream.take()
    stream.lake.vacuum(timedelta(0), timedelta(0))
    with pytest.raises(LakeError, match="recommended_items has rows of an ingestion that did not"):
        stream.take()


EVENTS = [answered(f"e-{number}", "A01", at=NOON + timedelta(hours=number)) for number in range(12)]


@settings(
    max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(st.lists(st.sampled_from(EVENTS), max_size=8), max_size=6), st.randoms())
def test_the_lake_has_what_was_delivered_each_once(
    tmp_path_factory: pytest.TempPathFactory,
    objects: list[list[RecommendationEvent]],
    chance: random.Random,
) -> None:
    """However events are shared out among objects, and whenever these are taken."""
    stream = stream_in(tmp_path_factory.mktemp("stream"))
    for number, events in enumerate(objects):
        stream.deliver(f"{number}.gz", *events)
        if chance.random() < 0.5:
            stream.take()
    stream.take()
    sent = {event.event_id for events in objects for event in events}
    assert sorted(stream.events()) == sorted(sent)
    assert len(stream.rows("recommended_items")) == 3 * len(sent)
    assert sum(row["added"] for row in stream.rows("deliveries")) == len(sent)
    assert sum(row["lines"] for row in stream.rows("deliveries")) == sum(map(len, objects))
