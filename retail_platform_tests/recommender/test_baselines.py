"""The methods to beat, beside figures computed by hand."""

import numpy as np
import pytest
from scipy import sparse

from retail_platform.recommender.baselines import ItemNeighbours, OwnHistory, RecentPopularity
from retail_platform_tests.recommender.shop import line, training_set

HAS = sparse.csr_array(np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0]], dtype=np.float32))


def test_neighbours_are_alike_by_the_cosine_of_their_columns() -> None:
    similarity = ItemNeighbours.of(HAS).similarity.toarray()
    assert similarity[0, 1] == similarity[1, 0] == pytest.approx(1 / np.sqrt(1.5))
    assert similarity[0, 2] == pytest.approx(0.5 / np.sqrt(1.5 * 0.5))
    assert similarity[1, 2] == 0
    assert np.diag(similarity).tolist() == [0, 0, 0]


def test_only_the_nearest_neighbours_of_a_product_speak_for_it() -> None:
    nearest = ItemNeighbours.of(HAS, neighbours=1)
    assert (nearest.similarity.toarray() > 0).sum(axis=1).tolist() == [1, 1, 1]
    only_last = sparse.csr_array(np.array([[0, 0, 1]], dtype=np.float32))
    assert nearest.scores(only_last).tolist() == [[0, 0, 0]], "of product 0 it is not the nearest"


def test_own_history_counts_orders_and_then_popularity() -> None:
    own = OwnHistory.of(
        training_set(
            line(1, "a", order=1),
            line(1, "a", order=1, at=2),
            line(1, "b", order=2),
            line(1, "c", order=3),
            line(1, "c", order=4),
            line(2, "b", order=5),
        )
    )
    scores = own.scores(np.array([0]))
    np.testing.assert_allclose(scores, [[1 + 1 / 3, 1 + 2 / 3, 2 + 1 / 3]], rtol=1e-6)


def test_popularity_is_the_same_for_everyone() -> None:
    popularity = RecentPopularity.of(training_set(line(1, "a"), line(2, "a"), line(2, "b")))
    assert popularity.scores(2).tolist() == [[2, 1], [2, 1]]
