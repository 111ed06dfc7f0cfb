"""Two vectors a product, and what they recommend."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import sparse

from retail_platform.errors import TrainingError
from retail_platform.recommender import model, weights
from retail_platform.recommender.factorization import (
    EASE_PENALTY,
    PURE_SVD_RANK,
    ease,
    pure_svd,
)
from retail_platform.recommender.interactions import decayed_history, recent_buyers
from retail_platform.recommender.model import Recommender, train
from retail_platform.recommender.report import Method
from retail_platform.recommender.weights import DIMENSIONS
from retail_platform.sources.sample.history import of_lines
from retail_platform_tests.recommender.shop import (
    FIRST_DAY,
    Line,
    history,
    line,
    table,
    trained,
    training_set,
    two_tastes,
)

LINES = two_tastes()
AS_OF = FIRST_DAY + timedelta(days=120)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return trained(*LINES, as_of=AS_OF)


def vectors_of(trained: Recommender) -> list[bytes]:
    return [
        array.tobytes()
        for artefact in (trained.for_customers, trained.for_sessions)
        for array in (artefact.contexts, artefact.targets)
    ]


def codes(found: list[model.Recommendation]) -> list[str]:
    return [recommendation.product for recommendation in found]


def test_inner_products_are_ease_by_its_formula() -> None:
    """With fewer than 64 products nothing is lost by the projection."""
    random = np.random.default_rng(5)
    interactions = (
        sparse.random_array((200, 30), density=0.2, rng=random).astype(np.float32).tocsr()
    )
    dense = interactions.toarray().astype(np.float64)
    gram = dense.T @ dense
    inverse = np.linalg.inv(gram + EASE_PENALTY * np.diag(gram).mean() * np.eye(30))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    factors = ease(interactions, seed=0)
    assert factors.contexts.shape == factors.targets.shape == (30, DIMENSIONS)
    scores = interactions @ factors.contexts @ factors.targets.T
    np.testing.assert_allclose(scores, dense @ weights, atol=1e-5)


def test_a_projection_keeps_the_top_of_the_spectrum() -> None:
    random = np.random.default_rng(6)
    tastes = random.standard_normal((400, 150)) * 0.9 ** np.arange(150)
    interactions = sparse.csr_array(tastes @ random.standard_normal((150, 150)))
    exact = np.linalg.svd(interactions.toarray(), full_matrices=False)[2][:PURE_SVD_RANK]
    padded = pure_svd(interactions, seed=0).targets
    assert padded.shape == (150, DIMENSIONS)
    vectors = padded[:, :PURE_SVD_RANK]
    assert not padded[:, PURE_SVD_RANK:].any()
    captured = np.linalg.norm(interactions @ vectors), np.linalg.norm(interactions @ exact.T)
    assert captured[0] == pytest.approx(captured[1], rel=1e-3)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(PURE_SVD_RANK), atol=1e-5)


def test_a_customers_score_is_the_vectors_and_popularity(recommender: Recommender) -> None:
    seen = training_set(*LINES)
    history = decayed_history(seen, AS_OF)
    factors = ease(history, seed=0)
    expected = history @ factors.contexts @ factors.targets.T
    expected += weights.CUSTOMER_POPULARITY * np.log1p(recent_buyers(seen))
    everyone = np.arange(len(recommender.customers))
    scores = recommender.customer_scores(everyone, repeats=False)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_vectors(recommender: Recommender) -> None:
    assert vectors_of(trained(*LINES, as_of=AS_OF)) == vectors_of(recommender)


def test_the_order_of_rows_does_not_matter(recommender: Recommender) -> None:
    shuffled = table(LINES).take(np.random.default_rng(2).permutation(len(LINES)))
    sold = of_lines(shuffled)
    again = train(sold.training_set(AS_OF), sold.baskets, AS_OF)
    assert vectors_of(again) == vectors_of(recommender)


def test_what_was_bought_after_the_day_changes_nothing(recommender: Recommender) -> None:
    later = [line(1, "B00", day=200), line(9_999, "C00", day=120)]
    assert vectors_of(trained(*LINES, *later, as_of=AS_OF)) == vectors_of(recommender)


def test_what_was_bought_decades_ago_still_tells_what_goes_together(
    recommender: Recommender,
) -> None:
    """Its weights have decayed to some 1e-27, whose squares a float32 cannot hold."""
    later = trained(*LINES, as_of=FIRST_DAY + timedelta(days=8_000))
    goes_with = later.for_sessions.contexts @ later.for_sessions.targets.T
    went_with = recommender.for_sessions.contexts @ recommender.for_sessions.targets.T
    assert np.allclose(goes_with, went_with, atol=1e-3)
    assert np.isfinite(trained(*LINES, as_of=FIRST_DAY + timedelta(days=30_000)).history.data).all()


def test_without_a_day_everything_is_seen() -> None:
    assert trained(*LINES).training.lines == len(LINES)


def test_taste_is_learnt_and_nothing_bought_comes_again(recommender: Recommender) -> None:
    for customer, taste in ((10, "A"), (11, "B")):
        bought = {product for who, product, *_ in LINES if who == customer}
        found = codes(recommender.recommend(customer, count=5))
        assert len(found) == 5
        assert {code[0] for code in found} == {taste}
        assert bought.isdisjoint(found)
        again = codes(recommender.recommend(customer, count=5, repeats=True))
        assert not bought.isdisjoint(again)


def test_a_session_is_answered_with_its_taste(recommender: Recommender) -> None:
    browsed = ["B01", "B02", "B03"]
    found = codes(recommender.recommend(session=browsed))
    assert {code[0] for code in found} == {"B"}
    assert set(browsed).isdisjoint(found)


def test_a_known_customers_session_is_also_his_history_and_his_habits(
    recommender: Recommender,
) -> None:
    session = sparse.csr_array(([1.0], ([0], [79])), shape=(1, 80), dtype=np.float32)
    contexts, targets = recommender.for_sessions.contexts, recommender.for_sessions.targets
    past = (recommender.history[[10]] @ contexts)[:, :DIMENSIONS]
    expected = contexts[[79]] @ targets.T
    expected += weights.HISTORY_IN_SESSION * past @ targets[:, :DIMENSIONS].T
    expected += weights.BUY_AGAIN_IN_SESSION * recommender.habits[[10]].toarray()
    scores = recommender.session_scores(session, np.array([10]))
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)


def test_a_session_is_the_sum_of_its_contexts(recommender: Recommender) -> None:
    session = sparse.csr_array(np.eye(3, 80, dtype=np.float32).sum(axis=0, keepdims=True))
    vector = recommender.session_vectors(session, np.array([-1]))
    contexts = recommender.for_sessions.contexts
    np.testing.assert_allclose(vector[0], contexts[:3].sum(axis=0), rtol=1e-5)
    assert vector[0, DIMENSIONS] == 3
    buyers = np.log1p(recommender.popularity)
    popularity = recommender.for_sessions.targets[:, DIMENSIONS]
    np.testing.assert_allclose(popularity, weights.SESSION_POPULARITY * buyers, rtol=1e-6)


@pytest.mark.parametrize("session", [[], ["never sold"]])
def test_who_is_unknown_gets_what_is_popular(recommender: Recommender, session: list[str]) -> None:
    buyers = recent_buyers(training_set(*LINES))
    found = codes(recommender.recommend(999_999, session))
    of_found = [buyers[recommender.products == code][0] for code in found]
    assert of_found == sorted(buyers, reverse=True)[:10]


def test_an_unknown_product_does_not_disturb_a_session(recommender: Recommender) -> None:
    known = recommender.recommend(session=["A01"])
    assert recommender.recommend(session=["never sold", "A01", "A01"]) == known


def test_features_are_the_difference_from_everyone_and_a_prior_of_sessions() -> None:
    sold = history(*LINES)
    seen = sold.training_set(AS_OF)
    tastes = np.array(["A", "B"])[seen.customers % 2]
    seen = replace(seen, features={"country": tastes, "city": np.full(len(tastes), "")})
    learnt = train(seen, sold.baskets, AS_OF)
    assert (learnt.features.feature.tolist(), learnt.features.value.tolist()) == (
        ["country", "country"],
        ["A", "B"],
    )
    likes_b = learnt.features.of({"country": "B", "city": "nowhere"})
    scores = likes_b @ learnt.for_sessions.targets[:, :DIMENSIONS].T
    best = learnt.products[np.argsort(-scores)[:10]]
    assert {code[0] for code in best} == {"B"}
    assert not learnt.features.of({"country": "C"}).any()
    plain = learnt.recommend(session=["A01"], count=80)
    told = learnt.recommend(session=["A01"], count=80, features={"country": "B"})
    assert sum(r.score for r in told if r.product[0] == "B") > sum(
        r.score for r in plain if r.product[0] == "B"
    )
    known = learnt.recommend(10, ["A01"])
    assert learnt.recommend(10, ["A01"], features={"country": "B"}) == known


def test_similar_products_share_a_taste(recommender: Recommender) -> None:
    similar = recommender.similar_products(5)
    of_a01 = similar.product == "A01"
    assert similar.rank[of_a01].tolist() == [1, 2, 3, 4, 5]
    assert {code[0] for code in similar.similar[of_a01]} == {"A"}
    assert not (similar.product == similar.similar).any()
    assert (np.diff(similar.score[of_a01]) <= 0).all()
    assert (similar.score > 0).all()


def test_the_method_and_its_reason_are_told(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recommender.training.method is Method.EASE
    assert recommender.training.reason == "80 products, at most 20,000"
    monkeypatch.setattr(model, "DENSE_LIMIT", 79)
    large = trained(*LINES, as_of=AS_OF)
    assert (large.training.method, large.training.reason) == (
        Method.PURE_SVD,
        "80 products, more than 79",
    )
    assert {code[0] for code in codes(large.recommend(10, count=5))} == {"A"}


@pytest.mark.parametrize(
    "lines",
    [
        [line(1, "a"), line(1, "b", day=1)],
        [line(1, "a"), line(2, "a", day=1)],
    ],
)
def test_one_customer_or_one_product_is_popularity(
    lines: list[Line],
) -> None:
    alone = trained(*lines)
    assert alone.training.method is Method.POPULARITY
    assert "two customers and two products" in alone.training.reason
    assert codes(alone.recommend(None))[0] == "a"
    assert len(alone.similar_products().product) == 0


def test_two_customers_and_two_products_are_enough() -> None:
    small = trained(line(1, "a"), line(1, "b"), line(2, "a"))
    assert small.training.method is Method.EASE
    assert codes(small.recommend(2)) == ["b"]


def test_products_without_lines_are_unknown(recommender: Recommender) -> None:
    assert "C00" not in recommender.products
    assert recommender.recommend(session=["C00"]) == recommender.recommend()


@pytest.mark.parametrize("lines", [[], [line(1, "a", day=5)]])
def test_nothing_to_learn_from_is_refused(lines: list[Line]) -> None:
    with pytest.raises(TrainingError, match="no purchases before 2024-01-01"):
        trained(*lines, as_of=FIRST_DAY)
    with pytest.raises(TrainingError, match="no purchases to learn from"):
        trained()
