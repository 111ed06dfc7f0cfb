"""The training set: what each customer bought of each product, with the customers' features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lambda_inference.features import band
from retail_platform.errors import TrainingError
from retail_platform.recommender.purchases import Days, Indices, coded, column_of, positions

COLUMNS: dict[str, pa.DataType] = {
    "customer_number": pa.int64(),
    "product_code": pa.string(),
    "orders": pa.int64(),
    "last_order_date": pa.date32(),
}
"""What is learnt from, with the type that each column can be cast to."""

FEATURES = ("country", "city", "credit_limit")
"""What is known of a customer before he buys; where a training set has it."""


@dataclass(frozen=True)
class TrainingSet:
    """Rows of customers and products. Of n rows, c customers and p products.

    Attributes:
        customers: Customer numbers, ascending, (c,).
        products: Product codes, ascending, (p,).
        customer: Index of each row's customer, (n,).
        product: Index of each row's product, (n,).
        orders: In how many orders the customer bought the product, (n,).
        last_day: The day of the last of them, (n,).
        features: Each customer's values by feature, empty where there is none, (c,) each.
    """

    customers: NDArray[np.int64]
    products: NDArray[np.str_]
    customer: Indices
    product: Indices
    orders: NDArray[np.int64]
    last_day: Days
    features: Mapping[str, NDArray[np.str_]]

    @classmethod
    def from_arrow(cls, rows: pa.Table) -> "TrainingSet":
        """Takes `recommendation_training`, in any order of rows.

        Raises:
            TrainingError: A column is absent, or a value is missing or impossible.
        """
        column = {name: column_of(rows, name, type_) for name, type_ in COLUMNS.items()}
        number = column["customer_number"].to_numpy()
        customers, first, customer = np.unique(number, return_index=True, return_inverse=True)
        products, product = coded(column["product_code"])
        orders = column["orders"].to_numpy()
        if (orders < 1).any():
            raise TrainingError(
                f"{(orders < 1).sum():,} rows of the training set have no orders: a row is what was "
                "bought; correct sql/ml/recommendation_training.sql"
            )
        sorting = np.lexsort((product, customer))
        return cls(
            customers,
            products,
            customer[sorting],
            product[sorting],
            orders[sorting],
            column["last_order_date"].to_numpy().astype("datetime64[D]")[sorting],
            {name: _feature(rows, name)[first] for name in FEATURES if name in rows.column_names},
        )

    def __len__(self) -> int:
        return len(self.customer)

    def of_products(self, products: NDArray[np.str_]) -> "TrainingSet":
        """The same rows by the columns of a larger catalogue, ascending."""
        known = positions(self.products, products)
        return replace(self, products=products, product=known[self.product])


def last_day(training: TrainingSet) -> date:
    """The day of the last order.

    Raises:
        TrainingError: There is none.
    """
    if not len(training):
        raise TrainingError(
            "there are no purchases to learn from: build fact_orders with `retail build`, and see "
            "that it holds sales"
        )
    return date.fromisoformat(str(training.last_day.max()))


def _feature(rows: pa.Table, name: str) -> NDArray[np.str_]:
    values: Any = rows.column(name)
    if name == "credit_limit":
        limits = values.cast(pa.float64()).to_pylist()
        return np.array(["" if v is None else band(v) for v in limits], dtype=np.str_)
    return np.array(pc.fill_null(values.cast(pa.string()), "").to_pylist(), dtype=np.str_)
