"""Which pages may wait how many at a time, so that those that take long keep no others waiting."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec

from anyio import CapacityLimiter, to_thread
from starlette.responses import Response

MOST_FIGURES = 16
"""Pages of figures at a time: each may wait seconds for its answers, in a thread of its own."""

P = ParamSpec("P")


def at_most(
    limiter: CapacityLimiter,
) -> Callable[[Callable[P, Response]], Callable[P, Awaitable[Response]]]:
    """Runs a route's function in threads of its own kind, not in those that all others share.

    Args:
        limiter: How many; routes may share one.
    """

    def limited(page: Callable[P, Response]) -> Callable[P, Awaitable[Response]]:
        @wraps(page)
        async def waited(*args: P.args, **kwargs: P.kwargs) -> Response:
            return await to_thread.run_sync(partial(page, *args, **kwargs), limiter=limiter)

        return waited

    return limited
