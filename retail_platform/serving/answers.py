"""Answers that are kept for as long as the tables that they are of stand still.

A page asks the same questions of the same snapshots over and over. An answer is known by its query
and by the snapshots that it read, so a new publication shows at once and nothing else is asked
twice. What belongs here knows no page: who asks, and what is shown of a late answer, is theirs.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOut
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from retail_platform.errors import LakeError, RetailError
from retail_platform.serving.query import QueryService, parse_query, referenced_tables

if TYPE_CHECKING:
    import pyarrow as pa

_T = TypeVar("_T")

LOOK_SECONDS = 1.0
"""How long the snapshots that were current a moment ago are taken for current."""

PATIENCE_SECONDS = 3.0
"""How long who asks waits for a newer answer than one that is remembered: longer than the dashboard of a
large shop takes after a publication, and shorter than the health check of a load balancer waits."""

KEPT_ANSWERS, KEPT_BYTES = 512, 256 * 1024**2
"""Remembered: those that were asked for last."""

MOST_ASKED = 100
"""Questions that wait to be answered; more are refused at once."""


@dataclass(frozen=True)
class Look:
    """What was published at a moment.

    Attributes:
        layers: The layer of every published table, by the table's name.
        snapshots: The newest snapshot of those tables that somebody asked for.
    """

    layers: Mapping[str, str]
    snapshots: dict[str, int]

    @cached_property
    def known(self) -> frozenset[tuple[str, str]]:
        """The layers, as what parsed queries are remembered by."""
        return frozenset(self.layers.items())


class Overdue(LakeError):
    """An answer takes longer than who asks waits; it is worked out, and who asks again may find it."""


_Key = tuple[str, tuple[int, ...]]
"""A query and the snapshots of its tables."""


class Published:
    """Which snapshots are current, looked at once a second however many ask.

    Attributes:
        last: The last look that succeeded.

    Args:
        tables: Gives the layer of every published table, by its name.
        snapshot: Gives the id of a table's newest snapshot.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        tables: Callable[[], Mapping[str, str]],
        snapshot: Callable[[str], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tables = tables
        self._snapshot = snapshot
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = -LOOK_SECONDS
        self._looking: Future[Look] | None = None
        self.last: Look | None = None

    def look(self, seconds: float) -> Look:
        """What is published now, or was a moment ago.

        Args:
            seconds: How long to wait for the catalog.

        Raises:
            RetailError: The catalog does not answer, or not in time.
        """
        with self._lock:
            now = self._clock()
            # A look that failed counts too: who comes in the same second fails at once.
            if self._looking is None or (
                self._looking.done() and now - self._looked >= LOOK_SECONDS
            ):
                self._looked = now
                self._looking = _in_thread(lambda: Look(self._tables(), {}))
            looking = self._looking
        self.last = _waited(looking, seconds, LakeError, "the catalog")
        return self.last

    def snapshots(self, tables: Iterable[str], look: Look, seconds: float) -> Mapping[str, int]:
        """The newest snapshots of tables, each asked for once a look.

        Args:
            tables: They.
            look: The one that they were seen at.
            seconds: How long to wait for the catalog.

        Raises:
            RetailError: The catalog does not answer, or not in time.
        """
        missing = set(tables) - look.snapshots.keys()

        def ask() -> None:
            look.snapshots.update({table: self._snapshot(table) for table in missing})

        if missing:
            _waited(_in_thread(ask), seconds, LakeError, "the catalog")
        return look.snapshots


@dataclass(frozen=True)
class Answer:
    """The rows of a query.

    Attributes:
        rows: They.
        answered_at: When, in UTC.
        outdated: Why they may not be of the newest snapshots; nothing where they are.
    """

    rows: "pa.Table"
    answered_at: datetime
    outdated: str = ""


class Answers:
    """Answers queries, each once for its snapshots, and from memory where the lake is away.

    Args:
        sql: Answers what is not remembered.
        published: Which snapshots are current.
        seconds: How long who asks waits. What takes longer is worked out all the same, for the next
            who asks.
        at_once: Queries that run at the same time.
    """

    def __init__(
        self, sql: QueryService, published: Published, seconds: float = 10.0, at_once: int = 2
    ) -> None:
        self._sql = sql
        self._published = published
        self._seconds = seconds
        self._running = threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[int, ...], Answer]] = OrderedDict()
        self._bytes = 0
        self._asked: dict[_Key, Future[Answer]] = {}

    def has(self, table: str) -> bool:
        """Whether a table was ever published.

        Raises:
            RetailError: The catalog does not answer, and never did.
        """
        try:
            look = self._published.look(self._seconds)
        except RetailError:
            if self._published.last is None:
                raise
            look = self._published.last
        return table in look.layers

    def of(self, sql: str) -> Answer:
        """The answer to one query; see `all_of`."""
        return self.all_of([sql])[0]

    def all_of(self, queries: Sequence[str]) -> list[Answer]:
        """The answers to queries, which are worked out beside each other.

        Args:
            queries: Of Athena's dialect, without parameters.

        Returns:
            Their answers in the same order. One that cannot be had anew in `PATIENCE_SECONDS` is the
            last that there was, and says so.

        Raises:
            ConfigurationError: A query is malformed, or names what does not exist.
            Overdue: An answer takes too long, and nothing is remembered.
            RetailError: The lake does not answer, and nothing is remembered.
        """
        began = time.monotonic()
        with self._lock:
            remembers_all = all(sql in self._kept for sql in queries)
        patience = min(PATIENCE_SECONDS, self._seconds) if remembers_all else self._seconds
        try:
            asked = self._ask_all(queries, patience)
        except RetailError as error:
            return [self._remembered(sql, error) for sql in queries]
        return [
            self._wait(sql, one, began, patience) for sql, one in zip(queries, asked, strict=True)
        ]

    def _ask_all(self, queries: Sequence[str], seconds: float) -> "list[Answer | Future[Answer]]":
        look = self._published.look(seconds)
        tables = {sql: _tables_of(sql, look.known) for sql in queries}
        snapshots = self._published.snapshots(chain(*tables.values()), look, seconds)
        return [self._ask(sql, tuple(snapshots[one] for one in tables[sql])) for sql in queries]

    def _ask(self, sql: str, snapshots: tuple[int, ...]) -> "Answer | Future[Answer]":
        with self._lock:
            if sql in self._kept and self._kept[sql][0] == snapshots:
                self._kept.move_to_end(sql)
                return self._kept[sql][1]
            key = sql, snapshots
            if key not in self._asked:
                if len(self._asked) >= MOST_ASKED:
                    raise LakeError("too many questions wait to be answered: ask again in a moment")
                self._asked[key] = _in_thread(lambda: self._work_out(key))
            return self._asked[key]

    def _work_out(self, key: _Key) -> Answer:
        sql, snapshots = key
        try:
            with self._running:
                answer = Answer(self._sql.run(sql), datetime.now(UTC))
            self._keep(sql, snapshots, answer)
            return answer
        finally:
            with self._lock:
                del self._asked[key]

    def _keep(self, sql: str, snapshots: tuple[int, ...], answer: Answer) -> None:
        with self._lock:
            if sql in self._kept:
                self._bytes -= self._kept.pop(sql)[1].rows.nbytes
            self._kept[sql] = (snapshots, answer)
            self._bytes += answer.rows.nbytes
            while len(self._kept) > KEPT_ANSWERS or (
                self._bytes > KEPT_BYTES and len(self._kept) > 1
            ):
                _, (_, forgotten) = self._kept.popitem(last=False)
                self._bytes -= forgotten.rows.nbytes

    def _wait(
        self, sql: str, asked: "Answer | Future[Answer]", began: float, patience: float
    ) -> Answer:
        if isinstance(asked, Answer):
            return asked
        try:
            seconds = began + patience - time.monotonic()
            return _waited(asked, seconds, Overdue, "the answer")
        except RetailError as error:
            return self._remembered(sql, error)

    def _remembered(self, sql: str, error: RetailError) -> Answer:
        with self._lock:
            kept = self._kept.get(sql)
        if kept is None:
            raise error
        return replace(kept[1], outdated=str(error))


def _in_thread(work: Callable[[], _T]) -> "Future[_T]":
    """Work in a thread that holds up neither who waits no longer nor the end of the process."""
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="answers", daemon=True).start()
    return future


def _waited(future: "Future[_T]", seconds: float, error: type[LakeError], what: str) -> _T:
    try:
        return future.result(max(0.0, seconds))
    except TimedOut:
        raise error(f"{what} takes too long: ask again in a moment") from None


@lru_cache(maxsize=KEPT_ANSWERS)
def _tables_of(sql: str, layers: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    """The tables that a query reads.

    Raises:
        ConfigurationError: It is malformed, or names what does not exist.
    """
    return tuple(sorted(referenced_tables(parse_query(sql), dict(layers))))
