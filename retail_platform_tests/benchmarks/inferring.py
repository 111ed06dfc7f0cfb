"""The Lambda's figures: records a second beside the published design, latency, and a cold start.

`python -m retail_platform_tests.benchmarks.inferring EVENTS` sends events through the embedded path
into a lake, and prints JSON.
"""

import base64
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from lambda_inference import firehose
from lambda_inference.events import BrowseEvent
from lambda_inference.inference import Inference
from lambda_inference.store import VectorReader
from retail_platform.contracts.loader import load_contracts
from retail_platform.embedded.postgres import embedded_postgres
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.lake.folder import FolderStorage
from retail_platform.lake.lake import Lake
from retail_platform.recommender.edition import Edition
from retail_platform.recommender.vector_store import VectorStore
from retail_platform.sources.address import Address
from retail_platform.streaming.arrivals import FolderArrivals
from retail_platform.streaming.delivery import LocalDelivery
from retail_platform.streaming.ingestion import Ingestion
from retail_platform.streaming.sending import send
from retail_platform.streaming.visitors import Customer, Shop, Visitors
from retail_platform_tests.benchmarks import published_design
from retail_platform_tests.benchmarks.recommending import large_edition
from retail_platform_tests.lambda_inference.events import browse, firehose_request
from retail_platform_tests.recommender.editions import catalogue_of
from retail_platform_tests.servers import postgres_home

BATCH = 100
_BATCHES = 200
_SECONDS = 6.0


@dataclass(frozen=True)
class Inferred:
    """Figures at one size of the catalogue.

    Attributes:
        products: How many.
        ours: Records a second.
        in_database: The same, if each batch were one statement that searches in pgvector.
        published: The same of the published design.
        kept_alive: The same of it, were its connections kept.
        latency: Seconds of each of our batches.
        load: Seconds of reading the version into memory.
    """

    products: int
    ours: float
    in_database: float
    published: float
    kept_alive: float
    latency: list[float]
    load: float


def infer() -> Iterator[Inferred]:
    """Measures at 110, 10,000 and 100,000 products."""
    with postgres_home() as home, embedded_postgres(home) as server:
        for products in (110, 10_000, 100_000):
            edition = large_edition() if products == 100_000 else catalogue_of(products, 1_000)
            yield _measured(server.ensure_database(f"bench_{products}"), products, edition)


def _measured(url: str, products: int, edition: Edition) -> Inferred:
    published = VectorStore(Address.parse(url)).publish(edition)
    requests = _requests(edition)
    reader = VectorReader(lambda: url)
    inference = Inference(reader)
    started = time.perf_counter()
    firehose.transform(requests[0], inference.answer)
    load = time.perf_counter() - started
    latency = _timed(requests, lambda request: firehose.transform(request, inference.answer))
    reader.close()
    with psycopg.connect(url, autocommit=True) as connection:
        searched = _timed(requests, lambda request: _search(connection, request))
    with published_design.service(url, published.version.version) as address:
        ask = published_design.anew(address)
        theirs = _timed(requests, lambda request: published_design.transform(request, ask))
        with published_design.kept_alive(address) as ask_again:
            alive = _timed(requests, lambda r: published_design.transform(r, ask_again))
    return Inferred(
        products,
        _rate(latency),
        _rate(searched),
        _rate(theirs),
        _rate(alive),
        latency,
        load,
    )


def _rate(times: list[float]) -> float:
    """Records a second, of batches."""
    return BATCH / statistics.median(times)


def _timed(requests: list[dict[str, Any]], work: Callable[[dict[str, Any]], Any]) -> list[float]:
    """Seconds of each batch, for some seconds and at least two batches after the first."""
    found: list[float] = []
    begun = time.perf_counter()
    for request in requests:
        started = time.perf_counter()
        work(request)
        found.append(time.perf_counter() - started)
        if len(found) > 2 and time.perf_counter() - begun > _SECONDS:
            break
    return found[1:]


def _requests(edition: Edition) -> list[dict[str, Any]]:
    """Batches of visitors, half of them known, who browse three products each."""
    chance = random.Random(0)
    codes = [str(code) for code in edition.products["product_code"].to_pylist()]
    customers = edition.customers["customer_number"].to_pylist()
    return [
        firehose_request(
            [
                browse(
                    *chance.sample(codes, 3),
                    event_id=f"{batch}-{number}",
                    customer_number=chance.choice([None, chance.choice(customers)]),
                )
                for number in range(BATCH)
            ]
        )
        for batch in range(_BATCHES)
    ]


_SEARCH = """
SELECT asked.n, found.* FROM jsonb_array_elements(%s) WITH ORDINALITY asked (e, n)
CROSS JOIN LATERAL recommender.recommend(
  (asked.e ->> 'customer_number')::bigint,
  ARRAY(SELECT b ->> 'product_code' FROM jsonb_array_elements(asked.e -> 'browse_history') b),
  jsonb_build_object('country', asked.e ->> 'country', 'city', asked.e ->> 'city')
) found
"""


def _search(connection: "psycopg.Connection[Any]", request: dict[str, Any]) -> None:
    """What one statement a batch costs that searches in pgvector, and nothing else of an answer."""
    events = [json.loads(base64.b64decode(record["data"])) for record in request["records"]]
    connection.execute(_SEARCH, [Jsonb(events)]).fetchall()


def cold_import(bundle: Path, python: str) -> tuple[float, float]:
    """Seconds of importing the Lambda from its zip in a new process, and those of Python's start."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(folder)
        script = (
            f"import sys; sys.path.insert(0, {folder!r})\n"
            "import lambda_inference.firehose, lambda_inference.live\n"
        )
        whole, bare = (_started(python, text) for text in (script, "pass"))
    return whole - bare, bare


def _started(python: str, script: str) -> float:
    found = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([python, "-I", "-B", "-c", script], check=True)
        found.append(time.perf_counter() - started)
    return statistics.median(found)


@dataclass(frozen=True)
class Streamed:
    """Events on the embedded path.

    Attributes:
        events: How many were sent.
        send_seconds: Until the last was answered and laid down.
        ingest_seconds: Until the last was in the lake.
        peak_mb: Of the process that did both.
        missing: Ids that were sent and are not in the lake, or are there and were not sent.
        rows: Rows of `recommendation_events`.
    """

    events: int
    send_seconds: float
    ingest_seconds: float
    peak_mb: float
    missing: int
    rows: int


def streamed(events: int) -> Streamed:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(events)], check=True, text=True, stdout=subprocess.PIPE
    )
    return Streamed(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class _Path:
    """The embedded path: visitors, the handler, a folder, and the lake."""

    visitors: Visitors
    delivery: LocalDelivery
    ingestion: Ingestion


@contextmanager
def _embedded_path(folder: Path) -> Iterator[_Path]:
    edition = catalogue_of(110, 1_000)
    codes = [str(code) for code in edition.products["product_code"].to_pylist()]
    shop = Shop(
        {line: dict.fromkeys(codes[number::5], 1) for number, line in enumerate("abcde")},
        [Customer(number, "Nantes", "France", 21000.0, {}) for number in range(1_000)],
    )
    with postgres_home() as home, embedded_postgres(home) as server:
        url = server.ensure_database("bench")
        VectorStore(Address.parse(url)).publish(edition)
        reader = VectorReader(lambda: url)
        inference = Inference(reader)
        delivery = LocalDelivery(
            folder / "delivered", lambda request: firehose.transform(request, inference.answer)
        )
        lake = Lake(FolderStorage(folder / "lake"), load_contracts())
        arrivals = FolderArrivals(folder / "delivered")
        yield _Path(
            Visitors(shop, 500),
            delivery,
            Ingestion(lake, DuckDBEngine("500MB", folder / "spill"), arrivals),
        )
        reader.close()


def _stream(events: int) -> Streamed:
    sent: set[int] = set()
    with tempfile.TemporaryDirectory() as name, _embedded_path(Path(name)) as path:

        def noted() -> Iterator[BrowseEvent]:
            for event in path.visitors.events():
                sent.add(int(event.event_id or "", 16))
                yield event

        started = time.perf_counter()
        for _ in send(noted(), path.delivery, rate=0, seconds=None, count=events):
            pass
        laid = time.perf_counter()
        path.ingestion.run()
        taken = time.perf_counter()
        lake = path.ingestion.lake
        found = lake.rows("recommendation_events", columns=["event_id"])["event_id"]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        ids = {int(str(event_id), 16) for event_id in found.to_pylist()}
    return Streamed(events, laid - started, taken - laid, peak, len(ids ^ sent), len(found))


def queryable() -> list[float]:
    """Seconds from each event to when the lake has it, at fifty events a second."""
    seen: dict[str, float] = {}
    made: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, _embedded_path(Path(name)) as path:

        def noted() -> Iterator[BrowseEvent]:
            for event in path.visitors.events():
                made[event.event_id or ""] = time.perf_counter()
                yield event

        stop = threading.Event()

        def take() -> None:
            while True:
                last = stop.is_set()
                path.ingestion.run()
                now = time.perf_counter()
                rows = path.ingestion.lake.rows("recommendation_events", columns=["event_id"])
                for event_id in rows["event_id"].to_pylist():
                    seen.setdefault(str(event_id), now)
                if last:
                    return
                time.sleep(1)

        taker = threading.Thread(target=take)
        taker.start()
        for _ in send(noted(), path.delivery, rate=50, seconds=20, count=None):
            pass
        stop.set()
        taker.join()
    return [seen[event_id] - at for event_id, at in made.items()]


if __name__ == "__main__":
    print(json.dumps(asdict(_stream(int(sys.argv[1])))))  # noqa: T201  (whoever started it reads it)
