"""A visitor's cookie, which anyone may write anything into."""

import base64

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lambda_inference.events import decode
from retail_platform.sources.ordering import MOST_PIECES
from retail_platform.web.visit import (
    LONGEST_CODE,
    MOST_IN_CART,
    MOST_SEEN,
    Ordered,
    Shopper,
    Visit,
)

codes = st.text(st.characters(codec="utf-8"), min_size=1, max_size=LONGEST_CODE)
shoppers = st.builds(
    Shopper,
    st.integers(0, 2**31 - 1),
    st.text(max_size=50),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=50),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=50),
    st.none() | st.floats(0, 1e9),
)


def well_formed(visit: Visit) -> bool:
    return (
        len(visit.session_id) == 32
        and len(visit.seen) <= MOST_SEEN
        and len(visit.cart) <= MOST_IN_CART
        and all(1 <= pieces <= MOST_PIECES for pieces in visit.cart.values())
    )


@given(st.lists(st.tuples(codes, st.none() | st.integers(0, 2_000)), max_size=60), shoppers)
def test_whatever_he_does_his_visit_comes_back_and_is_an_event(
    doings: list[tuple[str, int | None]], shopper: Shopper
) -> None:
    visit = Visit.new()
    for code, pieces in doings:
        if pieces is None:
            visit.see(code)
            assert visit.seen[-1] == code
        elif visit.put(code, pieces):
            assert visit.cart.get(code, 0) == min(pieces, MOST_PIECES)
    assert well_formed(visit)
    assert Visit.read(visit.cookie()) == visit
    for customer in (None, shopper):
        event = visit.event(customer)
        assert decode(msgspec.json.encode(event)) == event
        of_cart = {b.product_code: b.quantity for b in event.browse_history if b.in_shopping_cart}
        assert of_cart == visit.cart


@given(
    st.text(max_size=200)
    | st.binary(max_size=200).map(lambda b: base64.urlsafe_b64encode(b).decode())
)
def test_any_cookie_is_a_visit(cookie: str) -> None:
    assert well_formed(Visit.read(cookie))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=80),
        lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(), inner, max_size=30),
    )
)
def test_any_json_is_a_visit(told: object) -> None:
    for value in (told, {"id": "0" * 32, "seen": told}, {"id": "0" * 32, "cart": told}):
        cookie = base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()
        assert well_formed(Visit.read(cookie))


def test_the_largest_cookie_is_one() -> None:
    visit = Visit.new()
    visit.customer = 2**31 - 1
    visit.ordered = Ordered(2**31 - 1, "9" * 32)
    for number in range(MOST_IN_CART):
        assert visit.put(f"{number:0{LONGEST_CODE}}", MOST_PIECES)
    for number in range(MOST_SEEN):
        visit.see(f"{number:a>{LONGEST_CODE}}")
    assert not visit.put("one more", 1)
    assert len(f"visit={visit.cookie()}") < 4_096
