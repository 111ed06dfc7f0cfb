"""Answers that are kept for as long as the tables that they are of stand still.

A page asks the same questions of the same snapshots over and over. An answer is known by its query
and by the snapshots that it read, so a new publication shows at once and nothing else is asked
twice. What belongs here knows no page: who asks, and what is shown of a late answer, is theirs.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Overdue
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from retail_platform.errors import LakeError, RetailError
from retail_platform.serving.query import QueryService, parse_query, referenced_tables

if TYPE_CHECKING:
    import pyarrow as pa

LOOK_SECONDS = 1.0
"""How long the snapshots that were current a moment ago are taken for current."""

KEPT_ANSWERS = 512
"""Remembered: those that were asked for last."""


class Published:
    """Which snapshots are current, looked at once a second however many ask.

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
        self._layers: Mapping[str, str] = {}
        self._snapshots: dict[str, int] = {}

    def layers(self) -> Mapping[str, str]:
        """The layer of every published table, by the table's name."""
        with self._lock:
            self._look()
            return self._layers

    def snapshots(self, tables: Sequence[str]) -> tuple[int, ...]:
        """The newest snapshots of some tables."""
        with self._lock:
            self._look()
            for table in tables:
                if table not in self._snapshots:
                    self._snapshots[table] = self._snapshot(table)
            return tuple(self._snapshots[table] for table in tables)

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._layers = self._tables()
            self._snapshots = {}
            self._looked = now


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
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="answers")
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[int, ...], Answer]] = OrderedDict()
        self._asked: dict[tuple[str, tuple[int, ...]], Future[Answer]] = {}

    def of(self, sql: str) -> Answer:
        """The answer to one query; see `all_of`."""
        return self.all_of([sql])[0]

    def all_of(self, queries: Sequence[str]) -> list[Answer]:
        """The answers to queries, which are worked out beside each other.

        Args:
            queries: Of Athena's dialect, without parameters.

        Returns:
            Their answers in the same order. One that cannot be had anew is the last that there was,
            and says so.

        Raises:
            ConfigurationError: A query is malformed, or names what does not exist.
            RetailError: The lake does not answer, or not in time, and nothing is remembered.
        """
        try:
            layers = self._published.layers()
            asked = []
            for sql in queries:
                tables = _tables_of(sql, frozenset(layers.items()))
                asked.append(self._ask(sql, self._published.snapshots(tables)))
        except RetailError as error:
            return [self._remembered(sql, error) for sql in queries]
        deadline = time.monotonic() + self._seconds
        return [self._wait(sql, one, deadline) for sql, one in zip(queries, asked, strict=True)]

    def close(self) -> None:
        """Waits for no query that runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, sql: str, snapshots: tuple[int, ...]) -> "Answer | Future[Answer]":
        with self._lock:
            if sql in self._kept and self._kept[sql][0] == snapshots:
                self._kept.move_to_end(sql)
                return self._kept[sql][1]
            key = (sql, snapshots)
            if key not in self._asked:
                self._asked[key] = self._pool.submit(self._work_out, key)
            return self._asked[key]

    def _work_out(self, key: tuple[str, tuple[int, ...]]) -> Answer:
        sql, snapshots = key
        try:
            answer = Answer(self._sql.run(sql), datetime.now(UTC))
            with self._lock:
                self._kept[sql] = (snapshots, answer)
                self._kept.move_to_end(sql)
                while len(self._kept) > KEPT_ANSWERS:
                    self._kept.popitem(last=False)
            return answer
        finally:
            with self._lock:
                del self._asked[key]

    def _wait(self, sql: str, asked: "Answer | Future[Answer]", deadline: float) -> Answer:
        if isinstance(asked, Answer):
            return asked
        try:
            return asked.result(max(0.0, deadline - time.monotonic()))
        except Overdue:
            late = LakeError(
                f"the answer takes longer than {self._seconds:g} s: ask again in a moment"
            )
            return self._remembered(sql, late)
        except RetailError as error:
            return self._remembered(sql, error)

    def _remembered(self, sql: str, error: RetailError) -> Answer:
        with self._lock:
            kept = self._kept.get(sql)
        if kept is None:
            raise error
        return replace(kept[1], outdated=str(error))


@lru_cache(maxsize=KEPT_ANSWERS)
def _tables_of(sql: str, layers: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    """The tables that a query reads.

    Raises:
        ConfigurationError: It is malformed, or names what does not exist.
    """
    return tuple(sorted(referenced_tables(parse_query(sql), dict(layers))))
