"""Small shops of known taste."""

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from retail_platform.recommender.history import History
from retail_platform.recommender.model import Recommender, train
from retail_platform.recommender.purchases import COLUMNS, Purchases
from retail_platform.recommender.training_set import TrainingSet
from retail_platform.sources.sample.history import of_lines

Line = tuple[int | None, str, int, int, date]

FIRST_DAY = date(2024, 1, 1)

EVER = date(9999, 12, 31)
"""Before which all lines are."""


def line(
    customer: int | None, product: str, day: int = 0, order: int | None = None, at: int = 1
) -> Line:
    """A purchase line; an order a customer and day unless one is named."""
    number = (customer or 0) * 1_000 + day if order is None else order
    return customer, product, number, at, FIRST_DAY + timedelta(days=day)


def table(lines: Iterable[Line]) -> pa.Table:
    """Lines as SQL gives them."""
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in lines]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS.items())))


def purchases(*lines: Line) -> Purchases:
    """Lines as the recommender takes them."""
    return Purchases.from_arrow(table(lines))


def history(*lines: Line) -> History:
    """Lines as a history."""
    return of_lines(table(lines))


def training_set(*lines: Line) -> TrainingSet:
    """The training set of lines, by its real model."""
    return history(*lines).training_set(EVER)


def trained(*lines: Line, as_of: date | None = None) -> Recommender:
    """What is learnt from lines before a day."""
    sold = history(*lines)
    return train(sold.training_set(as_of or EVER), sold.baskets, as_of)


def two_tastes(customers: int = 240, days: int = 120, seed: int = 1) -> list[Line]:
    """Orders of eight to eleven products by customers who like either `A..` or `B..`, of 40 each."""
    random = np.random.default_rng(seed)
    lines = []
    for customer in range(customers):
        taste = "AB"[customer % 2]
        for day in sorted(random.choice(days, size=4, replace=False).tolist()):
            bought = random.choice(40, size=random.integers(8, 12), replace=False)
            lines += [
                line(customer, f"{taste}{product:02}", day, at=at)
                for at, product in enumerate(bought.tolist(), 1)
            ]
    return lines
