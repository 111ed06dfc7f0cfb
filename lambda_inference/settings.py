"""What the Lambda is told by its environment; the only module that reads it."""

import os
from collections.abc import Mapping
from typing import Annotated

import msgspec

from lambda_inference.model import Rules

PREFIX = "INFERENCE_"

_Count = Annotated[int, msgspec.Meta(ge=1, le=100)]


class SettingsError(ValueError):
    """A setting is missing or cannot be what it is."""


class Settings(msgspec.Struct, frozen=True):
    """Each is a variable of the environment, such as INFERENCE_VECTORS_URL.

    Attributes:
        vectors_url: The vector store, as postgresql://reader:password@host:5432/database; with a
            secret or with IAM without the password.
        vectors_secret: The name or ARN of a secret in Secrets Manager with username and password.
        vectors_login: `iam` for a token of IAM in place of a password.
        delivery_stream: The Firehose stream that `kinesis.handler` writes to.
        count: How many products are recommended.
        allowed_lines: Product lines that may be recommended, separated by commas; empty for all.
        blocked_lines: Product lines that may not.
        most_of_line: How many products of one line there are at most in one answer.
    """

    vectors_url: Annotated[str, msgspec.Meta(pattern="^postgres(ql)?://")]
    vectors_secret: str | None = None
    vectors_login: Annotated[str, msgspec.Meta(pattern="^(password|iam)$")] = "password"
    delivery_stream: str | None = None
    count: _Count = 10
    allowed_lines: str = ""
    blocked_lines: str = ""
    most_of_line: _Count | None = None

    @property
    def rules(self) -> Rules:
        """What is not recommended."""
        allowed = _lines(self.allowed_lines)
        return Rules(allowed or None, _lines(self.blocked_lines), self.most_of_line)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of an environment; None for the process's own.

    Raises:
        SettingsError: One is missing or wrong; the message names it, and not its value.
    """
    told = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in (os.environ if environment is None else environment).items()
        if name.startswith(PREFIX) and value
    }
    if unknown := sorted(told.keys() - set(Settings.__struct_fields__)):
        raise SettingsError(f"there is no {PREFIX}{unknown[0].upper()}: correct or remove it")
    if "vectors_url" not in told:
        raise SettingsError(f"set {PREFIX}VECTORS_URL to the vector store that is to be asked")
    try:
        return msgspec.convert(told, Settings, strict=False)
    except msgspec.ValidationError as error:
        wrong, _, place = str(error).partition(" - at `$.")
        raise SettingsError(f"{PREFIX}{place.rstrip('`').upper()}: {wrong}") from None


def metrics_namespace() -> str:
    """Where in CloudWatch our metrics are, by the variable that Powertools has for it."""
    return os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or "RetailPlatform"


def _lines(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
