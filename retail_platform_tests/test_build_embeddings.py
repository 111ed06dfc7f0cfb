"""The ml layer from a small star schema to the vector store: trained, judged, published, or not."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from retail_platform import publication
from retail_platform.build import AuditFailed, Builder, Built
from retail_platform.contracts.checks import ENOUGH_HISTORY
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.engines.as_json import load_if_known
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.errors import LakeError, TrainingError
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake, Publication
from retail_platform.platform import Platform
from retail_platform.publication import NotBetter
from retail_platform.recommender import gates
from retail_platform.recommender.report import PLATFORM, Method, Protocol, Report
from retail_platform.recommender.vector_store import VectorStore
from retail_platform.runs import Outcome, run_build
from retail_platform.settings import Settings
from retail_platform.sources.address import Address
from retail_platform_tests.parquet import Row, read_rows, write_files
from retail_platform_tests.recommender.shop import FIRST_DAY, Line, line, two_tastes

CONTRACTS = load_contracts()
TRAINED = ("customer_embeddings", "feature_embeddings", "product_embeddings", "similar_products")
TASTES = two_tastes(customers=60)


@dataclass(frozen=True)
class Star:
    """A lake whose star schema is what a test says."""

    folder: Path
    contracts: Contracts = CONTRACTS

    @property
    def lake(self) -> Lake:
        return Lake(FolderStorage(self.folder / "lake"), self.contracts)

    @property
    def builder(self) -> Builder:
        engine = DuckDBEngine("500MB", self.folder / "spill")
        return Builder(self.contracts, self.lake, engine, engine, FIRST_DAY)

    def sell(
        self,
        lines: Iterable[Line],
        *,
        sale: bool = True,
        ratings: Iterable[tuple[int, str, int]] = (),
        more_products: Iterable[str] = (),
    ) -> "Star":
        """Publishes the star schema of these order lines."""
        lines = list(lines)
        customers = sorted({number for number, *_ in lines if number is not None})
        products = sorted({code for _, code, *_ in lines} | set(more_products))
        self._publish("fact_orders", [_order_line(one, sale) for one in lines])
        self._publish(
            "dim_customers",
            [
                {
                    "customer_number": number,
                    "customer_name": f"Customer {number}",
                    "credit_limit": Decimal(1000 * number % 70_000),
                    "location_key": f"place {number % 2}",
                    "is_current": True,
                }
                for number in customers
            ],
        )
        self._publish(
            "dim_locations",
            [
                {"location_key": f"place {n}", "country": country, "city": city, "is_current": True}
                for n, country, city in ((0, "France", "Nantes"), (1, "Norway", None))
            ],
        )
        self._publish(
            "dim_products",
            [
                {
                    "product_code": code,
                    "product_name": f"Product {code}",
                    "product_line": code[0],
                    "quantity_in_stock": 9,
                    "is_current": True,
                }
                for code in products
            ],
        )
        names = ("customer_number", "product_code", "product_rating")
        self._publish("ratings", [dict(zip(names, one, strict=True)) for one in ratings])
        return self

    def _publish(self, name: str, rows: list[Row]) -> None:
        table, lake = self.contracts.table(name), self.lake
        plan = lake.plan(table)
        empty: Row = dict.fromkeys(table.column_names)
        whole = [{**empty, **row} for row in rows]
        files = write_files(table, lake.new_location(table), whole, plan.field_ids) if rows else ()
        lake.publish(Publication(table, plan, files, None, {}, {}))

    def train(self, *names: str) -> list[Built]:
        """Builds the ml layer, or some of it."""
        tables = [t for t in self.contracts.layer("ml") if not names or t.name in names]
        return self.builder.build_models(tables, self.builder.stored_months)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return read_rows(self.lake.files(table))

    def with_gate(self, at_least: float) -> "Star":
        """The same star under another demand."""
        table = self.contracts.table("product_embeddings")
        demand = replace(table.gates[0], at_least=at_least)
        changed = replace(table, gates=(demand, *table.gates[1:]))
        return replace(self, contracts=Contracts({**self.contracts.tables, table.name: changed}))


def _order_line(one: Line, sale: bool) -> Row:
    customer, product, order, at, day = one
    return {
        "order_number": order,
        "order_line_number": at,
        "order_month": day.replace(day=1),
        "order_date": day,
        "status": "Shipped" if sale else "Cancelled",
        "is_sale": sale,
        "customer_number": customer,
        "product_code": product,
        "quantity_ordered": 2,
        "price_each": Decimal("1.50"),
        "order_amount": Decimal("3.00"),
    }


@pytest.fixture
def star(tmp_path: Path) -> Star:
    return Star(tmp_path)


@pytest.fixture
def store(postgres_url: str) -> VectorStore:
    return VectorStore(Address.parse(postgres_url, "RETAIL_VECTORS_URL"))


# The training set


def test_the_training_set_is_a_row_for_each_customer_and_product(star: Star) -> None:
    star.sell(
        [line(4, "a", day=0), line(4, "a", day=5), line(4, "b", day=5), line(7, "a", day=6)],
        ratings=[(4, "a", 5), (9, "b", 1)],
    ).train("recommendation_training")
    rows = {
        (r["customer_number"], r["product_code"]): r for r in star.rows("recommendation_training")
    }
    assert sorted(rows) == [(4, "a"), (4, "b"), (7, "a")]
    row = rows[4, "a"]
    assert (row["orders"], row["quantity"], row["amount"]) == (2, 4, Decimal("6.00"))
    assert row["first_order_date"] == FIRST_DAY
    assert row["last_order_date"] == FIRST_DAY + timedelta(days=5)
    assert (row["rating"], rows[4, "b"]["rating"]) == (5, None)
    assert (row["country"], row["city"], row["credit_limit"]) == (
        "France",
        "Nantes",
        Decimal("4000"),
    )
    assert (row["product_line"], row["quantity_in_stock"]) == ("a", 9)
    assert rows[7, "a"]["city"] is None


def test_a_shop_without_ratings_has_none(star: Star) -> None:
    star.sell(TASTES).train()
    assert {row["rating"] for row in star.rows("recommendation_training")} == {None}


def test_what_is_no_sale_does_not_count(star: Star) -> None:
    star.sell([line(1, "a"), line(2, "b")], sale=False)
    star.train("recommendation_training")
    assert star.rows("recommendation_training") == []


# Training


def test_embeddings_are_of_one_training_and_name_its_snapshot(star: Star) -> None:
    built = star.sell(TASTES).train()
    assert built[0].version.table == "recommendation_training"
    training_set = built[0].version.snapshot_id
    for one in built[1:]:
        assert one.version.inputs["recommendation_training"] == training_set
        assert set(one.version.inputs) == {"recommendation_training", "fact_orders"}
    report = built[1].version.report
    assert report is not None
    assert report.training.method is Method.EASE
    assert report.training.lines == len(TASTES)
    for name in TRAINED:
        assert {row["model_version"] for row in star.rows(name)} == {report.model_version}
        version = star.lake.version(name)
        assert version is not None
        assert version.report == report, "readable from the catalog"


def test_one_table_brings_the_others_of_its_training_along(star: Star) -> None:
    star.sell(TASTES).train("recommendation_training")
    built = star.train("similar_products")
    assert sorted(one.version.table for one in built) == sorted(TRAINED)
    assert publication.newest(star.lake).report.training.customers == 60


def test_the_same_sales_give_the_same_vectors(star: Star) -> None:
    star.sell(TASTES).train()
    first = star.rows("product_embeddings")
    star.train()
    assert star.rows("product_embeddings") == first


def test_features_are_learnt(star: Star) -> None:
    star.sell(TASTES).train()
    known = {(row["feature"], row["value"]) for row in star.rows("feature_embeddings")}
    assert {("country", "France"), ("country", "Norway"), ("city", "Nantes")} <= known
    assert ("city", "") not in known


def test_one_customer_gets_what_is_popular(star: Star, store: VectorStore) -> None:
    built = star.sell([line(1, code, day) for day in range(3) for code in "ab"]).train()
    report = built[1].version.report
    assert report is not None
    assert report.training.method is Method.POPULARITY
    assert "two customers" in report.training.reason
    assert report.comparison is None
    (warning,) = (c for one in built for c in one.result.checks if c.check.name == ENOUGH_HISTORY)
    assert "published unjudged: the history begins after" in warning.detail
    assert star.rows("similar_products") == []
    publication.publish(star.lake, store)
    assert [one.product_code for one in store.recommend()] == ["a", "b"]
    assert store.recommend(1) == []


def test_no_sales_are_an_error_and_the_last_version_stays(star: Star) -> None:
    star.sell(TASTES).train()
    before = {name: star.lake.version(name) for name in TRAINED}
    star.sell(TASTES, sale=False)
    with pytest.raises(TrainingError, match="no purchases to learn from: build fact_orders"):
        star.train()
    assert {name: star.lake.version(name) for name in TRAINED} == before


def test_a_product_that_nobody_bought_is_not_recommended(star: Star, store: VectorStore) -> None:
    star.sell(TASTES, more_products=["C99"]).train()
    publication.publish(star.lake, store)
    every = store.recommend(session=["A01", "C99"], count=200)
    assert "C99" not in {one.product_code for one in every}
    assert every == store.recommend(session=["A01"], count=200)
    assert store.known_products(["C99"]) == {}


def test_what_is_new_since_the_training_waits_for_the_next(star: Star, store: VectorStore) -> None:
    star.sell(TASTES).train()
    later = [line(0, "A99", day=130), line(999, "A01", day=130), line(0, "A00", day=131)]
    star.sell([*TASTES, *later]).train("recommendation_training")
    publication.publish(star.lake, store)
    found = {one.product_code for one in store.recommend(0, count=200)}
    assert "A99" not in found
    assert "A00" not in found, "bought since: what is left out is as new as the training set"
    assert {one.strategy for one in store.recommend(999)} == {"popularity"}
    star.train()
    publication.publish(star.lake, store)
    assert {one.strategy for one in store.recommend(999)} == {"known"}


# Judging


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small test is enough to judge by."""
    monkeypatch.setattr(gates, "ENOUGH_QUESTIONS", 10)


@pytest.mark.usefixtures("judged")
def test_a_good_model_passes_and_its_figures_are_kept(star: Star) -> None:
    built = star.sell(TASTES).train()
    checks = {c.check.name: c for one in built for c in one.result.checks}
    assert checks["beats_recent_popularity"].passed
    assert (
        "new recall_at_10 against 1.25 x popularity_14d" in checks["beats_recent_popularity"].detail
    )
    assert "| platform | new |" in checks["beats_recent_popularity"].evidence
    assert checks[ENOUGH_HISTORY].passed
    again = star.builder.audit([star.contracts.table("product_embeddings")])[0].checks
    for check in again:
        assert not check.blocks, check.detail
        if check.evidence:
            assert check == checks[check.check.name], "from the figures that the catalog keeps"


@pytest.mark.usefixtures("judged")
def test_a_model_that_does_not_beat_popularity_is_not_published(star: Star) -> None:
    star.sell(TASTES).train()
    before = {name: star.lake.version(name) for name in ("recommendation_training", *TRAINED)}
    with pytest.raises(AuditFailed) as caught:
        star.with_gate(100.0).train()
    assert "product_embeddings.beats_recent_popularity" in str(caught.value)
    assert "against 100 x popularity_14d" in str(caught.value)
    assert {name: star.lake.version(name) for name in before} == before


def test_too_little_to_judge_by_is_a_warning(star: Star) -> None:
    built = star.sell(TASTES).with_gate(100.0).train()
    (warning,) = (c for one in built for c in one.result.checks if c.check.name == ENOUGH_HISTORY)
    assert not warning.passed
    assert not warning.blocks
    version = star.lake.version("product_embeddings")
    assert version is not None
    assert version.checks[ENOUGH_HISTORY] == 1
    assert version.checks["beats_recent_popularity"] == 0


# Publishing


def test_the_store_answers_from_the_lake(star: Star, store: VectorStore) -> None:
    star.sell(TASTES).train()
    published = publication.publish(star.lake, store)
    assert published.version.version == 1
    shelf = publication.newest(star.lake)
    assert published.version.model_version == shelf.report.model_version
    assert published.version.description["snapshots"] == {
        name: version.snapshot_id for name, version in shelf.versions.items()
    }
    found = store.recommend(11, count=3)
    assert {one.product_code[0] for one in found} == {"B"}
    assert found[0].product_name == f"Product {found[0].product_code}"


def test_nothing_built_is_nothing_to_publish(star: Star, store: VectorStore) -> None:
    with pytest.raises(LakeError, match="run `retail build ml` first"):
        publication.publish(star.lake, store)


def test_embeddings_of_different_trainings_are_not_mixed(star: Star, store: VectorStore) -> None:
    star.sell(TASTES).train()
    first = star.lake.version("customer_embeddings")
    assert first is not None
    star.sell([*TASTES, line(0, "B05", day=140)]).train()
    star.lake.rollback("customer_embeddings", first.snapshot_id)
    with pytest.raises(LakeError, match=r"not of one training .*customer_embeddings"):
        publication.publish(star.lake, store)


@pytest.mark.usefixtures("judged")
def test_a_model_that_is_clearly_worse_does_not_take_the_live_ones_place(
    star: Star, store: VectorStore
) -> None:
    star.sell(TASTES).train()
    publication.publish(star.lake, store)
    _praise_live(store)
    star.train()
    with pytest.raises(NotBetter, match="which is clearly worse: version 1 stays live"):
        publication.publish(star.lake, store)
    assert [one.version for one in store.versions()] == [1]
    publication.publish(star.lake, store, even_if_worse=True)
    assert [(one.version, one.live) for one in store.versions()] == [(2, True), (1, False)]


@pytest.mark.usefixtures("judged")
def test_an_equal_model_takes_the_live_ones_place(star: Star, store: VectorStore) -> None:
    star.sell(TASTES).train()
    publication.publish(star.lake, store)
    assert publication.publish(star.lake, store).version.version == 2


# Through Dagster


def built_by_dagster(star: Star, store: VectorStore, *names: str) -> Outcome:
    url = SecretStr(store.address.url)
    platform = Platform(Settings(home=star.folder, vectors_url=url))
    return run_build(platform, names, None, None, lambda text: None)


def test_a_run_of_the_layer_publishes_what_it_built(star: Star, store: VectorStore) -> None:
    star.sell(TASTES)
    outcome = built_by_dagster(star, store, "ml")
    assert outcome.success, outcome.error
    assert (outcome.tables, outcome.published) == (5, True)
    assert [one.check for one in outcome.warnings] == [ENOUGH_HISTORY]
    live = store.live_version()
    assert live is not None
    assert live.model_version == publication.newest(star.lake).report.model_version
    outcome = built_by_dagster(star, store, "vector_store")
    assert (outcome.success, outcome.tables, outcome.published) == (True, 0, True)
    assert len(store.versions()) == 2


@pytest.mark.usefixtures("judged")
def test_a_run_with_a_worse_model_fails_its_check(star: Star, store: VectorStore) -> None:
    star.sell(TASTES)
    assert built_by_dagster(star, store, "ml").success
    _praise_live(store)
    outcome = built_by_dagster(star, store, "ml")
    assert not outcome.success
    assert (outcome.tables, outcome.published) == (5, False), "the lake has it, readers do not"
    (failed,) = outcome.failures
    assert (failed.table, failed.check) == ("vector_store", "not_worse_than_live")
    assert "--even-if-worse" in failed.detail
    assert len(store.versions()) == 1


def test_a_vector_store_that_is_not_there_fails_only_itself(star: Star) -> None:
    star.sell(TASTES)
    gone = VectorStore(Address.parse("postgresql://x:geheim@127.0.0.1:1/x", "RETAIL_VECTORS_URL"))
    outcome = built_by_dagster(star, gone, "ml")
    assert not outcome.success
    assert outcome.tables == 5
    assert "127.0.0.1:1/x cannot be reached" in outcome.error
    assert "geheim" not in outcome.error


def test_without_sales_a_run_says_so(star: Star, store: VectorStore) -> None:
    star.sell(TASTES, sale=False)
    outcome = built_by_dagster(star, store, "ml")
    assert "no purchases to learn from" in outcome.error
    assert (outcome.tables, outcome.published) == (0, False)


def _praise_live(store: VectorStore) -> None:
    """Makes the live version one that found everything."""
    with psycopg.connect(store.address.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT description -> 'evaluation' FROM recommender.versions"
        ).fetchone()
        assert row
        evaluation = row[0]
        for result in evaluation["results"]:
            if (result["method"], result["protocol"]) == (PLATFORM, Protocol.NEW):
                result["recall_at_10"] = 0.99
        connection.execute(
            "UPDATE recommender.versions SET description = jsonb_set(description, '{evaluation}', %s)",
            [Jsonb(evaluation)],
        )


def test_a_report_of_another_form_is_none(star: Star) -> None:
    """What another version of the platform wrote keeps no table from being read."""
    assert load_if_known(Report, json.loads('{"model_version": "x"}')) is None
    assert load_if_known(Report, None) is None
