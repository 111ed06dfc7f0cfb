"""Recommendations for a page: by the Lambda's own code in this process, or by the Lambda on AWS."""

import threading
from functools import cached_property
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from botocore.config import Config

from lambda_inference.answers import RecommendationEvent
from lambda_inference.events import BrowseEvent
from lambda_inference.inference import Inference
from lambda_inference.store import Unavailable
from retail_platform.aws import aws_errors, session
from retail_platform.errors import VectorStoreError

CONNECT_SECONDS, ANSWER_SECONDS = 1, 2
"""What a page waits for the Lambda before it goes on without."""

MOST_AT_ONCE = 40
"""Pages that are made at the same time, each with a connection."""


class Adviser(Protocol):
    """Answers what someone does with what may please him."""

    def answer(self, event: BrowseEvent) -> RecommendationEvent:
        """What is recommended, and what goes with the product that was looked at last.

        Raises:
            VectorStoreError: There are no recommendations at the moment.
        """
        ...


class LocalAdviser:
    """Answers in this process.

    Args:
        inference: The Lambda's, which one thread at a time may ask.
    """

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._lock = threading.Lock()

    def answer(self, event: BrowseEvent) -> RecommendationEvent:
        """See `Adviser`; where the store is away, what was read of it before counts."""
        try:
            with self._lock:
                (answer,) = self._inference.answer([event])
        except Unavailable as error:
            raise VectorStoreError(str(error)) from error
        return answer


class LambdaAdviser:
    """Invokes the Lambda, whose handler of HTTP takes what a function URL would send.

    By its API and not by that URL: a network whose machines reach AWS through endpoints alone has one
    for the API.

    Args:
        function: The Lambda's name or ARN, alias and all (RETAIL_RECOMMENDER).
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._decoder = msgspec.json.Decoder(RecommendationEvent)

    @cached_property
    def _lambda(self) -> Any:
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"total_max_attempts": 1},  # a visitor would wait for each
            max_pool_connections=MOST_AT_ONCE,
        )
        return session().client("lambda", config=config)

    def answer(self, event: BrowseEvent) -> RecommendationEvent:
        """See `Adviser`."""
        doing = f"asking {self._function} for recommendations"
        with aws_errors(doing, "correct RETAIL_RECOMMENDER"):
            told = self._lambda.invoke(FunctionName=self._function, Payload=_request(event))
            text = told["Payload"].read()
        try:
            answer = _RESPONSE.decode(text)
            if answer.status_code != HTTPStatus.OK:
                raise VectorStoreError(f"{doing}: it answers {answer.status_code}; see its log")
            return self._decoder.decode(answer.body)
        except msgspec.DecodeError as error:  # what a function died of is no response either
            raise VectorStoreError(f"{doing}: the answer is none ({error}); see its log") from error


class _Response(msgspec.Struct, rename={"status_code": "statusCode"}):
    status_code: int
    body: str


_RESPONSE = msgspec.json.Decoder(_Response)


def _request(event: BrowseEvent) -> bytes:
    http = {"method": "POST", "path": "/recommendations"}
    return msgspec.json.encode(
        {
            "version": "2.0",
            "rawPath": http["path"],
            "rawQueryString": "",
            "headers": {"content-type": "application/json"},
            "requestContext": {"http": http, "stage": "$default"},
            "body": msgspec.json.encode(event).decode(),
            "isBase64Encoded": False,
        }
    )
