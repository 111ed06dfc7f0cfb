"""One SQL text for two engines: what they would answer differently is refused, with its remedy."""

from dataclasses import replace

import pytest

from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.model import Column, Table
from retail_platform_tests.portability import schema_of, statements, uncast, unportable

CONTRACTS = load_contracts()
SCHEMA = schema_of(CONTRACTS)
STATEMENTS = [found for table in CONTRACTS.tables.values() for found in statements(table)]


@pytest.mark.parametrize(("where", "sql"), STATEMENTS, ids=[where for where, _ in STATEMENTS])
def test_models_rules_and_measures_mean_the_same_on_both_engines(where: str, sql: str) -> None:
    assert unportable(sql, SCHEMA) == [], where


MODELS = [t for layer in ("star", "ml") for t in CONTRACTS.layer(layer) if t.sql]


@pytest.mark.parametrize("table", MODELS, ids=lambda table: table.name)
def test_every_output_column_is_cast_to_its_contract_type(table: Table) -> None:
    assert uncast(table) == [], f"sql/{table.sql_path}"


THINGS = {"star": {"things": {"i": "int", "m": "decimal(10,2)", "x": "double", "d": "date"}}}


@pytest.mark.parametrize(
    ("bad", "remedy"),
    [
        ("dayofweek(d)", "mod(datediff(d, date '1900-01-01'), 7) + 1"),
        ("WEEKDAY (d)", "mod(datediff(d, date '1900-01-01'), 7) + 1"),
        ("hash(i)", "md5(...)"),
        ("xxhash64(i)", "md5(...)"),
        ("crc32('a')", "md5(...)"),
        ("cast(trunc(d, 'MM') AS date)", "date_trunc('month', d)"),
        ("try_cast('a' AS int)", "cast(...)"),
        ("ceil(x)", "-floor(-x)"),
        ("ceiling(x)", "-floor(-x)"),
        ("months_between(d, d)", "(year(a) - year(b)) * 12"),
        ("upper('ß')", "the text as it is"),
        ("substring('abc', 0, 2)", "substring(s, 1, n)"),
        ("substr('abc', 0, 2)", "substring(s, 1, n)"),
        ("m / m", "cast(a AS double) / b"),
        ("m / 2", "cast(a AS double) / b"),
        ("sum(m) / count(*)", "cast(a AS double) / b"),
        ("avg(m)", "avg(cast(x AS double))"),
        ("avg(i)", "avg(cast(x AS double))"),
        ("mean(x)", "avg(cast(x AS double))"),
        ("round(x, 2)", "round(cast(x AS decimal(20,2)), n)"),
        ("round(cast(m AS double), 2)", "round(cast(x AS decimal(20,2)), n)"),
        ("i * m", "cast(n AS decimal(20,2)) * price"),
        ("m * i", "cast(n AS decimal(20,2)) * price"),
        ("cast(m AS int)", "cast(floor(x) AS int)"),
        ("date_trunc('month', d)", "cast(... AS date)"),
        ("add_months(d, 1)", "cast(... AS date)"),
        ("date_add(d, 1)", "cast(... AS date)"),
        ("date_sub(d, 1)", "cast(... AS date)"),
        ("cast(explode(sequence(d, d, interval 1 day)) AS date)", "explode in a CTE"),
    ],
)
def test_the_guard_refuses(bad: str, remedy: str) -> None:
    complaints = unportable(f"SELECT {bad} AS made FROM star.things", THINGS)
    assert len(complaints) == 1
    assert remedy in complaints[0]


@pytest.mark.parametrize(
    "place",
    [
        "SELECT i FROM star.things WHERE {}",
        "SELECT t.i FROM star.things t JOIN star.things u ON {}",
        "WITH some AS (SELECT i FROM star.things WHERE {}) SELECT i FROM some",
        "SELECT i FROM star.things WHERE i IN (SELECT i FROM star.things WHERE {})",
        "SELECT i FROM star.things UNION ALL SELECT i FROM star.things WHERE {}",
    ],
)
def test_the_guard_looks_everywhere(place: str) -> None:
    for bad in ("weekday(date '2004-01-01') = 1", "cast(7 AS decimal(10,2)) / 2 > 3"):
        assert len(unportable(place.format(bad), THINGS)) == 1


def test_the_guard_knows_the_types_of_what_a_query_computed_before() -> None:
    before = "WITH some AS (SELECT sum(m) AS total, count(*) AS n FROM star.things)"
    assert len(unportable(f"{before} SELECT total / n AS mean FROM some", THINGS)) == 1


@pytest.mark.parametrize(
    "good",
    [
        "cast(mod(datediff(d, date '1900-01-01'), 7) + 1 AS int)",
        "cast(date_trunc('month', d) AS date)",
        "explode(sequence(d, d, interval 1 day))",
        "cast(cast(i AS decimal(20,2)) * m AS decimal(20,2))",
        "cast(m AS double) / cast(i AS double)",
        "avg(cast(m AS double))",
        "avg(x)",
        "round(m, 1)",
        "cast(floor(m) AS int)",
        "cast(-floor(-x) AS int)",
        "substring('abc', 1, 2)",
        "x / 2",
        "sha2('a', 256)",
        "'hash(i)'",
        "count_if(i > 1)",
    ],
)
def test_the_guard_lets_portable_sql_pass(good: str) -> None:
    assert unportable(f"SELECT {good} AS made FROM star.things", THINGS) == []


MODEL = Table(
    "star", "prices", "", "", (Column("i", "int", ""), Column("m", "decimal(20,2)", "")), ()
)


@pytest.mark.parametrize(
    ("sql", "complaints"),
    [
        ("SELECT cast(i AS int) AS i, cast(m AS decimal(20,2)) AS m FROM star.things", 0),
        (
            "SELECT cast(i AS int) AS i, cast(m AS decimal(20,2)) AS m FROM star.things"
            " UNION ALL SELECT gone.i, gone.m FROM star.prices gone",
            0,
        ),
        ("SELECT i, cast(m AS decimal(20,2)) AS m FROM star.things", 1),
        ("SELECT cast(i AS bigint) AS i, cast(m AS decimal(10,2)) AS m FROM star.things", 2),
        ("SELECT cast(i AS int) AS j, cast(m AS decimal(20,2)) AS m FROM star.things", 1),
        ("SELECT cast(i AS int) + 1 AS i, cast(m AS decimal(20,2)) AS m FROM star.things", 1),
        (
            "SELECT cast(i AS int) AS i, cast(m AS decimal(20,2)) AS m FROM star.things"
            " UNION ALL SELECT t.i, gone.m FROM star.prices gone JOIN star.things t ON t.i = gone.i",
            1,
        ),
    ],
    ids=["cast", "last snapshot", "bare", "other types", "other name", "not outermost", "not own"],
)
def test_the_guard_on_output_columns(sql: str, complaints: int) -> None:
    found = uncast(replace(MODEL, sql=sql))
    assert len(found) == complaints
    assert all("write cast(... AS " in complaint for complaint in found)
