"""The vector store as readers see it: what the live version knows, in few statements.

Every wait ends: a statement by PostgreSQL's own timeout, and a server that no longer answers at all
by ours. A connection that fails is made once more; after that the store rests for a while, because a
batch that waits for a connection in vain is a batch that is late.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import psycopg
from numpy.typing import NDArray

from lambda_inference.model import Customer, Model, Products, Rules

log = logging.getLogger(__name__)

STATEMENT_SECONDS = 2.0
"""How long one question may take; a batch has at least a minute."""

CONNECT_SECONDS = 2
"""How long connecting may take."""

LOAD_SECONDS = 30.0
"""How long reading a whole version may take."""

REST_SECONDS = 5.0
"""How long a store is left alone that could not be reached."""

_SESSION = f"""
SELECT set_config('statement_timeout', '{int(LOAD_SECONDS * 1000)}', false),
  set_config('client_connection_check_interval', '1000', false)
"""
"""PostgreSQL gives up as well: what takes too long, and within a second what we gave up."""

T = TypeVar("T")


class Unavailable(Exception):
    """The vector store does not answer; the message says why, without its login."""


class _Connection(psycopg.Connection[Any]):
    """A connection that gives up at a moment, whatever the server does."""

    deadline = float("inf")

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        left = self.deadline - time.monotonic()
        if left < float("inf"):
            timeout = max(0.0, left) if timeout is None else min(timeout, max(0.0, left))
        return super().wait(gen, interval, timeout)


class VectorReader:
    """One connection to the vector store, made when it is first needed.

    Args:
        conninfo: Gives the connection string anew for every connection, because the password in it
            may be a token of fifteen minutes.
        rules: For the models that are read.
    """

    def __init__(self, conninfo: Callable[[], str], rules: Rules = Rules()) -> None:  # noqa: B008
        self._conninfo = conninfo
        self._rules = rules
        self._connection: _Connection | None = None
        self._rests_until = 0.0

    def live(
        self,
        customers: Sequence[int],
        remembered: Sequence[int] = (),
        version: int | None = None,
    ) -> "Live":
        """The live version, and what it knows of some customers; one statement.

        Args:
            customers: Who is asked for.
            remembered: Who is asked for as well where the live version is another than `version`.
            version: That of those who are remembered.

        Raises:
            Unavailable: The store does not answer, or nothing was published.
        """
        return self._asked(lambda: self._live(customers, remembered, version), STATEMENT_SECONDS)

    def model(self, version: int) -> Model:
        """A version; one statement.

        Raises:
            Unavailable: The store does not answer, or the version is gone.
        """
        return self._asked(lambda: self._model(version), LOAD_SECONDS)

    def close(self) -> None:
        """Lets go of the connection; the next question makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _asked(self, ask: Callable[[], T], seconds: float) -> T:
        """The answer, by the connection that there is or, where it fails, by a new one."""
        if time.monotonic() < self._rests_until:
            raise Unavailable("the vector store could not be reached a moment ago")
        is_new = self._connection is None
        try:
            return self._once(ask, seconds)
        except psycopg.Error as error:
            self.close()
            # A server that is slow is not asked again: it would only take as long once more.
            failure = error
            if not (is_new or _is_slow(error)):
                try:
                    return self._once(ask, seconds)
                except psycopg.Error as again:
                    self.close()
                    failure = again
        self._rests_until = time.monotonic() + REST_SECONDS
        raise Unavailable(_told(failure)) from None

    def _once(self, ask: Callable[[], T], seconds: float) -> T:
        if self._connection is None:
            self._connection = _Connection.connect(
                self._conninfo(),
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="retail-inference",
                prepare_threshold=None,  # a pooler may give us another session each time
            )
            self._connection.deadline = time.monotonic() + seconds
            self._connection.execute(_SESSION)
        self._connection.deadline = time.monotonic() + seconds
        return ask()

    def _live(
        self, customers: Sequence[int], remembered: Sequence[int], version: int | None
    ) -> "Live":
        assert self._connection is not None  # noqa: S101  (made by _once)
        rows = self._connection.execute(
            "SELECT version, customer_number, vector, session_vector, bought, weights"
            " FROM recommender.live_customers(%s::bigint[], %s::bigint[], %s)",
            [_array(customers), _array(remembered), version],
            binary=True,
        ).fetchall()
        if not rows:
            raise Unavailable("nothing was published to the vector store yet")
        return Live(
            rows[0][0],
            {
                number: _Row(_halves(vector), _halves(session), bought or [], weights or [])
                for _, number, vector, session, bought, weights in rows
                if number is not None
            },
        )

    def _model(self, version: int) -> Model:
        assert self._connection is not None  # noqa: S101  (made by _once)
        statement = psycopg.sql.SQL(
            "COPY (SELECT * FROM recommender.live_model({})) TO STDOUT (FORMAT binary)"
        ).format(psycopg.sql.Literal(version))
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(_MODEL_TYPES)
            rows = list(copy.rows())
        return _model_of(version, rows, self._rules)


class _Row:
    """A customer as the store has him, whose products have codes."""

    def __init__(
        self,
        vector: NDArray[np.float32],
        session_vector: NDArray[np.float32],
        bought: list[str],
        weights: list[float],
    ) -> None:
        self._vector, self._session_vector = vector, session_vector
        self._bought, self._weights = bought, weights

    def in_model(self, model: Model) -> Customer:
        """The same in a model's terms; products that it does not have tell nothing."""
        places = np.array([model.position.get(code, -1) for code in self._bought], dtype=np.int64)
        known = places >= 0
        weights = np.array(self._weights, dtype=np.float32)
        return Customer(self._vector, self._session_vector, places[known], weights[known])


class Live:
    """What the live version is, and what it knows of the customers that were asked for.

    Attributes:
        version: Its number.
    """

    def __init__(self, version: int, customers: dict[int, _Row]) -> None:
        self.version = version
        self._customers = customers

    def customers(self, model: Model) -> dict[int, Customer]:
        """Those who are known, by number, in the terms of the model of that version."""
        return {number: row.in_model(model) for number, row in self._customers.items()}


_MODEL_TYPES = [
    *("text", "text", "text", "bool", "int8"),
    *("bytea", "bytea", "bytea", "bytea", "text[]", "float4[]"),
]
"""Of `recommender.live_model`; a vector comes as its bytes, which NumPy reads."""


def _model_of(version: int, rows: Iterable[Sequence[Any]], rules: Rules) -> Model:
    by_kind: dict[str, list[Sequence[Any]]] = {"version": [], "product": [], "feature": []}
    for row in rows:
        by_kind[row[0]].append(row)
    if not by_kind["version"] or not by_kind["product"]:
        raise Unavailable(f"version {version} of the vectors is gone")
    (_, model_version, *_, (history_in_session,)) = by_kind["version"][0]
    products = by_kind["product"]
    codes = [row[1] for row in products]
    position = {code: number for number, code in enumerate(codes)}
    line_names, lines = np.unique([row[2] or "" for row in products], return_inverse=True)
    similar = [[position.get(code, -1) for code in row[9] or ()] for row in products]
    most = max(map(len, similar))
    return Model(
        version,
        model_version,
        history_in_session,
        Products(
            codes=codes,
            lines=lines.astype(np.int32),
            line_names=line_names.tolist(),
            in_stock=np.array([row[3] for row in products], dtype=np.bool_),
            recent_buyers=np.array([row[4] for row in products], dtype=np.int64),
            contexts=_matrix([row[5] for row in products]),
            targets=_matrix([row[6] for row in products]),
            session_contexts=_matrix([row[7] for row in products]),
            session_targets=_matrix([row[8] for row in products]),
            similar=_padded(similar, most, -1, np.int32),
            similar_scores=_padded([row[10] or [] for row in products], most, 0, np.float32),
        ),
        {(row[1], row[2]): _halves(row[5]) for row in by_kind["feature"]},
        rules,
    )


def _array(numbers: Sequence[int]) -> str:
    """As PostgreSQL writes an array, which psycopg would look up types for."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _padded(rows: Sequence[Sequence[Any]], width: int, empty: int, type_: Any) -> Any:
    result = np.full((len(rows), width), empty, dtype=type_)
    for number, row in enumerate(rows):
        result[number, : len(row)] = row
    return result


_HEADER = 4
"""Bytes before the numbers of a halfvec: how many they are, and nothing."""


def _matrix(vectors: Sequence[bytes]) -> NDArray[np.float32]:
    """Vectors of one width as PostgreSQL sends them, in the order of bytes of networks."""
    joined = np.frombuffer(b"".join(vectors), dtype=">f2").reshape(len(vectors), -1)
    return joined[:, _HEADER // 2 :].astype(np.float32)


def _halves(vector: bytes) -> NDArray[np.float32]:
    return np.frombuffer(vector, dtype=">f2", offset=_HEADER).astype(np.float32)


def _is_slow(error: psycopg.Error) -> bool:
    """Whether the server was there and took too long."""
    return isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors._WaitTimeout)


def _told(error: psycopg.Error) -> str:
    """Why, in one line; libpq names the host and the user, and never the password."""
    text = str(error).strip()
    return f"the vector store does not answer: {text.splitlines()[0] if text else type(error).__name__}"
