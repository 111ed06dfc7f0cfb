"""Every engine turns files into files of exactly the contract's types, and audits them alike."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from retail_platform.contracts.model import Column, ForeignKey, MonthPartition, Rule, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.protocol import (
    Auditor,
    DataFile,
    Engine,
    InputTable,
    OutputTable,
    RunRequest,
    TableResult,
)
from retail_platform.engines.spark import SparkEngine
from retail_platform.errors import EngineError
from retail_platform_tests.glue.steps import GlueInAStep
from retail_platform_tests.parquet import Row, path_of, read_rows, write_files

SHOPS = Table(
    layer="raw",
    name="shops",
    description="Shops.",
    grain="one row per shop",
    columns=(Column("shop", "string", "Key."),),
    primary_key=("shop",),
)
SALES = Table(
    layer="star",
    name="sales",
    description="Sales.",
    grain="one row per sale",
    columns=(
        Column("number", "int", "Key.", nullable=False),
        Column("amount", "decimal(20,2)", "Amount.", min="0", max="100"),
        Column("kind", "string", "Kind.", accepted_values=("cash", "card")),
        Column("shop", "string", "Shop."),
        Column("day", "date", "Day."),
        Column("month", "date", "Month.", nullable=False),
    ),
    primary_key=("number",),
    partition=MonthPartition("month", "day"),
    foreign_keys=(ForeignKey(("shop",), "shops", ("shop",)),),
    rules=(
        Rule(
            "no_thirteen",
            "13 is never sold",
            "SELECT * FROM star.sales WHERE number = 13",
            condition="number = 13",
        ),
    ),
    measures={"rows": "count(*)", "amount": "sum(amount)"},
)
GOOD = "(1, 1.50, 'cash', 'a', DATE '2005-01-31'), (2, 2.25, NULL, NULL, DATE '2005-02-28')"
YEAR = MonthRange.parse("2005-01", "2005-12")
FIELD_IDS = {column.name: number for number, column in enumerate(SALES.columns, 11)}


def model(rows: str) -> str:
    return (
        "SELECT cast(number AS int) AS number, cast(amount AS decimal(20,2)) AS amount,"
        " cast(kind AS string) AS kind, cast(shop AS string) AS shop, cast(day AS date) AS day,"
        " cast(date_trunc('month', day) AS date) AS month"
        f" FROM (VALUES {rows}) AS v(number, amount, kind, shop, day)"
    )


@pytest.fixture(params=["duckdb", "spark", "glue"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "glue":
        request.getfixturevalue("glue")
        return GlueInAStep()
    return local_engine(request, tmp_path)


@pytest.fixture(params=["duckdb", "spark"])
def auditor(request: pytest.FixtureRequest, tmp_path: Path) -> Auditor:
    return local_engine(request, tmp_path)


def local_engine(request: pytest.FixtureRequest, tmp_path: Path) -> DuckDBEngine | SparkEngine:
    if request.param == "duckdb":
        return DuckDBEngine("500MB", tmp_path / "spill")
    return SparkEngine(lambda: request.getfixturevalue("spark"))


def run(engine: Engine, folder: Path, rows: str, sql: str = "") -> TableResult:
    shops = folder / "shops.parquet"
    duckdb.execute(f"COPY (SELECT 'a' AS shop) TO '{shops}'")
    table = replace(SALES, sql=sql or model(rows), sql_path="star/sales.sql")
    output = OutputTable(table, f"file://{folder}/out", FIELD_IDS, YEAR)
    request = RunRequest((output,), (InputTable(SHOPS, (DataFile(f"file://{shops}"),)),))
    return engine.run(request)[0]


def test_files_are_by_month_with_field_ids_and_the_contracts_types(
    engine: Engine, tmp_path: Path
) -> None:
    result = run(engine, tmp_path, GOOD)
    paths = [path_of(file) for file in result.files]
    assert [file.month for file in result.files] == [date(2005, 1, 1), date(2005, 2, 1)]
    schema = pq.read_schema(paths[0])
    found = {f.name: int((f.metadata or {})[b"PARQUET:field_id"]) for f in schema}
    assert found == FIELD_IDS
    types = [str(field.type) for field in schema]
    assert types == ["int32", "decimal128(20, 2)", "string", "string", "date32[day]", "date32[day]"]
    assert result.row_count == 2
    assert result.byte_count == sum(path.stat().st_size for path in paths)


def test_measures_are_exact_and_by_month(engine: Engine, tmp_path: Path) -> None:
    assert run(engine, tmp_path, GOOD).measures == {
        "2005-01": {"rows": Decimal(1), "amount": Decimal("1.50")},
        "2005-02": {"rows": Decimal(1), "amount": Decimal("2.25")},
    }


def test_good_rows_pass_every_check(engine: Engine, tmp_path: Path) -> None:
    assert [r.check.name for r in run(engine, tmp_path, GOOD).checks if not r.passed] == []


@pytest.mark.parametrize(
    ("row", "check", "shown"),
    [
        ("(NULL, 1, 'cash', 'a', DATE '2005-01-01')", "not_null", "number=None"),
        ("(1, 1, 'cash', 'a', DATE '2005-01-01')", "primary_key", "copies=2"),
        ("(3, -1, 'cash', 'a', DATE '2005-01-01')", "amount_in_range", "amount=-1.00"),
        ("(3, 100.01, 'cash', 'a', DATE '2005-01-01')", "amount_in_range", "amount=100.01"),
        ("(3, 1, 'cheque', 'a', DATE '2005-01-01')", "kind_accepted", "kind=cheque"),
        ("(3, 1, 'cash', 'b', DATE '2005-01-01')", "shop_exists", "shop=b, times=1"),
        ("(13, 1, 'cash', 'a', DATE '2005-01-01')", "no_thirteen", "number=13"),
    ],
)
def test_an_offending_row_is_found_and_shown(
    engine: Engine, tmp_path: Path, row: str, check: str, shown: str
) -> None:
    failed = [r for r in run(engine, tmp_path, f"{GOOD}, {row}").checks if not r.passed]
    assert [(r.check.name, r.failing_rows) for r in failed] == [(check, 1)]
    assert shown in failed[0].detail
    assert failed[0].blocks


def test_too_few_rows_fail_and_write_no_files(engine: Engine, tmp_path: Path) -> None:
    shops = replace(SHOPS, min_rows=1, sql="SELECT cast('a' AS string) AS shop WHERE false")
    output = OutputTable(shops, f"file://{tmp_path}/out", {"shop": 1})
    (result,) = engine.run(RunRequest((output,)))
    assert result.files == ()
    assert [r.check.name for r in result.checks if not r.passed] == ["row_count"]


@pytest.mark.parametrize(
    "rows",
    [
        "(3000000000, 1, 'cash', 'a', DATE '2005-01-01')",
        "('no number', 1, 'cash', 'a', DATE '2005-01-01')",
        "(1, 9999999999999999999.0, 'cash', 'a', DATE '2005-01-01')",
    ],
)
def test_a_value_that_does_not_fit_is_an_error_and_no_null(
    engine: Engine, tmp_path: Path, rows: str
) -> None:
    with pytest.raises(EngineError, match=r"sql/star/sales.sql"):
        run(engine, tmp_path, rows)


def test_a_table_reads_what_the_run_wrote_before_it(engine: Engine, tmp_path: Path) -> None:
    days = Table(
        layer="star",
        name="days",
        description="Days.",
        grain="one row per day",
        columns=(Column("day", "date", "Day."),),
        primary_key=("day",),
        sql="SELECT DISTINCT cast(day AS date) AS day FROM star.sales",
    )
    sales = replace(SALES, sql=model(GOOD), foreign_keys=())
    request = RunRequest(
        (
            OutputTable(sales, f"file://{tmp_path}/sales", FIELD_IDS, YEAR),
            OutputTable(
                days, f"file://{tmp_path}/days", {"day": 1}, inputs=(InputTable(sales, ()),)
            ),
        )
    )
    assert engine.run(request)[1].row_count == len({date(2005, 1, 31), date(2005, 2, 28)})


# Months


def sales_by_month(folder: Path) -> tuple[DataFile, ...]:
    """Data files of SALES, one for each of three months."""
    rows: list[Row] = [
        {
            "number": number,
            "amount": Decimal(number),
            "kind": "cash",
            "shop": "a",
            "day": date(2005, number, 15),
            "month": date(2005, number, 1),
        }
        for number in (1, 2, 3)
    ]
    return write_files(SALES, f"file://{folder}/in", rows)


def copy_of_sales(folder: Path, sql: str) -> OutputTable:
    copied = replace(
        SALES, name="copied", sql=sql, sql_path="star/copied.sql", foreign_keys=(), rules=()
    )
    inputs = (InputTable(SALES, sales_by_month(folder)),)
    return OutputTable(copied, f"file://{folder}/copied", FIELD_IDS, YEAR, inputs)


def test_duckdb_takes_one_month_after_the_other_of_a_large_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that looks at other months has no meaning, and here it shows."""
    monkeypatch.setattr("retail_platform.engines.duckdb._SMALL_BYTES", 0)
    sql = (
        "SELECT number, cast(count(*) OVER () AS decimal(20,2)) AS amount, kind, shop, day, month"
        " FROM star.sales"
    )
    (result,) = DuckDBEngine("500MB", tmp_path).run(RunRequest((copy_of_sales(tmp_path, sql),)))
    assert [file.month for file in result.files] == [date(2005, m, 1) for m in (1, 2, 3)]
    assert {row["amount"] for row in read_rows(result.files)} == {Decimal("1.00")}


def test_duckdb_refuses_another_month_in_each_of_a_large_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_platform.engines.duckdb._SMALL_BYTES", 0)
    later = "cast(add_months(month, 1) AS date) AS month"
    sql = f"SELECT number, amount, kind, shop, day, {later} FROM star.sales"
    with pytest.raises(EngineError, match=r"star/copied.sql.*gives rows of 2005-0\d from "):
        DuckDBEngine("500MB", tmp_path).run(RunRequest((copy_of_sales(tmp_path, sql),)))


def test_a_month_that_is_not_that_of_its_inputs_is_refused(engine: Engine, tmp_path: Path) -> None:
    later = "cast(add_months(month, 1) AS date) AS month"
    sql = f"SELECT number, amount, kind, shop, day, {later} FROM star.sales"
    with pytest.raises(
        EngineError,
        match=r"star/copied.sql.*gives rows of 2005-04 from its inputs' rows of 2005-01 to 2005-03",
    ):
        engine.run(RunRequest((copy_of_sales(tmp_path, sql),)))


def test_a_model_that_knows_no_months_gives_those_of_the_run(
    engine: Engine, tmp_path: Path
) -> None:
    table = replace(SALES, sql=model(GOOD), foreign_keys=(), sql_path="star/sales.sql")
    months = MonthRange.parse("2005-02", "2005-03")
    output = OutputTable(table, f"file://{tmp_path}/out", FIELD_IDS, months)
    (result,) = engine.run(RunRequest((output,)))
    assert [file.month for file in result.files] == [date(2005, 2, 1)]
    assert [row["number"] for row in read_rows(result.files)] == [2]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("cast(1 AS bigint) AS number", "number is bigint and not int"),
        ("cast(1 AS int) AS nr", "number is missing and not int"),
        ("cast(1 AS int) AS number, cast(1 AS int) AS more", "more is not in the contract"),
    ],
)
def test_a_model_that_gives_other_columns_is_refused_before_it_runs(
    engine: Engine, tmp_path: Path, column: str, told: str
) -> None:
    sql = model(GOOD).replace("cast(number AS int) AS number", column)
    with pytest.raises(EngineError, match=rf"sql/star/sales.sql.*{told}.*cast every column"):
        run(engine, tmp_path, "", sql)


def test_columns_that_older_files_lack_are_null(engine: Engine, tmp_path: Path) -> None:
    shops = replace(SHOPS, columns=(*SHOPS.columns, Column("city", "string", "")))
    files = write_files(SHOPS, f"file://{tmp_path}/old", [{"shop": "a"}])
    sql = "SELECT cast(shop AS string) AS shop, cast(coalesce(city, '?') AS string) AS city FROM shops"
    output = OutputTable(
        replace(shops, name="copied", sql=sql),
        f"file://{tmp_path}/out",
        {"shop": 1, "city": 2},
        inputs=(InputTable(shops, files, frozenset({"city"})),),
    )
    (result,) = engine.run(RunRequest((output,)))
    assert read_rows(result.files) == [{"shop": "a", "city": "?"}]


def test_a_published_table_is_checked_again(auditor: Auditor, tmp_path: Path) -> None:
    files = sales_by_month(tmp_path)
    shops = write_files(SHOPS, f"file://{tmp_path}/shops", [{"shop": "b"}])
    (result,) = auditor.audit([InputTable(SALES, files)], [InputTable(SHOPS, shops)])
    assert [(r.check.name, r.failing_rows) for r in result.checks if not r.passed] == [
        ("shop_exists", 1)
    ]
    assert result.row_count == 3
