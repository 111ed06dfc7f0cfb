"""URLs of sources: what is allowed, and what is never shown."""

import pytest

from retail_platform.errors import ConfigurationError
from retail_platform.sources.address import Address

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


def test_postgresql_options_reach_the_driver() -> None:
    assert Address.parse("postgresql://u@h/d?sslmode=require").url.endswith("/d?sslmode=require")


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
        "mysql://u:secret@[h/d",
    ],
)
def test_other_urls_are_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Address.parse(url)
    assert "mysql://user:password@host:port/database" in str(refused.value)
    assert "postgresql://user:password@host:port/database" in str(refused.value)
    assert "secret" not in str(refused.value)
