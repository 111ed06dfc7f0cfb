"""The contract of an event source of Kinesis: what is delivered, and what is reported back."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from lambda_inference import kinesis
from lambda_inference.kinesis import Delivery, process
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform_tests.aws import LAKE_BUCKET
from retail_platform_tests.lambda_inference.events import browse, kinesis_request
from retail_platform_tests.lambda_inference.stores import Served, served
from retail_platform_tests.recommender.editions import shop

STREAM = "recommendations"


@pytest.fixture(scope="module")
def live(postgres: EmbeddedPostgres) -> Iterator[Served]:
    with served(postgres.ensure_database("inference_kinesis"), shop()[1]) as live:
        yield live


@pytest.fixture
def delivery(aws: str) -> Delivery:
    """A delivery stream that lays what it gets into a bucket at once."""
    client = boto3.client("firehose")
    client.create_delivery_stream(
        DeliveryStreamName=STREAM,
        ExtendedS3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/firehose",
            "BucketARN": f"arn:aws:s3:::{LAKE_BUCKET}",
        },
    )
    return Delivery(client, STREAM)


def delivered() -> list[dict[str, Any]]:
    """The lines in the bucket."""
    s3 = boto3.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=LAKE_BUCKET).get("Contents", [])]
    bodies = [s3.get_object(Bucket=LAKE_BUCKET, Key=key)["Body"].read() for key in keys]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def test_all_are_delivered_and_none_reported(live: Served, delivery: Delivery) -> None:
    request = kinesis_request([browse("A01", event_id=f"e-{n}") for n in range(20)])
    assert process(request, live.inference.answer, delivery) == {"batchItemFailures": []}
    lines = delivered()
    assert {line["event_id"] for line in lines} == {f"e-{n}" for n in range(20)}
    assert all(len(line["recommended_items"]) == 10 for line in lines)


def test_what_is_rejected_is_reported_and_the_others_are_delivered(
    live: Served, delivery: Delivery
) -> None:
    records: list[Any] = [browse("A01", event_id=f"e-{n}") for n in range(20)]
    records[7], records[12] = b"{", browse(schema_version=2)
    response = process(kinesis_request(records), live.inference.answer, delivery)
    assert response == {"batchItemFailures": [{"itemIdentifier": "7"}, {"itemIdentifier": "12"}]}
    assert len(delivered()) == 18


class Throttled:
    """A Firehose that takes every other record, and answers one call with an error first."""

    def __init__(self, takes: bool = True) -> None:
        self.takes = takes
        self.calls: list[list[bytes]] = []
        self.taken: list[bytes] = []

    def put_record_batch(self, **arguments: Any) -> dict[str, Any]:
        from botocore.exceptions import ConnectTimeoutError

        data = [record["Data"] for record in arguments["Records"]]
        self.calls.append(data)
        if len(self.calls) == 1:
            raise ConnectTimeoutError(endpoint_url="https://firehose")
        answers: list[dict[str, str]] = []
        for number, one in enumerate(data):
            if self.takes and (number % 2 == 0 or len(data) == 1):
                self.taken.append(one)
                answers.append({"RecordId": "id"})
            else:
                answers.append({"ErrorCode": "ServiceUnavailableException"})
        return {"FailedPutCount": 0, "RequestResponses": answers}


def test_what_firehose_does_not_take_is_tried_again_alone(
    live: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinesis, "_PAUSE_SECONDS", 0)
    client = Throttled()
    request = kinesis_request([browse("A01", event_id=f"e-{n}") for n in range(2)])
    response = process(request, live.inference.answer, Delivery(client, STREAM))
    assert response == {"batchItemFailures": []}
    assert [len(call) for call in client.calls] == [2, 2, 1]
    ids = [json.loads(one)["event_id"] for one in client.taken]
    assert ids == ["e-0", "e-1"]


def test_what_is_never_taken_is_reported(live: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinesis, "_PAUSE_SECONDS", 0)
    client = Throttled(takes=False)
    request = kinesis_request([browse("A01", event_id=f"e-{n}") for n in range(3)])
    response = process(request, live.inference.answer, Delivery(client, STREAM))
    assert [one["itemIdentifier"] for one in response["batchItemFailures"]] == ["0", "1", "2"]
    assert len(client.calls) == kinesis.ATTEMPTS


def test_calls_are_within_firehoses_limits(live: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinesis, "_PAUSE_SECONDS", 0)
    client = Throttled()
    request = kinesis_request([browse("A01", event_id=f"e-{n}") for n in range(1_001)])
    process(request, live.inference.answer, Delivery(client, STREAM))
    assert [len(call) for call in client.calls[:3]] == [500, 500, 1]
    monkeypatch.setattr(kinesis, "MOST_BYTES", 3_000)
    client = Throttled()
    process(request, live.inference.answer, Delivery(client, STREAM))
    assert all(len(call) == 1 or sum(map(len, call)) <= 3_000 for call in client.calls)


def test_the_handler_writes_to_the_stream_of_its_environment(
    live: Served, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lambda_inference import live as process_

    monkeypatch.setenv("INFERENCE_VECTORS_URL", live.store.address.url)
    monkeypatch.setenv("INFERENCE_DELIVERY_STREAM", STREAM)
    process_.settings.cache_clear()
    process_.inference.cache_clear()
    kinesis._firehose.cache_clear()
    try:
        response = kinesis.handler(kinesis_request([browse("A01"), b"{"]), None)
    finally:
        process_.settings.cache_clear()
        process_.inference.cache_clear()
    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert [line["event_id"] for line in delivered()] == ["e-1"]
