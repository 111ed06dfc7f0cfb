"""The recommender: vectors of the two artefacts, and what they recommend to whom.

There are two artefacts, because what predicts a customer's next month is not what predicts the
rest of a basket: one learns from customers alone, one from baskets too. Inner products of vectors
of different artefacts mean nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lambda_inference.ranking import best, blocks
from retail_platform.errors import TrainingError
from retail_platform.recommender.factorization import Factors, Vectors, ease, pure_svd
from retail_platform.recommender.features import FeatureVectors, learn
from retail_platform.recommender.interactions import (
    decayed_baskets,
    decayed_history,
    habits,
    recent_buyers,
    rows_of,
)
from retail_platform.recommender.purchases import Indices, Purchases, positions
from retail_platform.recommender.report import Method, Training
from retail_platform.recommender.training_set import TrainingSet, last_day
from retail_platform.recommender.weights import (
    BASKET_WEIGHT,
    BUY_AGAIN,
    BUY_AGAIN_IN_SESSION,
    CUSTOMER_POPULARITY,
    DIMENSIONS,
    HISTORY_IN_SESSION,
    SESSION_POPULARITY,
)

DENSE_LIMIT = 20_000
"""Products above which a dense inverse takes minutes and gigabytes."""


@dataclass(frozen=True)
class Artefact:
    """Vectors that belong together, whose last dimension is recent popularity.

    Attributes:
        contexts: What having or browsing a product adds to a vector, (products, DIMENSIONS + 1).
        targets: What a vector is multiplied by, (products, DIMENSIONS + 1). The last dimension is
            log(1 + recent buyers), weighed here and not in the vectors: popularity as large as it
            is would hide taste from an index, which compares targets with each other.
    """

    contexts: Vectors
    targets: Vectors


@dataclass(frozen=True)
class Recommendation:
    """One product for someone.

    Attributes:
        product: Its code.
        score: Comparable within one answer only.
    """

    product: str
    score: float


@dataclass(frozen=True)
class SimilarProducts:
    """The products that go with each product, the best first; fewer where fewer do.

    Attributes:
        product: Product codes, (rows,).
        similar: Code of the other product, (rows,).
        rank: From 1, (rows,).
        score: Above 0, (rows,).
    """

    product: NDArray[np.str_]
    similar: NDArray[np.str_]
    rank: NDArray[np.int64]
    score: Vectors


@dataclass(frozen=True)
class Recommender:
    """What was trained.

    Attributes:
        customers: Customer numbers, ascending, (c,).
        products: Codes of the products that it can recommend, ascending, (p,).
        history: What each customer bought, decayed, (c, p).
        habits: What he may buy again, (c, p).
        for_customers: The vectors for someone who is known by his history alone.
        for_sessions: The vectors for a session, of a known customer or not.
        features: What is known of someone who never bought.
        popularity: How many customers bought each product lately, (p,).
        training: What they were made of.
    """

    customers: NDArray[np.int64]
    products: NDArray[np.str_]
    history: sparse.csr_array
    habits: sparse.csr_array
    for_customers: Artefact
    for_sessions: Artefact
    features: FeatureVectors
    popularity: NDArray[np.int64]
    training: Training

    def customer_vectors(self, customers: Indices) -> Vectors:
        """Vectors by histories, (customers, DIMENSIONS + 1), to multiply with `for_customers`.

        Someone without a history has recent popularity and nothing else.

        Args:
            customers: Indices of customers, -1 for one who is not known.
        """
        vectors = np.asarray(rows_of(self.history, customers) @ self.for_customers.contexts)
        vectors[:, DIMENSIONS] = 1
        return vectors

    def session_vectors(self, session: sparse.csr_array, customers: Indices) -> Vectors:
        """Vectors by sessions, (sessions, DIMENSIONS + 1), to multiply with `for_sessions`.

        Args:
            session: 1 for each product browsed, (sessions, products).
            customers: Index of each session's customer, -1 for one who is not known.
        """
        vectors = np.asarray(session @ self.for_sessions.contexts)
        vectors[:, :DIMENSIONS] += self.past_in_session(customers)
        return vectors

    def past_in_session(self, customers: Indices) -> Vectors:
        """What customers' histories add to their sessions, (customers, DIMENSIONS).

        Args:
            customers: As for `session_vectors`.
        """
        past = rows_of(self.history, customers) @ self.for_sessions.contexts[:, :DIMENSIONS]
        return np.asarray(HISTORY_IN_SESSION * past, dtype=np.float32)

    def customer_scores(self, customers: Indices, *, repeats: bool) -> Vectors:
        """Scores of all products for customers, (customers, products).

        Args:
            customers: As for `customer_vectors`.
            repeats: Whether products that were bought may come again, as they often do.
        """
        scores = self.customer_vectors(customers) @ self.for_customers.targets.T
        return self._with_habits(scores, customers, BUY_AGAIN) if repeats else scores

    def session_scores(self, session: sparse.csr_array, customers: Indices) -> Vectors:
        """Scores of all products for sessions, (sessions, products).

        Args:
            session: As for `session_vectors`.
            customers: As for `session_vectors`.
        """
        scores = self.session_vectors(session, customers) @ self.for_sessions.targets.T
        return self._with_habits(scores, customers, BUY_AGAIN_IN_SESSION)

    def recommend(
        self,
        customer: int | None = None,
        session: Sequence[str] = (),
        count: int = 10,
        *,
        repeats: bool = False,
        features: Mapping[str, str] | None = None,
    ) -> list[Recommendation]:
        """The best products for a customer, a session, or a customer's session.

        A customer or a product that the training has not seen tells nothing; where nothing is
        known, the answer is what is popular.

        Args:
            customer: A customer number; None for a visitor whom nobody knows.
            session: Codes of the products browsed; they are not recommended.
            count: How many; fewer where there are no more.
            repeats: Whether products that the customer bought may be recommended.
            features: Of a visitor whom nobody knows, such as his country; a prior of his session.
        """
        known = np.array([] if customer is None else [customer], dtype=np.int64)
        index = np.append(positions(known, self.customers), -1)[:1]
        browsed = self._session_of(session)
        if browsed.nnz:
            scores = self.session_scores(browsed, index)
            if index[0] < 0 and features:
                prior = self.features.of(features)
                scores += prior @ self.for_sessions.targets[:, :DIMENSIONS].T
        else:
            scores = self.customer_scores(index, repeats=repeats)
        scores[0, browsed.indices] = -np.inf
        if not repeats:
            scores[0, rows_of(self.history, index).indices] = -np.inf
        (chosen,) = best(scores, count)
        return [
            Recommendation(str(self.products[product]), float(scores[0, product]))
            for product in chosen
            if product >= 0
        ]

    def similar_products(self, count: int = 10) -> SimilarProducts:
        """What a session of one product is recommended, popularity left out.

        Args:
            count: At most how many for each product.
        """
        contexts = self.for_sessions.contexts[:, :DIMENSIONS]
        targets = self.for_sessions.targets[:, :DIMENSIONS]
        found, found_scores = [], []
        for block in blocks(len(contexts), len(targets)):
            scores = contexts[block] @ targets.T
            rows = np.arange(len(scores))
            scores[rows, block.start + rows] = -np.inf
            scores[scores <= 0] = -np.inf
            chosen = best(scores, count)
            found.append(chosen)
            found_scores.append(np.take_along_axis(scores, np.maximum(chosen, 0), axis=1))
        similar, score = np.concatenate(found), np.concatenate(found_scores)
        product, rank = np.nonzero(similar >= 0)
        return SimilarProducts(
            self.products[product],
            self.products[similar[product, rank]],
            rank + 1,
            score[product, rank],
        )

    def _with_habits(self, scores: Vectors, customers: Indices, weight: float) -> Vectors:
        bought = rows_of(self.habits, customers).tocoo()
        scores[bought.coords] += weight * bought.data
        return scores

    def _session_of(self, codes: Sequence[str]) -> sparse.csr_array:
        found = np.unique(positions(np.array(codes, dtype=np.str_), self.products))
        found = found[found >= 0]
        return sparse.csr_array(
            (np.ones(len(found), dtype=np.float32), (np.zeros_like(found), found)),
            shape=(1, len(self.products)),
        )


def train(
    training_set: TrainingSet,
    baskets: Purchases,
    as_of: date | None = None,
    *,
    method: Method | None = None,
    seed: int = 0,
) -> Recommender:
    """Learns from the purchases before a day.

    Args:
        training_set: What each customer bought before that day.
        baskets: The lines of the orders; those of that day and later are not seen.
        as_of: The first day that is not seen; None for the day after the last.
        method: None for the one that fits: popularity for one customer or one product, EASE up to
            `DENSE_LIMIT` products, PureSVD above.
        seed: The same seed and purchases give the same vectors, on one machine.

    Raises:
        TrainingError: There are no purchases before the day.
    """
    started = time.perf_counter()
    as_of = as_of or last_day(training_set) + timedelta(days=1)
    baskets = baskets.before(as_of)
    if not len(training_set):
        raise TrainingError(
            f"there are no purchases before {as_of} to learn from: choose a later day, or build "
            "more months of fact_orders with `retail build`"
        )
    products = np.union1d(training_set.products, baskets.products)
    training_set, baskets = training_set.of_products(products), baskets.of_products(products)
    fitting, reason = _fitting(len(training_set.customers), len(products))
    if method not in (None, fitting):
        fitting, reason = method, "asked for"
    history = decayed_history(training_set, as_of)
    both = sparse.vstack([history, BASKET_WEIGHT * decayed_baskets(baskets, as_of)]).tocsr()
    buyers = recent_buyers(training_set)
    popularity = np.log1p(buyers)
    of_customers = _factors(fitting, history, seed)
    for_customers = _artefact(of_customers, 0.0, CUSTOMER_POPULARITY * popularity)
    for_sessions = _artefact(_factors(fitting, both, seed), 1.0, SESSION_POPULARITY * popularity)
    tastes = np.asarray(history @ for_sessions.contexts[:, :DIMENSIONS])
    training = Training(
        method=fitting,
        reason=reason,
        as_of=as_of,
        lines=len(baskets),
        customers=len(training_set.customers),
        products=len(products),
        seed=seed,
        seconds=time.perf_counter() - started,
    )
    return Recommender(
        training_set.customers,
        products,
        history,
        habits(training_set, as_of),
        for_customers,
        for_sessions,
        learn(training_set, tastes),
        buyers,
        training,
    )


def _fitting(customers: int, products: int) -> tuple[Method, str]:
    """The method for a history of this size, and why."""
    if customers < 2 or products < 2:
        return Method.POPULARITY, "taste needs two customers and two products to compare"
    if products <= DENSE_LIMIT:
        return Method.EASE, f"{products:,} products, at most {DENSE_LIMIT:,}"
    return Method.PURE_SVD, f"{products:,} products, more than {DENSE_LIMIT:,}"


def _factors(method: Method, interactions: sparse.csr_array, seed: int) -> Factors:
    scaled = _scaled(interactions)
    if method is Method.POPULARITY or scaled is None:
        nothing = np.zeros((interactions.shape[1], DIMENSIONS), dtype=np.float32)
        factors = Factors(nothing, nothing)
    elif method is Method.EASE:
        factors = ease(scaled, seed)
    else:
        factors = pure_svd(scaled, seed)
    if not (np.isfinite(factors.contexts).all() and np.isfinite(factors.targets).all()):
        raise TrainingError(f"{method} gave vectors that are not finite; nothing can be published")
    return factors


def _scaled(interactions: sparse.csr_array) -> sparse.csr_array | None:
    """The same with its largest between a half and 1; None where all are nothing.

    What was bought decades ago has decayed to less than what a float32's square can hold, and both
    methods find the same at any scale. By a power of two, which rounds nothing.
    """
    largest = np.abs(interactions.data).max(initial=0)
    if not largest:
        return None
    scaled = interactions.copy()
    scaled.data = np.ldexp(scaled.data, -int(np.frexp(largest)[1]))
    return scaled


def _artefact(factors: Factors, context: float, target: NDArray[np.float64]) -> Artefact:
    """Factors with the dimension of popularity."""
    products = len(target)
    return Artefact(
        np.hstack([factors.contexts, np.full((products, 1), context, dtype=np.float32)]),
        np.hstack([factors.targets, target[:, None].astype(np.float32)]),
    )
