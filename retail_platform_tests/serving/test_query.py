"""`retail query` on the laptop: Athena's dialect, the lake's tables, and nothing else."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from retail_platform.errors import ConfigurationError, LakeError
from retail_platform.serving.query import LocalSql
from retail_platform_tests.serving import star
from retail_platform_tests.serving.star import MEMORY, FolderSnapshots, write_star


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> FolderSnapshots:
    folder = tmp_path_factory.mktemp("it's [a] lake%41")
    return write_star(folder, {**star.ROWS, "dim_employees": []})


@pytest.fixture(scope="module")
def sql(snapshots: FolderSnapshots) -> LocalSql:
    return LocalSql(snapshots, MEMORY)


def value(sql: LocalSql, expression: str) -> Any:
    return sql.run(f"SELECT {expression} AS x").column("x").to_pylist()[0]


@pytest.mark.parametrize(
    "table", ["fact_orders", "star.fact_orders", "FACT_ORDERS", '"star"."fact_orders"']
)
def test_tables_resolve_unqualified_and_by_layer(sql: LocalSql, table: str) -> None:
    answer = sql.run(f"SELECT count(*) AS n FROM {table}")
    assert answer.to_pylist() == [{"n": len(star.ORDER_LINES)}]


def test_only_the_tables_of_the_query_are_opened_at_the_asked_moment(tmp_path: Path) -> None:
    snapshots = write_star(tmp_path)
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    LocalSql(snapshots, MEMORY).run(
        "WITH p AS (SELECT * FROM dim_products) SELECT * FROM p, star.dim_locations", moment
    )
    assert snapshots.asked == [("dim_locations", moment), ("dim_products", moment)]


def test_the_memory_limit_is_the_engines(snapshots: FolderSnapshots) -> None:
    limit = LocalSql(snapshots, "321MiB").run("SELECT current_setting('memory_limit') AS x")
    assert limit.to_pylist() == [{"x": "321.0 MiB"}]


def test_a_table_without_files_is_empty_and_typed(sql: LocalSql) -> None:
    answer = sql.run("SELECT employee_number, last_name, is_current FROM dim_employees")
    assert answer.num_rows == 0
    assert answer.schema.types == [pa.int32(), pa.string(), pa.bool_()]


def test_files_of_an_older_schema_give_nulls(tmp_path: Path) -> None:
    for name, rows in {"old": "SELECT 1 AS a", "new": "SELECT 'x' AS b, 2 AS a"}.items():
        duckdb.execute(f"COPY ({rows}) TO '{tmp_path}/{name}.parquet'")
    files = [str(tmp_path / "old.parquet"), str(tmp_path / "new.parquet")]
    sql = LocalSql(FolderSnapshots({"t": "raw"}, {"t": files}), MEMORY)
    answer = sql.run("SELECT a, b FROM t ORDER BY a").to_pylist()
    assert answer == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_a_common_table_expression_may_have_a_tables_name(sql: LocalSql) -> None:
    answer = sql.run(
        "WITH fact_orders AS (SELECT * FROM fact_orders WHERE order_number = 100) "
        "SELECT count(*) AS n FROM fact_orders"
    )
    assert answer.to_pylist() == [{"n": 2}]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("VALUES (1, 'a'), (2, 'b')", 2),
        ("SELECT 1 UNION ALL SELECT 2", 2),
        ("(SELECT 1)", 1),
        ("SELECT 1;", 1),
        ("SELECT x FROM UNNEST(ARRAY[1, 2, 3]) AS u (x)", 3),
        ("-- a comment\nSELECT /* another */ 1", 1),
    ],
)
def test_every_form_of_query_is_run(sql: LocalSql, query: str, rows: int) -> None:
    assert sql.run(query).num_rows == rows


ATHENA: list[tuple[str, Any]] = [
    ("date_trunc('month', date '2004-02-29')", date(2004, 2, 1)),
    ("date_trunc('hour', timestamp '2004-02-29 10:11:12')", datetime(2004, 2, 29, 10)),
    ("date_diff('day', date '2004-02-28', date '2004-03-01')", 2),
    ("date_diff('month', date '2004-01-31', date '2004-02-01')", 0),  # whole months
    ("date_diff('day', timestamp '2004-01-01 23:00', timestamp '2004-01-02 01:00')", 0),
    ("CAST(date_add('month', 1, date '2004-01-31') AS date)", date(2004, 2, 29)),
    ("CAST(date '2004-01-31' + interval '1' day AS date)", date(2004, 2, 1)),
    (
        "format_datetime(timestamp '2004-02-03 14:05:06', 'yyyy-MM-dd HH:mm:ss')",
        "2004-02-03 14:05:06",
    ),
    ("format_datetime(date '2004-02-03', 'd MMMM yy, EEE')", "3 February 04, Tue"),
    ("date_format(date '2004-02-03', '%Y-%m')", "2004-02"),
    ("date_parse('2004-02-03', '%Y-%m-%d')", datetime(2004, 2, 3)),
    ("from_unixtime(0)", datetime(1970, 1, 1, tzinfo=UTC)),
    ("from_iso8601_date('2004-02-03')", date(2004, 2, 3)),
    ("day_of_week(date '2004-02-01')", 7),
    ("year(date '2004-02-03') * 100 + month(date '2004-02-03')", 200402),
    ("last_day_of_month(date '2004-02-03')", date(2004, 2, 29)),
    ("concat('a', 'b', 'c')", "abc"),
    ("concat('a', CAST(NULL AS varchar))", None),
    ('json_extract_scalar(\'{"a": {"b": "x"}}\', \'$.a.b\')', "x"),
    ("split_part('S10_1678', '_', 1)", "S10"),
    ("strpos('abc', 'b')", 2),
    ("regexp_like('S10_1678', '^S[0-9]+')", True),
    ("regexp_extract('S10_1678', '[0-9]+')", "10"),
    ("array_join(ARRAY['a', 'b'], '-')", "a-b"),
    ("element_at(ARRAY[7, 8], 2)", 8),
    ("cardinality(sequence(1, 4))", 4),
    ("reduce(ARRAY[1, 2], 0, (s, x) -> s + x, s -> s)", 3),
    ("if(1 = 1, 'yes', 'no')", "yes"),
    ("try_cast('x' AS integer)", None),
    ("7 / 2", 3),
    ("-7 / 2", -3),
    ("7 / 2e0", 3.5),
    ("typeof(1)", "INTEGER"),
]


@pytest.mark.parametrize(("expression", "expected"), ATHENA, ids=[text for text, _ in ATHENA])
def test_athenas_functions_give_athenas_answers(
    sql: LocalSql, expression: str, expected: Any
) -> None:
    assert value(sql, expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("approx_distinct(product_code)", 5),
        ("count_if(is_sale)", 12),
        ("max_by(order_number, order_date)", 109),
        ("count(*) FILTER (WHERE status = 'Disputed')", 1),
        ("cardinality(array_agg(DISTINCT status))", 6),
        ("approx_percentile(7, 0.5)", 7),
    ],
)
def test_athenas_aggregates_run(sql: LocalSql, expression: str, expected: Any) -> None:
    answer = sql.run(f"SELECT {expression} AS x FROM fact_orders").column("x").to_pylist()[0]
    assert answer == expected


def test_sums_of_integers_are_bigint(sql: LocalSql) -> None:
    answer = sql.run("SELECT sum(x) AS x FROM (VALUES 1, 2) AS v (x)")
    assert (answer.schema.types, answer.to_pylist()) == ([pa.int64()], [{"x": 3}])
    with pytest.raises(ConfigurationError, match="x exceeds bigint"):
        sql.run("SELECT sum(x) AS x FROM (VALUES 9223372036854775807, 1) AS v (x)")


def test_nameless_columns_are_named_as_on_athena(sql: LocalSql) -> None:
    answer = sql.run("SELECT 1 + 1, order_number, count(*) FROM fact_orders GROUP BY 2 LIMIT 1")
    assert answer.column_names == ["_col0", "order_number", "_col2"]


def test_timestamps_are_in_utc_wherever_the_machine_is(
    sql: LocalSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    answer = sql.run("SELECT from_unixtime(0) AS t, CAST(from_unixtime(0) AS varchar) AS s")
    assert answer.schema.field("t").type == pa.timestamp("us", tz="UTC")
    assert answer.column("s").to_pylist() == ["1970-01-01 00:00:00+00"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "the query is empty"),
        ("-- nothing", "the query is empty"),
        (";", "the query is empty"),
        ("SELECT 1; SELECT 2", "expected one query, found 2"),
        ("SELECT order_number FROM", "line 1, column 24"),
        ("SELECT 1\nFROM fact_orders\nWHERE )", "line 3, column 7"),
        ("SELEC 1", "near '1'"),
        ("SELECT 'open", "quote left open"),
        ("SELECT nope FROM fact_orders", '"nope" not found'),
        ("SELECT nope(1)", "nope does not exist"),
        ("SELECT CAST('x' AS integer)", "Could not convert string 'x'"),
        ("SELECT sum(quantity_ordered), status FROM fact_orders", "GROUP BY"),
        ("SELECT * FROM fact_order", "did you mean fact_orders"),
        ("SELECT * FROM raw.fact_orders", r"did you mean star\.fact_orders\?"),
        ("SELECT * FROM lake.star.fact_orders", r"did you mean star\.fact_orders\?"),
        ("SELECT * FROM zzz", "there are dim_customers, .* run `retail build`"),
        ("SELECT :n", "the query has the parameter :n"),
        ("SELECT ?", r"the query has the parameter \?"),
    ],
)
def test_a_wrong_query_says_what_is_wrong(sql: LocalSql, query: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        sql.run(query)


def test_an_empty_lake_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="nothing is built yet, run `retail build`"):
        LocalSql(FolderSnapshots(), MEMORY).run("SELECT * FROM fact_orders")


def test_a_vanished_file_is_the_lakes_fault(tmp_path: Path) -> None:
    gone = FolderSnapshots({"t": "raw"}, {"t": [str(tmp_path / "gone.parquet")]})
    with pytest.raises(LakeError, match=r"a data file of t cannot be read.*`retail build t`"):
        LocalSql(gone, MEMORY).run("SELECT * FROM t")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO fact_orders VALUES (1)",
        "DELETE FROM fact_orders",
        "DROP TABLE fact_orders",
        "CREATE TABLE x AS SELECT 1",
        "SELECT * INTO x FROM fact_orders",
        "COPY fact_orders TO '/tmp/x'",
        "UNLOAD (SELECT 1) TO 's3://x'",
        "SET TimeZone = 'UTC'",
        "ATTACH 'x.db'",
        "PRAGMA version",
        "SHOW TABLES",
    ],
)
def test_only_queries_are_run(sql: LocalSql, statement: str) -> None:
    with pytest.raises(ConfigurationError):
        sql.run(statement)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM '{secret}'",
        'SELECT * FROM "{secret}"',
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM TABLE(read_text('{secret}'))",
        "SELECT (SELECT content FROM read_text('{secret}'))",
        "WITH a AS (SELECT * FROM read_text('{secret}')) SELECT * FROM a",
        "SELECT getenv('HOME')",
        # a CTE's name, used where the CTE is not in scope, could be a file for DuckDB
        'SELECT * FROM (WITH "{secret}" AS (SELECT 1) SELECT 1), "{secret}"',
        "SELECT * FROM (WITH snapshots AS (SELECT 1) SELECT 1), snapshots",
    ],
)
def test_nothing_but_the_lakes_tables_can_be_read(
    sql: LocalSql, tmp_path: Path, query: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(ConfigurationError) as refused:
        sql.run(query.format(secret=secret))
    assert "Traceback" not in str(refused.value)


def test_a_query_leaves_no_files_behind(
    sql: LocalSql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sql.run("SELECT * FROM fact_orders ORDER BY 1")
    assert list(tmp_path.iterdir()) == []
