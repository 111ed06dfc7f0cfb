"""A bucket that rings is looked into when it rang, and now and then."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from retail_platform.automation.attention import AWAKE_SECONDS, LOOK_SECONDS, Attention
from retail_platform.errors import ConfigurationError
from retail_platform.streaming.arrivals import BucketArrivals, FolderArrivals
from retail_platform_tests.aws import LAKE_BUCKET
from retail_platform_tests.streaming.deliveries import answered, key, object_of, upload
from retail_platform_tests.streaming.test_sensor import Watched, settings_of


@dataclass
class Clock:
    now: float = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("retail_platform.automation.attention.time.monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def queue(aws: str) -> str:
    """A queue that S3 tells of what is delivered."""
    sqs = boto3.client("sqs")
    url: str = sqs.create_queue(QueueName="delivered")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    rings: dict[str, Any] = {
        "QueueArn": arn["QueueArn"],
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "delivered/"}]}},
    }
    boto3.client("s3").put_bucket_notification_configuration(
        Bucket=LAKE_BUCKET, NotificationConfiguration={"QueueConfigurations": [rings]}
    )
    sqs.purge_queue(QueueUrl=url)  # S3 has tried whether it may
    return url


def test_a_folder_and_a_bucket_without_a_queue_are_always_looked_into(tmp_path: Path) -> None:
    for arrivals in (FolderArrivals(tmp_path), BucketArrivals("bucket", "delivered")):
        watched = Attention(arrivals)
        assert [watched.due() for _ in range(3)] == [True, True, True]


def test_what_rings_is_looked_at_and_forgotten(queue: str, clock: Clock) -> None:
    arrivals = BucketArrivals(LAKE_BUCKET, "delivered", queue)
    assert arrivals.rung() is False
    for number in range(25):
        upload(LAKE_BUCKET, f"delivered/{key(str(number))}", b"")
    upload(LAKE_BUCKET, "landing/orders/a.csv", b"")
    told = boto3.client("sqs").get_queue_attributes(
        QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert told["Attributes"]["ApproximateNumberOfMessages"] == "25"
    assert arrivals.rung() is True
    assert arrivals.rung() is False


def test_without_ringing_there_is_a_look_now_and_then(queue: str, clock: Clock) -> None:
    watched = Attention(BucketArrivals(LAKE_BUCKET, "delivered", queue))
    assert watched.due(), "who starts does not know what came before"
    assert not watched.due()
    clock.now += LOOK_SECONDS - 1
    assert not watched.due()
    clock.now += 1
    assert watched.due()
    assert not watched.due()


def test_after_ringing_there_are_looks_for_a_while(queue: str, clock: Clock) -> None:
    watched = Attention(BucketArrivals(LAKE_BUCKET, "delivered", queue))
    watched.due()
    boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps({}))
    assert watched.due()
    clock.now += AWAKE_SECONDS - 1
    assert watched.due()
    watched.keep_awake()  # something was there, and may be still
    clock.now += AWAKE_SECONDS - 1
    assert watched.due()
    clock.now += 1
    assert not watched.due()


def test_the_sensor_lists_the_bucket_only_when_it_rang(queue: str, tmp_path: Path) -> None:
    from retail_platform.definitions import build_definitions

    settings = settings_of("bucket", tmp_path).model_copy(update={"delivered_queue": queue})
    with dg.instance_for_test() as instance:
        watched = Watched(build_definitions(settings), instance, print)
        assert "nothing has arrived" in str(watched.look())
        assert "nothing rang" in str(watched.look())
        upload(LAKE_BUCKET, f"delivered/{key('a')}", object_of([answered("a", "A01")]))
        assert isinstance(watched.look(), dg.RunRequest)


def test_a_queue_that_is_not_there_is_told(aws: str) -> None:
    url = f"{aws}/123456789012/nowhere"
    with pytest.raises(ConfigurationError, match=r"RETAIL_DELIVERED_QUEUE.*there is no such thing"):
        BucketArrivals(LAKE_BUCKET, "delivered", url).rung()
