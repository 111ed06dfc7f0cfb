"""The sample arrives in MariaDB and PostgreSQL: equal, whole, and only where it may."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pymysql
import pytest

from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform.sources.sample.schema import TABLES
from retail_platform_tests.servers import MariaDB

Rows = list[tuple[Any, ...]]


def ask(url: str, sql: str) -> Rows:
    if url.startswith("postgresql"):
        with psycopg.connect(url) as connection:
            cursor = connection.execute(sql)
            return list(cursor) if cursor.description else []
    with connect_mysql(url) as mysql, mysql.cursor() as rows:
        rows.execute(sql)
        mysql.commit()
        return list(rows.fetchall())


def connect_mysql(url: str) -> "pymysql.Connection[Any]":
    user, _, place = url.removeprefix("mysql://").partition("@")
    host, _, database = place.partition("/")
    return pymysql.connect(
        host=host.split(":")[0],
        port=int(host.split(":")[1]),
        user=user.split(":")[0],
        password=user.split(":")[1],
        database=database,
    )


def contents(url: str) -> dict[str, set[tuple[Any, ...]]]:
    return {name: set(ask(url, f"SELECT * FROM {name}")) for name in TABLES}


def generated() -> dict[str, set[tuple[Any, ...]]]:
    rows: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for table, batch in generate(SampleSize()):
        rows[table] |= {tuple(row.values()) for row in batch.to_pylist()}
    return dict(rows)


def quietly(table: str, rows: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(params=["mysql_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """A fresh database: every test runs on MariaDB and on PostgreSQL."""
    return str(request.getfixturevalue(request.param))


def test_the_database_holds_exactly_what_was_generated(url: str) -> None:
    progress: dict[str, int] = {}
    loaded = load(url, generate(SampleSize()), progress.__setitem__)
    assert contents(url) == generated()
    assert progress == loaded.rows
    assert f"{loaded.first_month:%Y-%m}..{loaded.last_month:%Y-%m}" == "2003-01..2005-05"


def test_tables_that_are_there_are_not_touched_unasked(url: str) -> None:
    ask(url, "CREATE TABLE customers (mine int)")
    with pytest.raises(ConfigurationError, match=r"already has the tables customers.*--replace"):
        load(url, generate(SampleSize()), quietly)
    assert ask(url, "SELECT * FROM customers") == []


def test_replace_replaces_our_tables_and_no_other(url: str) -> None:
    ask(url, "CREATE TABLE mine (n int)")
    load(url, generate(SampleSize(seed=1)), quietly)
    load(url, generate(SampleSize()), quietly, replace=True)
    assert contents(url) == generated()
    assert ask(url, "SELECT * FROM mine") == []


def test_a_load_that_breaks_off_leaves_the_old_rows_and_can_be_repeated(url: str) -> None:
    def breaks_off() -> Iterator[tuple[str, pa.RecordBatch]]:
        for table, batch in generate(SampleSize(seed=1)):
            yield table, batch
            if table == "orders":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(url, breaks_off(), quietly)
    load(url, generate(SampleSize()), quietly)  # an empty database stayed empty
    with pytest.raises(KeyboardInterrupt):
        load(url, breaks_off(), quietly, replace=True)
    assert contents(url) == generated()
    load(url, generate(SampleSize()), quietly, replace=True)
    assert contents(url) == generated()


def test_rows_that_do_not_fit_are_refused(url: str) -> None:
    def twice() -> Iterator[tuple[str, pa.RecordBatch]]:
        for table, batch in generate(SampleSize()):
            yield table, batch
            yield table, batch

    with pytest.raises(SourceError):
        load(url, twice(), quietly)
    load(url, generate(SampleSize()), quietly)


def test_a_mysql_database_that_does_not_exist_is_created(mariadb: MariaDB) -> None:
    url = mariadb.url("created_by_sample")
    load(url, generate(SampleSize()), quietly, replace=True)
    assert ask(url, "SELECT count(*) FROM orders") == [(326,)]


def test_a_mysql_server_without_local_infile_gets_inserts(mysql_url: str) -> None:
    ask(mysql_url, "SET GLOBAL local_infile = 0")
    try:
        load(mysql_url, generate(SampleSize()), quietly)
    finally:
        ask(mysql_url, "SET GLOBAL local_infile = 1")
    assert contents(mysql_url) == generated()


def test_a_wrong_password_is_told_without_telling_it(url: str) -> None:
    scheme, _, rest = url.partition("://")
    wrong = f"{scheme}://nobody:s3cret@{rest.partition('@')[2]}"
    with pytest.raises(SourceError) as refusal:
        load(wrong, generate(SampleSize()), quietly)
    assert "s3cret" not in str(refusal.value)
    assert "user and password" in str(refusal.value)


def test_a_password_with_a_stray_percent_sign_is_not_told() -> None:
    with pytest.raises(SourceError) as refusal:
        load("postgresql://u:p%zzs3cret@127.0.0.1:1/db", generate(SampleSize()), quietly)
    assert "s3cret" not in str(refusal.value)
    assert "127.0.0.1:1/db did not take the sample" in str(refusal.value)


@pytest.mark.parametrize(
    ("bad", "remedy"),
    [
        ("sqlite:///x", "mysql:// or postgresql://"),
        ("mysql://u:p@127.0.0.1:3306", "lacks its user, host or database"),
        ("postgresql://u:s3/cret@127.0.0.1:5432/shop", "percent-encode"),
        ("mysql://u:s3cr#et@127.0.0.1:3306/shop", "percent-encode"),
        ("mysql://u:s3cr℀et@127.0.0.1:3306/shop", "percent-encode"),
    ],
)
def test_an_unusable_url_is_refused(bad: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=remedy) as refusal:
        load(bad, generate(SampleSize()), quietly)
    assert "s3" not in str(refusal.value)
