"""What Dagster sees: every table an asset with its checks, months as partitions, one step a layer."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from retail_platform.automation.schedules import last_months
from retail_platform.contracts.checks import checks_of
from retail_platform.contracts.loader import load_contracts
from retail_platform.definitions import build_definitions
from retail_platform.settings import load_settings

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
    "raw/customers": {"source/customers"},
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
    return {key: spec for key, spec in found.items() if not key.startswith("source/")}


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
        table = load_contracts().table(key.replace("/", "."))
        schema = spec.metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        assert [column.name for column in schema.columns] == list(table.column_names)
        assert spec.metadata["dagster/table_name"] == f"{table.layer}.{table.name}"
        assert spec.freshness_policy is not None
        assert spec.owners
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
    }
    assert ("star/fact_orders", "reconciles") in found


def test_one_engine_start_a_layer(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("build")
    assert sorted(node.name for node in job.nodes) == ["raw_layer", "star_layer"]


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
