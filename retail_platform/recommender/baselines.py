"""What needs no model, or hardly one: a model that does not beat it is not worth its trouble."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from retail_platform.recommender.factorization import Vectors
from retail_platform.recommender.interactions import order_counts, recent_buyers
from retail_platform.recommender.purchases import Indices
from retail_platform.recommender.training_set import TrainingSet

NEIGHBOURS = 200
"""Of a product; chosen on the four weeks before Online Retail's test."""

_BLOCK = 1_024
"""Products compared at a time."""


@dataclass(frozen=True)
class RecentPopularity:
    """The same for everyone: what most customers bought in the last fortnight.

    Attributes:
        buyers: (products,).
    """

    buyers: Vectors

    @classmethod
    def of(cls, training: TrainingSet) -> "RecentPopularity":
        """Counts the buyers."""
        return cls(recent_buyers(training).astype(np.float32))

    def scores(self, rows: int) -> Vectors:
        """The same for each row, (rows, products)."""
        return np.tile(self.buyers, (rows, 1))


@dataclass(frozen=True)
class ItemNeighbours:
    """Item-kNN (Deshpande and Karypis 2004): what is most like what one has.

    Attributes:
        similarity: Cosine of two products' columns, 0 but for the nearest of each row's product,
            (products, products).
    """

    similarity: sparse.csr_array

    @classmethod
    def of(cls, interactions: sparse.csr_array, neighbours: int = NEIGHBOURS) -> "ItemNeighbours":
        """Compares the columns of interactions.

        Args:
            interactions: (rows, products). Who has n products says as much of each as 1 / sqrt(n):
                those who buy everything tell little of what goes together.
            neighbours: How many are kept for each product.
        """
        sizes = np.maximum(np.diff(interactions.indptr), 1)
        weighed = (sparse.diags_array(sizes**-0.5) @ interactions).tocsr()
        columns = weighed.T.tocsr()
        norm = np.sqrt(weighed.power(2).sum(axis=0))
        norm[norm == 0] = 1  # of what only guests bought, which is like nothing
        kept = []
        for start in range(0, len(norm), _BLOCK):
            rows = slice(start, start + _BLOCK)
            likeness = (columns[rows] @ weighed).toarray() / np.outer(norm[rows], norm)
            own = np.arange(len(likeness))
            likeness[own, start + own] = 0
            if likeness.shape[1] > neighbours:
                least = np.partition(likeness, -neighbours, axis=1)[:, [-neighbours]]
                likeness[likeness < least] = 0
            kept.append(sparse.csr_array(likeness.astype(np.float32)))
        return cls(sparse.vstack(kept).tocsr())

    def scores(self, weights: sparse.csr_array) -> Vectors:
        """The sum of similarities to what has weight, (rows, products).

        Args:
            weights: (rows, products).
        """
        return np.asarray((weights @ self.similarity.T).toarray())


@dataclass(frozen=True)
class OwnHistory:
    """What a customer bought in most orders; among equals, what is popular.

    Attributes:
        orders: How many of a customer's orders have a product, (customers, products).
        popularity: Below 1, (products,).
    """

    orders: sparse.csr_array
    popularity: Vectors

    @classmethod
    def of(cls, training: TrainingSet) -> "OwnHistory":
        """Counts the orders."""
        buyers = recent_buyers(training).astype(np.float32)
        return cls(order_counts(training), buyers / (buyers.max(initial=0) + 1))

    def scores(self, customers: Indices) -> Vectors:
        """Scores by the customers' indices, (rows, products)."""
        return np.asarray(self.orders[customers].toarray() + self.popularity)
