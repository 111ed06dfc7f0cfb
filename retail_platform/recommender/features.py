"""What a customer's features say of his taste before he has bought anything.

Of itself it is worse than recent popularity; beside what someone browses it is a prior.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retail_platform.recommender.factorization import Vectors
from retail_platform.recommender.training_set import TrainingSet

RIDGE = 10.0
"""As many customers as it takes until a feature's own mean counts half."""

PRIOR_IN_SESSION = 0.2
"""Of features beside what someone browses; chosen on the four weeks before Online Retail's test."""

_FEWEST = 2
"""Customers of a value; fewer tell of themselves alone."""

_MOST = 1_000
"""Values that are learnt, those of most customers: the equations grow with the cube of them."""


@dataclass(frozen=True)
class FeatureVectors:
    """What each value of a feature adds to a session.

    Attributes:
        feature: Such as `country`, (f,).
        value: Such as `France`, (f,).
        vectors: Already weighed, without the dimension of popularity, (f, DIMENSIONS).
    """

    feature: NDArray[np.str_]
    value: NDArray[np.str_]
    vectors: Vectors

    def of(self, known: Mapping[str, str]) -> Vectors:
        """The sum for someone, (DIMENSIONS,).

        Args:
            known: Values by feature; unknown ones add nothing.
        """
        asked = np.zeros(len(self.feature), dtype=bool)
        for feature, value in known.items():
            asked |= (self.feature == feature) & (self.value == value)
        return np.asarray(self.vectors[asked].sum(axis=0))


def learn(training: TrainingSet, tastes: Vectors) -> FeatureVectors:
    """Ridge regression of tastes on features, as differences from the mean of all customers.

    Args:
        training: Whose customers have features.
        tastes: A vector a customer, (customers, DIMENSIONS).
    """
    values = [
        (int(count), name, str(value))
        for name, of_customers in training.features.items()
        for value, count in zip(*np.unique(of_customers, return_counts=True), strict=True)
        if value and count >= _FEWEST
    ]
    chosen = sorted(values, key=lambda v: (-v[0], v[1:]))[:_MOST]
    if not chosen:
        nothing = np.array([], dtype=np.str_)
        return FeatureVectors(nothing, nothing, tastes[:0])
    has = np.array(
        [training.features[name] == value for _, name, value in chosen], dtype=np.float32
    )
    gram = has @ has.T + RIDGE * np.eye(len(chosen), dtype=np.float32)
    differences = np.linalg.solve(gram, has @ (tastes - tastes.mean(axis=0)))
    return FeatureVectors(
        np.array([name for _, name, _ in chosen]),
        np.array([value for _, _, value in chosen]),
        (PRIOR_IN_SESSION * differences).astype(np.float32),
    )
