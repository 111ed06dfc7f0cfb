"""The storefront's routes: products, the cart, checkout; each view an event, and answered."""

import logging
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lambda_inference.answers import ReasonKind, RecommendationEvent
from retail_platform.contracts.loader import sql_folder
from retail_platform.errors import OrderRefused, RetailError, SourceError
from retail_platform.serving.analytics import bind, load_analytics
from retail_platform.serving.answers import Answer
from retail_platform.sources.ordering import (
    MOST_PIECES,
    Buyer,
    KnownBuyer,
    NewBuyer,
    OrderLine,
    PlacedOrder,
)
from retail_platform.web.catalogue import Catalogue, Product
from retail_platform.web.pages import Pages
from retail_platform.web.site import Site
from retail_platform.web.visit import (
    COOKIE,
    LONGEST_CODE,
    Shopper,
    Visit,
)

SHOWN = 6
"""Products of a list of recommendations."""

LONGEST_SEARCH = 100

MOST_AT_THE_DESK, DESK_SECONDS = 4, 2.0
"""Orders that are placed at the same time, and how long another waits for its turn."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offered:
    """A product that is recommended.

    Attributes:
        product: It.
        why: In words.
    """

    product: Product
    why: str


@dataclass(frozen=True)
class Advice:
    """What a page recommends.

    Attributes:
        for_you: The best first.
        similar: What goes with the product that was looked at last.
        note: Why these are not the newest, or none; nothing where all is well.
        event: What was asked and answered, as JSON; None where nothing was answered.
    """

    for_you: Sequence[Offered] = ()
    similar: Sequence[Offered] = ()
    note: str = ""
    event: str | None = None


class Shop:
    """What the routes work with.

    Args:
        site: What pages are made of.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        questions = load_analytics(sql_folder() / "storefront")
        # Of every page: bound once, which takes longer than to find the answer.
        self._products = bind(questions["products"])
        self._visitors = bind(questions["visitors"])
        self._best = bind(site.queries["top_products"], n=2 * SHOWN)
        self._shelves: tuple[Answer, Catalogue] | None = None
        self._at_the_desk = threading.Semaphore(MOST_AT_THE_DESK)

    def catalogue(self) -> Catalogue:
        """The products on sale, of the newest snapshot that can be had.

        Raises:
            RetailError: There is none.
        """
        answer = self._site.small_answers.of(self._products)
        if self._shelves is None or self._shelves[0].rows is not answer.rows:
            products = [Product.of(row) for row in answer.rows.to_pylist()]
            self._shelves = answer, Catalogue(products)
        return self._shelves[1]

    def named(self, name: str) -> Shopper | None:
        """The first customer by name who has this in it."""
        rows = self._customers()
        has_it = pc.match_substring(rows.column("customer_name"), name, ignore_case=True)
        found = rows.filter(has_it).sort_by(
            [("customer_name", "ascending"), ("customer_number", "ascending")]
        )
        return Shopper.of(found.slice(0, 1).to_pylist()[0]) if found.num_rows else None

    def numbered(self, number: int) -> Shopper | None:
        """A customer by number."""
        rows = self._customers()
        numbers = rows.column("customer_number")
        place = pc.index(numbers, pa.scalar(number, numbers.type)).as_py()
        return None if place < 0 else Shopper.of(rows.slice(place, 1).to_pylist()[0])

    def _customers(self) -> pa.Table:
        """All of them in one answer.

        A question for each would come for every visitor again, and all at once, whenever a new
        snapshot is published.
        """
        return self._site.small_answers.of(self._visitors).rows

    def shopper(self, visit: Visit) -> Shopper | None:
        """Who visits; None where that is not known."""
        if visit.customer is None or self._site.on_aws:
            return None
        return self.numbered(visit.customer)

    def place(self, visit: Visit, buyer: Buyer) -> PlacedOrder:
        """Places what is in a visit's cart, once however often it is sent.

        Args:
            visit: Whose cart.
            buyer: Who orders.

        Raises:
            OrderRefused: It cannot be taken.
            SourceError: The database does not answer, or not yet.
        """
        assert self._site.desk is not None  # noqa: S101  (the route asks before)
        lines = [OrderLine(code, pieces) for code, pieces in visit.cart.items()]
        # A database that hangs holds up these few, and not every page.
        if not self._at_the_desk.acquire(timeout=DESK_SECONDS):
            raise SourceError("other orders wait for the database: send the order again")
        try:
            return self._site.desk.place(buyer, lines, datetime.now(UTC).date(), visit.order_id)
        finally:
            self._at_the_desk.release()

    def advise(self, visit: Visit, catalogue: Catalogue, *, send: bool) -> Advice:
        """What is recommended to a visit.

        Args:
            visit: It.
            catalogue: What can be recommended.
            send: Whether it did something that the stream is told of.
        """
        event = visit.event(self.shopper(visit))
        if send and self._site.outbox is not None:
            self._site.outbox.send(event)
        if self._site.adviser is None:
            return Advice(self._popular(catalogue), note="There is no recommender here.")
        try:
            answer = self._site.adviser.answer(event)
        except RetailError as error:
            log.warning("no recommendations: %s", error)
            note = "Recommendations take a rest: this is what sells best."
            return Advice(self._popular(catalogue), note=note)
        return _advice(answer, catalogue, sent=send and self._site.outbox is not None)

    def _popular(self, catalogue: Catalogue) -> list[Offered]:
        try:
            rows = self._site.answers.of(self._best).rows.to_pylist()
        except RetailError:
            return [Offered(product, "in stock") for product in catalogue.products[:SHOWN]]
        found = (catalogue.by_code.get(row["product_code"]) for row in rows)
        return [Offered(product, "popular now") for product in found if product][:SHOWN]


def _advice(answer: RecommendationEvent, catalogue: Catalogue, *, sent: bool) -> Advice:
    products = catalogue.by_code
    for_you = [
        Offered(products[item.id], _why(item.reason.kind, item.reason.product_code, catalogue))
        for item in answer.recommended_items
        if item.id in products
    ]
    similar: list[Offered] = []
    if answer.similar_items is not None:
        seen = products.get(answer.similar_items.product_code)
        why = f"goes with {seen.name}" if seen else "goes with it"
        found = answer.similar_items.similar_items
        similar = [Offered(products[item.id], why) for item in found if item.id in products]
    told = {"sent": sent, "event": msgspec.to_builtins(answer)}
    return Advice(
        for_you[:SHOWN],
        similar[:SHOWN],
        "The recommender's store is away: this is from memory." if answer.degraded else "",
        msgspec.json.encode(told).decode(),
    )


def _why(kind: ReasonKind, code: str | None, catalogue: Catalogue) -> str:
    product = catalogue.by_code.get(code or "")
    name = product.name if product else code
    match kind:
        case ReasonKind.BROWSED:
            return f"because you looked at {name}"
        case ReasonKind.BOUGHT:
            return f"because you bought {name}"
        case _:
            return "popular now"


def routes(site: Site, pages: Pages) -> APIRouter:
    """The routes over a site."""
    router = APIRouter(prefix="/shop")
    shop = Shop(site)

    def keep(request: Request, response: Response, visit: Visit) -> Response:
        cookie = visit.cookie()
        # One that did not change is not set: it may have changed meanwhile, in another tab.
        if cookie != request.cookies.get(COOKIE):
            response.set_cookie(
                COOKIE, cookie, path="/shop", httponly=True, samesite="lax", secure=site.on_aws
            )
        return response

    def shown(request: Request, visit: Visit, name: str, **told: Any) -> Response:
        shopper = shop.shopper(visit)
        page = pages.page(request, name, visit=visit, shopper=shopper, **told)
        return keep(request, page, visit)

    def onward(request: Request, visit: Visit, place: str) -> Response:
        return keep(request, RedirectResponse(place, 303), visit)

    def wrong(request: Request, why: str, status: int = 400, back: str = "/shop") -> Response:
        return pages.page(request, "wrong.html", status, why=why, back=back)

    @router.get("")
    def browse(request: Request, q: str = "", line: str = "", page: str = "1") -> Response:
        if len(q) > LONGEST_SEARCH or len(line) > LONGEST_SEARCH:
            return wrong(request, f"search for at most {LONGEST_SEARCH} letters")
        if not re.fullmatch(r"[1-9]\d{0,5}", page, re.ASCII):
            return wrong(request, "page is a number from 1")
        visit = Visit.read(request.cookies.get(COOKIE))
        catalogue = shop.catalogue()
        found = catalogue.find(q, line or None, int(page))
        advice = shop.advise(visit, catalogue, send=False)
        return shown(
            request,
            visit,
            "shop.html",
            catalogue=catalogue,
            found=found,
            q=q,
            line=line,
            advice=advice,
        )

    @router.get("/products/{code}")
    def look(request: Request, code: str) -> Response:
        catalogue = shop.catalogue()
        product = catalogue.by_code.get(code)
        if product is None:
            return wrong(request, "there is no such product on sale", 404)
        visit = Visit.read(request.cookies.get(COOKIE))
        visit.see(code)
        advice = shop.advise(visit, catalogue, send=True)
        return shown(request, visit, "product.html", product=product, advice=advice)

    @router.get("/cart")
    def cart(request: Request) -> Response:
        visit = Visit.read(request.cookies.get(COOKIE))
        catalogue = shop.catalogue()
        visit.keep(catalogue.by_code)
        advice = shop.advise(visit, catalogue, send=True)
        lines = [(catalogue.by_code[code], pieces) for code, pieces in visit.cart.items()]
        total = sum(product.price * pieces for product, pieces in lines)
        return shown(request, visit, "cart.html", lines=lines, total=total, advice=advice)

    @router.post("/cart")
    def put(
        request: Request,
        code: Annotated[str, Form(max_length=LONGEST_CODE)],
        pieces: Annotated[int, Form(ge=0, le=MOST_PIECES)] = 1,
    ) -> Response:
        if pieces and code not in shop.catalogue().by_code:
            return wrong(request, "there is no such product on sale", 404)
        visit = Visit.read(request.cookies.get(COOKIE))
        if not visit.put(code, pieces):
            return wrong(request, "the cart is full: check out, or take something out first")
        return onward(request, visit, "/shop/cart")

    @router.post("/visitor")
    def choose(request: Request, who: Annotated[str, Form(max_length=100)] = "") -> Response:
        if site.on_aws:
            return wrong(request, "choosing who you are is for demonstrations", 403)
        visit = Visit.read(request.cookies.get(COOKIE))
        who = who.strip()
        if not who:
            visit.customer = None
            return onward(request, visit, "/shop")
        number = re.match(r"\d{1,9}", who, re.ASCII)
        found = shop.numbered(int(number[0])) if number else shop.named(who)
        if found is None:
            return wrong(request, "there is no such customer: give a number, or a part of a name")
        visit.customer = found.number
        return onward(request, visit, "/shop")

    @router.post("/checkout")
    def order(
        request: Request,
        name: Annotated[str, Form(max_length=50)] = "",
        city: Annotated[str, Form(max_length=50)] = "",
        country: Annotated[str, Form(max_length=50)] = "",
    ) -> Response:
        if site.desk is None:
            return wrong(request, "this shop takes no orders: set RETAIL_STOREFRONT_URL", 403)
        visit = Visit.read(request.cookies.get(COOKIE))
        visit.keep(shop.catalogue().by_code)
        shopper = shop.shopper(visit)
        told = [part.strip() for part in (name, city, country)]
        if shopper is None and not (all(told) and all(part.isprintable() for part in told)):
            return wrong(request, "say your name, city and country", back="/shop/cart")
        buyer = KnownBuyer(shopper.number) if shopper else NewBuyer(*told)
        try:
            placed = shop.place(visit, buyer)
        except OrderRefused as error:
            return wrong(request, str(error), 409, back="/shop/cart")
        except SourceError as error:
            log.warning("an order is not confirmed: %s", error)
            why = (
                "Your order is not confirmed. Send it again from the cart in a moment: "
                "it is placed only once."
            )
            return wrong(request, why, 503, back="/shop/cart")
        visit.order(placed.order_number, f"{placed.total:,.2f}")
        return onward(request, visit, "/shop/thanks")

    @router.get("/thanks")
    def thanks(request: Request) -> Response:
        visit = Visit.read(request.cookies.get(COOKIE))
        if visit.ordered is None:
            return RedirectResponse("/shop/cart", 302)
        advice = shop.advise(visit, shop.catalogue(), send=False)
        return shown(request, visit, "thanks.html", ordered=visit.ordered, advice=advice)

    return router
