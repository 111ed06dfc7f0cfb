"""`retail` as its user meets it: a process of its own, on real databases."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow.csv
import pyarrow.parquet
import pymysql
import pytest

from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.model import Feed
from retail_platform.lake.lake import Lake
from retail_platform.platform import Platform
from retail_platform.settings import load_settings
from retail_platform.sources.address import Address
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform_tests.lambda_inference.events import browse, encoded
from retail_platform_tests.servers import MariaDB, postgres_home
from retail_platform_tests.shop import RETAIL, Shop
from retail_platform_tests.streaming.deliveries import failures_of, key, lay

LAYERS = {"raw": 11, "star": 7, "ml": 5, "events": 6}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with postgres_home() as home:
        yield home


@pytest.fixture(scope="module")
def demo(home: Path) -> "subprocess.CompletedProcess[str]":
    result = Shop(home).run("demo", "--live", "4")
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def embedded(home: Path, demo: "subprocess.CompletedProcess[str]") -> Shop:
    """The demo's shop, built on the embedded PostgreSQL."""
    return Shop(home)


@pytest.fixture(scope="module")
def on_mariadb(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The same shop, built from a MariaDB."""
    url = mariadb.create_database("cli_shop")
    load(url, generate(SampleSize()), lambda table, rows: None)
    shop = Shop(tmp_path_factory.mktemp("home"), url)
    shop.done("build")
    return shop


def tables_of(url: str) -> list[str]:
    """What a MariaDB database holds."""
    address = Address.parse(url)
    connection = pymysql.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=address.database,
    )
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        return [name for (name,) in cursor.fetchall()]


def source_total(url: str) -> tuple[int, Decimal]:
    """Order lines and revenue as the OLTP database itself adds them up."""
    sql = "SELECT count(*), sum(quantityOrdered * priceEach) FROM orderdetails"
    if url.startswith("mysql"):
        host, _, database = url.rpartition("@")[2].partition("/")
        user, _, password = url.removeprefix("mysql://").rpartition("@")[0].partition(":")
        name, _, port = host.partition(":")
        connection = pymysql.connect(
            host=name, port=int(port), user=user, password=password, database=database
        )
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(sql)
            found = cursor.fetchone()
    else:
        with psycopg.connect(url) as postgres:
            found = postgres.execute(sql).fetchone()
    assert found
    return found[0], found[1]


def test_facts_equal_mariadb_to_the_cent(on_mariadb: Shop) -> None:
    assert on_mariadb.source_url
    lines, revenue = source_total(on_mariadb.source_url)
    found = on_mariadb.rows(
        "SELECT count(*) AS n, sum(order_amount) AS amount,"
        " count(DISTINCT (order_number, product_code)) AS keys FROM fact_orders"
    )
    assert found == [{"n": lines, "amount": revenue, "keys": lines}]


def star_of(shop: Shop) -> dict[str, list[str]]:
    """The rows of the star schema, but of its calendar, by table."""
    lake = Platform(load_settings(shop.home)).lake
    tables = [table.name for table in load_contracts().layer("star") if table.name != "dim_dates"]
    return {name: sorted(map(str, lake.rows(name).to_pylist())) for name in tables}


def test_files_alone_give_the_same_star_schema(on_mariadb: Shop, tmp_path: Path) -> None:
    """A shop without a database: every raw table is an export that landed, of one format or another."""
    raw = [table.name for table in load_contracts().fed_by(Feed.SOURCE) if table.sql]
    lake = Platform(load_settings(on_mariadb.home)).lake
    for name in raw:
        land_export(lake, name, tmp_path / "landing" / name)
    landed = Shop(tmp_path, settings={"RETAIL_LANDED": ",".join(raw)})
    landed.done("build", "raw", "star")
    assert star_of(landed) == star_of(on_mariadb)
    assert f"land in file://{tmp_path}/landing, of {raw[0]}, " in landed.run("status").stderr
    landed.done("check", *raw, "fact_orders")
    assert landed.records("status")[0]["table"] == f"raw.{raw[0]}"
    assert landed.rows("SELECT count(*) AS n FROM landed_files WHERE reason IS NULL") == [
        {"n": len(raw)}
    ]


def land_export(lake: Lake, name: str, folder: Path) -> None:
    """Lays a raw table down as a file, old enough that nobody writes to it."""
    rows = lake.rows(name)
    if partition := load_contracts().table(name).partition:
        rows = rows.drop_columns([partition.column])
    folder.mkdir(parents=True)
    match name:
        case "orders" | "order_details":
            file = folder / "export.csv"
            pyarrow.csv.write_csv(rows, file)
        case "customers":
            file = folder / "export.json"
            file.write_text(json.dumps(rows.to_pylist(), default=str))
        case _:
            file = folder / "export.parquet"
            pyarrow.parquet.write_table(rows, file)
    os.utime(file, (1_000_000_000, 1_000_000_000))


@pytest.mark.parametrize("name", ["ordres", "quarantine"])
def test_a_table_that_cannot_be_landed_is_wrong_use(name: str, tmp_path: Path) -> None:
    result = Shop(tmp_path, settings={"RETAIL_LANDED": name}).run("status")
    assert result.returncode == 2
    assert f"no raw table is called {name}; files can land for offices, " in result.stderr


def test_both_databases_give_the_same_star_schema(embedded: Shop, on_mariadb: Shop) -> None:
    assert star_of(embedded) == star_of(on_mariadb)


def test_names_resolve_with_and_without_their_layer(embedded: Shop) -> None:
    for name in ("fact_orders", "star.fact_orders", "raw.order_details", "order_details"):
        assert embedded.rows(f"SELECT count(*) AS n FROM {name}") == [{"n": 3025}]


def test_postal_codes_do_not_multiply_facts(embedded: Shop) -> None:
    shared = embedded.rows(
        "SELECT postal_code FROM dim_locations WHERE postal_code IS NOT NULL"
        " GROUP BY postal_code HAVING count(*) > 1"
    )
    assert shared, "the sample has postal codes that several places share"
    countries = embedded.rows("SELECT DISTINCT country FROM dim_locations")
    assert all(row["country"] == row["country"].strip() for row in countries)


def test_a_report_equals_sql(embedded: Shop) -> None:
    reported = embedded.records("report", "sales_by_country")
    asked = embedded.records(
        "query",
        "SELECT l.country, sum(order_amount) AS sales FROM fact_orders f JOIN dim_locations l"
        " ON l.location_key = f.location_key WHERE is_sale GROUP BY 1 ORDER BY 2 DESC",
    )
    assert [(row["country"], row["sales"]) for row in reported] == [
        (row["country"], row["sales"]) for row in asked
    ]


def test_evaluate_compares_methods_on_the_stores_own_sales(embedded: Shop) -> None:
    result = embedded.run("evaluate", "--format", "json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert list(rows[0]) == [
        "method",
        "protocol",
        "recall_at_10",
        "ndcg_at_10",
        "hit_rate_at_10",
        "mrr",
        "coverage_at_10",
        "train_seconds",
    ]
    assert {"platform", "popularity_14d", "item_knn", "own_history"} <= {r["method"] for r in rows}
    ((sales,),) = (
        row.values()
        for row in embedded.rows(
            "SELECT count(*) AS n FROM fact_orders WHERE is_sale AND order_date <"
            " (SELECT date_add('day', -28, max(order_date)) FROM fact_orders WHERE is_sale)"
        )
    )
    assert f"trained on {sales:,} lines before 2005-" in result.stderr
    assert "with fewer than 100 it is not judged" in result.stderr


def test_evaluate_without_a_build_says_what_to_do(tmp_path: Path) -> None:
    result = Shop(tmp_path).run("evaluate")
    assert (result.returncode, result.stdout) == (2, "")
    assert "nothing is built yet, run `retail build`" in result.stderr


def test_the_demo_ends_with_recommendations_and_their_reasons(
    demo: "subprocess.CompletedProcess[str]",
) -> None:
    assert "retail recommend --customer" in demo.stderr
    assert "retail recommend --session" in demo.stderr
    *_, customer, session = demo.stdout.split("rank ")
    assert "because you bought" in customer
    assert "because you browsed" in session


def test_a_customer_is_recommended_what_he_does_not_have(embedded: Shop) -> None:
    had = {
        row["product_code"]
        for row in embedded.records(
            "query", "SELECT product_code FROM fact_orders WHERE is_sale AND customer_number = 103"
        )
    }
    found = embedded.records("recommend", "--customer", "103", "-n", "20")
    assert [int(row["rank"]) for row in found] == list(range(1, 21))
    assert not had & {row["product_code"] for row in found}
    names = embedded.records("query", "SELECT product_code, product_name FROM dim_products")
    assert {row["product_code"]: row["product_name"] for row in found}.items() <= {
        row["product_code"]: row["product_name"] for row in names
    }.items()
    repeats = embedded.records("recommend", "--customer", "103", "--repeats")
    assert had & {row["product_code"] for row in repeats}
    assert {"you bought it before"} <= {row["reason"] for row in repeats}


def test_a_session_is_recommended_what_goes_with_it(embedded: Shop) -> None:
    result = embedded.run("recommend", "--session", "S12_0076, S99_0000", "--format", "json")
    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert "S12_0076" not in {row["product_code"] for row in found}
    assert "because you browsed" in found[0]["reason"]
    assert "nobody has bought a product S99_0000 yet" in result.stderr
    assert "strategy session" in result.stderr


def test_whom_nobody_knows_gets_what_is_popular_and_is_told_so(embedded: Shop) -> None:
    result = embedded.run("recommend", "--customer", "999999", "--product-line", "Planes")
    assert "popular now" in result.stdout
    assert "customer 999999 has bought nothing yet" in result.stderr
    nothing = embedded.run("recommend", "--product-line", "Submarines")
    assert nothing.returncode == 0
    assert "nothing is left to recommend" in nothing.stderr
    country = embedded.run("recommend", "--country", "France")
    assert "--country tells of unknown visitors who browse" in country.stderr


def test_versions_of_vectors_are_listed_and_rolled_back(embedded: Shop) -> None:
    embedded.done("vectors", "publish")
    newest, before = embedded.records("vectors", "list")[:2]
    assert (newest["live"], before["live"]) == ("true", "false")
    told = embedded.run("vectors", "rollback").stderr
    assert f"version {before['version']} of" in told
    live = {r["version"]: r["live"] for r in embedded.records("vectors", "list")}
    assert live[before["version"]] == "true"
    embedded.done("vectors", "rollback", newest["version"])


def test_before_a_build_nothing_recommends(tmp_path: Path) -> None:
    with postgres_home() as home:
        for command in (["recommend"], ["vectors", "list"], ["vectors", "publish"]):
            result = Shop(home).run(*command)
            assert (result.returncode, result.stdout) == (1, ""), command
            assert "run `retail build" in result.stderr, command


def test_rows_go_to_stdout_and_nothing_else(embedded: Shop) -> None:
    result = embedded.run("query", "SELECT 1 AS one, true AS yes, NULL AS no", "--format", "csv")
    assert result.stdout == "one,yes,no\n1,true,\n"
    assert result.stderr == ""
    built = embedded.run("build", "star")
    assert built.returncode == 0
    assert built.stdout == ""
    assert "built 7 tables" in built.stderr


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("-- why\nSELECT 1 AS a;", "a\n1\n"),
        ("SELECT 'ünï 漢字 😀' AS \"naïve\"", "naïve\nünï 漢字 😀\n"),
        ("SELECT rpad('x', 5000, 'y') AS wide", f"wide\n{'x'.ljust(5000, 'y')}\n"),
    ],
)
def test_a_query_may_hold_comments_any_letters_and_wide_values(
    embedded: Shop, sql: str, answer: str
) -> None:
    assert embedded.done("query", sql, "--format", "csv") == answer


def test_a_day_is_its_first_moment(embedded: Shop) -> None:
    result = embedded.run("query", "SELECT * FROM fact_orders", "--as-of", "2020-02-29")
    assert "no version as of 2020-02-29T00:00:00+00:00" in result.stderr


def test_check_passes_and_says_what_it_checked(embedded: Shop) -> None:
    checks = embedded.records("check")
    # The sample is too small to judge a model by, which is a warning.
    assert [row["check"] for row in checks if row["passed"] == "false"] == ["enough_history"]
    assert {row["table"] for row in checks} >= {"fact_orders", "order_details", "quarantine"}
    assert [row["check"] for row in checks if row["table"] == "fact_orders"].count(
        "reconciles"
    ) == 1


def test_status_names_every_table_and_the_places(embedded: Shop) -> None:
    result = embedded.run("status", "--format", "json")
    tables = [row["table"] for row in json.loads(result.stdout)]
    assert {layer: sum(t.startswith(f"{layer}.") for t in tables) for layer in LAYERS} == LAYERS
    assert str(embedded.home) in result.stderr
    assert "vectors   the embedded PostgreSQL" in result.stderr


def test_status_of_nothing_says_how_to_begin(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "new", "mysql://me:hunter2@db.shop.test/classicmodels")
    vectors = {"RETAIL_VECTORS_URL": "postgresql://me:hunter2@vectors.shop.test/shop"}
    result = replace(shop, settings=vectors).run("status")
    assert result.returncode == 0
    assert "nothing is built yet: run `retail demo`" in result.stderr
    assert "source    db.shop.test:3306/classicmodels, of RETAIL_SOURCE_URL" in result.stderr
    assert "vectors   vectors.shop.test:5432/shop, of RETAIL_VECTORS_URL" in result.stderr
    assert "hunter2" not in result.stderr


def test_time_travel(embedded: Shop) -> None:
    first = embedded.records("history", "fact_payments")
    embedded.done("build", "fact_payments", "--from", "2005-05", "--to", "2005-05")
    versions = embedded.records("history", "fact_payments")
    assert len(versions) == len(first) + 1
    assert [row["current"] for row in versions].count("true") == 1
    before = embedded.rows(
        "SELECT count(*) AS n FROM fact_payments", "--as-of", first[0]["built_at"]
    )
    assert before == embedded.rows("SELECT count(*) AS n FROM fact_payments")
    embedded.done("rollback", "fact_payments", first[0]["snapshot_id"])
    current = [
        row for row in embedded.records("history", "fact_payments") if row["current"] == "true"
    ]
    assert [row["snapshot_id"] for row in current] == [first[0]["snapshot_id"]]
    assert embedded.run("rollback", "fact_payments", "1").returncode == 2


def test_before_the_first_build_there_was_nothing(embedded: Shop) -> None:
    result = embedded.run("query", "SELECT * FROM fact_orders", "--as-of", "2001-01-01")
    assert (result.returncode, result.stdout) == (2, "")
    assert "fact_orders has no version as of 2001-01-01" in result.stderr


def test_vacuum_keeps_what_readers_see(embedded: Shop) -> None:
    count = embedded.rows("SELECT count(*) AS n, sum(order_amount) AS a FROM fact_orders")
    embedded.done("build", "fact_orders")
    result = embedded.run("vacuum", "--keep-days", "0", "--grace-hours", "0")
    assert result.returncode == 0, result.stderr
    assert len(embedded.records("history", "fact_orders")) == 1
    assert embedded.rows("SELECT count(*) AS n, sum(order_amount) AS a FROM fact_orders") == count


@pytest.mark.slow
def test_seven_builds_give_identical_tables(on_mariadb: Shop) -> None:
    tables = ("dim_customers", "dim_locations", "dim_dates", "fact_orders", "fact_payments")

    def contents() -> list[list[str]]:
        return [sorted(map(str, on_mariadb.rows(f"SELECT * FROM {t}"))) for t in tables]

    before = contents()
    for _ in range(6):
        on_mariadb.done("build")
    assert contents() == before


def test_a_filter_that_some_reports_lack_is_told_once(embedded: Shop) -> None:
    result = embedded.run("report", "-n", "2", "--product-line", "Planes")
    assert result.returncode == 0
    assert result.stderr.count("-n has no effect on") == 1
    assert (
        result.stderr.count(
            "--product-line has no effect on payments_against_sales, recommendation_hits\n"
        )
        == 1
    )


@pytest.mark.parametrize("format", ["csv", "json", "table"])
def test_a_reader_who_has_seen_enough_is_no_failure(embedded: Shop, format: str) -> None:
    command = (
        f"{RETAIL} query 'SELECT a.date, b.date AS other FROM dim_dates a CROSS JOIN dim_dates b"
        f" LIMIT 50000' --format {format} | head -1; exit ${{PIPESTATUS[0]}}"
    )
    result = subprocess.run(
        ["bash", "-c", command], env=embedded.environment, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


def test_a_failed_check_fails_whoever_reads(tmp_path: Path) -> None:
    """`retail check | head` still tells a script what it came for."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [str(RETAIL), "check"], env=Shop(tmp_path).environment, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert process.returncode == 1


def test_the_history_of_what_was_never_built_is_no_empty_answer(tmp_path: Path) -> None:
    result = Shop(tmp_path).run("history", "fact_orders")
    assert (result.returncode, result.stdout) == (1, "")
    assert "star.fact_orders was never built: run `retail build fact_orders` first" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["demo"], "unset RETAIL_SOURCE_URL"),
        (["sample"], "--url"),
        (["import-online-retail", "/nowhere.csv"], "--url"),
    ],
)
def test_a_source_that_is_only_to_be_read_is_not_written_to(
    mysql_url: str, tmp_path: Path, arguments: list[str], hint: str
) -> None:
    result = Shop(tmp_path, mysql_url).run(*arguments)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert hint in result.stderr
    assert tables_of(mysql_url) == []
    assert not (tmp_path / "settings.toml").exists()


def test_the_first_month_is_noted_for_the_source_of_this_home_only(
    mysql_url: str, mariadb: MariaDB, tmp_path: Path
) -> None:
    elsewhere = Shop(tmp_path, mariadb.create_database("not_the_source"))
    result = elsewhere.run("sample", "--url", mysql_url, "--first-month", "2010-12")
    assert result.returncode == 0, result.stderr
    assert "set RETAIL_FIRST_MONTH=2010-12 where you build from that database" in result.stderr
    assert not (tmp_path / "settings.toml").exists()
    Shop(tmp_path, mysql_url).done(
        "sample", "--url", mysql_url, "--first-month", "2010-12", "--replace"
    )
    assert 'first_month = "2010-12"' in (tmp_path / "settings.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["build", "nonsense"], "the tables are"),
        (["build", "--from", "2005-13"], "write it as YYYY-MM"),
        (["build", "--from", "1999-01"], "outside 2003-01"),
        (["build", "--from", "2005-05", "--to", "2005-04"], "run backwards"),
        (["query", "SELEC 1"], "malformed"),
        (["query", ""], "the query is empty"),
        (["query", "-- nothing but a comment"], "the query is empty"),
        (["query", "SHOW TABLES"], "`retail status` lists the tables"),
        (["query", "SELECT 1", "--as-of", "2999-01-01"], "in the future"),
        (["query", "SELECT 1", "--formt", "csv"], "--formt"),
        (["query", "SELECT * FROM fact_order"], "fact_orders"),
        (["query", "SELECT nothing FROM fact_orders"], "nothing"),
        (["query", "DROP TABLE fact_orders"], "SELECT"),
        (["query", "SELECT 1", "--as-of", "yesterday"], "2026-01-31T12:00:00"),
        (["report", "nonsense"], "the reports are"),
        (["report", "top_products", "-n", "0"], "n"),
        (["report", "sales_by_month", "-n", "5"], "-n has no effect on sales_by_month"),
        (["report", "--format", "json"], "name one of key_figures, payments_against_sales"),
        (["report", "--format", "csv"], "name one of key_figures, payments_against_sales"),
        (["build", "--from", "2020-01"], "the source ends at 2005-0"),
        (["build", "star", "--from", "2020-01"], "the lake ends at 2005-0"),
        (["history", "nonsense"], "the tables are"),
        (["sample"], "--replace"),
        (["sample", "--scale", "-1", "--replace"], "scale"),
        (["import-online-retail", "/nowhere.csv"], "/nowhere.csv"),
        (["evaluate", "--online-retail", "/nowhere.csv"], "/nowhere.csv"),
        (["vectors", "rollback", "4711"], "there is no version 4711; there are"),
        (["recommend", "--customer", "x"], "--customer"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_use_exits_with_2_and_names_the_remedy(
    embedded: Shop, arguments: list[str], hint: str
) -> None:
    result = embedded.run(*arguments)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert hint in result.stderr
    assert "Traceback" not in result.stderr
    assert "Falling back" not in result.stderr, "no library speaks for us"


@pytest.mark.parametrize(
    "command",
    [
        "build",
        "sample",
        "import-online-retail",
        "query",
        "report",
        "evaluate",
        "recommend",
        "events",
        "replay",
        "vectors list",
        "vectors publish",
        "vectors rollback",
        "check",
        "status",
        "history",
        "rollback",
        "vacuum",
        "demo",
        "dev",
    ],
)
def test_help_shows_an_example(command: str, tmp_path: Path) -> None:
    assert f"Example: retail {command}" in Shop(tmp_path).done(*command.split(), "--help")


# Live events


def events_of(shop: Shop) -> int:
    (row,) = shop.rows(
        "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM events.recommendation_events"
    )
    assert row["n"] == row["ids"]
    return int(row["n"])


def test_the_demo_ends_with_visitors_and_what_came_of_them(
    embedded: Shop, demo: "subprocess.CompletedProcess[str]"
) -> None:
    sent = re.search(r"sent (\d+) events in", demo.stderr)
    assert sent
    assert "answered " + sent[1] in demo.stderr
    assert "What came of recommendations" in demo.stdout
    hits = embedded.rows(
        "SELECT sum(clicked) AS clicked, count(*) AS n FROM recommendation_outcomes"
    )
    assert hits[0]["n"] == int(sent[1]) > 50
    assert hits[0]["clicked"] > 0


def test_events_are_answered_and_taken_into_the_lake(embedded: Shop) -> None:
    before = events_of(embedded)
    result = embedded.run("events", "--rate", "0", "--count", "250", "--seed", "7")
    assert result.returncode == 0, result.stderr
    assert "sent 250 events" in result.stderr
    assert "answered 250;" in result.stderr
    embedded.done("build", "events")
    assert events_of(embedded) == before + 250
    strategies = {
        row["strategy"]
        for row in embedded.rows("SELECT DISTINCT strategy FROM recommendation_events")
    }
    assert {"known+session", "features"} <= strategies
    assert embedded.rows(
        "SELECT count(*) AS n FROM recommendation_events WHERE degraded OR model_version IS NULL"
    ) == [{"n": 0}]
    # The same seed and shop give the same visitors: their events are known already.
    embedded.done("events", "--rate", "0", "--count", "250", "--seed", "7")
    embedded.done("build", "events")
    assert events_of(embedded) - before - 250 <= 250


def delivered(shop: Shop) -> set[Path]:
    return set((shop.home / "delivered").rglob("*.gz"))


def test_events_until_ctrl_c_are_all_delivered(embedded: Shop) -> None:
    before, objects = events_of(embedded), delivered(embedded)
    process = embedded.start("events", "--rate", "50", "--seed", "8")
    for _ in range(600):
        if delivered(embedded) != objects:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    sent = re.search(r"sent (\d+) events", said)
    assert sent
    embedded.done("build", "events")
    assert events_of(embedded) - before == int(sent[1]) > 0


def test_failed_records_are_replayed(embedded: Shop) -> None:
    event = encoded(browse("S10_1678", event_id="replayed-1"))
    lay(
        embedded.home / "delivered",
        key("crash.gz", "processing-failed", datetime.now(UTC)),
        failures_of(event, b"{", at=datetime.now(UTC)),
    )
    assert embedded.run("replay").returncode == 2
    embedded.done("build", "delivery_failures")
    result = embedded.run("replay", "--failed")
    assert result.returncode == 0, result.stderr
    assert "sent 1 event again; 0 had reached the lake already" in result.stderr
    assert "1 record left: not a browse event" in result.stderr
    embedded.done("build", "events")
    found = "SELECT count(*) AS n FROM recommendation_events WHERE event_id = 'replayed-1'"
    assert embedded.rows(found) == [{"n": 1}]
    assert "sent 0 events again; 1 had reached" in embedded.run("replay", "--failed").stderr


def test_events_before_the_first_build_are_told_what_to_do(tmp_path: Path) -> None:
    result = Shop(tmp_path).run("events", "--count", "1")
    assert result.returncode != 0
    assert "retail build" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_demo_on_spark_shows_what_it_shows_on_duckdb(embedded: Shop) -> None:
    """Through dagster-pyspark, with nothing on the terminal that is not ours."""
    dates = "SELECT * FROM dim_dates ORDER BY date"
    shown = embedded.done("demo", "--live", "0")
    reports = embedded.done("report")
    before = embedded.done("query", dates, "--format", "csv")
    fact_before = newest(embedded, "fact_orders")
    result = replace(embedded, settings={"RETAIL_ENGINE": "spark"}).run("demo", "--live", "0")
    assert result.returncode == 0, result.stderr
    told = [line.split()[0] for line in result.stderr.splitlines() if line]
    ours = ("building", "warning:", "built", "published", "retail", "strategy", "Next:")
    assert set(told) <= set(ours)
    assert result.stdout == shown
    assert embedded.done("report") == reports
    assert embedded.done("query", dates, "--format", "csv") == before
    assert newest(embedded, "dim_dates")["rows"] == str(len(before.splitlines()) - 1)
    fact = newest(embedded, "fact_orders")
    assert fact["snapshot_id"] != fact_before["snapshot_id"]
    assert fact["rows"] == fact_before["rows"]


def newest(shop: Shop, table: str) -> dict[str, str]:
    """The version of a table that is published."""
    return shop.records("history", table)[0]
