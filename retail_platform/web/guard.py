"""What stands before every page: who may come, how much he may send, and a note of what he got."""

import json
import logging
import re
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 16_384
"""Of what a request may send; the longest form of ours has some hundred."""

OPEN = {"/", "/shop", "/healthz", "/readyz"}
"""What anyone may see on AWS; the rest is for who signed in at the load balancer."""

OPEN_BELOW = ("/shop/", "/static/")
"""The same of all that is below."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REQUEST_ID = re.compile(r"[A-Za-z0-9=;:._-]{1,128}")
_SAFE = {"GET", "HEAD", "OPTIONS"}

log = logging.getLogger("retail_platform.web")


class Guard:
    """Passes on what may come, and notes it.

    Args:
        app: The pages.
        registry: Where requests are counted.
        on_aws: Whether a load balancer stands before.
        signs_in: Whether it asks people to sign in.
    """

    def __init__(
        self, app: ASGIApp, registry: CollectorRegistry, *, on_aws: bool, signs_in: bool
    ) -> None:
        self._app = app
        self._on_aws = on_aws
        self._signs_in = signs_in
        self._seconds = Histogram(
            "retail_request_seconds",
            "What a request took, until its last byte.",
            ("route", "method"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "retail_requests", "Requests.", ("route", "method", "status"), registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                told = MutableHeaders(scope=message)
                told.update({**HEADERS, "X-Request-Id": request_id})
                if self._on_aws:
                    told["Strict-Transport-Security"] = "max-age=31536000"
                if "cache-control" not in told:
                    told["Cache-Control"] = "no-store"
            await send(message)

        try:
            refusal = self._refusal(scope, headers)
            if refusal is not None:
                await refusal(scope, receive, sending)
            else:
                await self._app(scope, _limited(receive, headers), sending)
        finally:
            self._note(scope, status, time.perf_counter() - began, request_id)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["method"] not in _SAFE and not is_of_this_site(headers):
            return _plain(
                403, "this form was sent from another site: open the page here, and again"
            )
        if int(headers.get("content-length", "0") or 0) > MOST_BYTES:
            return _plain(413, f"at most {MOST_BYTES} bytes can be sent")
        if self._on_aws and not may_see(scope["path"], headers, signs_in=self._signs_in):
            return _plain(403, "this page is for who signs in; the shop is at /shop")
        return None

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", None) or "none"
        method = scope["method"] if scope["method"] in {*_SAFE, "POST"} else "other"
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method).observe(seconds)
        told = {
            "request_id": request_id,
            "method": method,
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        log.info("request", extra={"told": told})


def is_of_this_site(headers: Mapping[str, str]) -> bool:
    """Whether a form was sent from a page of ours.

    By what browsers say of where a request comes from; who says neither is no browser, and has no
    cookies of anyone to misuse. The method is that of Go's `http.CrossOriginProtection`
    (https://pkg.go.dev/net/http#CrossOriginProtection).
    """
    fetched = headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def may_see(path: str, headers: Mapping[str, str], *, signs_in: bool) -> bool:
    """Whether someone may see a page on AWS.

    The load balancer signs people in and says who they are: it is the only one that reaches us, by
    the security group, and puts its own in the place of such a header wherever it asks for a login,
    which is for all but the storefront. Where it asks for none, a header proves nothing.

    Args:
        path: Of the page.
        headers: Of the request.
        signs_in: Whether the load balancer asks for a login.
    """
    if path == "/metrics":  # for who asks from within the network, past the load balancer
        return "x-forwarded-for" not in headers
    if path in OPEN or path.startswith(OPEN_BELOW):
        return True
    return signs_in and "x-amzn-oidc-identity" in headers


class JsonLines(logging.Formatter):
    """One line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def _request_id(headers: Mapping[str, str]) -> str:
    told = headers.get("x-amzn-trace-id") or headers.get("x-request-id") or ""
    return told if _REQUEST_ID.fullmatch(told) else uuid.uuid4().hex


def _limited(receive: Receive, headers: Mapping[str, str]) -> Receive:
    """The same, but for what is sent without saying how much it is, and is too much."""
    if "content-length" in headers:
        return receive
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            return {"type": "http.disconnect"}
        return message

    return receiving


def _plain(status: int, why: str) -> Response:
    return PlainTextResponse(why + "\n", status)
