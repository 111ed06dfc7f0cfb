"""What the Lambda is told, and how it logs in."""

import json

import boto3
import psycopg
import pytest

from lambda_inference.login import conninfo
from lambda_inference.model import Rules
from lambda_inference.settings import Settings, SettingsError, load_settings
from lambda_inference.store import Unavailable, VectorReader

URL = "postgresql://reader@db.example:5433/recommender"


def test_settings_are_read_from_the_environment() -> None:
    settings = load_settings(
        {
            "INFERENCE_VECTORS_URL": URL,
            "INFERENCE_COUNT": "7",
            "INFERENCE_BLOCKED_LINES": "Ships, Trains",
            "INFERENCE_MOST_OF_LINE": "3",
            "INFERENCE_DELIVERY_STREAM": "",
            "AWS_REGION": "eu-west-1",
        }
    )
    assert settings == Settings(
        URL, count=7, blocked_lines="Ships, Trains", most_of_line=3, delivery_stream=None
    )
    assert settings.rules == Rules(None, frozenset({"Ships", "Trains"}), 3)
    only = load_settings({"INFERENCE_VECTORS_URL": URL, "INFERENCE_ALLOWED_LINES": "Ships"})
    assert only.rules == Rules(frozenset({"Ships"}))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("INFERENCE_VECTORS_URL", None, "set INFERENCE_VECTORS_URL"),
        ("INFERENCE_VECTORS_URL", "mysql://u:rosebud@h/d", "INFERENCE_VECTORS_URL: Expected"),
        ("INFERENCE_COUNT", "many", "INFERENCE_COUNT: Expected `int`"),
        ("INFERENCE_COUNT", "0", "INFERENCE_COUNT: Expected `int` >= 1"),
        ("INFERENCE_MOST_OF_LINE", "0", "INFERENCE_MOST_OF_LINE: Expected"),
        ("INFERENCE_VECTORS_LOGIN", "kerberos", "INFERENCE_VECTORS_LOGIN: Expected"),
        ("INFERENCE_COLOUR", "red", "there is no INFERENCE_COLOUR"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(name: str, value: str | None, reason: str) -> None:
    told = {"INFERENCE_VECTORS_URL": URL, name: value}
    with pytest.raises(SettingsError, match=reason) as error:
        load_settings({key: text for key, text in told.items() if text is not None})
    assert "rosebud" not in str(error.value)


def fields(info: str) -> dict[str, object]:
    return dict(psycopg.conninfo.conninfo_to_dict(info))


def test_a_password_in_the_url_is_used_as_it_is() -> None:
    assert conninfo(Settings(URL))() == URL


def test_a_secret_is_read_for_every_connection(aws: str) -> None:
    secrets = boto3.client("secretsmanager")
    secret = {"username": "lambda", "password": "p w'/+"}
    secrets.create_secret(Name="vectors", SecretString=json.dumps(secret))
    login = conninfo(Settings(URL, vectors_secret="vectors"))
    assert fields(login()) == {
        "user": "lambda",
        "password": "p w'/+",
        "host": "db.example",
        "port": "5433",
        "dbname": "recommender",
        "sslmode": "require",
    }
    secrets.put_secret_value(
        SecretId="vectors", SecretString=json.dumps(secret | {"password": "rotated"})
    )
    assert fields(login())["password"] == "rotated"


def test_a_secret_that_is_none_is_told_without_its_text(aws: str) -> None:
    boto3.client("secretsmanager").create_secret(Name="odd", SecretString="rosebud")
    for name in ("odd", "absent"):
        reader = VectorReader(conninfo(Settings(URL, vectors_secret=name)))
        with pytest.raises(Unavailable, match=f"the secret {name}") as error:
            reader.live([])
        assert "rosebud" not in str(error.value)


def test_iam_gives_a_token_within_tls(aws: str) -> None:
    login = fields(conninfo(Settings(f"{URL}?sslmode=verify-full", vectors_login="iam"))())
    assert login["sslmode"] == "verify-full"
    token = str(login["password"])
    assert token.startswith("db.example:5433/?Action=connect&DBUser=reader")
    assert "X-Amz-Expires=900" in token
    plain = fields(conninfo(Settings(URL, vectors_login="iam"))())
    assert plain["sslmode"] == "require"
