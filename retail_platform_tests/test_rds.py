"""A PostgreSQL as RDS has it, prepared by `retail prepare`: logins by IAM, and Dagster's records.

What is real: PostgreSQL, its rights and roles, Dagster's storage. RDS itself checks the token; here
the users whom `rds_iam` would let in are let in without.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import dagster as dg
import psycopg
import pytest
from dagster_postgres import PostgresEventLogStorage

from retail_platform.aws import region
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.errors import ConfigurationError, VectorStoreError
from retail_platform.platform import Platform
from retail_platform.rds import READER, prepare, with_token
from retail_platform.recommender.vector_store import VectorStore
from retail_platform.runs import prepare_dagster_home
from retail_platform.settings import Settings
from retail_platform.sources.address import Address
from retail_platform_tests.aws import LAKE_BUCKET, PIPES_BUCKET
from retail_platform_tests.recommender.editions import shop
from retail_platform_tests.servers import postgres_server
from retail_platform_tests.shop import Shop

PUBLISHER = "retail_publisher"
RECORDS = "dagster"
SECRET = "rds/vectors"
PASSWORD = "rosebud-4711/+"


@dataclass(frozen=True)
class Rds:
    """A PostgreSQL whose administrator may what one of RDS may."""

    admin: Address
    hba: Path

    def url_of(self, user: str, database: str) -> str:
        """Without a password, and without TLS, which this server does not have."""
        return replace(
            self.admin, user=user, password="", database=database, options="sslmode=prefer"
        ).url

    def rows(self, sql: str, user: str, database: str) -> list[tuple[Any, ...]]:
        with closing(psycopg.connect(self.url_of(user, database), autocommit=True)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """One of its own: roles are the whole server's, and other tests make some of the same name."""
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def rds(server: EmbeddedPostgres) -> Iterator[Rds]:
    """Made as RDS makes it: its own superuser creates the administrator and the role of IAM."""
    owner = Address.parse(server.ensure_database("rds_vectors"))
    with closing(psycopg.connect(owner.url, autocommit=True)) as connection:
        for statement in (
            "CREATE EXTENSION IF NOT EXISTS vector",
            f"CREATE ROLE administrator LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}'",
            "CREATE ROLE rds_iam NOLOGIN",
            "GRANT rds_iam TO administrator WITH ADMIN OPTION, INHERIT FALSE, SET FALSE",
            "ALTER DATABASE rds_vectors OWNER TO administrator",
        ):
            connection.execute(statement)
        hba = Path(connection.execute("SHOW hba_file").fetchall()[0][0])
        before = hba.read_text()
        hba.write_text(f"host all {PUBLISHER},{READER} 127.0.0.1/32 trust\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        admin = replace(owner, user="administrator", password=PASSWORD)
        yield Rds(admin, hba)
        hba.write_text(before)
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def prepared(rds: Rds) -> Rds:
    prepare(rds.admin, PUBLISHER, RECORDS)
    return rds


def settings_of(rds: Rds, home: Path) -> Settings:
    return Settings(
        home=home,
        env="aws",
        lake_bucket=LAKE_BUCKET,
        pipes_bucket=PIPES_BUCKET,
        glue_job="job",
        athena_workgroup="group",
        source_secret="secret",
        vectors_url=rds.url_of(PUBLISHER, "rds_vectors"),  # type: ignore[arg-type]
        records_url=rds.url_of(PUBLISHER, RECORDS),
    )


def test_preparing_twice_changes_nothing(prepared: Rds) -> None:
    asked = (
        "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members"
        " WHERE grantor <> 10 ORDER BY 1, 2"
    )
    before = prepared.rows(asked, PUBLISHER, "rds_vectors")
    prepare(prepared.admin, PUBLISHER, RECORDS)
    assert prepared.rows(asked, PUBLISHER, "rds_vectors") == before
    assert {
        ("rds_iam", PUBLISHER),
        ("rds_iam", READER),
        ("recommender_publisher", PUBLISHER),
        ("recommender_reader", READER),
        ("dagster_records", PUBLISHER),
    } <= set(before)


def test_the_administrator_is_granted_no_role_that_logs_in_by_iam(prepared: Rds) -> None:
    """RDS would refuse his password then."""
    granted = prepared.rows(
        "SELECT roleid::regrole::text FROM pg_auth_members"
        " WHERE member = 'administrator'::regrole AND set_option",
        PUBLISHER,
        "rds_vectors",
    )
    assert {role for (role,) in granted} == {"dagster_records", "recommender_publisher"}


def test_who_publishes_publishes_and_who_reads_asks(
    prepared: Rds, aws: str, tmp_path: Path
) -> None:
    with Platform(settings_of(prepared, tmp_path)).vector_store() as store:
        store.publish(shop()[1])
    reader = VectorStore(Address.parse(prepared.url_of(READER, "rds_vectors")))
    assert reader.recommend(count=3)
    with pytest.raises(VectorStoreError, match="recommender_publisher"):
        reader.publish(shop()[1])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        prepared.rows("SELECT * FROM recommender.versions", READER, "rds_vectors")


def test_dagsters_records_outlive_its_machine(prepared: Rds, aws: str, tmp_path: Path) -> None:
    @dg.asset
    def offices() -> None: ...

    key = dg.AssetKey("offices")
    first = prepare_dagster_home(settings_of(prepared, tmp_path / "first"))
    with dg.DagsterInstance.from_config(str(first)) as instance:
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        dg.materialize([offices], instance=instance)
    assert PASSWORD not in (first / "dagster.yaml").read_text()
    second = prepare_dagster_home(settings_of(prepared, tmp_path / "second"))
    with dg.DagsterInstance.from_config(str(second)) as instance:
        assert instance.get_latest_materialization_event(key) is not None


def test_a_token_is_for_one_user_of_one_database(aws: str) -> None:
    address = Address.parse("postgresql://clerk@db.example.com:5433/recommender")
    known = with_token(address)
    parts = urlsplit(f"//{known.password}")
    assert parts.netloc == "db.example.com:5433"
    asked = parse_qs(parts.query)
    assert (asked["Action"], asked["DBUser"]) == (["connect"], ["clerk"])
    assert region() in asked["X-Amz-Credential"][0]
    assert known.options == "sslmode=require"
    assert with_token(replace(address, options="sslmode=prefer")).options == "sslmode=prefer"


def test_what_is_no_rds_is_told(server: EmbeddedPostgres, rds: Rds) -> None:
    url = server.ensure_database("no_rds")
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("ALTER ROLE rds_iam RENAME TO elsewhere")
        try:
            with pytest.raises(ConfigurationError, match="no role rds_iam: it is no PostgreSQL of"):
                prepare(Address.parse(url), "somebody", RECORDS)
        finally:
            connection.execute("ALTER ROLE elsewhere RENAME TO rds_iam")


def shop_of(rds: Rds, home: Path, **more: str) -> Shop:
    settings = settings_of(rds, home)
    told = {
        f"RETAIL_{name.upper()}": str(getattr(settings, name))
        for name in (
            *("env", "lake_bucket", "pipes_bucket", "glue_job", "athena_workgroup"),
            *("source_secret", "records_url"),
        )
    }
    told["RETAIL_VECTORS_URL"] = rds.url_of(PUBLISHER, "rds_vectors")
    return Shop(home, settings={**told, **more})


def test_the_command_prepares_databases_and_machine(rds: Rds, aws: str, tmp_path: Path) -> None:
    secret = json.dumps({"username": rds.admin.user, "password": PASSWORD})
    boto3.client("secretsmanager").create_secret(Name=SECRET, SecretString=secret)
    result = shop_of(rds, tmp_path).run("prepare", "--admin-secret", SECRET)
    assert result.returncode == 0, result.stderr
    assert f"DAGSTER_HOME={tmp_path}/dagster" in result.stderr
    assert (tmp_path / "dagster" / "dagster.yaml").exists()


@pytest.mark.parametrize(
    ("more", "secret", "told"),
    [
        ({"RETAIL_RECORDS_URL": ""}, SECRET, "set RETAIL_VECTORS_URL and RETAIL_RECORDS_URL"),
        ({}, "no-such-secret", "create it, or correct --admin-secret"),
        (
            {"RETAIL_RECORDS_URL": "postgresql://clerk:pw@db.example.com/dagster"},
            SECRET,
            "write the URL without a password",
        ),
        ({"RETAIL_RECORDS_URL": "mysql://clerk@db.example.com/dagster"}, SECRET, "PostgreSQL"),
        ({"RETAIL_ENV": "embedded", "RETAIL_ENGINE": "duckdb"}, SECRET, "RETAIL_ENV=aws"),
    ],
)
def test_what_cannot_be_prepared_is_told(
    rds: Rds, aws: str, tmp_path: Path, more: dict[str, str], secret: str, told: str
) -> None:
    result = shop_of(rds, tmp_path, **more).run("prepare", "--admin-secret", secret)
    assert result.returncode == 2, result.stderr
    assert told in result.stderr
    assert "Traceback" not in result.stderr
