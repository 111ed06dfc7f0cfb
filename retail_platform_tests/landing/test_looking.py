"""However many files there are, a look costs little, and in some looks all are seen."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_platform.landing import looking
from retail_platform.landing.looking import Place
from retail_platform.streaming.arrivals import FolderArrivals
from retail_platform_tests.aws import LAKE_BUCKET
from retail_platform_tests.landing.exports import Landed, landed_in, landed_in_bucket


@pytest.fixture(params=["folder", "bucket"])
def landed(request: pytest.FixtureRequest, tmp_path: Path) -> Landed:
    if request.param == "folder":
        return landed_in(tmp_path, "ratings", "customers")
    request.getfixturevalue("aws")
    return landed_in_bucket(tmp_path, "ratings", "customers")


def pending(landed: Landed, place: Place | None = None) -> list[str]:
    return [one.key for one in landed.landing.look(place or Place()).pending]


def test_files_of_landed_tables_are_seen_until_they_are_taken(landed: Landed) -> None:
    assert pending(landed) == []
    for key in ("ratings/b/x.csv", "ratings/b.csv", "ratings/a.csv", "customers/deep/er/a.json"):
        landed.put(key, b"x")
    for other in ("orders/a.csv", "a.csv", "ratings_old/a.csv", "nothing/a.csv"):
        landed.put(other, b"x")
    assert pending(landed) == [
        "customers/deep/er/a.json",
        "ratings/a.csv",
        "ratings/b.csv",
        "ratings/b/x.csv",
    ]
    assert pending(landed) == pending(landed), "looking takes nothing"
    landed.take("ratings")
    assert pending(landed) == ["customers/deep/er/a.json"]
    landed.put("ratings/b.csv", b"y")
    assert pending(landed) == ["customers/deep/er/a.json", "ratings/b.csv"]


def test_marks_of_other_programs_are_no_files(landed: Landed) -> None:
    for name in ("_SUCCESS", "_committed_1", ".part.csv"):
        landed.put(f"ratings/{name}", b"")
    assert pending(landed) == []


def test_two_files_of_one_second_are_both_seen(landed: Landed) -> None:
    """S3 tells the second of an object, and no more."""
    landed.put("ratings/b.csv", b"x")
    landed.take("ratings")
    landed.put("ratings/a.csv", b"x")
    landed.put("ratings/c.csv", b"x")
    assert pending(landed) == ["ratings/a.csv", "ratings/c.csv"]


def test_a_file_that_may_still_grow_has_not_landed(tmp_path: Path) -> None:
    landed = landed_in(tmp_path, "ratings")
    landed.put("ratings/a.csv", b"x")
    os.utime(tmp_path / "landing/ratings/a.csv")
    assert pending(landed) == []
    past = (datetime.now(UTC) - FolderArrivals.settling - timedelta(seconds=1)).timestamp()
    os.utime(tmp_path / "landing/ratings/a.csv", (past, past))
    assert pending(landed) == ["ratings/a.csv"]


def test_whoever_asks_for_all_need_not_wait_himself(tmp_path: Path) -> None:
    """`retail build` right after a file was laid down takes it."""
    landed = landed_in(tmp_path, "ratings")
    landed.land("ratings/a.csv", [(1, "A", 5)])
    os.utime(tmp_path / "landing/ratings/a.csv")
    assert pending(landed) == []
    assert landed.take("ratings")["ratings"].files == 1
    future = (datetime.now(UTC) + timedelta(hours=1)).timestamp()
    landed.land("ratings/b.csv", [(1, "A", 4)])
    os.utime(tmp_path / "landing/ratings/b.csv", (future, future))
    assert landed.take("ratings")["ratings"].files == 0, "a clock that is wrong is not waited for"


def test_looks_go_round_and_see_what_is_newest_each_time(
    landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LOOK_OBJECTS", 3)
    for number in range(7):
        landed.put(f"ratings/{number}.csv", b"x")
    landed.put("customers/0.csv", b"x")
    landed.take("ratings", "customers")
    first = landed.landing.look(Place())
    assert first.pending == ()
    assert first.next == Place(
        "ratings/1.csv", {"customers": "customers/0.csv", "ratings": "ratings/1.csv"}
    )
    second = landed.landing.look(first.next)
    third = landed.landing.look(second.next)
    assert third.next == Place("", {"customers": "customers/0.csv", "ratings": "ratings/6.csv"})
    # What comes behind the newest is seen from wherever the next look begins.
    landed.put("ratings/7.csv", b"x")
    landed.put("customers/1.csv", b"x")
    for place in (third.next, Place("ratings/1.csv", third.next.newest)):
        assert pending(landed, place) == ["customers/1.csv", "ratings/7.csv"]
    # What comes before it is seen when its turn comes.
    landed.put("ratings/4a.csv", b"x")
    place, seen = third.next, set[str]()
    for _ in range(4):
        look = landed.landing.look(place)
        place = look.next
        seen |= {one.key for one in look.pending}
    assert seen == {"customers/1.csv", "ratings/7.csv", "ratings/4a.csv"}
    assert pending(landed, Place("zzz", {"gone": "gone/1"})) == []


def test_a_look_asks_s3_for_so_many_and_no_more(
    aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed = landed_in_bucket(tmp_path, "ratings")
    for number in range(25):
        landed.put(f"ratings/{number:02}.csv", b"x")
    landed.take("ratings")
    asked: list[dict[str, Any]] = []
    client = boto3.client("s3")

    def note(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 5  # of a thousand, which S3 gives at a time
        asked.append(dict(params))

    client.meta.events.register("provide-client-params.s3.ListObjectsV2", note)
    monkeypatch.setattr("retail_platform.streaming.arrivals.client", lambda _: client)
    monkeypatch.setattr(looking, "LOOK_OBJECTS", 10)
    watched = landed_in_bucket(tmp_path, "ratings")
    look = watched.landing.look(Place("ratings/09.csv", {"ratings": "ratings/24.csv"}))
    assert look.next.behind == "ratings/19.csv"
    assert [one["StartAfter"] for one in asked if "ContinuationToken" not in one] == [
        "landing/ratings/24.csv",
        "landing/ratings/09.csv",
    ]
    assert len(asked) == 3
    assert boto3.client("s3").list_objects_v2(Bucket=LAKE_BUCKET)["KeyCount"] > 25


@pytest.mark.parametrize("text", [None, "", "nonsense", "[]", "1", '{"behind": 3, "newest": []}'])
def test_a_lost_place_is_the_beginning(text: str | None) -> None:
    place = Place.load(text)
    assert place.newest == {}
    assert Place.load(Place("a/b", {"a": "a/c"}).dump()) == Place("a/b", {"a": "a/c"})


NAMES = st.lists(st.sampled_from(["a", "a.csv", "a-b", "b", "é"]), min_size=1, max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(NAMES, max_size=8), st.integers(0, 8))
def test_a_folder_lists_in_the_order_of_keys_and_from_any_of_them(
    tmp_path_factory: pytest.TempPathFactory, names: list[list[str]], behind: int
) -> None:
    folder = tmp_path_factory.mktemp("listed")
    for name in names:
        path = folder.joinpath("ratings", *name)
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    arrivals = FolderArrivals(folder)
    assert [one.key for one in arrivals.after("ratings")] == files
    for key in [*files[:behind], "ratings/a/zz", "ratings/"]:
        assert [one.key for one in arrivals.after("ratings", key)] == [f for f in files if f > key]
