"""Servers that the whole test run shares, and a fresh database of them for each test."""

import os
import sys
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.glue.bundle import write_bundle
from retail_platform.platform import Platform, spark_config
from retail_platform.settings import Settings
from retail_platform_tests import aws as aws_services
from retail_platform_tests.athena import Athena, athena_service
from retail_platform_tests.glue.stand_in import (
    JDBC_JARS,
    KEPT_CLASSES,
    PYTHON,
    SHORT_LIVED,
    StandIn,
    serving,
)
from retail_platform_tests.servers import (
    MariaDB,
    mariadb_server,
    mariadbd_path,
    postgres_server,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# How long an example takes is the machine's affair, and several test files run at a time.
hypothesis_settings.register_profile("retail", deadline=None)
hypothesis_settings.load_profile("retail")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A running MariaDB, or the MySQL server that RETAIL_TEST_MYSQL_URL names."""
    if url := os.environ.get("RETAIL_TEST_MYSQL_URL"):
        yield MariaDB.at(url)
        return
    if mariadbd_path() is None:
        pytest.skip("mariadbd is not installed; install the system's mariadb-server")
    with mariadb_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL with pgvector."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SparkSession]":
    """A Spark of this process, on the Java that comes with the extra `spark`, and JDBC if it is there."""
    settings = Settings(home=tmp_path_factory.mktemp("spark"), engine="spark", memory_limit="1GB")
    jars = ":".join(str(jar) for jar in JDBC_JARS.values() if jar.exists())

    def start() -> "SparkSession":
        from pyspark.sql import SparkSession

        builder = SparkSession.builder
        for name, value in {**spark_config(settings), **KEPT_CLASSES}.items():
            options = f" {SHORT_LIVED}" if name == "spark.driver.extraJavaOptions" else ""
            builder = builder.config(name, value + options)
        return builder.config("spark.driver.extraClassPath", jars).getOrCreate()

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYSPARK_PYTHON", sys.executable)
        session = Platform(settings, session=start).spark_session()
        yield session
        session.stop()


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """AWS's services on a loopback port."""
    with aws_services.moto_server() as url:
        yield url


@pytest.fixture
def aws(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, emptied, for the clients of this process."""
    aws_services.use(monkeypatch, aws_url)
    return aws_url


@pytest.fixture(scope="session")
def glue_cluster(aws_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """The bundle and a cluster to run it on, with the libraries of Glue 5.1."""
    if not PYTHON.exists():
        pytest.skip("the libraries of Glue 5.1 are not there: `make test` installs .venv-glue")
    folder = tmp_path_factory.mktemp("glue")
    stand_in = StandIn(write_bundle(folder / "dist"), aws_url, folder)
    yield stand_in
    stand_in.close()


@pytest.fixture
def glue(aws: str, glue_cluster: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A Glue whose job runs are real."""
    with serving(glue_cluster, monkeypatch) as stand_in:
        yield stand_in


@pytest.fixture
def athena(aws: str) -> Iterator[Athena]:
    """An Athena that answers, over the tables of the Glue catalog in `aws`."""
    with athena_service() as service:
        yield service


@pytest.fixture
def mysql_url(mariadb: MariaDB) -> str:
    """The URL of a fresh, empty MariaDB database."""
    return mariadb.create_database(_fresh_name())


@pytest.fixture
def postgres_url(postgres: EmbeddedPostgres) -> str:
    """The URL of a fresh, empty PostgreSQL database."""
    return postgres.ensure_database(_fresh_name())


def _fresh_name() -> str:
    return f"test_{uuid.uuid4().hex[:12]}"
