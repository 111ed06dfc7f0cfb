"""Recommendations for a page: by the Lambda's own code in this process, or by its URL on AWS."""

import threading
from typing import Protocol

import msgspec

from lambda_inference.answers import RecommendationEvent
from lambda_inference.events import BrowseEvent
from lambda_inference.inference import Inference
from lambda_inference.store import Unavailable
from retail_platform.aws import aws_errors, region, session
from retail_platform.errors import VectorStoreError

CONNECT_SECONDS, ANSWER_SECONDS = 1, 2
"""What a page waits for the URL before it goes on without."""


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


class UrlAdviser:
    """Asks the function URL, by the role of this machine.

    Args:
        url: The Lambda's function URL (RETAIL_RECOMMENDER_URL).
    """

    def __init__(self, url: str) -> None:
        from botocore.httpsession import URLLib3Session

        self._url = f"{url.rstrip('/')}/recommendations"
        self._http = URLLib3Session(
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS), max_pool_connections=40
        )
        self._decoder = msgspec.json.Decoder(RecommendationEvent)

    def answer(self, event: BrowseEvent) -> RecommendationEvent:
        """See `Adviser`."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        doing = "asking for recommendations"
        with aws_errors(doing):
            request = AWSRequest(
                "POST", self._url, {"Content-Type": "application/json"}, msgspec.json.encode(event)
            )
            SigV4Auth(session().get_credentials(), "lambda", region()).add_auth(request)
            answer = self._http.send(request.prepare())
        if answer.status_code != 200:
            raise VectorStoreError(
                f"{doing}: {self._url} answers {answer.status_code}: see the Lambda's log"
            )
        try:
            return self._decoder.decode(answer.content)
        except msgspec.DecodeError as error:
            raise VectorStoreError(f"{doing}: the answer is none ({error})") from error
