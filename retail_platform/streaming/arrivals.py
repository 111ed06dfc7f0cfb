"""The objects that a delivery stream lays down: where they are, and which there are.

Keys are `<folder>/YYYY/MM/DD/HH/<name>`, the hour being that of the oldest record in the object, in
UTC, as Data Firehose has it. So keys are nearly in the order of time, and what is new need not be
looked for among all that is old.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from retail_platform.aws import aws_errors, client

RECOMMENDATIONS = "recommendations"
"""The folder of what was answered."""

FAILURES = "processing-failed"
"""The folder of what was not, as Firehose names it."""

_DAY = re.compile(r"[^/]+/(\d{4})/(\d\d)/(\d\d)/\d\d/")


@dataclass(frozen=True, order=True)
class Arrival:
    """One version of an object.

    Attributes:
        key: Its place below the stream's.
        version: What changes if it is written anew.
        size: In bytes.
    """

    key: str
    version: str
    size: int

    @property
    def folder(self) -> str:
        """Such as `recommendations`."""
        return self.key.partition("/")[0]

    @property
    def day(self) -> date | None:
        """The day in its key; None where it has none, and is no delivery."""
        if match := _DAY.match(self.key):
            with suppress(ValueError):
                return date(*map(int, match.groups()))
        return None


class Arrivals(Protocol):
    """Where a delivery stream lays its objects."""

    @property
    def uri(self) -> str:
        """The place, without a slash at its end."""

    def since(self, folder: str, day: date | None) -> Iterator[Arrival]:
        """The objects of a folder from a day on, all for None, in the order of their keys."""

    def read(self, key: str) -> bytes:
        """An object."""


def day_prefix(folder: str, day: date) -> str:
    """What the keys of a day begin with."""
    return f"{folder}/{day:%Y/%m/%d}/"


@dataclass(frozen=True)
class FolderArrivals:
    """A folder of this machine.

    Attributes:
        folder: Where; it need not be there.
    """

    folder: Path

    @property
    def uri(self) -> str:
        """The folder's."""
        return f"file://{self.folder}"

    def since(self, folder: str, day: date | None) -> Iterator[Arrival]:
        """See `Arrivals`; folders of earlier days are not looked into."""
        first = "" if day is None else day_prefix(folder, day)
        yield from self._below(folder, first)

    def _below(self, key: str, first: str) -> Iterator[Arrival]:
        try:
            entries = sorted(os.scandir(self.folder / key), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            below = f"{key}/{entry.name}"
            if entry.name.startswith("."):
                continue  # not whole yet
            if entry.is_dir():
                # Of what lies in it, nothing comes after its name with the highest letter.
                if f"{below}/\U0010ffff" >= first:
                    yield from self._below(below, first)
            elif below >= first:
                stat = entry.stat()
                yield Arrival(below, f"{stat.st_mtime_ns}-{stat.st_size}", stat.st_size)

    def read(self, key: str) -> bytes:
        """See `Arrivals`."""
        return (self.folder / key).read_bytes()


@dataclass(frozen=True)
class BucketArrivals:
    """A prefix of a bucket of S3.

    Attributes:
        bucket: The bucket.
        prefix: Where in it, without a slash at its end.
    """

    bucket: str
    prefix: str

    @cached_property
    def _s3(self) -> Any:
        return client("s3")

    @property
    def uri(self) -> str:
        """The prefix's."""
        return f"s3://{self.bucket}/{self.prefix}"

    def since(self, folder: str, day: date | None) -> Iterator[Arrival]:
        """See `Arrivals`; S3 lists from the first key that may be new."""
        asked = {"Bucket": self.bucket, "Prefix": f"{self.prefix}/{folder}/"}
        if day is not None:
            asked["StartAfter"] = f"{self.prefix}/{day_prefix(folder, day)}"
        with aws_errors(f"listing {self.uri} (RETAIL_LAKE_BUCKET)"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(**asked):
                for found in page.get("Contents", ()):
                    if found["Key"].endswith("/"):
                        continue  # a folder as the console makes it
                    key = found["Key"].removeprefix(f"{self.prefix}/")
                    yield Arrival(key, found["ETag"].strip('"'), found["Size"])

    def read(self, key: str) -> bytes:
        """See `Arrivals`."""
        with aws_errors(f"reading {self.uri}/{key}"):
            answer = self._s3.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")
            body: bytes = answer["Body"].read()
            return body
