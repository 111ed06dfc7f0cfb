"""The best of many scores."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ranking = NDArray[np.int64]

_BLOCK_SCORES = 10_000_000
"""Held in memory at a time."""


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """The rows of a large matrix of scores, as many at a time as memory is wanted for."""
    size = max(1, _BLOCK_SCORES // max(1, columns))
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def best(scores: NDArray[np.floating], count: int) -> Ranking:
    """The columns of each row's highest scores, the highest first; ties by column, (rows, count).

    Args:
        scores: (rows, columns); minus infinity for what must not be chosen.
        count: How many. Places for which there is no column left hold -1.

    Raises:
        ValueError: A score is NaN or plus infinity.
    """
    highest = scores.max(axis=1, initial=-np.inf)  # NaN where there is one in the row
    if np.isnan(highest).any() or np.isposinf(highest).any():
        raise ValueError("scores that are not finite rank nothing: correct what they are made of")
    kept = min(count, scores.shape[1])
    # Two sorts, because only the first few places are worth sorting.
    chosen = np.sort(_largest(scores, kept), axis=1)
    of_chosen = np.take_along_axis(scores, chosen, axis=1)
    order = np.argsort(-of_chosen, axis=1, kind="stable")
    ranking = np.take_along_axis(chosen, order, axis=1)
    ranking[np.isneginf(np.take_along_axis(of_chosen, order, axis=1))] = -1
    return np.pad(ranking, ((0, 0), (0, count - kept)), constant_values=-1)


_GROUP = 32
"""Columns that are looked at by their highest score first."""


def _largest(scores: NDArray[np.floating], kept: int) -> Ranking:
    """The columns of each row's highest scores, in any order, (rows, kept).

    The highest `kept` scores stand in the groups of the highest `kept` maxima: of many columns, most
    are read once and never partitioned. A group is of columns far apart, so that the maxima of
    neighbouring groups are found in one instruction.
    """
    rows, columns = scores.shape
    groups = columns // _GROUP
    if groups <= 4 * kept:
        return np.argpartition(scores, columns - kept, axis=1)[:, columns - kept :]
    whole = groups * _GROUP
    maxima = scores[:, :whole].reshape(rows, _GROUP, groups).max(axis=1)
    chosen = _largest(maxima, kept)
    candidates = (chosen[:, :, None] + groups * np.arange(_GROUP)).reshape(rows, -1)
    rest = np.broadcast_to(np.arange(whole, columns), (rows, columns - whole))
    candidates = np.hstack([candidates, rest])
    inner = _largest(np.take_along_axis(scores, candidates, axis=1), kept)
    return np.take_along_axis(candidates, inner, axis=1)
