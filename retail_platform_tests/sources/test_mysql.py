"""A MariaDB source: what is found, what is read exactly, and what is refused with a remedy."""

import socket
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from urllib.parse import urlsplit

import pyarrow as pa
import pymysql
import pytest

from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.months import MonthRange
from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.address import Address
from retail_platform.sources.columns import Family, SourceType, safe_expression
from retail_platform.sources.database import Source, open_source
from retail_platform.sources.dialect import MYSQL
from retail_platform.sources.query import SourceQuery
from retail_platform_tests.sources.conftest import Run
from retail_platform_tests.sources.tables import MONTHLY, prepared, read, table

FIRST, END = date(2003, 1, 1), date(2005, 1, 1)


@pytest.fixture
def source(mysql_url: str) -> Iterator[Source]:
    with open_source(mysql_url) as opened:
        yield opened


@pytest.fixture
def dated(in_mysql: Run, source: Source) -> SourceQuery:
    """A monthly table with every kind of date that MySQL lets in."""
    in_mysql(
        "CREATE TABLE things (id INT PRIMARY KEY, d DATE, price DECIMAL(10,2), INDEX (d))",
        "INSERT INTO things VALUES (1,'2004-01-01',1.10),(2,'2004-01-31',2.20),(3,'2004-02-01',4.40),"
        "(4,NULL,8),(5,'0000-00-00',16),(6,'2004-00-10',32),(7,'2004-02-00',64),(8,'2004-02-31',128),"
        "(9,'2002-12-31',256),(10,'2005-01-01',512),(11,'2004-02-29',0.01)",
    )
    return prepared(
        source,
        "SELECT t.id AS id, t.d AS day, t.price AS price FROM things t",
        id="int",
        day="date",
        price="decimal(10,2)",
        month="date",
        partition=MONTHLY,
        measures={
            "rows": "count(*)",
            "amount": "sum(cast(id as decimal(20,2)) * price)",
        },
    )


def test_a_month_has_the_rows_of_its_days_and_no_others(dated: SourceQuery, source: Source) -> None:
    january = read(source, dated.rows(MonthRange.parse("2004-01")))
    assert [row["id"] for row in january] == [1, 2]
    february = read(source, dated.rows(MonthRange.parse("2004-02")))
    assert [(row["id"], row["day"]) for row in february] == [
        (3, date(2004, 2, 1)),
        (11, date(2004, 2, 29)),
    ]


def test_a_month_is_found_by_the_index_of_its_date(dated: SourceQuery, in_mysql: Run) -> None:
    sql = dated.rows(MonthRange.parse("2004-01"))
    assert "q.`day` >= DATE '2004-01-01' AND q.`day` < DATE '2004-02-01'" in sql


def test_rows_without_a_usable_month_are_quarantined_with_the_reason(
    dated: SourceQuery, source: Source
) -> None:
    aside = read(source, dated.quarantined(FIRST, END))
    assert {row["id"]: row["quarantine_reason"] for row in aside} == {
        4: "no date",
        5: "zero date",
        6: "zero date",
        7: "zero date",
        8: "zero date",
        9: "before first_month",
        10: "after the running month",
    }
    assert {row["id"]: row["day"] for row in aside}[5] is None
    assert list(aside[0]) == ["id", "day", "price", "quarantine_reason"]


def test_zero_dates_of_a_column_that_is_not_null_have_their_reason_too(
    in_mysql: Run, source: Source
) -> None:
    in_mysql(
        "CREATE TABLE things (d DATE NOT NULL)",
        "INSERT INTO things VALUES ('0000-00-00'),('2004-01-01')",
    )
    query = prepared(
        source, "SELECT d AS day FROM things", day="date", month="date", partition=MONTHLY
    )
    assert read(source, query.quarantined(FIRST, END)) == [
        {"day": None, "quarantine_reason": "zero date"}
    ]


def test_every_row_is_either_read_or_quarantined(dated: SourceQuery, source: Source) -> None:
    read_rows = read(source, dated.rows(MonthRange.parse("2003-01", "2004-12")))
    aside = read(source, dated.quarantined(FIRST, END))
    assert sorted(str(row["id"]) for row in read_rows + aside) == sorted(map(str, range(1, 12)))


def test_totals_are_exact_by_month(dated: SourceQuery, source: Source) -> None:
    assert source.totals(dated) == {
        "": {"rows": Decimal(5), "amount": Decimal(4 * 8 + 5 * 16 + 6 * 32 + 7 * 64 + 8 * 128)},
        "2002-12": {"rows": Decimal(1), "amount": Decimal(9 * 256)},
        "2004-01": {"rows": Decimal(2), "amount": Decimal("5.50")},
        "2004-02": {"rows": Decimal(2), "amount": Decimal("13.31")},
        "2005-01": {"rows": Decimal(1), "amount": Decimal(5120)},
    }


def test_totals_see_what_was_written_since(
    dated: SourceQuery, source: Source, in_mysql: Run
) -> None:
    before = source.totals(dated)
    in_mysql("INSERT INTO things VALUES (12,'2004-01-02',1)")
    assert source.totals(dated) != before


def test_the_months_of_the_source(dated: SourceQuery, source: Source) -> None:
    assert source.months([dated]) == MonthRange.parse("2002-12", "2005-01")


def test_an_empty_source_has_no_months(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE things (d DATE)")
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
    assert read(source, query.rows(MonthRange.parse("2004-01"))) == []


def test_an_unpartitioned_table_has_one_total(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE things (id INT)")
    query = prepared(
        source, "SELECT id FROM things", id="int", measures={"rows": "count(*)", "ids": "sum(id)"}
    )
    assert source.totals(query) == {"": {"rows": Decimal(0), "ids": Decimal(0)}}


def test_orphaned_order_lines_go_to_quarantine(in_mysql: Run, source: Source) -> None:
    in_mysql(
        "CREATE TABLE orders (orderNumber INT PRIMARY KEY, orderDate DATE)",
        "CREATE TABLE orderdetails (orderNumber INT, productCode VARCHAR(15), quantityOrdered INT,"
        " priceEach DECIMAL(10,2), orderLineNumber SMALLINT)",
        "INSERT INTO orders VALUES (1,'2004-01-05')",
        "INSERT INTO orderdetails VALUES (1,'S10',2,1.50,1),(2,'S11',3,2.50,1)",
    )
    query = source.prepare(load_contracts().table("order_details"))
    assert query is not None
    (line,) = read(source, query.rows(MonthRange.parse("2004-01")))
    assert line["price_each"] == Decimal("1.5")
    (orphan,) = read(source, query.quarantined(FIRST, END))
    assert orphan["quarantine_reason"] == "no such order"
    assert source.totals(query)[""]["amount"] == Decimal("7.50")
    assert query.unread_columns == ()


def test_a_database_without_any_table_is_told_apart(mysql_url: str, source: Source) -> None:
    database = mysql_url.rpartition("/")[2]
    with pytest.raises(
        SourceError,
        match=rf"user retail sees no table at all in {database}: .*RETAIL_SOURCE_URL.*grant",
    ):
        source.prepare(load_contracts().table("offices"))
    assert source.prepare(load_contracts().table("ratings")) is None


def test_absent_ratings_are_no_error_and_other_absent_tables_are(
    in_mysql: Run, source: Source
) -> None:
    contracts = load_contracts()
    in_mysql("CREATE TABLE things (id INT)")
    assert source.prepare(contracts.table("ratings")) is None
    with pytest.raises(SourceError, match=r"no table offices.*edit sql/raw/offices\.sql"):
        source.prepare(contracts.table("offices"))


def test_names_may_differ_in_case(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE OrderDetails (orderNumber INT)", "INSERT INTO OrderDetails VALUES (7)")
    query = prepared(source, "SELECT D.ORDERNUMBER AS id FROM orderdetails d", id="int")
    assert read(source, query.rows()) == [{"id": 7}]


def test_a_missing_column_is_named_with_its_neighbours(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE things (thingName INT, other INT)")
    with pytest.raises(SourceError) as missing:
        source.prepare(table("SELECT t.thing_name AS id FROM things t", id="int"))
    assert "no column things.thing_name (did you mean thingName?)" in str(missing.value)
    assert "edit sql/raw/things.sql" in str(missing.value)


def test_an_extra_column_of_the_source_is_only_reported(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE things (id INT, colour INT)")
    query = prepared(source, "SELECT id FROM things", id="int")
    assert query.unread_columns == ("things.colour",)


@pytest.mark.parametrize(
    ("source_type", "contract_type"),
    [
        ("VARCHAR(10)", "int"),
        ("DECIMAL(12,4)", "decimal(10,2)"),
        ("DOUBLE", "decimal(10,2)"),
        ("DATETIME", "date"),
        ("VARCHAR(10)", "date"),
        ("INT", "string"),
        ("VARBINARY(10)", "string"),
        ("TIME", "string"),
        ("INT", "boolean"),
        ("DECIMAL(10,2)", "double"),
        ("TEXT", "binary"),
    ],
)
def test_a_type_that_would_lose_something_is_refused(
    in_mysql: Run, source: Source, source_type: str, contract_type: str
) -> None:
    in_mysql(f"CREATE TABLE things (v {source_type})")
    with pytest.raises(SourceError) as refused:
        source.prepare(table("SELECT v FROM things", v=contract_type))
    assert f"in the source, the contract says {contract_type}" in str(refused.value)
    assert "cast it in sql/raw/things.sql or change the contract" in str(refused.value)


DEEP = Decimal("12345678901234567890.123456789012345678")


@pytest.mark.parametrize(
    ("source_type", "literal", "contract_type", "arrow", "value"),
    [
        ("TINYINT", "-5", "int", pa.int32(), -5),
        ("BIGINT", "5", "int", pa.int32(), 5),
        ("BIGINT UNSIGNED", "5", "bigint", pa.int64(), 5),
        ("YEAR", "2004", "int", pa.int32(), 2004),
        ("DECIMAL(20,0)", "123", "bigint", pa.int64(), 123),
        ("INT", "12", "decimal(10,2)", pa.decimal128(10, 2), Decimal("12.00")),
        ("DECIMAL(10,2)", "-12.34", "decimal(10,2)", pa.decimal128(10, 2), Decimal("-12.34")),
        (
            "DECIMAL(10,2) UNSIGNED",
            "12.34",
            "decimal(10,2)",
            pa.decimal128(10, 2),
            Decimal("12.34"),
        ),
        ("DECIMAL(38,18)", str(DEEP), "decimal(38,18)", pa.decimal128(38, 18), DEEP),
        ("DECIMAL(65,0)", "9" * 38, "decimal(38,0)", pa.decimal128(38, 0), Decimal("9" * 38)),
        ("TINYINT(1)", "1", "boolean", pa.bool_(), True),
        ("BIT(1)", "b'1'", "boolean", pa.bool_(), True),
        ("FLOAT", "1.5", "double", pa.float64(), 1.5),
        ("VARCHAR(20)", "'Zoë 😀'", "string", pa.string(), "Zoë 😀"),
        ("VARCHAR(9) CHARACTER SET latin1", "x'ff'", "string", pa.string(), "ÿ"),
        ("ENUM('a','b')", "'b'", "string", pa.string(), "b"),
        ("JSON", "'{\"a\": 1}'", "string", pa.string(), '{"a": 1}'),
        ("MEDIUMTEXT", "'t'", "string", pa.string(), "t"),
        ("MEDIUMBLOB", "x'00ff80'", "binary", pa.binary(), b"\x00\xff\x80"),
        ("DATE", "'9999-12-31'", "date", pa.date32(), date(9999, 12, 31)),
        ("DATE", "'0000-00-00'", "date", pa.date32(), None),
        (
            "DATETIME(6)",
            "'2004-01-02 03:04:05.123456'",
            "timestamp",
            pa.timestamp("us"),
            datetime(2004, 1, 2, 3, 4, 5, 123456),
        ),
        ("DATETIME", "'0000-00-00 00:00:00'", "timestamp", pa.timestamp("us"), None),
    ],
)
def test_values_arrive_exactly(
    in_mysql: Run,
    source: Source,
    source_type: str,
    literal: str,
    contract_type: str,
    arrow: pa.DataType,
    value: object,
) -> None:
    in_mysql(
        f"CREATE TABLE things (v {source_type} NULL)",
        f"INSERT INTO things VALUES ({literal}), (NULL)",
    )
    query = prepared(source, "SELECT v FROM things", v=contract_type)
    rows = read(source, query.rows(), pa.schema([("v", arrow)]))
    assert rows == [{"v": value}, {"v": None}]


def test_json_is_read_as_the_server_writes_it() -> None:
    # MariaDB's JSON is a text anyway; MySQL's is a type that connectorx writes anew.
    json = SourceType(Family.TEXT, "json")
    assert safe_expression(json, "string", "q.`v`", MYSQL) == "CAST(q.`v` AS CHAR)"


def test_timestamps_are_read_in_utc_whatever_the_servers_zone(
    in_mysql: Run, source: Source
) -> None:
    in_mysql(
        "CREATE TABLE things (v TIMESTAMP NULL)",
        "SET time_zone = '+05:00'",
        "INSERT INTO things VALUES ('2004-01-02 05:00:00')",
    )
    query = prepared(source, "SELECT v FROM things", v="timestamp")
    assert read(source, query.rows()) == [{"v": datetime(2004, 1, 2)}]


def test_a_constant_null_stands_in_for_a_column_that_the_source_lacks(
    in_mysql: Run, source: Source
) -> None:
    in_mysql("CREATE TABLE things (id INT)", "INSERT INTO things VALUES (1)")
    query = prepared(
        source, "SELECT id, NULL AS credit FROM things", id="int", credit="decimal(10,2)"
    )
    types: dict[str, pa.DataType] = {"id": pa.int32(), "credit": pa.decimal128(10, 2)}
    assert read(source, query.rows(), pa.schema(types)) == [{"id": 1, "credit": None}]


def test_a_value_that_overflows_the_contract_is_refused(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE things (v BIGINT)", f"INSERT INTO things VALUES ({2**40})")
    query = prepared(source, "SELECT v FROM things", v="int")
    with pytest.raises(SourceError, match=r"things\.v: a value does not fit int32.*widen"):
        read(source, query.rows(), pa.schema([("v", pa.int32())]))


def test_bytes_that_are_no_text_are_refused_before_they_are_read(
    in_mysql: Run, source: Source
) -> None:
    in_mysql("CREATE TABLE things (v VARBINARY(5))", "INSERT INTO things VALUES (x'ff')")
    with pytest.raises(SourceError, match=r"things\.v is binary or blob.*cast it in sql/raw"):
        source.prepare(table("SELECT v FROM things", v="string"))


def test_a_panic_of_the_reader_is_an_error_like_others(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE things (v DATE)", "INSERT INTO things VALUES ('0000-00-00')")
    with pytest.raises(SourceError, match=r"things cannot be read from .*out of range"):
        read(source, "SELECT v FROM things")


def test_a_connection_lost_midway_is_an_error_and_not_the_end(
    in_mysql: Run, source: Source, mysql_url: str
) -> None:
    in_mysql(
        "CREATE TABLE things (v VARCHAR(200))",
        "INSERT INTO things VALUES " + ", ".join(["(REPEAT('x', 200))"] * 800),
        "INSERT INTO things SELECT a.v FROM things a CROSS JOIN things b LIMIT 400000",
    )
    query = prepared(source, "SELECT v FROM things", v="string")

    def kill_the_reader() -> None:
        me = Address.parse(mysql_url)
        with (
            pymysql.connect(
                host=me.host, port=me.port, user=me.user, password=me.password, autocommit=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE db = %s AND command = 'Execute'",
                (me.database,),
            )
            for (number,) in cursor.fetchall():
                cursor.execute(f"KILL {number}")

    def read_on() -> None:
        with source.stream(query.rows(), "things") as rows:
            rows.read_next_batch()
            kill_the_reader()
            rows.read_all()

    with pytest.raises(SourceError, match=r"things cannot be read from .*run again"):
        read_on()


def test_the_consumers_own_error_passes_through(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE things (v INT)")
    with pytest.raises(ZeroDivisionError), source.stream("SELECT v FROM things", "things"):
        raise ZeroDivisionError


def test_duckdb_reads_the_stream_and_its_failure_stays_ours(in_mysql: Run, source: Source) -> None:
    import duckdb

    in_mysql("CREATE TABLE things (v DATE)", "INSERT INTO things VALUES ('2004-01-01')")

    def read_with_duckdb() -> list[tuple[object, ...]]:
        with (
            duckdb.connect() as connection,
            source.stream("SELECT v FROM things", "things") as rows,
        ):
            connection.register("rows_of_things", rows)
            return connection.execute("SELECT * FROM rows_of_things").fetchall()

    assert read_with_duckdb() == [(date(2004, 1, 1),)]
    in_mysql("INSERT INTO things VALUES ('0000-00-00')")
    with pytest.raises(SourceError, match="out of range"):
        read_with_duckdb()


def test_the_query_and_the_contract_must_agree(in_mysql: Run, source: Source) -> None:
    in_mysql("CREATE TABLE things (id INT, d DATE)")
    with pytest.raises(ConfigurationError, match="does not select size: add them"):
        source.prepare(table("SELECT id FROM things", id="int", size="int"))
    with pytest.raises(ConfigurationError, match="selects d, which the contract of things lacks"):
        source.prepare(table("SELECT id, d FROM things", id="int"))


@pytest.mark.parametrize("sql", ["DELETE FROM things", "SELECT id FROM", "DROP TABLE things"])
def test_only_a_select_is_a_query(in_mysql: Run, source: Source, sql: str) -> None:
    in_mysql("CREATE TABLE things (id INT)")
    with pytest.raises(ConfigurationError):
        source.prepare(table(sql, id="int"))


def test_a_wrong_password_is_named_and_not_shown(mysql_url: str) -> None:
    wrong = mysql_url.replace(":pw@", ":hunter2@")
    assert wrong != mysql_url
    with pytest.raises(SourceError, match="wrong user or password") as refused:
        open_source(wrong).prepare(load_contracts().table("orders"))
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.fixture
def reader(in_mysql: Run, mysql_url: str) -> Iterator[str]:
    """The URL of a user who may only read, and whose password has letters of all kinds."""
    address = replace(Address.parse(mysql_url), user=f"u{uuid.uuid4().hex[:8]}", password="ä'ß:@ €")
    who = f"'{address.user}'@'%'"
    literal = address.password.replace("'", "''")
    in_mysql(
        f"CREATE USER {who} IDENTIFIED BY '{literal}'",
        f"GRANT SELECT ON `{address.database}`.* TO {who}",
    )
    yield address.url
    in_mysql(f"DROP USER {who}")


def test_a_user_who_may_only_read_is_enough(in_mysql: Run, reader: str) -> None:
    in_mysql(
        "CREATE TABLE things (id INT, day DATE)",
        "INSERT INTO things VALUES (1,'2004-01-05'),(2,'0000-00-00')",
    )
    with open_source(reader) as source:
        query = prepared(
            source,
            "SELECT id, day FROM things",
            id="int",
            day="date",
            month="date",
            partition=MONTHLY,
            measures={"rows": "count(*)"},
        )
        assert read(source, query.rows()) == [{"id": 1, "day": date(2004, 1, 5)}]
        assert len(read(source, query.quarantined(FIRST, END))) == 1
        assert source.totals(query) == {"": {"rows": 1}, "2004-01": {"rows": 1}}


def test_what_the_servers_sql_mode_refuses_is_refused_before_it_is_read(
    in_mysql: Run, source: Source
) -> None:
    in_mysql(
        "CREATE TABLE things (id INT, size INT)",
        "SET GLOBAL sql_mode = 'ONLY_FULL_GROUP_BY'",
    )
    try:
        with pytest.raises(SourceError, match=r"refused a query: .*correct sql/raw/things\.sql"):
            source.prepare(table("SELECT id, size FROM things GROUP BY id", id="int", size="int"))
        query = prepared(
            source, "SELECT id, MAX(size) AS size FROM things GROUP BY id", id="int", size="int"
        )
        assert read(source, query.rows()) == []
    finally:
        in_mysql("SET GLOBAL sql_mode = DEFAULT")


def test_rows_come_from_the_address_and_not_from_a_socket_on_this_machine(source: Source) -> None:
    sql = "SELECT host AS v FROM information_schema.processlist WHERE id = CONNECTION_ID()"
    (row,) = read(source, sql)
    assert ":" in row["v"]  # a port; a socket has none


def test_a_missing_database_is_named(mysql_url: str) -> None:
    with pytest.raises(SourceError, match=r"there is no database nowhere.*RETAIL_SOURCE_URL"):
        open_source(mysql_url.rpartition("/")[0] + "/nowhere").prepare(
            load_contracts().table("orders")
        )


def test_a_server_that_is_down_is_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = open_source(f"mysql://u:hunter2@127.0.0.1:{port}/shop")
    with pytest.raises(SourceError, match=f"127.0.0.1:{port}/shop does not answer: start") as down:
        source.prepare(load_contracts().table("orders"))
    assert "hunter2" not in str(down.value)


def test_a_dropped_connection_is_opened_again(
    in_mysql: Run, source: Source, mysql_url: str
) -> None:
    in_mysql("CREATE TABLE things (id INT)")
    query = prepared(source, "SELECT id FROM things", id="int", measures={"rows": "count(*)"})
    database = urlsplit(mysql_url).path[1:]
    in_mysql(
        "SET @kill = CONCAT('KILL ', (SELECT MIN(id) FROM information_schema.processlist "
        f"WHERE db = '{database}' AND id <> CONNECTION_ID()))",
        "PREPARE killing FROM @kill",
        "EXECUTE killing",
    )
    assert source.totals(query) == {"": {"rows": Decimal(0)}}
