"""Both engines make the same tables: equal rows both ways, equal types, checks and measures.

Vectors are equal to the bit, because both engines train on the same rows in the same order.
"""

import uuid
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from retail_platform.build import Builder
from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.model import Feed
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.protocol import (
    InputTable,
    OutputTable,
    RunRequest,
    TableResult,
)
from retail_platform.engines.spark import SparkEngine
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake
from retail_platform.sources.database import open_source
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform.sources.sample.online_retail import import_online_retail
from retail_platform_tests.parquet import Row, path_of, read_rows, write_files
from retail_platform_tests.test_online_retail import FILE as ONLINE_RETAIL

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONTRACTS = load_contracts()
STAR = CONTRACTS.layer("star")
ML = CONTRACTS.layer("ml")
MONTHS = MonthRange.parse("2003-01", "2005-12")


Engines = tuple[DuckDBEngine, SparkEngine]


@pytest.fixture(scope="module")
def engines(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Engines:
    return (
        DuckDBEngine("500MB", tmp_path_factory.mktemp("spill")),
        SparkEngine(lambda: spark),
    )


def star_of(raw: dict[str, InputTable], folder: Path) -> RunRequest:
    """The request for all models that are SQL, for the first time, from raw files."""
    outputs = []
    for table in (*STAR, *(table for table in ML if table.sql)):
        names = sorted(CONTRACTS.inputs(table))
        outputs.append(
            OutputTable(
                table,
                f"file://{folder}/{uuid.uuid4().hex}",
                {name: number for number, name in enumerate(table.column_names, 1)},
                MONTHS if table.partition else None,
                tuple(raw.get(name, InputTable(CONTRACTS.table(name), ())) for name in names),
            )
        )
    return RunRequest(tuple(outputs))


def assert_same(ours: list[TableResult], theirs: list[TableResult]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.table == other.table
        assert one.row_count == other.row_count, one.table
        assert rows_only_in(one, other) == rows_only_in(other, one) == [], one.table
        assert types_of(one) == types_of(other), one.table
        assert {file.month for file in one.files} == {file.month for file in other.files}
        assert one.measures == other.measures, one.table
        assert outcomes(one) == outcomes(other), one.table


def rows_only_in(one: TableResult, other: TableResult) -> list[tuple[object, ...]]:
    """Rows that one result has, or has more often than the other; some of them, if there are many."""
    if not one.files or not other.files:
        return [tuple(row.values()) for row in read_rows(one.files)]
    ours, theirs = (
        f"SELECT * FROM read_parquet({[str(path_of(file)) for file in result.files]},"
        " hive_partitioning = false)"
        for result in (one, other)
    )
    return duckdb.connect().execute(f"{ours} EXCEPT ALL {theirs} LIMIT 5").fetchall()


def types_of(result: TableResult) -> set[tuple[tuple[str, str, bytes], ...]]:
    """Names, types and field ids of the columns, as the files have them."""
    return {
        tuple(
            (field.name, str(field.type), (field.metadata or {})[b"PARQUET:field_id"])
            for field in pq.read_schema(path_of(file))
        )
        for file in result.files
    }


def outcomes(result: TableResult) -> list[tuple[str, int]]:
    return [(check.check.name, check.failing_rows) for check in result.checks]


def assert_builds_are_the_same(
    engines: Engines, url: str, folder: Path, all_: MonthRange, two: MonthRange
) -> None:
    """Builds all layers with each engine, and two months of the star schema anew."""
    lake = Lake(FolderStorage(folder / "lake"), CONTRACTS)
    built = []
    for engine in engines:
        builder = Builder(CONTRACTS, lake, engine, engine, all_.first)
        extracted = builder.extract(CONTRACTS.fed_by(Feed.SOURCE), all_, lambda: open_source(url))
        star = builder.build_models(STAR, all_)
        # What is retained, and dimensions that read themselves.
        again = builder.build_models(STAR, two)
        trained = builder.build_models(ML, all_)
        assert all(one.result.report for one in trained[1:])
        built.append([one.result for one in (*extracted, *star, *again, *trained)])
    assert sum(result.row_count for result in built[0]) > 5_000
    assert_same(*built)


def test_the_sample_gives_the_same_star_schema(
    engines: Engines, postgres_url: str, tmp_path: Path
) -> None:
    load(postgres_url, generate(SampleSize()), lambda table, rows: None)
    two = MonthRange.parse("2005-01", "2005-02")
    assert_builds_are_the_same(engines, postgres_url, tmp_path, MONTHS, two)


@pytest.mark.slow
@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason="Online Retail is not beside the project")
def test_online_retail_gives_the_same_star_schema(
    engines: Engines, postgres_url: str, tmp_path: Path
) -> None:
    import_online_retail(ONLINE_RETAIL, postgres_url, lambda table, rows: None)
    all_, two = MonthRange.parse("2010-12", "2011-12"), MonthRange.parse("2011-03", "2011-04")
    assert_builds_are_the_same(engines, postgres_url, tmp_path, all_, two)


TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=8
)
PLACES = st.sampled_from(
    ["Norway", "Norway  ", " Norway", "norway", "", "Bergen\t", "Å", "x\u00a0"]
)
DAYS = st.sampled_from([date(2003, 1, 31), date(2004, 2, 29), date(2004, 12, 31), date(2005, 3, 1)])
STATUSES = st.sampled_from(["Shipped", "Cancelled", "cancelled ", "On Hold", "Disputed", "İ", ""])
MONEY = st.decimals("-99999999.99", "99999999.99", places=2) | st.just(Decimal("99999999.99"))
PIECES = st.integers(-(2**31), 2**31 - 1)
NUMBERS = st.integers(1, 4)
CODES = st.sampled_from(["S1", "s1", "S1 ", "ß", "ẞ", "日本"])


def maybe(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | values


def table(name: str, key: list[str], **columns: st.SearchStrategy[object]) -> object:
    """Rows of a raw table, each key once; the columns that are not named are NULL or text."""
    contract = CONTRACTS.table(name)
    given_ = {
        column.name: columns.get(column.name, maybe(TEXT) if column.nullable else TEXT)
        for column in contract.columns
        if column.name in columns or column.type == "string"
    }
    rows = st.lists(
        st.fixed_dictionaries(given_), max_size=6, unique_by=lambda row: tuple(row[k] for k in key)
    )
    nulls: Row = dict.fromkeys(contract.column_names)
    return rows.map(lambda found: [{**nulls, **row} for row in found])


@st.composite
def shops(draw: Callable[..., list[Row]]) -> dict[str, list[Row]]:
    """A source with everything that a source may have wrong."""
    raw = {
        "offices": draw(table("offices", ["office_code"], office_code=CODES)),
        "employees": draw(
            table(
                "employees",
                ["employee_number"],
                employee_number=NUMBERS,
                office_code=maybe(CODES),
                reports_to=maybe(NUMBERS),
            )
        ),
        "product_lines": draw(table("product_lines", ["product_line"], product_line=CODES)),
        "products": draw(
            table(
                "products",
                ["product_code"],
                product_code=CODES,
                product_line=maybe(CODES),
                quantity_in_stock=maybe(PIECES),
                buy_price=maybe(MONEY),
                msrp=maybe(MONEY),
            )
        ),
        "customers": draw(
            table(
                "customers",
                ["customer_number"],
                customer_number=NUMBERS,
                city=maybe(PLACES),
                state=maybe(PLACES),
                postal_code=maybe(PLACES),
                country=maybe(PLACES),
                sales_rep_employee_number=maybe(NUMBERS),
                credit_limit=maybe(MONEY),
            )
        ),
        "orders": draw(
            table(
                "orders",
                ["order_number"],
                order_number=NUMBERS,
                order_date=DAYS,
                required_date=maybe(DAYS),
                shipped_date=maybe(DAYS),
                status=STATUSES,
                customer_number=NUMBERS,
            )
        ),
        "order_details": draw(
            table(
                "order_details",
                ["order_number", "product_code"],
                order_number=NUMBERS,
                product_code=CODES,
                quantity_ordered=PIECES,
                price_each=MONEY,
                order_line_number=maybe(PIECES),
            )
        ),
        "payments": draw(
            table(
                "payments",
                ["customer_number", "check_number"],
                customer_number=NUMBERS,
                check_number=TEXT,
                payment_date=DAYS,
                amount=MONEY,
            )
        ),
    }
    # A line has its date from its order; an orphan has none and is in quarantine.
    dates = {order["order_number"]: order["order_date"] for order in raw["orders"]}
    lines = [
        {**line, "order_date": dates.get(line["order_number"])} for line in raw["order_details"]
    ]
    raw["order_details"] = [line for line in lines if line["order_date"]]
    for name, rows in raw.items():
        if partition := CONTRACTS.table(name).partition:
            for row in rows:
                row[partition.column] = row[partition.date].replace(day=1)
    return raw


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # a shorter example is not worth minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(shops())
def test_any_source_gives_the_same_star_schema(
    engines: Engines, tmp_path: Path, raw: dict[str, list[Row]]
) -> None:
    folder = tmp_path / uuid.uuid4().hex
    files = {}
    for name, rows in raw.items():
        contract = CONTRACTS.table(name)
        files[name] = InputTable(contract, write_files(contract, f"file://{folder}/{name}", rows))
    assert_same(*(engine.run(star_of(files, folder)) for engine in engines))


def test_no_rows_at_all_give_the_same_star_schema(engines: Engines, tmp_path: Path) -> None:
    assert_same(*(engine.run(star_of({}, tmp_path)) for engine in engines))
