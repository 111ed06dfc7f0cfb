"""URLs of sources: what is allowed, and what is never shown."""

import pytest

from retail_platform.errors import ConfigurationError
from retail_platform.sources.address import OPTIONS, Address
from retail_platform.sources.database import open_source
from retail_platform_tests.sources.tables import prepared, read

PASSWORD = "p@ss:w/r%d#?"
ENCODED = "p%40ss%3Aw%2Fr%25d%23%3F"


def test_a_url_is_decoded_and_encoded_again() -> None:
    url = f"mysql://re%40d:{ENCODED}@db.shop.test:3307/classic%20models"
    address = Address.parse(url)
    assert (address.user, address.password) == ("re@d", PASSWORD)
    assert (address.host, address.port, address.database) == (
        "db.shop.test",
        3307,
        "classic models",
    )
    assert address.url == url


def test_ports_have_the_usual_defaults() -> None:
    assert Address.parse("mysql://u@h/d").port == 3306
    assert Address.parse("postgresql://u@h/d?sslmode=require").port == 5432


@pytest.mark.parametrize(
    "options",
    [
        "sslmode=require",
        "sslmode=disable&connect_timeout=5",
        "sslrootcert=/etc/ssl/root.pem&application_name=night%20shift",
    ],
)
def test_postgresql_options_reach_the_driver(options: str) -> None:
    assert Address.parse(f"postgresql://u@h/d?{options}").url.endswith(f"/d?{options}")


def test_both_drivers_take_every_allowed_option(postgres_url: str) -> None:
    values = {
        "sslmode": "disable",
        "sslrootcert": "/nowhere.pem",  # not opened without TLS
        "connect_timeout": "5",
        "application_name": "night%20shift",
    }
    assert set(values) == set(OPTIONS["postgres"])
    options = "&".join(f"{name}={value}" for name, value in values.items())
    with open_source(f"{postgres_url}?{options}") as source:
        query = prepared(source, "SELECT 1 AS one", one="int")
        assert read(source, query.rows()) == [{"one": 1}]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("password=hunter2", "option 'password'"),
        ("sslmode=require&pass%77ord=hunter2", "option 'password'"),
        ("passfile=hunter2", "option 'passfile'"),
        ("service=hunter2", "option 'service'"),
        ("sslmode=hunter2", "sslmode: give one that matches disable|prefer|require"),
        ("connect_timeout=hunter2", "connect_timeout"),
    ],
)
def test_other_options_are_refused_by_name(option: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Address.parse(f"postgresql://u@h/d?{option}")
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_mysql_is_told_how_to_encrypt_as_its_own_client_is() -> None:
    address = Address.parse("mysql://u@h/d?ssl-mode=verify_ca&ssl-ca=/etc/our%20ca.pem")
    assert address.option("ssl-mode") == "verify_ca"
    assert address.option("ssl-ca") == "/etc/our ca.pem"
    assert Address.parse("mysql://u@h/d").option("ssl-mode") is None


def test_the_password_shows_nowhere() -> None:
    address = Address.parse(f"mysql://u:{ENCODED}@h/d")
    for text in (repr(address), str(address), address.redact(f"{PASSWORD} {ENCODED}")):
        assert PASSWORD not in text
        assert ENCODED not in text


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///secret.db",
        "secret",
        "mysql://u:secret@h",
        "mysql://h/secret",
        "mysql://u:secret@h:port/d",
        "mysql://u:se#secret@h/d",
        "mysql://u:secret@h/d?ssl=1",
        "mysql://u:secret@h/d?ssl-mode=maybe",
        "mysql://u:secret@h/d?ssl-mode=",
        "mysql://u:secret@h/d?ssl-mode=required&ssl-mode=disabled",
        "mysql://u:secret@h/d?ssl-ca=ca.pem",
        "mysql://u:secret@[h/d",
        "mysql://u:secret℀@h/d",
    ],
)
def test_other_urls_are_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Address.parse(url)
    assert "mysql://user:password@host:port/database" in str(refused.value)
    assert "postgresql://user:password@host:port/database" in str(refused.value)
    assert "secret" not in str(refused.value)
