"""A lake in a folder, with its catalog in SQLite beside the files."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from retail_platform.contracts.loader import LAYERS
from retail_platform.errors import LakeError
from retail_platform.lake.storage import LOCK_SECONDS, WAITING, StoredFile, never_ends

log = logging.getLogger(__name__)


class FolderStorage:
    """A folder; nothing is read or written until it is used.

    Attributes:
        folder: Where the catalog, metadata and data files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def warehouse(self) -> str:
        """The folder's URI."""
        return _uri_of(self.folder)

    @cached_property
    def catalog(self) -> SqlCatalog:
        """The catalog in SQLite."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            catalog = SqlCatalog(
                "retail",
                # As SQLAlchemy spells it: a folder may have a % in its name.
                uri=str(URL.create("sqlite", database=str(self.folder / "catalog.db"))),
                warehouse=self.warehouse,
            )
            for layer in LAYERS:
                catalog.create_namespace_if_not_exists(layer)
        except Exception as error:
            # SQLAlchemy, SQLite and the file system each raise their own; to a user it is one fact.
            raise LakeError(
                f"the lake in {self.folder} cannot be opened ({error}); "
                "check that the disk is writable and not full"
            ) from error
        return catalog

    def namespace(self, layer: str) -> str:
        """The layer itself."""
        return layer

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """A lock on a file, which the kernel frees when its holder is killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "lake.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log.warning(WAITING)
            try:
                lock.acquire(timeout=LOCK_SECONDS)
            except Timeout:
                raise never_ends() from None
        try:
            yield
        finally:
            lock.release()

    def require_held(self) -> None:
        """Nobody can take the kernel's lock away."""

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Turns errors of the disk into ours."""
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"{name} cannot be read: {error}; a lake works only where it was built: "
                "move it back to its folder, or build again in an empty one"
            ) from error

    @contextmanager
    def publishing(self, name: str) -> Iterator[None]:
        """Turns errors of the disk and of SQLite into ours."""
        try:
            yield
        except (OSError, SQLAlchemyError) as error:
            raise LakeError(
                f"{name} could not be published: {error}; readers still see the last version"
            ) from error

    def files(self, uri: str) -> Sequence[StoredFile]:
        """All files below a folder."""
        paths = sorted(_path_of(self.canonical(uri)).rglob("*"))
        found = [(path, path.stat()) for path in paths if path.is_file()]
        return [
            StoredFile(_uri_of(path), stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))
            for path, stat in found
        ]

    def canonical(self, uri: str) -> str:
        """As the disk has it: a home has many spellings, and a link is one of them."""
        return _uri_of(_path_of(uri).resolve())

    def put(self, path: Path, uri: str) -> None:
        """Moves a file; the folder of what is made and the lake may be on two disks."""
        target = _path_of(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)

    def fetch(self, uri: str, path: Path) -> None:
        """Copies a file."""
        shutil.copyfile(_path_of(uri), path)

    def delete(self, uris: Sequence[str]) -> None:
        """Deletes files, and the folders that become empty."""
        top = self.folder.resolve()
        for uri in uris:
            path = _path_of(uri)
            path.unlink()
            for folder in path.parents:
                if folder == top or any(folder.iterdir()):
                    break
                folder.rmdir()

    def discard(self, uri: str) -> None:
        """Deletes a folder."""
        shutil.rmtree(_path_of(uri), ignore_errors=True)


def _path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _uri_of(path: Path) -> str:
    """`file://` and the path as it is: Iceberg's readers do not decode percent signs."""
    return f"file://{path}"
