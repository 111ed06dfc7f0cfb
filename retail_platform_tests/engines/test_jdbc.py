"""Spark reads a source through JDBC to the very rows that the laptop's reader gives."""

import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pymysql
import pytest

from retail_platform.build import Builder
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.model import QUARANTINE, Feed, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines import jdbc
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.jdbc import JdbcSource
from retail_platform.engines.protocol import OutputTable, RowReader, RunRequest, TableResult
from retail_platform.engines.spark import SparkEngine
from retail_platform.errors import EngineError, SourceError
from retail_platform.extraction import Extraction
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake
from retail_platform.sources.address import Address
from retail_platform.sources.database import open_source
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform_tests.engines.test_parity import assert_same
from retail_platform_tests.glue.stand_in import JDBC_JARS
from retail_platform_tests.parquet import Row, read_rows
from retail_platform_tests.sources.tables import MONTHLY, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONTRACTS = load_contracts()
YEARS = MonthRange.parse("2003-01", "2005-12")


@dataclass(frozen=True)
class Database:
    """A database of a real server.

    Attributes:
        url: Where it is.
        product: `mysql` or `postgresql`.
    """

    url: str
    product: str

    @property
    def jdbc(self) -> JdbcSource:
        """The same, as Spark reaches it."""
        address = Address.parse(self.url)
        return JdbcSource(
            product=self.product,
            host=address.host,
            port=address.port,
            database=address.database,
            user=address.user,
            password=address.password,
            session=address.dialect.session,
        )

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Runs statements and gives the rows of the last; any date is let in."""
        address = Address.parse(self.url)
        if self.product == "postgresql":
            with psycopg.connect(self.url, autocommit=True) as postgres:
                for statement in statements:
                    cursor = postgres.execute(statement)
                return cursor.fetchall() if cursor.description else []
        with (
            pymysql.connect(
                host=address.host,
                port=address.port,
                user=address.user,
                password=address.password,
                database=address.database,
                autocommit=True,
                charset="utf8mb4",
                init_command="SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+05:00'",
            ) as mysql,
            mysql.cursor() as mysql_cursor,
        ):
            for statement in statements:
                mysql_cursor.execute(statement)
            return list(mysql_cursor.fetchall())


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Database:
    product: str = request.param
    if not JDBC_JARS[product].exists():
        pytest.skip(
            f"{JDBC_JARS[product]} is missing; install libmariadb-java, libpostgresql-jdbc-java"
        )
    fixture = "mysql_url" if product == "mysql" else "postgres_url"
    return Database(request.getfixturevalue(fixture), product)


on_both = pytest.mark.parametrize("database", ["mysql", "postgresql"], indirect=True)
on_mysql = pytest.mark.parametrize("database", ["mysql"], indirect=True)
on_postgres = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def far_from_utc(spark: "SparkSession") -> Iterator[None]:
    """A JVM where the clock is another, and where the 30th of December 2011 never was."""
    zones: Any = spark._jvm.java.util.TimeZone  # type: ignore[union-attr]
    before = zones.getDefault()
    zones.setDefault(zones.getTimeZone("Pacific/Apia"))
    yield
    zones.setDefault(before)


@dataclass(frozen=True)
class Extractor:
    """Reads tables as a build does, by either way."""

    spark: "SparkSession"
    folder: Path

    def outputs(
        self, database: Database, *tables: Table, connections: int = 1
    ) -> Sequence[OutputTable]:
        """What a build asks of an engine."""
        contracts = Contracts({one.name: one for one in tables})
        with open_source(database.url) as source:
            extraction = Extraction(source, contracts, tables, YEARS, YEARS, connections)
            totals = extraction.totals()
            return [
                OutputTable(
                    one,
                    f"file://{self.folder}/{uuid.uuid4().hex}",
                    {name: number for number, name in enumerate(one.column_names, 11)},
                    YEARS if one.partition else None,
                    reads=extraction.reads(one, totals[one.name]),
                )
                for one in tables
            ]

    def by_jdbc(self, source: JdbcSource, outputs: Sequence[OutputTable]) -> list[TableResult]:
        return SparkEngine(lambda: self.spark).run(RunRequest(tuple(outputs)), source)

    def same_both_ways(
        self, database: Database, *tables: Table, connections: int = 1
    ) -> list[list[Row]]:
        """The rows of each table, which either way gives."""
        laptop = DuckDBEngine("500MB", self.folder / "spill")
        with open_source(database.url) as source:
            expected = laptop.run(RunRequest(tuple(self.outputs(database, *tables))), source)
        outputs = self.outputs(database, *tables, connections=connections)
        found = self.by_jdbc(database.jdbc, outputs)
        assert_same(expected, found)
        return [read_rows(result.files) for result in found]


@pytest.fixture
def extractor(spark: "SparkSession", tmp_path: Path) -> Extractor:
    return Extractor(spark, tmp_path)


# Values

DEEP = "-1234567890123456789012345678.0123456789"
NASTY = {
    "mysql": [
        ("int", "TINYINT", "-128", "127"),
        ("int", "TINYINT(1)", "2", "-1"),
        ("boolean", "TINYINT(1)", "1", "0", "2"),
        ("boolean", "BIT(1)", "b'1'", "b'0'"),
        ("int", "BIT(7)", "b'1010101'"),
        ("int", "TINYINT UNSIGNED", "255"),
        ("int", "SMALLINT UNSIGNED", "65535"),
        ("int", "MEDIUMINT", "-8388608"),
        ("bigint", "INT UNSIGNED", "4294967295"),
        ("bigint", "BIGINT UNSIGNED", str(2**63 - 1)),
        ("bigint", "BIGINT", str(-(2**63))),
        ("int", "YEAR", "2004", "1901", "0"),
        ("decimal(20,0)", "BIGINT UNSIGNED", str(2**64 - 1)),
        ("decimal(12, 2)", "INT", "-12"),
        ("bigint", "DECIMAL(20,0)", "-123"),
        ("decimal(10,2)", "DECIMAL(10,2)", "-99999999.99", "99999999.99", "-0.01", "0"),
        ("decimal(12,4)", "DECIMAL(10,2)", "-0.01"),
        ("decimal(38,10)", "DECIMAL(38,10)", DEEP, "1e-10"),
        ("decimal(38,0)", "DECIMAL(65,0)", "9" * 38),
        ("double", "FLOAT", "1.1", "16777216"),
        ("double", "DOUBLE", "1.1", "2.2250738585072014e-308", "-1.7976931348623157e308"),
        ("string", "VARCHAR(40)", "''", "'  trailing  '", "'Zoë 😀 日本'", "'NULL'", "'\\0\\\\'"),
        ("string", "CHAR(8)", "'ab'", "''"),
        ("string", "VARCHAR(9) CHARACTER SET latin1", "x'ff'"),
        ("string", "ENUM('a','longer')", "'a'", "'longer'"),
        ("string", "SET('a','b')", "'a,b'", "''"),
        ("string", "JSON", """'{"a":  [1, "😀"]}'"""),
        ("string", "MEDIUMTEXT", "REPEAT('😀', 70000)"),
        ("binary", "MEDIUMBLOB", "x'00ff80'", "''"),
        ("binary", "BINARY(4)", "'ab'"),
        (
            "date",
            "DATE",
            "'0000-00-00'",
            "'2004-00-10'",
            "'2004-02-31'",
            "'2004-02-29'",
            "'0001-01-01'",
            "'1582-10-10'",
            "'2011-12-30'",
            "'9999-12-31'",
        ),
        (
            "timestamp",
            "DATETIME(6)",
            "'0000-00-00 00:00:00'",
            "'0001-01-01 00:00:00'",
            "'2011-12-30 12:00:00.1'",
            "'2004-02-29 23:59:59.999999'",
            "'9999-12-31 23:59:59.999999'",
        ),
        ("timestamp", "TIMESTAMP(3) NULL", "'2004-01-02 03:04:05.678'", "'2011-12-30 01:00:00'"),
        ("timestamp", "DATE", "'2004-02-29'"),
    ],
    "postgresql": [
        ("int", "SMALLINT", "-32768"),
        ("bigint", "BIGINT", str(-(2**63))),
        ("int", "BOOLEAN", "true", "false"),
        ("boolean", "BOOLEAN", "true", "false"),
        ("decimal(12,2)", "INT", "-12"),
        ("decimal(10,2)", "NUMERIC(10,2)", "-99999999.99", "99999999.99", "-0.01", "0"),
        ("bigint", "NUMERIC(20,0)", "-123"),
        ("decimal(38,10)", "NUMERIC(38,10)", DEEP, "0.0000000001"),
        ("decimal(38,0)", "NUMERIC(38,0)", "9" * 38),
        ("double", "REAL", "1.1", "'-Infinity'"),
        ("double", "DOUBLE PRECISION", "1.1", "2.2250738585072014e-308", "'Infinity'"),
        (
            "string",
            "TEXT",
            "''",
            "'  trailing  '",
            "'Zoë 😀 日本'",
            "'NULL'",
            "repeat('😀', 70000)",
        ),
        ("string", "CHAR(8)", "'ab'", "''"),
        ("string", "VARCHAR(8)", "'ab '"),
        ("string", "mood", "'calm'"),
        ("string", "UUID", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        ("string", "JSON", """'{"a":  1}'"""),
        ("string", "JSONB", """'{"a":  1}'"""),
        ("binary", "BYTEA", r"'\x00ff80'", "''"),
        (
            "date",
            "DATE",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
            "'10000-01-01'",
            "'2004-02-29'",
            "'0001-01-01'",
            "'1582-10-10'",
            "'2011-12-30'",
            "'9999-12-31'",
        ),
        (
            "timestamp",
            "TIMESTAMP",
            "'infinity'",
            "'0001-01-01'",
            "'2011-12-30 12:00:00.1'",
            "'9999-12-31 23:59:59.999999'",
        ),
        (
            "timestamp",
            "TIMESTAMPTZ",
            "'-infinity'",
            "'2004-01-02 03:04:05.123456+02'",
            "'2011-12-30 01:00:00-05'",
        ),
    ],
}


@on_both
def test_values_are_those_of_the_laptops_reader(
    database: Database, extractor: Extractor, far_from_utc: None
) -> None:
    columns = NASTY[database.product]
    rows = [
        ", ".join(column[number] if number < len(column) else "NULL" for column in columns)
        for number in range(2, max(map(len, columns)) + 1)
    ]
    names = [f"v{number}" for number in range(len(columns))]
    if database.product == "postgresql":
        name = Address.parse(database.url).database
        database.execute(
            "CREATE TYPE mood AS ENUM ('calm')",
            f"ALTER DATABASE {name} SET TIME ZONE 'Asia/Kolkata'",
            f"ALTER DATABASE {name} SET DateStyle = 'SQL, DMY'",
        )
    created = ", ".join(f"{name} {column[1]}" for name, column in zip(names, columns, strict=True))
    database.execute(
        f"CREATE TABLE things (id INT PRIMARY KEY, {created})",
        *(f"INSERT INTO things VALUES ({number}, {row})" for number, row in enumerate(rows)),
    )
    nothing = "NULL" if database.product == "mysql" else "CAST(NULL AS DECIMAL(10,2))"
    contract = table(
        f"SELECT id, {nothing} AS nothing, {', '.join(names)} FROM things",
        id="int",
        nothing="decimal(10,2)",
        measures={"rows": "count(*)"},
        **dict(zip(names, (column[0] for column in columns), strict=True)),
    )
    (found,) = extractor.same_both_ways(database, contract)
    assert len(found) == len(rows)
    leap = {row[name] for row in found for name in names if isinstance(row[name], date)}
    assert {date(2004, 2, 29), date(1582, 10, 10), date(2011, 12, 30)} <= leap


@pytest.mark.parametrize(
    ("database", "kind", "literal", "contract_type"),
    [
        ("mysql", "BIGINT", "3000000000", "int"),
        ("mysql", "BIGINT UNSIGNED", str(2**64 - 1), "bigint"),
        ("mysql", "DECIMAL(12,2)", "9999999999.99", "decimal(10,2)"),
        ("mysql", "DECIMAL(40,2)", "9" * 38, "decimal(38,2)"),
        ("postgresql", "NUMERIC(20,0)", "99999999999999999999", "bigint"),
        ("postgresql", "NUMERIC(12,2)", "9999999999.99", "decimal(10,2)"),
        ("postgresql", "NUMERIC(10,2)", "'NaN'", "decimal(10,2)"),
    ],
    indirect=["database"],
)
def test_a_value_that_does_not_fit_is_refused_with_the_remedy(
    database: Database, extractor: Extractor, kind: str, literal: str, contract_type: str
) -> None:
    database.execute(f"CREATE TABLE things (v {kind})", f"INSERT INTO things VALUES ({literal})")
    outputs = extractor.outputs(database, table("SELECT v FROM things", v=contract_type))
    with pytest.raises(
        SourceError,
        match=r"things\.v: a value does not fit .*; mend it in the source, convert it in "
        r"sql/raw/things\.sql or widen the contract",
    ) as refused:
        extractor.by_jdbc(database.jdbc, outputs)
    assert literal.strip("'") in str(refused.value)


@on_both
def test_a_decimal_that_has_become_finer_since_it_was_prepared_is_not_rounded(
    database: Database, extractor: Extractor
) -> None:
    database.execute("CREATE TABLE things (v DECIMAL(10,2))")
    outputs = extractor.outputs(database, table("SELECT v FROM things", v="decimal(10,2)"))
    database.execute(
        "DROP TABLE things",
        "CREATE TABLE things (v DECIMAL(10,4))",
        "INSERT INTO things VALUES (1.0050)",
    )
    with pytest.raises(SourceError, match=r"things\.v: a value does not fit.*: 1\.0050"):
        extractor.by_jdbc(database.jdbc, outputs)


# Tables


@on_both
def test_the_raw_layer_is_that_of_the_laptops_reader(
    database: Database, spark: "SparkSession", tmp_path: Path
) -> None:
    load(database.url, generate(SampleSize()), lambda table, rows: None)
    mysql = database.product == "mysql"
    database.execute(
        "SET FOREIGN_KEY_CHECKS = 0"
        if mysql
        else "ALTER TABLE orderdetails DROP CONSTRAINT IF EXISTS orderdetails_ordernumber_fkey",
        f"UPDATE payments SET paymentDate = '{'0000-00-00' if mysql else 'infinity'}'"
        " WHERE amount < 2000",
        "UPDATE orders SET orderDate = '1999-12-31' WHERE status = 'Disputed'",
        "INSERT INTO orderdetails VALUES (999999, 'Zoë 😀', 7, 10.50, 1)",
    )

    class JdbcEngine(SparkEngine):
        source_connections = 4

        def run(
            self, request: RunRequest, source: RowReader | JdbcSource | None = None
        ) -> list[TableResult]:
            return super().run(request, database.jdbc)

    built = []
    engines: tuple[DuckDBEngine | SparkEngine, ...] = (
        DuckDBEngine("500MB", tmp_path / "spill"),
        JdbcEngine(lambda: spark),
    )
    for number, engine in enumerate(engines):
        lake = Lake(FolderStorage(tmp_path / f"{number}"), CONTRACTS)
        builder = Builder(CONTRACTS, lake, engine, engine, YEARS.first)
        layer = CONTRACTS.fed_by(Feed.SOURCE)
        extracted = builder.extract(layer, YEARS, lambda: open_source(database.url))
        built.append({one.result.table: one.result for one in extracted})
    assert_same(list(built[0].values()), list(built[1].values()))
    reasons = {(row["table_name"], row["reason"]) for row in read_rows(built[1][QUARANTINE].files)}
    unusable = "zero date" if mysql else "infinite date"
    assert {
        ("payments", unusable),
        ("orders", "before first_month"),
        ("order_details", "no such order"),
    } <= reasons


@on_both
def test_a_table_without_rows_has_no_files(database: Database, extractor: Extractor) -> None:
    database.execute("CREATE TABLE things (id INT, day DATE)")
    whole = table("SELECT id FROM things", id="int")
    monthly = replace(things(""), sql="SELECT id, day, id AS connection FROM things")
    outputs = [
        *extractor.outputs(database, whole, replace(monthly, name="monthly"), connections=3),
        replace(extractor.outputs(database, replace(whole, name="absent"))[0], reads=()),
    ]
    assert [result.files for result in extractor.by_jdbc(database.jdbc, outputs)] == [()] * 3


# Connections


def things(connection: str) -> Table:
    """A monthly table that shows by which connection each row came."""
    return table(
        f"SELECT id, day, {connection} AS connection FROM things",
        id="int",
        day="date",
        connection="bigint",
        month="date",
        partition=MONTHLY,
        measures={"rows": "count(*)"},
    )


@on_both
@pytest.mark.parametrize("connections", [1, 3])
def test_months_are_shared_out_among_connections_and_every_row_comes_once(
    database: Database, extractor: Extractor, connections: int
) -> None:
    days = [date(year, month, 17) for year in (2003, 2004, 2005) for month in range(1, 13)]
    values = [f"({number}, '{days[number % 36]}')" for number in range(3600)]
    database.execute(
        "CREATE TABLE things (id INT PRIMARY KEY, day DATE)",
        f"INSERT INTO things VALUES {', '.join(values)}",
    )
    mine = "CONNECTION_ID()" if database.product == "mysql" else "pg_backend_pid()"
    (output,) = extractor.outputs(database, things(mine), connections=connections)
    partitions = database.jdbc.rows(extractor.spark, output).rdd.getNumPartitions()
    assert partitions == connections
    (result,) = extractor.by_jdbc(database.jdbc, [output])
    found = read_rows(result.files)
    assert sorted(row["id"] for row in found) == list(range(3600))
    months = {
        connection: {row["month"] for row in found if row["connection"] == connection}
        for connection in {row["connection"] for row in found}
    }
    assert sorted(map(len, months.values())) == [36 // connections] * connections
    assert sum(map(len, months.values())) == len(result.files) == 36


@on_postgres
@pytest.mark.parametrize("connections", [1, 2, 5, 100])
def test_the_months_of_the_statements_are_all_months_and_none_twice(
    database: Database, extractor: Extractor, connections: int
) -> None:
    database.execute(
        "CREATE TABLE things (id INT, day DATE)",
        "INSERT INTO things SELECT n, '2004-05-01' FROM generate_series(1, 1000) n",
        "INSERT INTO things SELECT n, '2005-05-01' FROM generate_series(1, 1000) n",
    )
    (output,) = extractor.outputs(database, things("id"), connections=connections)
    reads = output.reads or ()
    assert min(connections, 2) <= len(reads) <= connections
    counted = [
        [
            database.execute(f"SELECT count(*) FROM ({read.sql}) q WHERE day = '{day}'")[0][0]
            for read in reads
        ]
        for day in ("2004-05-01", "2005-05-01")
    ]
    assert [sorted(count for count in counts if count) for counts in counted] == [[1000], [1000]]


# Faults


@on_both
def test_a_server_that_is_down_is_named_and_the_password_is_not(
    database: Database, extractor: Extractor
) -> None:
    database.execute("CREATE TABLE things (id INT)")
    outputs = extractor.outputs(database, table("SELECT id FROM things", id="int"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    down = replace(database.jdbc, port=port, password="hunter2", database="shop")
    with pytest.raises(
        SourceError,
        match=f"things cannot be read from 127.0.0.1:{port}/shop: .*check that the source is up",
    ) as failed:
        extractor.by_jdbc(down, outputs)
    assert_secret(failed, "hunter2")


@on_both
def test_a_wrong_password_is_named_and_not_shown(database: Database, extractor: Extractor) -> None:
    database.execute("CREATE TABLE things (id INT)")
    outputs = extractor.outputs(database, table("SELECT id FROM things", id="int"))
    wrong = replace(database.jdbc, password="hunter2")
    with pytest.raises(
        SourceError, match=rf"things cannot be read from {wrong}: .*correct the source's user"
    ) as failed:
        extractor.by_jdbc(wrong, outputs)
    assert_secret(failed, "hunter2")
    assert "hunter2" not in repr(wrong)


@on_both
def test_a_password_that_the_driver_shows_is_struck_out(
    database: Database, extractor: Extractor
) -> None:
    """Here it is also the name of what is missing, once as it is and once as a URL has it."""
    database.execute("CREATE TABLE things (id INT)")
    outputs = extractor.outputs(database, table("SELECT id FROM things", id="int"))
    (read,) = outputs[0].reads or ()
    secret = Address.parse(database.url).password + "ä"
    mark = "`" if database.product == "mysql" else '"'
    for shown in (secret, quote(secret)):
        sql = f"SELECT id FROM {mark}{shown}{mark}"
        output = replace(outputs[0], reads=(replace(read, sql=sql),))
        source = replace(database.jdbc, password=secret)
        error = Exception()
        try:
            database.jdbc.rows(extractor.spark, output)
        except Exception as caught:
            error = caught
        assert shown in str(error)
        told = str(source.failure(extractor.spark, "things", error))
        assert "***" in told
        assert shown not in told


@on_both
def test_a_table_that_is_gone_is_told_with_the_remedy(
    database: Database, extractor: Extractor
) -> None:
    database.execute("CREATE TABLE things (id INT)")
    outputs = extractor.outputs(database, table("SELECT id FROM things", id="int"))
    database.execute("DROP TABLE things")
    with pytest.raises(
        SourceError,
        match=rf"things cannot be read from {database.jdbc}: .*things.*correct sql/raw/things\.sql",
    ):
        extractor.by_jdbc(database.jdbc, outputs)


def broken_off(
    database: Database, extractor: Extractor, sql: str, kill: Callable[[], None], **types: str
) -> None:
    outputs = extractor.outputs(database, table(sql, **types))
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        with pytest.raises(
            SourceError,
            match=rf"things cannot be read from {database.jdbc}: .*is up and its log, then run again",
        ):
            extractor.by_jdbc(database.jdbc, outputs)
        killing.result()


@on_postgres
def test_a_connection_of_postgres_lost_midway_is_an_error_and_not_the_end(
    database: Database, extractor: Extractor
) -> None:
    database.execute("CREATE TABLE things AS SELECT id FROM generate_series(1, 100000) AS id")
    stop = "CASE WHEN id = 70000 THEN pg_terminate_backend(pg_backend_pid()) END"
    broken_off(
        database,
        extractor,
        f"SELECT id, {stop} AS stop FROM things",
        lambda: None,
        id="int",
        stop="boolean",
    )


@on_mysql
def test_a_connection_of_mysql_lost_midway_is_an_error_and_not_the_end(
    database: Database, extractor: Extractor
) -> None:
    database.execute(
        "CREATE TABLE things (id INT PRIMARY KEY)",
        "INSERT INTO things SELECT seq FROM seq_1_to_100000",
    )

    def kill_the_sleeper() -> None:
        asked = (
            "SELECT id FROM information_schema.processlist "
            f"WHERE db = '{Address.parse(database.url).database}' AND state = 'User sleep'"
        )
        while not (found := database.execute(asked)):
            pass
        database.execute(f"KILL {found[0][0]}")

    stop = "CASE WHEN id = 70000 THEN SLEEP(60) END"
    broken_off(
        database,
        extractor,
        f"SELECT id, {stop} AS stop FROM things",
        kill_the_sleeper,
        id="int",
        stop="int",
    )


@on_both
def test_a_spark_without_the_driver_is_told_which(
    database: Database, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("CREATE TABLE things (id INT)")
    outputs = extractor.outputs(database, table("SELECT id FROM things", id="int"))
    monkeypatch.setitem(jdbc._DRIVERS, database.product, ("com.example.Driver",))
    with pytest.raises(
        EngineError, match=rf"no JDBC driver for {database.product}: put the jar of com.example"
    ):
        extractor.by_jdbc(database.jdbc, outputs)


def assert_secret(failed: pytest.ExceptionInfo[SourceError], secret: str) -> None:
    assert secret not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
