"""The trust page's routes: what of the lake a reader may rely on, and where each column is from."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from anyio import CapacityLimiter
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from retail_platform.errors import ConfigurationError, LakeError
from retail_platform.lake.lake import Lake
from retail_platform.recommender.report import METRICS
from retail_platform.serving.analytics import bind
from retail_platform.serving.trust import Figure, Trust, trust
from retail_platform.web.pages import Pages
from retail_platform.web.site import Site
from retail_platform.web.threads import at_most

LOOK_SECONDS = 5.0
"""How long what was read a moment ago is shown; on AWS each table is a call or two."""

PATIENCE_SECONDS = 5.0
"""How long who asks waits for another who looks."""

_OUTCOMES = "recommendation_hits"


class Register:
    """What may be trusted, looked at now and then however many ask.

    Args:
        lake: What is looked at.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._seen: tuple[float, Trust] | None = None

    def now(self) -> Trust:
        """What may be trusted.

        Raises:
            LakeError: The catalog cannot be read.
        """
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            raise LakeError("the catalog takes too long: ask again in a moment")
        try:
            if self._seen is None or time.monotonic() - self._seen[0] >= LOOK_SECONDS:
                self._seen = time.monotonic(), trust(self._lake, datetime.now(UTC))
            return self._seen[1]
        finally:
            self._lock.release()


def routes(site: Site, pages: Pages, figures: CapacityLimiter) -> APIRouter:
    """The routes over a site.

    Args:
        site: What pages are made of.
        pages: Fills them in.
        figures: How many pages of figures there are at a time.
    """
    router = APIRouter(prefix="/trust")
    register = Register(site.lake)
    hits = bind(site.queries[_OUTCOMES])

    @router.get("")
    @at_most(figures)
    def overview(request: Request) -> Response:
        seen = register.now()
        try:
            outcomes = site.answers.of(hits).rows.to_pylist()
        except ConfigurationError:  # there is no such table before the first delivery
            outcomes = []
        return pages.page(
            request,
            "trust.html",
            seen=seen,
            layers=[(name, list(of)) for name, of in groupby(seen.tables, lambda one: one.layer)],
            figures=by_protocol(seen.model.figures if seen.model else ()),
            metrics=METRICS,
            outcomes=outcomes,
        )

    @router.get("/{name}")
    @at_most(figures)
    def table(request: Request, name: str) -> Response:
        found = next((one for one in register.now().tables if one.name == name), None)
        if found is None:
            return pages.page(
                request, "wrong.html", 404, why="there is no such table", back="/trust"
            )
        grain = site.lake.contracts.table(name).grain
        return pages.page(request, "table.html", one=found, grain=grain)

    return router


def by_protocol(figures: Sequence[Figure]) -> dict[str, dict[str, Figure]]:
    """Figures by what was asked, then by metric."""
    found: dict[str, dict[str, Figure]] = {}
    for one in figures:
        found.setdefault(one.protocol, {})[one.metric] = one
    return found
