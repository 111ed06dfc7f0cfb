"""Which columns score best."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lambda_inference.ranking import best


def test_the_highest_comes_first_and_ties_go_by_column() -> None:
    assert best(np.array([[1.0, 3.0, 2.0, 3.0]]), 3).tolist() == [[1, 3, 2]]


def test_what_is_excluded_is_never_chosen_and_places_stay_empty() -> None:
    assert best(np.array([[1.0, -np.inf, 2.0]]), 4).tolist() == [[2, 0, -1, -1]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        best(np.array([[1.0, bad]]), 1)


@given(
    arrays(np.float32, (3, 7), elements=st.floats(-9, 9, width=32), unique=True),
    st.integers(1, 9),
)
def test_it_is_the_beginning_of_the_sorted_row(scores: NDArray[np.float32], count: int) -> None:
    sorted_columns = np.argsort(-scores, axis=1)[:, :count]
    assert best(scores, count)[:, : min(count, 7)].tolist() == sorted_columns.tolist()


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.sampled_from([20_000, 20_001, 51_199]))
def test_of_many_columns_it_is_the_same(seed: int, count: int, columns: int) -> None:
    scores = np.random.default_rng(seed).permutation(3 * columns).reshape(3, columns)
    sorted_columns = np.argsort(-scores, axis=1)[:, :count]
    assert best(scores.astype(np.float32), count).tolist() == sorted_columns.tolist()
