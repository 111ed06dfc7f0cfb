"""What a batch is answered when the vector store is not as it should be; all on a real PostgreSQL."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from lambda_inference import store as store_module
from lambda_inference.answers import RecommendationEvent, Strategy
from lambda_inference.events import BrowseEvent, decode
from lambda_inference.inference import Inference
from lambda_inference.store import Unavailable, VectorReader
from retail_platform.embedded.postgres import EmbeddedPostgres, embedded_postgres
from retail_platform.recommender.edition import Edition
from retail_platform_tests.lambda_inference.events import browse, encoded
from retail_platform_tests.lambda_inference.stores import Served, served, store_at
from retail_platform_tests.recommender.editions import renamed, shop
from retail_platform_tests.servers import postgres_home


@pytest.fixture(scope="module")
def edition() -> Edition:
    return shop()[1]


@pytest.fixture
def live(postgres_url: str, edition: Edition) -> Iterator[Served]:
    with served(postgres_url, edition) as live:
        yield live


@pytest.fixture(autouse=True)
def _without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "REST_SECONDS", 0.0)


def event(*codes: str, **fields: Any) -> BrowseEvent:
    return decode(encoded(browse(*codes, **fields)))


BATCH = [
    event("A01", "A02", customer_number=10),
    event("B01", customer_number=None),
    event("A05", customer_number=999_999),
    event(customer_number=11),
    event("never sold", customer_number=None),
]
WHOLE = ["known+session", "session", "session", "known", "popularity"]


def strategies(answers: list[RecommendationEvent]) -> list[str]:
    return [str(one.strategy) for one in answers]


def assert_whole(answers: list[RecommendationEvent], model_version: str) -> None:
    assert strategies(answers) == WHOLE
    assert {(one.model_version, one.degraded) for one in answers} == {(model_version, False)}
    assert all(len(one.recommended_items) == 10 for one in answers)


def assert_degraded(answers: list[RecommendationEvent], model_version: str) -> None:
    assert {(one.model_version, one.degraded) for one in answers} == {(model_version, True)}
    assert all(len(one.recommended_items) == 10 for one in answers)


def test_a_batch_is_one_statement(
    live: Served, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("execute", "copy"):
        send = getattr(psycopg.Cursor, name)

        def counted(self: Any, query: Any, *args: Any, send: Any = send, **kwargs: Any) -> Any:
            text = query if isinstance(query, str) else query.as_string(self)
            asked.extend(re.findall(r"live_\w+", text) or [text])
            return send(self, query, *args, **kwargs)

        monkeypatch.setattr(psycopg.Cursor, name, counted)
    for _ in range(3):
        assert_whole(live.inference.answer(BATCH), edition.model_version)
    whenever_it_connects, *asked_by_batches = asked
    assert "statement_timeout" in whenever_it_connects
    assert asked_by_batches == ["live_customers", "live_model", "live_customers", "live_customers"]
    live.store.publish(renamed(edition, "second"))
    asked.clear()
    for _ in range(2):
        assert_whole(live.inference.answer(BATCH), "second")
    assert asked == ["live_customers", "live_model", "live_customers"]


def test_nothing_is_asked_for_no_events(postgres_url: str) -> None:
    assert Inference(VectorReader(lambda: "host=nowhere.invalid")).answer([]) == []


def test_a_reader_needs_no_more_than_the_readers_role(live: Served, edition: Edition) -> None:
    with psycopg.connect(live.store.address.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE inference_reader LOGIN PASSWORD 'pw'")
        connection.execute("GRANT recommender_reader TO inference_reader")
        try:
            info = psycopg.conninfo.make_conninfo(
                live.store.address.url, user="inference_reader", password="pw"
            )
            reader = VectorReader(lambda: info)
            assert_whole(Inference(reader).answer(BATCH), edition.model_version)
            reader.close()
        finally:
            connection.execute("DROP ROLE inference_reader")


def test_before_the_first_publication_there_is_nothing_to_recommend(postgres_url: str) -> None:
    with served(postgres_url, None) as live:
        (answer,) = live.inference.answer(BATCH[:1])
        assert answer.recommended_items == []
        assert (answer.strategy, answer.model_version, answer.degraded) == (
            Strategy.POPULARITY,
            None,
            True,
        )


def test_a_cold_start_without_a_database(postgres_url: str) -> None:
    inference = Inference(VectorReader(lambda: "host=127.0.0.1 port=1 user=u password=secret-pw"))
    answers = inference.answer(BATCH)
    assert {(a.strategy, a.model_version, a.degraded) for a in answers} == {
        (Strategy.POPULARITY, None, True)
    }
    assert all(a.recommended_items == [] for a in answers)


def test_a_connection_that_was_cut_is_made_once_more(
    live: Served, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.inference.answer(BATCH)
    connects: list[None] = []
    connect = store_module._Connection.connect

    def counted(*args: Any, **kwargs: Any) -> Any:
        connects.append(None)
        return connect(*args, **kwargs)

    monkeypatch.setattr(store_module._Connection, "connect", counted)
    terminate(live)
    assert_whole(live.inference.answer(BATCH), edition.model_version)
    assert len(connects) == 1


def test_a_token_that_expired_is_asked_for_anew(
    postgres: EmbeddedPostgres, postgres_url: str, edition: Edition
) -> None:
    """As with IAM: the session goes on, and what connects later needs a new token."""
    store = store_at(postgres_url)
    store.publish(edition)
    password = "first"

    def conninfo() -> str:
        return psycopg.conninfo.make_conninfo(postgres_url, user="expiring", password=password)

    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE expiring LOGIN PASSWORD 'first'")
        admin.execute("GRANT recommender_reader TO expiring")
        try:
            live = Served(store, reader := VectorReader(conninfo), Inference(reader))
            assert_whole(live.inference.answer(BATCH), edition.model_version)
            admin.execute("ALTER ROLE expiring PASSWORD 'second'")
            assert_whole(live.inference.answer(BATCH), edition.model_version)
            terminate(live)
            assert_degraded(live.inference.answer(BATCH), edition.model_version)
            password = "second"
            assert_whole(live.inference.answer(BATCH), edition.model_version)
            reader.close()
        finally:
            admin.execute("DROP ROLE expiring")


def test_no_login_is_told(postgres_url: str) -> None:
    info = psycopg.conninfo.make_conninfo(postgres_url, user="nobody-known", password="rosebud")
    with pytest.raises(Unavailable) as error:
        VectorReader(lambda: info).live([])
    assert "nobody-known" in str(error.value)
    assert "rosebud" not in str(error.value)


@contextmanager
def locked(live: Served) -> Iterator[None]:
    """Nobody can read which version is live."""
    with psycopg.connect(live.store.address.url) as connection:
        connection.execute("LOCK TABLE recommender.live")
        yield


def test_a_slow_database_is_not_waited_for(
    live: Served, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.inference.answer(BATCH)
    monkeypatch.setattr(store_module, "STATEMENT_SECONDS", 0.3)
    with locked(live):
        started = time.monotonic()
        assert_degraded(live.inference.answer(BATCH), edition.model_version)
        assert time.monotonic() - started < 5
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%live_customers(%'"
            " AND state = 'active' AND pid <> pg_backend_pid()"
        )
        with psycopg.connect(live.store.address.url, autocommit=True) as connection:
            deadline = time.monotonic() + 10
            while connection.execute(waiting).fetchone() != (0,):
                assert time.monotonic() < deadline, "what was given up goes on in the server"
                time.sleep(0.1)
    assert_whole(live.inference.answer(BATCH), edition.model_version)


def test_what_is_known_of_customers_outlives_the_database(
    live: Served, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.inference.answer(BATCH[:1])
    monkeypatch.setattr(store_module, "STATEMENT_SECONDS", 0.3)
    with locked(live):
        answers = live.inference.answer(BATCH)
    # Number 11 never came before: he is not known until the store is back.
    assert strategies(answers) == [
        "known+session",
        "session",
        "session",
        "popularity",
        "popularity",
    ]
    assert_degraded(answers, edition.model_version)


def test_a_store_that_was_away_rests(
    live: Served, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.inference.answer(BATCH)
    monkeypatch.setattr(store_module, "STATEMENT_SECONDS", 0.3)
    monkeypatch.setattr(store_module, "REST_SECONDS", 1.0)
    with locked(live):
        live.inference.answer(BATCH)
        started = time.monotonic()
        for _ in range(20):
            assert_degraded(live.inference.answer(BATCH), edition.model_version)
        assert time.monotonic() - started < 0.3 * 20, "each batch waited"
    time.sleep(1.0)
    assert_whole(live.inference.answer(BATCH), edition.model_version)


def test_a_version_that_is_published_meanwhile_is_served_whole(
    live: Served, edition: Edition
) -> None:
    """Batches while versions are published and rolled back: each is of one version."""
    live.inference.answer(BATCH)
    done = threading.Event()
    errors: list[BaseException] = []

    def publish() -> None:
        try:
            for number in range(4):
                live.store.publish(renamed(edition, f"model {number}"))
                live.store.rollback()
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    publisher = threading.Thread(target=publish)
    publisher.start()
    seen = set()
    while not done.is_set():
        answers = live.inference.answer(BATCH)
        (version,) = {one.model_version for one in answers}
        seen.add(version)
        assert strategies(answers) == WHOLE
        assert not any(one.degraded for one in answers)
    publisher.join()
    assert errors == []
    assert len(seen) > 1


def test_a_publication_that_dies_half_way_changes_nothing(
    live: Served, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise RuntimeError("half-way")

    with monkeypatch.context() as patched:
        patched.setattr("retail_platform.recommender.vector_store._point", die)
        with pytest.raises(RuntimeError, match="half-way"):
            live.store.publish(renamed(edition, "never"))
    assert_whole(live.inference.answer(BATCH), edition.model_version)


def test_a_version_that_is_gone_is_not_half_served(live: Served, edition: Edition) -> None:
    live.inference.answer(BATCH)
    with pytest.raises(Unavailable, match="version 17 of the vectors is gone"):
        live.reader.model(17)
    assert_whole(live.inference.answer(BATCH), edition.model_version)


class Server:
    """A PostgreSQL that can be stopped, started and frozen; its port may change, as in a failover."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = "host=127.0.0.1 port=1"

    @contextmanager
    def running(self) -> Iterator[EmbeddedPostgres]:
        with embedded_postgres(self.home) as server:
            self.url = server.ensure_database("faults")
            yield server

    def processes(self) -> list[psutil.Process]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            assert row
            postmaster = psutil.Process(row[0]).parent()
        assert postmaster is not None
        return [postmaster, *postmaster.children(recursive=True)]


@pytest.fixture
def server() -> Iterator[Server]:
    with postgres_home() as home:
        yield Server(home)


def test_a_database_that_is_stopped_and_started_again(server: Server, edition: Edition) -> None:
    reader = VectorReader(lambda: server.url)
    inference = Inference(reader)
    with server.running():
        store_at(server.url).publish(edition)
        assert_whole(inference.answer(BATCH), edition.model_version)
    assert_degraded(inference.answer(BATCH), edition.model_version)
    with server.running():
        store_at(server.url).publish(renamed(edition, "after"))
        assert_whole(inference.answer(BATCH), "after")
        reader.close()


def test_a_database_that_freezes(
    server: Server, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes what is sent and never answers, which no timeout of its own ends."""
    monkeypatch.setattr(store_module, "STATEMENT_SECONDS", 0.5)
    reader = VectorReader(lambda: server.url)
    inference = Inference(reader)
    with server.running():
        store_at(server.url).publish(edition)
        inference.answer(BATCH)
        frozen = server.processes()
        signal_all(frozen, signal.SIGSTOP)
        try:
            for _ in range(2):  # with a connection, and without one
                started = time.monotonic()
                assert_degraded(inference.answer(BATCH), edition.model_version)
                assert time.monotonic() - started < 10
        finally:
            signal_all(frozen, signal.SIGCONT)
        # A server that was frozen catches up first.
        deadline = time.monotonic() + 30
        while (answers := inference.answer(BATCH))[0].degraded:
            assert time.monotonic() < deadline
        assert_whole(answers, edition.model_version)
        reader.close()


def test_a_database_that_goes_while_a_batch_is_answered(
    live: Served, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is cut while it waits for the answer; the second one answers."""
    live.inference.answer(BATCH)
    with psycopg.connect(live.store.address.url) as holder:
        holder.execute("LOCK TABLE recommender.live")

        def cut() -> None:
            time.sleep(0.3)
            terminate(live)
            holder.rollback()

        cutter = threading.Thread(target=cut)
        cutter.start()
        answers = live.inference.answer(BATCH)
        cutter.join()
    assert_whole(answers, edition.model_version)


def signal_all(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # a session that was just ending
            os.kill(process.pid, number)


def terminate(live: Served) -> None:
    """Ends every session of an inference."""
    with psycopg.connect(live.store.address.url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'retail-inference' AND datname = current_database()"
        ).fetchall()
    assert rows
    assert all(done for (done,) in rows)
