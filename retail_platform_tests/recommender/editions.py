"""Editions for tests of the vector store."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from retail_platform.recommender.edition import WIDTH, Edition, edition_of
from retail_platform.recommender.model import Recommender
from retail_platform.recommender.tables import as_tables, model_version
from retail_platform_tests.recommender.shop import (
    FIRST_DAY,
    Line,
    trained,
    training_set,
    two_tastes,
)

LINES: list[Line] = two_tastes()


def last_lines_day() -> int:
    """How many days after the first the last line was bought."""
    return max((line[4] - FIRST_DAY).days for line in LINES)


def shop() -> tuple[Recommender, Edition]:
    """A recommender of a small shop, and what would be published of it."""
    recommender = trained(*LINES, as_of=FIRST_DAY + timedelta(days=last_lines_day() + 1))
    version = model_version(recommender)
    codes = recommender.products.tolist()
    catalogue = pa.table(
        {
            "product_code": codes,
            "product_name": [f"Product {code}" for code in codes],
            "product_line": [code[0] for code in codes],
            "quantity_in_stock": [7] * len(codes),
        }
    )
    tables = as_tables(recommender, version)
    return recommender, edition_of(tables, catalogue, training_set(*LINES), version, {"of": "shop"})


def renamed(edition: Edition, name: str) -> Edition:
    """The same edition under another model version, which stands in every product's name."""
    place = edition.products.column_names.index("product_name")
    names = pa.array([name] * len(edition.products))
    products = edition.products.set_column(place, "product_name", names)
    return replace(edition, model_version=name, products=products)


def catalogue_of(products: int, customers: int = 50, seed: int = 0, bought: int = 5) -> Edition:
    """A large catalogue of a few dozen tastes, without training."""
    random = np.random.default_rng(seed)
    tastes = random.standard_normal((40, WIDTH - 1))

    def some(count: int) -> Any:
        near = tastes[random.integers(len(tastes), size=count)]
        vectors = near + 0.7 * random.standard_normal((count, WIDTH - 1))
        return lists(np.hstack([vectors / 8, random.random((count, 1))]).astype(np.float32))

    codes = np.array([f"P{number:07}" for number in range(products)])
    buyers = np.repeat(np.arange(customers), bought)
    chosen = np.concatenate(
        [random.choice(products, size=bought, replace=False) for _ in range(customers)]
        or [np.array([], dtype=int)]
    )
    return Edition(
        model_version=f"catalogue {products}",
        description={},
        products=pa.table(
            {
                "product_code": codes,
                "product_name": codes,
                "product_line": [f"line {number % 20}" for number in range(products)],
                "quantity_in_stock": np.full(products, 3),
                "recent_buyers": random.integers(0, 50, size=products),
                "context": some(products),
                "target": some(products),
                "session_context": some(products),
                "session_target": some(products),
            }
        ),
        customers=pa.table(
            {
                "customer_number": np.arange(customers),
                "vector": some(customers),
                "session_vector": some(customers),
            }
        ),
        purchases=pa.table(
            {
                "customer_number": buyers,
                "product_code": codes[chosen],
                "weight": random.random(len(chosen)).astype(np.float32),
                "habit": random.random(len(chosen)).astype(np.float32),
            }
        ),
        similar_products=pa.table(
            {
                "product_code": codes[:1],
                "similar_product_code": codes[1:2],
                "rank": [1],
                "score": [0.5],
            }
        ),
        features=pa.table({"feature": ["country"], "value": ["France"], "vector": some(1)}),
    )


def lists(vectors: "np.ndarray[Any, Any]") -> Any:
    """Vectors as Arrow has them."""
    return pa.array(list(vectors), pa.list_(pa.float32()))
