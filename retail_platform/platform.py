"""The platform's parts put together from settings, for the command line and for Dagster alike."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from retail_platform.build import Builder
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.months import parse_month
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.protocol import Engine
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake
from retail_platform.serving.query import LocalSql
from retail_platform.serving.snapshots import LakeSnapshots
from retail_platform.settings import Settings, provide_java
from retail_platform.sources.database import Source, open_source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SOURCE_DATABASE = "classicmodels"
"""The embedded PostgreSQL's database that stands in for a retailer's."""


@dataclass(frozen=True)
class Platform:
    """What the settings describe; nothing is opened before it is used.

    Attributes:
        settings: Which parts, and where.
        session: Gives Spark's session where another than our own shall be used.
    """

    settings: Settings
    session: "Callable[[], SparkSession] | None" = None

    @cached_property
    def contracts(self) -> Contracts:
        """The tables."""
        return load_contracts()

    @cached_property
    def lake(self) -> Lake:
        """Where they are published."""
        return Lake(FolderStorage(self.settings.home / "lake"), self.contracts)

    @cached_property
    def builder(self) -> Builder:
        """What builds them."""
        first_month = parse_month(self.settings.first_month)
        return Builder(self.contracts, self.lake, self._engine, first_month)

    @property
    def _engine(self) -> Engine:
        if self.settings.engine == "spark":
            from retail_platform.engines.spark import SparkEngine

            return SparkEngine(self.spark_session)
        return DuckDBEngine(self.settings.memory_limit, self.settings.home / "spill")

    def spark_session(self) -> "SparkSession":
        """The session, one for the whole process."""
        provide_java()
        if self.session is not None:
            return self.session()
        from pyspark.sql import SparkSession

        builder = SparkSession.builder
        for name, value in spark_config(self.settings).items():
            builder = builder.config(name, value)
        return builder.getOrCreate()

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


def spark_config(settings: Settings) -> dict[str, str]:
    """What a session of Spark on this machine is set to."""
    from retail_platform.engines.spark import local_config

    return local_config(settings.memory_limit, settings.home / "spill")
