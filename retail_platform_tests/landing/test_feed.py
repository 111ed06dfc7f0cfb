"""Files are merged into the raw layer, each version of them once, whatever an ingestion dies of."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_platform import build
from retail_platform.build import AuditFailed, PublicationStopped
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.model import Column
from retail_platform.engines.spark import SparkEngine
from retail_platform.errors import ConfigurationError, LakeError
from retail_platform.lake.lake import Lake, Publication, Version
from retail_platform.landing import feed
from retail_platform.landing.feed import Taken
from retail_platform_tests.landing.exports import (
    Landed,
    export,
    landed_in,
    landed_in_bucket,
    order,
    with_feed,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def landed(tmp_path: Path) -> Landed:
    return landed_in(tmp_path, "ratings", "orders", "customers")


def failing(taken: Taken) -> dict[str, str]:
    return {check.check.name: check.detail for check in taken.checks if not check.passed}


# Merging


def test_rows_with_a_new_key_are_added_and_others_take_their_place(landed: Landed) -> None:
    landed.land("ratings/a.csv", [(103, "A", 5), (103, "B", 4), (112, "A", 1)])
    first = landed.take("ratings")["ratings"]
    assert (first.files, first.set_aside, first.rows, first.version.row_count) == (1, 0, 3, 3)
    landed.land("ratings/b.csv", [(103, "B", 2), (114, "C", 3)])
    second = landed.take("ratings")["ratings"]
    assert (second.files, second.rows, second.version.row_count) == (1, 2, 4)
    assert landed.rows("ratings") == [(103, "A", 5), (103, "B", 2), (112, "A", 1), (114, "C", 3)]
    assert all(check.passed for check in second.checks)
    assert second.version.source_totals == {"": {"rows": Decimal(4)}}


def test_a_row_whose_date_changes_leaves_its_old_month(landed: Landed) -> None:
    landed.land(
        "orders/a.csv",
        [order(1, "2003-01-06"), order(2, "2003-02-06"), order(3, "2005-05-31")],
    )
    landed.take("orders")
    untouched = {file.uri for file in landed.lake.files("orders") if file.month == date(2005, 5, 1)}
    landed.land("orders/b.csv", [order(1, "2003-03-31", "Cancelled")])
    taken = landed.take("orders")["orders"]
    assert [(row[0], row[1], row[4]) for row in landed.rows("orders")] == [
        (1, date(2003, 3, 31), "Cancelled"),
        (2, date(2003, 2, 6), "Shipped"),
        (3, date(2005, 5, 31), "Shipped"),
    ]
    files = landed.lake.files("orders")
    assert {file.month for file in files} == {date(2003, 2, 1), date(2003, 3, 1), date(2005, 5, 1)}
    assert untouched <= {file.uri for file in files}, "months without news are left alone"
    assert taken.version.source_totals["2003-03"] == {
        "rows": Decimal(1),
        "sales": Decimal(0),
        "shipped": Decimal(0),
    }
    assert "2003-01" not in taken.version.source_totals
    assert set(failing(taken)) == {"customer_number_exists"}, "there are no customers yet"


def test_of_one_key_in_several_files_the_last_that_was_written_counts(landed: Landed) -> None:
    landed.land("ratings/z.csv", [(1, "A", 1), (1, "B", 1)])
    landed.land("ratings/a.csv", [(1, "A", 2)])
    landed.land("ratings/m.csv", [(1, "A", 3), (2, "A", 3)])
    assert landed.take("ratings")["ratings"].files == 3
    assert landed.rows("ratings") == [(1, "A", 3), (1, "B", 1), (2, "A", 3)]


KEYS = st.tuples(st.integers(1, 4), st.sampled_from("AB"))
FILES = st.lists(st.dictionaries(KEYS, st.integers(0, 5), max_size=5), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(files=FILES, taken_after=st.sets(st.integers(0, 5)))
def test_any_files_come_to_what_their_last_rows_say(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[dict[tuple[int, str], int]],
    taken_after: set[int],
) -> None:
    landed = landed_in(tmp_path_factory.mktemp("landed"), "ratings")
    expected: dict[tuple[int, str], int] = {}
    for number, rows in enumerate(files):
        landed.land(f"ratings/{number}.csv", [(*key, value) for key, value in rows.items()])
        expected |= rows
        if number in taken_after:
            landed.take()
    landed.take()
    assert landed.rows("ratings") == sorted(
        ((*key, value) for key, value in expected.items()), key=str
    )
    assert len(landed.ledger()) == len(files)
    assert all(
        check.passed
        for audit in landed.landing.builder.audit(landed.landing.tables)
        for check in audit.checks
    )


def test_spark_merges_as_duckdb_does(tmp_path: Path, spark: "SparkSession") -> None:
    both = [
        landed_in(tmp_path / "duckdb", "ratings", "orders"),
        landed_in(tmp_path / "spark", "ratings", "orders", engine=SparkEngine(lambda: spark)),
    ]
    for landed in both:
        landed.land("ratings/a.csv", [(1, "A", 1), (1, "B", 1)])
        landed.land("orders/a.csv", [order(1, "2003-01-06"), order(2, "2003-02-06")])
        landed.take()
        landed.land("ratings/b.csv", [(1, "A", 2)])
        landed.land("orders/b.csv", [order(1, "2003-03-31"), order(3, "2003-02-01")])
        landed.take()
    one, other = both
    for table in ("ratings", "orders"):
        assert other.rows(table) == one.rows(table)
        theirs, ours = other.lake.version(table), one.lake.version(table)
        assert theirs
        assert ours
        assert theirs.measures == ours.measures == ours.source_totals


# Each version once


def test_on_s3_too_each_version_is_taken_once(aws: str, tmp_path: Path) -> None:
    """The merge itself is tested with a real engine of S3 in `test_aws`; here nothing is merged."""
    landed = landed_in_bucket(tmp_path, "ratings")
    landed.put("ratings/a.csv", b"nonsense")
    landed.put("ratings/b.csv", b"nonsense")
    assert landed.take()["landed_files"].set_aside == 2
    assert landed.take()["landed_files"].files == 0
    landed.put("ratings/a.csv", b"other nonsense")
    assert landed.take()["landed_files"].files == 1
    assert landed.lake.rows("landed_files").num_rows == 3


def test_a_file_that_is_put_back_as_it_was_is_taken_again(landed: Landed) -> None:
    for value in (1, 2, 1):
        landed.land("ratings/a.csv", [(1, "A", value)])
        landed.take("ratings")
        assert landed.rows("ratings") == [(1, "A", value)]


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_time(
    landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed.land("ratings/a.csv", [(1, "A", 1)])
    fetch = type(landed.landing.arrivals).fetch

    def fetched(self: Any, arrival: Any, path: Path) -> bool:
        landed.land("ratings/a.csv", [(1, "A", 2)])
        return fetch(self, arrival, path)

    with monkeypatch.context() as patch:
        patch.setattr(type(landed.landing.arrivals), "fetch", fetched)
        assert landed.take("ratings")["landed_files"].files == 0
    assert landed.take("ratings")["landed_files"].files == 1
    assert landed.rows("ratings") == [(1, "A", 2)]


def test_a_file_that_is_deleted_meanwhile_is_no_failure(
    landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed.land("ratings/a.csv", [(1, "A", 1)])
    monkeypatch.setattr(type(landed.landing.arrivals), "fetch", lambda *_: False)
    assert landed.take("ratings")["landed_files"].files == 0


@pytest.mark.parametrize("commits", [0, 1, 2, 3])
def test_an_ingestion_that_dies_is_done_again(
    landed: Landed, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """It commits ratings, orders and the ledger."""
    landed.land("ratings/a.csv", [(1, "A", 1), (1, "B", 1)])
    landed.land("orders/a.csv", [order(1, "2003-01-06")])
    landed.take("ratings", "orders")
    landed.land("ratings/b.csv", [(1, "A", 2)])
    landed.land("orders/b.csv", [order(1, "2003-02-06"), order(2, "2003-03-06")])
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "publish", dies_after(commits))
        if commits < 3:
            with pytest.raises(KeyboardInterrupt):
                landed.take("ratings", "orders")
        else:
            landed.take("ratings", "orders")
    again = landed.take("ratings", "orders")
    assert again["landed_files"].files == (2 if commits < 3 else 0)
    assert landed.rows("ratings") == [(1, "A", 2), (1, "B", 1)]
    assert [row[:2] for row in landed.rows("orders")] == [
        (1, date(2003, 2, 6)),
        (2, date(2003, 3, 6)),
    ]
    assert landed.lake.rows("landed_files").num_rows == 4
    for audit in landed.landing.builder.audit([landed.landing.contracts.table("orders")]):
        assert not any(check.blocks for check in audit.checks)


def dies_after(commits: int) -> Callable[..., Version]:
    publish = Lake.publish
    left = [commits]

    def dying(self: Lake, publication: Publication) -> Version:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return publish(self, publication)

    return dying


def test_many_files_are_merged_some_at_a_time(
    landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BATCH_OBJECTS", 3)
    for number in range(8):
        landed.land(f"ratings/{number}.csv", [(1, "A", number % 6), (number, "B", 1)])
    taken = landed.take("ratings")
    assert (taken["ratings"].files, taken["landed_files"].files) == (8, 8)
    assert len(landed.lake.history("ratings")) == 3
    assert (1, "A", 1) in landed.rows("ratings")
    landed.put("ratings/8.csv", b"none")
    for number in range(9, 14):
        landed.land(f"ratings/{number}.csv", [(number, "B", 1)])
    told = landed.take("ratings")["landed_files"]
    assert (told.files, told.set_aside) == (6, 1)
    assert failing(told)["none_set_aside"].startswith("1 offending"), "of the first of two batches"


# Set aside


def test_a_bad_file_is_set_aside_whole_and_the_others_are_merged(landed: Landed) -> None:
    landed.land("orders/good.csv", [order(1, "2003-01-06")])
    landed.land("orders/month.csv", [order(2, "2003-01-06"), order(3, "2999-01-01")])
    landed.land("orders/twice.csv", [order(4, "2003-01-06"), order(4, "2003-02-06")])
    landed.land("ratings/range.csv", [(1, "A", 6)])
    landed.land("ratings/null.csv", [(None, "A", 5)])
    landed.put("ratings/text.csv", b"customer_number,product_code,product_rating\n1,A,five\n")
    landed.put("customers/cut.parquet", b"PAR1")
    taken = landed.take()
    assert [row[0] for row in landed.rows("orders")] == [1]
    assert landed.rows("ratings") == []
    assert taken["landed_files"].set_aside == 6
    told = landed.ledger()
    assert told.pop("orders/good.csv") is None
    reasons = {key: str(reason) for key, reason in told.items()}
    assert "row 2: order_date 2999-01-01 is not in 2003-01.." in reasons["orders/month.csv"]
    assert "primary_key: (order_number) identifies a row" in reasons["orders/twice.csv"]
    assert "product_rating_in_range" in reasons["ratings/range.csv"]
    assert "not_null" in reasons["ratings/null.csv"]
    assert "row 1: product_rating 'five' is no int" in reasons["ratings/text.csv"]
    assert "arquet" in reasons["customers/cut.parquet"]
    assert failing(taken["landed_files"])["none_set_aside"].startswith("6 offending")
    assert taken["landed_files"].version.checks["none_set_aside"] == 6
    assert "customers" not in taken, "of which nothing has landed"
    assert landed.take()["landed_files"].files == 0, "it is not tried again and again"


def test_a_file_that_is_mended_is_taken(landed: Landed) -> None:
    landed.land("ratings/a.csv", [(1, "A", 6)])
    landed.take("ratings")
    landed.land("ratings/a.csv", [(1, "A", 5)])
    taken = landed.take("ratings")
    assert landed.rows("ratings") == [(1, "A", 5)]
    assert landed.ledger() == {"ratings/a.csv": None}
    assert not failing(taken["landed_files"])


def test_columns_that_the_contract_does_not_have_are_told(landed: Landed) -> None:
    data = b"customer_number,product_code,product_rating,colour\n1,A,5,red\n"
    landed.put("ratings/a.csv", data)
    taken = landed.take("ratings")["ratings"]
    assert failing(taken) == {
        "reads_every_column": "sql/raw/schema.yml does not have colour; add them there, or not"
    }
    assert taken.version.checks["reads_every_column"] == 1
    assert landed.rows("ratings") == [(1, "A", 5)]


def test_a_file_without_rows_changes_nothing(landed: Landed) -> None:
    landed.land("ratings/a.csv", [(1, "A", 5)])
    before = landed.take("ratings")["ratings"].version
    landed.land("ratings/b.csv", [])
    taken = landed.take("ratings")
    assert taken["ratings"].version == before
    assert landed.ledger() == {"ratings/a.csv": None, "ratings/b.csv": None}


# One feed


def test_a_merge_that_loses_a_row_is_not_published(
    landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed.land("orders/a.csv", [order(1, "2003-01-06"), order(2, "2003-01-07")])
    before = landed.take("orders")["orders"].version
    landed.land("orders/b.csv", [order(2, "2003-01-08"), order(3, "2003-01-09")])
    whole = build._merge_sql
    with monkeypatch.context() as patch:
        patch.setattr(build, "_merge_sql", lambda *tables: f"{whole(*tables)} WHERE 1 = 0")
        with pytest.raises(AuditFailed, match=r"orders\.reconciles: .*what has landed 3, orders 2"):
            landed.take("orders")
    assert landed.lake.version("orders") == before
    assert landed.take("orders")["orders"].version.row_count == 3


def test_a_table_is_checked_against_what_has_landed(landed: Landed) -> None:
    landed.land("orders/a.csv", [order(1, "2003-01-06")])
    landed.take("orders")
    (audit,) = landed.landing.builder.audit([landed.landing.contracts.table("orders")])
    by_name = {check.check.name: check for check in audit.checks}
    assert by_name["reconciles"].passed
    assert by_name["reconciles"].check.description == "rows, sales, shipped equal what has landed"
    # A table whose feed changes is compared with what fed it last.
    before = with_feed(landed, "ratings")
    (audit,) = before.landing.builder.audit([before.landing.contracts.table("orders")])
    assert next(c for c in audit.checks if c.check.name == "reconciles").passed


def test_a_contract_that_gains_a_column_is_written_anew_in_all_months(tmp_path: Path) -> None:
    landed = landed_in(tmp_path, "orders")
    landed.land("orders/a.csv", [order(1, "2003-01-06"), order(2, "2005-01-06")])
    landed.take()
    known = load_contracts()
    orders = known.table("orders")
    wider = replace(orders, columns=(*orders.columns, Column("channel", "string", "")))
    again = landed_in(tmp_path, "orders", contracts=Contracts(known.tables | {"orders": wider}))
    rows = [{"order_number": 1, "order_date": "2003-01-07", "status": "x", "customer_number": 1}]
    rows[0] |= {"required_date": None, "shipped_date": None, "comments": None, "channel": "web"}
    again.put("orders/b.json", json.dumps(rows).encode())
    taken = again.take()["orders"]
    assert taken.version.row_count == 2
    found = {row[0]: row[-1] for row in again.rows("orders")}
    assert found == {1: "web", 2: None}


def test_a_table_that_need_not_be_there_is_made_empty_and_others_are_not(landed: Landed) -> None:
    taken = landed.take()
    assert set(taken) == {"ratings", "landed_files"}
    assert taken["ratings"].version.row_count == 0
    with pytest.raises(
        LakeError, match=r"nothing has landed of orders yet that could be taken: lay"
    ):
        landed.landing.builder.audit([landed.landing.contracts.table("orders")])


@pytest.mark.parametrize("name", ["ordres", "quarantine", "landed_files", "fact_orders"])
def test_what_cannot_be_landed_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"RETAIL_LANDED\): no raw table is called {name}; .*offices"
    ):
        load_contracts().landing(["orders", name])


def test_the_quarantine_is_the_sources(landed: Landed) -> None:
    contracts = load_contracts()
    assert "quarantine" in contracts.landing(["orders"]).tables
    assert "quarantine" not in contracts.landing(["orders", "order_details", "payments"]).tables


def test_publication_that_stops_says_what_is_published(
    landed: Landed, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed.land("ratings/a.csv", [(1, "A", 1)])
    landed.land("orders/a.csv", [order(1, "2003-01-06")])
    publish = Lake.publish

    def stops(self: Lake, publication: Publication) -> Version:
        if publication.table.name == "orders":
            raise LakeError("the disk is full")
        return publish(self, publication)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "publish", stops)
        with pytest.raises(PublicationStopped, match="the disk is full; published before it: rat"):
            landed.take("ratings", "orders")
    assert landed.take("ratings", "orders")["landed_files"].files == 2
    assert landed.rows("ratings") == [(1, "A", 1)]


def test_nothing_is_left_behind(landed: Landed) -> None:
    landed.land("ratings/a.csv", [(1, "A", 1)])
    landed.land("ratings/b.csv", [(1, "A", 6)])
    landed.take("ratings")
    named = {file.uri for file in landed.lake.files("ratings")}
    there = landed.lake.storage.files(
        landed.lake.location(landed.landing.contracts.table("ratings"))
    )
    assert {file.uri for file in there if file.uri.endswith(".parquet")} == named


def test_the_ledger_says_what_was_taken(landed: Landed) -> None:
    landed.put("ratings/a.csv", export("ratings", [(1, "A", 1)]))
    landed.take("ratings")
    (row,) = landed.lake.rows("landed_files").to_pylist()
    assert row["modified_on"] == row["modified_at"].date() == date(2026, 1, 1)
    assert (row["table_name"], row["row_count"], row["reason"]) == ("ratings", 1, None)
