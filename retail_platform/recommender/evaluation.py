"""How good recommendations are: learn from the past, be judged by what came after.

The split is by time. All lines before the cut train; those from the cut on are what a method has
to foretell. Random splits would let a method learn from the days that it is judged by.

| protocol | who asks | what is known of him | what counts |
|---|---|---|---|
| `new` | customers of the training who buy again | his history | the products that he never bought |
| `repeat` | the same | his history | all products that he buys |
| `session_3` | orders of at least 8 products | the first three of them | the rest |
| `session_known_3` | those of them by customers of the training | these and his history | the rest |

Only products of the training count, as wanted and in the length of an order: no method here can
name another.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lambda_inference.ranking import Ranking, best, blocks
from retail_platform.errors import TrainingError
from retail_platform.recommender import metrics
from retail_platform.recommender.baselines import ItemNeighbours, OwnHistory, RecentPopularity
from retail_platform.recommender.factorization import Vectors
from retail_platform.recommender.history import History
from retail_platform.recommender.interactions import rows_of
from retail_platform.recommender.model import Recommender, train
from retail_platform.recommender.purchases import Indices, Purchases, positions
from retail_platform.recommender.report import (
    ITEM_NEIGHBOURS,
    OWN_HISTORY,
    PLATFORM,
    POPULARITY,
    PURE_SVD,
    Comparison,
    Method,
    Protocol,
    Result,
)
from retail_platform.recommender.training_set import TrainingSet
from retail_platform.recommender.weights import HISTORY_IN_SESSION

PLACES = 10

TEST_DAYS = 28
"""How many days before the last day the test begins."""

SESSION_PRODUCTS = 8
"""Shorter orders leave too little to foretell."""

BROWSED = 3

MOST_QUESTIONS = 5_000
"""Of a protocol; the standard error of a recall is then about .002."""


@dataclass(frozen=True)
class Questions:
    """What a protocol asks, in the columns of the training's products.

    Attributes:
        customer: Index of who asks among the training's customers, -1 for nobody known,
            (questions,).
        history: His decayed purchases, (questions, products).
        session: 1 for each product browsed, (questions, products).
        excluded: Not 0 where a product must not be the answer, (questions, products).
        wanted: Not 0 for each product that would be right, (questions, products).
    """

    customer: Indices
    history: sparse.csr_array
    session: sparse.csr_array
    excluded: sparse.csr_array
    wanted: sparse.csr_array

    @property
    def wanted_counts(self) -> NDArray[np.int64]:
        """How many products would be right, at least 1, (questions,)."""
        counts: NDArray[np.int64] = np.diff(self.wanted.indptr)
        return counts

    def __len__(self) -> int:
        return len(self.customer)

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> "Questions":
        return Questions(
            self.customer[rows],
            self.history[rows],
            self.session[rows],
            self.excluded[rows],
            self.wanted[rows],
        )


Scores = Callable[[Questions], Vectors]
"""Scores of all products, (questions, products), by what is known of who asks."""


@dataclass(frozen=True)
class Contestant:
    """A method that is compared.

    Attributes:
        name: Of the method.
        scores: How it answers each protocol that it can answer.
        train_seconds: What it took to train.
    """

    name: str
    scores: Mapping[Protocol, Scores]
    train_seconds: float


def compare(history: History, cut: date | None = None, *, seed: int = 0) -> Comparison:
    """Trains on what was bought before a day, and compares on what was bought since.

    Args:
        history: What was sold.
        cut: The first day of the test; None for `TEST_DAYS` before the last day.
        seed: Of the training, and of the choice where there are more than `MOST_QUESTIONS`.

    Raises:
        TrainingError: Nothing was bought before the cut, or nothing since that could judge.
    """
    last_day = history.baskets.last_day
    cut = cut or last_day - timedelta(days=TEST_DAYS)
    past, future = history.training_set(cut), history.baskets.since(cut)
    if not len(past):
        raise TrainingError(
            f"the history begins after {cut}, when the test would begin: comparing methods takes "
            f"more than {TEST_DAYS} days of sales; build more months with `retail build`"
        )
    recommender = train(past, history.baskets, cut, seed=seed)
    asked = {
        protocol: questions
        for protocol in Protocol
        if len(questions := _chosen(ask(protocol, recommender, future), seed))
    }
    if not asked:
        raise TrainingError(
            f"nobody who bought before {cut} has bought since, and no order has "
            f"{SESSION_PRODUCTS} products: there is nothing to be judged by until more was sold"
        )
    contestants = _contestants(history, past.of_products(recommender.products), recommender)
    results = [
        judge(contestant, protocol, questions)
        for contestant in contestants
        for protocol, questions in asked.items()
        if protocol in contestant.scores
    ]
    return Comparison(
        cut=cut,
        last_day=last_day,
        training=recommender.training,
        questions={p.value: len(asked[p]) if p in asked else 0 for p in Protocol},
        results=tuple(results),
    )


def _chosen(questions: Questions, seed: int) -> Questions:
    """All questions, or as many of them as tell as much."""
    if len(questions) <= MOST_QUESTIONS:
        return questions
    chosen = np.zeros(len(questions), dtype=bool)
    random = np.random.default_rng(seed)
    chosen[random.choice(len(questions), MOST_QUESTIONS, replace=False)] = True
    return questions[chosen]


def ask(protocol: Protocol, recommender: Recommender, future: Purchases) -> Questions:
    """The questions of a protocol that the future answers.

    Args:
        protocol: Which.
        recommender: Trained on what was before.
        future: What was bought since.
    """
    known_product = positions(future.products, recommender.products)[future.product]
    numbers = np.append(future.customers, -1)  # what the index of a guest, -1, points at
    known_customer = positions(numbers, recommender.customers)[future.customer]
    sessions = protocol in (Protocol.SESSION_3, Protocol.SESSION_KNOWN_3)
    asker = future.order if sessions else future.customer

    # A line for each product of an asker, the first; they stay in the order of their orders.
    pairs = np.stack([asker, known_product])
    line = np.sort(np.unique(pairs, axis=1, return_index=True)[1])
    line = line[known_product[line] >= 0]
    askers, row, sizes = np.unique(asker[line], return_inverse=True, return_counts=True)
    product, shape = known_product[line], (len(askers), len(recommender.products))
    customer = np.empty(len(askers), dtype=np.int64)
    customer[row] = known_customer[line]

    browsed = np.zeros(len(line), dtype=bool)
    if sessions:
        browsed[np.lexsort((line, row))] = _places(sizes) < BROWSED
    session = _ones(row[browsed], product[browsed], shape)
    wanted = _ones(row[~browsed], product[~browsed], shape)
    history = rows_of(recommender.history, customer)
    excluded = session
    if protocol is Protocol.SESSION_3:
        customer = np.full(len(askers), -1)
        history = sparse.csr_array(shape, dtype=np.float32)
    if protocol is Protocol.NEW:
        excluded = history
        wanted = (wanted - wanted.multiply(history != 0)).tocsr()
        wanted.eliminate_zeros()
    questions = Questions(customer, history, session, excluded, wanted)
    asks = questions.wanted_counts > 0
    if sessions:
        asks &= sizes >= SESSION_PRODUCTS
    if protocol is not Protocol.SESSION_3:
        asks &= customer >= 0
    return questions[asks]


def judge(contestant: Contestant, protocol: Protocol, questions: Questions) -> Result:
    """Lets a method answer, and counts."""
    ranking = answer(contestant.scores[protocol], questions)
    hits = _hits(ranking, questions.wanted)
    return Result(
        method=contestant.name,
        protocol=protocol,
        recall_at_10=metrics.recall(hits, questions.wanted_counts),
        ndcg_at_10=metrics.ndcg(hits, questions.wanted_counts),
        hit_rate_at_10=metrics.hit_rate(hits),
        mrr=metrics.mean_reciprocal_rank(hits),
        coverage_at_10=metrics.coverage(ranking, questions.wanted.shape[1]),
        train_seconds=contestant.train_seconds,
    )


def answer(scores: Scores, questions: Questions) -> Ranking:
    """The best products for each question, (questions, PLACES)."""
    rankings = []
    for rows in blocks(len(questions), questions.wanted.shape[1]):
        asked = questions[rows]
        block = scores(asked)
        block[asked.excluded.nonzero()] = -np.inf
        rankings.append(best(block, PLACES))
    return np.concatenate(rankings)


def _contestants(history: History, past: TrainingSet, recommender: Recommender) -> list[Contestant]:
    training = recommender.training
    contestants = [_by_vectors(PLATFORM, recommender)]
    if training.method is Method.EASE:
        svd = Method.PURE_SVD
        other = train(past, history.baskets, training.as_of, method=svd, seed=training.seed)
        contestants.append(_by_vectors(PURE_SVD, other))
    started = time.perf_counter()
    neighbours = ItemNeighbours.of(recommender.history)
    seconds = time.perf_counter() - started
    popular, own = RecentPopularity.of(past), OwnHistory.of(past)
    return [
        *contestants,
        Contestant(
            ITEM_NEIGHBOURS,
            dict.fromkeys(
                Protocol,
                lambda asked: neighbours.scores(asked.session + HISTORY_IN_SESSION * asked.history),
            ),
            seconds,
        ),
        Contestant(
            POPULARITY, dict.fromkeys(Protocol, lambda asked: popular.scores(len(asked))), 0.0
        ),
        Contestant(
            OWN_HISTORY,
            dict.fromkeys(
                (Protocol.REPEAT, Protocol.SESSION_KNOWN_3),
                lambda asked: own.scores(asked.customer),
            ),
            0.0,
        ),
    ]


def _by_vectors(name: str, recommender: Recommender) -> Contestant:
    def customers(asked: Questions, *, repeats: bool) -> Vectors:
        return recommender.customer_scores(asked.customer, repeats=repeats)

    def sessions(asked: Questions) -> Vectors:
        return recommender.session_scores(asked.session, asked.customer)

    return Contestant(
        name,
        {
            Protocol.NEW: partial(customers, repeats=False),
            Protocol.REPEAT: partial(customers, repeats=True),
            Protocol.SESSION_3: sessions,
            Protocol.SESSION_KNOWN_3: sessions,
        },
        recommender.training.seconds,
    )


def _hits(ranking: Ranking, wanted: sparse.csr_array) -> metrics.Hits:
    """Which places hold what was wanted, (questions, places)."""
    rows = np.repeat(np.arange(len(ranking)), ranking.shape[1])
    cells = np.asarray(wanted[rows, np.maximum(ranking, 0).ravel()])
    return (cells.reshape(ranking.shape) > 0) & (ranking >= 0)


def _ones(
    row: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]
) -> sparse.csr_array:
    """1 in each cell."""
    return sparse.csr_array((np.ones(len(row), dtype=np.float32), (row, column)), shape=shape)


def _places(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2, ... within each of groups that stand one after the other."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
