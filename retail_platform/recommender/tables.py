"""A recommender as rows of the lake's tables, whose contracts stand in `sql/ml`."""

from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa

from retail_platform.recommender.factorization import Vectors
from retail_platform.recommender.model import Recommender
from retail_platform.recommender.weights import DIMENSIONS


def model_version(recommender: Recommender) -> str:
    """Twelve hexadecimal digits; equal for equal vectors."""
    digest = sha256(f"{recommender.training.method} {recommender.training.as_of}".encode())
    for artefact in (recommender.for_customers, recommender.for_sessions):
        digest.update(artefact.contexts.tobytes())
        digest.update(artefact.targets.tobytes())
    digest.update(recommender.history.data.tobytes())
    digest.update(recommender.history.indices.tobytes())
    return digest.hexdigest()[:12]


def as_tables(recommender: Recommender, version: str) -> dict[str, pa.Table]:
    """The rows of every trained table, by its name.

    Args:
        recommender: What was trained.
        version: Stands in every row, because vectors of different trainings must never be mixed.
    """
    everyone = np.arange(len(recommender.customers))
    customers, sessions = recommender.for_customers, recommender.for_sessions
    similar = recommender.similar_products()
    tables: dict[str, dict[str, Any]] = {
        "product_embeddings": {
            "product_code": recommender.products,
            "recent_buyers": recommender.popularity,
            "context": _lists(customers.contexts),
            "target": _lists(customers.targets),
            "session_context": _lists(sessions.contexts),
            "session_target": _lists(sessions.targets),
        },
        "customer_embeddings": {
            "customer_number": recommender.customers,
            "vector": _lists(recommender.customer_vectors(everyone)),
            "session_vector": _lists(_with_popularity(recommender.past_in_session(everyone))),
        },
        "feature_embeddings": {
            "feature": recommender.features.feature,
            "value": recommender.features.value,
            "vector": _lists(_with_popularity(recommender.features.vectors)),
        },
        "similar_products": {
            "product_code": similar.product,
            "similar_product_code": similar.similar,
            "rank": similar.rank,
            "score": similar.score.astype(np.float64),
        },
    }
    return {
        name: pa.table(columns).append_column(
            "model_version", pa.array([version] * len(next(iter(columns.values()))), pa.string())
        )
        for name, columns in tables.items()
    }


def _with_popularity(vectors: Vectors) -> Vectors:
    """Vectors that weigh popularity not at all."""
    return np.pad(vectors, ((0, 0), (0, DIMENSIONS + 1 - vectors.shape[1])))


def _lists(vectors: Vectors) -> "pa.ListArray[Any]":
    rows, width = vectors.shape
    offsets: Any = pa.array(np.arange(0, rows * width + 1, width, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel(), pa.float32()))
