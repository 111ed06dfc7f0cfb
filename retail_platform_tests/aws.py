"""AWS on a loopback port: moto's services, spoken to by the real clients over HTTP."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
import requests
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

REGION = "eu-central-1"

LAKE_BUCKET = "retail-lake"
PIPES_BUCKET = "retail-pipes"


@contextmanager
def moto_server() -> Iterator[str]:
    """A running server; gives its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def environment(url: str) -> dict[str, str]:
    """What makes every AWS client of a process speak to the server at `url`."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
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
