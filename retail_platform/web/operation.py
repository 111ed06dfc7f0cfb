"""What machines ask: whether the site lives, whether it can do its work, and how it does."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from starlette.responses import JSONResponse, Response

from lambda_inference.events import BrowseEvent
from retail_platform.errors import RetailError
from retail_platform.web.figures import BOUNDS
from retail_platform.web.site import Site


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
    """What pages need, each asked now.

    Without the lake there are neither figures nor products, unless they are remembered; without
    recommendations, stream or orders the rest goes on, so a load balancer need not take it away.
    """
    return [_lake(site), *_others(site)]


def _lake(site: Site) -> Dependency:
    try:
        answer = site.answers.of(BOUNDS)
    except RetailError as error:
        return Dependency("lake", True, False, str(error))
    return Dependency("lake", True, True, answer.outdated)


def _others(site: Site) -> Iterator[Dependency]:
    if site.adviser is not None:
        try:
            event = BrowseEvent(event_id="ready", session_id="ready", browse_history=[])
            answer = site.adviser.answer(event)
            why = "the vector store is away; answers are from memory" if answer.degraded else ""
        except RetailError as error:
            why = str(error)
        yield Dependency("recommender", False, not why, why)
    if site.outbox is not None:
        alive = site.outbox.is_alive
        yield Dependency("stream", False, alive, "" if alive else "events are not sent: restart")
    if site.desk is not None:
        try:
            site.desk.ready()
        except RetailError as error:
            yield Dependency("orders", False, False, str(error))
        else:
            yield Dependency("orders", False, True)


def routes(site: Site, registry: CollectorRegistry) -> APIRouter:
    """The routes over a site.

    Args:
        site: What pages are made of.
        registry: What is counted.
    """
    router = APIRouter()
    registry.register(_Events(site))

    @router.get("/healthz")
    def alive() -> Response:
        return JSONResponse({"alive": True})

    @router.get("/readyz")
    def ready() -> Response:
        found = dependencies(site)
        is_ready = all(one.ready for one in found if one.needed)
        told = {"ready": is_ready, "dependencies": [asdict(one) for one in found]}
        return JSONResponse(told, 200 if is_ready else 503)

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


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
