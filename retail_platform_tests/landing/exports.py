"""Exports that land, made for tests, and a platform that takes them."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from retail_platform.build import Builder
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.model import Feed
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.extraction import source_columns
from retail_platform.engines.protocol import Engine
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake
from retail_platform.lake.s3 import S3Storage
from retail_platform.lake.storage import Storage
from retail_platform.landing.feed import Landing, Taken
from retail_platform.streaming.arrivals import Arrivals, BucketArrivals, FolderArrivals
from retail_platform_tests.aws import LAKE_BUCKET
from retail_platform_tests.streaming.deliveries import lay, upload

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
"""When the first file is written; each further one a second later."""

Rows = Sequence[tuple[Any, ...]]


def export(table: str, rows: Rows) -> bytes:
    """Rows of a raw table as csv, in the order of the contract's columns without the month."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.name for column in source_columns(load_contracts().table(table))])
    writer.writerows(rows)
    return out.getvalue().encode()


def order(number: int, day: str, status: str = "Shipped", customer: int = 103) -> tuple[Any, ...]:
    """A row of `orders`."""
    return number, day, day, day if status == "Shipped" else None, status, None, customer


@dataclass
class Landed:
    """A lake, and the place where its files land."""

    landing: Landing
    put: Callable[[str, bytes], None]

    @property
    def lake(self) -> Lake:
        return self.landing.builder.lake

    def land(self, key: str, rows: Rows) -> None:
        """Lays an export of the table that the key begins with."""
        self.put(key, export(key.partition("/")[0], rows))

    def take(self, *tables: str) -> dict[str, Taken]:
        """Takes what has landed, of some tables or of all; says what became of each."""
        of = [self.landing.contracts.table(name) for name in tables] or self.landing.tables
        return {one.version.table: one for one in self.landing.run(of)}

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """The rows of a raw table, without the month, sorted."""
        names = [column.name for column in source_columns(self.landing.contracts.table(table))]
        found = self.lake.rows(table).select(names).to_pylist()
        return sorted((tuple(row.values()) for row in found), key=str)

    def ledger(self) -> dict[str, str | None]:
        """Why a file was set aside, by file; of several versions, of the last that was taken."""
        rows = self.lake.rows("landed_files").to_pylist()
        rows.sort(key=lambda row: (row["taken_at"], row["modified_at"]))
        return {row["object"]: row["reason"] for row in rows}


def landed_in(folder: Path, *tables: str, **parts: Any) -> Landed:
    """On a laptop; a file is as old as it has to be, and each is younger than the one before it."""
    clock = [LONG_AGO]

    def put(key: str, data: bytes) -> None:
        lay(folder / "landing", key, data)
        clock[0] += timedelta(seconds=1)
        os.utime(folder / "landing" / key, (clock[0].timestamp(), clock[0].timestamp()))

    arrivals = FolderArrivals(folder / "landing")
    return Landed(_landing(folder, FolderStorage(folder / "lake"), arrivals, tables, **parts), put)


def landed_in_bucket(folder: Path, *tables: str) -> Landed:
    """On AWS, but for the engine, which is the laptop's and reads no S3."""
    arrivals = BucketArrivals(LAKE_BUCKET, "landing")
    storage = S3Storage(LAKE_BUCKET, database_prefix="retail_")
    landing = _landing(folder, storage, arrivals, tables)
    return Landed(landing, lambda key, data: upload(LAKE_BUCKET, f"landing/{key}", data))


def _landing(
    folder: Path,
    storage: Storage,
    arrivals: Arrivals,
    tables: Iterable[str],
    engine: Engine | None = None,
    contracts: Contracts | None = None,
) -> Landing:
    known = (contracts or load_contracts()).landing(tables)
    local = DuckDBEngine("500MB", folder / "spill")
    builder = Builder(known, Lake(storage, known), local, engine or local, date(2003, 1, 1))
    return Landing(builder, local, arrivals)


def with_feed(landed: Landed, *tables: str) -> Landed:
    """The same lake, other tables being landed."""
    builder = landed.landing.builder
    back = {
        name: replace(table, feed=Feed.SOURCE) for name, table in builder.contracts.tables.items()
    }
    known = Contracts(back).landing(tables)
    lake = Lake(builder.lake.storage, known)
    anew = replace(landed.landing, builder=replace(builder, contracts=known, lake=lake))
    return Landed(anew, landed.put)
