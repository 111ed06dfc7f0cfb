"""An event source of Kinesis: browse events in, answers to a delivery stream of Firehose.

Needs ReportBatchItemFailures on the event source mapping. What is rejected or cannot be delivered is
reported back, and nothing else is tried again for its sake but what follows it, which the lake knows
by its event_id.
"""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol

from lambda_inference.answers import lines
from lambda_inference.records import Answer, Answered, Record, answer_records

MOST_RECORDS, MOST_BYTES = 500, 4_000_000
"""Of one call to Firehose."""

ATTEMPTS = 3
"""Of delivering a record before it is reported back."""

_PAUSE_SECONDS = 0.1


class Firehose(Protocol):
    """What is needed of boto3's client."""

    def put_record_batch(self, **arguments: Any) -> dict[str, Any]:
        """Takes records; those that it does not take have an ErrorCode in the answer."""
        ...


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """What Lambda calls."""
    from lambda_inference.live import inference, settings
    from lambda_inference.settings import SettingsError
    from lambda_inference.telemetry import metrics, report

    stream = settings().delivery_stream
    if stream is None:
        raise SettingsError("set INFERENCE_DELIVERY_STREAM to the Firehose stream to write to")
    answered = answer_records(_records(event), inference().answer)
    report(answered)
    metrics.flush_metrics()
    return deliver(answered, Delivery(_firehose(), stream))


@cache
def _firehose() -> Firehose:
    # Lambda has it, and only this entry point needs it.
    import boto3

    client: Firehose = boto3.client("firehose")
    return client


@dataclass(frozen=True)
class Delivery:
    """A delivery stream.

    Attributes:
        client: Firehose's.
        stream: Its name.
    """

    client: Firehose
    stream: str


def process(event: Mapping[str, Any], answer: Answer, delivery: Delivery) -> dict[str, Any]:
    """Answers and delivers the records of a request; the response names those that failed."""
    return deliver(answer_records(_records(event), answer), delivery)


def deliver(answered: Sequence[Answered], delivery: Delivery) -> dict[str, Any]:
    """Delivers answers; the response names the records that failed, in the stream's order."""
    data = [None if one.rejection else lines(list(one.events)) for one in answered]
    undelivered = [number for number, one in enumerate(data) if one is not None]
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS * 2**attempt)
        undelivered = [
            number
            for numbers in _calls(undelivered, data)
            for number in _put(numbers, data, delivery)
        ]
        if not undelivered:
            break
    failed = {number for number, one in enumerate(data) if one is None} | set(undelivered)
    return {
        "batchItemFailures": [{"itemIdentifier": answered[n].record.key} for n in sorted(failed)]
    }


def _calls(numbers: Sequence[int], data: Sequence[bytes | None]) -> Iterator[list[int]]:
    """The records of each call."""
    call: list[int] = []
    size = 0
    for number in numbers:
        length = len(data[number] or b"")
        if call and (len(call) == MOST_RECORDS or size + length > MOST_BYTES):
            yield call
            call, size = [], 0
        call.append(number)
        size += length
    if call:
        yield call


def _put(numbers: Sequence[int], data: Sequence[bytes | None], delivery: Delivery) -> list[int]:
    """Delivers records; returns those that Firehose did not take."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        taken = delivery.client.put_record_batch(
            DeliveryStreamName=delivery.stream, Records=[{"Data": data[n]} for n in numbers]
        )
    except (BotoCoreError, ClientError):
        return list(numbers)
    return [
        number
        for number, told in zip(numbers, taken["RequestResponses"], strict=True)
        if told.get("ErrorCode")
    ]


def _records(event: Mapping[str, Any]) -> list[Record]:
    return [_record(one["kinesis"], one.get("eventID", "")) for one in event["Records"]]


def _record(told: Mapping[str, Any], event_id: str) -> Record:
    # The id of an event is that of its record, whichever way it takes: shard and sequence number.
    shard = event_id.partition(":")[0]
    arrived = told.get("approximateArrivalTimestamp")
    return Record(
        told["sequenceNumber"],
        base64.b64decode(told["data"]),
        f"{shard}/{told['sequenceNumber']}",
        None if arrived is None else datetime.fromtimestamp(arrived, UTC),
    )
