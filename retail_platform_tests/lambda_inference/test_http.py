"""The routes, asked as a function URL and as a load balancer ask."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_inference.http import Service
from lambda_inference.inference import Inference
from lambda_inference.store import VectorReader
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform_tests.lambda_inference.events import browse, encoded
from retail_platform_tests.lambda_inference.stores import Served, served
from retail_platform_tests.recommender.editions import shop


@pytest.fixture(scope="module")
def live(postgres: EmbeddedPostgres) -> Iterator[Served]:
    with served(postgres.ensure_database("inference_http"), shop()[1]) as live:
        yield live


def by_url(method: str, path: str, query: dict[str, str], body: bytes | None) -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "&".join(f"{k}={v}" for k, v in query.items()),
        "queryStringParameters": query,
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "isBase64Encoded": body is not None,
        "body": None if body is None else base64.b64encode(body).decode(),
    }


def by_balancer(
    method: str, path: str, query: dict[str, str], body: bytes | None
) -> dict[str, Any]:
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": query,
        "headers": {"content-type": "application/json"},
        "isBase64Encoded": body is not None,
        "body": "" if body is None else base64.b64encode(body).decode(),
    }


WAYS = {"url": by_url, "balancer": by_balancer}


@pytest.fixture(params=WAYS)
def ask(request: pytest.FixtureRequest, live: Served) -> Any:
    service = Service(live.inference)
    event_of = WAYS[request.param]

    def ask(
        method: str, path: str, body: bytes | None = None, **query: str
    ) -> tuple[int, dict[str, Any]]:
        response = service(event_of(method, path, query, body), None)
        assert "application/json" in json.dumps(response)
        return response["statusCode"], json.loads(response["body"])

    return ask


def test_recommendations_for_an_event(ask: Any) -> None:
    event = browse("A01", "B02", customer_number=10)
    status, answer = ask("POST", "/recommendations", encoded(event))
    assert status == 200
    assert answer["event_id"] == "e-1"
    assert answer["strategy"] == "known+session"
    assert len(answer["recommended_items"]) == 10


def test_similar_products(ask: Any) -> None:
    status, answer = ask("GET", "/items/B02/similar", count="3")
    assert status == 200
    assert answer["product_code"] == "B02"
    assert [item["id"][0] for item in answer["similar_items"]] == ["B"] * 3
    assert len(ask("GET", "/items/B02/similar")[1]["similar_items"]) == 10


def test_the_vector_of_a_visitor(ask: Any, live: Served) -> None:
    status, answer = ask("POST", "/user-embeddings", encoded(browse("A01", customer_number=10)))
    assert status == 200
    assert answer["strategy"] == "known+session"
    assert len(answer["embedding"]) == 65
    assert any(answer["embedding"])
    nobody = ask("POST", "/user-embeddings", encoded(browse()))[1]
    assert (nobody["strategy"], set(nobody["embedding"])) == ("popularity", {0.0})


def test_health(ask: Any, live: Served) -> None:
    status, answer = ask("GET", "/health")
    assert status == 200
    assert answer == {
        "model_version": live.reader.model(1).model_version,
        "version": 1,
        "products": 80,
        "degraded": False,
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "status", "reason"),
    [
        ("POST", "/recommendations", b"{", {}, 400, "not a browse event"),
        ("POST", "/recommendations", b"\xff", {}, 400, "not a browse event"),
        ("POST", "/recommendations", None, {}, 400, "not a browse event"),
        ("POST", "/user-embeddings", b"[]", {}, 400, "Expected `object`"),
        ("GET", "/items/nothing/similar", None, {}, 404, "no such product"),
        ("GET", "/items/A01/similar", None, {"count": "0"}, 400, "count is 1 to 100"),
        ("GET", "/items/A01/similar", None, {"count": "-1"}, 400, "count is 1 to 100"),
        ("GET", "/items/A01/similar", None, {"count": "many"}, 400, "count is 1 to 100"),
        ("GET", "/elsewhere", None, {}, 404, "nothing here"),
        ("GET", "/recommendations", None, {}, 404, "nothing here"),
    ],
)
def test_what_cannot_be_answered_says_why(
    ask: Any,
    method: str,
    path: str,
    body: bytes | None,
    query: dict[str, str],
    status: int,
    reason: str,
) -> None:
    assert ask(method, path, body, **query)[0] == status
    assert reason in ask(method, path, body, **query)[1]["error"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/health", None),
        ("GET", "/items/A01/similar", None),
        ("POST", "/user-embeddings", encoded(browse("A01"))),
    ],
)
def test_without_a_store_it_is_unavailable(method: str, path: str, body: bytes | None) -> None:
    service = Service(Inference(VectorReader(lambda: "host=127.0.0.1 port=1 password=rosebud")))
    response = service(by_url(method, path, {}, body), None)
    assert response["statusCode"] == 503
    assert json.loads(response["body"]) == {"error": "there are no recommendations at the moment"}


def test_a_product_code_may_have_any_letters(live: Served) -> None:
    response = Service(live.inference)(by_url("GET", "/items/S%2F1%20é/similar", {}, None), None)
    assert response["statusCode"] == 404
    assert "no such product" in response["body"]
