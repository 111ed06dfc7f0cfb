"""The laptop's Firehose: the very handler of the Lambda in this process, and a local folder.

Records are transformed in batches, buffered, and laid down as Data Firehose does: packed, in objects
whose keys are in the order of time, failed records under a folder of their own with Firehose's
fields. Who looks into the folder sees whole objects only.
"""

import base64
import gzip
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retail_platform.streaming.arrivals import FAILURES, RECOMMENDATIONS

Transform = Callable[[dict[str, Any]], dict[str, Any]]
"""A transformation of Firehose: a request in, a response out."""

BATCH_RECORDS = 100
"""Records that are transformed at a time."""

BUFFER_BYTES = 5_000_000
"""Of an object, before it is packed."""

BUFFER_SECONDS = 2.0
"""How long an answer waits for others at most."""

BATCH_SECONDS = 0.5
"""How long a record waits for others to be transformed with."""

ATTEMPTS = 3
"""Of a transformation that fails."""

_STREAM = "retail-events"
_FAILED_STATUS = "Lambda.ProcessingFailedStatus"
_FAILED_FUNCTION = "Lambda.FunctionError"


@dataclass
class _Buffer:
    """What waits for others to become one object."""

    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    since: datetime | None = None

    def add(self, data: bytes, now: datetime) -> None:
        self.lines.append(data)
        self.size += len(data)
        self.since = self.since or now


class LocalDelivery:
    """A delivery stream into a folder.

    Args:
        folder: Where objects go.
        transform: What records go through.
        clock: Gives the time, in UTC.
    """

    def __init__(
        self,
        folder: Path,
        transform: Transform,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._transform = transform
        self._clock = clock
        self._waiting: list[bytes] = []
        self._waiting_since = clock()
        self._buffers = {RECOMMENDATIONS: _Buffer(), FAILURES: _Buffer()}
        self._number = 0
        self._run = uuid.uuid4().hex[:12]

    def put(self, records: Sequence[bytes]) -> None:
        """Takes records; they are transformed and laid down as enough have come."""
        if not self._waiting:
            self._waiting_since = self._clock()
        self._waiting += records
        while len(self._waiting) >= BATCH_RECORDS:
            batch, self._waiting = self._waiting[:BATCH_RECORDS], self._waiting[BATCH_RECORDS:]
            self._deliver(batch)
        self.tick()

    def tick(self) -> None:
        """Transforms and lays down what has waited long enough."""
        now = self._clock()
        if self._waiting and (now - self._waiting_since).total_seconds() >= BATCH_SECONDS:
            batch, self._waiting = self._waiting, []
            self._deliver(batch)
        for folder, buffer in self._buffers.items():
            if buffer.since is None:
                continue
            if (
                buffer.size >= BUFFER_BYTES
                or (now - buffer.since).total_seconds() >= BUFFER_SECONDS
            ):
                self._lay_down(folder, buffer)

    def flush(self) -> None:
        """Transforms and lays down all that waits."""
        if self._waiting:
            batch, self._waiting = self._waiting, []
            self._deliver(batch)
        for folder, buffer in self._buffers.items():
            self._lay_down(folder, buffer)

    def _deliver(self, batch: Sequence[bytes]) -> None:
        now = self._clock()
        milliseconds = int(now.timestamp() * 1000)
        records = [self._record(data, milliseconds) for data in batch]
        request = {
            "invocationId": uuid.uuid4().hex,
            "deliveryStreamArn": _STREAM,
            "region": "local",
            "records": records,
        }
        results, code, message = self._transformed(request)
        for told in records:
            result = results.get(told["recordId"], {})
            if result.get("result") == "Ok":
                self._buffers[RECOMMENDATIONS].add(base64.b64decode(result["data"]), now)
            else:
                line = _failure(told, code, message, milliseconds)
                self._buffers[FAILURES].add(line, now)

    def _record(self, data: bytes, milliseconds: int) -> dict[str, Any]:
        self._number += 1
        sequence = f"{self._run}{self._number:020}"
        return {
            "recordId": sequence,
            "approximateArrivalTimestamp": milliseconds,
            "data": base64.b64encode(data).decode("ascii"),
            "kinesisRecordMetadata": {
                "sequenceNumber": sequence,
                "subsequenceNumber": 0,
                "partitionKey": sequence,
                "shardId": "shardId-000000000000",
                "approximateArrivalTimestamp": milliseconds,
            },
        }

    def _transformed(self, request: dict[str, Any]) -> tuple[dict[str, Any], str, str]:
        """The results by record, and what a record without one failed of."""
        error = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.05 * 2**attempt)
            try:
                response = self._transform(request)
            except Exception as failure:  # whatever a function dies of, Firehose goes on
                error = f"{type(failure).__name__}: {failure}"
                continue
            results = {record["recordId"]: record for record in response["records"]}
            return results, _FAILED_STATUS, "ProcessingFailed status set for record"
        return (
            {},
            _FAILED_FUNCTION,
            f"The Lambda function was successfully invoked but it returned an error result: {error}",
        )

    def _lay_down(self, folder: str, buffer: _Buffer) -> None:
        if buffer.since is None:
            return
        since, lines = buffer.since, buffer.lines
        self._buffers[folder] = _Buffer()
        name = f"{_STREAM}-1-{since:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}.gz"
        place = self._folder / folder / f"{since:%Y/%m/%d/%H}"
        place.mkdir(parents=True, exist_ok=True)
        draft = place / f".{name}"
        # No time in it: the same lines are the same bytes.
        draft.write_bytes(gzip.compress(b"".join(lines), compresslevel=6, mtime=0))
        draft.rename(place / name)


def _failure(told: Mapping[str, Any], code: str, message: str, milliseconds: int) -> bytes:
    """A failed record with Firehose's fields."""
    line = {
        "attemptsMade": ATTEMPTS + 1,
        "arrivalTimestamp": told["approximateArrivalTimestamp"],
        "errorCode": code,
        "errorMessage": message,
        "attemptEndingTimestamp": milliseconds,
        "rawData": told["data"],
        "lambdaArn": "local",
    }
    return json.dumps(line).encode() + b"\n"
