"""Where a lake is: what a folder with SQLite and a bucket with AWS Glue do differently."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pyiceberg.catalog import Catalog

from retail_platform.errors import LakeError

LOCK_SECONDS = 600
WAITING = "another build is at work on the lake; waiting for it"


@dataclass(frozen=True)
class StoredFile:
    """A file that is there, whether a snapshot names it or not."""

    uri: str
    size: int
    modified: datetime


class Storage(Protocol):
    """Files and the catalog that says which of them are tables."""

    @property
    def warehouse(self) -> str:
        """The URI below which all files are; without a slash at its end."""

    @property
    def catalog(self) -> Catalog:
        """The catalog, opened when first asked for, with a namespace for every layer.

        Raises:
            RetailError: It cannot be opened; the message says what to mend.
        """

    def namespace(self, layer: str) -> str:
        """What the catalog calls a layer."""

    def exclusively(self) -> AbstractContextManager[None]:
        """One writer at a time; a killed one's lock becomes free by itself.

        Raises:
            LakeError: Another writer does not come to an end.
        """

    def require_held(self) -> None:
        """Makes sure that who is inside `exclusively` is still the only writer.

        Raises:
            LakeError: Another has taken over.
        """

    def reading(self, name: str) -> AbstractContextManager[None]:
        """Turns what goes wrong while the table `name` is read into our errors."""

    def publishing(self, name: str) -> AbstractContextManager[None]:
        """Turns what goes wrong while the table `name` is changed into `LakeError`."""

    def files(self, uri: str) -> Sequence[StoredFile]:
        """All files below a URI, as `canonical` spells them; none where nothing is."""

    def canonical(self, uri: str) -> str:
        """The one spelling of a file that may be spelt in several ways."""

    def put(self, path: Path, uri: str) -> None:
        """Moves a file of this machine to a URI, whole or not at all."""

    def fetch(self, uri: str, path: Path) -> None:
        """Copies a file to a path of this machine."""

    def delete(self, uris: Sequence[str]) -> None:
        """Deletes files, and the folders that become empty."""

    def discard(self, uri: str) -> None:
        """Deletes all below a URI; what cannot be deleted is left for a vacuum."""


def never_ends() -> LakeError:
    """Why a writer that has waited for another gives up."""
    return LakeError(
        f"another build has been at work on the lake for {LOCK_SECONDS} s; wait for it or stop it, "
        "then try again"
    )
