"""Data files made for a test, as engines write them, and the rows of files."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retail_platform.contracts.model import Table
from retail_platform.engines.extraction import arrow_type
from retail_platform.engines.protocol import DataFile

Row = dict[str, Any]


def write_files(
    table: Table, location: str, rows: Sequence[Row], field_ids: Mapping[str, int] | None = None
) -> tuple[DataFile, ...]:
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
    parts: dict[date | None, list[Row]] = {}
    for row in rows:
        parts.setdefault(row[table.partition.column] if table.partition else None, []).append(row)
    folder = path_of(location)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for month, part in parts.items():
        file = folder / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(pa.Table.from_pylist(part, schema=schema), file)
        files.append(DataFile(f"file://{file}", month))
    return tuple(files)


def read_rows(files: Sequence[DataFile]) -> list[Row]:
    """The rows of all files, in their order."""
    return [row for file in files for row in pq.ParquetFile(path_of(file)).read().to_pylist()]


def path_of(file: DataFile | str) -> Path:
    uri = file if isinstance(file, str) else file.uri
    return Path(uri.removeprefix("file://"))
