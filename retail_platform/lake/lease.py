"""The lock of a lake in a bucket: an object that its holder keeps renewing."""

import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from threading import Event, Lock, Thread
from typing import Any

from botocore.exceptions import ClientError

from retail_platform.aws import aws_errors, code_of
from retail_platform.errors import LakeError, RetailError
from retail_platform.lake.storage import LOCK_SECONDS, WAITING, never_ends

LEASE_SECONDS = 60.0
RENEWAL_SECONDS = 20.0
_POLL_SECONDS = 1.0
_WRITE_ATTEMPTS = 3

_REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Seen:
    """The object as it was found."""

    body: str
    etag: str
    expired: bool


class Lease:
    """The right to write, for a minute at a time.

    Every write of the object is conditional on what it was before, so of two that want it one gets
    it. No local clock is trusted: the age of the object is the difference of two times that S3
    itself gives with it, and a holder knows that it still is one by renewing, not by counting.
    """

    def __init__(self, s3: Any, bucket: str, key: str) -> None:
        """Nothing is asked of S3 yet.

        Args:
            s3: A client of S3.
            bucket: The bucket.
            key: The object.
        """
        self._s3 = s3
        self._object = {"Bucket": bucket, "Key": key}
        self._doing = f"locking s3://{bucket}/{key} (RETAIL_LAKE_BUCKET)"
        self._owner = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex}"
        self._etag = ""
        self._lost = False
        self._one_write = Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for the lease, and renews it in the background until the end of the block.

        Raises:
            LakeError: Its holder does not come to an end.
        """
        self._wait()
        done = Event()
        renewal = Thread(target=self._renew_until, args=(done,), name="lake-lease", daemon=True)
        renewal.start()
        try:
            yield
        finally:
            done.set()
            renewal.join()
            self._release()

    def require(self) -> None:
        """Renews the lease, which is the proof that it is still ours.

        Raises:
            LakeError: It is another's.
        """
        if not self._renew():
            raise LakeError(
                "another build has taken over the lake, because this one had not been heard of for "
                f"{LEASE_SECONDS:g} s: build it again"
            )

    def _wait(self) -> None:
        if self._take():
            return
        log.warning(WAITING)
        until = time.monotonic() + LOCK_SECONDS
        while not self._take():
            if time.monotonic() > until:
                raise never_ends()
            time.sleep(_POLL_SECONDS)

    def _take(self) -> bool:
        """Takes the lease if nobody has it; says whether."""
        with aws_errors(self._doing, "create the bucket, or correct RETAIL_LAKE_BUCKET"):
            seen = self._read()
            return (seen is None or seen.expired) and self._write(seen.etag if seen else None)

    def _renew_until(self, done: Event) -> None:
        while not done.wait(RENEWAL_SECONDS):
            try:
                if not self._renew():
                    return
            except RetailError as error:
                log.warning("the lock of the lake could not be renewed, trying again: %s", error)

    def _renew(self) -> bool:
        with self._one_write, aws_errors(self._doing):
            self._lost = self._lost or not self._write(self._etag)
            return not self._lost

    def _release(self) -> None:
        try:
            with self._one_write, aws_errors(self._doing):
                self._delete()
        except RetailError as error:
            log.warning("the lock of the lake frees itself in %g s only: %s", LEASE_SECONDS, error)

    def _delete(self) -> None:
        try:
            self._s3.delete_object(**self._object, IfMatch=self._etag)
        except ClientError as error:
            if code_of(error) not in _REFUSED:  # it is another's by now
                raise

    def _read(self) -> _Seen | None:
        try:
            answer = self._s3.get_object(**self._object)
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return None
            raise
        body = answer["Body"].read().decode()
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        age = (now - answer["LastModified"]).total_seconds()
        return _Seen(body, answer["ETag"], expired=age > json.loads(body)["seconds"])

    def _write(self, over: str | None) -> bool:
        """Writes the object if it still is the version `over`, or none; says whether it was."""
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over}
        content = {"owner": self._owner, "seconds": LEASE_SECONDS}
        # The etag is a digest of the content, and a renewal has to change it: who is about to take
        # over an expired lease that was renewed at the last moment must be refused.
        body = json.dumps(content | {"write": uuid.uuid4().hex})
        for _ in range(_WRITE_ATTEMPTS):
            try:
                self._etag = self._s3.put_object(**self._object, Body=body, **condition)["ETag"]
            except ClientError as error:
                if code_of(error) not in _REFUSED:
                    raise
            else:
                return True
            seen = self._read()
            if seen is not None and seen.body == body:
                # The client's retry was refused over its own first try, whose answer was lost.
                self._etag = seen.etag
                return True
            if (seen.etag if seen else None) != over:
                return False
            time.sleep(_POLL_SECONDS)  # refused for another's write at once, which failed as well
        return False
