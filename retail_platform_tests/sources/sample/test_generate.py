"""What the generated sample promises: its size, its traps, its tastes, its determinism."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_platform.errors import ConfigurationError
from retail_platform.sources.sample.generate import (
    CUSTOMERS_PER_CHUNK,
    ORDERS_PER_CHUNK,
    SampleSize,
    generate,
)
from retail_platform.sources.sample.schema import TABLES


def tables(size: SampleSize) -> dict[str, pa.Table]:
    batches = defaultdict(list)
    for table, batch in generate(size):
        batches[table].append(batch)
    return {table: pa.Table.from_batches(batches[table]) for table in TABLES}


@pytest.fixture(scope="module")
def classic() -> Iterator[duckdb.DuckDBPyConnection]:
    """The classic size, to be asked in SQL."""
    with duckdb.connect() as connection:
        for name, table in tables(SampleSize()).items():
            connection.register(name, table)
        yield connection


def value(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    ((answer,),) = connection.execute(sql).fetchall()
    return answer


def test_scale_one_is_the_classic_size(classic: duckdb.DuckDBPyConnection) -> None:
    rows = {name: value(classic, f"SELECT count(*) FROM {name}") for name in TABLES}
    exact = {"customers": 122, "products": 110, "orders": 326, "employees": 23, "offices": 7}
    assert {name: rows[name] for name in exact} == exact
    assert rows["productlines"] == 7
    assert rows["orderdetails"] == pytest.approx(2_996, rel=0.05)
    assert rows["payments"] == pytest.approx(273, rel=0.05)
    assert rows["ratings"] > 300


def test_every_month_has_orders_and_numbers_rise_with_the_date(
    classic: duckdb.DuckDBPyConnection,
) -> None:
    months = classic.execute(
        "SELECT DISTINCT date_trunc('month', orderDate)::DATE AS m FROM orders ORDER BY m"
    ).fetchall()
    assert len(months) == 29
    assert months[0] == (date(2003, 1, 1),)
    assert months[-1] == (date(2005, 5, 1),)
    dates = classic.execute("SELECT orderDate FROM orders ORDER BY orderNumber").fetchall()
    assert dates == sorted(dates)


def test_equal_seeds_give_equal_rows_and_others_do_not() -> None:
    assert tables(SampleSize(seed=7)) == tables(SampleSize(seed=7))
    assert tables(SampleSize(seed=7))["orderdetails"] != tables(SampleSize(seed=8))["orderdetails"]


@pytest.mark.parametrize(
    ("trap", "sql"),
    {
        "a postal code shared by cities": "SELECT count(*) FROM (SELECT postalCode FROM customers GROUP BY 1 HAVING count(DISTINCT trim(city)) > 1)",
        "no postal code": "SELECT count(*) FROM customers WHERE postalCode IS NULL",
        "no state": "SELECT count(*) FROM customers WHERE state IS NULL",
        "a country with and without trailing spaces": "SELECT count(*) FROM customers a JOIN customers b ON a.country = b.country || '  '",
        "trailing spaces in a city": "SELECT count(*) FROM customers WHERE city LIKE '% '",
        "trailing spaces in a state": "SELECT count(*) FROM customers WHERE state LIKE '% '",
        "no sales representative, yet orders": "SELECT count(*) FROM customers SEMI JOIN orders USING (customerNumber) WHERE salesRepEmployeeNumber IS NULL",
        "a customer without orders": "SELECT count(*) FROM customers ANTI JOIN orders USING (customerNumber)",
        "no credit limit": "SELECT count(*) FROM customers WHERE creditLimit IS NULL",
        "an employee without a manager": "SELECT count(*) FROM employees WHERE reportsTo IS NULL",
        "an image": "SELECT count(*) FROM productlines WHERE octet_length(image) > 1000",
        "no image": "SELECT count(*) FROM productlines WHERE image IS NULL",
        "a name beyond ASCII": "SELECT count(*) FROM customers WHERE strlen(contactLastName) > length(contactLastName)",
        "a remark with a line break": "SELECT count(*) FROM orders WHERE comments LIKE E'%\\n%'",
        "a remark with quotes": "SELECT count(*) FROM orders WHERE comments LIKE '%\"%'",
        "a remark with a backslash": "SELECT count(*) FROM orders WHERE contains(comments, '\\')",
        "no remark": "SELECT count(*) FROM orders WHERE comments IS NULL",
        "a cancelled order that was shipped": "SELECT count(*) FROM orders WHERE status = 'Cancelled' AND shippedDate IS NOT NULL",
        "an order not shipped": "SELECT count(*) FROM orders WHERE shippedDate IS NULL",
    }.items(),
)
def test_the_classic_size_has_the_trap(
    classic: duckdb.DuckDBPyConnection, trap: str, sql: str
) -> None:
    assert value(classic, sql) > 0, trap


def test_the_classic_size_has_every_status(classic: duckdb.DuckDBPyConnection) -> None:
    assert set(classic.execute("SELECT DISTINCT status FROM orders").fetchall()) == {
        ("Shipped",),
        ("Cancelled",),
        ("Disputed",),
        ("On Hold",),
        ("In Process",),
        ("Resolved",),
    }


@pytest.mark.parametrize(
    ("child", "column", "parent", "key"),
    [
        ("employees", "officeCode", "offices", "officeCode"),
        ("employees", "reportsTo", "employees", "employeeNumber"),
        ("products", "productLine", "productlines", "productLine"),
        ("customers", "salesRepEmployeeNumber", "employees", "employeeNumber"),
        ("orders", "customerNumber", "customers", "customerNumber"),
        ("orderdetails", "orderNumber", "orders", "orderNumber"),
        ("orderdetails", "productCode", "products", "productCode"),
        ("payments", "customerNumber", "customers", "customerNumber"),
        ("ratings", "customerNumber", "customers", "customerNumber"),
        ("ratings", "productCode", "products", "productCode"),
    ],
)
def test_references_hold(
    classic: duckdb.DuckDBPyConnection, child: str, column: str, parent: str, key: str
) -> None:
    orphans = f"SELECT count(*) FROM {child} c WHERE c.{column} IS NOT NULL AND NOT EXISTS (FROM {parent} p WHERE p.{key} = c.{column})"
    assert value(classic, orphans) == 0


def test_prices_lie_between_cost_and_list_price(classic: duckdb.DuckDBPyConnection) -> None:
    assert (
        value(
            classic,
            "SELECT count(*) FROM orderdetails JOIN products USING (productCode)"
            " WHERE priceEach NOT BETWEEN buyPrice AND MSRP",
        )
        == 0
    )


def test_payments_are_for_most_of_the_sales(classic: duckdb.DuckDBPyConnection) -> None:
    paid = value(classic, "SELECT sum(amount) FROM payments")
    sold = value(classic, "SELECT sum(quantityOrdered * priceEach) FROM orderdetails")
    assert 0.7 < float(paid / sold) < 1.0


def test_customers_prefer_a_product_line(classic: duckdb.DuckDBPyConnection) -> None:
    """What a recommender can learn: without tastes the share would be that of the largest line."""
    share = value(
        classic,
        """
        WITH bought AS (
            SELECT customerNumber, productLine, count(*) AS lines
            FROM orders JOIN orderdetails USING (orderNumber) JOIN products USING (productCode)
            GROUP BY ALL
        )
        SELECT sum(most) / sum(lines)
        FROM (SELECT max(lines) AS most, sum(lines) AS lines FROM bought GROUP BY customerNumber)
        """,
    )
    assert share > 0.5


def test_ratings_are_of_products_bought_and_higher_for_what_is_liked(
    classic: duckdb.DuckDBPyConnection,
) -> None:
    unbought = value(
        classic,
        """
        SELECT count(*) FROM ratings ANTI JOIN
            (SELECT customerNumber, productCode FROM orders JOIN orderdetails USING (orderNumber))
        USING (customerNumber, productCode)
        """,
    )
    assert unbought == 0
    scores = dict(
        classic.execute("SELECT productRating, count(*) FROM ratings GROUP BY 1").fetchall()
    )
    assert set(scores) == {1, 2, 3, 4, 5}


def test_popularity_is_long_tailed_and_drifts() -> None:
    with duckdb.connect() as connection:
        for name, table in tables(SampleSize(scale=30)).items():
            connection.register(name, table)
        connection.execute("""
            CREATE TABLE sold AS
            SELECT productCode, productLine, year(orderDate) AS year, count(*) AS lines
            FROM orderdetails JOIN orders USING (orderNumber) JOIN products USING (productCode)
            WHERE month(orderDate) <= 3 GROUP BY ALL
        """)
        top_fifth = value(
            connection,
            """
            SELECT sum(lines) FILTER (place <= 0.2) / sum(lines)
            FROM (
                SELECT lines, percent_rank() OVER (PARTITION BY productLine ORDER BY lines DESC) AS place
                FROM sold WHERE year = 2003
            )
            """,
        )
        likeness = value(
            connection,
            "SELECT corr(a.lines, b.lines) FROM sold a JOIN sold b USING (productCode)"
            " WHERE a.year = 2003 AND b.year = 2004",
        )
    assert top_fifth > 0.35
    assert likeness < 0.9


def test_large_samples_come_in_small_batches() -> None:
    size = SampleSize(scale=1_000)
    rows: Counter[str] = Counter()
    largest: Counter[str] = Counter()
    for table, batch in generate(size):
        rows[table] += batch.num_rows
        largest[table] = max(largest[table], batch.num_rows)
    assert rows["orderdetails"] == pytest.approx(2_996_000, rel=0.05)
    assert rows["products"] == size.products
    assert size.products < 4_000
    assert largest["orders"] <= ORDERS_PER_CHUNK
    assert largest["customers"] <= CUSTOMERS_PER_CHUNK
    assert largest["orderdetails"] <= 18 * ORDERS_PER_CHUNK


@settings(max_examples=15, deadline=None)
@given(
    scale=st.floats(0.001, 40),
    months=st.integers(1, 130),
    seed=st.integers(0, 2**40),
    year=st.integers(1990, 2030),
)
def test_keys_are_unique_and_types_fit_at_any_size(
    scale: float, months: int, seed: int, year: int
) -> None:
    size = SampleSize(scale=scale, first_month=date(year, 4, 1), months=months, seed=seed)
    for name, rows in tables(size).items():
        rows.validate(full=True)
        assert rows.schema == TABLES[name].arrow_schema
        keys = rows.select(list(TABLES[name].primary_key)).to_pylist()
        assert len({tuple(key.values()) for key in keys}) == len(keys), name


@pytest.mark.parametrize(
    ("size", "remedy"),
    [
        ({"scale": 0.0}, "above 0"),
        ({"scale": float("nan")}, "above 0"),
        ({"scale": 1e9}, "smaller scale"),
        ({"months": 0}, "at least 1 month"),
        ({"first_month": date(2003, 1, 15)}, "first day"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_sizes_that_make_no_sample_are_refused(size: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=remedy):
        SampleSize(**size)
