"""Where a column comes from, read from the SQL."""

import pytest

from retail_platform.contracts.lineage import ColumnSource, column_lineage
from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.model import Table

CONTRACTS = load_contracts()
MODELLED = [table for table in CONTRACTS.tables.values() if table.sql]
CONSTANT = {"dim_dates": {"date", "year", "quarter", "month", "month_start", "day", "day_of_week"}}
"""Columns without a source: the calendar is exploded from a sequence."""


def sources(table: str, column: str) -> set[tuple[str, str]]:
    traced = column_lineage(CONTRACTS, CONTRACTS.table(table))
    return {(source.table, source.column) for source in traced[column]}


@pytest.mark.parametrize(
    ("table", "column", "expected"),
    [
        (
            "fact_orders",
            "order_amount",
            {("order_details", "quantity_ordered"), ("order_details", "price_each")},
        ),
        ("fact_orders", "is_sale", {("orders", "status")}),
        ("fact_orders", "location_key", {("dim_customers", "location_key")}),
        ("fact_payments", "amount", {("payments", "amount")}),
        (
            "dim_locations",
            "location_key",
            {
                ("customers", "country"),
                ("customers", "state"),
                ("customers", "city"),
                ("customers", "postal_code"),
                ("dim_locations", "location_key"),
            },
        ),
        (
            "dim_employees",
            "office_city",
            {("offices", "city"), ("dim_employees", "office_city")},
        ),
        ("customers", "customer_name", {("customers", "customerName")}),
        ("order_details", "order_date", {("orders", "orderDate")}),
        ("order_details", "order_month", {("orders", "orderDate")}),
        ("order_details", "price_each", {("orderdetails", "priceEach")}),
    ],
)
def test_a_column_comes_from(table: str, column: str, expected: set[tuple[str, str]]) -> None:
    assert sources(table, column) == expected


@pytest.mark.parametrize("table", MODELLED, ids=lambda table: table.name)
def test_every_column_but_constants_has_sources(table: Table) -> None:
    traced = column_lineage(CONTRACTS, table)
    constant = {"is_current", "is_weekend"} | CONSTANT.get(table.name, set())
    assert set(table.column_names) - set(traced) <= constant
    assert all(traced.values())


@pytest.mark.parametrize("table", CONTRACTS.layer("star"), ids=lambda table: table.name)
def test_sources_of_models_are_columns_of_their_inputs(table: Table) -> None:
    for found in column_lineage(CONTRACTS, table).values():
        for source in found:
            assert source.table in CONTRACTS.inputs(table)
            assert source.column in CONTRACTS.table(source.table).column_names


def test_the_quarantine_has_no_lineage() -> None:
    assert column_lineage(CONTRACTS, CONTRACTS.table("quarantine")) == {}


def test_sources_are_ordered() -> None:
    assert sorted([ColumnSource("b", "a"), ColumnSource("a", "b")])[0].table == "a"
