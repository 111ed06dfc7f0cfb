"""A file that has landed, as the rows of its table: csv, json or parquet, packed or not."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retail_platform.contracts.model import Column, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.duckdb import quoted
from retail_platform.engines.extraction import source_columns
from retail_platform.engines.parquet import arrow_type
from retail_platform.landing.values import UnfitFile, fitted

_ROWS_AT_ONCE = 20_000

_DELIMITERS = (",", ";", "\t", "|")

_HEADER_BYTES = 64 * 1024

_LINES_TOLD = 3
"""Of a message of DuckDB's, whose further lines name options that nobody here can set."""

_FORMATS = {"csv": "csv", "json": "json", "jsonl": "json", "ndjson": "json", "parquet": "parquet"}
"""By the end of a name."""

PLACE = Column("landed_in", "int", "The place of its file among those that are taken.", False)
"""The column that is added to a file's rows: of one key in two files, the later one counts."""


@dataclass(frozen=True)
class LandedFile:
    """A file. Implements `engines.protocol.RowReader`: what is asked for is the whole of it.

    Attributes:
        path: Where it is on this machine.
        name: What it was called where it landed.
        table: The raw table that it is an export of.
        stored: The months that the lake may hold.
        place: See `PLACE`.
    """

    path: Path
    name: str
    table: Table
    stored: MonthRange
    place: int

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that it has to have: the contract's but the month, which follows of the date."""
        return source_columns(self.table)

    @cached_property
    def unread(self) -> tuple[str, ...]:
        """Columns that it has and the contract does not.

        Raises:
            UnfitFile: It lacks a column of the contract, or cannot be read at all.
        """
        with self._told():
            found = self._found()
        if found is None:  # a file of no objects, of which nothing can be missing
            return ()
        wanted = [column.name for column in self.columns]
        missing = [name for name in wanted if name not in found]
        others = [name for name in found if name not in wanted]
        if missing:
            told = f"; it has {', '.join(others)}, which the contract does not" if others else ""
            raise UnfitFile(f"it has no column {', '.join(missing)}{told}")
        return tuple(others)

    @contextmanager
    def stream(
        self, sql: str, table: str, schema: pa.Schema | None = None
    ) -> Iterator[pa.RecordBatchReader]:
        """Its rows, in the contract's types.

        Args:
            sql: Of no account: a file answers nothing but all of its rows.
            table: The same.
            schema: The same.

        Raises:
            UnfitFile: A value is not of the contract's type, or a row of no month.
        """
        _ = self.unread
        types = [(column.name, arrow_type(column.type)) for column in (*self.columns, PLACE)]
        yield pa.RecordBatchReader.from_batches(pa.schema(types), self._batches(dict(types)))

    def _batches(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        before = 0
        with self._told():
            for rows in self._rows():
                columns = [
                    fitted(rows.column(column.name), types[column.name], column.name, before)
                    for column in self.columns
                ]
                columns.append(pa.array([self.place] * len(rows), types[PLACE.name]))
                batch = pa.RecordBatch.from_arrays(columns, names=list(types))
                self._require_months(batch, before)
                yield batch
                before += len(rows)

    def _require_months(self, batch: pa.RecordBatch, before: int) -> None:
        if self.table.partition is None:
            return
        name, stored = self.table.partition.date, self.stored
        days = batch.column(name)
        good = pc.and_(
            pc.greater_equal(days, pa.scalar(stored.first)), pc.less(days, pa.scalar(stored.end))
        )
        first = pc.index(good.fill_null(False), False).as_py()
        if first >= 0:
            day = days[first].as_py()
            raise UnfitFile(f"row {before + first + 1}: {name} {_shown(day)} is not in {stored}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What is wrong with a file, in the first words of who found it."""
        try:
            yield
        except (
            duckdb.Error,
            pa.ArrowException,
            OSError,
            EOFError,
            zlib.error,
            csv.Error,
            ValueError,
        ) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            told = " ".join(lines[:_LINES_TOLD]).replace(f'"{self.path}"', "it")
            raise UnfitFile(told.replace(str(self.path), "it") or type(error).__name__) from None

    # By format

    @cached_property
    def _format(self) -> str:
        packed = self.name.lower().removesuffix(".gz")
        _, _, end = packed.rpartition(".")
        if end not in _FORMATS or (_FORMATS[end] == "parquet" and packed != self.name.lower()):
            raise UnfitFile(
                "its name does not say what it is: let it end in .csv, .json, .jsonl or .ndjson, "
                "packed with .gz behind it or not, or in .parquet"
            )
        if self.path.stat().st_size == 0:
            raise UnfitFile("it is empty")
        return _FORMATS[end]

    @property
    def _compression(self) -> str:
        return "gzip" if self.name.lower().endswith(".gz") else "none"

    def _found(self) -> list[str] | None:
        """The names of its columns; None where it has no rows that would have any."""
        match self._format:
            case "csv":
                return list(self._header[1])
            case "json":
                return self._keys()
            case _:
                with pq.ParquetFile(self.path) as file:
                    return list(file.schema_arrow.names)

    def _rows(self) -> Iterator[pa.RecordBatch]:
        match self._format:
            case "csv":
                return self._of_csv()
            case "json":
                return self._of_json()
            case _:
                return self._of_parquet()

    def _of_parquet(self) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self.path) as file:
            names = [column.name for column in self.columns]
            yield from file.iter_batches(_ROWS_AT_ONCE, columns=names)

    @cached_property
    def _header(self) -> tuple[str, Sequence[str]]:
        """The delimiter by which the most of the contract's columns are found, and the columns."""
        open_ = gzip.open if self._compression == "gzip" else open
        with open_(self.path, "rb") as file:
            line = file.readline(_HEADER_BYTES).decode("utf-8-sig")
        wanted = {column.name for column in self.columns}
        read = [(d, next(csv.reader(io.StringIO(line), delimiter=d), [])) for d in _DELIMITERS]
        delimiter, names = max(read, key=lambda one: len(wanted & set(one[1])))
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise UnfitFile(f"it has the column {', '.join(doubled)} twice")
        return delimiter, names

    def _of_csv(self) -> Iterator[pa.RecordBatch]:
        delimiter, names = self._header
        columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
        # Nothing is guessed: a sample may show no quote, and the rest of the file many.
        yield from _answered(
            f"SELECT * FROM read_csv({quoted(self.path)}, auto_detect = false, header = true, "
            f"delim = {quoted(delimiter)}, quote = '\"', escape = '\"', columns = {{{columns}}}, "
            "nullstr = ['', '\\N'], allow_quoted_nulls = false, "
            f"compression = '{self._compression}')"
        )

    @property
    def _objects(self) -> str:
        return (
            f"read_json_objects({quoted(self.path)}, format = 'auto', "
            f"compression = '{self._compression}')"
        )

    def _keys(self) -> list[str] | None:
        found = _answered(
            f"SELECT DISTINCT unnest(json_keys(json)) AS name FROM {self._objects} ORDER BY name"
        )
        return [str(name) for names in found for name in names.column("name").to_pylist()] or None

    def _of_json(self) -> Iterator[pa.RecordBatch]:
        """Numbers as they are written: DuckDB would read them as floats."""
        for texts in _answered(f"SELECT json FROM {self._objects}"):
            objects = [_parsed(str(text)) for text in texts.column("json").to_pylist()]
            yield pa.RecordBatch.from_pydict(
                {
                    column.name: pa.array(
                        [_text(one.get(column.name)) for one in objects], pa.string()
                    )
                    for column in self.columns
                }
            )


def _answered(sql: str) -> Iterator[pa.RecordBatch]:
    connection = duckdb.connect(config={"threads": 1})  # rows in their order, little memory
    try:
        yield from connection.sql(sql).to_arrow_reader(_ROWS_AT_ONCE)
    finally:
        connection.close()


def _parsed(text: str) -> dict[str, Any]:
    found = json.loads(text, parse_float=str, parse_int=str)
    if not isinstance(found, dict):
        raise ValueError(f"{text[:60]} is no JSON object")
    return found


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _shown(day: date | None) -> str:
    return "NULL" if day is None else str(day)
