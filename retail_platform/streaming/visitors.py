"""Visitors of a shop's site, made up from its own catalogue, customers and sales.

A visit is a few events, each with all that was looked at so far. A visitor who is a customer looks at
what customers like him buy; some look at what they were recommended. The same seed and shop give the
same visits, but for the time and for what was recommended.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from lambda_inference.events import Browsed, BrowseEvent

_KNOWN = 0.6
"""Of visits: those of customers who are logged in."""

_OF_HIS_TASTE = 0.8
"""Of products: those of a line that the visitor buys from."""

_FOLLOWS = 0.3
"""Of products after the first: those that he was recommended, where that is known."""

_IN_CART = 0.15
_ENDS = 0.2
"""After each event."""

_LONGEST = 12


@dataclass(frozen=True)
class Customer:
    """Someone who may visit.

    Attributes:
        number: The customer's.
        city: Where he is.
        country: Where he is.
        credit_limit: What he may owe.
        lines: How much he bought of each product line.
    """

    number: int
    city: str | None
    country: str | None
    credit_limit: float | None
    lines: Mapping[str, int]


@dataclass(frozen=True)
class Shop:
    """What can be visited.

    Attributes:
        products: Codes by product line, each with how often it was sold.
        customers: Who may visit.
    """

    products: Mapping[str, Mapping[str, int]]
    customers: Sequence[Customer]

    @classmethod
    def of(
        cls, sales: Sequence[Mapping[str, Any]], customers: Sequence[Mapping[str, Any]]
    ) -> "Shop":
        """The shop of some rows.

        Args:
            sales: product_line, product_code, customer_number (None for all others) and lines.
            customers: customer_number, city, country and credit_limit.
        """
        products: dict[str, dict[str, int]] = {}
        bought: dict[int, dict[str, int]] = {}
        for row in sales:
            line, code, lines = row["product_line"] or "", row["product_code"], row["lines"]
            of_line = products.setdefault(line, {})
            of_line[code] = of_line.get(code, 0) + lines
            if (number := row["customer_number"]) is not None:
                of_customer = bought.setdefault(number, {})
                of_customer[line] = of_customer.get(line, 0) + lines
        return cls(
            products,
            [
                Customer(
                    row["customer_number"],
                    row["city"],
                    row["country"],
                    None if row["credit_limit"] is None else float(row["credit_limit"]),
                    bought.get(row["customer_number"], {}),
                )
                for row in customers
            ],
        )


SALES = """
SELECT p.product_line, p.product_code, f.customer_number, count(f.order_number) + 1 AS lines
FROM dim_products p LEFT JOIN fact_orders f ON f.product_code = p.product_code AND f.is_sale
WHERE p.is_current GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
"""The sales of `Shop.of`, in Athena's dialect; what was never sold is looked at too."""

CUSTOMERS = """
SELECT c.customer_number, l.city, l.country, c.credit_limit FROM dim_customers c
LEFT JOIN dim_locations l ON l.location_key = c.location_key WHERE c.is_current ORDER BY 1
"""
"""The customers of `Shop.of`."""


@dataclass
class _Visit:
    session_id: str
    customer: Customer
    is_known: bool
    browsed: list[Browsed] = field(default_factory=list)


class Visitors:
    """Visits that go on at the same time.

    Args:
        shop: What they look at; it has products and customers.
        visits: How many at a time.
        seed: Of their chances.
    """

    def __init__(self, shop: Shop, visits: int, seed: int = 0) -> None:
        self._shop = shop
        self._chance = random.Random(seed)  # noqa: S311  (no secret)
        self._recommended: dict[str, list[str]] = {}
        self._drawn = {line: _Drawn(products) for line, products in shop.products.items()}
        everything = {line: sum(products.values()) for line, products in shop.products.items()}
        self._lines = _Drawn(everything)
        self._visits = [self._begin() for _ in range(visits)]

    def note(self, session_id: str, recommended: Sequence[str]) -> None:
        """Tells a visitor what he was recommended; he may look at it next."""
        self._recommended[session_id] = list(recommended)

    def events(self) -> Iterator[BrowseEvent]:
        """What they do, without an end: each event of any of the visits."""
        while True:
            place = self._chance.randrange(len(self._visits))
            visit = self._visits[place]
            visit.browsed.append(self._next(visit))
            yield self._event(visit)
            if len(visit.browsed) == _LONGEST or self._chance.random() < _ENDS:
                self._recommended.pop(visit.session_id, None)
                self._visits[place] = self._begin()

    def _begin(self) -> _Visit:
        chance = self._chance
        customer = chance.choice(self._shop.customers)
        return _Visit(f"{chance.getrandbits(64):016x}", customer, chance.random() < _KNOWN)

    def _next(self, visit: _Visit) -> Browsed:
        chance = self._chance
        seen = {one.product_code for one in visit.browsed}
        shown = [code for code in self._recommended.get(visit.session_id, ()) if code not in seen]
        if shown and chance.random() < _FOLLOWS:
            code = chance.choice(shown)
        else:
            lines = self._lines
            if visit.customer.lines and chance.random() < _OF_HIS_TASTE:
                lines = _Drawn(visit.customer.lines)
            code = self._drawn[lines.draw(chance)].draw(chance)
        in_cart = chance.random() < _IN_CART
        return Browsed(code, chance.randint(1, 5) if in_cart else 1, in_cart)

    def _event(self, visit: _Visit) -> BrowseEvent:
        customer = visit.customer
        return BrowseEvent(
            event_id=f"{self._chance.getrandbits(128):032x}",
            session_id=visit.session_id,
            customer_number=customer.number if visit.is_known else None,
            city=customer.city,
            country=customer.country,
            credit_limit=customer.credit_limit if visit.is_known else None,
            occurred_at=datetime.now(UTC),
            browse_history=list(visit.browsed),
        )


class _Drawn:
    """Names that are drawn as often as their weights say."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._names = list(weights)
        self._summed = list(accumulate(weights.values()))

    def draw(self, chance: random.Random) -> str:
        return chance.choices(self._names, cum_weights=self._summed)[0]
