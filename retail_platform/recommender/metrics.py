"""How good rankings are, by which of their first places hold what was wanted.

`hits` is boolean, (questions, places), the best place first; `wanted` counts what each question
wanted, (questions,), at least 1. Every mean is over questions.
"""

import numpy as np
from numpy.typing import NDArray

from lambda_inference.ranking import Ranking

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]


def recall(hits: Hits, wanted: Counts) -> float:
    """Hits / min(places, wanted): 1 where the places hold all that they could."""
    return float(np.mean(hits.sum(axis=1) / np.minimum(hits.shape[1], wanted)))


def ndcg(hits: Hits, wanted: Counts) -> float:
    """Hits weighed by 1 / log2(place + 1), over the most that they could weigh (Järvelin 2002)."""
    weight = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    most = np.cumsum(weight)[np.minimum(hits.shape[1], wanted) - 1]
    return float(np.mean(hits @ weight / most))


def hit_rate(hits: Hits) -> float:
    """The share of questions with a hit."""
    return float(np.mean(hits.any(axis=1)))


def mean_reciprocal_rank(hits: Hits) -> float:
    """1 / the place of the first hit, 0 without one."""
    return float(np.mean(hits.any(axis=1) / (hits.argmax(axis=1) + 1)))


def coverage(ranking: Ranking, products: int) -> float:
    """The share of all products that somebody was recommended.

    Args:
        ranking: Chosen products, -1 for none, (questions, places).
        products: How many could have been chosen.
    """
    return len(np.unique(ranking[ranking >= 0])) / products
