"""One SQL text for two engines: what it reads, and how DuckDB runs it."""

import duckdb
import pytest

from retail_platform.contracts.sql import parse, referenced_tables, row_condition, to_duckdb
from retail_platform.errors import ConfigurationError


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT 1", set()),
        ("SELECT * FROM raw.orders JOIN customers USING (id)", {"raw.orders", "customers"}),
        ("WITH some AS (SELECT * FROM raw.orders) SELECT * FROM some", {"raw.orders"}),
        ("SELECT * FROM a WHERE x IN (SELECT y FROM b) UNION ALL SELECT * FROM c", {"a", "b", "c"}),
        ("WITH orders AS (SELECT * FROM raw.orders) SELECT * FROM orders", {"raw.orders"}),
    ],
)
def test_a_statement_reads(sql: str, tables: set[str]) -> None:
    assert referenced_tables(sql) == tables


def test_malformed_sql_is_told_with_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"malformed SQL at line 2, column \d+"):
        parse("SELECT a\nFROM FROM")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT cast('a' AS int)",
        "SELECT CAST(cast('a' AS int) AS string)",
        "SELECT cast(3000000000 AS int)",
        "SELECT cast(123456789.5 AS decimal(4,2))",
        "WITH x AS (SELECT cast('no day' AS date) AS d) SELECT d FROM x",
    ],
)
def test_a_cast_that_fails_raises_and_is_no_null(sql: str) -> None:
    assert "TRY_CAST" not in to_duckdb(sql)
    with pytest.raises(duckdb.ConversionException):
        duckdb.execute(to_duckdb(sql)).fetchall()


def test_only_spaces_are_trimmed() -> None:
    sql = to_duckdb("SELECT trim(a), trim(leading 'x' FROM a) FROM (VALUES ('  b\u00a0 ')) AS v(a)")
    assert duckdb.execute(sql).fetchall() == [("b\u00a0", "  b\u00a0 ")]


@pytest.mark.parametrize(
    ("sql", "condition"),
    [
        ("SELECT id FROM star.sales WHERE a > b", "a > b"),
        ("SELECT * FROM star.sales s WHERE s.a > 1 OR s.b IS NULL", "a > 1 OR b IS NULL"),
        ("SELECT id FROM star.sales", ""),
        ("SELECT id FROM star.others WHERE a > b", ""),
        ("SELECT id FROM star.sales WHERE a > (SELECT max(a) FROM star.others)", ""),
        ("SELECT id FROM star.sales WHERE a > 1 LIMIT 1", ""),
        ("SELECT DISTINCT id FROM star.sales WHERE a > 1", ""),
        ("SELECT count(*) AS n FROM star.sales WHERE a > 1", ""),
        ("SELECT id FROM star.sales WHERE a > 1 GROUP BY id", ""),
        ("SELECT s.id FROM star.sales s JOIN star.others o ON s.id = o.id WHERE s.a > 1", ""),
        ("SELECT id FROM star.sales WHERE a > 1 UNION ALL SELECT id FROM star.sales", ""),
    ],
)
def test_a_rule_on_single_rows_is_known_by_its_form(sql: str, condition: str) -> None:
    assert row_condition(sql, "star.sales") == condition
