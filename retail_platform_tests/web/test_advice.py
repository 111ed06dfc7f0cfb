"""Asking the Lambda for recommendations: by boto3 of a server that speaks as Lambda's API does."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any, cast

import boto3
import msgspec
import pytest

from lambda_inference.answers import (
    POPULAR,
    RecommendationEvent,
    Recommended,
    Strategy,
    recommendation_event,
)
from lambda_inference.answers import Recommendations as Found
from lambda_inference.events import Browsed, BrowseEvent
from lambda_inference.http import Service
from lambda_inference.inference import Inference
from lambda_inference.store import Unavailable
from retail_platform.errors import RetailError, VectorStoreError
from retail_platform.web.advice import LambdaAdviser
from retail_platform_tests.aws import environment

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:retail-http:live"
EVENT = BrowseEvent(
    event_id="e1",
    session_id="s1",
    country="Österreich",
    occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
    browse_history=[Browsed("S1", 2, True)],
)


class Recommender:
    """An inference that knows one product."""

    def __init__(self) -> None:
        self.away = False

    def answer(self, events: list[BrowseEvent]) -> list[RecommendationEvent]:
        if self.away:
            raise Unavailable("away")
        found = Found(
            recommended_items=[Recommended("S9", 1.5, POPULAR)],
            similar_items=None,
            strategy=Strategy.SESSION,
            model_version="m",
            degraded=False,
        )
        return [recommendation_event(one, found, datetime.now(UTC)) for one in events]


class Api:
    """Lambda's API over the real handler, which can be made to fail."""

    def __init__(self) -> None:
        self.recommender = Recommender()
        self.service = Service(cast(Inference, self.recommender))
        self.says: bytes | None = None
        self.status = 200
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.asked: list[tuple[str, str]] = []

    def invoked(self, payload: bytes) -> bytes:
        if self.says is not None:
            return self.says
        return json.dumps(self.service(json.loads(payload), None)).encode()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            api.asked.append((self.path, self.headers["Authorization"]))
            api.goes_on.wait(20)
            answer = api.invoked(payload)
            self.send_response(api.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name, value in environment(f"http://127.0.0.1:{server.server_address[1]}").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    yield api
    api.goes_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_the_lambda_answers_is_the_answer(api: Api) -> None:
    answer = LambdaAdviser(FUNCTION).answer(EVENT)
    assert [item.id for item in answer.recommended_items] == ["S9"]
    told = msgspec.to_builtins(EVENT)
    assert {name: msgspec.to_builtins(answer)[name] for name in told} == told
    ((path, signed),) = api.asked
    assert path.endswith("/invocations")
    assert "retail-http" in path
    assert "/lambda/aws4_request" in signed


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (b'{"errorMessage": "out of memory", "errorType": "Runtime.ExitError"}', "is none"),
        (b"null", "is none"),
        (b"<html>", "is none"),
        (b'{"statusCode": 200, "body": "{}"}', "is none"),
        (b'{"statusCode": 400, "body": "{}"}', "it answers 400; see its log"),
    ],
)
def test_what_is_no_answer_is_told_as_one_error(says: bytes, why: str, api: Api) -> None:
    api.says = says
    with pytest.raises(VectorStoreError, match=why):
        LambdaAdviser(FUNCTION).answer(EVENT)


def test_a_lambda_without_its_store_is_told(api: Api) -> None:
    api.recommender.away = True
    with pytest.raises(VectorStoreError, match="it answers 503"):
        LambdaAdviser(FUNCTION).answer(EVENT)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_what_the_api_refuses_is_not_asked_again(status: int, api: Api) -> None:
    api.status, api.says = status, b"{}"
    with pytest.raises(RetailError, match=r"asking .*retail-http"):
        LambdaAdviser(FUNCTION).answer(EVENT)
    assert len(api.asked) == 1


def test_a_page_waits_for_it_no_longer_than_it_may(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_platform.web.advice.ANSWER_SECONDS", 0.3)
    api.goes_on.clear()
    began = monotonic()
    with pytest.raises(RetailError, match="cannot be reached"):
        LambdaAdviser(FUNCTION).answer(EVENT)
    assert monotonic() - began < 5
    assert len(api.asked) == 1


def test_nobody_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(RetailError, match="cannot be reached"):
        LambdaAdviser(FUNCTION).answer(EVENT)
