"""Source databases, filled statement by statement."""

from collections.abc import Callable

import psycopg
import pymysql
import pytest

from retail_platform.sources.address import Address

Run = Callable[..., None]


@pytest.fixture
def in_mysql(mysql_url: str) -> Run:
    """Runs statements in the MariaDB database, under no sql_mode, which lets zero dates in."""

    def run(*statements: str) -> None:
        address = Address.parse(mysql_url)
        with (
            pymysql.connect(
                host=address.host,
                port=address.port,
                user=address.user,
                password=address.password,
                database=address.database,
                autocommit=True,
                charset="utf8mb4",
                init_command="SET sql_mode = 'ALLOW_INVALID_DATES'",
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)

    return run


@pytest.fixture
def in_postgres(postgres_url: str) -> Run:
    """Runs statements in the PostgreSQL database."""

    def run(*statements: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    return run
