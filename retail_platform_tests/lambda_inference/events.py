"""Browse events and the requests in which AWS delivers them."""

import base64
import json
from collections.abc import Sequence
from typing import Any

ARRIVED_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


def browse(*codes: str, **fields: Any) -> dict[str, Any]:
    """A browse event of some products."""
    return {
        "event_id": "e-1",
        "schema_version": 1,
        "session_id": "s-1",
        "customer_number": None,
        "city": "Nantes",
        "country": "France",
        "credit_limit": 21000,
        "occurred_at": "2026-01-01T00:00:00Z",
        "browse_history": [
            {"product_code": code, "quantity": 1, "in_shopping_cart": False} for code in codes
        ],
        **fields,
    }


def encoded(event: Any) -> bytes:
    """Bytes as they are, anything else as JSON."""
    return event if isinstance(event, bytes) else json.dumps(event).encode()


def firehose_request(records: Sequence[Any], *, of_kinesis: bool = True) -> dict[str, Any]:
    """A request of Firehose to transform records, whose ids are their numbers."""
    return {
        "invocationId": "invocation",
        "deliveryStreamArn": "arn:aws:firehose:eu-west-1:123456789012:deliverystream/recommendations",
        "region": "eu-west-1",
        "records": [
            {
                "recordId": str(number),
                "approximateArrivalTimestamp": ARRIVED_MS,
                "data": base64.b64encode(encoded(record)).decode(),
                **({"kinesisRecordMetadata": _metadata(number)} if of_kinesis else {}),
            }
            for number, record in enumerate(records)
        ],
    }


def kinesis_request(records: Sequence[Any]) -> dict[str, Any]:
    """A batch of an event source mapping, whose sequence numbers are those of its records."""
    return {
        "Records": [
            {
                "eventID": f"shardId-000000000000:{number}",
                "eventSource": "aws:kinesis",
                "kinesis": {
                    "partitionKey": "key",
                    "sequenceNumber": str(number),
                    "approximateArrivalTimestamp": ARRIVED_MS / 1000,
                    "data": base64.b64encode(encoded(record)).decode(),
                },
            }
            for number, record in enumerate(records)
        ]
    }


def told(response: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The lines of each record of a response that is Ok."""
    return [
        [json.loads(line) for line in base64.b64decode(record["data"]).splitlines()]
        for record in response["records"]
        if record["result"] == "Ok"
    ]


def _metadata(number: int) -> dict[str, Any]:
    return {
        "sequenceNumber": str(number),
        "subsequenceNumber": 0,
        "partitionKey": "key",
        "shardId": "shardId-000000000000",
        "approximateArrivalTimestamp": ARRIVED_MS,
    }
