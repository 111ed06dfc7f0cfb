"""The recommender's figures: training, publication, and answers from the vector store."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa

from retail_platform.embedded.postgres import embedded_postgres
from retail_platform.recommender.edition import Edition, vectors
from retail_platform.recommender.purchases import Purchases
from retail_platform.recommender.training_set import TrainingSet
from retail_platform.recommender.vector_store import VectorStore
from retail_platform.sources.address import Address
from retail_platform_tests.benchmarks.pieces import Piece, timed
from retail_platform_tests.recommender.editions import catalogue_of
from retail_platform_tests.servers import postgres_home

PRODUCTS = 100_000
_CUSTOMERS = 50_000
_ORDERS = 300_000
_LINES = 3_000_000
_READERS = 20
_READS = 1_000
_AS_OF = date(2024, 12, 31)


# Training


def train_online_retail(file: Path, _: str) -> float:
    """Training on all of Online Retail, its lines read before."""
    from retail_platform.recommender.model import train
    from retail_platform.sources.sample.history import of_lines
    from retail_platform.sources.sample.online_retail import purchase_lines

    history = of_lines(purchase_lines(file))
    seen, baskets = history.training_set(date(9999, 12, 31)), history.baskets
    return timed(lambda: train(seen, baskets))


def compare_online_retail(file: Path, _: str) -> float:
    """Training and judging on Online Retail, as a build of the embeddings does."""
    from retail_platform.recommender.evaluation import compare
    from retail_platform.sources.sample.history import of_lines
    from retail_platform.sources.sample.online_retail import purchase_lines

    history = of_lines(purchase_lines(file))
    assert history.baskets
    return timed(lambda: compare(history))


def invert_online_retail(file: Path, _: str) -> float:
    """The two dense inverses of EASE alone, by numpy."""
    from retail_platform.recommender.interactions import decayed_history
    from retail_platform.recommender.training_set import last_day
    from retail_platform.sources.sample.history import of_lines
    from retail_platform.sources.sample.online_retail import purchase_lines

    seen = of_lines(purchase_lines(file)).training_set(date(9999, 12, 31))
    history = decayed_history(seen, last_day(seen) + timedelta(days=1))
    gram = (history.T @ history).toarray() + 100 * np.eye(history.shape[1], dtype=np.float32)
    return timed(lambda: [np.linalg.inv(gram) for _ in range(2)])


def train_large(_: Path, __: str) -> float:
    """Training on a catalogue too large for EASE."""
    from retail_platform.recommender.model import train

    seen, baskets = _large_shop()
    return timed(lambda: train(seen, baskets, _AS_OF))


def decompose_large(_: Path, __: str) -> float:
    """SciPy's own decomposition of the customers' matrix alone."""
    from scipy.sparse.linalg import svds

    from retail_platform.recommender.factorization import PURE_SVD_RANK
    from retail_platform.recommender.interactions import decayed_history

    history = decayed_history(_large_shop()[0], _AS_OF)
    return timed(lambda: svds(history, PURE_SVD_RANK))


def _large_shop() -> tuple[TrainingSet, Purchases]:
    """Customers of some taste in a catalogue of long tail."""
    random = np.random.default_rng(0)
    popular = 1 / np.arange(1, PRODUCTS + 1) ** 0.8
    codes = np.array([f"P{number:07}" for number in range(PRODUCTS)])
    order = np.sort(random.integers(_ORDERS, size=_LINES))
    customer_of = random.integers(_CUSTOMERS, size=_ORDERS)
    day_of = np.datetime64(_AS_OF) - random.integers(1, 700, size=_ORDERS)
    taste = customer_of[order] % 50
    drawn = random.choice(PRODUCTS, size=_LINES, p=popular / popular.sum())
    product = (drawn // 50 * 50 + taste) % PRODUCTS  # of fifty tastes, each has its own products
    position = np.arange(_LINES)
    baskets = Purchases(
        np.arange(_CUSTOMERS),
        codes,
        customer_of[order],
        product,
        order,
        position,
        day_of[order],
    )
    cells, row, orders = np.unique(
        customer_of[order] * PRODUCTS + product, return_inverse=True, return_counts=True
    )
    last = np.full(len(cells), np.datetime64("1970-01-01"))
    np.maximum.at(last, row, day_of[order])
    customer, bought = np.divmod(cells, PRODUCTS)
    return TrainingSet(np.arange(_CUSTOMERS), codes, customer, bought, orders, last, {}), baskets


PIECES: dict[str, Piece] = {
    piece.__name__: piece
    for piece in (
        train_online_retail,
        compare_online_retail,
        invert_online_retail,
        train_large,
        decompose_large,
    )
}


# The vector store


@dataclass(frozen=True)
class Served:
    """Figures of a vector store.

    Attributes:
        publication: Seconds.
        bare_publication: Seconds of COPY and the two indexes alone.
        flip: Seconds.
        recall: Of the index, against the exact search.
        ef_search: How widely it is searched.
        latency: Seconds of each answer for a customer, what he bought left out.
        bare_latency: Seconds of each bare search for the same vectors.
        reads: Answers that readers had while versions changed.
        errors: Of these, how many failed or mixed versions.
        flips: How many versions changed meanwhile.
    """

    publication: float
    bare_publication: float
    flip: float
    recall: float
    ef_search: int | None
    latency: list[float]
    bare_latency: list[float]
    reads: int
    errors: int
    flips: int


def serve() -> Served:
    """Publishes a large catalogue and asks it."""
    edition = large_edition()
    with postgres_home() as home, embedded_postgres(home) as server:
        store = VectorStore(Address.parse(server.ensure_database("bench")))
        bare = _bare_publication(server.ensure_database("bare"), edition)
        published = store.publish(edition)
        with psycopg.connect(store.address.url, autocommit=True) as connection:
            latency = _latency(connection, edition)
            bare_latency = _bare_latency(connection, edition, published.version.version)
        reads, errors, flips = _read_while_it_changes(store)
    return Served(
        published.seconds,
        bare,
        published.flip_seconds,
        published.recall,
        published.version.ef_search,
        latency,
        bare_latency,
        reads,
        errors,
        flips,
    )


def large_edition() -> Edition:
    """A trained one: made-up vectors are harder, or easier, to search than any model's."""
    from retail_platform.recommender.edition import edition_of
    from retail_platform.recommender.model import train
    from retail_platform.recommender.tables import as_tables

    seen, baskets = _large_shop()
    codes = seen.products.tolist()
    catalogue = pa.table(
        {
            "product_code": codes,
            "product_name": codes,
            "product_line": [f"line {number % 20}" for number in range(PRODUCTS)],
            "quantity_in_stock": [3] * PRODUCTS,
        }
    )
    tables = as_tables(train(seen, baskets, _AS_OF), "large")
    return edition_of(tables, catalogue, seen, "large", {})


def _bare_publication(url: str, edition: Edition) -> float:
    from pgvector import HalfVector
    from pgvector.psycopg import register_vector

    columns = ("context", "target", "session_context", "session_target")
    rows = [
        edition.products["product_code"].to_pylist(),
        *([HalfVector(v) for v in vectors(edition.products, c, c)] for c in columns),
    ]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        connection.execute(
            f"CREATE TABLE bare (code text, {', '.join(f'{c} halfvec(65)' for c in columns)})"
        )

        def work() -> None:
            with connection.cursor().copy("COPY bare FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["text", *["halfvec"] * len(columns)])
                for row in zip(*rows, strict=True):
                    copy.write_row(row)
            connection.execute("SET maintenance_work_mem = '512MB'")
            for column in ("target", "session_target"):
                connection.execute(f"CREATE INDEX ON bare USING hnsw ({column} halfvec_ip_ops)")

        return timed(work)


def _latency(connection: "psycopg.Connection[tuple[object, ...]]", edition: Edition) -> list[float]:
    asking = edition.customers["customer_number"].to_pylist()[:2_000]
    found = []
    for customer in asking:
        started = time.perf_counter()
        connection.execute("SELECT * FROM recommender.recommend(%s, '{}')", [customer]).fetchall()
        found.append(time.perf_counter() - started)
    return found[100:]


def _bare_latency(
    connection: "psycopg.Connection[tuple[object, ...]]", edition: Edition, version: int
) -> list[float]:
    asking = vectors(edition.customers, "vector", "customers.vector")[:2_000]
    found = []
    for vector in asking:
        text = "[" + ",".join(f"{number:.5g}" for number in vector) + "]"
        started = time.perf_counter()
        connection.execute(
            f"SELECT product_code FROM recommender.products_{version}"
            " ORDER BY target <#> %s::halfvec LIMIT 10",
            [text],
        ).fetchall()
        found.append(time.perf_counter() - started)
    return found[100:]


def _read_while_it_changes(store: VectorStore) -> tuple[int, int, int]:
    """A thousand reads over twenty connections while versions are published and rolled back."""
    store.publish(catalogue_of(2_000))
    underway = threading.Event()
    versions: list[set[object]] = []
    errors: list[Exception] = []

    def read(number: int) -> None:
        with psycopg.connect(store.address.url, autocommit=True) as connection:
            for turn in range(_READS // _READERS):
                try:
                    rows = connection.execute(
                        "SELECT version FROM recommender.recommend(%s, '{}')", [number + turn]
                    ).fetchall()
                    versions.append({version for (version,) in rows})
                except psycopg.Error as error:
                    errors.append(error)
                underway.set()
                time.sleep(0.01)

    flips = 0
    with ThreadPoolExecutor(_READERS) as readers:
        reading = [readers.submit(read, number) for number in range(_READERS)]
        underway.wait()
        while not all(one.done() for one in reading):
            store.rollback(1 + flips % 2)
            flips += 1
    mixed = sum(len(answer) != 1 for answer in versions)
    return len(versions), len(errors) + mixed, flips


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of them is."""
    return sorted(values)[int(share * len(values))]
