"""Clients of AWS, and what their errors mean for who runs the platform. No Dagster here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)

from retail_platform.errors import ConfigurationError, LakeError, RetailError

_ATTEMPTS = 10  # for throttling and broken connections

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN_KEYS = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "403", "Forbidden", "AllAccessDisabled"}
_MISSING = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "EntityNotFoundException",
    "NoSuchBucket",
    "ResourceNotFoundException",
    "404",
    "NoSuchKey",
}
_PASSING = {
    "InternalServiceException",
    "InternalServerError",
    "OperationTimeoutException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


def session() -> boto3.Session:
    """The one session of this process, which keeps its credentials and renews them."""
    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    found = boto3.DEFAULT_SESSION
    assert found is not None  # noqa: S101  (just set up)
    return found


def client(service: str, *, attempts: int = _ATTEMPTS) -> Any:
    """A client of an AWS service that retries what is worth retrying.

    Credentials and region come from where every AWS tool looks for them.

    Args:
        service: As boto3 calls it.
        attempts: How often a call is sent at most; 1 where sending it twice would do it twice.

    Raises:
        ConfigurationError: There is no region.
    """
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=10
    )
    with aws_errors(f"using {service}"):
        return session().client(service, config=config)


def region() -> str:
    """The region in use.

    Raises:
        ConfigurationError: There is none.
    """
    with aws_errors("looking for the region"):
        name: str | None = session().region_name
        if name is None:
            raise NoRegionError
        return name


def secret_text(name: str, otherwise: str) -> str | None:
    """The text of a secret of Secrets Manager; None where it is bytes.

    Args:
        name: Its name or ARN.
        otherwise: What to do where there is none, besides creating it.

    Raises:
        ConfigurationError: It is missing, or must not be read.
        LakeError: AWS does not answer.
    """
    with aws_errors(f"reading the secret {name}", f"create it, or {otherwise}"):
        secret = client("secretsmanager").get_secret_value(SecretId=name)
    text: str | None = secret.get("SecretString")
    return text


@contextmanager
def aws_errors(doing: str, missing: str = "create it") -> Iterator[None]:
    """Turns errors of AWS into ours.

    Args:
        doing: What is being done, such as `reading the secret shop`, for the message.
        missing: What to do where the thing that is asked for does not exist.

    Raises:
        ConfigurationError: A setting, region, credential, permission or resource is missing.
        LakeError: AWS does not answer, or fails by itself.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise told(error, doing, missing) from error


def told(error: Exception, doing: str, missing: str = "create it") -> RetailError:
    """An error of AWS in our words; see `aws_errors`."""
    if isinstance(error, NoRegionError):
        return ConfigurationError(
            f"{doing}: no AWS region is set: set AWS_DEFAULT_REGION, or region in ~/.aws/config"
        )
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return ConfigurationError(
            f"{doing}: there are no AWS credentials ({error}): run `aws configure` or "
            "`aws sso login`, set AWS_PROFILE, or give this machine a role"
        )
    if isinstance(error, TokenRetrievalError) or code_of(error) in _EXPIRED:
        return ConfigurationError(f"{doing}: the AWS credentials have expired: log in again")
    if code_of(error) in _UNKNOWN_KEYS:
        return ConfigurationError(
            f"{doing}: AWS does not know these credentials ({code_of(error)}): run `aws configure` "
            "or `aws sso login`, or correct AWS_PROFILE"
        )
    if code_of(error) in _FORBIDDEN:
        return ConfigurationError(
            f"{doing}: AWS forbids it ({error}): grant the permission to the role or user that "
            "runs this"
        )
    if code_of(error) in _MISSING:
        return ConfigurationError(f"{doing}: there is no such thing ({error}): {missing}")
    if isinstance(error, ConnectionError | HTTPClientError):
        return LakeError(f"{doing}: AWS cannot be reached ({error}): check the network and region")
    if is_passing(error):
        return LakeError(f"{doing}: AWS is too busy, or fails by itself ({error}): try again later")
    return LakeError(f"{doing}: {error}")


def is_passing(error: Exception) -> bool:
    """Whether AWS may well answer the same call the next time.

    A call that failed so may all the same have been carried out.
    """
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code_of(error) in _PASSING or status >= 500
    return isinstance(error, ConnectionError | HTTPClientError)


def code_of(error: Exception) -> str:
    """The code of an error that a service answered with; empty for another."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""
