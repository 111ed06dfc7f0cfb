"""What purchases say of taste, weighed: sparse matrices, float32, a column a product.

Nothing here may see the day of the cut or later: a model that knows the future is judged well and
recommends badly.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retail_platform.errors import TrainingError
from retail_platform.recommender.purchases import Indices, Purchases

HALF_LIFE_DAYS = 90.0
"""After which a purchase says half as much of its customer."""

RECENT_DAYS = 14
"""How long a product counts as popular."""


def decayed_history(purchases: Purchases, as_of: date) -> sparse.csr_array:
    """0.5 ^ (age of the customer's last purchase of the product / half-life), (customers, products).

    How often it was bought tells no more of what else will be bought, and is left out.

    Args:
        purchases: Lines of days before `as_of`.
        as_of: The day at which ages, in days, are taken.

    Raises:
        TrainingError: A line is not before `as_of`.
    """
    known = purchases.customer >= 0
    return _largest(
        _decay(purchases, as_of)[known],
        purchases.customer[known],
        purchases.product[known],
        (len(purchases.customers), len(purchases.products)),
    )


def decayed_baskets(purchases: Purchases, as_of: date) -> sparse.csr_array:
    """The same of each order instead of each customer, (orders, products).

    Raises:
        TrainingError: A line is not before `as_of`.
    """
    orders, order = np.unique(purchases.order, return_inverse=True)
    shape = (len(orders), len(purchases.products))
    return _largest(_decay(purchases, as_of), order, purchases.product, shape)


def order_counts(purchases: Purchases) -> sparse.csr_array:
    """In how many orders each customer bought each product, (customers, products)."""
    return _sum_over_orders(np.ones(len(purchases)), purchases)


def habits(purchases: Purchases, as_of: date) -> sparse.csr_array:
    """log(1 + the sum of 0.5 ^ (age / half-life) over the orders), (customers, products).

    How often it was bought does tell whether it will be bought again.

    Raises:
        TrainingError: A line is not before `as_of`.
    """
    return _sum_over_orders(_decay(purchases, as_of), purchases).log1p()


def rows_of(matrix: sparse.csr_array, index: Indices) -> sparse.csr_array:
    """Rows of a matrix; empty ones where the index is -1."""
    picked = np.flatnonzero(index >= 0)
    ones = np.ones(len(picked), dtype=np.float32)
    shape = (len(index), matrix.shape[0])
    return (sparse.csr_array((ones, (picked, index[picked])), shape=shape) @ matrix).tocsr()


def recent_buyers(purchases: Purchases) -> NDArray[np.int64]:
    """How many customers bought each product in the last fortnight that had sales, (products,)."""
    recent = purchases.day > np.datetime64(purchases.last_day) - RECENT_DAYS
    recent &= purchases.customer >= 0
    pairs = np.unique(np.stack([purchases.customer[recent], purchases.product[recent]]), axis=1)
    return np.bincount(pairs[1], minlength=len(purchases.products))


def _largest(
    weight: NDArray[np.float64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    shape: tuple[int, int],
) -> sparse.csr_array:
    """The largest weight of each cell."""
    cells, cell = np.unique(row * shape[1] + column, return_inverse=True)
    largest = np.zeros(len(cells))
    np.maximum.at(largest, cell, weight)
    return sparse.csr_array((largest.astype(np.float32), np.divmod(cells, shape[1])), shape=shape)


def _sum_over_orders(weight: NDArray[np.float64], purchases: Purchases) -> sparse.csr_array:
    """Line weights, each order's once, by customer and product."""
    # An order has one customer, so that order and product tell a line from every other.
    order = np.unique(purchases.order, return_inverse=True)[1]
    _, line = np.unique(order * len(purchases.products) + purchases.product, return_index=True)
    line = line[purchases.customer[line] >= 0]
    cells = (purchases.customer[line], purchases.product[line])
    shape = (len(purchases.customers), len(purchases.products))
    return sparse.csr_array((weight[line].astype(np.float32), cells), shape=shape)


def _decay(purchases: Purchases, as_of: date) -> NDArray[np.float64]:
    """The weight of each line, (lines,)."""
    if purchases.last_day >= as_of:
        raise TrainingError(
            f"purchases of {purchases.last_day} are not before {as_of}: give the lines before it, "
            "or a later day"
        )
    age = (np.datetime64(as_of) - purchases.day).astype(np.float64)
    return np.asarray(0.5 ** (age / HALF_LIFE_DAYS))
