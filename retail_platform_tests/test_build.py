"""A build writes, audits and publishes: whole, in order, exactly, and nothing is lost.

A real PostgreSQL holds the sample; each test has a database and a lake of its own.
"""

import logging
import multiprocessing
import os
import signal
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from retail_platform.build import AuditFailed, Builder, Built, PublicationStopped
from retail_platform.contracts.checks import CheckResult, checks_of
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.model import Column, Feed, Rule, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.protocol import RowReader, RunRequest, TableResult
from retail_platform.errors import ConfigurationError, LakeError, SourceError
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake, Publication, Version
from retail_platform.sources.address import Address
from retail_platform.sources.database import Source, Totals, open_source
from retail_platform.sources.query import SourceQuery
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform_tests.parquet import path_of, read_rows

FEBRUARY = MonthRange.parse("2004-02")
SOURCE_FED = (
    "offices",
    "employees",
    "product_lines",
    "products",
    "customers",
    "ratings",
    "order_details",
    "orders",
)
MARCH = MonthRange.parse("2004-03")
PAYMENT = "INSERT INTO payments SELECT min(customerNumber), '{}', date '{}', 10.25 FROM customers"


@pytest.fixture(scope="module")
def sample(postgres: EmbeddedPostgres) -> str:
    """A database with the sample, which tests copy and never change."""
    url = postgres.ensure_database(f"sample_{uuid.uuid4().hex[:12]}")
    load(url, generate(SampleSize()), lambda table, rows: None)
    return url


@dataclass(frozen=True)
class Shop:
    """A source and a lake, and what a test does with them."""

    url: str
    folder: Path
    contracts: Contracts = field(default_factory=load_contracts)

    @property
    def lake(self) -> Lake:
        return Lake(FolderStorage(self.folder / "lake"), self.contracts)

    @property
    def builder(self) -> Builder:
        engine = DuckDBEngine("500MB", self.folder / "spill")
        return Builder(self.contracts, self.lake, engine, engine, date(2003, 1, 1))

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def extract(self, months: MonthRange | None = None, *names: str) -> list[Built]:
        return self.builder.extract(
            self._tables("raw", names),
            months or self.builder.stored_months,
            lambda: open_source(self.url),
        )

    def model(self, months: MonthRange | None = None, *names: str) -> list[Built]:
        return self.builder.build_models(
            self._tables("star", names), months or self.builder.stored_months
        )

    def build(self, months: MonthRange | None = None) -> list[Built]:
        return self.extract(months) + self.model(months)

    def _tables(self, layer: str, names: Sequence[str]) -> list[Table]:
        tables = self.contracts.layer(layer)
        return [t for t in tables if not t.delivered and (not names or t.name in names)]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return read_rows(self.lake.files(table))

    def snapshots(self) -> dict[str, int]:
        versions = {name: self.lake.version(name) for name in self.contracts.tables}
        return {name: version.snapshot_id for name, version in versions.items() if version}

    def data_files(self) -> set[Path]:
        return set((self.folder / "lake").rglob("*.parquet"))

    def with_table(self, name: str, **changes: Any) -> "Shop":
        """The same shop after its user has changed one contract."""
        changed = replace(self.contracts.table(name), **changes)
        return replace(self, contracts=Contracts({**self.contracts.tables, name: changed}))


@pytest.fixture
def shop(sample: str, postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Shop]:
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.ensure_database("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {urlsplit(sample).path[1:]}")
        yield Shop(postgres.ensure_database(name), tmp_path)
        # Dropped at once: a server that stops would first flush every copy to the disk.
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def outcome(built: Sequence[Built], table: str, check: str) -> CheckResult:
    (found,) = (
        result
        for one in built
        for result in one.result.checks
        if (result.table, result.check.name) == (table, check)
    )
    return found


# The whole


def test_seven_builds_in_a_row_give_identical_tables(shop: Shop) -> None:
    shop.build()

    def tables() -> dict[str, list[str]]:
        return {name: sorted(map(repr, shop.rows(name))) for name in shop.contracts.tables}

    first = tables()
    assert len(first["fact_orders"]) > 3000
    for _ in range(6):
        built = shop.build()
        assert not [r for one in built for r in one.result.checks if r.fails]
    assert tables() == first
    assert len(shop.lake.history("fact_orders")) == 7


def test_every_table_names_the_snapshots_that_it_was_made_from(shop: Shop) -> None:
    shop.build()
    now = shop.snapshots()
    version = shop.lake.version("fact_orders")
    assert version
    assert version.inputs == {
        name: now[name] for name in ("dim_customers", "dim_products", "order_details", "orders")
    }


def test_dimensions_are_published_before_facts(shop: Shop) -> None:
    shop.build()
    facts = ("fact_orders", "fact_payments")
    moments = {t.name: shop.lake.version(t.name) for t in shop.contracts.layer("star")}
    published = {name: version.committed_at for name, version in moments.items() if version}
    assert max(at for name, at in published.items() if name not in facts) <= min(
        published[name] for name in facts
    )


def test_facts_are_exact_and_every_line_appears_once(shop: Shop) -> None:
    shop.build()
    with psycopg.connect(shop.url) as connection:
        lines, revenue = connection.execute(
            "SELECT count(*), sum(quantityOrdered * priceEach) FROM orderdetails"
        ).fetchone() or (0, 0)
    facts = shop.rows("fact_orders")
    assert len(facts) == lines
    assert sum(row["order_amount"] for row in facts) == revenue


def test_a_model_without_its_inputs_says_what_to_build(shop: Shop) -> None:
    with pytest.raises(
        LakeError, match=r"raw\.payments was never built: run `retail build payments`"
    ):
        shop.model(None, "fact_payments")


# Audit


def test_one_failed_check_withholds_the_whole_layer_and_leaves_no_files(shop: Shop) -> None:
    shop.build()
    before, files = shop.snapshots(), shop.data_files()
    rule = Rule("never", "never true", "SELECT customer_number FROM star.dim_customers LIMIT 3")
    failing = shop.with_table("dim_customers", rules=(rule,))
    with pytest.raises(
        AuditFailed, match=r"dim_customers\.never: never true: 3 offending"
    ) as failed:
        failing.model()
    assert [check.check.name for check in failed.value.checks if check.blocks] == ["never"]
    assert shop.snapshots() == before
    assert shop.data_files() == files


def test_a_first_build_that_fails_leaves_nothing(shop: Shop) -> None:
    shop.execute(
        "ALTER TABLE offices DROP CONSTRAINT offices_pkey CASCADE",
        "INSERT INTO offices SELECT * FROM offices LIMIT 1",
    )
    with pytest.raises(AuditFailed, match=r"offices\.primary_key"):
        shop.extract()
    assert shop.snapshots() == {}
    assert shop.data_files() == set()


def test_published_tables_pass_the_same_checks_again(shop: Shop) -> None:
    shop.build()
    tables = [*shop.contracts.fed_by(Feed.SOURCE), *shop.contracts.layer("star")]
    results = [check for result in shop.builder.audit(tables) for check in result.checks]
    assert len(results) > 50
    assert not [result for result in results if result.fails]


def test_a_version_carries_the_outcomes_of_all_its_checks(shop: Shop) -> None:
    for one in shop.build():
        table = shop.contracts.table(one.version.table)
        version = shop.lake.version(table.name)
        assert version
        assert list(version.checks) == [result.check.name for result in one.result.checks]
        assert set(version.checks) == {check.name for check in checks_of(table)}
        assert not any(version.checks.values())


def test_a_warning_that_failed_shows_its_rows_as_long_as_its_version_is_seen(shop: Shop) -> None:
    shop.execute(PAYMENT.format("A", "2002-12-31"), PAYMENT.format("B", "2150-01-01"))
    shop.extract()
    warned = shop.lake.version("quarantine")
    assert warned
    assert warned.checks["nothing_set_aside"] == 2, "a reason each"
    shop.execute("DELETE FROM payments WHERE checkNumber IN ('A', 'B')")
    shop.extract()
    mended = shop.lake.version("quarantine")
    assert mended
    assert mended.checks["nothing_set_aside"] == 0

    shop.lake.rollback("quarantine", warned.snapshot_id)

    assert shop.lake.version("quarantine") == warned


# Months


def test_a_run_reads_and_replaces_only_its_months(shop: Shop) -> None:
    shop.build()
    before = set(shop.lake.files("fact_orders"))
    february = set(shop.lake.files("fact_orders", FEBRUARY))
    shop.build(FEBRUARY)
    assert before - set(shop.lake.files("fact_orders")) == february


def test_a_month_that_differs_elsewhere_is_named_and_withholds_nothing(shop: Shop) -> None:
    shop.extract()
    shop.execute(PAYMENT.format("FEB", "2004-02-10"), PAYMENT.format("MAR", "2004-03-10"))

    built = shop.extract(MARCH, "payments")

    assert outcome(built, "payments", "reconciles").passed
    elsewhere = outcome(built, "payments", "reconciles_other_months")
    assert elsewhere.fails
    assert not elsewhere.blocks
    assert "`retail build --from 2004-02 --to 2004-02`" in elsewhere.detail
    version = shop.lake.version("payments")
    assert version
    assert version.checks["reconciles_other_months"] == 1
    assert {"MAR"} == {row["check_number"] for row in shop.rows("payments")} & {"FEB", "MAR"}
    mended = shop.extract(FEBRUARY, "payments")
    assert outcome(mended, "payments", "reconciles_other_months").passed


# Contracts that change


NOTE = Column("note", "string", "Added later.")


def with_note(shop: Shop) -> Shop:
    payments = shop.contracts.table("fact_payments")
    sql = payments.sql.replace("FROM", ", cast('new' AS string) AS note FROM")
    return shop.with_table("fact_payments", columns=(*payments.columns, NOTE), sql=sql)


def test_a_changed_contract_needs_a_full_build(shop: Shop) -> None:
    shop.build()
    before = shop.snapshots()
    changed = with_note(shop)
    with pytest.raises(
        ConfigurationError,
        match=r"fact_payments changed \(note added\).*`retail build fact_payments`",
    ):
        changed.model(FEBRUARY, "fact_payments")
    assert shop.snapshots() == before

    changed.model(None, "fact_payments")

    assert {row["note"] for row in changed.rows("fact_payments")} == {"new"}
    assert len(changed.lake.history("fact_payments")) == 2
    old = changed.lake.files("fact_payments", snapshot_id=before["fact_payments"])
    assert "note" not in read_rows(old)[0]


def test_a_monthly_table_without_measures_needs_a_full_build_too(shop: Shop) -> None:
    silent = shop.with_table("fact_payments", measures={}, reconciles_with=None)
    silent.build()
    with pytest.raises(ConfigurationError, match=r"fact_payments changed \(note added\)"):
        with_note(silent).model(FEBRUARY, "fact_payments")


def test_a_dimension_that_reads_its_own_last_version_gains_a_column(shop: Shop) -> None:
    shop.build()
    employees = shop.contracts.table("dim_employees")
    current, gone = employees.sql.split("UNION ALL")
    sql = "UNION ALL".join(
        [
            current.replace(
                "cast(true AS boolean)", "cast('new' AS string) AS note, cast(true AS boolean)"
            ),
            gone.replace("cast(false AS boolean)", "gone.note, cast(false AS boolean)"),
        ]
    )
    at_the_end = (*employees.columns[:-1], NOTE, employees.columns[-1])
    changed = shop.with_table("dim_employees", columns=at_the_end, sql=sql)
    shop.execute(
        "DELETE FROM employees WHERE employeeNumber = (SELECT max(employeeNumber) FROM employees)"
    )
    changed.extract(None, "employees")

    changed.model(None, "dim_employees")

    notes = {(row["is_current"], row["note"]) for row in changed.rows("dim_employees")}
    assert notes == {(True, "new"), (False, None)}


def test_an_input_that_was_built_under_another_contract_is_no_input(shop: Shop) -> None:
    shop.build()
    payments = shop.contracts.table("payments")
    changed = shop.with_table("payments", columns=(*payments.columns, NOTE))
    for ask in (
        lambda: changed.model(None, "fact_payments"),
        lambda: changed.builder.audit([changed.contracts.table("payments")]),
    ):
        with pytest.raises(ConfigurationError, match=r"payments changed.*`retail build payments`"):
            ask()


# Months that the lake holds no longer


def test_a_whole_build_drops_months_before_the_first(shop: Shop) -> None:
    shop.build()
    later = replace(shop.builder, first_month=date(2004, 1, 1))
    raw, star = shop.contracts.fed_by(Feed.SOURCE), shop.contracts.layer("star")
    later.extract(raw, MARCH, lambda: open_source(shop.url))
    built = later.build_models(star, MARCH)
    elsewhere = outcome(built, "fact_orders", "reconciles_other_months")
    assert elsewhere.passed, "facts and raw are behind alike"
    extracted = later.extract(raw, MARCH, lambda: open_source(shop.url))
    told = outcome(extracted, "orders", "reconciles_other_months")
    assert told.fails
    assert told.detail.endswith("; run `retail build`")

    later.extract(raw, later.stored_months, lambda: open_source(shop.url))
    built = later.build_models(star, later.stored_months)

    assert not [check for one in built for check in one.result.checks if check.fails]
    assert min(shop.lake.months("fact_orders")) == date(2004, 1, 1)
    reasons = {row["reason"] for row in shop.rows("quarantine")}
    assert reasons == {"before first_month"}


# A source that forgets


@pytest.mark.parametrize("emptied", ["orders", "customers"])
def test_an_emptied_source_is_refused_and_what_is_published_stays(shop: Shop, emptied: str) -> None:
    shop.build()
    before = shop.snapshots()
    shop.execute(f"TRUNCATE {emptied} CASCADE")
    with pytest.raises(SourceError, match=rf"no rows, or too few, in .*{emptied}.*stays"):
        shop.extract()
    assert shop.snapshots() == before


def test_an_order_that_changed_long_ago_names_its_month(shop: Shop) -> None:
    shop.build()
    shop.execute(
        "UPDATE orders SET status = 'Cancelled' WHERE orderNumber ="
        " (SELECT max(orderNumber) FROM orders WHERE status = 'Shipped' AND orderDate < '2004-03-01')"
    )
    built = shop.extract(MonthRange.parse("2005-04", "2005-05"))
    told = outcome(built, "orders", "reconciles_other_months")
    assert told.fails
    assert "2004-02: sales: the source" in told.detail


def test_a_line_whose_order_is_not_in_the_lake_is_no_sale(shop: Shop) -> None:
    shop.build()
    shop.execute(
        "INSERT INTO orders SELECT 999999, date '2005-04-01', date '2005-05-01', NULL, 'Cancelled',"
        " NULL, min(customerNumber) FROM customers",
        "INSERT INTO orderdetails SELECT 999999, min(productCode), 7, 10.50, 1 FROM products",
    )
    shop.extract(None, "order_details")
    before = shop.snapshots()
    with pytest.raises(AuditFailed, match=r"fact_orders.not_null.*999999"):
        shop.model()
    assert shop.snapshots() == before


def test_a_monthly_table_brings_the_quarantine_along(shop: Shop) -> None:
    shop.build()
    shop.execute(
        "ALTER TABLE orderdetails DROP CONSTRAINT IF EXISTS orderdetails_ordernumber_fkey",
        "INSERT INTO orderdetails VALUES (999999, 'LOST', 7, 10.50, 1)",
    )
    built = shop.extract(MARCH, "order_details")
    assert [one.version.table for one in built] == ["order_details", "quarantine"]
    assert outcome(built, "order_details", "reconciles").passed
    assert len(shop.rows("quarantine")) == 1


def test_a_table_that_files_feed_is_not_read_from_the_source(shop: Shop) -> None:
    shop.build()
    before = shop.rows("payments")
    shop.execute(
        "UPDATE payments SET amount = amount + 1",
        "UPDATE payments SET paymentDate = '1999-01-01' WHERE checkNumber ="
        " (SELECT min(checkNumber) FROM payments)",
    )
    later = replace(shop, contracts=shop.contracts.landing(["payments"]))
    tables = [table.name for table in later.contracts.fed_by(Feed.SOURCE)]
    built = later.extract(None, *tables)
    assert {one.version.table for one in built} == set(tables) == {*SOURCE_FED, "quarantine"}
    assert later.rows("payments") == before
    assert later.rows("quarantine") == []
    # Fed by the source again, it is.
    shop.extract()
    assert shop.rows("payments") != before
    assert len(shop.rows("quarantine")) == 1


def test_a_vanished_row_stays_because_facts_name_it(shop: Shop) -> None:
    shop.build()
    (gone,) = {row["customer_number"] for row in shop.rows("dim_customers")[:1]}
    shop.execute(f"UPDATE customers SET customerNumber = 999999 WHERE customerNumber = {gone}")
    for _ in range(2):
        shop.extract(None, "customers")
        shop.model(None, "dim_locations", "dim_employees", "dim_customers")
        current = {row["customer_number"]: row["is_current"] for row in shop.rows("dim_customers")}
        assert current[gone] is False
        assert current[999999] is True


# A source that moves


@dataclass
class _Moving:
    """Takes a payment behind the reader's back, after each of the first totals."""

    url: str
    times: int
    taken: int = 0

    def take(self) -> None:
        if self.taken < self.times:
            self.taken += 1
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(PAYMENT.format(f"NEW{self.taken}", "2004-02-10"))


class MovingSource(Source):
    """A source that others write to."""

    def __init__(self, url: str, moving: _Moving) -> None:
        super().__init__(Address.parse(url))
        self.moving = moving

    def totals(self, query: SourceQuery) -> Totals:
        found = super().totals(query)
        if query.table.name == "payments":
            self.moving.take()
        return found


def extract_moving(shop: Shop, times: int) -> list[Built]:
    moving = _Moving(shop.url, times)
    tables = [shop.contracts.table("payments")]
    return shop.builder.extract(
        tables, shop.builder.stored_months, lambda: MovingSource(shop.url, moving)
    )


@pytest.mark.parametrize("times", [1, 2])
def test_a_source_that_moved_is_read_again(
    shop: Shop, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    with caplog.at_level(logging.WARNING):
        built = extract_moving(shop, times)
    assert outcome(built, "payments", "reconciles").passed
    again = [r for r in caplog.records if "changed while payments was read" in r.message]
    assert len(again) == times
    assert len([r for r in shop.rows("payments") if r["check_number"].startswith("NEW")]) == times
    assert len(shop.lake.history("payments")) == 1
    assert {path_of(f) for f in shop.lake.files("payments")} <= shop.data_files()


def test_a_source_that_never_rests_is_a_warning_with_both_totals(shop: Shop) -> None:
    built = extract_moving(shop, 99)
    result = outcome(built, "payments", "reconciles")
    assert not result.passed
    assert not result.fails, "a warning"
    version = shop.lake.version("payments")
    assert version
    now = version.measures["2004-02"]
    assert result.detail == (
        "the source kept changing during 3 reads, at last 2004-02: "
        f"rows from {now['rows'] - 1} to {now['rows']}, "
        f"amount from {now['amount'] - Decimal('10.25')} to {now['amount']}"
    )
    assert len(shop.lake.history("payments")) == 1
    (again,) = shop.builder.audit([shop.contracts.table("payments")])
    assert not [check for check in again.checks if check.fails], "what was accepted stays accepted"


# Rows without a month


def test_rows_without_a_month_are_kept_whole_and_counted(shop: Shop) -> None:
    shop.execute(
        "ALTER TABLE payments ALTER COLUMN paymentDate DROP NOT NULL",
        PAYMENT.replace("date '{}'", "NULL").format("NONE"),
        PAYMENT.format("OLD", "2002-12-31"),
        PAYMENT.format("AHEAD", "2150-01-01"),
        PAYMENT.format("GOOD", "2004-02-10"),
    )
    built = shop.extract()
    aside = [row for row in shop.rows("quarantine") if row["table_name"] == "payments"]
    found = {
        number: row["reason"]
        for row in aside
        for number in ("NONE", "OLD", "AHEAD")
        if f'"{number}"' in row["row_json"]
    }
    assert len(aside) == 3
    assert found == {
        "NONE": "no date",
        "OLD": "before first_month",
        "AHEAD": "after the running month",
    }
    assert all("10.25" in row["row_json"] for row in aside)
    assert "GOOD" in {row["check_number"] for row in shop.rows("payments")}
    warning = outcome(built, "quarantine", "nothing_set_aside")
    assert not warning.passed
    assert not warning.fails
    assert outcome(built, "payments", "reconciles").passed, "set aside, and accounted for"
    version = shop.lake.version("quarantine")
    assert version
    assert version.measures[""]["payments"] == Decimal(3)


def test_orphan_lines_are_kept_whole_and_counted(shop: Shop) -> None:
    shop.execute(
        "ALTER TABLE orderdetails DROP CONSTRAINT IF EXISTS orderdetails_ordernumber_fkey",
        "INSERT INTO orderdetails VALUES (999999, 'LOST', 7, 10.50, 1)",
    )
    built = shop.extract()
    (orphan,) = [r for r in shop.rows("quarantine") if "LOST" in r["row_json"]]
    assert (orphan["table_name"], orphan["reason"]) == ("order_details", "no such order")
    assert "10.5" in orphan["row_json"]
    assert outcome(built, "order_details", "reconciles").passed


# A run that dies


class DyingEngine(DuckDBEngine):
    """Writes and audits everything, and is killed before it can be published."""

    def run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        super().run(request, source)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


def die(shop: Shop) -> None:
    builder = replace(shop.builder, engine=DyingEngine("500MB", shop.folder / "spill"))
    builder.build_models(shop.contracts.layer("star"), builder.stored_months)


def test_what_was_published_before_a_commit_failed_is_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.extract()
    publish = Lake.publish

    def fail(lake: Lake, publication: Publication) -> Version:
        if publication.table.name == "fact_orders":
            raise LakeError("the disk is full")
        return publish(lake, publication)

    monkeypatch.setattr(Lake, "publish", fail)
    with pytest.raises(
        PublicationStopped, match="the disk is full; published before it: dim_"
    ) as e:
        shop.model()
    assert {built.version.table for built in e.value.built} == set(shop.snapshots()) - {
        table.name for table in shop.contracts.fed_by(Feed.SOURCE)
    }
    files = {file.parent.parent.parent.name for file in shop.data_files()}
    assert "dim_customers" in files
    assert "fact_orders" not in files


def test_a_killed_run_leaves_the_last_version_and_no_lock(shop: Shop) -> None:
    shop.build()
    before, files = shop.snapshots(), shop.data_files()
    process = multiprocessing.get_context("spawn").Process(target=die, args=(shop,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert shop.snapshots() == before
    assert shop.data_files() > files, "orphans for `retail vacuum`"
    shop.model()
    assert set(shop.snapshots()) == set(before)
