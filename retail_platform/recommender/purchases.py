"""Purchase lines: who bought which product, in which order, on which day."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retail_platform.errors import TrainingError

Indices = NDArray[np.int64]
Days = NDArray[np.datetime64]

COLUMNS: dict[str, pa.DataType] = {
    "customer_number": pa.int64(),
    "product_code": pa.string(),
    "order_number": pa.int64(),
    "order_line_number": pa.int64(),
    "order_date": pa.date32(),
}
"""What a purchase line is, with the type that each column can be cast to."""

SALES_SQL = f"SELECT {', '.join(COLUMNS)} FROM fact_orders WHERE is_sale"
"""The store's own purchase lines: orders that count as sales."""


@dataclass(frozen=True)
class Purchases:
    """Lines in one order of their own, whatever the order they came in.

    Of n lines, c customers and p products; each customer and product has at least one line. A line
    without a customer is a guest's: he has orders, and no history.

    Attributes:
        customers: Customer numbers, ascending, (c,).
        products: Product codes, ascending, (p,).
        customer: Index of each line's customer, -1 for a guest, (n,).
        product: Index of each line's product, (n,).
        order: Order number of each line, (n,).
        position: Place of each line in its order, (n,).
        day: Day of each line's order, (n,).
    """

    customers: NDArray[np.int64]
    products: NDArray[np.str_]
    customer: Indices
    product: Indices
    order: Indices
    position: Indices
    day: Days

    @classmethod
    def from_arrow(cls, lines: pa.Table) -> "Purchases":
        """Takes the columns of `COLUMNS`, in any order of rows.

        Raises:
            TrainingError: A column is absent, or a value is missing or not finite.
        """
        column = {
            name: column_of(lines, name, type_, may_miss=name == "customer_number")
            for name, type_ in COLUMNS.items()
        }
        number = column["customer_number"]
        customer = np.full(len(number), -1)
        customers, customer[number.is_valid().to_numpy()] = np.unique(
            number.drop_null().to_numpy(), return_inverse=True
        )
        products, product = coded(column["product_code"])
        order, position = (column[n].to_numpy() for n in ("order_number", "order_line_number"))
        day = column["order_date"].to_numpy().astype("datetime64[D]")
        sorting = np.lexsort((day, customer, product, position, order))
        return cls(
            customers,
            products,
            customer[sorting],
            product[sorting],
            order[sorting],
            position[sorting],
            day[sorting],
        )

    def __len__(self) -> int:
        return len(self.day)

    @property
    def last_day(self) -> date:
        """The day of the last line.

        Raises:
            TrainingError: There are no lines.
        """
        if not len(self):
            raise TrainingError(
                "there are no purchases to learn from: build fact_orders with `retail build`, and "
                "see that it holds sales"
            )
        return date.fromisoformat(str(self.day.max()))

    def before(self, day: date) -> "Purchases":
        """The lines of earlier days, with the customers and products that they name."""
        return self._where(self.day < np.datetime64(day))

    def since(self, day: date) -> "Purchases":
        """The lines of that day and later, with the customers and products that they name."""
        return self._where(self.day >= np.datetime64(day))

    def of_products(self, products: NDArray[np.str_]) -> "Purchases":
        """The same lines by the columns of a larger catalogue, ascending."""
        known = positions(self.products, products)
        return replace(self, products=products, product=known[self.product])

    def _where(self, kept: NDArray[np.bool_]) -> "Purchases":
        customers, products = np.unique(self.customer[kept]), np.unique(self.product[kept])
        customers = customers[customers >= 0]
        return Purchases(
            self.customers[customers],
            self.products[products],
            positions(self.customer[kept], customers),
            positions(self.product[kept], products),
            self.order[kept],
            self.position[kept],
            self.day[kept],
        )


def positions(values: NDArray[Any], known: NDArray[Any]) -> Indices:
    """Where each value stands among `known`, which ascends; -1 where it does not, (n,)."""
    if not len(known):
        return np.full(len(values), -1, dtype=np.int64)
    found = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[found] == values, found, -1)


def coded(values: "pa.ChunkedArray[Any]") -> tuple[NDArray[np.str_], Indices]:
    """The different values, ascending, and the index of each among them, (n,)."""
    # By pyarrow's dictionary, because numpy would sort every one of millions of texts.
    encoded: Any = values.dictionary_encode()
    chunks = [chunk.indices.to_numpy() for chunk in encoded.chunks]
    names = np.array(encoded.chunk(0).dictionary.to_pylist() if chunks else [], dtype=np.str_)
    known, place = np.unique(names, return_inverse=True)
    return known, place[np.concatenate(chunks)] if chunks else place


def column_of(
    rows: pa.Table, name: str, type_: pa.DataType, *, may_miss: bool = False
) -> "pa.ChunkedArray[Any]":
    """A column of a type.

    Args:
        rows: Purchase lines, or a training set.
        name: Of the column.
        type_: What its values are cast to.
        may_miss: Whether there may be none in a row.

    Raises:
        TrainingError: It is absent, or a value is missing or of another type.
    """
    if name not in rows.column_names:
        raise TrainingError(
            f"purchases have no {name}, but {', '.join(rows.column_names)}: give that column too"
        )
    values = rows.column(name)
    if values.null_count and not may_miss:
        raise TrainingError(
            f"{values.null_count:,} of {len(values):,} purchases have no {name}: correct them, or "
            "leave them out"
        )
    try:
        return values.cast(type_)
    except pa.ArrowInvalid as error:
        raise TrainingError(
            f"{name} of a purchase is no {type_}: {error}; correct it, or leave it out"
        ) from error
