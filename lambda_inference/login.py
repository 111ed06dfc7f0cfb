"""How the Lambda logs in to the vector store: by password, by a secret, or by IAM."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lambda_inference.settings import Settings
from lambda_inference.store import Unavailable


def conninfo(settings: Settings) -> Callable[[], str]:
    """What gives the connection string, anew for every connection."""
    if settings.vectors_login == "iam":
        return lambda: _by_iam(settings.vectors_url)
    if (secret := settings.vectors_secret) is not None:
        return lambda: _by_secret(settings.vectors_url, secret)
    return lambda: settings.vectors_url


def _by_iam(url: str) -> str:
    parts = urlsplit(url)
    token = _client("rds").generate_db_auth_token(
        DBHostname=parts.hostname or "", Port=parts.port or 5432, DBUsername=parts.username or ""
    )
    return _with(url, {"password": token})


def _by_secret(url: str, secret: str) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        text = _client("secretsmanager").get_secret_value(SecretId=secret).get("SecretString", "")
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(f"the secret {secret} cannot be read: {error}") from None
    try:
        fields = json.loads(text)
        login = {"user": fields["username"], "password": fields["password"]}
    except (ValueError, KeyError, TypeError):
        # The parser's message would quote the secret.
        raise Unavailable(f"the secret {secret} is not JSON with username and password") from None
    return _with(url, login)


def _with(url: str, login: dict[str, str]) -> str:
    """A URL with a login, within TLS; a URL that says how strictly keeps its word."""
    tls = {} if "sslmode" in conninfo_to_dict(url) else {"sslmode": "require"}
    return make_conninfo(url, **login, **tls)


def _client(service: str) -> Any:
    # Lambda has it; it takes .3 s that only those logins need.
    import boto3

    return boto3.client(service)
