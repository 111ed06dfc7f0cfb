"""A source whose login is in a secrets store: the secret as RDS and its rotation write it."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from retail_platform.errors import ConfigurationError
from retail_platform.sources.address import FORM, Address

_SCHEMES = {
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgres": "postgresql",
    "postgresql": "postgresql",
}


def address_of(secret: str | None, name: str, url: str | None = None) -> Address:
    """The source that a secret, and where it does not name a database a URL, describe.

    Args:
        secret: JSON with `username` and `password`, and without `url` also `engine` (mysql, mariadb
            or postgres), `host`, `dbname` and, where it is another than usual, `port`. None where
            the store holds bytes and no text.
        name: What to call the secret; its text is never shown.
        url: Where the database is, without user and password.

    Raises:
        ConfigurationError: It lacks something, or is no JSON.
    """
    fields = _fields(secret, name)
    login = login_of(secret, name)
    place = f"the secret {name} (RETAIL_SOURCE_SECRET)"
    if url is not None:
        return replace(with_login(url, *login), place=f"{place} or RETAIL_SOURCE_URL")
    scheme = _SCHEMES.get(_text(fields, "engine", name).removeprefix("aurora-"))
    if scheme is None:
        raise _useless(name, "engine")
    host = _text(fields, "host", name).strip("[]")
    host = f"[{host}]" if ":" in host else quote(host, safe="")
    database = quote(_text(fields, "dbname", name), safe="")
    return replace(
        with_login(f"{scheme}://{host}{_port(fields, name)}/{database}", *login), place=place
    )


def login_of(secret: str | None, name: str) -> tuple[str, str]:
    """User and password of a secret.

    Args:
        secret: JSON with `username` and `password`; None where the store holds bytes and no text.
        name: What to call it; its text is never shown.

    Raises:
        ConfigurationError: It lacks one, or is no JSON.
    """
    fields = _fields(secret, name)
    return _text(fields, "username", name), _text(fields, "password", name)


def _fields(secret: str | None, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(secret or "")
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        # The parser's message would quote the secret.
        raise ConfigurationError(
            f"the secret {name} is not JSON with username and password: store it as RDS does"
        )
    return fields


def _text(fields: dict[str, Any], field: str, name: str) -> str:
    text = fields.get(field)
    if not isinstance(text, str) or not text:
        raise _useless(name, field)
    return text


def _port(fields: dict[str, Any], name: str) -> str:
    """The port as a URL has it; RDS writes a number, people a text."""
    port = str(fields.get("port") or "")
    if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise _useless(name, "port")
    return port and f":{port}"


def _useless(name: str, field: str) -> ConfigurationError:
    return ConfigurationError(
        f"the secret {name} has no usable {field}: it is JSON with username, password, engine (mysql, "
        "mariadb or postgres), host and dbname; or name the database in RETAIL_SOURCE_URL, without "
        "user and password"
    )


def with_login(url: str, user: str, password: str) -> Address:
    """The source at a URL without a login, logged in to.

    Raises:
        ConfigurationError: The URL is malformed, or has a login; the message shows none of it.
    """
    try:
        parts = urlsplit(url)
        has_login = parts.username is not None or parts.password is not None
    except ValueError:
        has_login, parts = False, urlsplit("")
    if has_login:
        raise ConfigurationError(
            "the login of the source is in the secret of RETAIL_SOURCE_SECRET: write the URL without "
            f"user and password, {FORM.replace('user:password@', '')}"
        )
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    return Address.parse(urlunsplit(parts._replace(netloc=f"{login}{parts.netloc}")))
