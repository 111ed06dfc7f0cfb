"""Metrics, beside figures computed by hand."""

import math

import numpy as np
import pytest

from retail_platform.recommender import metrics

HITS = np.array(
    [
        [True, False, True, False],  # wanted 2, both found
        [False, True, False, False],  # wanted 6, of which four places hold one
        [False, False, False, False],  # wanted 1, not found
    ]
)
WANTED = np.array([2, 6, 1])


def test_recall_divides_by_what_the_places_can_hold() -> None:
    assert metrics.recall(HITS, WANTED) == pytest.approx((2 / 2 + 1 / 4 + 0) / 3)


def test_ndcg_weighs_a_hit_by_its_place() -> None:
    second, third, fourth = 1 / math.log2(3), 1 / math.log2(4), 1 / math.log2(5)
    first = (1 + third) / (1 + second)
    other = second / (1 + second + third + fourth)
    assert metrics.ndcg(HITS, WANTED) == pytest.approx((first + other + 0) / 3)


def test_ndcg_of_all_hits_is_one() -> None:
    assert metrics.ndcg(np.ones((1, 10), dtype=bool), np.array([25])) == pytest.approx(1)


def test_hit_rate_counts_questions_with_any_hit() -> None:
    assert metrics.hit_rate(HITS) == pytest.approx(2 / 3)


def test_reciprocal_rank_is_of_the_first_hit() -> None:
    assert metrics.mean_reciprocal_rank(HITS) == pytest.approx((1 / 1 + 1 / 2 + 0) / 3)


def test_coverage_counts_products_once_and_empty_places_never() -> None:
    assert metrics.coverage(np.array([[0, 1], [1, -1]]), 8) == pytest.approx(2 / 8)
