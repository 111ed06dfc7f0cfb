"""`retail query` and the audit on AWS: the same interface as on the laptop, over Athena."""

import io
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlglot import exp

from retail_platform.contracts.checks import CheckResult, checks_of
from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.model import Column, ForeignKey, MonthPartition, Rule, Table
from retail_platform.contracts.sql import to_athena
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.protocol import Audit, DataFile, InputTable
from retail_platform.errors import ConfigurationError, LakeError, RetailError
from retail_platform.serving.analytics import bind, load_analytics
from retail_platform.serving.athena import AthenaSql, Relation, over, pinned, read_answer
from retail_platform.serving.athena_audit import AthenaAuditor
from retail_platform.serving.query import LocalSql, parse_query
from retail_platform_tests.athena import WORKGROUP, Athena, Failure, glue_catalog
from retail_platform_tests.aws import LAKE_BUCKET
from retail_platform_tests.serving import star
from retail_platform_tests.serving.star import write_star

PREFIX = "retail_"
ANALYTICS = load_analytics()


@dataclass
class Published:
    """Tables in Glue, read as the lake's snapshots are."""

    versions: dict[str, list[tuple[datetime, int]]] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    after_pinning: Callable[[], object] | None = None

    def add(
        self, name: str, rows: pa.Table, at: datetime | None = None, layer: str = "star"
    ) -> int:
        """Appends rows to a table, which is created where there is none."""
        catalog = glue_catalog()
        catalog.create_namespace_if_not_exists(f"{PREFIX}{layer}")
        table = catalog.create_table_if_not_exists(
            (f"{PREFIX}{layer}", name), rows.schema, location=f"s3://{LAKE_BUCKET}/{layer}/{name}"
        )
        with table.update_schema() as schema:
            schema.union_by_name(rows.schema)
        table.append(rows)
        snapshot = table.current_snapshot()
        assert snapshot is not None
        self.layers[name] = layer
        self.versions.setdefault(name, []).append(
            (at or datetime(2024, 1, 1, tzinfo=UTC), snapshot.snapshot_id)
        )
        return snapshot.snapshot_id

    def tables(self) -> Mapping[str, str]:
        return self.layers

    def snapshot(self, table: str, as_of: datetime | None) -> int:
        known = [id_ for moment, id_ in self.versions[table] if as_of is None or moment <= as_of]
        if self.after_pinning:
            self.after_pinning()
        return known[-1]


@pytest.fixture
def published(athena: Athena) -> Published:
    return Published()


@pytest.fixture
def sql(published: Published) -> AthenaSql:
    return AthenaSql(WORKGROUP, PREFIX, published)


EVERYTHING = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int32()),
        "big": pa.array([2**63 - 1, -(2**63), None], pa.int64()),
        "amount": pa.array([Decimal("0.10"), Decimal("-12345678.90"), None], pa.decimal128(10, 2)),
        "exact": pa.array(
            [Decimal("12345678901234567890.123456789012345678"), Decimal(0), None],
            pa.decimal128(38, 18),
        ),
        "ratio": pa.array([0.1 + 0.2, float("-inf"), None], pa.float64()),
        "flag": pa.array([True, False, None], pa.bool_()),
        "text": pa.array(["", 'Côte d\'"Ivoire",\r\n\t日本 🛒', None], pa.string()),
        "day": pa.array([date(1, 1, 1), date(2004, 2, 29), None], pa.date32()),
        "moment": pa.array(
            [
                datetime(2004, 2, 29, 12, 34, 56, 123456, UTC),
                datetime(1969, 12, 31, tzinfo=UTC),
                None,
            ],
            pa.timestamp("us", "UTC"),
        ),
        "local": pa.array(
            [datetime(2004, 2, 29, 12, 34, 56, 123456), datetime(1969, 12, 31), None],
            pa.timestamp("us"),
        ),
        "image": pa.array([b"", b"\x00\xff", None], pa.binary()),
    }
)


def test_every_type_arrives_as_it_is_stored(sql: AthenaSql, published: Published) -> None:
    published.add("everything", EVERYTHING)
    answer = sql.run("SELECT * FROM everything ORDER BY id")
    assert answer.schema == EVERYTHING.schema
    assert answer.to_pylist() == EVERYTHING.to_pylist()


def test_an_empty_answer_has_the_same_types(sql: AthenaSql, published: Published) -> None:
    published.add("everything", EVERYTHING)
    answer = sql.run("SELECT * FROM everything WHERE id > 3")
    assert answer.num_rows == 0
    assert answer.schema == EVERYTHING.schema


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("VALUES (NULL), (''), ('NULL'), ('NaN')", [None, "", "NULL", "NaN"]),
        ("SELECT CAST(NULL AS integer) AS x", [None]),
        ("SELECT 'double' AS x UNION ALL SELECT '\"quoted\"'", ["double", '"quoted"']),
        ("SELECT CAST('NaN' AS double) > 1e300 AS x", [True]),
        ("SELECT TIME '12:34:56.789' AS x", [time(12, 34, 56, 789_000)]),
        ("SELECT CAST(1.5 AS real) AS x", [1.5]),
        ("SELECT CAST(7 AS tinyint) AS x", [7]),
        ("SELECT CAST(7 AS smallint) AS x", [7]),
    ],
)
def test_values_are_told_apart_and_exact(sql: AthenaSql, query: str, values: list[Any]) -> None:
    assert sql.run(query).column(0).to_pylist() == values


def test_nested_values_are_athenas_text(sql: AthenaSql) -> None:
    assert sql.run("SELECT ARRAY[1, 2] AS x").to_pylist() == [{"x": "[1, 2]"}]


def test_columns_may_be_nameless_and_share_a_name(sql: AthenaSql) -> None:
    answer = sql.run("SELECT 1, 'a' AS x, 2 AS x")
    assert answer.column_names == ["_col0", "x", "x"]
    assert [column.to_pylist() for column in answer.columns] == [[1], ["a"], [2]]


def test_more_rows_than_a_page_arrive(sql: AthenaSql) -> None:
    answer = sql.run("SELECT n FROM UNNEST(sequence(1, 2500)) AS t(n)")
    assert set(answer.column("n").to_pylist()) == set(range(1, 2501))
    assert answer.num_rows == 2500


def test_a_value_with_more_digits_than_arrow_holds_is_refused() -> None:
    file = io.BytesIO(b'"t"\n"2004-01-01 00:00:00.123456789"\n')
    with pytest.raises(ConfigurationError, match=r"cannot be held exactly .* CAST that column"):
        read_answer(file, [("t", "timestamp", None, None, 9, 0, "UNKNOWN")])


# Which rows


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int32())})


def test_as_of_reads_the_snapshot_of_that_moment(sql: AthenaSql, published: Published) -> None:
    published.add("t", numbers(1), datetime(2024, 1, 1, tzinfo=UTC))
    published.add("t", numbers(2), datetime(2024, 2, 1, tzinfo=UTC))
    count = "SELECT count(*) AS n FROM t"
    assert sql.run(count, datetime(2024, 1, 31, tzinfo=UTC)).to_pylist() == [{"n": 1}]
    assert sql.run(count).to_pylist() == [{"n": 2}]


def test_what_is_published_while_a_query_starts_is_not_read(
    sql: AthenaSql, published: Published
) -> None:
    published.add("t", numbers(1))
    published.after_pinning = lambda: published.add("t", numbers(2))
    assert sql.run("SELECT n FROM t UNION ALL SELECT n FROM t").to_pylist() == [{"n": 1}] * 2


RELATIONS = {
    "orders": Relation("star", pinned("retail_star", "orders", 7)),
    "places": Relation("star", pinned("retail_star", "places", 8)),
}
ORDERS = '"retail_star"."orders" FOR VERSION AS OF 7'
PLACES = '"retail_star"."places" FOR VERSION AS OF 8'


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("SELECT orders.n FROM orders", f'SELECT orders.n FROM {ORDERS} AS "orders"'),
        ("select n from star.Orders;", f'select n from {ORDERS} AS "orders";'),
        ('SELECT 1 FROM "star" . "orders"', f'SELECT 1 FROM {ORDERS} AS "orders"'),
        ("SELECT star.orders.n FROM star.orders", f'SELECT orders.n FROM {ORDERS} AS "orders"'),
        ("SELECT star.orders.* FROM orders", f'SELECT orders.* FROM {ORDERS} AS "orders"'),
        ("SELECT raw.orders.n FROM orders", f'SELECT raw.orders.n FROM {ORDERS} AS "orders"'),
        ("SELECT o.n FROM orders o", f"SELECT o.n FROM {ORDERS} o"),
        ("SELECT x FROM orders AS o (x)", f"SELECT x FROM {ORDERS} AS o (x)"),
        (
            "SELECT 1 FROM orders TABLESAMPLE BERNOULLI (10)",
            f'SELECT 1 FROM {ORDERS} AS "orders" TABLESAMPLE BERNOULLI (10)',
        ),
        (
            "SELECT 1 FROM (orders JOIN places ON true)",
            f'SELECT 1 FROM ({ORDERS} AS "orders" JOIN {PLACES} AS "places" ON true)',
        ),
        (
            "SELECT 1 FROM orders WHERE EXISTS (SELECT 1 FROM places)",
            f'SELECT 1 FROM {ORDERS} AS "orders" WHERE EXISTS (SELECT 1 FROM {PLACES} AS "places")',
        ),
        (
            "WITH orders AS (SELECT * FROM orders) SELECT * FROM orders",
            f'WITH orders AS (SELECT * FROM {ORDERS} AS "orders") SELECT * FROM orders',
        ),
        (
            "WITH orders AS (SELECT 1 AS n) SELECT * FROM star.orders, (SELECT * FROM orders)",
            f'WITH orders AS (SELECT 1 AS n) SELECT * FROM {ORDERS} AS "orders", '
            "(SELECT * FROM orders)",
        ),
        (
            "WITH a AS (SELECT * FROM orders), orders AS (SELECT 1 AS n) SELECT * FROM a, orders",
            f'WITH a AS (SELECT * FROM {ORDERS} AS "orders"), orders AS (SELECT 1 AS n) '
            "SELECT * FROM a, orders",
        ),
        (
            "WITH RECURSIVE orders (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM orders) "
            "SELECT * FROM orders",
            "WITH RECURSIVE orders (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM orders) "
            "SELECT * FROM orders",
        ),
        ("SELECT x FROM UNNEST(ARRAY[1]) AS t (x)", "SELECT x FROM UNNEST(ARRAY[1]) AS t (x)"),
        (
            "-- 日本 orders\nSELECT 'orders 🛒', DECIMAL '1.5' FROM orders /* orders */",
            "-- 日本 orders\nSELECT 'orders 🛒', DECIMAL '1.5' "
            f'FROM {ORDERS} AS "orders" /* orders */',
        ),
    ],
)
def test_tables_are_pinned_and_named_as_before(query: str, asked: str) -> None:
    assert over(query, RELATIONS) == asked


@pytest.mark.parametrize("name", ["orders", "star.orders", "ORDERS", '"star"."orders"'])
def test_columns_are_found_by_the_name_of_their_table(
    sql: AthenaSql, published: Published, name: str
) -> None:
    published.add("orders", numbers(5))
    assert sql.run(f"SELECT {name}.n FROM {name}").to_pylist() == [{"n": 5}]


def test_the_reports_give_what_they_give_on_the_laptop(
    sql: AthenaSql, published: Published, tmp_path: Path
) -> None:
    files = write_star(tmp_path)
    local = LocalSql(files, star.MEMORY)
    for name, paths in files.data.items():
        published.add(name, read(paths))
    assert len(ANALYTICS) == 10
    for query in ANALYTICS.values():
        filters = {"date_from": "2004-01-01"} if query.takes("date_from") else {}
        for values in ({}, filters):
            text = bind(query, **values)
            assert sql.run(text).equals(local.run(text)), (query.name, values)


def read(uris: list[str]) -> pa.Table:
    return pa.concat_tables([pq.read_table(uri.removeprefix("file://")) for uri in uris])


# What goes wrong


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM orderz", "unknown table orderz: did you mean orders?"),
        ("SELECT * FROM raw.orders", "unknown table raw.orders: did you mean star.orders?"),
        ("SELECT * FORM orders", "malformed query at line 1, column"),
        ("DELETE FROM orders", "only queries"),
        ("INSERT INTO orders VALUES (1)", "only queries"),
        ("CREATE TABLE x AS SELECT 1 AS y", "only queries"),
        ("UNLOAD (SELECT 1) TO 's3://x' WITH (format = 'PARQUET')", "only queries"),
        ("SELECT * FROM orders FOR VERSION AS OF 7", "reads all its tables as of one moment"),
        ("SELECT * FROM orders FOR TIMESTAMP AS OF current_timestamp", "leave FOR out"),
    ],
)
def test_what_is_no_query_over_the_lake_never_reaches_athena(
    athena: Athena, query: str, message: str
) -> None:
    sql = AthenaSql(WORKGROUP, PREFIX, Published(layers={"orders": "star"}))
    with pytest.raises(ConfigurationError, match=message):
        sql.run(query)
    assert athena.queries == []


def test_a_query_that_fails_says_why_and_logs_no_traceback(
    sql: AthenaSql, published: Published, caplog: pytest.LogCaptureFixture
) -> None:
    published.add("orders", numbers(5))
    with pytest.raises(ConfigurationError, match=r"the query failed: SYNTAX_ERROR.*amount"):
        sql.run("SELECT amount FROM orders")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("failure", "error", "message"),
    [
        (
            Failure("TABLE_NOT_FOUND: line 1:15: Table 'a.b.c' does not exist"),
            ConfigurationError,
            "the query failed: TABLE_NOT_FOUND: line 1:15: Table 'a.b.c' does not exist",
        ),
        (
            Failure("Query cancelled! : Bytes scanned limit was exceeded", 2, "CANCELLED"),
            ConfigurationError,
            "the query reads more than the Athena workgroup retail allows .*: read fewer months",
        ),
        (
            Failure("Query cancelled by user", 3, "CANCELLED"),
            LakeError,
            r"the query was cancelled in Athena \(Query cancelled by user\): run it again",
        ),
        (Failure("Query timeout", 1), LakeError, "Athena failed: Query timeout; run the query"),
        (
            Failure("ICEBERG_CANNOT_OPEN_SPLIT: Error opening Iceberg split", 1),
            LakeError,
            "Athena failed: ICEBERG_CANNOT_OPEN_SPLIT",
        ),
    ],
    ids=lambda case: case.reason if isinstance(case, Failure) else "",
)
def test_each_kind_of_failure_says_what_to_do(
    athena: Athena, sql: AthenaSql, failure: Failure, error: type[RetailError], message: str
) -> None:
    athena.upcoming.append(failure)
    with pytest.raises(error, match=message):
        sql.run("SELECT 1 AS x")


def test_a_workgroup_that_is_not_there_is_named(athena: Athena) -> None:
    sql = AthenaSql("nowhere", PREFIX, Published())
    with pytest.raises(ConfigurationError, match="in workgroup nowhere: WorkGroup does not exist"):
        sql.run("SELECT 1 AS x")


def test_a_workgroup_needs_an_output_location(
    athena: Athena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ATHENA_S3_STAGING_DIR", "s3://elsewhere/")  # is not for us to use
    with pytest.raises(ConfigurationError, match="in workgroup primary: No output location"):
        AthenaSql("primary", PREFIX, Published()).run("SELECT 1 AS x")


def test_a_missing_region_is_said(sql: AthenaSql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError, match="no AWS region is set"):
        sql.run("SELECT 1 AS x")


def test_missing_credentials_are_said(sql: AthenaSql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers them
    with pytest.raises(ConfigurationError, match="there are no AWS credentials"):
        sql.run("SELECT 1 AS x")


def test_the_laptop_does_not_load_pyathena() -> None:
    loaded = "import sys, retail_platform.cli, retail_platform.serving.athena_audit; "
    subprocess.run(
        [sys.executable, "-c", f"{loaded}assert 'pyathena' not in sys.modules"], check=True
    )


# The audit


def column(name: str, type_: str, **more: Any) -> Column:
    return Column(name, type_, "", **more)


SHOPS = Table(
    "star", "shops", "", "", (column("shop", "string", nullable=False),), ("shop",), min_rows=1
)
SALES = Table(
    layer="star",
    name="sales",
    description="",
    grain="",
    columns=(
        column("id", "int", nullable=False),
        column("shop", "string", accepted_values=("a", "b", "o'c")),
        column("amount", "decimal(10,2)", min="0"),
        column("month", "date", nullable=False),
        column("sold_at", "timestamp"),
        column("receipt", "binary"),
        column("note", "string"),
    ),
    primary_key=("id",),
    partition=MonthPartition("month", "month"),
    foreign_keys=(ForeignKey(("shop",), "shops", ("shop",)),),
    rules=(
        Rule(
            "one_note_a_shop",
            "",
            "SELECT shop, count(DISTINCT note) AS notes FROM star.sales GROUP BY shop "
            "HAVING count(DISTINCT note) > 1",
        ),
        Rule(
            "trimmed",
            "",
            "SELECT * FROM star.sales WHERE note <> trim(note)",
            condition="note <> trim(note)",
        ),
    ),
    measures={"rows": "count(*)", "amount": "sum(CAST(amount AS decimal(20,2)))"},
)
Rows = list[dict[str, Any]]

GOOD: Rows = [
    {"id": 1, "shop": "a", "amount": Decimal("0.10"), "month": date(2004, 1, 1), "note": "x"},
    {"id": 2, "shop": "b", "amount": Decimal("0.20"), "month": date(2004, 1, 1), "note": "\t"},
    {"id": 3, "shop": None, "amount": None, "month": date(2004, 2, 1), "note": None},
]
BAD: Rows = [
    *GOOD,
    {"id": 3, "shop": "o'c", "amount": Decimal("-1.00"), "month": date(2004, 2, 1), "note": " y"},
    {"id": None, "shop": "d", "amount": None, "month": date(2004, 2, 1), "note": None},
    {"id": 5, "shop": "a", "amount": None, "month": None, "note": "z"},
]
ARROW: dict[str, pa.DataType] = {
    "int": pa.int32(),
    "string": pa.string(),
    "date": pa.date32(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "decimal(10,2)": pa.decimal128(10, 2),
}


def as_arrow(table: Table, rows: Rows) -> pa.Table:
    schema = pa.schema([(column.name, ARROW[column.type]) for column in table.columns])
    return pa.Table.from_pylist(rows, schema=schema)


@dataclass(frozen=True)
class Engines:
    """The laptop's engine and Athena over the same rows."""

    published: Published
    folder: Path

    def add(self, table: Table, rows: pa.Table) -> InputTable:
        path = self.folder / f"{table.name}.parquet"
        pq.write_table(rows, path)
        snapshot_id = self.published.add(table.name, rows)
        return InputTable(table, (DataFile(f"file://{path}"),), snapshot_id=snapshot_id)

    def audits(self, tables: list[InputTable], *references: InputTable) -> Iterator[list[Audit]]:
        yield DuckDBEngine("1GB", self.folder / "spill").audit(tables, references)
        yield AthenaAuditor(WORKGROUP, PREFIX).audit(tables, references)


@pytest.fixture
def engines(published: Published, tmp_path: Path) -> Engines:
    return Engines(published, tmp_path)


def comparable(audit: Audit) -> Audit:
    """With the examples of offending rows sorted, or left out where there are more of them."""

    def examples(check: CheckResult) -> str:
        found, _, rows = check.detail.partition(": ")
        return f"{found}: {sorted(rows.split('; ')) if check.failing_rows <= 5 else ''}"

    checks = tuple(replace(check, detail=examples(check)) for check in audit.checks)
    return replace(audit, checks=checks)


@pytest.mark.parametrize("rows", [GOOD, BAD, []], ids=["good", "bad", "empty"])
def test_the_audit_finds_what_it_finds_on_the_laptop(engines: Engines, rows: Rows) -> None:
    shops = engines.add(SHOPS, as_arrow(SHOPS, [{"shop": "a"}, {"shop": "b"}, {"shop": "b"}]))
    sales = engines.add(SALES, as_arrow(SALES, rows))
    local, remote = engines.audits([sales], shops)
    assert [*map(comparable, remote)] == [*map(comparable, local)]
    failed = {check.check.name for check in remote[0].checks if not check.passed}
    assert failed == (
        {
            "not_null",
            "primary_key",
            "shop_accepted",
            "amount_in_range",
            "shop_exists",
            "one_note_a_shop",
            "trimmed",
        }
        if rows is BAD
        else set()
    )


def test_the_star_is_audited_as_on_the_laptop(engines: Engines) -> None:
    files = write_star(engines.folder)
    tables = [
        engines.add(table, read(files.data[table.name]))
        for name in files.data
        if (table := load_contracts().table(name)).layer == "star"
    ]
    assert len(tables) == 7
    local, remote = engines.audits(tables)
    assert [audit.table for audit in remote] == [table.contract.name for table in tables]
    assert [*map(comparable, remote)] == [*map(comparable, local)]
    assert any(not check.passed for audit in remote for check in audit.checks)


def test_a_snapshot_is_audited_although_a_newer_one_is_published(engines: Engines) -> None:
    sales = engines.add(SALES, as_arrow(SALES, GOOD))
    engines.published.add("sales", as_arrow(SALES, BAD))
    [audit] = AthenaAuditor(WORKGROUP, PREFIX).audit([sales], [InputTable(SHOPS, ())])
    assert audit.row_count == len(GOOD)


def test_tables_that_were_never_built_are_empty(engines: Engines) -> None:
    tables = [InputTable(table, ()) for table in load_contracts().tables.values()]
    local, remote = engines.audits(tables)
    assert remote == local
    assert {audit.row_count for audit in remote} == {0}


def test_columns_that_the_snapshot_lacks_are_null(engines: Engines) -> None:
    older = as_arrow(SALES, GOOD).drop_columns(["receipt", "note"])
    sales = replace(engines.add(SALES, older), absent=frozenset({"receipt", "note", "amount"}))
    local, remote = engines.audits([sales], InputTable(SHOPS, ()))
    assert [*map(comparable, remote)] == [*map(comparable, local)]
    assert remote[0].measures["2004-01"] == {"rows": Decimal(2), "amount": Decimal(0)}


def test_an_audit_that_fails_names_its_table(athena: Athena) -> None:
    athena.upcoming.append(Failure("Query timeout", 1))
    with pytest.raises(LakeError, match=r"auditing star\.shops: Athena failed: Query timeout"):
        AthenaAuditor(WORKGROUP, PREFIX).audit([InputTable(SHOPS, ())], [])


TRINO_KNOWS = {
    "AND",
    "AVG",
    "CASE",
    "CAST",
    "COALESCE",
    "COUNT",
    "COUNT_IF",
    "EXISTS",
    "IF",
    "MAX",
    "NULLIF",
    "OR",
    "ROW_NUMBER",
    "SQRT",
    "SUM",
    "TIMESTAMP_TRUNC",
    "TRIM",
}
"""sqlglot's names of what the checks use; `TIMESTAMP_TRUNC` is written `DATE_TRUNC`."""


@pytest.mark.parametrize("table", load_contracts().tables.values(), ids=lambda table: table.name)
def test_every_check_of_every_contract_is_trinos_sql(table: Table) -> None:
    for check in checks_of(table):
        if check.offenders:
            tree = parse_query(to_athena(check.offenders))
            used = {node.sql_name() for node in tree.find_all(exp.Func)}
            assert used <= TRINO_KNOWS, check.name
            assert not any(join.kind in ("ANTI", "SEMI") for join in tree.find_all(exp.Join))
