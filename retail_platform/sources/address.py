"""Where a source is: its URL taken apart, and its password kept out of sight."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from retail_platform.errors import ConfigurationError
from retail_platform.sources.dialect import DIALECTS, Dialect

FORM = "mysql://user:password@host:port/database or postgresql://user:password@host:port/database"

OPTIONS = {
    "mysql": {"ssl-mode": "disabled|required|verify_ca|verify_identity", "ssl-ca": ".+"},
    "postgres": {
        "sslmode": "disable|prefer|require",
        "sslrootcert": ".+",
        "connect_timeout": "[0-9]+",
        "application_name": ".+",
    },
}
"""What may follow the `?` of a URL, by dialect: options that both our drivers take, in the words of
the database's own client, and their values. Nothing else may: libpq reads a password there too."""


@dataclass(frozen=True)
class Address:
    """A source's URL, decoded. Neither `repr` nor `str` shows the password.

    Attributes:
        dialect: The kind of database.
        host: Its host.
        port: Its port.
        database: Its name.
        user: Who reads.
        password: Their password; a secret.
        options: What follows the `?`, no secret: for MySQL how to encrypt, in the words of its own
            client (`ssl-mode=required`); for PostgreSQL what its drivers take (`sslmode=require`).
        place: Where all this is written down, for messages that say what to correct.
    """

    dialect: Dialect
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    options: str = ""
    place: str = "RETAIL_SOURCE_URL"

    @classmethod
    def parse(cls, url: str, place: str = "RETAIL_SOURCE_URL") -> "Address":
        """Takes a URL apart; `%40` and its like stand for letters that a URL keeps for itself.

        Args:
            url: The whole of it.
            place: Where it is written down.

        Raises:
            ConfigurationError: It is no URL of a source; the message shows the allowed forms and
                nothing of the URL but its scheme.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # The parser's own message may quote the password; neither it nor its cause is shown.
            raise ConfigurationError(
                f"the URL is malformed: write {FORM}, and percent-encode @ : / # ? % [ ] in a password"
            ) from None
        dialect = DIALECTS.get(parts.scheme)
        if dialect is None:
            schemes = " or ".join(f"{scheme}://" for scheme in DIALECTS)
            raise ConfigurationError(f"the URL does not start with {schemes}: write {FORM}")
        database = unquote(parts.path.removeprefix("/"))
        if not parts.hostname or not database or not parts.username:
            raise ConfigurationError(
                f"the URL lacks its user, host or database: write {FORM}, and percent-encode @ : / # ? % [ ] in a password"
            )
        if parts.fragment:
            raise ConfigurationError(
                f"the URL has something after the database: write {FORM}, and percent-encode # and ? in a password"
            )
        return cls(
            dialect=dialect,
            host=unquote(parts.hostname),
            port=port or dialect.port,
            database=database,
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
            options=_options(parts.query, dialect),
            place=place,
        )

    @property
    def url(self) -> str:
        """The whole URL, password included: for a driver and for nothing else."""
        scheme = next(scheme for scheme, d in DIALECTS.items() if d is self.dialect)
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        options = f"?{self.options}" if self.options else ""
        return (
            f"{scheme}://{quote(self.user, safe='')}{secret}@{host}:{self.port}"
            f"/{quote(self.database, safe='')}{options}"
        )

    def option(self, name: str) -> str | None:
        """One of the options, decoded; None where the URL does not have it."""
        return dict(parse_qsl(self.options)).get(name)

    def redact(self, message: object) -> str:
        """`message` without the password, should a driver have put it there."""
        text = str(message)
        for secret in (self.password, quote(self.password, safe="")):
            if secret:
                text = text.replace(secret, "***")
        return text

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def _options(query: str, dialect: Dialect) -> str:
    """The options of a URL, each of them known to be harmless.

    Raises:
        ConfigurationError: One is not; the message shows its name at most, never its value.
    """
    known = OPTIONS[dialect.name]
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    for name, value in pairs:
        if name not in known:
            raise ConfigurationError(
                f"the URL has the option {name!r}, which is not allowed after the "
                f"database: only {', '.join(known)} are; write {FORM}"
            )
        if not re.fullmatch(known[name], value) or names.count(name) > 1:
            raise ConfigurationError(
                f"the URL has a wrong value for {name}: give one that matches "
                f"{known[name]}; write {FORM}"
            )
    if "ssl-ca" in names and "ssl-mode" not in names:
        raise ConfigurationError(f"the URL has ssl-ca without ssl-mode; write {FORM}")
    return urlencode(pairs, quote_via=quote, safe="/")
