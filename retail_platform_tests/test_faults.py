"""What goes wrong, how it is told, and that the last published version outlives it."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import pytest

from retail_platform.embedded.postgres import data_directory
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform_tests.servers import MariaDB, postgres_home
from retail_platform_tests.shop import RETAIL, Shop

LINES = 3025
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shop(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A built shop whose database the tests change, each in its own way and back."""
    url = mariadb.create_database("faults_shop")
    load(url, generate(SampleSize()), lambda table, rows: None)
    shop = Shop(tmp_path_factory.mktemp("home"), url)
    shop.done("build")
    return shop


def execute(shop: Shop, *statements: str) -> None:
    """Runs statements in the shop's database, with MySQL's most lenient mode."""
    assert shop.source_url
    parts = urlsplit(shop.source_url)
    connection = pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.path[1:],
        autocommit=True,
    )
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def changed(shop: Shop, there: str, *back: str) -> Iterator[None]:
    """The database with a change, for the time of a `with`."""
    execute(shop, there)
    try:
        yield
    finally:
        execute(shop, *back)


def with_query(
    shop: Shop, folder: Path, table: str, sql: str, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Runs a command of a copy of the package whose `sql/raw` has another query."""
    for name in ("retail_platform", "sql"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "sql" / "raw" / f"{table}.sql").write_text(sql)
    environment = {**shop.environment, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [str(RETAIL), *arguments], env=environment, text=True, capture_output=True
    )


def fails(
    shop: Shop, *arguments: str, code: int = 1, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Runs a command that has to fail, plainly and without a secret."""
    result = replace(shop, settings=environment).run(*arguments)
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    password = urlsplit(shop.source_url or "").password
    assert not password or password not in result.stderr
    return result


def published_lines(shop: Shop) -> int:
    return int(shop.rows("SELECT count(*) AS n FROM fact_orders")[0]["n"])


# The source


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (
            lambda url: url.replace(":retail", ":retail-no").replace("//retail:", "//retail:x"),
            "password",
        ),
        (lambda url: url.replace("faults_shop", "no_such_shop"), "no_such_shop"),
        (lambda url: f"{url.rpartition(':')[0]}:1/faults_shop", "127.0.0.1:1"),
    ],
    ids=["password", "database", "server"],
)
def test_a_source_that_cannot_be_reached(
    shop: Shop, wrong: Callable[[str], str], hint: str
) -> None:
    assert shop.source_url
    result = fails(replace(shop, source_url=wrong(shop.source_url)), "build")
    assert hint in result.stderr
    assert "RETAIL_SOURCE_URL" in result.stderr
    assert published_lines(shop) == LINES


def test_an_unknown_kind_of_source(tmp_path: Path) -> None:
    result = fails(Shop(tmp_path, "oracle://me:hunter2@db/x"), "build", code=2)
    assert "mysql:// or postgresql://" in result.stderr
    assert "hunter2" not in result.stderr


def test_an_empty_embedded_source() -> None:
    with postgres_home() as home:
        assert "retail sample" in fails(Shop(home), "build", code=2).stderr


def test_a_missing_table(shop: Shop) -> None:
    with changed(shop, "RENAME TABLE payments TO paid", "RENAME TABLE paid TO payments"):
        result = fails(shop, "build")
    assert "payments" in result.stderr
    assert "sql/raw/payments.sql" in result.stderr
    assert published_lines(shop) == LINES


def test_absent_ratings_are_an_empty_table(shop: Shop) -> None:
    with changed(shop, "RENAME TABLE ratings TO rated", "RENAME TABLE rated TO ratings"):
        shop.done("build", "ratings")
        assert shop.rows("SELECT count(*) AS n FROM ratings") == [{"n": 0}]


def test_a_missing_column(shop: Shop) -> None:
    with changed(
        shop,
        "ALTER TABLE products CHANGE MSRP listPrice DECIMAL(10,2)",
        "ALTER TABLE products CHANGE listPrice MSRP DECIMAL(10,2)",
    ):
        result = fails(shop, "build", "products")
    assert "no column products.msrp" in result.stderr
    assert "sql/raw/products.sql" in result.stderr


@pytest.mark.parametrize("months", [(), ("--from", "2005-04", "--to", "2005-05")])
def test_a_wrong_query_is_wrong_configuration_by_every_route(
    shop: Shop, tmp_path: Path, months: tuple[str, ...]
) -> None:
    wrong = (
        "SELECT p.customerNumber AS customer_number, p.checkNumber AS check_number,"
        " p.paymentDate AS payment_date FROM payments p"
    )
    result = with_query(shop, tmp_path, "payments", wrong, "build", "payments", *months)
    assert result.returncode == 2, result.stderr
    assert "sql/raw/payments.sql does not select amount" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_column_whose_type_changed(shop: Shop) -> None:
    with changed(
        shop,
        "ALTER TABLE orders MODIFY orderDate DATETIME",
        "ALTER TABLE orders MODIFY orderDate DATE",
    ):
        result = fails(shop, "build", "orders")
    assert "order_date is datetime in the source, the contract says date" in result.stderr


def test_an_extra_column_is_a_warning(shop: Shop) -> None:
    with changed(
        shop,
        "ALTER TABLE offices ADD COLUMN openingHours VARCHAR(20)",
        "ALTER TABLE offices DROP COLUMN openingHours",
    ):
        result = shop.run("build", "offices")
    assert result.returncode == 0
    assert "warning: offices.reads_every_column" in result.stderr
    assert "openingHours" in result.stderr


def test_values_out_of_range(shop: Shop) -> None:
    with changed(
        shop,
        "ALTER TABLE payments MODIFY amount DECIMAL(30,2)",
        "DELETE FROM payments WHERE checkNumber = 'HUGE'",
        "ALTER TABLE payments MODIFY amount DECIMAL(10,2)",
    ):
        execute(
            shop,
            "INSERT INTO payments VALUES (103, 'HUGE', '2005-05-01', 1234567890123456.78)",
        )
        result = fails(shop, "build", "payments")
    assert "amount" in result.stderr


def test_bytes_that_are_no_text(shop: Shop) -> None:
    with changed(
        shop,
        "ALTER TABLE offices MODIFY phone VARBINARY(50)",
        "ALTER TABLE offices MODIFY phone VARCHAR(50)",
    ):
        assert "offices.phone" in fails(shop, "build", "offices").stderr


def test_duplicate_keys_fail_the_audit_of_the_whole_layer(shop: Shop) -> None:
    before = shop.records("history", "products")
    with changed(
        shop,
        "ALTER TABLE offices DROP PRIMARY KEY",
        "DELETE FROM offices WHERE officeCode = '1' LIMIT 1",
        "ALTER TABLE offices ADD PRIMARY KEY (officeCode)",
    ):
        execute(shop, "INSERT INTO offices SELECT * FROM offices WHERE officeCode = '1'")
        result = fails(shop, "build", "raw")
    assert result.stderr.count("offices.primary_key") == 1, "told once"
    assert "office_code=1" in result.stderr
    assert shop.records("history", "products") == before, "nothing of the layer is published"


def test_rows_without_a_month_are_set_aside_and_counted(shop: Shop) -> None:
    with changed(
        shop,
        "INSERT INTO orderdetails VALUES (999999, 'S32_0106', 7, 10.50, 1)",
        "DELETE FROM orderdetails WHERE orderNumber >= 999000",
        "DELETE FROM orders WHERE orderNumber >= 999000",
    ):
        execute(
            shop,
            "INSERT INTO orders VALUES"
            " (999001, '0000-00-00', '2005-01-01', NULL, 'Shipped', NULL, 103),"
            " (999002, '2005-00-10', '2005-01-01', NULL, 'Shipped', NULL, 103),"
            " (999003, '1999-01-01', '2005-01-01', NULL, 'Shipped', NULL, 103),"
            " (999004, '2150-01-01', '2005-01-01', NULL, 'Shipped', NULL, 103)",
            "INSERT INTO orderdetails VALUES (999001, 'S32_0106', 1, 1.00, 1)",
        )
        result = shop.run("build")
        assert result.returncode == 0, result.stderr
        assert "warning: quarantine.nothing_set_aside" in result.stderr
        assert "no such order" in result.stderr
        reasons = shop.rows(
            "SELECT table_name, reason, count(*) AS n FROM quarantine GROUP BY 1, 2 ORDER BY 1, 2"
        )
        assert reasons == [
            {"table_name": "order_details", "reason": "no such order", "n": 1},
            {"table_name": "order_details", "reason": "zero date", "n": 1},
            {"table_name": "orders", "reason": "after the running month", "n": 1},
            {"table_name": "orders", "reason": "before first_month", "n": 1},
            {"table_name": "orders", "reason": "zero date", "n": 2},
        ]
        kept = shop.rows("SELECT row_json FROM quarantine WHERE reason = 'no such order'")
        row = json.loads(kept[0]["row_json"])
        assert (row["product_code"], row["quantity_ordered"], row["price_each"]) == (
            "S32_0106",
            7,
            "10.50",
        )
        assert published_lines(shop) == LINES
    shop.done("build")


def test_a_month_that_changed_elsewhere_is_named(shop: Shop) -> None:
    with changed(
        shop,
        "UPDATE orderdetails JOIN orders USING (orderNumber) SET quantityOrdered = quantityOrdered + 1"
        " WHERE orderDate BETWEEN '2004-02-01' AND '2004-02-29'",
        "UPDATE orderdetails JOIN orders USING (orderNumber) SET quantityOrdered = quantityOrdered - 1"
        " WHERE orderDate BETWEEN '2004-02-01' AND '2004-02-29'",
    ):
        result = shop.run("build", "--from", "2005-04", "--to", "2005-05")
        assert result.returncode == 1
        assert "order_details.reconciles_other_months" in result.stderr
        assert "`retail build --from 2004-02 --to 2004-02`" in result.stderr
        shop.done("build", "--from", "2004-02", "--to", "2004-02")
    shop.done("build", "--from", "2004-02", "--to", "2004-02")


# Settings


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("RETAIL_ENGINE", "hadoop", "duckdb"),
        ("RETAIL_ENV", "moon", "embedded"),
        ("RETAIL_FIRST_MONTH", "2003", "YYYY-MM"),
        ("RETAIL_FIRST_MONTH", "2999-01", "future"),
        ("RETAIL_MEMORY_LIMIT", "much", "800MB"),
        ("RETAIL_REFRESH_MONTHS", "0", "between 1 and 120"),
        ("RETAIL_ENGIN", "duckdb", "RETAIL_ENGINE"),
    ],
)
def test_an_impossible_setting(tmp_path: Path, name: str, value: str, hint: str) -> None:
    assert hint in fails(Shop(tmp_path), "status", code=2, **{name: value}).stderr


@pytest.mark.parametrize("text", ["env = ", "engin = 'duckdb'", "\x00\xff"])
def test_a_corrupt_settings_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.toml").write_bytes(text.encode("latin-1"))
    assert "settings.toml" in fails(Shop(tmp_path), "status", code=2).stderr


# The disk


def test_a_full_disk_publishes_nothing(shop: Shop) -> None:
    before = shop.records("history", "fact_orders")
    process = subprocess.Popen(
        [str(RETAIL), "build"],
        env=shop.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert shop.records("history", "fact_orders") == before
    assert published_lines(shop) == LINES


def test_a_home_that_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    result = Shop(file / "home").run("status")
    assert result.returncode in (1, 2)
    assert "Traceback" not in result.stderr
    assert str(file) in result.stderr


# Other processes


def test_two_builds_at_once_both_end_well(shop: Shop) -> None:
    builds = [shop.start("build") for _ in range(2)]
    errors = [build.communicate(timeout=120)[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], errors
    assert published_lines(shop) == LINES
    assert_checks_hold(shop)


def assert_checks_hold(shop: Shop) -> None:
    failed = [row["check"] for row in shop.records("check") if row["passed"] != "true"]
    assert failed == ["enough_history"], "the sample is too small to judge a model by"


def test_a_killed_build_harms_no_one() -> None:
    chance = random.Random(2003)
    with postgres_home() as home:
        shop = Shop(home)
        shop.done("sample")
        shop.done("build")
        for _ in range(5):
            process = shop.start("build")
            time.sleep(chance.uniform(1.0, 4.0))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            assert published_lines(shop) == LINES
        shop.done("build")
        assert_checks_hold(shop)
        assert not (data_directory(home) / "postmaster.pid").exists(), "no server is left behind"
