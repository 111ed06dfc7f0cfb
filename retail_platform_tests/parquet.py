"""Data files made for a test, as engines write them, and the rows of files."""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retail_platform.contracts.model import Table
from retail_platform.engines.extraction import arrow_type

Row = dict[str, Any]


def write_files(
    table: Table, location: str, rows: Sequence[Row], field_ids: Mapping[str, int] | None = None
) -> tuple[str, ...]:
    """Writes rows in the contract's types, one file for each month of a monthly table."""
    ids = field_ids or {name: index for index, name in enumerate(table.column_names, 1)}
    schema = pa.schema(
        [
            pa.field(
                column.name,
                arrow_type(column.type),
                metadata={"PARQUET:field_id": str(ids[column.name])},
            )
            for column in table.columns
        ]
    )
    parts: dict[object, list[Row]] = {}
    for row in rows:
        parts.setdefault(row[table.partition.column] if table.partition else None, []).append(row)
    folder = path_of(location)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for part in parts.values():
        file = folder / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(pa.Table.from_pylist(part, schema=schema), file)
        files.append(f"file://{file}")
    return tuple(files)


def read_rows(files: Sequence[str]) -> list[Row]:
    """The rows of all files, in their order."""
    return [row for file in files for row in pq.ParquetFile(path_of(file)).read().to_pylist()]


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))
