"""What one version of the vector store holds, and what keeps it from being published."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_platform.errors import VectorStoreError
from retail_platform.recommender.training_set import TrainingSet, last_day
from retail_platform.recommender.weights import DIMENSIONS

WIDTH = DIMENSIONS + 1
"""Of every vector: taste, and recent popularity."""

_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Edition:
    """The tables of a version, whose vectors are lists of float of `WIDTH`.

    Attributes:
        model_version: Of the vectors, which are all of one training.
        description: What is to be known of them, as JSON.
        products: product_code, product_name, product_line, quantity_in_stock, recent_buyers,
            context, target, session_context and session_target.
        customers: customer_number, vector and session_vector.
        purchases: customer_number, product_code, weight and habit.
        similar_products: product_code, similar_product_code, rank and score.
        features: feature, value and vector.
    """

    model_version: str
    description: Mapping[str, Any]
    products: pa.Table
    customers: pa.Table
    purchases: pa.Table
    similar_products: pa.Table
    features: pa.Table

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The tables by name."""
        return {
            "products": self.products,
            "customers": self.customers,
            "purchases": self.purchases,
            "similar_products": self.similar_products,
            "features": self.features,
        }

    def require_sound(self) -> None:
        """Refuses what could not be searched, before anything is written.

        Raises:
            VectorStoreError: There are no products, or a vector is of another width or not finite.
        """
        if not len(self.products):
            raise VectorStoreError(
                "there are no products to recommend: build product_embeddings with `retail build "
                "ml`, and see that fact_orders holds sales"
            )
        for name, rows in self.tables.items():
            for column in rows.column_names:
                if pa.types.is_list(rows.schema.field(column).type):
                    vectors(rows, column, f"{name}.{column}")


def edition_of(
    trained: Mapping[str, pa.Table],
    catalogue: pa.Table,
    training_set: TrainingSet,
    model_version: str,
    description: Mapping[str, Any],
) -> Edition:
    """The edition of trained tables.

    Args:
        trained: The rows of every trained table, by its name.
        catalogue: product_code, product_name, product_line and quantity_in_stock of all products.
        training_set: What customers bought; it may be newer than the training.
        model_version: Of the training.
        description: What is to be known of it, as JSON.
    """
    # SciPy, without which all else here can be imported: by who only asks, and by Dagster.
    from retail_platform.recommender.interactions import decayed_history, habits

    products = trained["product_embeddings"].drop_columns(["model_version"])
    place: Any = pc.index_in(products["product_code"], catalogue["product_code"])
    for name in ("product_name", "product_line", "quantity_in_stock"):
        products = products.append_column(name, catalogue[name].take(place))
    as_of = last_day(training_set) + timedelta(days=1)
    weight = decayed_history(training_set, as_of).tocoo()
    customer, product = weight.coords
    purchases = pa.table(
        {
            "customer_number": training_set.customers[customer],
            "product_code": training_set.products[product],
            "weight": weight.data,
            "habit": habits(training_set, as_of).tocoo().data,
        }
    )
    return Edition(
        model_version,
        description,
        products,
        trained["customer_embeddings"].drop_columns(["model_version"]),
        purchases,
        trained["similar_products"].drop_columns(["model_version"]),
        trained["feature_embeddings"].drop_columns(["model_version"]),
    )


def vectors(rows: pa.Table, column: str, place: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """A column of vectors, (rows, WIDTH).

    Args:
        rows: The table.
        column: Its column.
        place: What to call it in messages.

    Raises:
        VectorStoreError: A vector is missing, of another width, or not finite.
    """
    values: Any = rows.column(column).combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # of no chunks
        return np.zeros((0, WIDTH), dtype=np.float32)
    widths = values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    remedy = "train again with `retail build ml`"
    if len(wrong := np.flatnonzero(widths != WIDTH)):
        key = rows.column(0)[int(wrong[0])].as_py()
        raise VectorStoreError(
            f"{place} of {key} has {widths[wrong[0]]} dimensions and not {WIDTH}: {remedy}"
        )
    found = values.flatten().to_numpy(zero_copy_only=False).reshape(-1, WIDTH)
    if len(wrong := np.flatnonzero(~(np.abs(found) <= _LARGEST).all(axis=1))):
        key = rows.column(0)[int(wrong[0])].as_py()
        raise VectorStoreError(
            f"{place} of {key} is not finite, or too large for half precision: {remedy}"
        )
    return np.asarray(found, dtype=np.float32)
