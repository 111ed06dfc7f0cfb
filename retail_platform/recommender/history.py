"""What a shop sold, asked by SQL: the training set as of any day, and the baskets."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import pyarrow as pa

from retail_platform.errors import ConfigurationError
from retail_platform.recommender.purchases import SALES_SQL, Purchases
from retail_platform.recommender.training_set import TrainingSet

TRAINING_SET = "recommendation_training"

_EVER = "'9999-12-31'"
"""The day before which sales count, in the training set's model: all of them."""


@dataclass(frozen=True)
class History:
    """Sales, wherever they are.

    Attributes:
        ask: Answers a statement of the portable subset over the lake's tables.
        model: The SQL of the training set.
    """

    ask: Callable[[str], pa.Table]
    model: str

    def training_set(self, before: date) -> TrainingSet:
        """The training set as it was on the morning of a day.

        Raises:
            ConfigurationError: Its model does not say before which day sales count.
            TrainingError: It is not what can be learnt from.
        """
        # By text, because where Spark runs on AWS there is no parser.
        if self.model.count(_EVER) != 1:
            raise ConfigurationError(
                f"sql/ml/{TRAINING_SET}.sql has to say once that sales before {_EVER} count: the "
                "evaluation puts earlier days there"
            )
        return TrainingSet.from_arrow(self.ask(self.model.replace(_EVER, f"'{before}'")))

    @cached_property
    def baskets(self) -> Purchases:
        """The lines of all orders that are sales.

        Raises:
            TrainingError: A line is not what can be learnt from.
        """
        return Purchases.from_arrow(self.ask(SALES_SQL))
