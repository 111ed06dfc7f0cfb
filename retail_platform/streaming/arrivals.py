"""The objects that are laid down for us: where they are, and which there are.

Keys of a delivery stream are `<folder>/YYYY/MM/DD/HH/<name>`, the hour being that of the oldest
record in the object, in UTC, as Data Firehose has it. So they are nearly in the order of time, and
what is new need not be looked for among all that is old.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

from retail_platform.aws import aws_errors, client

RECOMMENDATIONS = "recommendations"
"""The folder of what was answered."""

FAILURES = "processing-failed"
"""The folder of what was not, as Firehose names it."""

_QUOTES = '"'

_GONE = ("NoSuchKey", "404", "PreconditionFailed", "412")
"""What S3 answers of a version that is there no more."""

_DAY = re.compile(r"[^/]+/(\d{4})/(\d\d)/(\d\d)/\d\d/")


@dataclass(frozen=True, order=True)
class Arrival:
    """One version of an object.

    Attributes:
        key: Its place.
        version: What changes if it is written anew.
        size: In bytes.
        modified: When it was written.
    """

    key: str
    version: str
    size: int
    modified: datetime

    @property
    def folder(self) -> str:
        """Such as `recommendations`, or a table that is landed."""
        return self.key.partition("/")[0]

    @property
    def day(self) -> date | None:
        """The day in its key; None where it has none, and is no delivery."""
        if match := _DAY.match(self.key):
            with suppress(ValueError):
                return date(*map(int, match.groups()))
        return None


class Arrivals(Protocol):
    """Where objects are laid down."""

    settling: ClassVar[timedelta]
    """How long after it was last written an object may still be growing."""

    @property
    def uri(self) -> str:
        """The place, without a slash at its end."""

    def after(self, folder: str, key: str = "") -> Iterator[Arrival]:
        """The objects of a folder behind a key, in the order of their keys."""

    def rung(self) -> bool | None:
        """Whether something came since the last time; None where only a look tells."""

    def read(self, key: str) -> bytes:
        """An object."""

    def fetch(self, arrival: Arrival, path: Path) -> bool:
        """Copies an object to a path of this machine; False if this version is there no more."""


def day_prefix(folder: str, day: date) -> str:
    """What the keys of a day begin with."""
    return f"{folder}/{day:%Y/%m/%d}/"


def batches(arrivals: Iterable[Arrival], objects: int, bytes_: int) -> Iterator[list[Arrival]]:
    """Arrivals, so many at a time, and so large together, unless one alone is larger."""
    batch: list[Arrival] = []
    size = 0
    for arrival in arrivals:
        if batch and (size + arrival.size > bytes_ or len(batch) == objects):
            yield batch
            batch, size = [], 0
        batch.append(arrival)
        size += arrival.size
    if batch:
        yield batch


@dataclass(frozen=True)
class FolderArrivals:
    """A folder of this machine.

    Attributes:
        folder: Where; it need not be there.
    """

    settling: ClassVar[timedelta] = timedelta(seconds=2)

    folder: Path

    @property
    def uri(self) -> str:
        """The folder's."""
        return f"file://{self.folder}"

    def after(self, folder: str, key: str = "") -> Iterator[Arrival]:
        """See `Arrivals`; folders of earlier keys are not looked into."""
        yield from self._below(folder, key)

    def rung(self) -> None:
        """See `Arrivals`; a folder does not ring."""

    def _below(self, key: str, behind: str) -> Iterator[Arrival]:
        try:
            found = [(f"{key}/{entry.name}", entry) for entry in os.scandir(self.folder / key)]
        except (FileNotFoundError, NotADirectoryError):
            return
        # In the order of the keys in them, in which `a.csv` stands before `a/b`.
        for below, entry in sorted(
            found, key=lambda one: one[0] + "/" if one[1].is_dir() else one[0]
        ):
            if entry.name.startswith("."):
                continue  # not whole yet
            if entry.is_dir():
                # Of what lies in it, nothing comes after its name with the highest letter.
                if f"{below}/\U0010ffff" > behind:
                    yield from self._below(below, behind)
            elif below > behind and (arrival := self._arrival(below)):
                yield arrival

    def _arrival(self, key: str) -> Arrival | None:
        try:
            stat = (self.folder / key).stat()
        except FileNotFoundError:
            return None
        modified = datetime.fromtimestamp(stat.st_mtime, UTC)
        return Arrival(key, f"{stat.st_mtime_ns}-{stat.st_size}", stat.st_size, modified)

    def read(self, key: str) -> bytes:
        """See `Arrivals`."""
        return (self.folder / key).read_bytes()

    def fetch(self, arrival: Arrival, path: Path) -> bool:
        """See `Arrivals`."""
        try:
            shutil.copyfile(self.folder / arrival.key, path)
        except FileNotFoundError:
            return False
        return self._arrival(arrival.key) == arrival


@dataclass(frozen=True)
class BucketArrivals:
    """A prefix of a bucket of S3.

    Attributes:
        bucket: The bucket.
        prefix: Where in it, without a slash at its end.
        queue: The URL of the SQS queue that S3 tells of new objects; empty for none.
    """

    settling: ClassVar[timedelta] = timedelta()  # an object is whole as soon as it is there

    bucket: str
    prefix: str
    queue: str = ""

    @cached_property
    def _s3(self) -> Any:
        return client("s3")

    @property
    def uri(self) -> str:
        """The prefix's."""
        return f"s3://{self.bucket}/{self.prefix}"

    def after(self, folder: str, key: str = "") -> Iterator[Arrival]:
        """See `Arrivals`; S3 lists a thousand at a time, from the key on."""
        asked = {"Bucket": self.bucket, "Prefix": f"{self.prefix}/{folder}/"}
        if key:
            asked["StartAfter"] = f"{self.prefix}/{key}"
        with aws_errors(f"listing {self.uri} (RETAIL_LAKE_BUCKET)"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(**asked):
                for found in page.get("Contents", ()):
                    if found["Key"].endswith("/"):
                        continue  # a folder as the console makes it
                    modified = found["LastModified"]
                    # What is as it was before another version is a version of its own.
                    version = f"{found['ETag'].strip(_QUOTES)}-{int(modified.timestamp())}"
                    name = found["Key"].removeprefix(f"{self.prefix}/")
                    yield Arrival(name, version, found["Size"], modified)

    def rung(self) -> bool | None:
        """See `Arrivals`; what the queue says is forgotten then.

        Which object it was does not matter: who hears it looks.
        """
        if not self.queue:
            return None
        rung = False
        with aws_errors(f"asking the queue {self.queue} (RETAIL_{self.prefix.upper()}_QUEUE)"):
            while told := self._sqs.receive_message(
                # All of SQS's servers are asked only by who waits for a second.
                QueueUrl=self.queue,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=0 if rung else 1,
            ).get("Messages"):
                rung = True
                self._sqs.delete_message_batch(
                    QueueUrl=self.queue,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                        for number, message in enumerate(told)
                    ],
                )
        return rung

    @cached_property
    def _sqs(self) -> Any:
        return client("sqs")

    def read(self, key: str) -> bytes:
        """See `Arrivals`."""
        with aws_errors(f"reading {self.uri}/{key}"):
            answer = self._s3.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")
            body: bytes = answer["Body"].read()
            return body

    def fetch(self, arrival: Arrival, path: Path) -> bool:
        """See `Arrivals`."""
        with aws_errors(f"reading {self.uri}/{arrival.key}"):
            try:
                answer = self._s3.get_object(
                    Bucket=self.bucket,
                    Key=f"{self.prefix}/{arrival.key}",
                    IfMatch=arrival.version.rpartition("-")[0],
                )
            except self._s3.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in _GONE:
                    return False
                raise
            with path.open("wb") as file:
                shutil.copyfileobj(answer["Body"], file)
        return True
