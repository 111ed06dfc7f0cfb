"""What has arrived is listed in the order of time, from a day on, in a folder as in a bucket."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_platform.errors import RetailError
from retail_platform.streaming.arrivals import (
    Arrival,
    Arrivals,
    BucketArrivals,
    FolderArrivals,
    day_prefix,
)
from retail_platform_tests.aws import LAKE_BUCKET
from retail_platform_tests.streaming.deliveries import NOON, key, lay, upload

Place = tuple[Arrivals, Callable[[str, bytes], None]]


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return FolderArrivals(tmp_path), lambda key, data: lay(tmp_path, key, data)
    request.getfixturevalue("aws")
    return (
        BucketArrivals(LAKE_BUCKET, "delivered"),
        lambda key, data: upload(LAKE_BUCKET, f"delivered/{key}", data),
    )


def test_nothing_has_arrived_where_nothing_is(place: Place) -> None:
    assert list(place[0].after("recommendations")) == []


def test_objects_are_listed_in_the_order_of_their_keys(place: Place) -> None:
    arrivals, put = place
    keys = [
        key(name, at=NOON + timedelta(hours=hours))
        for hours in (-30, -1, 0, 12, 13)
        for name in ("a.gz", "b.gz", "é.gz")
    ]
    for one in reversed(keys):
        put(one, b"data")
    put(key("x", "processing-failed"), b"data")
    found = list(arrivals.after("recommendations"))
    assert [one.key for one in found] == keys
    assert {one.size for one in found} == {4}
    assert arrivals.read(keys[0]) == b"data"
    since = [
        one.key
        for one in arrivals.after("recommendations", day_prefix("recommendations", NOON.date()))
    ]
    assert since == [one for one in keys if one >= day_prefix("recommendations", NOON.date())]
    assert 0 < len(since) < len(keys)


def test_an_object_that_is_written_anew_is_another_version(place: Place) -> None:
    arrivals, put = place
    put(key("a.gz"), b"one")
    (first,) = arrivals.after("recommendations")
    put(key("a.gz"), b"two")
    (second,) = arrivals.after("recommendations")
    assert first.key == second.key
    assert first.version != second.version


def test_what_is_not_whole_yet_has_not_arrived(tmp_path: Path) -> None:
    lay(tmp_path, key(".a.gz"), b"half")
    assert list(FolderArrivals(tmp_path).after("recommendations")) == []


def test_s3_is_asked_for_what_may_be_new_alone(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for hours in range(0, 240, 24):
        upload(LAKE_BUCKET, f"delivered/{key('a', at=NOON - timedelta(hours=hours))}", b"")
    upload(LAKE_BUCKET, "delivered/recommendations/", b"")
    asked: list[dict[str, Any]] = []
    client = boto3.client("s3")
    client.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: asked.append(dict(params))
    )
    monkeypatch.setattr("retail_platform.streaming.arrivals.client", lambda _: client)
    found = list(
        BucketArrivals(LAKE_BUCKET, "delivered").after(
            "recommendations", day_prefix("recommendations", NOON.date())
        )
    )
    assert len(found) == 1
    assert [one["StartAfter"] for one in asked] == ["delivered/recommendations/2026/03/01/"]


def test_a_bucket_that_is_not_there_is_told(aws: str) -> None:
    with pytest.raises(RetailError, match=r"listing s3://nowhere-retail/delivered"):
        list(BucketArrivals("nowhere-retail", "delivered").after("recommendations"))


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("recommendations/2026/03/01/12/a.gz", date(2026, 3, 1)),
        ("recommendations/2026/02/30/12/a.gz", None),
        ("recommendations/a.gz", None),
        ("recommendations/2026/03/01/a.gz", None),
    ],
)
def test_the_day_is_in_the_key(name: str, day: date | None) -> None:
    assert Arrival(name, "1", 0, NOON).day == day


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_keys_are_in_the_order_of_days(one: date, other: date) -> None:
    assert (day_prefix("f", one) < day_prefix("f", other)) == (one < other)
