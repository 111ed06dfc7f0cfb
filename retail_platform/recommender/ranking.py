"""The best of many scores."""

import numpy as np
from numpy.typing import NDArray

from retail_platform.errors import TrainingError

Ranking = NDArray[np.int64]


def best(scores: NDArray[np.floating], count: int) -> Ranking:
    """The columns of each row's highest scores, the highest first; ties by column, (rows, count).

    Args:
        scores: (rows, columns); minus infinity for what must not be chosen.
        count: How many. Places for which there is no column left hold -1.

    Raises:
        TrainingError: A score is NaN or plus infinity.
    """
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise TrainingError(
            "scores that are not finite rank nothing: correct what they are made of"
        )
    kept = min(count, scores.shape[1])
    # Two sorts, because only the first few places are worth sorting.
    chosen = np.sort(np.argpartition(-scores, kept - 1, axis=1)[:, :kept], axis=1)
    of_chosen = np.take_along_axis(scores, chosen, axis=1)
    order = np.argsort(-of_chosen, axis=1, kind="stable")
    ranking = np.take_along_axis(chosen, order, axis=1)
    ranking[np.isneginf(np.take_along_axis(of_chosen, order, axis=1))] = -1
    return np.pad(ranking, ((0, 0), (0, count - kept)), constant_values=-1)
