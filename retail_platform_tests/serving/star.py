"""A star schema small enough to add up by hand, with the traps of the real data in it.

The rows are plain Python, so that a test can compute an answer without SQL; `write_star` puts the
same rows into Parquet files of the contracts' types.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retail_platform.contracts.loader import load_contracts
from retail_platform.engines.duckdb import duckdb_type
from retail_platform.engines.parquet import arrow_type

Row = dict[str, Any]


@dataclass
class FolderSnapshots:
    """Parquet files in a folder, read as the lake's snapshots are."""

    layers: dict[str, str] = field(default_factory=dict)
    data: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, datetime | None]] = field(default_factory=list)

    def tables(self) -> Mapping[str, str]:
        return self.layers

    def files(self, table: str, as_of: datetime | None) -> Sequence[str]:
        self.asked.append((table, as_of))
        return self.data[table]

    def columns(self, table: str, as_of: datetime | None) -> Sequence[tuple[str, str]]:
        columns = load_contracts().table(table).columns
        return [(column.name, duckdb_type(column.type)) for column in columns]


def _location(key: str, country: str | None, city: str, postal_code: str | None) -> Row:
    return {"location_key": key, "country": country, "city": city, "postal_code": postal_code}


def _customer(number: int, name: str, location: str, rep: int | None) -> Row:
    return {
        "customer_number": number,
        "customer_name": name,
        "location_key": location,
        "sales_rep_employee_number": rep,
        "credit_limit": Decimal("1000.00"),
    }


def _employee(number: int, first: str, last: str, office: str | None, city: str | None) -> Row:
    return {
        "employee_number": number,
        "first_name": first,
        "last_name": last,
        "office_code": office,
        "office_city": city,
        "office_country": None if office is None else "USA",
    }


def _product(code: str, line: str | None) -> Row:
    return {"product_code": code, "product_name": f"The {code}", "product_line": line}


LOCATIONS = [
    _location("oslo", "Norway", "Oslo", "N 1"),
    _location("bergen", "Norway", "Bergen", "N 1"),  # one postal code, two cities
    _location("paris", "France", "Paris", None),
    _location("abidjan", "Côte d'Ivoire", "Abidjan", None),
    _location("nowhere", None, "Nowhere", None),
]
CUSTOMERS = [
    _customer(1, "Nord AS", "oslo", 10),
    _customer(2, "Sør, AS", "bergen", None),  # no representative
    _customer(3, "Sud SARL", "paris", 11),
    _customer(4, "Ivoire", "abidjan", 10),
    _customer(5, "Window shopper", "paris", 11),  # neither orders nor payments
    _customer(6, "Prepaid", "oslo", 12),  # payments only
    _customer(7, "Lost", "nowhere", 13),
]
EMPLOYEES = [
    _employee(10, "Ann", "Lee", "1", "Boston"),
    _employee(11, "Ann", "Lee", "2", "Paris"),  # two people of one name
    _employee(12, "Bo", "Idle", "1", "Boston"),
    _employee(13, "Free", "Lance", None, None),
]
PRODUCTS = [
    _product("S10", "Cars"),
    _product("S11", "Cars"),
    _product("S20", "Ships"),
    _product("S30", None),
]
_CUSTOMER = {row["customer_number"]: row for row in CUSTOMERS}


def _lines(
    order: int, day: date, status: str, customer: int, *lines: tuple[str, int, str]
) -> list[Row]:
    return [
        {
            "order_number": order,
            "order_line_number": position,
            "order_month": day.replace(day=1),
            "order_date": day,
            "status": status,
            "is_sale": status not in ("Cancelled", "Disputed", "On Hold"),
            "customer_number": customer,
            "product_code": code,
            "location_key": _CUSTOMER[customer]["location_key"] if customer in _CUSTOMER else None,
            "sales_rep_employee_number": _CUSTOMER.get(customer, {}).get(
                "sales_rep_employee_number"
            ),
            "quantity_ordered": quantity,
            "price_each": Decimal(price),
            "order_amount": Decimal(price) * quantity,
        }
        for position, (code, quantity, price) in enumerate(lines, start=1)
    ]


ORDER_LINES = [
    *_lines(100, date(2003, 12, 31), "Shipped", 1, ("S10", 3, "0.10"), ("S20", 2, "70.35")),
    *_lines(101, date(2004, 1, 1), "Shipped", 1, ("S10", 1, "100.00")),
    *_lines(102, date(2004, 1, 31), "Resolved", 2, ("S11", 1, "100.30")),  # ties with S10
    *_lines(103, date(2004, 1, 31), "Cancelled", 3, ("S20", 9, "999.99")),
    # February has nothing, March nothing that is a sale
    *_lines(104, date(2004, 3, 15), "On Hold", 1, ("S10", 5, "50.00")),
    *_lines(105, date(2004, 3, 16), "Disputed", 3, ("S10", 5, "50.00")),
    *_lines(106, date(2004, 4, 1), "In Process", 3, ("S20", 1, "19.99"), ("S30", 4, "5.05")),
    # more digits than a double holds
    *_lines(107, date(2004, 4, 30), "Shipped", 4, *[("S20", 700_000_000, "99999999.99")] * 2),
    *_lines(108, date(2004, 4, 30), "Shipped", 7, ("S99", 1, "1.01")),  # an unknown product
    *_lines(110, date(2004, 4, 2), "Shipped", 999, ("S30", 1, "0.07"), ("S10", 1, "0.05")),
    *_lines(109, date(2004, 5, 1), "Shipped", 999, ("S10", 0, "1.01")),  # an unknown customer
]
PAYMENTS = [
    {
        "customer_number": customer,
        "check_number": check,
        "payment_month": day.replace(day=1),
        "payment_date": day,
        "amount": Decimal(amount),
    }
    for customer, check, day, amount in [
        (1, "A", date(2004, 1, 5), "140.70"),
        (1, "B", date(2004, 1, 6), "0.30"),  # two payments, three sale lines: no fan-out
        (3, "A", date(2004, 4, 30), "40.19"),
        (6, "A", date(2004, 2, 1), "12.34"),
    ]
]
DATES: list[Row] = [
    {"date": day, "month_start": day.replace(day=1)}
    for day in (date(2003, 1, 1) + timedelta(days=offset) for offset in range(3 * 365))
]
MEMORY = "1GB"
"""What a query may hold in memory; more than any test needs."""


def _outcome(
    number: int,
    strategy: str,
    day: date,
    country: str,
    clicked: int = 0,
    bought: int = 0,
    revenue: str = "0.00",
    model: str | None = "m1",
) -> Row:
    return {
        "event_id": f"e-{number}",
        "event_date": day,
        "strategy": strategy,
        "model_version": model,
        "country": country,
        "recommended": 10,
        "clicked": clicked,
        "bought": bought,
        "revenue": Decimal(revenue),
    }


OUTCOMES = [
    _outcome(1, "session", date(2003, 12, 31), "Norway", clicked=2),
    _outcome(2, "session", date(2004, 1, 2), "Norway"),
    _outcome(3, "session", date(2004, 1, 3), "France", bought=1, revenue="10.10"),
    _outcome(4, "known", date(2004, 1, 3), "France", clicked=1, bought=1, revenue="0.05"),
    _outcome(5, "session", date(2004, 1, 4), "France", model="m2"),
    _outcome(6, "popularity", date(2004, 1, 5), "France", model=None),
]

ROWS: dict[str, list[Row]] = {
    "dim_locations": LOCATIONS,
    "dim_customers": CUSTOMERS,
    "dim_employees": EMPLOYEES,
    "dim_products": PRODUCTS,
    "dim_dates": DATES,
    "fact_orders": ORDER_LINES,
    "fact_payments": PAYMENTS,
    "recommendation_events": OUTCOMES,
    "recommendation_outcomes": OUTCOMES,
}


def write_star(folder: Path, rows: Mapping[str, list[Row]] = ROWS) -> FolderSnapshots:
    """Writes the tables as Parquet, the facts in several files; a table without rows has none."""
    snapshots = FolderSnapshots()
    for name, table_rows in rows.items():
        snapshots.layers[name] = load_contracts().table(name).layer
        snapshots.data[name] = []
        size = 4 if name.startswith("fact_") else len(table_rows)
        for start in range(0, len(table_rows), size or 1):
            path = folder / f"{name}-{start}.parquet"
            chunk = pa.Table.from_pylist(table_rows[start : start + size], schema=_schema(name))
            pq.write_table(chunk, path)
            snapshots.data[name].append(f"file://{path}")
    return snapshots


def _schema(name: str) -> pa.Schema:
    columns = load_contracts().table(name).columns
    return pa.schema([(column.name, arrow_type(column.type)) for column in columns])
