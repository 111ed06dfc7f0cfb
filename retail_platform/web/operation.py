"""What machines ask: whether the site lives, whether it can do its work, and how it does."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lambda_inference.events import BrowseEvent
from retail_platform.errors import RetailError
from retail_platform.web.figures import BOUNDS
from retail_platform.web.site import Site

READY_SECONDS = 2.0
"""How long the dependencies are taken for what they were a moment ago."""


@dataclass(frozen=True)
class Dependency:
    """Something that pages need.

    Attributes:
        name: What it is.
        needed: Whether there is no page worth showing without it.
        ready: Whether it does its work.
        why: Why not, or why only from memory.
    """

    name: str
    needed: bool
    ready: bool
    why: str = ""


def dependencies(site: Site) -> list[Dependency]:
    """What pages need, each asked now and beside the others.

    Without the lake there are neither figures nor products, unless they are remembered; without
    recommendations, stream or orders the rest goes on, so a load balancer need not take it away.
    """
    asked = [_lake, _recommender, _stream, _orders]
    with ThreadPoolExecutor(len(asked)) as pool:
        found = pool.map(lambda ask: ask(site), asked)
        return [one for one in found if one is not None]


def _lake(site: Site) -> Dependency | None:
    try:
        answer = site.answers.of(BOUNDS)
    except RetailError as error:
        return Dependency("lake", True, False, str(error))
    return Dependency("lake", True, True, answer.outdated)


def _recommender(site: Site) -> Dependency | None:
    if site.adviser is None:
        return None
    try:
        event = BrowseEvent(event_id="ready", session_id="ready", browse_history=[])
        answer = site.adviser.answer(event)
        why = "the vector store is away; answers are from memory" if answer.degraded else ""
    except RetailError as error:
        why = str(error)
    return Dependency("recommender", False, not why, why)


def _stream(site: Site) -> Dependency | None:
    if site.outbox is None:
        return None
    alive = site.outbox.is_alive
    return Dependency("stream", False, alive, "" if alive else "events are not sent: restart")


def _orders(site: Site) -> Dependency | None:
    if site.desk is None:
        return None
    try:
        site.desk.ready()
    except RetailError as error:
        return Dependency("orders", False, False, str(error))
    return Dependency("orders", False, True)


def routes(site: Site, registry: CollectorRegistry) -> APIRouter:
    """The routes over a site.

    Args:
        site: What pages are made of.
        registry: What is counted.
    """
    router = APIRouter()
    registry.register(_Events(site))

    last = _Last(site)

    @router.get("/healthz")
    async def alive() -> Response:  # needs no thread, of which all may be waiting
        return JSONResponse({"alive": True})

    @router.get("/readyz")
    def ready(request: Request) -> Response:
        found = last.dependencies()
        is_ready = all(one.ready for one in found if one.needed)
        told: dict[str, object] = {"ready": is_ready}
        if "x-forwarded-for" not in request.headers:  # who comes from outside is told no addresses
            told["dependencies"] = [asdict(one) for one in found]
        return JSONResponse(told, 200 if is_ready else 503)

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


class _Last:
    """What the dependencies did a moment ago, asked anew by one at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._asked = -READY_SECONDS
        self._found: list[Dependency] = []

    def dependencies(self) -> list[Dependency]:
        with self._lock:
            if time.monotonic() - self._asked >= READY_SECONDS:
                self._found = dependencies(self._site)
                self._asked = time.monotonic()
            return self._found


class _Events:
    """What the outbox counts, for Prometheus."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def collect(self) -> Iterator[Metric]:
        outbox = self._site.outbox
        family = CounterMetricFamily("retail_events", "Events of visits.", labels=["outcome"])
        if outbox is not None:
            family.add_metric(["sent"], outbox.sent)
            family.add_metric(["lost"], outbox.lost)
        yield family
