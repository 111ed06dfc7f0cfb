"""Small shops of known taste."""

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from retail_platform.recommender.purchases import COLUMNS, Purchases

Line = tuple[int | None, str, int, int, date]

FIRST_DAY = date(2024, 1, 1)


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
