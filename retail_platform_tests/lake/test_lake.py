"""Publishing, reading, going back and cleaning up: what readers of the lake are promised."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import Column, MonthPartition, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.protocol import DataFile
from retail_platform.errors import ConfigurationError, LakeError
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake, Publication, Vacuumed, Version
from retail_platform.lake.s3 import S3Storage
from retail_platform.lake.storage import Storage
from retail_platform_tests.aws import LAKE_BUCKET, make_older
from retail_platform_tests.parquet import Row, opened, path_of, read_rows, write_files

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
NOTHING = Vacuumed(snapshots=0, files=0, bytes=0)
AGES = timedelta(days=365)


OpenLake = Callable[..., Lake]


def lake_of(folder: Path, *tables: Table) -> Lake:
    return lake_in(FolderStorage(folder / "lake"), *tables)


def lake_in(storage: Storage, *tables: Table) -> Lake:
    return Lake(storage, Contracts({table.name: table for table in tables}))


@pytest.fixture(params=["folder", "s3"])
def open_lake(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLake:
    """Opens one and the same lake, each time anew, with the tables that it is given."""
    if request.param == "folder":
        return partial(lake_of, tmp_path)
    request.getfixturevalue("aws")
    return lambda *tables: lake_in(S3Storage(LAKE_BUCKET, database_prefix="retail_"), *tables)


@pytest.fixture
def lake(open_lake: OpenLake) -> Lake:
    return open_lake(SALES, SHOPS)


@pytest.fixture
def folder_lake(tmp_path: Path) -> Lake:
    return lake_of(tmp_path, SALES, SHOPS)


def sale(number: int, month: int) -> Row:
    return {"id": number, "day": date(2004, month, 15), "month": date(2004, month, 1)}


def publish(
    lake: Lake,
    table: Table,
    rows: Sequence[Row],
    months: MonthRange | None = None,
    checks: Mapping[str, int] | None = None,
) -> Version:
    """Writes the rows and makes them the table, or these months of it."""
    plan = lake.plan(table)
    measures: dict[str, dict[str, Decimal]] = {}
    for row in rows if table.measures else ():
        key = f"{row['month']:%Y-%m}"
        measures[key] = {"rows": measures.get(key, {"rows": Decimal(0)})["rows"] + 1}
    files = write_files(table, lake.new_location(table), rows, plan.field_ids)
    return lake.publish(Publication(table, plan, files, months, measures, {}, checks=checks or {}))


def ids(
    lake: Lake, table: str, months: MonthRange | None = None, snapshot: int | None = None
) -> list[int]:
    return sorted(row["id"] for row in read_rows(lake.files(table, months, snapshot)))


def month(number: int) -> MonthRange:
    return MonthRange.parse(f"2004-{number:02}")


# Publishing


def test_an_unbuilt_table_is_empty(lake: Lake) -> None:
    assert lake.version("sales") is None
    assert lake.history("sales") == []
    assert lake.files("sales") == ()
    assert lake.columns("sales") == []
    assert lake.published() == {}


@pytest.mark.parametrize(
    ("months", "rows", "expected"),
    [
        (None, [sale(7, 1)], [7]),
        (None, [], []),
        (month(2), [sale(7, 2), sale(8, 2)], [1, 3, 7, 8]),
        (month(2), [], [1, 3]),
        (month(9), [sale(7, 9)], [1, 2, 3, 7]),
        (MonthRange.parse("2004-02", "2004-09"), [sale(7, 5)], [1, 7]),
    ],
    ids=["whole", "whole, to nothing", "one month", "one month, to nothing", "new month", "range"],
)
def test_every_publication_is_one_snapshot(
    lake: Lake, months: MonthRange | None, rows: list[Row], expected: list[int]
) -> None:
    """Holds pyiceberg to what its semi-private calls do: never a snapshot in between."""
    first = publish(lake, SALES, [sale(1, 1), sale(2, 2), sale(3, 3)])
    assert [version.snapshot_id for version in lake.history("sales")] == [first.snapshot_id]

    second = publish(lake, SALES, rows, months)

    assert [version.snapshot_id for version in lake.history("sales")] == [
        second.snapshot_id,
        first.snapshot_id,
    ]
    assert ids(lake, "sales") == expected
    assert second.row_count == len(expected)
    assert second.file_count == len(lake.files("sales"))
    assert second.measures == {
        f"2004-{(number if number < 4 else rows[0]['month'].month):02}": {
            "rows": Decimal(sum(row["id"] > 3 for row in rows) if number > 3 else 1)
        }
        for number in expected
    }
    assert ids(lake, "sales", snapshot=first.snapshot_id) == [1, 2, 3]


def test_a_table_without_rows_has_a_version_too(lake: Lake) -> None:
    version = publish(lake, SHOPS, [])
    assert version.row_count == version.byte_count == version.file_count == 0
    assert lake.history("shops") == [version]
    assert lake.columns("shops") == [("id", "int"), ("name", "string")]


def test_only_the_files_of_the_asked_months_are_read(lake: Lake) -> None:
    publish(lake, SALES, [sale(number, number) for number in range(1, 13)])
    months = MonthRange.parse("2004-03", "2004-05")
    assert len(lake.files("sales", months)) == 3
    assert ids(lake, "sales", months) == [3, 4, 5]


def test_a_version_says_what_it_was_made_from(lake: Lake) -> None:
    plan = lake.plan(SHOPS)
    totals = {"": {"rows": Decimal("12345678901234567890.25")}}
    published = lake.publish(
        Publication(SHOPS, plan, (), None, totals, {"sales": 42}, source_totals=totals)
    )
    assert lake.version("shops") == published
    assert published.inputs == {"sales": 42}
    assert published.measures == published.source_totals == totals, "exact"


def test_a_version_says_what_its_checks_found(lake: Lake) -> None:
    published = publish(lake, SALES, [sale(1, 1)], checks={"primary_key": 0, "warned": 3})
    assert lake.version("sales") == published
    assert published.checks == {"primary_key": 0, "warned": 3}
    assert publish(lake, SALES, [sale(2, 2)], month(2)).checks == {}, "none of another version"


def test_outcomes_are_stored_in_few_bytes(lake: Lake) -> None:
    """Every snapshot of a table stands in its metadata, which each reader fetches."""
    publish(lake, SALES, [], checks={"primary_key": 0, "warned": 3})
    table = lake.storage.catalog.load_table((lake.storage.namespace("star"), "sales"))
    snapshot = table.current_snapshot()
    assert snapshot
    assert snapshot.summary
    assert snapshot.summary["retail.checks"] == '{"primary_key":0,"warned":3}'


def test_deletions_of_the_past_are_not_carried_along(lake: Lake) -> None:
    """Else every nightly run would leave a manifest that all later ones have to read."""
    publish(lake, SALES, [sale(1, 1), sale(2, 2), sale(3, 3)])
    for number in range(10, 20):
        publish(lake, SALES, [sale(number, 2)], month(2))
    assert ids(lake, "sales") == [1, 3, 19]
    table = lake.storage.catalog.load_table((lake.storage.namespace("star"), "sales"))
    snapshot = table.current_snapshot()
    assert snapshot
    assert len(snapshot.manifests(table.io)) == len({"untouched", "added", "deleted"})


def test_foreign_files_that_fail_to_commit_leave_the_last_version(lake: Lake) -> None:
    before = publish(lake, SHOPS, [{"id": 1, "name": "a"}])
    plan = lake.plan(SHOPS)
    gone = f"{lake.new_location(SHOPS)}/gone.parquet"
    with pytest.raises(LakeError, match="readers still see the last version"):
        lake.publish(Publication(SHOPS, plan, (DataFile(gone),), None, {}, {}))
    assert lake.history("shops") == [before]


def test_a_publication_whose_answer_was_lost_is_not_made_twice(lake: Lake) -> None:
    """A client that hears nothing asks again, and is told that another writer came first."""
    publish(lake, SALES, [sale(1, 1), sale(2, 2)])
    plan = lake.plan(SALES)
    files = write_files(SALES, lake.new_location(SALES), [sale(3, 3)], plan.field_ids)
    publication = Publication(SALES, plan, files, month(3), {}, {})
    assert lake.publish(publication) == lake.publish(publication)
    assert len(lake.history("sales")) == 2
    assert ids(lake, "sales") == [1, 2, 3]


# A contract that changes


EVOLUTIONS: dict[str, tuple[tuple[Column, ...], Row]] = {
    "added": ((*SHOPS.columns, Column("city", "string", "")), {"name": "b", "city": "Oslo"}),
    "removed": (SHOPS.columns[:1], {}),
    "retyped": ((SHOPS.columns[0], Column("name", "decimal(10,2)", "")), {"name": Decimal("1.50")}),
}


@pytest.mark.parametrize(("columns", "row"), EVOLUTIONS.values(), ids=EVOLUTIONS.keys())
def test_a_changed_contract_is_one_commit_and_old_snapshots_stay_readable(
    open_lake: OpenLake, columns: tuple[Column, ...], row: Row
) -> None:
    old = publish(open_lake(SHOPS), SHOPS, [{"id": 1, "name": "a"}])
    changed = replace(SHOPS, columns=columns)
    lake = open_lake(changed)
    known = {"id": 1, "name": 2}
    fresh = [number for number in lake.plan(changed).field_ids.values() if number > 2]
    assert fresh == ([] if len(columns) == 1 else [3])

    new = publish(lake, changed, [{"id": 2, **row}])

    assert [version.snapshot_id for version in lake.history("shops")] == [
        new.snapshot_id,
        old.snapshot_id,
    ]
    assert [name for name, _ in lake.columns("shops")] == [column.name for column in columns]
    assert read_rows(lake.files("shops")) == [{"id": 2, **row}]
    assert lake.columns("shops", old.snapshot_id) == [("id", "int"), ("name", "string")]
    assert read_rows(lake.files("shops", snapshot_id=old.snapshot_id)) == [{"id": 1, "name": "a"}]
    assert lake.plan(changed).changes == ()
    assert lake.plan(SHOPS).field_ids["id"] == known["id"]


def test_a_table_becomes_monthly_and_whole_again(open_lake: OpenLake) -> None:
    whole = replace(SALES, partition=None, measures={})
    first = publish(open_lake(whole), whole, [sale(1, 1), sale(2, 2)])
    lake = open_lake(SALES)
    assert lake.plan(SALES).changes == ("stored by month",)
    publish(lake, SALES, [sale(1, 1), sale(2, 2), sale(3, 3)])
    assert lake.months("sales") == {date(2004, number, 1) for number in (1, 2, 3)}
    publish(lake, SALES, [sale(7, 2)], month(2))
    assert ids(lake, "sales") == [1, 3, 7]
    assert ids(lake, "sales", snapshot=first.snapshot_id) == [1, 2]
    back = open_lake(whole)
    assert back.plan(whole).changes == ("no longer stored by month",)
    publish(back, whole, [sale(9, 9)])
    assert ids(back, "sales") == [9]
    assert back.plan(whole).changes == ()


# Time travel


def test_history_is_newest_first_and_marks_what_readers_see(lake: Lake) -> None:
    versions = [publish(lake, SHOPS, [{"id": number, "name": "a"}]) for number in (1, 2, 3)]
    history = lake.history("shops")
    assert [version.snapshot_id for version in history] == [
        version.snapshot_id for version in reversed(versions)
    ]
    assert [version.current for version in history] == [True, False, False]


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

    with pytest.raises(ConfigurationError, match=r"no version as of .* oldest readable one is of"):
        seen(before)
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


def test_a_rollback_brings_the_outcomes_of_checks_back(lake: Lake) -> None:
    first = publish(lake, SALES, [sale(1, 1)], checks={"warned": 3})
    publish(lake, SALES, [sale(2, 2)], checks={"warned": 0})
    assert lake.rollback("sales", first.snapshot_id).checks == {"warned": 3}
    assert [version.checks for version in lake.history("sales")] == [{"warned": 0}, {"warned": 3}]


def test_a_rollback_can_be_undone(lake: Lake) -> None:
    first = publish(lake, SALES, [sale(1, 1)])
    second = publish(lake, SALES, [sale(2, 2)])
    lake.rollback("sales", first.snapshot_id)
    lake.rollback("sales", second.snapshot_id)
    assert ids(lake, "sales") == [2]


def test_a_rollback_to_an_unknown_snapshot_names_those_there_are(lake: Lake) -> None:
    known = publish(lake, SHOPS, [])
    with pytest.raises(ConfigurationError, match=rf"no snapshot 7; it has {known.snapshot_id} "):
        lake.rollback("shops", 7)
    with pytest.raises(ConfigurationError, match="it has none"):
        lake.rollback("sales", 7)


def test_a_rollback_to_other_columns_is_refused(open_lake: OpenLake) -> None:
    old = publish(open_lake(SHOPS), SHOPS, [{"id": 1, "name": "a"}])
    changed = replace(SHOPS, columns=SHOPS.columns[:1])
    lake = open_lake(changed)
    publish(lake, changed, [{"id": 2}])
    with pytest.raises(ConfigurationError, match="--as-of"):
        lake.rollback("shops", old.snapshot_id)
    assert ids(lake, "shops") == [2]


@pytest.mark.parametrize(
    "ask",
    [
        lambda lake: lake.version("nope"),
        lambda lake: lake.files("nope"),
        lambda lake: lake.history("nope"),
        lambda lake: lake.rollback("nope", 1),
    ],
)
def test_an_unknown_table_is_refused_with_the_known_ones(
    lake: Lake, ask: Callable[[Lake], object]
) -> None:
    with pytest.raises(ConfigurationError, match="'nope'; the tables are sales, shops"):
        ask(lake)


# Care


def orphan(lake: Lake, age: timedelta = timedelta()) -> str:
    """What a killed run left: a data file that no snapshot names."""
    (file,) = write_files(SHOPS, lake.new_location(SHOPS), [{"id": 9, "name": "left"}])
    if file.uri.startswith("s3://"):
        make_older(file.uri, age)
    else:
        written = (datetime.now(UTC) - age).timestamp()
        for aged in (path_of(file), path_of(file).parent):
            os.utime(aged, (written, written))
    return file.uri


def size_of(uri: str) -> int | None:
    """The size of a file; None where there is none."""
    filesystem, path = opened(uri)
    size: int | None = filesystem.get_file_info(path).size
    return size


def test_vacuum_deletes_orphans_once_they_are_old(lake: Lake) -> None:
    publish(lake, SHOPS, [{"id": 1, "name": "a"}])
    old, young = orphan(lake, timedelta(days=2)), orphan(lake)
    size = size_of(old)
    assert lake.vacuum(AGES, timedelta(days=1)) == Vacuumed(snapshots=0, files=1, bytes=size or 0)
    assert size_of(old) is None
    assert size_of(young) == size
    assert ids(lake, "shops") == [1]


def test_vacuum_leaves_no_empty_folders(folder_lake: Lake) -> None:
    publish(folder_lake, SHOPS, [{"id": 1, "name": "a"}])
    old = path_of(orphan(folder_lake, timedelta(days=2)))
    folder_lake.vacuum(AGES, timedelta(days=1))
    assert not old.parent.exists()
    assert old.parent.parent.exists()


def test_a_moment_whose_version_is_forgotten_is_refused_and_not_guessed(lake: Lake) -> None:
    """What was current then may be gone while versions from before and after are there."""
    old = publish(lake, SHOPS, [{"id": 1, "name": "a"}])
    publish(lake, SHOPS, [{"id": 2, "name": "b"}])
    time.sleep(0.01)
    between = datetime.now(UTC)
    time.sleep(0.01)
    lake.rollback("shops", old.snapshot_id)
    after = datetime.now(UTC)
    lake.vacuum(keep=timedelta(0), grace=AGES)
    with pytest.raises(ConfigurationError, match="shops has no version as of"):
        lake.version("shops", between)
    version = lake.version("shops", after)
    assert version is not None
    assert version.snapshot_id == old.snapshot_id


def test_vacuum_knows_its_files_however_the_folder_is_spelt(
    tmp_path: Path, folder_lake: Lake
) -> None:
    publish(folder_lake, SALES, [sale(1, 1)])
    publish(folder_lake, SHOPS, [{"id": 1, "name": "a"}])
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "other").mkdir()
    for folder in (tmp_path / "link", tmp_path / "other" / ".."):
        swept = lake_of(folder, SALES, SHOPS).vacuum(keep=AGES, grace=timedelta(0))
        assert swept == NOTHING
    assert ids(folder_lake, "sales") == [1]


def test_vacuum_of_a_copied_lake_deletes_nothing(tmp_path: Path, folder_lake: Lake) -> None:
    publish(folder_lake, SHOPS, [{"id": 1, "name": "a"}])
    shutil.copytree(tmp_path / "lake", tmp_path / "copy" / "lake")
    copied = lake_of(tmp_path / "copy", SHOPS)
    with pytest.raises(LakeError, match="nothing of it was deleted"):
        copied.vacuum(keep=AGES, grace=timedelta(0))


def test_a_lake_that_was_moved_away_says_so(tmp_path: Path, folder_lake: Lake) -> None:
    publish(folder_lake, SHOPS, [{"id": 1, "name": "a"}])
    (tmp_path / "lake").rename(tmp_path / "moved")
    with pytest.raises(LakeError, match="works only where it was built"):
        lake_in(FolderStorage(tmp_path / "moved"), SHOPS).version("shops")


def test_vacuum_and_rollback_wait_for_a_build(lake: Lake, open_lake: OpenLake) -> None:
    old = publish(lake, SHOPS, [{"id": 1, "name": "a"}])
    done: list[str] = []

    def vacuum() -> None:
        open_lake(SHOPS).vacuum(keep=AGES, grace=AGES)
        done.append("vacuum")

    def rollback() -> None:
        open_lake(SHOPS).rollback("shops", old.snapshot_id)
        done.append("rollback")

    with ThreadPoolExecutor(2) as pool:
        with lake.exclusively():
            waiting = [pool.submit(work) for work in (vacuum, rollback)]
            time.sleep(0.3)
            assert done == []
        for work in waiting:
            work.result(10)
    assert sorted(done) == ["rollback", "vacuum"]


@pytest.mark.parametrize("name", ["a b", "100%", "50%41", "é"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    lake = lake_of(tmp_path / name, SHOPS)
    publish(lake, SHOPS, [{"id": 1, "name": "a"}])
    assert ids(lake, "shops") == [1]


def test_a_lake_in_a_folder_loads_nothing_of_aws(tmp_path: Path) -> None:
    """Which every command on a laptop would have to wait for."""
    script = (
        "import sys; from pathlib import Path\n"
        "from retail_platform.platform import Platform, Settings\n"
        "Platform(Settings(home=Path(sys.argv[1]))).lake.published()\n"
        "sys.exit(', '.join({'boto3', 'botocore', 'pyiceberg.catalog.glue'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], stderr=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_vacuum_keeps_all_that_readable_snapshots_name(lake: Lake) -> None:
    versions = [publish(lake, SHOPS, [{"id": number, "name": "a"}]) for number in (1, 2, 3)]
    assert lake.vacuum(AGES, timedelta()) == NOTHING
    for number, version in enumerate(versions, 1):
        assert ids(lake, "shops", snapshot=version.snapshot_id) == [number]


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


def test_the_only_writer_asks_for_a_table_once_until_it_commits(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, SHOPS, [{"id": 1, "name": "a"}])
    loads: list[object] = []
    kind: Any = type(lake.storage.catalog)
    load_table = kind.load_table

    def load(self: Any, identifier: object) -> Any:
        loads.append(identifier)
        return load_table(self, identifier)

    monkeypatch.setattr(kind, "load_table", load)
    with lake.exclusively():
        for _ in range(3):
            assert not lake.plan(SHOPS).fresh
            assert lake.version("shops")
            assert len(lake.files("shops")) == 1
        assert len(loads) == 1
        version = publish(lake, SHOPS, [{"id": 2, "name": "b"}])
        assert lake.version("shops") == version
        assert ids(lake, "shops") == [2]
    known = len(loads)
    lake.version("shops")
    assert len(loads) == known + 1, "another may have written meanwhile"


def test_vacuum_of_an_empty_lake_does_nothing(lake: Lake) -> None:
    assert lake.vacuum(timedelta(), timedelta()) == NOTHING


# Others at the same time


def publish_month(folder: Path, number: int) -> None:
    """What one of several processes does."""
    publish(lake_of(folder, SALES), SALES, [sale(number + 100, number)], month(number))


def in_threads(work: Callable[[Path, int], None], folder: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, [folder] * 6, range(1, 7)))


def in_processes(work: Callable[[Path, int], None], folder: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(6) as pool:
        pool.starmap(work, [(folder, number) for number in range(1, 7)])


@pytest.mark.parametrize("at_once", [in_threads, in_processes])
def test_six_publishers_of_six_months_lose_nothing(
    tmp_path: Path, at_once: Callable[[Callable[[Path, int], None], Path], None]
) -> None:
    """In a folder alone: moto takes every commit at once for the first, where Glue refuses."""
    lake = lake_of(tmp_path, SALES)
    publish(lake, SALES, [sale(number, number) for number in range(1, 9)])

    at_once(publish_month, tmp_path)

    assert ids(lake, "sales") == [7, 8, 101, 102, 103, 104, 105, 106]
    assert len(lake.history("sales")) == 7
    version = lake.version("sales")
    assert version is not None
    assert version.measures == {f"2004-{n:02}": {"rows": Decimal(1)} for n in range(1, 9)}


def test_a_reader_sees_the_old_version_or_the_new_one(lake: Lake, open_lake: OpenLake) -> None:
    old, new = [1, 2, 3], [11, 12, 13, 14]
    publish(lake, SALES, [sale(number, number) for number in old])
    seen: list[list[int]] = []
    done = threading.Event()

    def watch() -> None:
        reader = open_lake(SALES)
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
