"""Recommendations for who asks: by a function URL, or behind a load balancer.

    POST /recommendations             a browse event; its answer
    GET  /items/{product_code}/similar?count=5
    POST /user-embeddings             a browse event; the vector by which its visitor is known
    GET  /health

Requests and answers are JSON; an error is `{"error": why}`.
"""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from aws_lambda_powertools.event_handler import ALBResolver, LambdaFunctionUrlResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from lambda_inference.events import BrowseEvent, Rejected, decode
from lambda_inference.inference import Inference
from lambda_inference.store import Unavailable
from lambda_inference.telemetry import logger

MOST_SIMILAR = 100
"""What may be asked for at once."""

_JSON = "application/json"
_ENCODER = msgspec.json.Encoder()


def handler(event: dict[str, Any], context: Any) -> Mapping[str, Any]:
    """What Lambda calls."""
    from lambda_inference.live import inference

    return service(inference())(event, context)


class Service:
    """The routes over one inference, for both kinds of events.

    Args:
        inference: What answers.
    """

    def __init__(self, inference: Inference) -> None:
        routes = _routes(inference)
        self._behind_balancer, self._by_url = ALBResolver(), LambdaFunctionUrlResolver()
        for resolver in (self._behind_balancer, self._by_url):
            resolver.include_router(routes)
            resolver.not_found(lambda _: _error(HTTPStatus.NOT_FOUND, "there is nothing here"))

    def __call__(self, event: dict[str, Any], context: Any) -> Mapping[str, Any]:
        """The response to a request, in the form of who sent it."""
        resolver = self._by_url
        if "elb" in event.get("requestContext", {}):
            return self._behind_balancer.resolve(event, context)
        return resolver.resolve(event, context)


@cache
def service(inference: Inference) -> Service:
    """The service over an inference, made once."""
    return Service(inference)


def _routes(inference: Inference) -> Router:
    routes = Router()  # type: ignore[no-untyped-call]

    @routes.post("/recommendations")
    def recommendations() -> Response[bytes | str]:
        event = _event_of(routes)
        if isinstance(event, Rejected):
            return _error(HTTPStatus.BAD_REQUEST, str(event))
        (answer,) = inference.answer([event])
        return _answer(answer)

    @routes.post("/user-embeddings")
    def user_embeddings() -> Response[bytes | str]:
        event = _event_of(routes)
        if isinstance(event, Rejected):
            return _error(HTTPStatus.BAD_REQUEST, str(event))
        found = inference.embed(event)
        return _answer(
            {
                "embedding": found.vector.tolist(),
                "strategy": found.strategy,
                "model_version": found.model_version,
            }
        )

    @routes.get("/items/<product_code>/similar")
    def similar(product_code: str) -> Response[bytes | str]:
        asked = routes.current_event.get_query_string_value("count") or "10"
        if not (asked.isdecimal() and 1 <= int(asked) <= MOST_SIMILAR):
            return _error(HTTPStatus.BAD_REQUEST, f"count is 1 to {MOST_SIMILAR}")
        found = inference.similar(product_code, int(asked))
        if found is None:
            return _error(HTTPStatus.NOT_FOUND, "the live version knows no such product")
        return _answer(found)

    @routes.get("/health")
    def health() -> Response[bytes | str]:
        state = inference.state([])
        if state.model is None:
            raise Unavailable("the vector store does not answer, and nothing was read of it before")
        return _answer(
            {
                "model_version": state.model.model_version,
                "version": state.model.version,
                "products": len(state.model.products.codes),
                "degraded": state.degraded,
            }
        )

    @routes.exception_handler(Unavailable)  # type: ignore[untyped-decorator]
    def unavailable(error: Unavailable) -> Response[bytes | str]:
        logger.warning("unavailable", extra={"reason": str(error)})
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "there are no recommendations at the moment")

    return routes


def _event_of(routes: Router) -> BrowseEvent | Rejected:
    try:
        body = routes.current_event.decoded_body or ""
    except ValueError:  # base64 of what is no text
        return Rejected("not a browse event: the body is not UTF-8")
    try:
        return decode(body.encode())
    except Rejected as error:
        return error


def _answer(body: Any) -> Response[bytes | str]:
    return Response(HTTPStatus.OK, _JSON, _ENCODER.encode(body).decode())


def _error(status: HTTPStatus, reason: str) -> Response[bytes | str]:
    return Response(status, _JSON, _ENCODER.encode({"error": reason}).decode())
