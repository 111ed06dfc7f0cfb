"""Files that land: how fast they are merged, and what a look costs where there are very many.

`python -m retail_platform_tests.benchmarks.landing merge LINES` and `... look FILES` run by themselves.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from retail_platform.build import Builder
from retail_platform.contracts.loader import load_contracts
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake
from retail_platform.landing.feed import Landing
from retail_platform.landing.looking import Place
from retail_platform.streaming.arrivals import FolderArrivals
from retail_platform.streaming.daily import DailyTables

_PRODUCTS = 10


@dataclass(frozen=True)
class Merged:
    """A file of order lines that is merged into as many others.

    Attributes:
        lines: Of the file; half of them take the place of others.
        seconds: What it took.
        peak_mb: Of the process.
        bare_seconds: The same by three statements of DuckDB, which check nothing and publish nothing.
        rows: In the table then.
    """

    lines: int
    seconds: float
    peak_mb: float
    bare_seconds: float
    rows: int


@dataclass(frozen=True)
class Looked:
    """A look where all files are taken but one.

    Attributes:
        files: How many there are.
        seconds: A look.
        list_seconds: To list them all.
        peak_mb: Of the process.
        found: Whether the one was seen by the first look, being the newest by its name.
    """

    files: int
    seconds: float
    list_seconds: float
    peak_mb: float
    found: bool


def merged(lines: int) -> Merged:
    """In a process of its own."""
    return Merged(**_asked("merge", lines))


def looked(files: int) -> Looked:
    """In a process of its own."""
    return Looked(**_asked("look", files))


def _asked(what: str, number: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, what, str(number)],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _landing(folder: Path, *tables: str) -> Landing:
    contracts = load_contracts().landing(tables)
    engine = DuckDBEngine("1GB", folder / "spill")
    lake = Lake(FolderStorage(folder / "lake"), contracts)
    builder = Builder(contracts, lake, engine, engine, date(2003, 1, 1))
    return Landing(builder, engine, FolderArrivals(folder / "landing"))


def _lines(first_order: int, orders: int, path: Path) -> None:
    """Orders of ten lines each, over sixty months."""
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.connect().execute(
        f"COPY (SELECT o AS order_number, 'S' || p AS product_code, 1 + o % 7 AS quantity_ordered, "
        f"CAST(p + o % 100 / 100.0 AS DECIMAL(10,2)) AS price_each, p AS order_line_number, "
        f"DATE '2015-01-01' + CAST(o % 1800 AS INTEGER) AS order_date "
        f"FROM range({first_order}, {first_order + orders}) os(o), range({_PRODUCTS}) ps(p)) "
        f"TO '{path}' (HEADER)"
    )


def _merge(lines: int) -> Merged:
    orders = lines // _PRODUCTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        landing = _landing(folder, "order_details")
        first, second = folder / "landing/order_details/1.csv", folder / "2.csv"
        _lines(0, orders, first)
        _lines(orders // 2, orders, second)
        time.sleep(FolderArrivals.settling.total_seconds())
        landing.run(landing.tables)
        copy = folder / "bare"
        files = [
            file.uri.removeprefix("file://") for file in landing.builder.lake.files("order_details")
        ]
        bare = _bare(files, second, copy)
        second.rename(folder / "landing/order_details/2.csv")
        time.sleep(FolderArrivals.settling.total_seconds())
        started = time.perf_counter()
        (taken, _) = landing.run(landing.tables)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Merged(lines, seconds, peak, bare, taken.version.row_count)


def _bare(files: list[str], export: Path, folder: Path) -> float:
    """Read, merge by key, write by month: nothing else."""
    connection = duckdb.connect(config={"preserve_insertion_order": "false"})
    columns = (
        "order_number::INTEGER AS order_number, product_code, quantity_ordered::INTEGER AS "
        "quantity_ordered, price_each::DECIMAL(10,2) AS price_each, order_line_number::INTEGER AS "
        "order_line_number, order_date, date_trunc('month', order_date)::DATE AS order_month"
    )
    started = time.perf_counter()
    connection.execute(
        f"CREATE TABLE landed AS SELECT {columns} FROM read_csv('{export}', header = true)"
    )
    connection.execute(
        f"COPY (FROM landed UNION ALL BY NAME SELECT * FROM read_parquet({files}) old ANTI JOIN landed "
        f"USING (order_number, product_code)) TO '{folder}' (FORMAT parquet, PARTITION_BY (order_month))"
    )
    return time.perf_counter() - started


def _look(files: int) -> Looked:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        landing = _landing(folder, "ratings")
        place = folder / "landing" / "ratings"
        place.mkdir(parents=True)
        keys = [place / f"{number:09}.csv" for number in range(files)]
        for key in keys:
            key.touch()
        # Noted as taken, by what notes it.
        arrivals = list(landing.arrivals.after("ratings"))
        rows = [
            (
                one.key,
                one.version,
                "ratings",
                one.modified,
                one.modified.date(),
                0,
                0,
                None,
                one.modified,
            )
            for one in arrivals
        ]
        daily = DailyTables(landing.builder.lake, landing.local)
        with landing.builder.lake.exclusively():
            daily.make(landing.ledger)
            daily.commit(daily.write(landing.ledger, rows, folder), "all", ())
        (place / "new.csv").touch()
        del rows, arrivals
        time.sleep(FolderArrivals.settling.total_seconds())
        started = time.perf_counter()
        listed = sum(1 for _ in landing.arrivals.after("ratings"))
        list_seconds = time.perf_counter() - started
        resume = Place("", {"ratings": f"ratings/{files - 1:09}.csv"})
        started = time.perf_counter()
        look = landing.look(resume)
        seconds = time.perf_counter() - started
        assert listed == files + 1
        found = [one.key for one in look.pending] == ["ratings/new.csv"]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Looked(files, seconds, list_seconds, peak, found)


if __name__ == "__main__":
    count = int(sys.argv[2])
    figures = _merge(count) if sys.argv[1] == "merge" else _look(count)
    print(json.dumps(asdict(figures)))  # noqa: T201  (what it is run for)
