"""The application: its routes, what stands before them, and what a page says when one fails."""

import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

import uvicorn
from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from retail_platform.errors import RetailError
from retail_platform.platform import Platform
from retail_platform.serving.answers import Overdue
from retail_platform.web import dashboard, operation, storefront, trust
from retail_platform.web.guard import Guard, JsonLines
from retail_platform.web.pages import STATIC, Pages
from retail_platform.web.site import Site, open_site
from retail_platform.web.threads import MOST_FIGURES

GRACE_SECONDS = 10
"""How long requests that run may take once the site is told to stop."""

KEEP_ALIVE_SECONDS = 75
"""Longer than the load balancer's 60, so that it never sends on a connection that we just closed."""

log = logging.getLogger(__name__)


def create_app(site: Site, hosts: Sequence[str] = ("*",)) -> ASGIApp:
    """The application over a site, which stays the caller's to close.

    Args:
        site: What pages are made of.
        hosts: The names by which it is asked for; another's is refused, lest a page of that name
            that points here reads ours.
    """
    pages = Pages(on_aws=site.on_aws, sells=site.desk is not None)
    registry = CollectorRegistry()
    app = FastAPI(title="Retail Platform", openapi_url=None, docs_url=None, redoc_url=None)
    figures = CapacityLimiter(MOST_FIGURES)
    app.include_router(dashboard.routes(site, pages, figures))
    app.include_router(trust.routes(site, pages, figures))
    app.include_router(storefront.routes(site, pages))
    app.include_router(operation.routes(site, registry))
    app.mount("/static", _Static(directory=STATIC))

    def failed(request: Request, status: int, why: str) -> Response:
        back = "/shop" if request.url.path.startswith("/shop") else "/"
        return pages.page(request, "wrong.html", status, why=why, back=back)

    @app.exception_handler(RetailError)
    def cannot(request: Request, error: RetailError) -> Response:
        log.warning("%s: %s", request.url.path, error)
        is_public = site.on_aws and request.url.path.startswith("/shop")
        neutral = "This does not work at the moment: try again in a minute."
        return failed(request, 503, neutral if is_public else str(error))

    @app.exception_handler(Overdue)
    def later(request: Request, error: Overdue) -> Response:
        if request.method != "GET":
            return cannot(request, error)
        if request.url.path.endswith(".csv"):
            return PlainTextResponse(f"{error}\n", 503, {"Retry-After": "1"})
        # What the page asked for is worked out meanwhile, so the page looks again by itself.
        return pages.page(request, "later.html", 202)

    @app.exception_handler(RequestValidationError)
    def unreadable(request: Request, error: RequestValidationError) -> Response:
        names = {str(one["loc"][-1]): one["msg"] for one in error.errors()}
        return failed(request, 400, "; ".join(f"{name}: {why}" for name, why in names.items()))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        why = "there is no such page" if error.status_code == 404 else error.detail
        return failed(request, error.status_code, why)

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:
        number = request.state.request_id
        log.error("broken", exc_info=error, extra={"told": {"request_id": number}})
        return failed(request, 500, f"this is our mistake: its number in the log is {number}")

    packed = GZipMiddleware(app, minimum_size=1_000, compresslevel=4)
    named = TrustedHostMiddleware(packed, hosts, www_redirect=False)
    return Guard(named, registry, on_aws=site.on_aws, signs_in=site.signs_in)


def serve(platform: Platform, host: str, port: int) -> None:
    """Serves the site until it is told to stop; what runs then comes to its end.

    Args:
        platform: What it is over.
        host: The address that it listens on.
        port: The same.

    Raises:
        RetailError: A database that the laptop's site needs does not start.
    """
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(JsonLines())
    for name in ("retail_platform", "lambda_inference", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [lines], False
        logger.setLevel(logging.INFO)
    # uvicorn ends by the signal that it was told to stop with: what is open here is closed first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt), open_site(platform) as site:
        # Asking also loads what answers, so that the first who comes need not wait for it.
        for one in operation.dependencies(site):
            if not one.ready:
                log.warning("%s: %s", one.name, one.why)
        config = uvicorn.Config(
            create_app(site, names_of(host)),
            host,
            port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        uvicorn.Server(config).run()


def names_of(host: str) -> Sequence[str]:
    """The names by which a site that listens on an address is asked for."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not listened on)
        return ("*",)
    return (host, "localhost", "127.0.0.1")


class _Static(StaticFiles):
    """Files that are asked for by what is in them, and so may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if scope["query_string"].startswith(b"v="):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
