"""The source's login as it stands in a secrets store, and that it stays there."""

import json

import pytest

from retail_platform.errors import ConfigurationError
from retail_platform.sources.secret import address_of, with_login

LOGIN = {"username": "reader", "password": "p@ss/w:rd"}
WHOLE = {**LOGIN, "engine": "mysql", "host": "db.example.com", "dbname": "shop"}


def test_a_secret_of_rds_is_a_source() -> None:
    address = address_of(json.dumps({**WHOLE, "port": 3307}), "shop")
    assert str(address) == "db.example.com:3307/shop"
    assert (address.dialect.name, address.user) == ("mysql", "reader")
    assert address.password == "p@ss/w:rd"


@pytest.mark.parametrize(
    ("engine", "dialect", "port"),
    [
        ("mariadb", "mysql", 3306),
        ("aurora-mysql", "mysql", 3306),
        ("postgres", "postgres", 5432),
        ("aurora-postgresql", "postgres", 5432),
    ],
)
def test_every_engine_of_rds_that_we_read(engine: str, dialect: str, port: int) -> None:
    address = address_of(json.dumps({**WHOLE, "engine": engine}), "shop")
    assert (address.dialect.name, address.port) == (dialect, port)


def test_a_login_alone_needs_a_url() -> None:
    url = "mysql://db:3307/shop?ssl-mode=required"
    address = address_of(json.dumps(LOGIN), "shop", url)
    assert str(address) == "db:3307/shop"
    assert address.option("ssl-mode") == "required"
    assert address.user == "reader"


@pytest.mark.parametrize("host", ["2001:db8::7", "[2001:db8::7]"])
def test_a_host_may_be_an_address_of_ipv6(host: str) -> None:
    address = address_of(json.dumps({**WHOLE, "host": host, "port": "3307"}), "shop")
    assert (address.host, address.port) == ("2001:db8::7", 3307)


def test_messages_say_where_the_login_can_be_corrected() -> None:
    assert address_of(json.dumps(WHOLE), "shop").place == "the secret shop (RETAIL_SOURCE_SECRET)"
    beside = address_of(json.dumps(LOGIN), "shop", "mysql://db/shop")
    assert beside.place == "the secret shop (RETAIL_SOURCE_SECRET) or RETAIL_SOURCE_URL"


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        (json.dumps(LOGIN), "has no usable engine"),
        (json.dumps({**WHOLE, "engine": "oracle"}), "has no usable engine"),
        (json.dumps({**WHOLE, "password": None}), "has no usable password"),
        (json.dumps({**WHOLE, "username": ""}), "has no usable username"),
        (json.dumps({**WHOLE, "host": 7}), "has no usable host"),
        (json.dumps({"password": "p@ss/w:rd"}), "has no usable username"),
        ("p@ss/w:rd", "is not JSON"),
        ('["p@ss/w:rd"]', "is not JSON"),
        (None, "is not JSON"),
        (json.dumps({**WHOLE, "port": "p@ss/w:rd"}), "has no usable port"),
        (json.dumps({**WHOLE, "port": 70000}), "has no usable port"),
    ],
)
def test_a_secret_of_no_use_is_named_and_not_shown(secret: str | None, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"secret shop {told}") as error:
        address_of(secret, "shop")
    assert "p@ss" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_url_with_a_login_beside_a_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="without user and password, mysql://host") as e:
        with_login("mysql://me:hunter2@db/shop", "reader", "secret")
    assert "hunter2" not in str(e.value)
