"""Who visits the storefront: a cookie, and the event that it makes of what he does.

The cookie holds what its visitor may change anyway, so nothing signs it; whatever cannot be read is
a new visit.
"""

import base64
import uuid
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from lambda_inference.events import Browsed, BrowseEvent
from retail_platform.sources.ordering import MOST_PIECES

COOKIE = "visit"

MOST_SEEN = 20
"""Products remembered, the latest last."""

MOST_IN_CART = 20
"""Products in a cart."""

LONGEST_CODE = 64
"""A product's code, in characters; with the numbers above, a cookie stays below its 4 kB."""

_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_CODE)]
_Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
_Pieces = Annotated[int, msgspec.Meta(ge=1, le=MOST_PIECES)]


class Ordered(msgspec.Struct, frozen=True):
    """An order that was just placed.

    Attributes:
        number: Its number.
        total: What it comes to, as it is written.
    """

    number: int
    total: Annotated[str, msgspec.Meta(max_length=32)]


class Visit(msgspec.Struct, kw_only=True, omit_defaults=True, rename={"session_id": "id"}):
    """What is known of a visitor.

    Attributes:
        session_id: Of the visit.
        customer: Who he says he is; None while he does not.
        seen: The codes of what he looked at, the latest last.
        cart: How many pieces of what.
        ordered: What he ordered last.
        order_id: Of the order that the cart may become, however often it is sent.
    """

    session_id: _Id
    customer: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    seen: Annotated[list[_Code], msgspec.Meta(max_length=MOST_SEEN)] = []
    cart: Annotated[dict[_Code, _Pieces], msgspec.Meta(max_length=MOST_IN_CART)] = {}
    ordered: Ordered | None = None
    order_id: _Id

    @classmethod
    def new(cls) -> "Visit":
        """A visit that begins."""
        return cls(session_id=uuid.uuid4().hex, order_id=uuid.uuid4().hex)

    @classmethod
    def read(cls, cookie: str | None) -> "Visit":
        """The visit of a cookie; a new one where there is none, or none that can be read."""
        if not cookie:
            return cls.new()
        try:
            return _DECODER.decode(base64.urlsafe_b64decode(cookie.encode("ascii")))
        except (ValueError, msgspec.DecodeError, RecursionError):
            return cls.new()

    def cookie(self) -> str:
        """The visit as a cookie."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode("ascii")

    def see(self, product_code: str) -> None:
        """Notes that he looks at a product."""
        self.seen = [*(code for code in self.seen if code != product_code), product_code]
        self.seen = self.seen[-MOST_SEEN:]

    def put(self, product_code: str, pieces: int) -> bool:
        """Sets how many pieces are in the cart, 0 for none.

        Returns:
            Whether they are: a full cart takes nothing more.
        """
        cart = {**self.cart, product_code: min(pieces, MOST_PIECES)}
        if pieces <= 0:
            del cart[product_code]
        if len(cart) > MOST_IN_CART:
            return False
        self.cart = cart
        self.order_id = uuid.uuid4().hex
        if pieces > 0:
            self.see(product_code)
        return True

    def keep(self, product_codes: Container[str]) -> None:
        """Takes out of the cart what is no longer on sale."""
        self.cart = {code: pieces for code, pieces in self.cart.items() if code in product_codes}

    def order(self, number: int, total: str) -> None:
        """Notes that the cart is ordered, and begins another.

        Args:
            number: Of the order.
            total: What it comes to, as it is written.
        """
        self.cart, self.ordered, self.order_id = {}, Ordered(number, total), uuid.uuid4().hex

    def event(self, customer: "Shopper | None") -> BrowseEvent:
        """What he does, up to now.

        Args:
            customer: Who he is, where that is known.
        """
        seen = [*(code for code in self.cart if code not in self.seen), *self.seen]
        return BrowseEvent(
            event_id=uuid.uuid4().hex,
            session_id=self.session_id,
            customer_number=customer.number if customer else None,
            city=customer.city if customer else None,
            country=customer.country if customer else None,
            credit_limit=customer.credit_limit if customer else None,
            occurred_at=datetime.now(UTC),
            browse_history=[Browsed(c, self.cart.get(c, 1), c in self.cart) for c in seen],
        )


_DECODER = msgspec.json.Decoder(Visit)


class Shopper(msgspec.Struct, frozen=True):
    """A customer who visits.

    Attributes:
        number: His.
        name: His.
        city: Where he is.
        country: Where he is.
        credit_limit: What he may owe.
    """

    number: int
    name: str
    city: str | None
    country: str | None
    credit_limit: float | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Shopper":
        """The customer of a row of `sql/storefront/visitors.sql`."""
        limit = row["credit_limit"]
        return cls(
            row["customer_number"],
            row["customer_name"],
            row["city"],
            row["country"],
            None if limit is None else float(limit),
        )
