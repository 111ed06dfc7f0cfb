"""What a reader is told that he may trust is what was built."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from retail_platform.build import Builder
from retail_platform.contracts.checks import checks_of
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.model import Feed, Severity
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake, Publication, Version
from retail_platform.recommender.report import (
    METRICS,
    PLATFORM,
    POPULARITY,
    Comparison,
    Method,
    Protocol,
    Report,
    Result,
    Training,
)
from retail_platform.serving.trust import (
    MODEL,
    CheckOutcome,
    Figure,
    Source,
    TableTrust,
    Trust,
    trust,
)
from retail_platform.sources.database import open_source
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load

CONTRACTS = load_contracts()


@pytest.fixture(scope="module")
def lake(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The sample, built twice with fewer sales the second time; of `events` nothing is built."""
    url = postgres.ensure_database(f"trust_{uuid.uuid4().hex[:12]}")
    load(url, generate(SampleSize()), lambda table, rows: None)
    folder = tmp_path_factory.mktemp("trust")
    lake = lake_in(folder)
    engine = DuckDBEngine("500MB", folder / "spill")
    builder = Builder(CONTRACTS, lake, engine, engine, date(2003, 1, 1))
    with psycopg.connect(url, autocommit=True) as source:
        source.execute(
            "INSERT INTO payments SELECT min(customerNumber), 'OLD', date '2002-12-31', 1 "
            "FROM customers"
        )
        _build(builder, url)
        source.execute("DELETE FROM orderdetails WHERE orderNumber % 10 = 0")
        _build(builder, url)
    return lake


def _build(builder: Builder, url: str) -> None:
    months = builder.stored_months
    builder.extract(CONTRACTS.fed_by(Feed.SOURCE), months, lambda: open_source(url))
    builder.build_models(CONTRACTS.layer("star"), months)
    builder.build_models(CONTRACTS.layer("ml"), months)


def lake_in(folder: Path, contracts: Contracts = CONTRACTS) -> Lake:
    return Lake(FolderStorage(folder / "lake"), contracts)


def of(told: Trust, name: str) -> TableTrust:
    (found,) = (table for table in told.tables if table.name == name)
    return found


def sources(table: TableTrust) -> dict[str, tuple[Source, ...]]:
    return {column.name: column.sources for column in table.columns}


def outcomes(table: TableTrust) -> dict[str, int | None]:
    return {check.name: check.failing_rows for check in table.checks}


# Tables


def test_every_table_of_the_contracts_is_told_of(lake: Lake) -> None:
    told = trust(lake, datetime.now(UTC))
    assert [(table.layer, table.name) for table in told.tables] == [
        (table.layer, table.name) for table in CONTRACTS.tables.values()
    ]
    for table in told.tables:
        contract = CONTRACTS.table(table.name)
        version = lake.version(table.name)
        assert table.description == contract.description
        assert [column.name for column in table.columns] == list(contract.column_names)
        assert [check.name for check in table.checks] == [c.name for c in checks_of(contract)]
        if version is not None:
            assert table.snapshot_id == version.snapshot_id
            assert table.committed_at == version.committed_at
            assert (table.rows, table.bytes) == (version.row_count, version.byte_count)
            assert None not in outcomes(table).values()


def test_a_table_that_was_never_built_is_not_fresh_and_nothing_is_known(lake: Lake) -> None:
    events = of(trust(lake, datetime.now(UTC)), "recommendation_events")
    assert events.snapshot_id is None
    assert events.committed_at is None
    assert (events.rows, events.bytes) == (None, None)
    assert not events.fresh
    assert set(outcomes(events).values()) == {None}


def test_a_warning_shows_how_many_rows_failed(lake: Lake) -> None:
    (check,) = of(trust(lake, datetime.now(UTC)), "quarantine").checks[1:]
    assert check == CheckOutcome(
        "nothing_set_aside", "No source row is without a usable month.", Severity.WARN, 1
    )


def test_a_version_of_before_outcomes_were_kept_says_nothing_of_them(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    publish(lake, "offices")
    offices = of(trust(lake, datetime.now(UTC)), "offices")
    assert offices.rows == 0
    assert set(outcomes(offices).values()) == {None}


def test_a_check_that_is_new_is_unknown(lake: Lake) -> None:
    """A contract may change before its table is built again."""
    payments = CONTRACTS.table("payments")
    rule = replace(CONTRACTS.table("quarantine").rules[0], name="later")
    changed = replace(payments, rules=(*payments.rules, rule))
    later = Lake(lake.storage, Contracts({**CONTRACTS.tables, "payments": changed}))
    found = outcomes(of(trust(later, datetime.now(UTC)), "payments"))
    assert found["later"] is None
    assert found["reconciles"] == 0


def test_freshness_is_that_of_the_instant(lake: Lake) -> None:
    version = lake.version("fact_orders")
    assert version
    policy = timedelta(hours=CONTRACTS.table("fact_orders").freshness_hours)
    just_before = version.committed_at + policy - timedelta(microseconds=1)
    facts = of(trust(lake, just_before), "fact_orders")
    assert facts.fresh
    assert timedelta(hours=facts.freshness_hours) == policy
    assert not of(trust(lake, version.committed_at + policy), "fact_orders").fresh


# Columns


def test_a_column_names_what_it_is_made_from_down_to_the_source(lake: Lake) -> None:
    told = trust(lake, datetime.now(UTC))
    facts = of(told, "fact_orders")
    (amount,) = (column for column in facts.columns if column.name == "order_amount")
    contract = CONTRACTS.table("fact_orders").column("order_amount")
    assert (amount.type, amount.description) == (contract.type, contract.description)
    assert amount.sources == (
        Source("raw", "order_details", "price_each"),
        Source("raw", "order_details", "quantity_ordered"),
    )
    assert sources(of(told, "order_details"))["price_each"] == (
        Source("source", "orderdetails", "priceEach"),
    )
    assert not any(sources(of(told, MODEL)).values()), "it is trained"
    assert not any(sources(of(told, "quarantine")).values()), "whole rows"


def test_a_table_that_reads_its_own_last_version_is_no_source_of_itself(lake: Lake) -> None:
    employees = of(trust(lake, datetime.now(UTC)), "dim_employees")
    assert sources(employees)["first_name"] == (Source("raw", "employees", "first_name"),)


def test_a_landed_table_is_made_of_files(tmp_path: Path) -> None:
    lake = lake_in(tmp_path, CONTRACTS.landing(["payments"]))
    payments = sources(of(trust(lake, datetime.now(UTC)), "payments"))
    assert payments["amount"] == (Source("landing", "payments", "amount"),)
    assert payments["payment_month"] == ()


# The recommender


def test_the_model_stands_beside_the_one_before(lake: Lake) -> None:
    model = trust(lake, datetime.now(UTC)).model
    assert model
    assert model.before
    newest, before = lake.history(MODEL)
    assert newest.report
    assert before.report
    assert (model.newest.snapshot_id, model.newest.trained_at) == (
        newest.snapshot_id,
        newest.committed_at,
    )
    assert (model.newest.report, model.before.report) == (newest.report, before.report)
    assert model.newest.version != model.before.version
    assert model.newest.report.training.lines < model.before.report.training.lines
    assert newest.report.comparison
    assert before.report.comparison
    ours = [r for r in newest.report.comparison.results if r.method == PLATFORM]
    theirs = [r for r in before.report.comparison.results if r.method == PLATFORM]
    assert [f.value for f in model.figures] == [getattr(r, m) for r in ours for m in METRICS]
    assert [f.before for f in model.figures] == [getattr(r, m) for r in theirs for m in METRICS]


def publish(lake: Lake, name: str, report: Report | None = None) -> Version:
    table = lake.contracts.table(name)
    return lake.publish(Publication(table, lake.plan(table), (), None, {}, {}, report=report))


def report_of(version: str, *results: Result) -> Report:
    day = date(2026, 1, 1)
    training = Training(Method.EASE, "", day, 30, 2, 3, 1, 0.5)
    if not results:
        return Report(version, training, None, "too few sales")
    return Report(version, training, Comparison(day, day, training, {}, results))


def reached(protocol: Protocol, value: float, method: str = PLATFORM) -> Result:
    return Result(method, protocol, value, value, value, value, value, 0.5)


def recalls(figures: Sequence[Figure]) -> list[tuple[str, float, float | None]]:
    return [(f.protocol, f.value, f.before) for f in figures if f.metric == "recall_at_10"]


def test_where_nothing_was_trained_there_is_no_model(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    assert trust(lake, datetime.now(UTC)).model is None
    publish(lake, MODEL)
    assert trust(lake, datetime.now(UTC)).model is None, "of whose training nothing is known"
    offices = Contracts({"offices": CONTRACTS.table("offices")})
    assert trust(lake_in(tmp_path, offices), datetime.now(UTC)).model is None


def test_a_first_model_has_none_before_it(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    publish(lake, MODEL, report_of("a", reached(Protocol.NEW, 0.25)))
    model = trust(lake, datetime.now(UTC)).model
    assert model
    assert model.before is None
    assert recalls(model.figures) == [("new", 0.25, None)]


def test_a_model_that_could_not_be_judged_has_no_figures(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    publish(lake, MODEL, report_of("a", reached(Protocol.NEW, 0.25)))
    publish(lake, MODEL, report_of("b"))
    model = trust(lake, datetime.now(UTC)).model
    assert model
    assert (model.newest.version, model.figures) == ("b", ())
    assert model.newest.report.unjudged == "too few sales"


def test_only_what_both_were_asked_is_compared_and_only_of_the_published_method(
    tmp_path: Path,
) -> None:
    lake = lake_in(tmp_path)
    publish(lake, MODEL, report_of("a", reached(Protocol.NEW, 0.25)))
    results = (
        reached(Protocol.NEW, 0.5),
        reached(Protocol.NEW, 0.75, POPULARITY),
        reached(Protocol.REPEAT, 0.125),
    )
    publish(lake, MODEL, report_of("b", *results))
    model = trust(lake, datetime.now(UTC)).model
    assert model
    assert recalls(model.figures) == [("new", 0.5, 0.25), ("repeat", 0.125, None)]
    assert len(model.figures) == 2 * len(METRICS)


def test_a_model_that_was_rolled_back_is_not_told_of(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    versions = [publish(lake, MODEL, report_of(name, reached(Protocol.NEW, 0.5))) for name in "abc"]
    lake.rollback(MODEL, versions[1].snapshot_id)
    model = trust(lake, datetime.now(UTC)).model
    assert model
    assert model.before
    assert (model.newest.version, model.before.version) == ("b", "a")
