"""What the storefront offers: the products of a snapshot, found by their words."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any
from zlib import crc32

ON_A_PAGE = 24


@dataclass(frozen=True)
class Product:
    """A product on sale.

    Attributes:
        code: Its code.
        name: Its name.
        line: The line that it belongs to.
        scale: Of the model, such as 1:18.
        vendor: Who makes it.
        description: What it is.
        stock: Pieces in stock at the last build; None where that is not known.
        price: The list price of one piece.
    """

    code: str
    name: str
    line: str
    scale: str | None
    vendor: str | None
    description: str | None
    stock: int | None
    price: Decimal

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Product":
        """The product of a row of `sql/storefront/products.sql`."""
        return cls(
            row["product_code"],
            row["product_name"],
            row["product_line"] or "Other",
            row["product_scale"],
            row["product_vendor"],
            row["product_description"],
            row["quantity_in_stock"],
            row["msrp"],
        )

    @cached_property
    def words(self) -> str:
        """What a search looks through."""
        return folded(f"{self.name} {self.line} {self.vendor or ''} {self.code}")

    @property
    def shade(self) -> int:
        """Of its picture, by its line: 0 to 11."""
        return crc32(self.line.encode(), 8) % 12  # by which the sample's lines differ


@dataclass(frozen=True)
class Page:
    """Some of what was found.

    Attributes:
        products: They.
        number: Of the page, from 1.
        pages: How many there are.
        found: How many products were found.
    """

    products: Sequence[Product]
    number: int
    pages: int
    found: int


class Catalogue:
    """The products on sale.

    Args:
        products: In the order in which they are shown.
    """

    def __init__(self, products: Sequence[Product]) -> None:
        self.products = products
        self.by_code = {product.code: product for product in products}
        self.lines = sorted({product.line for product in products})

    def find(self, words: str, line: str | None, number: int) -> Page:
        """A page of the products that have all the words.

        Args:
            words: In any order, parts of words too; case and accents do not matter.
            line: Only products of this line.
            number: Of the page, from 1; one behind the last is the last.
        """
        wanted = folded(words).split()
        found = [
            product
            for product in self.products
            if (line is None or product.line == line) and all(w in product.words for w in wanted)
        ]
        pages = max(1, -(-len(found) // ON_A_PAGE))
        number = min(number, pages)
        first = (number - 1) * ON_A_PAGE
        return Page(found[first : first + ON_A_PAGE], number, pages, len(found))


def folded(text: str) -> str:
    """Without case and accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))
