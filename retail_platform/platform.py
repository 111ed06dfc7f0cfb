"""The platform's parts put together from settings, for the command line and for Dagster alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from retail_platform.build import Builder
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.months import parse_month
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.lake.lake import Lake
from retail_platform.serving.query import LocalSql
from retail_platform.serving.snapshots import LakeSnapshots
from retail_platform.settings import Settings
from retail_platform.sources.database import Source, open_source

SOURCE_DATABASE = "classicmodels"
"""The embedded PostgreSQL's database that stands in for a retailer's."""


@dataclass(frozen=True)
class Platform:
    """What the settings describe; nothing is opened before it is used."""

    settings: Settings

    @cached_property
    def contracts(self) -> Contracts:
        """The tables."""
        return load_contracts()

    @cached_property
    def lake(self) -> Lake:
        """Where they are published."""
        return Lake(self.settings.home / "lake", self.contracts)

    @cached_property
    def builder(self) -> Builder:
        """What builds them."""
        engine = DuckDBEngine(self.settings.memory_limit, self.settings.home / "spill")
        return Builder(self.contracts, self.lake, engine, parse_month(self.settings.first_month))

    @cached_property
    def sql(self) -> LocalSql:
        """What answers SQL."""
        return LocalSql(LakeSnapshots(self.lake), self.settings.memory_limit)

    @contextmanager
    def source_url(self) -> Iterator[str]:
        """The URL of the OLTP database, whose embedded server runs while it is in use."""
        if self.settings.source_url is not None:
            yield self.settings.source_url.get_secret_value()
            return
        from retail_platform.embedded.postgres import embedded_postgres

        with embedded_postgres(self.settings.home) as server:
            yield server.ensure_database(SOURCE_DATABASE)

    def has_shop(self, source: Source) -> bool:
        """Whether the OLTP database holds anything; one table stands for all."""
        return source.prepare(replace(self.contracts.table("offices"), optional=True)) is not None

    @contextmanager
    def source(self) -> Iterator[Source]:
        """A connection to the OLTP database."""
        with self.source_url() as url, open_source(url) as source:
            yield source
