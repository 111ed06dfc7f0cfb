"""A layer is planned, run, audited and published whole, or not at all. No source is needed here."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from retail_platform.build import AuditFailed, Builder
from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import Column, MonthPartition, Rule, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.protocol import InputTable
from retail_platform.errors import ConfigurationError, EngineError, LakeError
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake, Publication
from retail_platform_tests.parquet import Row, path_of, read_rows, write_files

JANUARY, FEBRUARY = date(2005, 1, 1), date(2005, 2, 1)
ALL = MonthRange(JANUARY, FEBRUARY)
MONTH = MonthPartition("month", "day")
LINES = Table(
    layer="raw",
    name="lines",
    description="Lines.",
    grain="one row per line",
    columns=(
        Column("id", "int", "Key."),
        Column("shop", "string", "Shop."),
        Column("day", "date", "Day."),
        Column("month", "date", "Month."),
    ),
    primary_key=("id",),
    partition=MONTH,
    measures={"rows": "count(*)"},
)
DIM_SHOPS = Table(
    layer="star",
    name="dim_shops",
    description="Shops.",
    grain="one row per shop",
    columns=(Column("shop", "string", "Key."), Column("is_current", "boolean", "Still there.")),
    primary_key=("shop",),
    sql="SELECT DISTINCT cast(shop AS string) AS shop, cast(true AS boolean) AS is_current"
    " FROM raw.lines UNION ALL SELECT gone.shop, cast(false AS boolean) AS is_current"
    " FROM star.dim_shops gone LEFT ANTI JOIN raw.lines l ON l.shop = gone.shop",
)
FACT_LINES = replace(
    LINES,
    layer="star",
    name="fact_lines",
    reconciles_with="lines",
    sql="SELECT cast(id AS int) AS id, cast(shop AS string) AS shop, cast(day AS date) AS day,"
    " cast(month AS date) AS month FROM raw.lines",
    sql_path="star/fact_lines.sql",
)


def builder_of(folder: Path, *tables: Table) -> Builder:
    contracts = Contracts({table.name: table for table in (LINES, *tables)})
    lake = Lake(FolderStorage(folder / "lake"), contracts)
    engine = DuckDBEngine("500MB", folder / "spill")
    return Builder(contracts, lake, engine, engine, JANUARY)


def line(number: int, shop: str, month: date) -> Row:
    return {"id": number, "shop": shop, "day": month, "month": month}


def publish_lines(builder: Builder, *rows: Row) -> None:
    """Puts rows into raw, as an extraction would."""
    lake, plan = builder.lake, builder.lake.plan(LINES)
    files = write_files(LINES, lake.new_location(LINES), rows, plan.field_ids)
    result = builder.auditor.audit([InputTable(LINES, files)], [])[0]
    lake.publish(Publication(LINES, plan, files, None, result.measures, {}))


def published(builder: Builder, name: str) -> list[Row]:
    return sorted(read_rows(builder.lake.files(name)), key=str)


def test_a_layer_is_published_with_its_inputs(tmp_path: Path) -> None:
    builder = builder_of(tmp_path, DIM_SHOPS, FACT_LINES)
    publish_lines(builder, line(1, "a", JANUARY), line(2, "b", FEBRUARY))
    built = builder.build_models(builder.contracts.layer("star"), ALL)
    raw = builder.lake.version("lines")
    assert raw
    assert {b.result.table: b.version.inputs for b in built} == {
        "dim_shops": {"lines": raw.snapshot_id},
        "fact_lines": {"lines": raw.snapshot_id},
    }
    assert len(published(builder, "fact_lines")) == 2


def test_who_lost_the_lock_meanwhile_starts_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine may end what the new holder has started."""
    builder = builder_of(tmp_path, FACT_LINES)
    publish_lines(builder, line(1, "a", JANUARY))

    def lost(_: FolderStorage) -> None:
        raise LakeError("another build has taken over")

    def run(*_: object) -> None:
        raise AssertionError("the engine was started")

    monkeypatch.setattr(FolderStorage, "require_held", lost)
    monkeypatch.setattr(DuckDBEngine, "run", run)
    with pytest.raises(LakeError, match="taken over"):
        builder.build_models([FACT_LINES], ALL)


def test_why_a_build_failed_is_told_even_if_tidying_up_fails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(FACT_LINES, sql="SELECT no_such AS id FROM raw.lines")
    builder = builder_of(tmp_path, wrong)
    publish_lines(builder, line(1, "a", JANUARY))

    def broken(*_: object) -> None:
        raise LakeError("the network is gone")

    monkeypatch.setattr(Lake, "discard", broken)
    with pytest.raises(EngineError, match="no_such"):
        builder.build_models([wrong], ALL)
    assert "left for `retail vacuum`: the network is gone" in caplog.text


def test_what_was_never_built_is_named(tmp_path: Path) -> None:
    builder = builder_of(tmp_path, FACT_LINES)
    with pytest.raises(LakeError, match="retail build lines"):
        builder.build_models([FACT_LINES], ALL)


def test_a_failed_audit_publishes_nothing_and_leaves_no_files(tmp_path: Path) -> None:
    rule = Rule("no_b", "no shop b", "SELECT * FROM star.fact_lines WHERE shop = 'b'")
    builder = builder_of(tmp_path, DIM_SHOPS, replace(FACT_LINES, rules=(rule,)))
    publish_lines(builder, line(1, "a", JANUARY))
    star = builder.contracts.layer("star")
    builder.build_models(star, ALL)
    before = {table.name: builder.lake.history(table.name) for table in star}
    files = set((tmp_path / "lake" / "star").rglob("*.parquet"))
    publish_lines(builder, line(1, "a", JANUARY), line(2, "b", FEBRUARY))
    with pytest.raises(AuditFailed, match=r"fact_lines.no_b: no shop b: 1 offending"):
        builder.build_models(star, ALL)
    assert {table.name: builder.lake.history(table.name) for table in star} == before
    assert set((tmp_path / "lake" / "star").rglob("*.parquet")) == files


def test_a_row_that_vanished_stays_and_comes_back(tmp_path: Path) -> None:
    builder = builder_of(tmp_path, DIM_SHOPS)
    for shops, expected in [
        ("ab", {"a": True, "b": True}),
        ("a", {"a": True, "b": False}),
        ("a", {"a": True, "b": False}),
        ("b", {"a": False, "b": True}),
    ]:
        publish_lines(builder, *(line(n, shop, JANUARY) for n, shop in enumerate(shops)))
        builder.build_models([DIM_SHOPS], ALL)
        found = {row["shop"]: row["is_current"] for row in published(builder, "dim_shops")}
        assert found == expected


def test_only_the_runs_months_are_read_and_replaced(tmp_path: Path) -> None:
    builder = builder_of(tmp_path, FACT_LINES)
    publish_lines(builder, line(1, "a", JANUARY), line(2, "b", FEBRUARY))
    builder.build_models([FACT_LINES], ALL)
    publish_lines(builder, line(1, "A", JANUARY), line(2, "B", FEBRUARY))
    for file in builder.lake.files("lines", MonthRange(JANUARY, JANUARY)):
        path_of(file).unlink()  # a read of January would fail
    built = builder.build_models([FACT_LINES], MonthRange(FEBRUARY, FEBRUARY))
    assert built[0].result.row_count == 1
    assert [row["shop"] for row in published(builder, "fact_lines")] == ["a", "B"]


def test_a_changed_contract_refuses_some_months_and_evolves_with_all(tmp_path: Path) -> None:
    builder = builder_of(tmp_path, FACT_LINES)
    publish_lines(builder, line(1, "a", JANUARY), line(2, "b", FEBRUARY))
    old = builder.build_models([FACT_LINES], ALL)[0].version
    shouted = Column("shouted", "string", "The shop, shouted.")
    changed = replace(
        FACT_LINES,
        columns=(*FACT_LINES.columns, shouted),
        sql=FACT_LINES.sql.replace(" FROM", ", cast(upper(shop) AS string) AS shouted FROM"),
    )
    builder = builder_of(tmp_path, changed)
    with pytest.raises(ConfigurationError, match=r"shouted added.*`retail build fact_lines`"):
        builder.build_models([changed], MonthRange(FEBRUARY, FEBRUARY))
    builder.build_models([changed], ALL)
    assert len(builder.lake.history("fact_lines")) == 2
    assert [row["shouted"] for row in published(builder, "fact_lines")] == ["A", "B"]
    before = read_rows(builder.lake.files("fact_lines", snapshot_id=old.snapshot_id))
    assert all("shouted" not in row for row in before)


def test_a_month_that_differs_elsewhere_fails_and_does_not_withhold(tmp_path: Path) -> None:
    builder = builder_of(tmp_path, FACT_LINES)
    publish_lines(builder, line(1, "a", JANUARY), line(2, "b", FEBRUARY))
    builder.build_models([FACT_LINES], ALL)
    publish_lines(builder, line(1, "a", JANUARY), line(3, "c", JANUARY), line(2, "B", FEBRUARY))
    built = builder.build_models([FACT_LINES], MonthRange(FEBRUARY, FEBRUARY))
    failed = [result for result in built[0].result.checks if result.fails]
    assert [result.check.name for result in failed] == ["reconciles_other_months"]
    assert "2005-01: rows: lines 2, fact_lines 1" in failed[0].detail
    assert "`retail build --from 2005-01 --to 2005-01`" in failed[0].detail
    assert [row["shop"] for row in published(builder, "fact_lines")] == ["a", "B"]
