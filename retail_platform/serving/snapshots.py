"""The lake as serving sees it: which files a table is, now or at a moment."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from retail_platform.engines.duckdb import duckdb_type
from retail_platform.errors import LakeError
from retail_platform.lake.lake import Lake


class LakeSnapshots:
    """Implements `serving.query.SnapshotReader` and `serving.athena.SnapshotHistory`."""

    def __init__(self, lake: Lake) -> None:
        """Reads the lake only when asked."""
        self._lake = lake
        # A snapshot never changes, and its manifests take longer to read than a small query.
        self._files = lru_cache(maxsize=256)(self._files_of)

    def tables(self) -> Mapping[str, str]:
        """The layer of every published table, by the table's name."""
        return self._lake.published()

    def files(self, table: str, as_of: datetime | None) -> Sequence[str]:
        """The data files of a table's snapshot; none before its first one."""
        version = self._lake.version(table, as_of)
        return self._files(table, version.snapshot_id) if version else ()

    def _files_of(self, table: str, snapshot_id: int) -> tuple[str, ...]:
        return tuple(file.uri for file in self._lake.files(table, snapshot_id=snapshot_id))

    def snapshot(self, table: str, as_of: datetime | None) -> int:
        """The id of a published table's snapshot."""
        version = self._lake.version(table, as_of)
        if version is None:
            raise LakeError(f"{table} was never built: run `retail build {table}` first")
        return version.snapshot_id

    def columns(self, table: str, as_of: datetime | None) -> Sequence[tuple[str, str]]:
        """Name and DuckDB type of the columns of a table's snapshot."""
        version = self._lake.version(table, as_of)
        snapshot_id = version.snapshot_id if version else None
        return [
            (name, duckdb_type(type_)) for name, type_ in self._lake.columns(table, snapshot_id)
        ]
