"""The PostgreSQL of RDS: logins by a token of IAM, and what an administrator prepares once there."""

from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from retail_platform.aws import aws_errors, client
from retail_platform.errors import ConfigurationError
from retail_platform.recommender.vector_store import VectorStore
from retail_platform.sources.address import Address

READER = "retail_reader"
"""Who asks for recommendations: the Lambda."""

_IAM = "rds_iam"
"""The role of RDS whose members log in by a token of IAM, and by nothing else."""

_RECORDS = "dagster_records"
"""Who owns the database of Dagster's records. An administrator is a member of it, and must not be of a
role that logs in by IAM: RDS would refuse his password from then on."""


def with_token(address: Address) -> Address:
    """A PostgreSQL of RDS with a token of IAM as its password, good for a quarter of an hour.

    Args:
        address: Without a password; connections are encrypted unless its options say otherwise.

    Raises:
        ConfigurationError: There are no credentials of AWS, or there is no region.
    """
    with aws_errors(f"asking for a token for {address.user}@{address}"):
        token = client("rds").generate_db_auth_token(
            DBHostname=address.host, Port=address.port, DBUsername=address.user
        )
    return replace(address, password=token, options=address.options or "sslmode=require")


def prepare(admin: Address, publisher: str, records: str) -> None:
    """Makes what is asked of a new PostgreSQL, and of one that has it already nothing new.

    That is the vector store with its functions, a login by IAM each for who publishes and for
    `READER`, and a database for Dagster's records.

    Args:
        admin: The vector store's database, with the login of an administrator.
        publisher: Who publishes vectors, and keeps Dagster's records.
        records: The database of those.

    Raises:
        ConfigurationError: It is no PostgreSQL of RDS.
        VectorStoreError: It does not answer, or refuses.
    """
    store = VectorStore(admin)
    store.prepare()
    with store.connected() as connection:
        _make_role(connection, _RECORDS, "NOLOGIN")
        _grant(connection, _RECORDS, admin.user)
        for user, role in ((publisher, "recommender_publisher"), (READER, "recommender_reader")):
            _make_role(connection, user, "LOGIN")
            _grant(connection, role, user)
            _grant(connection, _IAM, user)
        _grant(connection, _RECORDS, publisher)
        if not _there(connection, "pg_database", "datname", records):
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(records), sql.Identifier(_RECORDS)
                )
            )


def _make_role(connection: "psycopg.Connection[Any]", name: str, kind: str) -> None:
    if not _there(connection, "pg_roles", "rolname", name):
        connection.execute(sql.SQL(f"CREATE ROLE {{}} {kind}").format(sql.Identifier(name)))


def _grant(connection: "psycopg.Connection[Any]", role: str, user: str) -> None:
    if not _there(connection, "pg_roles", "rolname", role):
        raise ConfigurationError(
            f"the database has no role {role}: it is no PostgreSQL of RDS whose users log in by IAM"
        )
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(user)))


def _there(connection: "psycopg.Connection[Any]", table: str, column: str, name: str) -> bool:
    asked = sql.SQL("SELECT FROM {} WHERE {} = %s").format(
        sql.Identifier(table), sql.Identifier(column)
    )
    return connection.execute(asked, [name]).fetchone() is not None
