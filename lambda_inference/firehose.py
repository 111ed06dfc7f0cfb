"""A transformation of Data Firehose: browse events in, the same with recommendations out.

Every record of the request comes back once. One that is rejected comes back as ProcessingFailed with
the bytes that it had, which Firehose lays under its error prefix, from where it can be replayed.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from lambda_inference.answers import RecommendationEvent, SimilarItems, lines
from lambda_inference.records import Answer, Answered, Record, answer_records

MOST_BYTES = 6_000_000
"""Of a response. Lambda takes 6 MB; whether of 10^6 or 2^20 bytes need not be found out."""

_ENVELOPE_BYTES = 100
"""Of a record in a response, beside its id and its data."""

_SHORTER = (5, 3, 1, 0)
"""Lengths of lists that are tried where a response would be too large."""


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """What Lambda calls."""
    from lambda_inference.live import inference
    from lambda_inference.telemetry import metrics, report

    answered = answer_records(_records(event), inference().answer)
    report(answered)
    metrics.flush_metrics()
    return response(answered)


def transform(event: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """The response to a request of Firehose.

    Args:
        event: The request.
        answer: Answers a batch of events.
    """
    return response(answer_records(_records(event), answer))


def response(answered: Sequence[Answered]) -> dict[str, Any]:
    """What Firehose is told of its records, of at most 6 MB.

    Lists are shortened where it would be larger; where that is not enough, the largest records fail,
    which Firehose then keeps as they came.
    """
    entries = [_entry(one) for one in answered]
    for length in _SHORTER:
        if _size(entries) <= MOST_BYTES:
            break
        entries = [_entry(_shortened(one, length)) for one in answered]
    excess = _size(entries) - MOST_BYTES
    largest = sorted(range(len(entries)), key=lambda n: -len(entries[n]["data"]))
    for number in largest:
        if excess <= 0:
            break
        failed = _failed(answered[number].record)
        saved = len(entries[number]["data"]) - len(failed["data"])
        if saved > 0:
            entries[number] = failed
            excess -= saved
    return {"records": entries}


def _records(event: Mapping[str, Any]) -> list[Record]:
    return [_record(one) for one in event["records"]]


def _record(told: Mapping[str, Any]) -> Record:
    try:
        data = base64.b64decode(told["data"], validate=True)
    except (binascii.Error, ValueError):
        data = b""
    kinesis = told.get("kinesisRecordMetadata") or {}
    origin = None
    if "sequenceNumber" in kinesis:
        origin = f"{kinesis.get('shardId', '')}/{kinesis['sequenceNumber']}"
    milliseconds = kinesis.get("approximateArrivalTimestamp") or told.get(
        "approximateArrivalTimestamp"
    )
    arrived = None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    return Record(told["recordId"], data, origin, arrived)


def _entry(one: Answered) -> dict[str, str]:
    if one.rejection is not None:
        return _failed(one.record)
    return _told(one.record, "Ok", lines(list(one.events)))


def _failed(record: Record) -> dict[str, str]:
    return _told(record, "ProcessingFailed", record.data)


def _told(record: Record, result: str, data: bytes) -> dict[str, str]:
    encoded = base64.b64encode(data).decode("ascii")
    return {"recordId": record.key, "result": result, "data": encoded}


def _size(entries: Sequence[Mapping[str, str]]) -> int:
    return sum(len(e["data"]) + len(e["recordId"]) + _ENVELOPE_BYTES for e in entries)


def _shortened(one: Answered, length: int) -> Answered:
    return Answered(one.record, [_cut(event, length) for event in one.events], one.rejection)


def _cut(event: RecommendationEvent, length: int) -> RecommendationEvent:
    similar = event.similar_items
    if similar is not None:
        similar = SimilarItems(similar.product_code, similar.similar_items[:length])
    return msgspec.structs.replace(
        event, recommended_items=event.recommended_items[:length], similar_items=similar
    )
