"""The vector store on a real PostgreSQL with pgvector: what it answers, and what cannot break it."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from retail_platform.contracts.loader import sql_folder
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.errors import ConfigurationError, VectorStoreError
from retail_platform.recommender import vector_store
from retail_platform.recommender.edition import Edition
from retail_platform.recommender.model import Recommender
from retail_platform.recommender.vector_store import VectorStore
from retail_platform.sources.address import Address
from retail_platform_tests.recommender.editions import catalogue_of, lists, renamed, shop

SCHEMA = sql_folder() / "vectors" / "schema.sql"


def store_at(url: str) -> VectorStore:
    return VectorStore(Address.parse(url, "RETAIL_VECTORS_URL"))


@pytest.fixture
def store(postgres_url: str) -> VectorStore:
    return store_at(postgres_url)


@pytest.fixture(scope="module")
def trained() -> tuple[Recommender, Edition]:
    return shop()


@pytest.fixture(scope="module")
def edition(trained: tuple[Recommender, Edition]) -> Edition:
    return trained[1]


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres, edition: Edition) -> VectorStore:
    """A store that no test changes."""
    store = store_at(postgres.ensure_database("vectors_filled"))
    store.publish(edition)
    return store


@contextmanager
def connected(store: VectorStore) -> "Iterator[psycopg.Connection[Any]]":
    with psycopg.connect(store.address.url, autocommit=True) as connection:
        yield connection


def tables(store: VectorStore) -> set[str]:
    with connected(store) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'recommender'::regnamespace"
            " AND relkind = 'r'"
        ).fetchall()
    return {row[0] for row in rows}


def names_served(store: VectorStore) -> set[str | None]:
    return {found.product_name for found in store.recommend()}


# What it answers


def test_the_mark_of_the_schema_is_that_of_its_text() -> None:
    text = SCHEMA.read_text(encoding="utf-8")
    marked = re.compile(r"(COMMENT ON SCHEMA recommender IS 'retail vectors )(\w+)'")
    body = marked.sub(r"\1'", text)
    digest = hashlib.sha256(body.encode()).hexdigest()[:12]
    assert marked.findall(text)[0][1] == digest, f"write {digest} at the end of {SCHEMA.name}"


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("session", [(), ("B01",), ("A01", "B02", "A03"), ("never sold",)])
@pytest.mark.parametrize("customer", [None, 10, 11, 999_999])
def test_it_answers_as_the_recommender_does(
    filled: VectorStore,
    trained: tuple[Recommender, Edition],
    customer: int | None,
    session: tuple[str, ...],
    repeats: bool,
) -> None:
    expected = trained[0].recommend(customer, session, 80, repeats=repeats)
    found = filled.recommend(customer, session, 80, repeats=repeats)
    known = customer in (10, 11)
    browses = bool(session) and session != ("never sold",)
    by = ["known"] * known + ["session"] * browses or ["popularity"]
    assert {one.strategy for one in found} == {"+".join(by)}
    assert {one.product_code for one in found} == {one.product for one in expected}
    score = {one.product: one.score for one in expected}
    if by == ["popularity"]:
        in_order = [score[one.product_code] for one in found]
        assert in_order == sorted(in_order, reverse=True)
    else:
        scores = np.array([[one.score, score[one.product_code]] for one in found])
        np.testing.assert_allclose(scores[:, 0], scores[:, 1], rtol=5e-3, atol=1e-3)
    assert [one.rank for one in found] == list(range(1, len(found) + 1))


def test_a_visitors_country_is_a_prior_of_his_session(store: VectorStore, edition: Edition) -> None:
    likes = edition.products.column("session_target")[int(edition.products.num_rows) - 1]
    features = pa.table(
        {"feature": ["country"], "value": ["B-land"], "vector": lists(np.array([likes.as_py()]))}
    )
    store.publish(replace(edition, features=features))
    plain = store.recommend(session=["A01"], count=80)
    there = store.recommend(session=["A01"], count=80, features={"country": "B-land"})
    elsewhere = store.recommend(session=["A01"], count=80, features={"country": "nowhere"})
    scores = {one.product_code: one.score for one in plain}
    assert sum(one.score - scores[one.product_code] for one in there if one.product_code[0] == "B")
    assert elsewhere == plain
    known = store.recommend(10, ["A01"], features={"country": "B-land"})
    assert known == store.recommend(10, ["A01"]), "who is known needs no prior"


def test_reasons_are_what_speaks_most_for_a_product(filled: VectorStore) -> None:
    browsed = filled.recommend(session=["B01", "B02"], count=3)
    assert {one.kind for one in browsed} <= {"browsed", "popular"}
    reasons = {one.because_code for one in browsed if one.kind == "browsed"}
    assert reasons
    assert reasons <= {"B01", "B02"}
    bought = filled.recommend(11, count=3)
    assert all(one.because_code is None or one.because_code[0] == "B" for one in bought)
    assert {one.because_name for one in bought if one.because_code} <= {
        f"Product {one.because_code}" for one in bought
    }
    again = filled.recommend(11, count=3, repeats=True)
    assert {(one.kind, one.because_code) for one in again} == {("bought_before", None)}
    assert {one.kind for one in filled.recommend(count=3)} == {"popular"}


def test_only_one_line_where_one_is_asked_for(filled: VectorStore) -> None:
    for asked in (
        {"customer": 11},
        {"customer": 11, "repeats": True},
        {"session": ["B01"]},
        {},
    ):
        found = filled.recommend(**asked, count=5, product_line="A")
        assert len(found) == 5
        assert {one.product_code[0] for one in found} == {"A"}


def test_similar_products_are_those_that_were_trained(
    filled: VectorStore, trained: tuple[Recommender, Edition]
) -> None:
    similar = trained[0].similar_products()
    expected = similar.similar[similar.product == "A01"][:4].tolist()
    with connected(filled) as connection:
        rows = connection.execute(
            "SELECT product_code FROM recommender.similar_products('A01', 4)"
        ).fetchall()
    assert [row[0] for row in rows] == expected


def test_known_products_are_named(filled: VectorStore) -> None:
    assert filled.known_products(["A01", "never sold"]) == {"A01": "Product A01"}


# A large catalogue


@pytest.fixture(scope="module")
def large(postgres: EmbeddedPostgres) -> VectorStore:
    store = store_at(postgres.ensure_database("vectors_large"))
    published = store.publish(catalogue_of(5_000))
    assert published.recall >= vector_store.ENOUGH_RECALL
    assert published.version.ef_search in vector_store.EF_SEARCH
    return store


def test_a_small_catalogue_has_no_index(filled: VectorStore) -> None:
    live = filled.live_version()
    assert live is not None
    assert live.ef_search is None


def scans(connection: "psycopg.Connection[Any]") -> tuple[int, int]:
    """How often the index of customers and the whole table of products were read so far."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT i.idx_scan, t.seq_scan FROM pg_stat_user_indexes i JOIN pg_stat_user_tables t"
        " USING (relid) WHERE i.indexrelname = 'products_1_target_idx'"
    ).fetchone()
    assert row
    return int(row[0]), int(row[1])


def test_a_large_catalogue_is_searched_by_its_index(large: VectorStore) -> None:
    """By the server's own count of what really ran, also when plans are kept: after five times."""
    with connected(large) as connection:
        connection.prepare_threshold = 0
        indexed, whole = scans(connection)
        for _ in range(7):
            connection.execute("SELECT * FROM recommender.recommend(%s, '{}')", [7]).fetchall()
        assert scans(connection) == (indexed + 7, whole)


def test_the_index_finds_what_the_exact_search_finds(large: VectorStore) -> None:
    with connected(large) as connection:
        exact = connection.execute(
            "SELECT array(SELECT product_code FROM recommender.products_1"
            " WHERE product_code NOT IN"
            " (SELECT product_code FROM recommender.purchases_1 WHERE customer_number = c)"
            " ORDER BY -(target::vector <#> vector::vector) DESC LIMIT 10)"
            " FROM generate_series(0, 49) c JOIN recommender.customers_1 ON customer_number = c"
            " ORDER BY c"
        ).fetchall()
    found = [[one.product_code for one in large.recommend(c)] for c in range(50)]
    hits = sum(len(set(of) & set(row[0])) for of, row in zip(found, exact, strict=True))
    assert hits / 500 >= 0.95  # half precision changes a few places


def test_a_catalogue_that_no_index_can_search_is_not_published(
    store: VectorStore, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish(edition)
    monkeypatch.setattr(vector_store, "ENOUGH_RECALL", 1.01)
    with pytest.raises(VectorStoreError, match="goes on serving"):
        store.publish(catalogue_of(1_500))
    assert tables(store) == {"versions", "live", *(f"{name}_1" for name in vector_store._TABLES)}
    assert store.live_version() is not None


# Versions


def test_three_versions_are_kept_and_any_of_them_can_be_live_again(
    store: VectorStore, edition: Edition
) -> None:
    for number in range(1, 6):
        assert store.publish(renamed(edition, f"model {number}")).version.version == number
    assert [(one.version, one.live) for one in store.versions()] == [
        (5, True),
        (4, False),
        (3, False),
    ]
    assert not {name for name in tables(store) if name.endswith(("_1", "_2"))}
    assert store.rollback().version == 4
    assert names_served(store) == {"model 4"}
    assert store.rollback(3).version == 3
    assert names_served(store) == {"model 3"}
    with pytest.raises(ConfigurationError, match="no older version than the live one; there are 5"):
        store.rollback()
    with pytest.raises(ConfigurationError, match=r"no version 1; there are 5, 4, 3 \(live\)"):
        store.rollback(1)
    assert store.publish(renamed(edition, "model 6")).version.version == 6
    assert [one.version for one in store.versions()] == [6, 5, 4]


def test_the_live_version_outlives_newer_ones(store: VectorStore, edition: Edition) -> None:
    for number in (1, 2, 3):
        store.publish(renamed(edition, f"model {number}"))
    store.rollback(1)
    with connected(store) as connection:  # as if three were published and none made live
        connection.execute(
            "INSERT INTO recommender.versions SELECT version + 10, model_version, published_at,"
            " products, customers, ef_search, history_in_session, buy_again,"
            " buy_again_in_session, description FROM recommender.versions"
        )
        vector_store._forget_old(connection)
    assert 1 in {one.version for one in store.versions()}
    assert names_served(store) == {"model 1"}


def test_before_the_first_publication(store: VectorStore) -> None:
    assert store.live_version() is None
    assert store.versions() == []
    with pytest.raises(VectorStoreError, match=r"nothing was published .* `retail build`"):
        store.recommend()
    with pytest.raises(VectorStoreError):
        store.rollback()


def test_an_old_version_that_a_reader_holds_is_dropped_later(
    store: VectorStore, edition: Edition, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        store.publish(renamed(edition, f"model {number}"))
    with psycopg.connect(store.address.url) as reader:
        reader.execute("SELECT count(*) FROM recommender.products_1")
        store.publish(renamed(edition, "model 4"))
        assert "version 1 of the vectors is dropped later" in caplog.text
        assert names_served(store) == {"model 4"}
    store.publish(renamed(edition, "model 5"))
    assert [one.version for one in store.versions()] == [5, 4, 3]


# What cannot be published


def spoilt(edition: Edition, table: str, column: str, vector: list[float]) -> Edition:
    rows: pa.Table = getattr(edition, table)
    values = rows.column(column).to_pylist()
    values[1] = vector
    place = rows.column_names.index(column)
    changed = rows.set_column(place, column, pa.array(values, pa.list_(pa.float32())))
    changes: Any = {table: changed}
    return replace(edition, **changes)


@pytest.mark.parametrize(
    ("vector", "told"),
    [
        ([float("nan"), *[0.0] * 64], "is not finite"),
        ([float("inf"), *[0.0] * 64], "is not finite"),
        ([70_000.0, *[0.0] * 64], "too large for half precision"),
        ([0.0] * 64, "has 64 dimensions and not 65"),
        ([], "has 0 dimensions"),
    ],
)
@pytest.mark.parametrize(
    ("table", "column"), [("products", "session_target"), ("customers", "vector")]
)
def test_vectors_that_are_none_are_refused_before_anything_is_written(
    store: VectorStore, edition: Edition, table: str, column: str, vector: list[float], told: str
) -> None:
    with pytest.raises(VectorStoreError, match=rf"{table}\.{column} of \w+ {told}|{told}"):
        store.publish(spoilt(edition, table, column, vector))
    assert store.live_version() is None


def test_a_key_that_stands_twice_is_refused(store: VectorStore, edition: Edition) -> None:
    store.publish(edition)
    twice = pa.concat_tables([edition.customers, edition.customers.slice(0, 1)])
    with pytest.raises(VectorStoreError, match=r"a key twice: Key \(customer_number\)=\(0\)"):
        store.publish(replace(edition, customers=twice))
    assert [one.version for one in store.versions()] == [1]


def test_no_products_are_refused(store: VectorStore, edition: Edition) -> None:
    with pytest.raises(VectorStoreError, match="no products to recommend"):
        store.publish(replace(edition, products=edition.products.slice(0, 0)))


def test_products_alone_are_enough(store: VectorStore, edition: Edition) -> None:
    store.publish(
        replace(
            edition,
            customers=edition.customers.slice(0, 0),
            purchases=edition.purchases.slice(0, 0),
            similar_products=edition.similar_products.slice(0, 0),
            features=edition.features.slice(0, 0),
        )
    )
    assert {one.strategy for one in store.recommend(10)} == {"popularity"}
    assert {one.strategy for one in store.recommend(10, ["B01"])} == {"session"}


def test_a_product_without_name_or_stock_is_served(store: VectorStore, edition: Edition) -> None:
    place = edition.products.column_names.index("product_name")
    nothing = pa.nulls(len(edition.products), pa.string())
    products = edition.products.set_column(place, "product_name", nothing)
    store.publish(replace(edition, products=products))
    assert names_served(store) == {None}


# Servers that cannot take it


def test_a_server_that_is_not_there(postgres: EmbeddedPostgres) -> None:
    gone = store_at(f"postgresql://someone:geheim@127.0.0.1:1/{'x'}")
    with pytest.raises(VectorStoreError, match=r"127\.0\.0\.1:1/x cannot be reached") as caught:
        gone.live_version()
    assert "RETAIL_VECTORS_URL" in str(caught.value)
    wrong = postgres.url("postgres").replace(postgres.password, "geheim")
    with pytest.raises(VectorStoreError, match="password authentication failed") as caught:
        store_at(wrong).live_version()
    assert "geheim" not in str(caught.value)
    assert postgres.password not in str(caught.value)


def answering(monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, bool]]) -> None:
    """Makes the server tell of other extensions than it has."""
    told = psycopg.Connection.execute

    def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        if "pg_available_extensions" in str(query):
            values = ", ".join(f"('{version}', {installed})" for version, installed in rows)
            query = f"SELECT * FROM (VALUES {values}) v" if rows else "SELECT '', false WHERE false"
        return told(self, query, *args, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "has no pgvector: install pgvector 0.8 or newer"),
        ([("0.7.4", False)], "has pgvector 0.7.4: install 0.8 or newer, and try again"),
        ([("0.6", True)], "then run ALTER EXTENSION vector UPDATE"),
    ],
)
def test_pgvector_that_is_absent_or_too_old(
    store: VectorStore,
    edition: Edition,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[str, bool]],
    told: str,
) -> None:
    answering(monkeypatch, rows)
    with pytest.raises(VectorStoreError, match=told):
        store.publish(edition)


def test_a_postgresql_that_is_too_old(
    store: VectorStore, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_store, "_OLDEST_POSTGRES", 99)
    with pytest.raises(VectorStoreError, match=r"is PostgreSQL \d+: 99 or newer is needed"):
        store.publish(edition)


def test_a_login_without_rights_is_told_who_can_help(
    store: VectorStore, edition: Edition, postgres: EmbeddedPostgres
) -> None:
    with login(store, "") as nobody, pytest.raises(VectorStoreError) as caught:
        nobody.publish(edition)
    assert "sql/vectors/schema.sql" in str(caught.value)


def test_a_full_disk_leaves_the_live_version(store: VectorStore, edition: Edition) -> None:
    """A tablespace of one megabyte is full before the products are in."""
    store.publish(edition)
    with small_disk(store) as full, pytest.raises(VectorStoreError) as caught:
        full.publish(catalogue_of(3_000))
    assert "has no room" in str(caught.value)
    assert "goes on serving" in str(caught.value)
    assert [one.version for one in store.versions()] == [1]
    assert len(store.recommend(10)) == 10


@contextmanager
def small_disk(store: VectorStore) -> Iterator[VectorStore]:
    """The same store, whose new tables go onto a file system of a megabyte."""
    folder = Path("/run") / f"retail_small_{os.getpid()}"
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        folder.mkdir()
        subprocess.run(mounted, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system takes root and its capabilities")
    try:
        with connected(store) as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            assert row
            server = Path(f"/proc/{row[0]}").stat()
            os.chown(folder, server.st_uid, server.st_gid)
            folder.chmod(0o700)
            connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
            connection.execute("GRANT CREATE ON TABLESPACE small TO PUBLIC")
        options = "options=-c%20default_tablespace%3Dsmall"
        address = replace(store.address, options=options)
        yield replace(store, address=address)
        with connected(store) as connection:
            connection.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


# Roles


@contextmanager
def login(store: VectorStore, role: str) -> Iterator[VectorStore]:
    """The store for a login of its own, member of a role."""
    name = f"someone_{os.getpid()}"
    with connected(store) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw'")
        if role:
            connection.execute(f"GRANT {role} TO {name}")
    try:
        yield replace(store, address=replace(store.address, user=name, password="pw"))
    finally:
        with connected(store) as connection:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


def test_a_publisher_needs_no_other_rights(store: VectorStore, edition: Edition) -> None:
    store.publish(edition)
    with login(store, "recommender_publisher") as publisher:
        assert publisher.publish(renamed(edition, "model 2")).version.version == 2
        assert publisher.rollback().version == 1
    with connected(store) as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'recommender'"
        ).fetchall()
    assert owners == [("recommender_publisher",)]


def test_a_reader_asks_the_live_version_and_nothing_else(
    store: VectorStore, edition: Edition
) -> None:
    store.publish(edition)
    with login(store, "recommender_reader") as reader:
        assert len(reader.recommend(10)) == 10
        live = reader.live_version()
        assert live is not None
        assert live.version == 1
        with connected(reader) as connection:
            for refused in (
                "SELECT * FROM recommender.products_1",
                "SELECT * FROM recommender.versions",
                "UPDATE recommender.live SET version = 1",
                "SELECT recommender.query_vector(1, 10, '{}', NULL)",
                "CREATE TABLE recommender.mine (a int)",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(refused)
        with pytest.raises(VectorStoreError, match="recommender_publisher"):
            reader.publish(edition)


# Faults while it is published


PUBLISH = """
import sys
from retail_platform_tests.recommender.editions import catalogue_of, renamed
from retail_platform_tests.recommender.test_vector_store import store_at
store_at(sys.argv[1]).publish(renamed(catalogue_of(int(sys.argv[2])), sys.argv[3]))
"""


def publishing(store: VectorStore, products: int, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISH, store.address.url, str(products), name],
        stderr=subprocess.PIPE,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def at_work(store: VectorStore, query: str) -> bool:
    with connected(store) as connection:
        rows = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()",
            [query],
        ).fetchall()
    return bool(rows)


@pytest.mark.parametrize("moment", ["COPY%", "%USING hnsw%"])
def test_a_killed_publication_leaves_nothing(
    store: VectorStore, edition: Edition, moment: str
) -> None:
    store.publish(renamed(edition, "model 1"))
    before = tables(store)
    process = publishing(store, 20_000, "killed")
    wait_for(lambda: at_work(store, moment))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names_served(store) == {"model 1"}
    store.publish(renamed(edition, "model 2"))  # waits for the server to notice
    assert names_served(store) == {"model 2"}
    assert tables(store) - before == {f"{name}_2" for name in vector_store._TABLES}


def test_a_publication_whose_connection_ends_leaves_nothing(
    store: VectorStore, edition: Edition
) -> None:
    store.publish(edition)
    before = tables(store)
    process = publishing(store, 20_000, "ended")
    wait_for(lambda: at_work(store, "COPY%"))
    with connected(store) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert b"VectorStoreError" in process.communicate()[1]
    assert tables(store) == before


def test_two_publications_come_one_after_the_other(store: VectorStore, edition: Edition) -> None:
    both = [publishing(store, 2_000, name) for name in ("one", "other")]
    for process in both:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    assert sorted(one.version for one in store.versions()) == [1, 2]
    assert [one.live for one in store.versions()] == [True, False]


def test_who_waits_too_long_is_told(
    store: VectorStore, edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish(edition)
    monkeypatch.setattr(vector_store, "_PATIENCE", "100ms")
    with psycopg.connect(store.address.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [vector_store._LOCK])
        with pytest.raises(VectorStoreError, match="published to by someone else"):
            store.publish(edition)


def test_readers_see_one_version_whole_while_it_changes(
    store: VectorStore, edition: Edition
) -> None:
    """A thousand reads over twenty connections, and flips meanwhile."""
    store.publish(renamed(edition, "model 1"))
    seen: list[set[tuple[str, int]]] = []
    underway, flipped = threading.Event(), threading.Event()
    with login(store, "recommender_reader") as reader:

        def read(number: int) -> None:
            with connected(reader) as connection:
                for turn in range(50):
                    if turn == 25:
                        underway.set()
                    if turn == 45:
                        flipped.wait(60)
                    rows = connection.execute(
                        "SELECT product_name, version FROM recommender.recommend(%s, %s)",
                        [10 + number % 3, [] if turn % 2 else ["A01"]],
                    ).fetchall()
                    assert len(rows) == 10
                    seen.append(set(rows))

        with ThreadPoolExecutor(20) as readers:
            reading = [readers.submit(read, number) for number in range(20)]
            underway.wait(60)
            for number in (2, 3):
                store.publish(renamed(edition, f"model {number}"))
            flipped.set()
            for one in reading:
                one.result()
    assert len(seen) == 1_000
    assert all(len(answer) == 1 for answer in seen), "no answer mixes versions"
    assert all(name == f"model {version}" for answer in seen for name, version in answer)
    assert len({version for answer in seen for _, version in answer}) > 1
