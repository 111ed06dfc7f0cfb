"""The vector store: versions of the embeddings in PostgreSQL with pgvector, one of them live.

A publication is one transaction, the flip to the new version included: it is whole or it never was,
and the live version serves until the moment of the commit. `sql/vectors` has the tables and the
functions by which readers ask.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from retail_platform.contracts.loader import sql_folder
from retail_platform.errors import ConfigurationError, VectorStoreError
from retail_platform.recommender.edition import Edition, vectors
from retail_platform.recommender.weights import (
    BUY_AGAIN,
    BUY_AGAIN_IN_SESSION,
    HISTORY_IN_SESSION,
)
from retail_platform.sources.address import Address

log = logging.getLogger(__name__)

KEPT_VERSIONS = 3

INDEXED_FROM = 1_000
"""Products from which there is an index; comparing with fewer is quicker than searching one."""

EF_SEARCH = (40, 80, 160)
"""How widely an index is searched: the smallest that finds enough is kept with the version."""

ENOUGH_RECALL = 0.97
"""Of the exact search's ten, which the index has to find."""

_PROBES = 100
_OLDEST_POSTGRES = 14
_OLDEST_PGVECTOR = (0, 8)
_LOCK = 7_237_001
"""Of whoever publishes or rolls back; any number that no one else uses."""

_PATIENCE = "10min"
"""How long one publication waits for another."""

_TABLES = ("products", "customers", "purchases", "similar_products", "features")


@dataclass(frozen=True)
class StoredVersion:
    """A version that is kept.

    Attributes:
        version: Its number; later ones are higher.
        model_version: Of its vectors.
        published_at: When.
        products: How many can be recommended.
        customers: How many are known.
        ef_search: How widely its indexes are searched; None where every search is exact.
        description: What was said of it.
        live: Whether it is served.
    """

    version: int
    model_version: str
    published_at: datetime
    products: int
    customers: int
    ef_search: int | None
    description: dict[str, Any]
    live: bool = True


@dataclass(frozen=True)
class Published:
    """A publication.

    Attributes:
        version: What is live now.
        recall: What its index found of the exact ten, the lesser of both artefacts'; 1 without.
        seconds: What it took in all.
        flip_seconds: From the change of the pointer to the end of the commit.
    """

    version: StoredVersion
    recall: float
    seconds: float
    flip_seconds: float


@dataclass(frozen=True)
class Recommended:
    """One product for someone, and why.

    Attributes:
        rank: From 1.
        product_code: The product.
        product_name: Its name, where it has one.
        score: Comparable within one answer only.
        strategy: `known+session`, `known`, `features`, `session` or `popularity`.
        version: The version that answered.
        kind: `browsed` or `bought` something that it goes with, `bought_before`, or `popular`.
        because_code: What it goes with.
        because_name: The name of that.
    """

    rank: int
    product_code: str
    product_name: str | None
    score: float
    strategy: str
    version: int
    kind: str
    because_code: str | None
    because_name: str | None


@dataclass(frozen=True)
class VectorStore:
    """A PostgreSQL database.

    Attributes:
        address: Where it is, with a login that may publish; one that only reads can ask.
    """

    address: Address

    # Publishing

    def publish(self, edition: Edition) -> Published:
        """Loads a version beside the live one, tests it, and makes it live.

        Raises:
            VectorStoreError: It cannot be; the live version goes on serving.
        """
        started = time.perf_counter()
        edition.require_sound()
        self.prepare()
        with self.connected() as connection:
            with self._publishing(connection):
                version = _next_version(connection)
                log.info("loading version %d of the vectors", version)
                _run(connection, "version", version)
                for name, rows in edition.tables.items():
                    _copy(connection, f"{name}_{version}", rows)
                _run(connection, "keys", version)
                ef_search, recall = _indexed(connection, version, edition)
                connection.execute("ANALYZE " + ", ".join(_tables(version)))
                _describe(connection, version, edition, ef_search)
                log.info("version %d answers; making it live", version)
                flipped = time.perf_counter()
                _point(connection, version)
            ended = time.perf_counter()
            stored = _live(connection)
            assert stored is not None  # noqa: S101  (just published)
            _forget_old(connection)
        return Published(stored, recall, ended - started, ended - flipped)

    def rollback(self, version: int | None = None) -> StoredVersion:
        """Makes a kept version live again.

        Args:
            version: Which; None for the newest that is older than the live one.

        Raises:
            ConfigurationError: There is no such version; the message lists those there are.
            VectorStoreError: The store cannot be changed.
        """
        with self.connected() as connection:
            with self._publishing(connection):
                kept = _versions(connection)
                live = next((v.version for v in kept if v.live), 0)
                if version is None:
                    version = max((v.version for v in kept if v.version < live), default=None)
                if version not in {v.version for v in kept}:
                    listed = ", ".join(f"{v.version}{' (live)' * v.live}" for v in kept) or "none"
                    wanted = f"version {version}" if version else "older version than the live one"
                    raise ConfigurationError(f"there is no {wanted}; there are {listed}")
                assert version is not None  # noqa: S101  (it is one of those kept)
                _point(connection, version)
            stored = _live(connection)
        assert stored is not None  # noqa: S101  (just made so)
        return stored

    def versions(self) -> list[StoredVersion]:
        """The versions that are kept, the newest first.

        Raises:
            VectorStoreError: The store cannot be read.
        """
        with self.connected() as connection:
            return _versions(connection) if _applied(connection) else []

    # Asking

    def live_version(self) -> StoredVersion | None:
        """The version that is served; None before the first publication.

        Raises:
            VectorStoreError: The store cannot be read.
        """
        with self.connected() as connection:
            return _live(connection) if _applied(connection) else None

    def recommend(
        self,
        customer: int | None = None,
        session: Sequence[str] = (),
        count: int = 10,
        *,
        repeats: bool = False,
        features: Mapping[str, str] | None = None,
        product_line: str | None = None,
    ) -> list[Recommended]:
        """What `model.Recommender.recommend` would answer, from the live version, with reasons.

        Args:
            customer: A customer number.
            session: Codes of the products browsed.
            count: How many.
            repeats: Whether products that the customer bought may be recommended.
            features: Of a visitor whom nobody knows.
            product_line: Only products of this line.

        Raises:
            VectorStoreError: The store cannot be read, or nothing was published yet.
        """
        with self.connected() as connection:
            if not _applied(connection) or _live(connection) is None:
                raise VectorStoreError(
                    f"nothing was published to the vector store {self.address} yet: run "
                    "`retail build`"
                )
            with connection.cursor(row_factory=class_row(Recommended)) as cursor:
                cursor.execute(
                    _RECOMMEND,
                    {
                        "customer": customer,
                        "session": list(session),
                        "features": Jsonb(dict(features)) if features else None,
                        "count": count,
                        "repeats": repeats,
                        "line": product_line,
                    },
                )
                return cursor.fetchall()

    def known_products(self, codes: Sequence[str]) -> dict[str, str | None]:
        """The names of those of some products that the live version knows, by code.

        Raises:
            VectorStoreError: The store cannot be read.
        """
        with self.connected() as connection:
            rows = connection.execute("SELECT * FROM recommender.known_products(%s)", [list(codes)])
            return dict(rows.fetchall())

    # Connecting

    @contextmanager
    def connected(self) -> Iterator["psycopg.Connection[Any]"]:
        """A connection; whatever PostgreSQL says against it is told with its remedy."""
        try:
            with psycopg.connect(
                self.address.url, autocommit=True, connect_timeout=10, prepare_threshold=None
            ) as connection:
                yield connection
        except psycopg.Error as error:
            raise self._told(error) from error

    def _told(self, error: psycopg.Error) -> VectorStoreError:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        place = f"the vector store {self.address}"
        if isinstance(error, psycopg.errors.DiskFull):
            return VectorStoreError(
                f"{place} has no room: {reason}; free disk space and run `retail build "
                "vector_store`. Nothing was published, the live version goes on serving"
            )
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return VectorStoreError(
                f"{place}: {reason}; let an administrator run sql/vectors/schema.sql there once and "
                "grant recommender_publisher to who publishes, recommender_reader to who only asks"
            )
        if isinstance(error, psycopg.errors.UniqueViolation):
            return VectorStoreError(
                f"{place} was given a key twice: {error.diag.message_detail}; build the embeddings "
                "again with `retail build ml`"
            )
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return VectorStoreError(
                f"{place} is being published to by someone else for more than {_PATIENCE}: wait for "
                "it, or end its session, and run `retail build vector_store`"
            )
        if isinstance(error, psycopg.OperationalError):
            return VectorStoreError(
                f"{place} cannot be reached: {reason}; see that it runs and correct "
                f"{self.address.place}"
            )
        return VectorStoreError(f"{place} refused: {reason}; the live version goes on serving")

    def prepare(self) -> None:
        """Makes the store what `sql/vectors/schema.sql` says, where it is not.

        Raises:
            VectorStoreError: It cannot be.
        """
        with self.connected() as connection:
            version = connection.info.server_version // 10_000
            if version < _OLDEST_POSTGRES:
                raise VectorStoreError(
                    f"the vector store {self.address} is PostgreSQL {version}: "
                    f"{_OLDEST_POSTGRES} or newer is needed"
                )
            self._require_pgvector(connection)
            if _applied(connection) != _schema_mark():
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                    if _applied(connection) != _schema_mark():
                        connection.execute(_text("schema"))

    def _require_pgvector(self, connection: "psycopg.Connection[Any]") -> None:
        oldest = ".".join(map(str, _OLDEST_PGVECTOR))
        row = connection.execute(
            "SELECT coalesce(installed_version, default_version), installed_version IS NOT NULL"
            " FROM pg_available_extensions WHERE name = 'vector'"
        ).fetchone()
        if row is None:
            raise VectorStoreError(
                f"the vector store {self.address} has no pgvector: install pgvector {oldest} or newer "
                f"on that server, or unset {self.address.place} to use the embedded PostgreSQL"
            )
        version, installed = row
        if tuple(map(int, version.split(".")[:2])) < _OLDEST_PGVECTOR:
            remedy = "then run ALTER EXTENSION vector UPDATE" if installed else "and try again"
            raise VectorStoreError(
                f"the vector store {self.address} has pgvector {version}: install {oldest} or newer, "
                f"{remedy}"
            )

    @contextmanager
    def _publishing(self, connection: "psycopg.Connection[Any]") -> Iterator[None]:
        """One transaction, which no other publication's overlaps."""
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            connection.execute("SET LOCAL ROLE recommender_publisher")
            yield


_RECOMMEND = """
WITH found AS MATERIALIZED (
  SELECT * FROM recommender.recommend(
    %(customer)s::bigint, %(session)s::text[], %(features)s::jsonb, %(count)s, %(repeats)s, %(line)s)
)
SELECT f.rank, f.product_code, f.product_name, f.score, f.strategy, f.version,
  coalesce(r.kind, 'popular') AS kind, r.because_code, r.because_name
FROM found f
LEFT JOIN recommender.reasons(
  %(customer)s::bigint, %(session)s::text[], (SELECT array_agg(product_code) FROM found)
) r ON r.product_code = f.product_code
ORDER BY f.rank
"""


@cache
def _text(name: str) -> str:
    return (sql_folder() / "vectors" / f"{name}.sql").read_text(encoding="utf-8")


def _schema_mark() -> str:
    """By what the schema's comment tells its text."""
    (mark,) = re.findall(r"COMMENT ON SCHEMA recommender IS '(.+)'", _text("schema"))
    return str(mark)


def _applied(connection: "psycopg.Connection[Any]") -> str:
    """The mark of the schema that the store has; empty where it has none."""
    row = connection.execute(
        "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace"
        " WHERE nspname = 'recommender'"
    ).fetchone()
    return str(row[0]) if row else ""


def _tables(version: int) -> list[str]:
    return [f"recommender.{name}_{version}" for name in _TABLES]


def _run(connection: "psycopg.Connection[Any]", name: str, version: int) -> None:
    connection.execute(_text(name).format(version=version))


def _next_version(connection: "psycopg.Connection[Any]") -> int:
    row = connection.execute(
        "SELECT coalesce(max(version), 0) + 1 FROM recommender.versions"
    ).fetchone()
    assert row  # noqa: S101  (an aggregate)
    return int(row[0])


def _copy(connection: "psycopg.Connection[Any]", name: str, rows: pa.Table) -> None:
    register_vector(connection)
    target = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary, FREEZE)").format(
        sql.Identifier("recommender", name),
        sql.SQL(", ").join(map(sql.Identifier, rows.column_names)),
    )
    columns = [_values(rows, column, f"{name}.{column}") for column in rows.column_names]
    with connection.cursor() as cursor:
        types = dict(
            cursor.execute(
                "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0",
                [f"recommender.{name}"],
            ).fetchall()
        )
        with cursor.copy(target) as copy:
            copy.set_types([types[column] for column in rows.column_names])
            for row in zip(*columns, strict=True):
                copy.write_row(row)


def _values(rows: pa.Table, column: str, place: str) -> Sequence[Any]:
    if pa.types.is_list(rows.schema.field(column).type):
        return [HalfVector(vector) for vector in vectors(rows, column, place)]
    values: list[Any] = rows.column(column).to_pylist()
    return values


def _describe(
    connection: "psycopg.Connection[Any]", version: int, edition: Edition, ef_search: int | None
) -> None:
    connection.execute(
        "INSERT INTO recommender.versions (version, model_version, products, customers, ef_search,"
        " history_in_session, buy_again, buy_again_in_session, description)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            version,
            edition.model_version,
            len(edition.products),
            len(edition.customers),
            ef_search,
            HISTORY_IN_SESSION,
            BUY_AGAIN,
            BUY_AGAIN_IN_SESSION,
            Jsonb(dict(edition.description)),
        ],
    )


def _point(connection: "psycopg.Connection[Any]", version: int) -> None:
    connection.execute(
        "INSERT INTO recommender.live (version) VALUES (%s)"
        " ON CONFLICT (only_row) DO UPDATE SET version = excluded.version",
        [version],
    )


def _versions(connection: "psycopg.Connection[Any]") -> list[StoredVersion]:
    with connection.cursor(row_factory=class_row(StoredVersion)) as cursor:
        cursor.execute(
            "SELECT v.version, model_version, published_at, products, customers, ef_search,"
            " description, l.version IS NOT NULL AS live FROM recommender.versions v"
            " LEFT JOIN recommender.live l ON l.version = v.version ORDER BY v.version DESC"
        )
        return cursor.fetchall()


def _live(connection: "psycopg.Connection[Any]") -> StoredVersion | None:
    with connection.cursor(row_factory=class_row(StoredVersion)) as cursor:
        cursor.execute(
            "SELECT version, model_version, published_at, products, customers, ef_search,"
            " description FROM recommender.live_version() WHERE version IS NOT NULL"
        )
        return cursor.fetchone()


def _forget_old(connection: "psycopg.Connection[Any]") -> None:
    """Drops the versions beyond those kept; what a reader still holds is left for the next time."""
    kept = _versions(connection)
    old = [stored for stored in kept[KEPT_VERSIONS:] if not stored.live]
    for stored in old:
        try:
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '5s'")
                connection.execute("SET LOCAL ROLE recommender_publisher")
                connection.execute("DROP TABLE " + ", ".join(_tables(stored.version)))
                connection.execute(
                    "DELETE FROM recommender.versions WHERE version = %s", [stored.version]
                )
        except psycopg.Error as error:
            log.warning("version %d of the vectors is dropped later: %s", stored.version, error)


# The self-test


def _indexed(
    connection: "psycopg.Connection[Any]", version: int, edition: Edition
) -> tuple[int | None, float]:
    """Builds the indexes where they are worth it, and finds how widely they have to be searched.

    Returns:
        The smallest of `EF_SEARCH` that finds enough, and what it finds; None and 1 without index.

    Raises:
        VectorStoreError: None of them does.
    """
    if len(edition.products) < INDEXED_FROM:
        return None, 1.0
    connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
    _run(connection, "indexes", version)
    probes = _probes(edition)
    exact = {
        target: _nearest(connection, version, target, queries, indexed=False)
        for target, queries in probes.items()
    }
    for ef_search in EF_SEARCH:
        connection.execute(f"SET LOCAL hnsw.ef_search = {ef_search}")
        recall = min(
            _recall(exact[target], _nearest(connection, version, target, queries, indexed=True))
            for target, queries in probes.items()
        )
        if recall >= ENOUGH_RECALL:
            return ef_search, recall
    raise VectorStoreError(
        f"the index of the new vectors finds {recall:.3f} of the exact answers and has to find "
        f"{ENOUGH_RECALL}: the live version goes on serving; train again with `retail build ml`"
    )


def _probes(edition: Edition) -> dict[str, "np.ndarray[Any, np.dtype[np.float32]]"]:
    """What customers and sessions ask with, by what it is compared with; always the same ones."""
    random = np.random.default_rng(0)
    contexts = vectors(edition.products, "session_context", "products.session_context")
    browsed = random.integers(len(contexts), size=(_PROBES, 3))
    probes = {"session_target": contexts[browsed].sum(axis=1)}
    if count := len(edition.customers):
        asking = random.permutation(count)[:_PROBES]
        probes["target"] = vectors(edition.customers, "vector", "customers.vector")[asking]
    return probes


def _nearest(
    connection: "psycopg.Connection[Any]",
    version: int,
    target: str,
    queries: "np.ndarray[Any, np.dtype[np.float32]]",
    *,
    indexed: bool,
) -> list[list[float]]:
    """The distances of the ten products found for each query, the nearest first."""
    # By the planner's own switches, and never prepared: a plan that is kept would ignore them.
    connection.execute(f"SET LOCAL enable_indexscan = {'on' if indexed else 'off'}")
    connection.execute(f"SET LOCAL enable_seqscan = {'off' if indexed else 'on'}")
    rows = connection.execute(
        sql.SQL(
            "SELECT array(SELECT p.{target} <#> q FROM recommender.{products} p"
            " ORDER BY p.{target} <#> q LIMIT 10)"
            " FROM unnest(%s::text[]::halfvec[]) WITH ORDINALITY asked (q, n) ORDER BY n"
        ).format(target=sql.Identifier(target), products=sql.Identifier(f"products_{version}")),
        [[HalfVector(query).to_text() for query in queries]],
    ).fetchall()
    connection.execute("SET LOCAL enable_indexscan = on")
    connection.execute("SET LOCAL enable_seqscan = on")
    return [row[0] for row in rows]


def _recall(exact: Sequence[Sequence[float]], found: Sequence[Sequence[float]]) -> float:
    """The share of answers that are as near as the exact ones; equal distances are equally right."""
    right = sum(
        sum(distance <= nearest[-1] for distance in answers)
        for nearest, answers in zip(exact, found, strict=True)
    )
    return right / sum(map(len, exact))
