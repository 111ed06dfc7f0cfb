"""What Dagster and the job tell each other, beside the engine's request and its answer."""

from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any

from retail_platform.engines.as_json import dump, load
from retail_platform.engines.protocol import RunRequest, TableResult
from retail_platform.errors import (
    ConfigurationError,
    EngineError,
    RetailError,
    SourceError,
    TrainingError,
)

DISTRIBUTION = "retail-platform-glue"
"""The name under which the bundle is installed on Glue."""

_ERRORS: dict[str, type[RetailError]] = {
    kind.__name__: kind for kind in (ConfigurationError, EngineError, SourceError, TrainingError)
}


@dataclass(frozen=True)
class JobSource:
    """The source as the job reaches it; who logs in and how is in the secret.

    Attributes:
        secret: Name or ARN of a secret of Secrets Manager with `username` and `password`.
        product: `mysql` or `postgresql`.
        host: Its host.
        port: Its port.
        database: Its name.
        session: The statement that settles a session.
        tls: How to encrypt; see `engines.jdbc.JdbcSource`.
    """

    secret: str
    product: str
    host: str
    port: int
    database: str
    session: str
    tls: str = ""


@dataclass(frozen=True)
class Order:
    """One job run.

    Attributes:
        request: What the engine is asked.
        source: Where outputs are read from, if any are.
    """

    request: RunRequest
    source: JobSource | None = None


@dataclass(frozen=True)
class Answer:
    """What a job run reported.

    Attributes:
        results: Of the tables that it wrote and audited.
        error: What it could not do; None where it reported no error.
    """

    results: tuple[TableResult, ...]
    error: RetailError | None


def as_extras(order: Order, version: str) -> dict[str, Any]:
    """The order as the extras of a Pipes session, for a bundle of this version."""
    return {"bundle_version": version, "order": dump(order)}


def from_extras(extras: dict[str, Any]) -> Order:
    """The order in the extras.

    Raises:
        ConfigurationError: It is for another version of the bundle than this one.
        EngineError: It is malformed.
    """
    ours, wanted = installed_version(DISTRIBUTION), extras.get("bundle_version")
    if wanted != ours:
        raise ConfigurationError(
            f"the Glue job runs bundle {ours} and is asked for {wanted}: run `make glue-bundle`, "
            "upload dist/glue and let the job use it"
        )
    return load(Order, extras.get("order"))


def as_message(outcome: TableResult | RetailError) -> dict[str, Any]:
    """What the job reports, as soon as it knows it."""
    if isinstance(outcome, RetailError):
        return {"error": {"kind": type(outcome).__name__, "told": str(outcome)}}
    return {"result": dump(outcome)}


def from_messages(messages: "list[dict[str, Any]]") -> Answer:
    """What the job has reported, repetitions and foreign messages left out."""
    results: dict[str, TableResult] = {}
    error: RetailError | None = None
    for message in messages:
        if "result" in message:
            result = load(TableResult, message["result"])
            results[result.table] = result
        elif "error" in message:
            kind = _ERRORS.get(message["error"]["kind"], EngineError)
            error = kind(message["error"]["told"])
    return Answer(tuple(results.values()), error)
