"""What is answered from memory, against what the vector store answers itself."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lambda_inference.answers import Strategy
from lambda_inference.model import Customer, Model, Rules, Visitor
from lambda_inference.store import VectorReader
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.recommender.edition import Edition
from retail_platform_tests.lambda_inference.stores import Served, served
from retail_platform_tests.recommender.editions import lists, shop

CUSTOMERS = (None, 10, 11, 999_999)
SESSIONS = ((), ("B01",), ("A01", "B02", "A03"), ("never sold",), ("A01", "never sold", "A01"))
COUNTRIES = (None, "B-land", "nowhere")


@pytest.fixture(scope="module")
def edition() -> Edition:
    """A shop where people of B-land like what is sold in B."""
    plain = shop()[1]
    likes = plain.products.column("session_target")[int(plain.products.num_rows) - 1]
    features = pa.table(
        {"feature": ["country"], "value": ["B-land"], "vector": lists(np.array([likes.as_py()]))}
    )
    return replace(plain, features=features)


@pytest.fixture(scope="module")
def live(postgres: EmbeddedPostgres, edition: Edition) -> Iterator[Served]:
    with served(postgres.ensure_database("inference_model"), edition) as live:
        yield live


@pytest.fixture(scope="module")
def model(live: Served) -> Model:
    return live.reader.model(1)


@pytest.fixture(scope="module")
def customers(live: Served, model: Model) -> dict[int, Customer]:
    return live.reader.live([10, 11, 999_999]).customers(model)


def test_all_visitors_are_answered_as_the_store_answers_each(
    live: Served, model: Model, customers: dict[int, Customer]
) -> None:
    askers = [(c, s, country) for c in CUSTOMERS for s in SESSIONS for country in COUNTRIES]
    visitors = [
        Visitor(
            None if customer is None else customers.get(customer),
            session,
            {"country": country} if country else {},
        )
        for customer, session, country in askers
    ]
    strategies = set()
    for (customer, session, country), found in zip(
        askers, model.recommend(visitors, 80), strict=True
    ):
        features = {"country": country} if country else None
        expected = live.store.recommend(customer, session, 80, features=features)
        strategies.add(found.strategy)
        assert {found.strategy} == {one.strategy for one in expected}
        scores = {one.product_code: one.score for one in expected}
        assert {item.id for item in found.items} == scores.keys()
        ours = [item.score for item in found.items]
        assert ours == sorted(ours, reverse=True)
        theirs = [scores[item.id] for item in found.items]
        np.testing.assert_allclose(ours, theirs, rtol=5e-3, atol=1e-3)
    assert strategies == set(Strategy)


def test_reasons_are_those_of_the_store(
    live: Served, model: Model, customers: dict[int, Customer]
) -> None:
    for customer, session in ((None, ("B01", "B02")), (11, ()), (10, ("A01", "B02", "A03"))):
        known = None if customer is None else customers[customer]
        (found,) = model.recommend([Visitor(known, session, {})], 20)
        expected = {
            one.product_code: (one.kind, one.because_code)
            for one in live.store.recommend(customer, session, 20)
        }
        ours = {item.id: (item.reason.kind, item.reason.product_code) for item in found.items}
        both = ours.keys() & expected.keys()
        assert len(both) > 15
        # Halves are summed in another order here and there, which may decide what is as good.
        assert sum(ours[code] == expected[code] for code in both) >= 0.9 * len(both)
        assert {kind for kind, _ in ours.values()} & {"browsed", "bought"}


def test_similar_products_are_those_of_the_last_one_looked_at(live: Served, model: Model) -> None:
    for browsed, expected in ((("A01", "B02"), "B02"), (("B02", "A01", "B02"), "B02")):
        (found,) = model.recommend([Visitor(None, browsed, {})], 5)
        assert found.similar is not None
        assert found.similar.product_code == expected
        assert len(found.similar.similar_items) == 5
        assert {item.id[0] for item in found.similar.similar_items} == {"B"}
    (found,) = model.recommend([Visitor(None, ("never sold",), {})], 5)
    assert found.similar is None


def test_it_does_not_recommend_what_he_has_seen_or_bought(
    model: Model, customers: dict[int, Customer]
) -> None:
    customer = customers[11]
    everything = len(model.products.codes)
    (found,) = model.recommend([Visitor(customer, ("A01", "A02"), {})], everything)
    offered = {item.id for item in found.items}
    bought = {model.products.codes[position] for position in customer.bought.tolist()}
    assert len(bought) > 10
    assert offered == set(model.products.codes) - bought - {"A01", "A02"}


def test_products_out_of_stock_are_not_recommended(
    postgres: EmbeddedPostgres, edition: Edition
) -> None:
    codes = edition.products["product_code"].to_pylist()
    stock = [0 if str(code).startswith("A") else 7 for code in codes]
    place = edition.products.column_names.index("quantity_in_stock")
    products = edition.products.set_column(place, "quantity_in_stock", pa.array(stock, pa.int32()))
    url = postgres.ensure_database("inference_stock")
    with served(url, replace(edition, products=products)) as live:
        model = live.reader.model(1)
        for visitor in (
            Visitor(None, (), {}),
            Visitor(None, ("A01",), {}),
            Visitor(live.reader.live([10]).customers(model)[10], (), {}),
        ):
            (found,) = model.recommend([visitor], 40)
            assert found.items
            assert {item.id[0] for item in found.items} == {"B"}
            if found.similar is not None:
                assert {item.id[0] for item in found.similar.similar_items} <= {"B"}


RULES = {
    "allowed": Rules(allowed_lines=frozenset("B")),
    "blocked": Rules(blocked_lines=frozenset("A")),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_keep_lines_out_of_every_answer(live: Served, name: str) -> None:
    reader = VectorReader(lambda: live.store.address.url, RULES[name])
    model = reader.model(1)
    customer = reader.live([10]).customers(model)[10]
    for visitor in (Visitor(None, (), {}), Visitor(None, ("A01",), {}), Visitor(customer, (), {})):
        (found,) = model.recommend([visitor], 10)
        assert len(found.items) == 10
        assert {item.id[0] for item in found.items} == {"B"}
    reader.close()


def test_of_one_line_there_are_at_most_so_many(live: Served) -> None:
    """Also where the best forty are all of one line."""
    reader = VectorReader(lambda: live.store.address.url, Rules(most_of_line=2))
    model = reader.model(1)
    customer = reader.live([10]).customers(model)[10]
    for visitor in (Visitor(None, (), {}), Visitor(None, ("A01",), {}), Visitor(customer, (), {})):
        (found,) = model.recommend([visitor], 10)
        assert Counter(item.id[0] for item in found.items) == {"A": 2, "B": 2}
    reader.close()


def test_a_batch_of_nobody_is_no_answer(model: Model) -> None:
    assert model.recommend([], 10) == []
