"""What Dagster sees: every table an asset with its checks, months as partitions, one step a layer."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from pydantic import SecretStr

from retail_platform.automation.schedules import last_months, range_tags
from retail_platform.contracts.checks import checks_of
from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.months import MonthRange
from retail_platform.definitions import build_definitions
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.platform import Platform
from retail_platform.runs import run_build
from retail_platform.settings import load_settings
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load

TRAINED_FROM = {"ml/recommendation_training", "star/fact_orders"}
DEPENDENCIES = {
    "star/dim_customers": {"raw/customers", "star/dim_employees", "star/dim_locations"},
    "star/dim_dates": {"raw/orders", "raw/payments"},
    "star/dim_employees": {"raw/employees", "raw/offices"},
    "star/dim_locations": {"raw/customers"},
    "star/dim_products": {"raw/products", "raw/product_lines"},
    "star/fact_orders": {
        "raw/order_details",
        "raw/orders",
        "star/dim_customers",
        "star/dim_dates",
        "star/dim_employees",
        "star/dim_locations",
        "star/dim_products",
    },
    "star/fact_payments": {"raw/payments", "star/dim_customers", "star/dim_dates"},
    "ml/recommendation_training": {
        "raw/ratings",
        "star/dim_customers",
        "star/dim_locations",
        "star/dim_products",
        "star/fact_orders",
    },
    "ml/customer_embeddings": {*TRAINED_FROM, "star/dim_customers"},
    "ml/product_embeddings": {*TRAINED_FROM, "star/dim_products"},
    "ml/feature_embeddings": TRAINED_FROM,
    "ml/similar_products": TRAINED_FROM,
    "ml/vector_store": {
        "ml/customer_embeddings",
        "ml/feature_embeddings",
        "ml/product_embeddings",
        "ml/recommendation_training",
        "ml/similar_products",
        "star/dim_products",
    },
    "events/recommendation_events": {"delivered/recommendations"},
    "events/recommended_items": {"delivered/recommendations"},
    "events/browsed_items": {"delivered/recommendations"},
    "events/delivery_failures": {"delivered/processing_failed"},
    "events/deliveries": set(),
    "events/recommendation_outcomes": {
        "events/recommendation_events",
        "events/recommended_items",
        "events/browsed_items",
        "star/fact_orders",
    },
    "raw/customers": {"source/customers"},
    "raw/landed_files": set(),
    "raw/employees": {"source/employees"},
    "raw/offices": {"source/offices"},
    "raw/order_details": {"source/orderdetails", "source/orders"},
    "raw/orders": {"source/orders"},
    "raw/payments": {"source/payments"},
    "raw/product_lines": {"source/productlines"},
    "raw/products": {"source/products"},
    "raw/quarantine": {"source/orderdetails", "source/orders", "source/payments"},
    "raw/ratings": {"source/ratings"},
}
MONTHLY = {
    "raw/order_details",
    "raw/orders",
    "raw/payments",
    "star/fact_orders",
    "star/fact_payments",
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(load_settings(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    found = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    external = ("source/", "delivered/", "landing/")
    return {key: spec for key, spec in found.items() if not key.startswith(external)}


def test_every_table_is_an_asset_with_its_lineage(specs: dict[str, dg.AssetSpec]) -> None:
    found = {
        key: {dep.asset_key.to_user_string() for dep in spec.deps} for key, spec in specs.items()
    }
    assert found == DEPENDENCIES


def test_monthly_tables_have_the_running_month(specs: dict[str, dg.AssetSpec]) -> None:
    assert {key for key, spec in specs.items() if spec.partitions_def} == MONTHLY
    partitions = specs["star/fact_orders"].partitions_def
    assert partitions
    keys = partitions.get_partition_keys()
    assert keys[0] == "2003-01-01"
    assert keys[-1] == f"{datetime.now(UTC):%Y-%m}-01"


def test_every_asset_says_what_it_is(specs: dict[str, dg.AssetSpec]) -> None:
    for key, spec in specs.items():
        if key == "ml/vector_store":
            continue  # is no table
        table = load_contracts().table(key.replace("/", "."))
        schema = spec.metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        assert [column.name for column in schema.columns] == list(table.column_names)
        assert spec.metadata["dagster/table_name"] == f"{table.layer}.{table.name}"
        assert spec.freshness_policy is not None
        assert table.description in (spec.description or "")


def test_column_lineage_goes_back_to_the_source(specs: dict[str, dg.AssetSpec]) -> None:
    def sources(asset: str, column: str) -> set[tuple[str, str]]:
        lineage = specs[asset].metadata["dagster/column_lineage"]
        assert isinstance(lineage, dg.TableColumnLineage)
        return {
            (dep.asset_key.to_user_string(), dep.column_name)
            for dep in lineage.deps_by_column[column]
        }

    assert sources("star/fact_orders", "order_amount") == {
        ("raw/order_details", "quantity_ordered"),
        ("raw/order_details", "price_each"),
    }
    assert sources("star/dim_employees", "office_city") == {("raw/offices", "city")}
    assert sources("raw/order_details", "price_each") == {("source/orderdetails", "priceEach")}
    assert sources("raw/order_details", "order_month") == {("source/orders", "orderDate")}


def test_columns_say_where_they_come_from(
    definitions: dg.Definitions, specs: dict[str, dg.AssetSpec]
) -> None:
    def description(asset: str, column: str) -> str | None:
        schema = specs[asset].metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        return next(found.description for found in schema.columns if found.name == column)

    assert description("star/fact_orders", "order_amount") == (
        "quantity_ordered x price_each. "
        "From `raw.order_details.price_each`, `raw.order_details.quantity_ordered`."
    )
    assert description("raw/orders", "status") == (
        "State of the order, such as Shipped or Cancelled. From `source.orders.status`."
    )
    assert description("star/dim_customers", "is_current") == (
        "Whether the source still has the customer."
    )
    (source,) = (
        spec
        for spec in definitions.resolve_all_asset_specs()
        if spec.key.to_user_string() == "source/payments"
    )
    assert "`amount`, `checkNumber`, `customerNumber`, `paymentDate`" in (source.description or "")


def test_every_contract_check_is_an_asset_check(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    assert found == {
        (f"{table.layer}/{table.name}", check.name)
        for table in load_contracts().tables.values()
        for check in checks_of(table)
    } | {("ml/vector_store", "not_worse_than_live")}
    assert ("star/fact_orders", "reconciles") in found
    assert ("ml/product_embeddings", "beats_recent_popularity") in found


def test_one_engine_start_a_layer(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("build")
    assert sorted(node.name for node in job.nodes) == [
        "delivered_events",
        "events_layer",
        "landed_tables",
        "ml__vector_store",
        "ml_layer",
        "raw_layer",
        "star_layer",
    ]


@pytest.mark.parametrize(
    ("today", "count", "months"),
    [
        ("2026-11-23", 120, "2024-01..2026-11"),
        ("2026-11-23", 2, "2026-10..2026-11"),
        ("2026-01-01", 2, "2025-12..2026-01"),
        ("2024-02-29", 1, "2024-02..2024-02"),
        ("2026-03-31", 15, "2025-01..2026-03"),
    ],
)
def test_the_last_months(today: str, count: int, months: str) -> None:
    assert str(last_months(datetime.fromisoformat(today), count, date(2024, 1, 1))) == months


def test_the_nightly_run_asks_for_the_last_two_months(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("nightly")
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 1, 1, 3, tzinfo=UTC)
    )
    request = schedule(context)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["dagster/asset_partition_range_start"] == "2025-12-01"
    assert request.tags["dagster/asset_partition_range_end"] == "2026-01-01"


def test_plain_dagster_loads_the_workspace(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RETAIL_", "DAGSTER_"))}
    done = subprocess.run(
        [
            Path(sys.executable).with_name("dagster"),
            *["definitions", "validate", "-w", "workspace.yaml"],
        ],
        env={**environment, "RETAIL_HOME": str(tmp_path)},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


@dataclass(frozen=True)
class Shop:
    """A source, a lake and the runs that the UI starts."""

    url: str
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def materialize(self, months: MonthRange, *assets: str) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection={dg.AssetKey.from_user_string(a) for a in assets})
        return subset.execute_in_process(
            instance=self.instance, tags=range_tags(months), raise_on_error=False
        )

    def check(self, asset: str) -> dg.ExecuteInProcessResult:
        keys = {
            key
            for key in self.definitions.resolve_asset_graph().asset_check_keys
            if key.asset_key.to_user_string() == asset
        }
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.get_subset(asset_selection=set(), asset_check_selection=keys).execute_in_process(
            instance=self.instance, raise_on_error=False
        )


@pytest.fixture
def shop(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Shop]:
    url = postgres.ensure_database(f"dagster_{uuid.uuid4().hex[:12]}")
    load(url, generate(SampleSize(months=3)), lambda table, rows: None)
    settings = load_settings(tmp_path).model_copy(update={"source_url": SecretStr(url)})
    with dg.DagsterInstance.ephemeral() as instance:
        yield Shop(url, build_definitions(settings), instance)


# Orders of three months, and the payments of the last of them.
ALL_MONTHS = MonthRange.parse("2003-01", "2003-04")
MONTHLY_RAW = ("raw/order_details", "raw/orders", "raw/payments")


def test_every_month_knows_its_rows(shop: Shop) -> None:
    result = shop.materialize(ALL_MONTHS, *MONTHLY_RAW)
    assert result.success
    found = {
        event.partition: event.materialization.metadata["dagster/partition_row_count"].value
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["raw", "orders"])
    }
    with psycopg.connect(shop.url) as connection:
        expected = connection.execute(
            "SELECT to_char(orderDate, 'YYYY-MM-01'), count(*) FROM orders GROUP BY 1"
        ).fetchall()
    assert found == {**dict(expected), "2003-04-01": 0}


def test_checks_can_be_executed_without_building(shop: Shop) -> None:
    shop.materialize(ALL_MONTHS, *MONTHLY_RAW)
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute("DELETE FROM payments")
    result = shop.check("raw/payments")
    assert result.success
    assert not result.get_asset_materialization_events()
    evaluated = {evaluation.check_name for evaluation in result.get_asset_check_evaluations()}
    assert {"primary_key", "not_null", "reconciles"} <= evaluated


def test_a_failed_audit_shows_its_checks_and_no_more_than_its_message(shop: Shop) -> None:
    shop.materialize(ALL_MONTHS, *MONTHLY_RAW)
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE orderdetails ALTER priceEach DROP NOT NULL")
        connection.execute(
            "UPDATE orderdetails SET priceEach = NULL WHERE orderNumber IN "
            "(SELECT orderNumber FROM orders WHERE orderDate BETWEEN '2003-02-01' AND '2003-02-28')"
        )
    result = shop.materialize(MonthRange.parse("2003-02"), *MONTHLY_RAW)
    assert not result.success
    (failed,) = (
        evaluation
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == "not_null" and not evaluation.passed
    )
    assert "offending, such as: order_number=" in (failed.description or "")
    # Bound to no materialization: the UI shows it whichever month was built last.
    assert failed.target_materialization_data is None
    (step,) = (event for event in result.all_events if event.is_step_failure)
    assert step.step_failure_data.error
    assert step.step_failure_data.error.cause is None


def test_a_run_of_monthly_tables_without_months_is_refused(shop: Shop) -> None:
    job = shop.definitions.resolve_job_def("build")
    result = job.execute_in_process(instance=shop.instance, raise_on_error=False)
    (failure, *_) = (event for event in result.all_events if event.is_step_failure)
    assert failure.step_failure_data.user_failure_data
    assert "choose partitions, or run `retail build`" in (
        failure.step_failure_data.user_failure_data.description or ""
    )


def test_a_build_belongs_to_the_definitions_that_the_ui_loads(shop: Shop, tmp_path: Path) -> None:
    settings = load_settings(tmp_path).model_copy(update={"source_url": SecretStr(shop.url)})
    assert run_build(Platform(settings), ["offices"], None, None, lambda told: None).success
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        (run,) = instance.get_runs()
    assert run.tags[".dagster/repository"] == "__repository__@retail_platform.definitions"
