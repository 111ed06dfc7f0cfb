"""What the lake promises when others are at work, and after going back."""

import multiprocessing
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import Column, MonthPartition, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.errors import LakeError
from retail_platform.lake.lake import Lake, Publication, Version
from retail_platform_tests.parquet import Row, read_rows, write_files

SALES = Table(
    layer="star",
    name="sales",
    description="Sales.",
    grain="one row per sale",
    columns=(Column("id", "int", ""), Column("day", "date", ""), Column("month", "date", "")),
    primary_key=("id",),
    partition=MonthPartition("month", "day"),
    measures={"rows": "count(*)"},
)
SHOPS = Table(
    layer="star",
    name="shops",
    description="Shops.",
    grain="one row per shop",
    columns=(Column("id", "int", ""), Column("name", "string", "")),
    primary_key=("id",),
)


def lake_of(folder: Path, *tables: Table) -> Lake:
    return Lake(folder / "lake", Contracts({table.name: table for table in tables}))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_of(tmp_path, SALES, SHOPS)


def sale(number: int, month: int) -> Row:
    return {"id": number, "day": date(2004, month, 15), "month": date(2004, month, 1)}


def publish(
    lake: Lake, table: Table, rows: Sequence[Row], months: MonthRange | None = None
) -> Version:
    """Writes the rows and makes them the table, or these months of it."""
    plan = lake.plan(table)
    measures: dict[str, dict[str, Decimal]] = {}
    for row in rows if table.measures else ():
        key = f"{row['month']:%Y-%m}"
        measures[key] = {"rows": measures.get(key, {"rows": Decimal(0)})["rows"] + 1}
    files = write_files(table, lake.new_location(table), rows, plan.field_ids)
    return lake.publish(Publication(table, plan, files, months, measures, {}))


def ids(
    lake: Lake, table: str, months: MonthRange | None = None, snapshot: int | None = None
) -> list[int]:
    return sorted(row["id"] for row in read_rows(lake.files(table, months, snapshot)))


def month(number: int) -> MonthRange:
    return MonthRange.parse(f"2004-{number:02}")


def publish_month(folder: Path, number: int) -> None:
    """What one of several processes does."""
    publish(lake_of(folder, SALES), SALES, [sale(number + 100, number)], month(number))


def test_six_processes_that_publish_six_months_lose_nothing(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, SALES)
    publish(lake, SALES, [sale(number, number) for number in range(1, 9)])

    with multiprocessing.get_context("spawn").Pool(6) as pool:
        pool.starmap(publish_month, [(tmp_path, number) for number in range(1, 7)])

    assert ids(lake, "sales") == [7, 8, 101, 102, 103, 104, 105, 106]
    assert len(lake.history("sales")) == 7
    version = lake.version("sales")
    assert version is not None
    assert version.measures == {f"2004-{n:02}": {"rows": Decimal(1)} for n in range(1, 9)}


def test_a_reader_sees_the_old_version_or_the_new_one(lake: Lake, tmp_path: Path) -> None:
    old, new = [1, 2, 3], [11, 12, 13, 14]
    publish(lake, SALES, [sale(number, number) for number in old])
    seen: list[list[int]] = []
    done = threading.Event()

    def watch() -> None:
        reader = lake_of(tmp_path, SALES)
        while not done.is_set():
            seen.append(ids(reader, "sales"))
        seen.append(ids(reader, "sales"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for rows in (new, old, new):
            publish(lake, SALES, [sale(number, number % 10) for number in rows])
    finally:
        done.set()
        watcher.join()
    assert seen[-1] == new
    assert all(rows in (old, new) for rows in seen)


def test_as_of_is_the_version_that_readers_saw_then(lake: Lake) -> None:
    before = datetime.now(UTC)
    time.sleep(0.01)
    old = publish(lake, SHOPS, [{"id": 1, "name": "a"}])
    between = datetime.now(UTC)
    time.sleep(0.01)
    new = publish(lake, SHOPS, [{"id": 2, "name": "b"}])
    after = datetime.now(UTC)
    time.sleep(0.01)
    lake.rollback("shops", old.snapshot_id)

    def seen(as_of: datetime | None) -> int | None:
        version = lake.version("shops", as_of)
        return version.snapshot_id if version else None

    assert seen(before) is None
    assert seen(between) == old.snapshot_id
    assert seen(after) == new.snapshot_id
    assert seen(None) == old.snapshot_id


def test_after_a_rollback_the_next_publication_follows_what_readers_see(lake: Lake) -> None:
    first = publish(lake, SALES, [sale(1, 1)])
    wrong = publish(lake, SALES, [sale(2, 2)], month(2))

    back = lake.rollback("sales", first.snapshot_id)
    assert back.snapshot_id == first.snapshot_id
    assert ids(lake, "sales") == [1]

    third = publish(lake, SALES, [sale(3, 3)], month(3))
    assert ids(lake, "sales") == [1, 3]
    assert set(third.measures) == {"2004-01", "2004-03"}
    assert [version.snapshot_id for version in lake.history("sales")] == [
        third.snapshot_id,
        wrong.snapshot_id,
        first.snapshot_id,
    ]
    assert ids(lake, "sales", snapshot=wrong.snapshot_id) == [1, 2]


def test_a_rollback_can_be_undone(lake: Lake) -> None:
    first = publish(lake, SALES, [sale(1, 1)])
    second = publish(lake, SALES, [sale(2, 2)])
    lake.rollback("sales", first.snapshot_id)
    lake.rollback("sales", second.snapshot_id)
    assert ids(lake, "sales") == [2]


def test_vacuum_forgets_old_snapshots_but_never_the_one_that_readers_see(lake: Lake) -> None:
    first = publish(lake, SALES, [sale(1, 1), sale(2, 2)])
    publish(lake, SALES, [sale(3, 2)], month(2))
    publish(lake, SALES, [sale(4, 3)], month(3))
    lake.rollback("sales", first.snapshot_id)

    removed = lake.vacuum(timedelta(), timedelta())

    assert removed.snapshots == 2
    assert removed.files > 0
    assert [version.snapshot_id for version in lake.history("sales")] == [first.snapshot_id]
    assert ids(lake, "sales") == [1, 2]
    publish(lake, SALES, [sale(5, 5)], month(5))
    assert ids(lake, "sales") == [1, 2, 5]


def test_foreign_files_that_fail_to_commit_leave_the_last_version(lake: Lake) -> None:
    before = publish(lake, SHOPS, [{"id": 1, "name": "a"}])
    plan = lake.plan(SHOPS)
    gone = f"{lake.new_location(SHOPS)}/gone.parquet"
    with pytest.raises(LakeError, match="readers still see the last version"):
        lake.publish(Publication(SHOPS, plan, (gone,), None, {}, {}))
    assert lake.history("shops") == [before]


def test_the_partition_column_cannot_be_retyped(tmp_path: Path) -> None:
    publish(lake_of(tmp_path, SALES), SALES, [sale(1, 1)])
    columns = (*SALES.columns[:2], Column("month", "timestamp", ""))
    changed = replace(SALES, columns=columns)
    lake = lake_of(tmp_path, changed)
    with pytest.raises(LakeError, match="partition column"):
        lake.publish(Publication(changed, lake.plan(changed), (), None, {}, {}))
    assert len(lake.history("sales")) == 1
