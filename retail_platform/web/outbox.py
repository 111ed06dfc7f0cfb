"""Events of the site on their way to the stream, which no page waits for."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from lambda_inference.events import BrowseEvent
from retail_platform.errors import RetailError
from retail_platform.streaming.sending import MOST_RECORDS, Sink, encoded

MOST_WAITING = 10_000
"""Events; with a stream that is away for longer, the newest are lost, and counted."""

_TICK_SECONDS = 0.1
_STOP_SECONDS = 10.0

log = logging.getLogger(__name__)


class Outbox:
    """Sends events from a thread of its own.

    Attributes:
        sent: Events that the stream took.
        lost: Events that it did not.

    Args:
        sink: Opens the way to the stream.
    """

    def __init__(self, sink: Callable[[], AbstractContextManager[Sink]]) -> None:
        self.sent = 0
        self.lost = 0
        self._sink = sink
        self._waiting: queue.Queue[BrowseEvent] = queue.Queue(MOST_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def send(self, event: BrowseEvent) -> None:
        """Takes an event; at once, whatever the stream does."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self.lost += 1

    @property
    def is_alive(self) -> bool:
        """Whether events are sent."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Sends what waits, and waits for it."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)
        if waiting := self._waiting.qsize():
            self.lost += waiting
            log.warning("%d events are lost: the stream takes too long", waiting)

    def _run(self) -> None:
        with self._sink() as sink:
            while not (self._stopping.is_set() and self._waiting.empty()):
                events = self._next()
                self._try(partial(_put, sink, events), len(events))
                self._try(sink.tick)
            self._try(sink.flush)

    def _next(self) -> list[BrowseEvent]:
        events: list[BrowseEvent] = []
        try:
            events.append(self._waiting.get(timeout=_TICK_SECONDS))
            while len(events) < MOST_RECORDS:
                events.append(self._waiting.get_nowait())
        except queue.Empty:
            pass
        return events

    def _try(self, send: Callable[[], object], count: int = 0) -> None:
        try:
            send()
            self.sent += count
        except RetailError as error:
            self.lost += count
            log.warning("%d events are lost: %s", count, error)
        except Exception:  # whatever it is, such as a full disk: the next may pass
            self.lost += count
            log.exception("%d events are lost", count)


def _put(sink: Sink, events: Sequence[BrowseEvent]) -> None:
    sink.put([encoded(event) for event in events])
