"""AWS on a loopback port: moto's services, spoken to by the real clients over HTTP."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
import pytest
import requests
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.s3.models import s3_backends

REGION = "eu-central-1"

LAKE_BUCKET = "retail-lake"
PIPES_BUCKET = "retail-pipes"

JOB_KEY, DAGSTER_KEY, SITE_KEY = "glue", "dagster", "site"
"""The access keys by which requests of the Glue job, the `retail` command and the site are told apart."""


@dataclass(frozen=True)
class Call:
    """A request that a server of ours was sent.

    Attributes:
        who: The access key that signed it.
        action: As IAM calls it, such as s3:GetObject.
    """

    who: str
    action: str


CALLS: set[Call] = set()
"""What the servers of this process were sent, by any process."""

_IAM_NAMES = {"monitoring": "cloudwatch"}
"""How IAM calls services that sign otherwise."""


def _action(method: str, path: str, query: str, target: str, service: str) -> str:
    """What IAM calls a request; empty for one that it does not know by what is in its head."""
    name = _IAM_NAMES.get(service, service)
    if service == "s3":
        return f"s3:{_s3_action(method, path, query)}"
    if service == "lambda" and path.endswith("/invocations"):
        return "lambda:InvokeFunction"
    # IAM knows the batches of SQS by the one.
    if operation := target.rpartition(".")[2] or path.rpartition("/operation/")[2]:
        operation = operation.removesuffix("Batch") if service == "sqs" else operation
        return f"{name}:{operation}" if operation != path else ""
    return ""


def _s3_action(method: str, path: str, query: str) -> str:
    is_object = "/" in path.strip("/")
    if "location" in query.split("&"):
        return "GetBucketLocation"
    if not is_object and not (method == "POST" and query.startswith("delete")):
        return {"GET": "ListBucket", "HEAD": "ListBucket"}.get(method, f"{method} of a bucket")
    if method == "DELETE" and "uploadId" in query:
        return "AbortMultipartUpload"
    if query.startswith("delete") or method == "DELETE":
        return "DeleteObject"
    return "GetObject" if method in ("GET", "HEAD") else "PutObject"


class _Recorder:
    """Notes who asked for what, on the way to moto."""

    def __init__(self, application: Any) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        signed = re.search(
            r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", "")
        )
        if signed:
            action = _action(
                environ["REQUEST_METHOD"],
                environ["PATH_INFO"],
                environ["QUERY_STRING"],
                environ.get("HTTP_X_AMZ_TARGET", ""),
                signed[2],
            )
            CALLS.add(Call(signed[1], action))
        return self.application(environ, start_response)


@contextmanager
def moto_server() -> Iterator[str]:
    """A running server; gives its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    server._server.app = _Recorder(server._server.app)
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def environment(url: str, who: str = "test") -> dict[str, str]:
    """What makes every AWS client of a process speak to the server at `url`, and sign as somebody."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": who,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Makes this process speak to the server at `url`, which is emptied, with our two buckets."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)
    # The session that boto3 keeps for a process would keep another test's settings.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    requests.post(f"{url}/moto-api/reset", timeout=10).raise_for_status()
    s3 = boto3.client("s3")
    for bucket in (LAKE_BUCKET, PIPES_BUCKET):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})


@contextmanager
def as_user(
    monkeypatch: pytest.MonkeyPatch, url: str, allowed: Sequence[str], denied: Sequence[str] = ()
) -> Iterator[None]:
    """Makes this process a user who may do what is named, and the server refuse all else."""
    iam = boto3.client("iam")
    iam.create_user(UserName="clerk")
    statements = [
        {"Effect": effect, "Action": list(actions), "Resource": "*"}
        for effect, actions in (("Allow", allowed), ("Deny", denied))
        if actions
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="clerk", PolicyName="clerk", PolicyDocument=policy)
    key = iam.create_access_key(UserName="clerk")["AccessKey"]
    _enforce(url, "0")
    try:
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
            patch.setattr(boto3, "DEFAULT_SESSION", None)
            yield
    finally:
        _enforce(url, "inf")


def _enforce(url: str, after_requests: str) -> None:
    answer = requests.post(f"{url}/moto-api/reset-auth", data=after_requests, timeout=10)
    answer.raise_for_status()


def make_older(uri: str, age: timedelta) -> None:
    """Sets back the time of an object's last write, which nobody can do on AWS."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[key].last_modified -= age
