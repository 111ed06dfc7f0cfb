"""Honest comparison: what is asked, what counts, and what is judged."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from retail_platform.contracts.loader import load_contracts
from retail_platform.errors import TrainingError
from retail_platform.recommender import evaluation as evaluation_module
from retail_platform.recommender.evaluation import Questions, ask, compare
from retail_platform.recommender.gates import ENOUGH_QUESTIONS, ONLINE_RETAIL, judge
from retail_platform.recommender.model import Recommender
from retail_platform.recommender.report import (
    ITEM_NEIGHBOURS,
    OWN_HISTORY,
    PLATFORM,
    POPULARITY,
    PURE_SVD,
    Comparison,
    Protocol,
)
from retail_platform.sources.sample.history import of_lines
from retail_platform.sources.sample.online_retail import purchase_lines
from retail_platform_tests.recommender.shop import (
    EVER,
    FIRST_DAY,
    Line,
    history,
    line,
    purchases,
    trained,
    two_tastes,
)
from retail_platform_tests.test_online_retail import FILE

CUT = FIRST_DAY + timedelta(days=50)
PAST = [
    *(line(1, product, day=40) for product in "abc"),
    *(line(2, product, day=40) for product in "cdefghijk"),
]


def questions(protocol: Protocol, *future: Line) -> tuple[Recommender, Questions]:
    recommender = trained(*PAST, as_of=CUT)
    return recommender, ask(protocol, recommender, purchases(*future))


def names(recommender: Recommender, row: NDArray[np.float32]) -> str:
    return "".join(recommender.products[np.flatnonzero(row)])


def test_new_wants_what_known_customers_never_bought() -> None:
    recommender, asked = questions(
        Protocol.NEW,
        *(line(1, product, day=60) for product in "ad"),
        line(1, "unseen", day=61),
        line(2, "c", day=60),  # nothing new
        line(3, "a", day=60),  # nobody knows him
    )
    assert len(asked) == 1
    assert names(recommender, asked.wanted.toarray()[0]) == "d"
    assert asked.wanted_counts.tolist() == [1], "nobody can name what the training never saw"
    assert names(recommender, asked.excluded.toarray()[0]) == "abc"
    assert asked.session.nnz == 0


def test_repeat_wants_all_that_known_customers_buy() -> None:
    recommender, asked = questions(
        Protocol.REPEAT,
        line(1, "a", day=60),
        line(1, "a", day=61),
        line(1, "d", day=61),
        line(2, "c", day=60),
    )
    assert [names(recommender, row) for row in asked.wanted.toarray()] == ["ad", "c"]
    assert asked.wanted_counts.tolist() == [2, 1]
    assert asked.excluded.nnz == 0


@pytest.mark.parametrize("protocol", [Protocol.SESSION_3, Protocol.SESSION_KNOWN_3])
def test_sessions_show_the_first_three_products_and_want_the_rest(protocol: Protocol) -> None:
    recommender, asked = questions(
        protocol,
        *(line(1, product, 60, order=7, at=at) for at, product in enumerate("kjihgfed")),
        line(1, "j", 60, order=7, at=20),
        *(line(1, product, 60, order=8, at=at) for at, product in enumerate("abcdefg")),  # short
        *(line(None, product, 60, order=9, at=at) for at, product in enumerate("abcdefgh")),
    )
    known = protocol is Protocol.SESSION_KNOWN_3
    first, *others = asked.session.toarray()
    assert names(recommender, first) == "ijk"
    assert names(recommender, asked.wanted.toarray()[0]) == "defgh"
    assert names(recommender, asked.excluded.toarray()[0]) == "ijk"
    assert names(recommender, asked.history.toarray()[0]) == ("abc" if known else "")
    assert len(others) == (0 if known else 1), "a guest is not known"
    assert asked.wanted_counts.tolist() == ([5] if known else [5, 5])


@pytest.fixture(scope="module")
def evaluation() -> Comparison:
    return compare(history(*two_tastes()))


def test_the_test_is_the_last_four_weeks(evaluation: Comparison) -> None:
    assert (evaluation.last_day - evaluation.cut).days == 28
    assert evaluation.training.as_of == evaluation.cut
    assert evaluation.questions[Protocol.NEW] >= ENOUGH_QUESTIONS


def test_every_method_answers_what_it_can(evaluation: Comparison) -> None:
    answered = {(result.method, result.protocol) for result in evaluation.results}
    for method in (PLATFORM, PURE_SVD, ITEM_NEIGHBOURS, POPULARITY):
        assert {(method, protocol) for protocol in Protocol} <= answered
    assert {protocol for method, protocol in answered if method == OWN_HISTORY} == {
        Protocol.REPEAT,
        Protocol.SESSION_KNOWN_3,
    }
    for result in evaluation.results:
        for figure in (result.recall_at_10, result.ndcg_at_10, result.mrr, result.coverage_at_10):
            assert 0 <= figure <= result.hit_rate_at_10 or figure == result.coverage_at_10


def test_taste_beats_popularity(evaluation: Comparison) -> None:
    recall = {
        result.method: result.recall_at_10
        for result in evaluation.results
        if result.protocol is Protocol.NEW
    }
    assert recall[PLATFORM] > 1.5 * recall[POPULARITY]


def test_the_same_history_gives_the_same_figures(evaluation: Comparison) -> None:
    again = compare(history(*reversed(two_tastes())))
    assert [replace(result, train_seconds=0) for result in again.results] == [
        replace(result, train_seconds=0) for result in evaluation.results
    ]


def test_more_questions_than_tell_more_are_not_asked(
    evaluation: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_module, "MOST_QUESTIONS", 50)
    fewer = compare(history(*two_tastes()))
    assert fewer.questions == dict.fromkeys(Protocol, 50)
    again = compare(history(*two_tastes()))
    assert [replace(r, train_seconds=0) for r in again.results] == [
        replace(r, train_seconds=0) for r in fewer.results
    ]


def test_one_customer_is_answered_with_what_is_popular() -> None:
    days = [*range(0, 100, 10), 127]
    alone = compare(history(*(line(1, f"p{day}", day) for day in days), line(1, "p0", 128)))
    platform = next(r for r in alone.results if r.method == PLATFORM and r.protocol == "repeat")
    assert platform.hit_rate_at_10 == 1


def test_a_history_of_no_more_than_the_test_is_refused() -> None:
    with pytest.raises(TrainingError, match="more than 28 days of sales"):
        compare(history(line(1, "a", day=0), line(2, "a", day=28)))
    with pytest.raises(TrainingError, match="no purchases to learn from"):
        compare(history())


def test_a_test_without_questions_is_refused() -> None:
    with pytest.raises(TrainingError, match="nobody who bought before"):
        compare(history(line(1, "a", day=0), line(2, "a", day=60)))


@pytest.mark.skipif(not FILE.exists(), reason="the Online Retail file is not beside the project")
def test_online_retail_passes_every_gate() -> None:
    sold = of_lines(purchase_lines(FILE))
    assert (sold.baskets.customer >= 0).sum() == 396_337
    assert len(sold.training_set(EVER).customers) == 4_334
    compared = compare(sold)
    assert compared.cut.isoformat() == "2011-11-11"
    assert compared.questions == {
        "new": 1_223,
        "repeat": 1_333,
        "session_3": 1_895,
        "session_known_3": 1_587,
    }
    demands = load_contracts().table("product_embeddings").gates
    judged = judge(compared, (*demands, *ONLINE_RETAIL))
    assert len(judged) == 8
    assert [str(verdict) for verdict in judged if not verdict.passed] == []
