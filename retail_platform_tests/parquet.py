"""Data files made for a test, as engines write them, and the rows of files."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem, LocalFileSystem

from retail_platform.contracts.model import Table
from retail_platform.engines.parquet import stored_schema
from retail_platform.engines.protocol import DataFile
from retail_platform_tests.aws import REGION

Row = dict[str, Any]


def write_files(
    table: Table, location: str, rows: Sequence[Row], field_ids: Mapping[str, int] | None = None
) -> tuple[DataFile, ...]:
    """Writes rows in the contract's types, one file for each month of a monthly table."""
    ids = field_ids or {name: index for index, name in enumerate(table.column_names, 1)}
    schema = stored_schema(table, ids)
    parts: dict[date | None, list[Row]] = {}
    for row in rows:
        parts.setdefault(row[table.partition.column] if table.partition else None, []).append(row)
    filesystem, folder = opened(location)
    if isinstance(filesystem, LocalFileSystem):  # in a bucket it would be an object
        filesystem.create_dir(folder)
    files = []
    for month, part in parts.items():
        name = f"{uuid.uuid4().hex}.parquet"
        data = pa.Table.from_pylist(part, schema=schema)
        pq.write_table(data, f"{folder}/{name}", filesystem=filesystem)
        files.append(DataFile(f"{location}/{name}", month))
    return tuple(files)


def read_rows(files: Sequence[DataFile]) -> list[Row]:
    """The rows of all files, in their order."""
    return [row for file in files for row in _rows(file.uri)]


def _rows(uri: str) -> list[Row]:
    filesystem, path = opened(uri)
    rows: list[Row] = pq.ParquetFile(path, filesystem=filesystem).read().to_pylist()
    return rows


def opened(uri: str) -> tuple[FileSystem, str]:
    """What a URI is read and written by, and the path to give to it."""
    scheme, _, path = uri.partition("://")
    if scheme == "file":  # which pyarrow would decode, where Iceberg's readers do not
        return LocalFileSystem(), path
    filesystem, path = FileSystem.from_uri(f"{uri}?region={REGION}")
    return filesystem, path


def path_of(file: DataFile | str) -> Path:
    uri = file if isinstance(file, str) else file.uri
    return Path(uri.removeprefix("file://"))
