"""From the rows of a source to data files, in bounded memory; every engine on a laptop does it so."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retail_platform.contracts.model import QUARANTINE, Column, Table
from retail_platform.engines.parquet import arrow_type, stored_schema
from retail_platform.engines.protocol import DataFile, OutputTable, RowReader, SourceRead

_SPLIT_ROWS = 20_000
"""How many rows are sorted into months at once: fewer cost time, more cost memory."""

REASON = "quarantine_reason"
"""The column of a statement for the quarantine that says why a row is set aside."""

_BUFFER_BYTES = 8 * 1024**2
"""What may wait for its row group; beyond it the fullest month is written."""


def extract(output: OutputTable, source: RowReader) -> tuple[DataFile, ...]:
    """Copies what the output's statements give into its location.

    Args:
        output: A table with `reads`.
        source: Answers them.

    Returns:
        The data files, one for a month or one for the whole table; none without rows.

    Raises:
        SourceError: The source failed, or a value does not fit the contract.
    """
    with _Files(output) as files:
        for read in output.reads or ():
            _copy(output.contract, read, source, files)
    return files.written


def _copy(table: Table, read: SourceRead, source: RowReader, files: "_Files") -> None:
    origin = read.contract
    schema = pa.schema([(c.name, arrow_type(c.type)) for c in source_columns(origin)])
    if table.name == QUARANTINE:
        schema = schema.append(pa.field(REASON, pa.string()))
    with source.stream(read.sql, origin.name, schema) as rows:
        if table.name == QUARANTINE:
            for batch in rows:
                files.write("", pa.Table.from_batches([_set_aside(batch, origin.name)]))
        elif table.partition is None:
            for batch in rows:
                files.write("", pa.Table.from_batches([batch]))
        else:
            for chunk in _chunks(rows):
                for month, part in _by_month(chunk, table.partition.date):
                    files.write(month, part)


def source_columns(table: Table) -> tuple[Column, ...]:
    """The contract's columns but the month, which is derived from the date."""
    month = table.partition.column if table.partition else None
    return tuple(column for column in table.columns if column.name != month)


def _set_aside(batch: pa.RecordBatch, table: str) -> pa.RecordBatch:
    """Rows for the quarantine: each whole, as JSON, with its reason."""
    rows = batch.to_pylist()
    return pa.RecordBatch.from_pydict(
        {
            "table_name": [table] * len(rows),
            "reason": [row.pop(REASON) for row in rows],
            "row_json": [row_json(row) for row in rows],
        }
    )


def row_json(row: Mapping[str, object]) -> str:
    """A row as the quarantine keeps it."""
    return json.dumps(row, default=str, ensure_ascii=False)


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _SPLIT_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def _by_month(rows: pa.Table, day: str) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each month, as YYYY-MM-01; every part has its own memory."""
    months = pc.floor_temporal(rows.column(day), unit="month").cast(pa.date32())
    order = pc.sort_indices(months)
    start = 0
    for month, count in zip(*np.unique(months.to_numpy(), return_counts=True), strict=True):
        yield str(month), rows.take(order.slice(start, count))
        start += count


class _Files:
    """The data files of one table, one for each month, each written in row groups."""

    def __init__(self, output: OutputTable) -> None:
        self._table = output.contract
        self._folder = Path(output.location.removeprefix("file://"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._schema = stored_schema(output.contract, output.field_ids)
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.Table]] = {}
        self._bytes: dict[str, int] = {}
        self.written: tuple[DataFile, ...] = ()

    def __enter__(self) -> "_Files":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                for month in list(self._waiting):
                    self._flush(month)
        finally:
            for writer in self._writers.values():
                writer.close()

    def write(self, month: str, rows: pa.Table) -> None:
        """Takes rows of one month, or of the whole table under `""`."""
        self._waiting.setdefault(month, []).append(rows)
        self._bytes[month] = self._bytes.get(month, 0) + rows.nbytes
        while sum(self._bytes.values()) > _BUFFER_BYTES:
            self._flush(max(self._bytes, key=lambda key: self._bytes[key]))

    def _flush(self, month: str) -> None:
        rows = pa.concat_tables(self._waiting.pop(month)).combine_chunks()
        del self._bytes[month]
        self._writer(month).write_table(self._stored(rows, month), row_group_size=rows.num_rows)

    def _stored(self, rows: pa.Table, month: str) -> pa.Table:
        """The rows with the month's column, in the contract's order."""
        if self._table.partition:
            value = np.full(rows.num_rows, np.datetime64(month, "D"))
            rows = rows.append_column(self._table.partition.column, pa.array(value))
        columns: Sequence[str] = self._table.column_names
        return pa.table([rows.column(name) for name in columns], schema=self._schema)

    def _writer(self, month: str) -> pq.ParquetWriter:
        if month not in self._writers:
            name = f"{self._table.name}-{month or 'all'}.parquet"
            path = self._folder / name
            self._writers[month] = pq.ParquetWriter(
                path, self._schema, compression="snappy", store_decimal_as_integer=True
            )
            self.written += (
                DataFile(f"file://{path}", date.fromisoformat(month) if month else None),
            )
        return self._writers[month]
