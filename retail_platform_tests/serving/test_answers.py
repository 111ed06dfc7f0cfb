"""Answers that are kept: each question once for its snapshots, and from memory where it fails."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pytest

from retail_platform.errors import ConfigurationError, LakeError
from retail_platform.serving.answers import KEPT_ANSWERS, LOOK_SECONDS, Answers, Overdue, Published


class Sql:
    """Answers with how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def run(self, sql: str, as_of: datetime | None = None) -> pa.Table:
        self.asked.append(sql)
        self.may_answer.wait(10)
        if self.fails is not None:
            raise self.fails
        return pa.table({"n": [len(self.asked)]})


class World:
    """A lake of two tables whose snapshots can be moved on, and its answers."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.sql = Sql()
        self.now = 0.0
        self.looks = 0
        self.snapshots = {"orders": 1, "products": 1}
        self.away: Exception | None = None
        self.published = Published(self.tables, self.snapshots.__getitem__, lambda: self.now)
        self.answers = Answers(self.sql, self.published, seconds)

    def tables(self) -> dict[str, str]:
        self.looks += 1
        if self.away is not None:
            raise self.away
        return dict.fromkeys(self.snapshots, "star")

    def later(self) -> None:
        self.now += LOOK_SECONDS

    def n(self, sql: str = "SELECT * FROM orders") -> int:
        return int(self.answers.of(sql).rows["n"][0].as_py())


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.sql.may_answer.set()


def test_a_question_is_asked_once_for_its_snapshots(world: World) -> None:
    assert [world.n(), world.n(), world.n()] == [1, 1, 1]
    world.later()
    assert world.n() == 1


def test_a_publication_shows_at_the_next_look(world: World) -> None:
    assert world.n() == 1
    world.snapshots["orders"] = 2
    assert world.n() == 1
    world.later()
    assert world.n() == 2


def test_a_publication_of_another_table_changes_nothing(world: World) -> None:
    assert world.n() == 1
    world.snapshots["products"] = 2
    world.later()
    assert world.n() == 1


def test_a_rollback_shows_too(world: World) -> None:
    world.snapshots["orders"] = 2
    assert world.n() == 1
    world.snapshots["orders"] = 1
    world.later()
    assert world.n() == 2


def test_however_many_ask_the_lake_is_looked_at_once_a_second(world: World) -> None:
    for _ in range(50):
        world.n()
    assert world.looks == 1
    world.later()
    world.n()
    assert world.looks == 2


def test_who_asks_at_the_same_time_shares_the_answer(world: World) -> None:
    world.sql.may_answer.clear()
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(world.n())) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    world.sql.may_answer.set()
    for thread in threads:
        thread.join(10)
    assert found == [1] * 8
    assert len(world.sql.asked) == 1


def test_several_are_answered_in_their_order(world: World) -> None:
    asked = ["SELECT 1 FROM orders", "SELECT 2 FROM products", "SELECT 1 FROM orders"]
    first, second, third = world.answers.all_of(asked)
    assert first.rows.equals(third.rows)
    assert not first.rows.equals(second.rows)
    assert sorted(world.sql.asked) == asked[:2]


def test_what_fails_is_answered_from_memory_and_says_why(world: World) -> None:
    assert world.answers.of("SELECT * FROM orders").outdated == ""
    world.sql.fails = LakeError("a file is gone")
    world.snapshots["orders"] = 2
    world.later()
    answer = world.answers.of("SELECT * FROM orders")
    assert answer.rows["n"].to_pylist() == [1]
    assert answer.outdated == "a file is gone"
    world.sql.fails = None
    assert world.answers.of("SELECT * FROM orders").outdated == ""


def test_without_the_lake_memory_answers(world: World) -> None:
    world.n()
    world.away = LakeError("the catalog is away")
    world.later()
    assert world.answers.of("SELECT * FROM orders").outdated == "the catalog is away"
    with pytest.raises(LakeError, match="the catalog is away"):
        world.answers.of("SELECT * FROM products")


def test_what_takes_too_long_is_worked_out_for_the_next_who_asks() -> None:
    world = World(seconds=0.2)
    world.sql.may_answer.clear()
    with pytest.raises(Overdue, match="ask again in a moment"):
        world.n()
    world.sql.may_answer.set()
    time.sleep(0.2)
    assert world.n() == 1
    assert len(world.sql.asked) == 1


@pytest.mark.parametrize("sql", ["SELECT * FROM nothing", "SELEC", "DROP TABLE orders"])
def test_a_question_that_is_none_is_refused(sql: str, world: World) -> None:
    with pytest.raises(ConfigurationError):
        world.answers.of(sql)
    assert world.sql.asked == []


def test_memory_is_bounded(world: World) -> None:
    for number in range(KEPT_ANSWERS + 10):
        world.answers.of(f"SELECT {number} FROM orders")
    world.answers.of("SELECT 0 FROM orders")
    world.answers.of(f"SELECT {KEPT_ANSWERS} FROM orders")
    assert len(world.sql.asked) == KEPT_ANSWERS + 11


def test_memory_is_bounded_in_bytes_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail_platform.serving.answers.KEPT_BYTES", 24)
    for number in (1, 2, 3, 4, 4, 3, 2):
        world.answers.of(f"SELECT {number} FROM orders")
    assert len(world.sql.asked) == 4
    world.answers.of("SELECT 1 FROM orders")
    assert len(world.sql.asked) == 5


def test_an_older_answer_comes_soon_where_a_newer_one_takes_long(world: World) -> None:
    world.n()
    world.snapshots["orders"] = 2
    world.later()
    world.sql.may_answer.clear()
    began = time.monotonic()
    assert "ask again in a moment" in world.answers.of("SELECT * FROM orders").outdated
    assert time.monotonic() - began < 5
    world.sql.may_answer.set()
    time.sleep(0.2)
    assert world.n() == 2


def test_a_newer_answer_that_takes_two_seconds_is_waited_for(world: World) -> None:
    """As the dashboard of a large shop does, which shall show a publication at once."""
    world.n()
    world.snapshots["orders"] = 2
    world.later()
    world.sql.may_answer.clear()
    threading.Timer(2.0, world.sql.may_answer.set).start()
    answer = world.answers.of("SELECT * FROM orders")
    assert (answer.rows["n"].to_pylist(), answer.outdated) == ([2], "")


def test_a_catalog_that_hangs_holds_up_nobody_for_long() -> None:
    world = World(seconds=0.3)
    world.n()
    hangs = threading.Event()
    world.published._tables = lambda: (hangs.wait(10), {})[1]
    world.later()
    began = time.monotonic()
    found: list[str] = []

    def ask() -> None:
        found.append(world.answers.of("SELECT * FROM orders").outdated)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    hangs.set()
    assert time.monotonic() - began < 3
    assert found == ["the catalog takes too long: ask again in a moment"] * 5


def test_a_catalog_that_fails_is_asked_once_a_second(world: World) -> None:
    world.away = LakeError("away")
    for _ in range(5):
        with pytest.raises(LakeError, match="away"):
            world.n()
    assert world.looks == 1
    world.away = None
    world.later()
    assert world.n() == 1


def test_too_many_questions_are_refused_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_platform.serving.answers.MOST_ASKED", 3)
    world.sql.may_answer.clear()
    with pytest.raises(LakeError, match="too many questions"):
        world.answers.all_of([f"SELECT {number} FROM orders" for number in range(4)])
    world.sql.may_answer.set()
    time.sleep(0.2)
    world.n()


def test_what_was_published_is_known(world: World) -> None:
    assert world.answers.has("orders")
    assert not world.answers.has("nothing")
    world.away = LakeError("away")
    world.later()
    assert world.answers.has("orders")
