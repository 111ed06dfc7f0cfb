"""Honest comparison: what is asked, what counts, and what is judged."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from retail_platform.errors import TrainingError
from retail_platform.recommender.evaluation import (
    ITEM_NEIGHBOURS,
    OWN_HISTORY,
    PLATFORM,
    POPULARITY,
    PURE_SVD,
    Evaluation,
    Protocol,
    Questions,
    ask,
    evaluate,
)
from retail_platform.recommender.gates import ENOUGH_QUESTIONS, Gate, gates, too_short
from retail_platform.recommender.model import Recommender, train
from retail_platform.recommender.purchases import Purchases
from retail_platform.sources.sample.online_retail import purchase_lines
from retail_platform_tests.recommender.shop import FIRST_DAY, Line, line, purchases, two_tastes
from retail_platform_tests.test_online_retail import FILE

CUT = FIRST_DAY + timedelta(days=50)
PAST = [
    *(line(1, product, day=40) for product in "abc"),
    *(line(2, product, day=40) for product in "cdefghijk"),
]


def questions(protocol: Protocol, *future: Line) -> tuple[Recommender, Questions]:
    recommender = train(purchases(*PAST), CUT)
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
def evaluation() -> Evaluation:
    return evaluate(purchases(*two_tastes()))


def test_the_test_is_the_last_four_weeks(evaluation: Evaluation) -> None:
    assert (evaluation.last_day - evaluation.cut).days == 28
    assert evaluation.recommender.training.as_of == evaluation.cut
    assert evaluation.questions[Protocol.NEW] >= ENOUGH_QUESTIONS


def test_every_method_answers_what_it_can(evaluation: Evaluation) -> None:
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


def test_taste_beats_popularity(evaluation: Evaluation) -> None:
    recall = {
        result.method: result.recall_at_10
        for result in evaluation.results
        if result.protocol is Protocol.NEW
    }
    assert recall[PLATFORM] > 1.5 * recall[POPULARITY]


def test_the_same_history_gives_the_same_figures(evaluation: Evaluation) -> None:
    again = evaluate(purchases(*reversed(two_tastes())))
    assert [replace(result, train_seconds=0) for result in again.results] == [
        replace(result, train_seconds=0) for result in evaluation.results
    ]


def test_gates_are_the_figures_beside_what_is_required(evaluation: Evaluation) -> None:
    found = {(r.method, r.protocol): r for r in evaluation.results}
    first, *_, last = gates(evaluation)
    assert first == Gate(
        "new recall_at_10 against 1.25 x popularity_14d",
        found[PLATFORM, Protocol.NEW].recall_at_10,
        1.25 * found[POPULARITY, Protocol.NEW].recall_at_10,
    )
    assert first.passed
    assert not replace(first, reached=first.required - 0.001).passed
    assert last.name == "repeat recall_at_10 against 1 x own_history"
    assert len(gates(evaluation)) == 4
    assert len(gates(evaluation, online_retail=True)) == 8


def test_what_has_too_few_questions_is_not_judged() -> None:
    small = evaluate(purchases(*two_tastes(customers=20)))
    assert too_short(small) == list(Protocol)
    assert gates(small) == []
    assert small.results, "but shown"


def test_one_customer_is_answered_with_what_is_popular() -> None:
    days = [*range(0, 100, 10), 127]
    alone = evaluate(purchases(*(line(1, f"p{day}", day) for day in days), line(1, "p0", 128)))
    platform = next(r for r in alone.results if r.method == PLATFORM and r.protocol == "repeat")
    assert platform.hit_rate_at_10 == 1


def test_a_history_of_no_more_than_the_test_is_refused() -> None:
    with pytest.raises(TrainingError, match="more than 28 days of sales"):
        evaluate(purchases(line(1, "a", day=0), line(2, "a", day=28)))
    with pytest.raises(TrainingError, match="no purchases to learn from"):
        evaluate(purchases())


def test_a_test_without_questions_is_refused() -> None:
    with pytest.raises(TrainingError, match="nobody who bought before"):
        evaluate(purchases(line(1, "a", day=0), line(2, "a", day=60)))


@pytest.mark.skipif(not FILE.exists(), reason="the Online Retail file is not beside the project")
def test_online_retail_passes_every_gate() -> None:
    history = Purchases.from_arrow(purchase_lines(FILE))
    assert (history.customer >= 0).sum() == 396_337
    assert len(history.customers) == 4_334
    evaluation = evaluate(history)
    assert evaluation.cut.isoformat() == "2011-11-11"
    assert evaluation.questions[Protocol.NEW] == 1_223
    assert evaluation.questions[Protocol.REPEAT] == 1_333
    assert evaluation.questions[Protocol.SESSION_3] == 1_895
    judged = gates(evaluation, online_retail=True)
    assert len(judged) == 8
    assert [gate for gate in judged if not gate.passed] == []
