"""What a kind of database must answer about itself, over one ordinary connection."""

from collections.abc import Sequence
from typing import Any, Protocol

from retail_platform.sources.columns import SourceType
from retail_platform.sources.naming import Relations


class Driver(Protocol):
    """One open connection for small questions; rows in bulk go through connectorx.

    Every method raises SourceError, which names the source and never shows the password.
    """

    def bulk_url(self) -> str:
        """The URL by which connectorx reaches the same server in the same way; a secret."""

    def relations(self, schema: str) -> Relations:
        """The tables and views of a schema; the empty name means those found unqualified."""

    def describe(self, sql: str) -> dict[str, SourceType]:
        """The columns that a query gives, and their types; no row is read."""

    def fetch(self, sql: str) -> Sequence[Sequence[Any]]:
        """All rows of a query that gives few."""

    def close(self) -> None:
        """Ends the connection."""
