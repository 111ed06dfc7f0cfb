"""Deliveries made for tests: answered events, and objects of them as Firehose lays them down."""

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3

from lambda_inference.answers import (
    Reason,
    ReasonKind,
    RecommendationEvent,
    Recommendations,
    Recommended,
    SimilarItems,
    Strategy,
    lines,
    recommendation_event,
)
from lambda_inference.events import decode
from retail_platform_tests.lambda_inference.events import browse, encoded

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def answered(event_id: str, *codes: str, at: datetime = NOON, **fields: Any) -> RecommendationEvent:
    """An event of some products, with A, B and C recommended."""
    strategy = fields.pop("strategy", Strategy.SESSION)
    model_version = fields.pop("model_version", "m1")
    shown = fields.pop("shown", ("A", "B", "C"))
    told = browse(*codes, event_id=event_id, occurred_at=at.isoformat(), **fields)
    found = Recommendations(
        recommended_items=[
            Recommended(
                code,
                1.5 - rank,
                Reason(ReasonKind.BROWSED, codes[0]) if codes else Reason(ReasonKind.POPULAR),
            )
            for rank, code in enumerate(shown)
        ],
        similar_items=SimilarItems(codes[-1], []) if codes else None,
        strategy=strategy,
        model_version=model_version,
        degraded=False,
    )
    return recommendation_event(decode(encoded(told)), found, at + timedelta(seconds=1))


def object_of(events: Iterable[RecommendationEvent]) -> bytes:
    """Events as an object of Firehose."""
    return gzip.compress(lines(list(events)), mtime=0)


def failures_of(*records: bytes, at: datetime = NOON, code: str = "Lambda.FunctionError") -> bytes:
    """Failed records as an object of Firehose."""
    milliseconds = int(at.timestamp() * 1000)
    told = [
        {
            "attemptsMade": 4,
            "arrivalTimestamp": milliseconds - 5_000,
            "errorCode": code,
            "errorMessage": "it failed",
            "attemptEndingTimestamp": milliseconds,
            "rawData": base64.b64encode(record).decode(),
            "lambdaArn": "arn",
        }
        for record in records
    ]
    return gzip.compress("".join(json.dumps(one) + "\n" for one in told).encode(), mtime=0)


def key(name: str, folder: str = "recommendations", at: datetime = NOON) -> str:
    """An object's place below the stream's."""
    return f"{folder}/{at:%Y/%m/%d/%H}/{name}"


def lay(folder: Path, place: str, data: bytes) -> None:
    """Lays an object into a folder."""
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def upload(bucket: str, place: str, data: bytes) -> None:
    """Lays an object into a bucket."""
    boto3.client("s3").put_object(Bucket=bucket, Key=place, Body=data)


def ids(events: Sequence[RecommendationEvent]) -> set[str]:
    """The ids of events."""
    return {event.event_id for event in events}
