"""Tables that are stored by day and only ever added to.

Small files are put together as new ones come: of eight of about one size one is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retail_platform.contracts.checks import CheckResult, failing_rows
from retail_platform.contracts.model import Table
from retail_platform.engines.parquet import arrow_type, stored_schema, write_parquet
from retail_platform.engines.protocol import Auditor, DataFile, InputTable, OutputTable
from retail_platform.lake.lake import Lake, Publication, Version
from retail_platform.lake.schema import SchemaPlan

RowTuples = list[tuple[Any, ...]]
"""Rows, each in the order of its contract's columns."""

_MERGED = 8
"""Files of about one size that become one."""

_ROWS_AT_ONCE = 20_000

_SMALLEST_BYTES = 64 * 1024
_LARGE_BYTES = 128 * 1024**2
"""A file as large as this is left as it is."""


@dataclass(frozen=True)
class Written:
    """New rows of a table, not committed.

    Attributes:
        output: The table, and where it goes.
        plan: Its schema.
        files: A file of this machine for each day.
    """

    output: OutputTable
    plan: SchemaPlan
    files: Mapping[date, Path]


@dataclass(frozen=True)
class DailyTables:
    """What adds to them. Its user is the lake's only writer.

    Attributes:
        lake: Where they are.
        auditor: What checks new rows, in files of this machine.
    """

    lake: Lake
    auditor: Auditor

    def make(self, table: Table) -> None:
        """Makes a table, empty, if it is not there."""
        if self.lake.version(table.name) is None:
            checks = failing_rows(self.audit_of_nothing(table))
            self.lake.publish(
                Publication(table, self.lake.plan(table), (), None, {}, {}, checks=checks)
            )

    def write(self, table: Table, rows: RowTuples, folder: Path) -> Written:
        """Writes new rows into files of this machine, one a day."""
        plan = self.lake.plan(table)
        output = OutputTable(table, self.lake.new_location(table), plan.field_ids)
        whole = as_arrow(table, rows)
        days: Any = whole[table.by_day]
        files = {}
        for number, day in enumerate(sorted(set(days.to_pylist()))):
            path = folder / f"{table.name}-{number}.parquet"
            write_parquet(whole.filter(pc.equal(days, day)), output, path)
            files[day] = path
        return Written(output, plan, files)

    def audit(self, written: Written) -> tuple[CheckResult, ...]:
        """What the contract's checks say of new rows."""
        files = tuple(DataFile(f"file://{path}", day) for day, path in written.files.items())
        (audit,) = self.auditor.audit([InputTable(written.output.contract, files)], ())
        return audit.checks

    def audit_of_nothing(self, table: Table) -> tuple[CheckResult, ...]:
        """What they say where nothing is new."""
        (audit,) = self.auditor.audit([InputTable(table, ())], ())
        return audit.checks

    def commit(self, written: Written, batch: str, checks: Sequence[CheckResult]) -> Version:
        """Lets readers see new rows, and puts their files together with others.

        Args:
            written: They; their files are moved.
            batch: What they came from.
            checks: What `audit` said of them.
        """
        table = written.output.contract
        files, replaced = [], set()
        with TemporaryDirectory() as folder:
            for day, path in written.files.items():
                merged = self._merged_with(table, day, path.stat().st_size)
                if merged:
                    path = self._merge([file.uri for file in merged], path, written, Path(folder))
                    replaced |= {file.uri for file in merged}
                uri = f"{written.output.location}/{day:%Y-%m-%d}.parquet"
                self.lake.storage.put(path, uri)
                files.append(DataFile(uri, day))
        return self.lake.publish(
            Publication(
                table,
                written.plan,
                tuple(files),
                None,
                {},
                {},
                batch=batch,
                merged=frozenset(replaced),
                checks=failing_rows(checks),
            )
        )

    def _merged_with(self, table: Table, day: date, size: int) -> list[DataFile]:
        """The files of a day that a new one of a size is put together with.

        Of eight files of about one size one is made, which may be the eighth of the next size. So a
        row is written anew as often as files can grow eightfold, and not with every ingestion.
        """
        by_size: dict[int, list[tuple[DataFile, int]]] = {}
        for file, bytes_ in self.lake.sizes(table.name, {day}):
            if bytes_ < _LARGE_BYTES:
                by_size.setdefault(_magnitude(bytes_), []).append((file, bytes_))
        merged: list[DataFile] = []
        magnitude = _magnitude(size)
        while len(alike := by_size.pop(magnitude, [])) >= _MERGED - 1:
            merged += [file for file, _ in alike]
            size += sum(bytes_ for _, bytes_ in alike)
            magnitude = _magnitude(size)
        return merged

    def _merge(self, uris: Sequence[str], new: Path, written: Written, folder: Path) -> Path:
        """One file of many, a part at a time in memory."""
        schema = stored_schema(written.output.contract, written.output.field_ids)
        target = folder / f"merged-{new.name}"
        with pq.ParquetWriter(
            target, schema, compression="snappy", store_decimal_as_integer=True
        ) as writer:
            for number, uri in enumerate((*uris, "")):
                path = new
                if uri:
                    path = folder / f"{number}-{new.name}"
                    self.lake.storage.fetch(uri, path)
                with pq.ParquetFile(path) as part:
                    for rows in part.iter_batches(_ROWS_AT_ONCE):
                        columns = [
                            rows.column(field.name)
                            if field.name in rows.schema.names
                            else pa.nulls(len(rows), field.type)
                            for field in schema
                        ]
                        writer.write_table(pa.table(columns, schema=schema))
                path.unlink()
        return target


def as_arrow(table: Table, rows: RowTuples) -> pa.Table:
    """Rows, each in the order of a contract's columns, in the contract's types."""
    columns = list(zip(*rows, strict=True)) or [()] * len(table.columns)
    return pa.table(
        {
            column.name: pa.array(values, arrow_type(column.type))
            for column, values in zip(table.columns, columns, strict=True)
        }
    )


def summed(before: Sequence[CheckResult], now: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Outcomes of two parts as those of both."""
    if not before or not now:
        return tuple(before or now)
    return tuple(
        replace(
            new, failing_rows=old.failing_rows + new.failing_rows, detail=new.detail or old.detail
        )
        for old, new in zip(before, now, strict=True)
    )


def _magnitude(size: int) -> int:
    """Files of one magnitude are of about one size."""
    return int(log(max(size, _SMALLEST_BYTES) / _SMALLEST_BYTES, _MERGED))
