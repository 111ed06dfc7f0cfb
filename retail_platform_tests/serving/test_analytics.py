"""The analytics queries give the numbers that adding up the rows by hand gives."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from retail_platform.contracts.loader import load_contracts
from retail_platform.errors import ConfigurationError
from retail_platform.serving.analytics import (
    AnalyticsQuery,
    Parameter,
    Value,
    bind,
    load_analytics,
)
from retail_platform.serving.query import DIALECT, LocalSql, parse_query
from retail_platform_tests.serving import star
from retail_platform_tests.serving.star import Row, write_star

ANALYTICS = load_analytics()
FILTERS: list[dict[str, Value]] = [
    {},
    {"country": "Norway"},
    {"country": "Côte d'Ivoire"},
    {"country": "Atlantis"},
    {"product_line": "Ships"},
    {"date_from": date(2004, 1, 1), "date_to": date(2004, 1, 31)},
    {"date_from": "2004-04-30"},
    {"country": "Norway", "product_line": "Cars", "date_to": "2003-12-31"},
]
SALES_REPORTS = [
    "sales_by_country",
    "sales_by_product_line",
    "sales_by_month",
    "sales_by_representative",
    "sales_by_office",
]

PRODUCT = {row["product_code"]: row for row in star.PRODUCTS}
LOCATION = {row["location_key"]: row for row in star.LOCATIONS}
EMPLOYEE = {row["employee_number"]: row for row in star.EMPLOYEES}
CUSTOMER = {row["customer_number"]: row for row in star.CUSTOMERS}


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> LocalSql:
    return LocalSql(write_star(tmp_path_factory.mktemp("star")), star.MEMORY)


def ask(sql: LocalSql, name: str, **values: Value) -> list[Row]:
    return sql.run(bind(ANALYTICS[name], **values)).to_pylist()


def country(line: Row) -> str | None:
    return LOCATION.get(line["location_key"], {}).get("country")


def product_line(line: Row) -> str | None:
    return PRODUCT.get(line["product_code"], {}).get("product_line")


def employee(line: Row) -> Row:
    return EMPLOYEE.get(line["sales_rep_employee_number"], {})


def sale_lines(**filters: Any) -> list[Row]:
    """The order lines that count, by plain Python."""
    first = date.fromisoformat(str(filters.get("date_from", date.min)))
    last = date.fromisoformat(str(filters.get("date_to", date.max)))
    return [
        line
        for line in star.ORDER_LINES
        if line["status"] not in ("Cancelled", "Disputed", "On Hold")
        and first <= line["order_date"] <= last
        and filters.get("country", country(line)) == country(line)
        and filters.get("product_line", product_line(line)) == product_line(line)
    ]


def grouped(lines: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for line in lines:
        groups[key(line)].append(line)
    return groups


def sales(lines: Iterable[Row]) -> Decimal:
    return sum((line["order_amount"] for line in lines), Decimal("0.00"))


def distinct(lines: Iterable[Row], column: str) -> int:
    return len({line[column] for line in lines} - {None})


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_sales_by_country(sql: LocalSql, filters: dict[str, Value]) -> None:
    groups = grouped(sale_lines(**filters), lambda line: country(line) or "Unknown")
    answer = ask(sql, "sales_by_country", **filters)
    assert {row["country"]: row["sales"] for row in answer} == {
        name: sales(lines) for name, lines in groups.items()
    }
    assert len(answer) == len(groups)
    for row in answer:
        lines = groups[row["country"]]
        assert row["customers"] == distinct(lines, "customer_number")
        assert row["orders"] == distinct(lines, "order_number")
        assert row["quantity"] == sum(line["quantity_ordered"] for line in lines)


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_sales_by_product_line(sql: LocalSql, filters: dict[str, Value]) -> None:
    groups = grouped(sale_lines(**filters), lambda line: product_line(line) or "Unknown")
    answer = ask(sql, "sales_by_product_line", **filters)
    assert {row["product_line"]: row["sales"] for row in answer} == {
        name: sales(lines) for name, lines in groups.items()
    }
    for row in answer:
        lines = groups[row["product_line"]]
        assert row["products"] == distinct(lines, "product_code")
        assert row["orders"] == distinct(lines, "order_number")


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_sales_by_month_shows_months_without_sales(
    sql: LocalSql, filters: dict[str, Value]
) -> None:
    groups = grouped(sale_lines(**filters), lambda line: line["order_month"])
    answer = ask(sql, "sales_by_month", **filters)
    assert {row["month"]: (row["sales"], row["orders"]) for row in answer if row["orders"]} == {
        month: (sales(lines), distinct(lines, "order_number")) for month, lines in groups.items()
    }
    months = [row["month"] for row in answer]
    assert months == (months_between(min(groups), max(groups)) if groups else [])


def test_a_month_without_sales_is_zero(sql: LocalSql) -> None:
    february = ask(sql, "sales_by_month")[2]
    assert february == {
        "month": date(2004, 2, 1),
        "customers": 0,
        "orders": 0,
        "quantity": 0,
        "sales": Decimal("0.00"),
    }


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_sales_by_representative(sql: LocalSql, filters: dict[str, Value]) -> None:
    groups = grouped(sale_lines(**filters), lambda line: line["sales_rep_employee_number"])
    answer = ask(sql, "sales_by_representative", **filters)
    assert {row["employee_number"]: row["sales"] for row in answer} == {
        number: sales(lines) for number, lines in groups.items()
    }
    assert len(answer) == len(groups)
    for row in answer:
        assert row["orders"] == distinct(groups[row["employee_number"]], "order_number")
        if row["employee_number"] is None:
            assert row["representative"] == "No representative"


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_sales_by_office(sql: LocalSql, filters: dict[str, Value]) -> None:
    groups = grouped(sale_lines(**filters), lambda line: employee(line).get("office_code"))
    answer = ask(sql, "sales_by_office", **filters)
    assert {row["office_code"]: row["sales"] for row in answer} == {
        code: sales(lines) for code, lines in groups.items()
    }
    assert len(answer) == len(groups)
    for row in answer:
        lines = groups[row["office_code"]]
        assert row["orders"] == distinct(lines, "order_number")
        assert row["representatives"] == distinct(lines, "sales_rep_employee_number")


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("n", [1, 2, 100])
def test_top_products(sql: LocalSql, n: int, filters: dict[str, Value]) -> None:
    groups = grouped(sale_lines(**filters), lambda line: line["product_code"])
    ranking = sorted((-sales(lines), code) for code, lines in groups.items())[:n]
    answer = ask(sql, "top_products", n=n, **filters)
    assert [(row["place"], row["product_code"], row["sales"]) for row in answer] == [
        (place, code, -amount) for place, (amount, code) in enumerate(ranking, start=1)
    ]
    for row in answer:
        assert row["orders"] == distinct(groups[row["product_code"]], "order_number")


def test_equal_sales_rank_by_product_code(sql: LocalSql) -> None:
    january_and_before = ask(sql, "top_products", date_to="2004-01-31")
    assert [row["product_code"] for row in january_and_before] == ["S20", "S10", "S11"]
    assert january_and_before[1]["sales"] == january_and_before[2]["sales"]


@pytest.mark.parametrize("name", SALES_REPORTS)
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_every_report_adds_up_to_the_sales(
    sql: LocalSql, name: str, filters: dict[str, Value]
) -> None:
    answer = ask(sql, name, **filters)
    total = sales(sale_lines(**filters))
    assert sum((row["sales"] for row in answer), Decimal(0)) == total
    if "sales_percent" in ANALYTICS[name].sql:
        for row in answer:
            share = float(row["sales"]) / float(total) * 100
            assert row["sales_percent"] == pytest.approx(share)


def test_sales_without_any_amount_have_no_percentage(sql: LocalSql) -> None:
    [row] = ask(sql, "sales_by_country", date_from="2004-05-01")
    assert (row["country"], row["sales"], row["sales_percent"]) == ("Unknown", 0, None)


def test_payments_against_sales(sql: LocalSql) -> None:
    sold = grouped(sale_lines(), lambda line: line["customer_number"])
    paid = grouped(star.PAYMENTS, lambda row: row["customer_number"])
    answer = {row["customer_number"]: row for row in ask(sql, "payments_against_sales")}
    assert answer.keys() == sold.keys() | paid.keys()
    for number, row in answer.items():
        payments = sum((payment["amount"] for payment in paid[number]), Decimal(0))
        assert row["sales"] == sales(sold[number])
        assert row["payments"] == payments
        assert row["balance"] == sales(sold[number]) - payments
        assert row["customer_name"] == CUSTOMER.get(number, {}).get("customer_name")


def test_payments_against_sales_of_a_country_and_a_period(sql: LocalSql) -> None:
    [row] = ask(
        sql,
        "payments_against_sales",
        country="Norway",
        date_from="2004-01-01",
        date_to="2004-01-05",
    )
    assert (row["customer_number"], row["sales"], row["payments"], row["balance"]) == (
        1,
        Decimal("100.00"),
        Decimal("140.70"),
        Decimal("-40.70"),
    )


def test_hits_are_by_strategy_and_model(sql: LocalSql) -> None:
    answer = ask(sql, "recommendation_hits")
    assert [tuple(row.values()) for row in answer] == [
        ("session", "m1", 3, 2, 1, pytest.approx(200 / 3), Decimal("10.10")),
        ("known", "m1", 1, 1, 1, 100.0, Decimal("0.05")),
        ("popularity", "none", 1, 0, 0, 0.0, Decimal("0.00")),
        ("session", "m2", 1, 0, 0, 0.0, Decimal("0.00")),
    ]
    of_norway = ask(sql, "recommendation_hits", country="Norway", date_from="2004-01-01")
    assert [(row["strategy"], row["events"]) for row in of_norway] == [("session", 1)]


def test_growth_compares_with_the_calendar_month_before(sql: LocalSql) -> None:
    answer = ask(sql, "sales_growth")
    by_month = grouped(sale_lines(), lambda line: line["order_month"])
    months = months_between(date(2003, 12, 1), date(2004, 5, 1))
    assert [row["month"] for row in answer] == months
    amounts = [sales(by_month[month]) for month in months]
    assert [row["sales"] for row in answer] == amounts
    assert [row["previous_sales"] for row in answer] == [None, *amounts[:-1]]
    assert [row["growth_percent"] for row in answer] == [
        None,  # nothing before
        pytest.approx(float(amounts[1] - amounts[0]) / float(amounts[0]) * 100),
        -100.0,
        None,  # from nothing there is no percentage
        None,
        -100.0,
    ]


def test_a_period_of_growth_still_knows_the_month_before_it(sql: LocalSql) -> None:
    whole = ask(sql, "sales_growth")
    assert ask(sql, "sales_growth", date_from="2004-01-20", date_to="2004-02-01") == whole[1:3]


@pytest.mark.parametrize("name", ANALYTICS)
def test_an_empty_star_gives_no_rows_of_the_same_types(
    name: str, sql: LocalSql, tmp_path: Path
) -> None:
    empty = LocalSql(write_star(tmp_path, {table: [] for table in star.ROWS}), star.MEMORY)
    answer = empty.run(bind(ANALYTICS[name]))
    assert answer.num_rows == 0
    assert answer.schema == sql.run(bind(ANALYTICS[name])).schema


@pytest.mark.parametrize("name", ANALYTICS)
def test_types_are_those_of_every_engine(name: str, sql: LocalSql) -> None:
    schema = sql.run(bind(ANALYTICS[name])).schema
    allowed = {
        pa.int32(),
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.date32(),
        pa.decimal128(20, 2),
        pa.decimal128(10, 2),
    }
    assert set(schema.types) <= allowed
    for field in schema:
        assert (field.type == pa.float64()) == field.name.endswith("_percent")
    assert ANALYTICS[name].measure in schema.names


@pytest.mark.parametrize("name", ANALYTICS)
def test_the_sql_gives_one_answer_on_every_engine(name: str) -> None:
    assert engine_dependent(ANALYTICS[name].sql) == []


@pytest.mark.parametrize(
    ("query", "offences"),
    [
        ("SELECT sales / 2 FROM t", ["sales / 2"]),
        ("SELECT CAST(a AS double) / b FROM t", ["CAST(a AS DOUBLE) / b"]),
        ("SELECT CAST(a AS double) / CAST(b AS decimal(20, 2)) FROM t", 1),
        ("SELECT avg(a) FROM t", ["AVG(a)"]),
        ("SELECT a % 2, mod(a, 2) FROM t", []),
        ("SELECT CAST(a AS double) / CAST(NULLIF(b, 0) AS double) FROM t", []),
        ("SELECT avg(CAST(a AS double)) FROM t", []),
        ("SELECT round(CAST(a AS double)) FROM t", 1),
        ("SELECT sum(a) AS a FROM t", ["SUM(a)"]),
        ("SELECT CAST(sum(a) AS decimal(20, 2)) AS a FROM t", []),
        ("SELECT CAST(coalesce(sum(a), 0) AS bigint) AS a FROM t", []),
        ("SELECT date_trunc('month', d) AS d FROM t", 1),
        ("SELECT CAST(date_trunc('month', d) AS date) AS d FROM t", []),
    ],
)
def test_what_engines_answer_differently_is_refused(query: str, offences: list[str] | int) -> None:
    found = engine_dependent(query)
    assert (len(found) if isinstance(offences, int) else found) == offences


@pytest.mark.parametrize("name", ANALYTICS)
def test_queries_read_the_star_or_what_came_of_events_and_declare_their_parameters(
    name: str,
) -> None:
    query = ANALYTICS[name]
    tree = sqlglot.parse_one(query.sql, dialect=DIALECT)
    used = {node.name for node in tree.find_all(exp.Placeholder)}
    assert used == {parameter.name for parameter in query.parameters}
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = {node.name for node in tree.find_all(exp.Table)} - ctes
    assert {load_contracts().table(table).layer for table in tables} in ({"star"}, {"events"})


def test_the_promised_queries_are_there() -> None:
    assert {*SALES_REPORTS, "top_products", "payments_against_sales", "sales_growth"} <= set(
        ANALYTICS
    )


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_is_bound_as_a_value(text: str) -> None:
    query = AnalyticsQuery(
        "echo", "Echo", "", "SELECT :x AS x", (Parameter("x", "string", ""),), "x"
    )
    assert LocalSql(star.FolderSnapshots(), star.MEMORY).run(bind(query, x=text)).to_pylist() == [
        {"x": text}
    ]


def test_an_open_filter_is_a_typed_null() -> None:
    assert bound_literal("date", None) == "CAST(NULL AS DATE)"


@pytest.mark.parametrize(
    ("type_", "value", "literal"),
    [
        ("date", date(2004, 2, 29), "CAST('2004-02-29' AS DATE)"),
        ("date", "2004-02-29", "CAST('2004-02-29' AS DATE)"),
        ("integer", "7", "7"),
        ("integer", -7, "-7"),
        ("string", "O'Neill", "CAST('O''Neill' AS VARCHAR)"),
    ],
)
def test_values_become_literals_of_the_parameters_type(
    type_: str, value: Value, literal: str
) -> None:
    assert bound_literal(type_, value) == literal


@pytest.mark.parametrize(
    ("type_", "value"), [("date", "2004-02-30"), ("integer", "many"), ("integer", "1.5")]
)
def test_a_value_of_another_type_is_refused(type_: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"x takes a value of type {type_} like"):
        bind(query_of("x", type_), x=value)


def test_an_unknown_parameter_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"top_products has no parameter 'color'.*country"):
        bind(ANALYTICS["top_products"], color="red")


def test_a_declared_default_holds_until_a_value_is_given(tmp_path: Path) -> None:
    header = "-- title: T\n-- description: D\n-- measure: x\n"
    (tmp_path / "q.sql").write_text(
        f"{header}-- parameter: n integer = 3 - How many\nSELECT :n AS x\n"
    )
    query = load_analytics(tmp_path)["q"]
    assert query.parameters == (Parameter("n", "integer", "How many", 3),)
    sql = LocalSql(star.FolderSnapshots(), star.MEMORY)
    assert sql.run(bind(query)).to_pylist() == [{"x": 3}]
    assert sql.run(bind(query, n=4)).to_pylist() == [{"x": 4}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1", "the header lacks description, measure, title"),
        (
            "-- title: T\n-- description: D\n-- measure: x\n-- parameter: n number\nSELECT :n",
            "cannot read the parameter 'n number'",
        ),
    ],
)
def test_a_file_with_a_broken_header_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "q.sql").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_analytics(tmp_path)


def query_of(name: str, type_: str) -> AnalyticsQuery:
    return AnalyticsQuery(
        "echo", "Echo", "", f"SELECT :{name} AS {name}", (Parameter(name, type_, ""),), name
    )


def bound_literal(type_: str, value: Value) -> str:
    column = parse_query(bind(query_of("x", type_), x=value)).find(exp.Alias)
    assert column is not None
    return str(column.this.sql(dialect=DIALECT))


def months_between(first: date, last: date) -> list[date]:
    months = [first]
    while months[-1] < last:
        following = months[-1]
        months.append(date(following.year + following.month // 12, following.month % 12 + 1, 1))
    return months


def engine_dependent(sql: str) -> list[str]:
    """The parts of a query whose value or type depends on the engine.

    Decimal division and averages of decimals keep a scale on Athena and are doubles in DuckDB;
    sums widen differently; rounding of doubles differs in the last place; a truncated date is a
    timestamp in some engines.
    """
    tree = sqlglot.parse_one(sql, dialect=DIALECT)

    def is_double(node: exp.Expr | None) -> bool:
        return isinstance(node, exp.Cast) and node.to.is_type("double")

    def is_cast(node: exp.Expr) -> bool:
        """Inside a CAST before the query level ends, or inside a CTE column that is not shown."""
        parent = node.parent
        while parent is not None and not isinstance(parent, exp.Select):
            if isinstance(parent, exp.Cast):
                return True
            parent = parent.parent
        return bool(parent and parent.find_ancestor(exp.CTE))

    return [
        node.sql(dialect=DIALECT)
        for node in tree.walk()
        if (isinstance(node, exp.Div) and not (is_double(node.left) and is_double(node.right)))
        or (isinstance(node, exp.Avg) and not is_double(node.this))
        or isinstance(node, exp.Round)
        or (isinstance(node, exp.Sum | exp.TimestampTrunc | exp.DateTrunc) and not is_cast(node))
    ]
