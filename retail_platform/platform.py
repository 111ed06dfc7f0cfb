"""The platform's parts put together from settings, for the command line and for Dagster alike."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from retail_platform.build import Builder
from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.months import parse_month
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.errors import ConfigurationError
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake
from retail_platform.lake.storage import Storage
from retail_platform.serving.query import LocalSql, QueryService
from retail_platform.serving.snapshots import LakeSnapshots
from retail_platform.settings import RECORDS_URL, VECTORS_URL, Settings, provide_java
from retail_platform.sources.address import Address
from retail_platform.sources.database import Source
from retail_platform.sources.secret import address_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lambda_inference.answers import RecommendationEvent
    from lambda_inference.events import BrowseEvent
    from retail_platform.engines.spark import SparkEngine
    from retail_platform.landing.feed import Landing
    from retail_platform.recommender.history import History
    from retail_platform.recommender.vector_store import VectorStore
    from retail_platform.streaming.arrivals import Arrivals
    from retail_platform.streaming.ingestion import Ingestion
    from retail_platform.streaming.sending import Sink

DELIVERED = "delivered"
"""The folder, or the prefix of the lake's bucket, where Firehose lays what it delivers."""

LANDING = "landing"
"""The folder, or the prefix of the lake's bucket, where exports of raw tables land."""

SOURCE_DATABASE = "classicmodels"
"""The embedded PostgreSQL's database that stands in for a retailer's."""

VECTORS_DATABASE = "recommender"
"""The embedded PostgreSQL's database that recommendations are served from."""


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
        """The tables, and which of them files feed."""
        return load_contracts().landing(self.settings.landed_tables)

    @cached_property
    def lake(self) -> Lake:
        """Where they are published."""
        return Lake(self._storage, self.contracts)

    @property
    def _storage(self) -> Storage:
        settings = self.settings
        if settings.on_aws:
            from retail_platform.lake.s3 import S3Storage

            return S3Storage(settings.lake_bucket, database_prefix=settings.database_prefix)
        return FolderStorage(settings.home / "lake")

    @cached_property
    def builder(self) -> Builder:
        """What builds and checks them; on AWS it builds with the engine of a Dagster step."""
        first_month = parse_month(self.settings.first_month)
        if self.settings.on_aws:
            from retail_platform.serving.athena_audit import AthenaAuditor

            auditor = AthenaAuditor(self.settings.athena_workgroup, self.settings.database_prefix)
            return Builder(self.contracts, self.lake, auditor, None, first_month)
        engine = self._engine
        return Builder(self.contracts, self.lake, engine, engine, first_month)

    @property
    def _engine(self) -> "DuckDBEngine | SparkEngine":
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
    def sql(self) -> QueryService:
        """What answers SQL."""
        snapshots = LakeSnapshots(self.lake)
        if self.settings.on_aws:
            from retail_platform.serving.athena import AthenaSql

            workgroup, prefix = self.settings.athena_workgroup, self.settings.database_prefix
            return AthenaSql(workgroup, prefix, snapshots)
        return LocalSql(snapshots, self.settings.memory_limit)

    @cached_property
    def ingestion(self) -> "Ingestion":
        """What takes delivered events into the lake."""
        from retail_platform.streaming.ingestion import Ingestion

        settings = self.settings
        # New rows are audited where they are made, which is here on AWS too.
        auditor = DuckDBEngine(settings.memory_limit, settings.home / "spill")
        return Ingestion(self.lake, auditor, self._arrivals(DELIVERED))

    @cached_property
    def landing(self) -> "Landing":
        """What takes files that land into the raw layer."""
        from retail_platform.landing.feed import Landing

        settings = self.settings
        local = DuckDBEngine(settings.memory_limit, settings.home / "spill")
        return Landing(self.builder, local, self._arrivals(LANDING))

    def _arrivals(self, place: str) -> "Arrivals":
        from retail_platform.streaming.arrivals import BucketArrivals, FolderArrivals

        settings = self.settings
        if settings.on_aws:
            queues = {DELIVERED: settings.delivered_queue, LANDING: settings.landing_queue}
            return BucketArrivals(settings.lake_bucket, place, queues[place])
        return FolderArrivals(settings.home / place)

    @contextmanager
    def event_sink(
        self, note: "Callable[[RecommendationEvent], object]" = lambda _: None
    ) -> Iterator["Sink"]:
        """Where browse events go: to Kinesis, or here through the Lambda's own handler.

        Args:
            note: Told of every answer that is given here.

        Raises:
            ConfigurationError: There is no stream.
        """
        if self.settings.on_aws:
            from retail_platform.streaming.sending import KinesisSink

            if not self.settings.event_stream:
                raise ConfigurationError(
                    "there is no stream of browse events: set RETAIL_EVENT_STREAM to one of Kinesis"
                )
            yield KinesisSink(self.settings.event_stream)
            return
        from lambda_inference import firehose
        from lambda_inference.inference import Inference
        from lambda_inference.store import VectorReader
        from retail_platform.streaming.delivery import LocalDelivery

        with self.vector_store() as store:
            reader = VectorReader(lambda: store.address.url)
            inference = Inference(reader)

            def answer(events: "Sequence[BrowseEvent]") -> "list[RecommendationEvent]":
                answers = inference.answer(events)
                for one in answers:
                    note(one)
                return answers

            folder = self.settings.home / DELIVERED
            try:
                yield LocalDelivery(folder, lambda request: firehose.transform(request, answer))
            finally:
                reader.close()

    @property
    def history(self) -> "History":
        """The store's own sales, as far as they are published."""
        from retail_platform.contracts.sql import to_athena
        from retail_platform.recommender.history import TRAINING_SET, History

        model = self.contracts.table(TRAINING_SET)
        return History(lambda sql: self.sql.run(to_athena(sql)), model.sql)

    @contextmanager
    def source_address(self) -> Iterator[Address]:
        """Where the OLTP database is, whose embedded server runs while it is in use."""
        if self.settings.on_aws:
            yield self.address_in_secret()
            return
        if self.settings.source_url is not None:
            yield Address.parse(self.settings.source_url.get_secret_value())
            return
        from retail_platform.embedded.postgres import embedded_postgres

        with embedded_postgres(self.settings.home) as server:
            yield Address.parse(server.ensure_database(SOURCE_DATABASE))

    @contextmanager
    def vector_store(self) -> Iterator["VectorStore"]:
        """Where recommendations are served from, whose embedded server runs while it is in use.

        Raises:
            ConfigurationError: There is none.
        """
        from retail_platform.recommender.vector_store import VectorStore

        url = self.settings.vectors_url
        if url is not None:
            address = Address.parse(url.get_secret_value(), VECTORS_URL)
            if self.settings.on_aws and not address.password:
                from retail_platform.rds import with_token

                address = with_token(address)
            yield VectorStore(address)
            return
        if not self.settings.serves_vectors:
            raise ConfigurationError(
                f"there is no vector store: set {VECTORS_URL} to a PostgreSQL with pgvector"
            )
        from retail_platform.embedded.postgres import embedded_postgres

        with embedded_postgres(self.settings.home) as server:
            yield VectorStore(Address.parse(server.ensure_database(VECTORS_DATABASE), VECTORS_URL))

    def address_in_secret(self) -> Address:
        """Where the OLTP database is on AWS, with its login from Secrets Manager.

        Raises:
            ConfigurationError: The secret is missing or of no use.
        """
        from retail_platform.aws import secret_text

        name, url = self.settings.source_secret, self.settings.source_url
        text = secret_text(name, "correct RETAIL_SOURCE_SECRET")
        return address_of(text, name, url.get_secret_value() if url else None)

    def prepare_databases(self, admin_secret: str) -> None:
        """Makes the PostgreSQL of RDS what the platform asks of it; see `rds.prepare`.

        Args:
            admin_secret: The secret with an administrator's login, name or ARN.

        Raises:
            ConfigurationError: This is not AWS, or a setting or the secret is of no use.
            VectorStoreError: The database does not answer, or refuses.
        """
        from retail_platform.aws import secret_text
        from retail_platform.rds import prepare
        from retail_platform.sources.secret import login_of

        url, records = self.settings.vectors_url, self.settings.records_url
        if url is None or not records:
            raise ConfigurationError(
                f"there are no databases to prepare: set {VECTORS_URL} and {RECORDS_URL}, as "
                "`terraform output settings` says them"
            )
        address = Address.parse(url.get_secret_value(), VECTORS_URL)
        user, password = login_of(secret_text(admin_secret, "correct --admin-secret"), admin_secret)
        admin = replace(
            address, user=user, password=password, options=address.options or "sslmode=require"
        )
        prepare(admin, address.user, Address.parse(records, RECORDS_URL).database)

    def has_shop(self, source: Source) -> bool:
        """Whether the OLTP database holds anything; one table stands for all."""
        return source.prepare(replace(self.contracts.table("offices"), optional=True)) is not None

    @contextmanager
    def source(self) -> Iterator[Source]:
        """A connection to the OLTP database."""
        with self.source_address() as address, Source(address) as source:
            yield source


def spark_config(settings: Settings) -> dict[str, str]:
    """What a session of Spark on this machine is set to."""
    from retail_platform.engines.spark import local_config

    return local_config(settings.memory_limit, settings.home / "spill")
