"""What purchases say of taste, weighed: sparse matrices, float32, a column a product.

Nothing here may see the day of the cut or later: a model that knows the future is judged well and
recommends badly.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retail_platform.errors import TrainingError
from retail_platform.recommender.purchases import Days, Indices, Purchases
from retail_platform.recommender.training_set import TrainingSet, last_day

HALF_LIFE_DAYS = 90.0
"""After which a purchase says half as much of its customer."""

RECENT_DAYS = 14
"""How long a product counts as popular."""


def decayed_history(training: TrainingSet, as_of: date) -> sparse.csr_array:
    """0.5 ^ (age of the customer's last purchase of the product / half-life), (customers, products).

    How often it was bought tells no more of what else will be bought, and is left out.

    Args:
        training: What was bought before `as_of`.
        as_of: The day at which ages, in days, are taken.

    Raises:
        TrainingError: Something was not bought before `as_of`.
    """
    return _cells(training, _decay(training.last_day, as_of))


def decayed_baskets(purchases: Purchases, as_of: date) -> sparse.csr_array:
    """The same of each order instead of each customer, (orders, products).

    Raises:
        TrainingError: A line is not before `as_of`.
    """
    orders, order = np.unique(purchases.order, return_inverse=True)
    columns = len(purchases.products)
    # An order has one day, so that any of its lines with the product tells its weight.
    cells, line = np.unique(order * columns + purchases.product, return_index=True)
    weight = _decay(purchases.day[line], as_of).astype(np.float32)
    return sparse.csr_array((weight, np.divmod(cells, columns)), shape=(len(orders), columns))


def order_counts(training: TrainingSet) -> sparse.csr_array:
    """In how many orders each customer bought each product, (customers, products)."""
    return _cells(training, training.orders.astype(np.float64))


def habits(training: TrainingSet, as_of: date) -> sparse.csr_array:
    """log(1 + orders x square root of the last one's decay), (customers, products).

    How often it was bought does tell whether it will be bought again. Chosen on the four weeks
    before Online Retail's test: as good as the sum of every order's decay, for which a training set
    would have to name every order.

    Raises:
        TrainingError: Something was not bought before `as_of`.
    """
    decay = _decay(training.last_day, as_of)
    return _cells(training, np.log1p(training.orders * np.sqrt(decay)))


def rows_of(matrix: sparse.csr_array, index: Indices) -> sparse.csr_array:
    """Rows of a matrix; empty ones where the index is -1."""
    picked = np.flatnonzero(index >= 0)
    ones = np.ones(len(picked), dtype=np.float32)
    shape = (len(index), matrix.shape[0])
    return (sparse.csr_array((ones, (picked, index[picked])), shape=shape) @ matrix).tocsr()


def recent_buyers(training: TrainingSet) -> NDArray[np.int64]:
    """How many customers bought each product in the last fortnight that had sales, (products,)."""
    recent = training.last_day > np.datetime64(last_day(training)) - RECENT_DAYS
    return np.bincount(training.product[recent], minlength=len(training.products))


def _cells(training: TrainingSet, weight: NDArray[np.float64]) -> sparse.csr_array:
    """The weight of each row of the training set in its cell, (customers, products)."""
    shape = (len(training.customers), len(training.products))
    cells = (training.customer, training.product)
    return sparse.csr_array((weight.astype(np.float32), cells), shape=shape)


def _decay(days: Days, as_of: date) -> NDArray[np.float64]:
    """What a purchase of each day weighs, (days,)."""
    age = (np.datetime64(as_of) - days).astype(np.float64)
    if len(age) and age.min() <= 0:
        raise TrainingError(
            f"purchases of {days.max()} are not before {as_of}: give those before it, or a later day"
        )
    return np.asarray(0.5 ** (age / HALF_LIFE_DAYS))
