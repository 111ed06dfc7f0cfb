"""Events on their way from the site, whatever the stream does."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest

from lambda_inference.events import BrowseEvent
from retail_platform.errors import StreamError
from retail_platform.web.outbox import Outbox


class Stream:
    """A sink that can be made to fail or to hang."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.fails: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.flushed = False

    def put(self, records: Sequence[bytes]) -> None:
        self.answers.wait(10)
        if records and self.fails is not None:
            raise self.fails
        self.taken += records

    def tick(self) -> None:
        """Nothing waits."""

    def flush(self) -> None:
        self.flushed = True

    def opened(self) -> Callable[[], AbstractContextManager["Stream"]]:
        @contextmanager
        def opened() -> Iterator[Stream]:
            yield self

        return opened


def event(number: int) -> BrowseEvent:
    return BrowseEvent(event_id=f"{number}", session_id="s", browse_history=[])


def until(held: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not held():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_all_that_was_sent_is_taken_in_its_order_before_it_ends() -> None:
    stream = Stream()
    outbox = Outbox(stream.opened())
    for number in range(1_200):
        outbox.send(event(number))
    outbox.close()
    assert [f'"{number}"'.encode() in line for number, line in enumerate(stream.taken)] == [
        True
    ] * 1_200
    assert (outbox.sent, outbox.lost) == (1_200, 0)
    assert stream.flushed
    assert not outbox.is_alive


@pytest.mark.parametrize("error", [StreamError("full"), OSError("no space left on device")])
def test_what_fails_is_counted_and_the_next_is_sent(error: Exception) -> None:
    stream = Stream()
    outbox = Outbox(stream.opened())
    stream.fails = error
    outbox.send(event(1))
    until(lambda: outbox.lost == 1)
    assert outbox.is_alive
    stream.fails = None
    outbox.send(event(2))
    outbox.close()
    assert (outbox.sent, outbox.lost) == (1, 1)


def test_nobody_waits_for_a_stream_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail_platform.web.outbox.MOST_WAITING", 5)
    monkeypatch.setattr("retail_platform.web.outbox._STOP_SECONDS", 0.2)
    stream = Stream()
    stream.answers.clear()
    outbox = Outbox(stream.opened())
    began = time.monotonic()
    for number in range(600):
        outbox.send(event(number))
    assert time.monotonic() - began < 5
    assert outbox.lost > 0
    outbox.close()
    stream.answers.set()
