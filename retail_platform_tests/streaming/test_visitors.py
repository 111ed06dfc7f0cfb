"""Visitors behave as such, and the same seed gives the same ones."""

import json
from collections import Counter
from itertools import islice

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from lambda_inference.events import decode
from lambda_inference.schema import schemas
from retail_platform.streaming.sending import encoded
from retail_platform.streaming.visitors import Shop, Visitors

SCHEMA = Draft202012Validator(schemas()["browse_event.v1.json"], format_checker=FormatChecker())


@pytest.fixture(scope="module")
def shop() -> Shop:
    sales = [
        {"product_line": line, "product_code": f"{line}{n}", "customer_number": c, "lines": 1 + n}
        for line, customers in (("A", (1, 2)), ("B", (3,)), (None, (None,)))
        for n in range(10)
        for c in customers
    ]
    customers = [
        {"customer_number": n, "city": "Nantes", "country": "France", "credit_limit": 1000 * n}
        for n in (1, 2, 3)
    ] + [{"customer_number": 4, "city": None, "country": None, "credit_limit": None}]
    return Shop.of(sales, customers)


def test_their_events_keep_the_contract(shop: Shop) -> None:
    for event in islice(Visitors(shop, 5).events(), 300):
        SCHEMA.validate(json.loads(encoded(event)))
        assert decode(encoded(event)) == event


def test_the_same_seed_gives_the_same_visits(shop: Shop) -> None:
    def visits(seed: int) -> list[tuple[object, ...]]:
        return [
            (one.event_id, one.session_id, one.customer_number, tuple(one.browse_history))
            for one in islice(Visitors(shop, 5, seed).events(), 200)
        ]

    assert visits(1) == visits(1)
    assert visits(1) != visits(2)
    assert len({event_id for event_id, *_ in visits(1)}) == 200


def test_a_visit_grows_by_one_product_an_event(shop: Shop) -> None:
    seen: dict[str, list[object]] = {}
    for event in islice(Visitors(shop, 5).events(), 300):
        before = seen.get(event.session_id, [])
        assert event.browse_history[:-1] == before
        seen[event.session_id] = list(event.browse_history)
    assert max(map(len, seen.values())) <= 12
    assert len(seen) > 20


def test_customers_look_at_what_they_buy(shop: Shop) -> None:
    lines = Counter(
        event.browse_history[-1].product_code[0]
        for event in islice(Visitors(shop, 5).events(), 2_000)
        if event.customer_number == 3
    )
    assert lines["B"] > 3 * lines["A"]


def test_some_are_known_and_some_are_not(shop: Shop) -> None:
    known = [one.customer_number is not None for one in islice(Visitors(shop, 9).events(), 900)]
    assert 0.4 < sum(known) / len(known) < 0.8


def test_some_follow_what_they_are_recommended(shop: Shop) -> None:
    visitors = Visitors(shop, 5)
    followed = 0
    for event in islice(visitors.events(), 500):
        followed += event.browse_history[-1].product_code == "shown"
        visitors.note(event.session_id, ["shown"])
    assert followed > 20


def test_products_without_a_line_are_looked_at_too(shop: Shop) -> None:
    codes = {
        event.browse_history[-1].product_code for event in islice(Visitors(shop, 5).events(), 1_000)
    }
    assert {code for code in codes if code.startswith("None")}
