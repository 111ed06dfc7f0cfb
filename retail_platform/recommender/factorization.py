"""Interactions to two vectors a product: a context, for who has it, and a target, for who wants it.

The score of product j for someone with weights x over products is `sum_i x_i <context_i, target_j>`,
so whoever has weights has a vector: the weighted sum of contexts. No model runs to serve him.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from retail_platform.recommender.weights import DIMENSIONS

Vectors = NDArray[np.float32]

EASE_PENALTY = 5.0
"""Of squared weights, as a multiple of the products' mean squared interaction.

A multiple fits shops of any size: the published 200 for Online Retail is 10 times that mean there and
would leave a shop of a tenth of its customers with hardly more than popularity. Chosen on the four
weeks before the tests of Online Retail and of two sizes of the sample.
"""

PURE_SVD_RANK = 32
"""Of PureSVD, which more dimensions make worse for products that are new to a customer."""

_OVERSAMPLING = 10
_ITERATIONS = 5
_GRAM_ROWS = 512


@dataclass(frozen=True)
class Factors:
    """Two vectors a product, zero beyond the rank where that is less than `DIMENSIONS`.

    Attributes:
        contexts: (products, DIMENSIONS).
        targets: (products, DIMENSIONS).
    """

    contexts: Vectors
    targets: Vectors


def ease(interactions: sparse.csr_array, seed: int) -> Factors:
    """EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data"), projected.

    EASE is a weight B[i, j] for each two products: with P = inverse(X'X + penalty x mean(diag(X'X)) I),
    B = -P / diag(P) by column and a zero diagonal. Its scores X B are projected onto their own top
    right singular vectors V: contexts are B V, targets are V.

    Takes 4 bytes x products^2 twice, and time that grows with the cube of the products.

    Args:
        interactions: X, (rows, products).
        seed: Of the randomized singular value decomposition.
    """
    gram = _gram(interactions)
    gram[np.diag_indices_from(gram)] += EASE_PENALTY * np.diag(gram).mean()
    weights = linalg.inv(gram, overwrite_a=True, check_finite=False, assume_a="pos")
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, 0)
    predictions = aslinearoperator(interactions) @ aslinearoperator(weights)
    targets = _right_singular_vectors(predictions, DIMENSIONS, seed)
    return Factors(_padded(weights @ targets), _padded(targets))


def pure_svd(interactions: sparse.csr_array, seed: int) -> Factors:
    """PureSVD (Cremonesi, Koren and Turrin 2010): both vectors are the right singular vectors of X.

    Takes time and memory in proportion to what was bought, whatever the number of products.

    Args:
        interactions: X, (rows, products).
        seed: Of the randomized singular value decomposition.
    """
    vectors = _padded(_right_singular_vectors(aslinearoperator(interactions), PURE_SVD_RANK, seed))
    return Factors(vectors, vectors)


def _gram(interactions: sparse.csr_array) -> Vectors:
    """X'X, dense; by rows, because the sparse product would be larger than the dense."""
    columns = interactions.T.tocsr()
    products = columns.shape[0]
    gram = np.empty((products, products), dtype=np.float32)
    for start in range(0, products, _GRAM_ROWS):
        rows = slice(start, start + _GRAM_ROWS)
        gram[rows] = (columns[rows] @ interactions).toarray()
    return gram


def _right_singular_vectors(matrix: LinearOperator, rank: int, seed: int) -> Vectors:
    """The top right singular vectors, (columns, rank), by subspace iteration from random vectors.

    Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithm 4.4. Each
    vector's largest component is positive, which fixes the sign that a decomposition leaves open.
    """
    width = min(rank + _OVERSAMPLING, *matrix.shape)
    random = np.random.default_rng(seed)
    basis = random.standard_normal((matrix.shape[1], width)).astype(np.float32)
    for _ in range(_ITERATIONS):
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    projected = (matrix @ basis).astype(np.float64)
    # Of the small square matrix: the singular values, which squaring would blur, are not asked for.
    _, rotation = np.linalg.eigh(projected.T @ projected)
    vectors: Vectors = (basis @ rotation[:, ::-1][:, :rank]).astype(np.float32)
    largest = np.abs(vectors).argmax(axis=0)
    vectors *= np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return vectors


def _padded(vectors: Vectors) -> Vectors:
    return np.pad(vectors, ((0, 0), (0, DIMENSIONS - vectors.shape[1])))
