"""A source whose login is in a secrets store: the secret as RDS and its rotation write it."""

import json
from urllib.parse import quote, urlsplit, urlunsplit

from retail_platform.errors import ConfigurationError
from retail_platform.sources.address import FORM, Address

_SCHEMES = {
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgres": "postgresql",
    "postgresql": "postgresql",
}


def address_of(secret: str, name: str, url: str | None = None) -> Address:
    """The source that a secret, and where it does not name a database a URL, describe.

    Args:
        secret: JSON with `username` and `password`, and without `url` also `engine` (mysql, mariadb
            or postgres), `host`, `dbname` and, where it is another than usual, `port`.
        name: What to call the secret; its text is never shown.
        url: Where the database is, without user and password.

    Raises:
        ConfigurationError: It lacks something, or is no JSON.
    """
    try:
        fields = json.loads(secret)
        login = str(fields["username"]), str(fields["password"])
        if url is not None:
            return with_login(url, *login)
        scheme = _SCHEMES[str(fields["engine"]).removeprefix("aurora-")]
        port = f":{int(fields['port'])}" if fields.get("port") else ""
        place = f"{quote(str(fields['host']), safe='[]:')}{port}/{quote(str(fields['dbname']), safe='')}"
    except KeyError as error:
        raise ConfigurationError(
            f"the secret {name} has no usable {error.args[0]}: it is JSON with username, password, engine, "
            "host and dbname; or name the database in RETAIL_SOURCE_URL, without user and password"
        ) from None
    except (ValueError, TypeError, AttributeError):
        # The parser's message would quote the secret.
        raise ConfigurationError(
            f"the secret {name} is not JSON with username and password: store it as RDS does"
        ) from None
    return with_login(f"{scheme}://{place}", *login)


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
