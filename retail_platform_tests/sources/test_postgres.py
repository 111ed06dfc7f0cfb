"""A PostgreSQL source: the same extraction queries, its own names, types and failures."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest

from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.months import MonthRange
from retail_platform.errors import SourceError
from retail_platform.sources.address import Address
from retail_platform.sources.database import Source, open_source
from retail_platform_tests.sources.conftest import Run
from retail_platform_tests.sources.tables import MONTHLY, prepared, read, table

FIRST, END = date(2003, 1, 1), date(2005, 1, 1)


@pytest.fixture
def source(postgres_url: str) -> Iterator[Source]:
    with open_source(postgres_url) as opened:
        yield opened


@pytest.mark.parametrize(
    "created",
    [
        'CREATE TABLE "orderDetails" ("orderNumber" INT, "productCode" TEXT)',
        "CREATE TABLE orderdetails (ordernumber INT, productcode TEXT)",
        'CREATE TABLE "ORDERDETAILS" ("ORDERNUMBER" INT, "PRODUCTCODE" TEXT)',
    ],
)
def test_names_may_be_quoted_camel_case_or_folded(
    in_postgres: Run, source: Source, created: str
) -> None:
    in_postgres(created)
    query = prepared(source, "SELECT d.orderNumber AS id FROM orderdetails d", id="int")
    assert [name.lower() for name in query.unread_columns] == ["orderdetails.productcode"]
    assert read(source, query.rows()) == []


def test_a_name_that_fits_two_tables_must_be_written_exactly(
    in_postgres: Run, source: Source
) -> None:
    in_postgres('CREATE TABLE "Things" (id INT)', "CREATE TABLE things (id INT)")
    assert 'FROM "Things"' in prepared(source, "SELECT id FROM Things", id="int").sql
    with pytest.raises(SourceError, match=r"table THINGS may be .* to name one exactly"):
        source.prepare(table("SELECT id FROM THINGS", id="int"))


def test_tables_of_other_schemas_and_materialized_views_are_found(
    in_postgres: Run, source: Source
) -> None:
    in_postgres(
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.orders (id INT)",
        "INSERT INTO sales.orders VALUES (7)",
        "CREATE MATERIALIZED VIEW seen AS SELECT id FROM sales.orders",
    )
    for origin in ("sales.Orders", "seen"):
        query = prepared(source, f"SELECT o.id AS id FROM {origin} o", id="int")
        assert read(source, query.rows()) == [{"id": 7}]


def test_missing_tables_and_columns_are_named_with_the_remedy(
    in_postgres: Run, source: Source
) -> None:
    in_postgres("CREATE TABLE things (thing_id INT)")
    with pytest.raises(
        SourceError, match=r"no table thing \(did you mean things\?\): edit sql/raw"
    ):
        source.prepare(table("SELECT id FROM thing", id="int"))
    with pytest.raises(SourceError, match=r"no column things\.id.*things has thing_id"):
        source.prepare(table("SELECT t.id AS id FROM things t", id="int"))
    assert source.prepare(table("SELECT id FROM thing", id="int", optional=True)) is None


def test_what_the_user_may_not_read_is_not_there(postgres_url: str, in_postgres: Run) -> None:
    address = Address.parse(postgres_url)
    role = f"reader_{address.database}"
    in_postgres(
        "CREATE TABLE things (id INT, secret INT)", f"CREATE ROLE {role} LOGIN PASSWORD 'p'"
    )
    url = replace(address, user=role, password="p").url
    things, others = table("SELECT id FROM things", id="int"), table("SELECT id FROM o", id="int")
    with open_source(url) as source, pytest.raises(SourceError, match="sees no table at all"):
        source.prepare(things)
    in_postgres(f"GRANT SELECT (id) ON things TO {role}")
    with open_source(url) as source:
        query = source.prepare(things)
        assert query
        assert query.unread_columns == ()
        with pytest.raises(SourceError, match=r"no table o: .*grant the user SELECT"):
            source.prepare(others)


def test_the_queries_of_sql_raw_read_a_folded_schema(in_postgres: Run, source: Source) -> None:
    in_postgres(
        "CREATE TABLE orders (ordernumber INT, orderdate DATE)",
        "CREATE TABLE orderdetails (ordernumber INT, productcode VARCHAR(15), quantityordered INT,"
        " priceeach NUMERIC(10,2), orderlinenumber SMALLINT)",
        "INSERT INTO orders VALUES (1,'2004-01-05'), (2,'infinity'), (3, NULL), (4,'0044-03-15 BC')",
        "INSERT INTO orderdetails SELECT n, 'S10', 2, 1.50, 1 FROM generate_series(1, 5) n",
    )
    query = source.prepare(load_contracts().table("order_details"))
    assert query is not None
    (line,) = read(source, query.rows(MonthRange.parse("2004-01")))
    assert (line["order_number"], line["price_each"]) == (1, "1.50")
    aside = read(source, query.quarantined(FIRST, END))
    assert {row["order_number"]: row["quarantine_reason"] for row in aside} == {
        2: "infinite date",
        3: "no date",
        4: "infinite date",
        5: "no such order",
    }
    assert {key: value["amount"] for key, value in source.totals(query).items()} == {
        "": Decimal(12),
        "2004-01": Decimal(3),
    }
    assert source.months([query]) == MonthRange.parse("2004-01")


@pytest.mark.parametrize(
    ("source_type", "contract_type"),
    [
        ("TEXT", "int"),
        ("NUMERIC", "decimal(10,2)"),
        ("NUMERIC(12,4)", "decimal(10,2)"),
        ("TIMESTAMP", "date"),
        ("BYTEA", "string"),
        ("INT[]", "string"),
        ("MONEY", "decimal(10,2)"),
        ("INT", "boolean"),
        ("BIGINT", "double"),
    ],
)
def test_a_type_that_would_lose_something_is_refused(
    in_postgres: Run, source: Source, source_type: str, contract_type: str
) -> None:
    in_postgres(f"CREATE TABLE things (v {source_type})")
    with pytest.raises(SourceError, match=r"cast it in sql/raw/things.sql or change the contract"):
        source.prepare(table("SELECT v FROM things", v=contract_type))


def test_a_type_that_does_not_fit_is_cast_in_the_query(in_postgres: Run, source: Source) -> None:
    in_postgres("CREATE TABLE things (n NUMERIC, i INT)", "INSERT INTO things VALUES (1.5, 123)")
    query = prepared(
        source,
        "SELECT CAST(n AS DECIMAL(10,2)) AS n, CAST(i AS CHAR) AS i FROM things",
        n="decimal(10,2)",
        i="string",
    )
    assert read(source, query.rows()) == [{"n": "1.50", "i": "123"}]


DEEP = Decimal("12345678901234567890.123456789012345678")


@pytest.mark.parametrize(
    ("source_type", "literal", "contract_type", "arrow", "value"),
    [
        ("SMALLINT", "-5", "int", pa.int32(), -5),
        ("BIGINT", "5", "bigint", pa.int64(), 5),
        ("NUMERIC(10,2)", "-12.34", "decimal(10,2)", pa.decimal128(10, 2), Decimal("-12.34")),
        ("NUMERIC(38,18)", str(DEEP), "decimal(38,18)", pa.decimal128(38, 18), DEEP),
        ("NUMERIC(22,2)", "9" * 20, "decimal(22,2)", pa.decimal128(22, 2), Decimal("9" * 20)),
        ("BOOLEAN", "TRUE", "boolean", pa.bool_(), True),
        ("REAL", "1.5", "double", pa.float64(), 1.5),
        ("TEXT", "'Zoë 😀'", "string", pa.string(), "Zoë 😀"),
        ("CHAR(5)", "'ab'", "string", pa.string(), "ab"),
        ("mood", "'calm'", "string", pa.string(), "calm"),
        ("JSONB", "'{\"a\": 1}'", "string", pa.string(), '{"a": 1}'),
        ("BYTEA", "'\\x00ff80'", "binary", pa.binary(), b"\x00\xff\x80"),
        ("DATE", "'9999-12-31'", "date", pa.date32(), date(9999, 12, 31)),
        ("DATE", "'-infinity'", "date", pa.date32(), None),
        (
            "TIMESTAMPTZ",
            "'2004-01-02 03:04:05.123456+02'",
            "timestamp",
            pa.timestamp("us"),
            datetime(2004, 1, 2, 1, 4, 5, 123456),
        ),
        ("TIMESTAMP", "'infinity'", "timestamp", pa.timestamp("us"), None),
    ],
)
def test_values_arrive_exactly(
    in_postgres: Run,
    source: Source,
    source_type: str,
    literal: str,
    contract_type: str,
    arrow: pa.DataType,
    value: object,
) -> None:
    in_postgres(
        "CREATE TYPE mood AS ENUM ('calm')",
        f"CREATE TABLE things (v {source_type})",
        f"INSERT INTO things VALUES ({literal}), (NULL)",
    )
    query = prepared(source, "SELECT v FROM things", v=contract_type)
    rows = read(source, query.rows(), pa.schema([("v", arrow)]))
    assert rows == [{"v": value}, {"v": None}]


@pytest.mark.parametrize("kind", ["NUMERIC(10,2)", "NUMERIC(38,2)"])
def test_a_decimal_that_is_no_number_is_refused_without_a_panic_on_the_terminal(
    in_postgres: Run, source: Source, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    in_postgres(f"CREATE TABLE things (v {kind})", "INSERT INTO things VALUES ('NaN')")
    query = prepared(source, "SELECT v FROM things", v="decimal(10,2)")
    with pytest.raises(SourceError, match=r"things\.v: a value does not fit .*NaN"):
        read(source, query.rows(), pa.schema([("v", pa.decimal128(10, 2))]))
    assert capfd.readouterr().err == ""


def test_invalid_utf8_is_refused_with_the_remedy(postgres_url: str, in_postgres: Run) -> None:
    name = Address.parse(postgres_url).database + "_ascii"
    in_postgres(
        f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 "
        "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
    )
    url = postgres_url.rpartition("/")[0] + "/" + name
    with psycopg.connect(url, autocommit=True, client_encoding="latin1") as connection:
        connection.execute("CREATE TABLE things (v TEXT)")
        connection.execute("SET client_encoding = 'SQL_ASCII'")
        connection.execute(r"INSERT INTO things VALUES (E'\xff')")
    with open_source(url) as source:
        query = prepared(source, "SELECT v FROM things", v="string")
        with pytest.raises(
            SourceError, match=r"not valid UTF-8; convert it in sql/raw/things\.sql"
        ):
            read(source, query.rows())


def test_a_connection_lost_midway_is_an_error_and_not_the_end(
    in_postgres: Run, source: Source
) -> None:
    in_postgres(
        "CREATE TABLE things AS SELECT repeat('x', 200) AS v FROM generate_series(1, 400000)"
    )
    query = prepared(source, "SELECT v FROM things", v="string")

    def read_on() -> None:
        with source.stream(query.rows(), "things") as rows:
            rows.read_next_batch()
            in_postgres(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            rows.read_all()

    with pytest.raises(SourceError, match=r"things cannot be read from .*run again"):
        read_on()


def test_a_dropped_connection_is_opened_again(in_postgres: Run, source: Source) -> None:
    in_postgres("CREATE TABLE things (id INT)")
    query = prepared(source, "SELECT id FROM things", id="int", measures={"rows": "count(*)"})
    in_postgres(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert source.totals(query) == {"": {"rows": Decimal(0)}}


def test_an_empty_monthly_table_has_no_months(in_postgres: Run, source: Source) -> None:
    in_postgres("CREATE TABLE things (d DATE)")
    query = prepared(
        source,
        "SELECT d AS day FROM things",
        day="date",
        month="date",
        partition=MONTHLY,
        measures={"rows": "count(*)"},
    )
    assert source.months([query]) is None
    assert source.totals(query) == {}


def test_a_wrong_password_is_named_and_not_shown(postgres_url: str) -> None:
    password = Address.parse(postgres_url).password
    wrong = postgres_url.replace(password, "hunter2")
    with pytest.raises(SourceError, match="wrong user or password") as refused:
        open_source(wrong).prepare(load_contracts().table("orders"))
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_missing_database_is_named(postgres_url: str) -> None:
    with pytest.raises(SourceError, match=r"there is no database nowhere; create it"):
        open_source(postgres_url.rpartition("/")[0] + "/nowhere").prepare(
            load_contracts().table("orders")
        )


def test_a_server_that_is_down_is_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = open_source(f"postgresql://u:hunter2@127.0.0.1:{port}/shop")
    with pytest.raises(SourceError, match=f"127.0.0.1:{port}/shop does not answer: start") as down:
        source.prepare(load_contracts().table("orders"))
    assert "hunter2" not in str(down.value)
