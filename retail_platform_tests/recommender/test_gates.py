"""What a model has to reach, and what is said where it does not, or where nobody can tell."""

from dataclasses import replace
from datetime import date

import pytest

from retail_platform.contracts.checks import ENOUGH_HISTORY, CheckResult
from retail_platform.contracts.model import Gate, Severity, Table
from retail_platform.recommender.gates import (
    ENOUGH_QUESTIONS,
    checks,
    judge,
    too_short,
    worse_than_live,
)
from retail_platform.recommender.report import (
    PLATFORM,
    POPULARITY,
    Comparison,
    Method,
    Protocol,
    Report,
    Result,
    Training,
)

BEATS = Gate("beats", "Beats popularity.", Protocol.NEW, "recall_at_10", 1.25, POPULARITY)
COVERS = Gate("covers", "Covers a tenth.", Protocol.NEW, "coverage_at_10", 0.1)
TABLE = Table("ml", "vectors", "", "", (), (), trained_from=("training",), gates=(BEATS, COVERS))
TRAINING = Training(Method.EASE, "few products", date(2024, 3, 1), 900, 90, 80, 0, 0.1)


def comparison(recall: float, popularity: float = 0.1, questions: int = 400) -> Comparison:
    def result(method: str, reached: float) -> Result:
        return Result(method, Protocol.NEW, reached, 0.1, 0.4, 0.2, 0.3, 0.1)

    results = (result(PLATFORM, recall), result(POPULARITY, popularity))
    counts = {p.value: questions if p is Protocol.NEW else 0 for p in Protocol}
    return Comparison(date(2024, 2, 1), date(2024, 2, 29), TRAINING, counts, results)


def report(compared: Comparison | None) -> Report:
    return Report("abc", TRAINING, compared, "" if compared else "there are only 28 days")


def by_name(compared: Comparison | None) -> dict[str, CheckResult]:
    return {result.check.name: result for result in checks(TABLE, report(compared))}


def test_a_verdict_is_the_figure_beside_what_is_required() -> None:
    beats, covers = judge(comparison(0.13), TABLE.gates)
    assert (beats.reached, beats.required, beats.passed) == (0.13, 0.125, True)
    assert str(beats) == "new recall_at_10 against 1.25 x popularity_14d: 0.1300, required 0.1250"
    assert (covers.reached, covers.required) == (0.3, 0.1)
    assert not replace(beats, reached=0.1249).passed


def test_a_model_below_a_gate_is_withheld() -> None:
    found = by_name(comparison(0.12))
    assert found["beats"].blocks
    assert found["beats"].detail.startswith("new recall_at_10 against 1.25 x popularity_14d: 0.12")
    assert "| platform | new | 400 | 0.1200 |" in found["beats"].evidence
    assert found["beats"].figures == {"reached": 0.12, "required": 0.125}
    assert found["covers"].passed
    assert found[ENOUGH_HISTORY].passed


@pytest.mark.parametrize(
    ("compared", "told"),
    [
        (comparison(0.0, questions=ENOUGH_QUESTIONS - 1), "new has 99"),
        (None, "published unjudged: there are only 28 days"),
    ],
)
def test_what_cannot_be_judged_is_published_with_a_warning(
    compared: Comparison | None, told: str
) -> None:
    found = by_name(compared)
    assert not any(result.blocks for result in found.values())
    assert found["beats"].detail == "not judged"
    warning = found[ENOUGH_HISTORY]
    assert not warning.passed
    assert warning.check.severity is Severity.WARN
    assert told in warning.detail


def test_only_protocols_with_enough_questions_are_judged() -> None:
    compared = comparison(0.13)
    assert too_short(compared) == [Protocol.REPEAT, Protocol.SESSION_3, Protocol.SESSION_KNOWN_3]
    repeats = replace(BEATS, protocol=Protocol.REPEAT)
    assert judge(compared, [repeats]) == []


def test_clearly_worse_is_more_than_two_standard_errors() -> None:
    live = comparison(0.2)
    error = (2 * 0.2 * 0.8 / 400) ** 0.5
    assert worse_than_live(comparison(0.2 - 1.8 * error), live) == ""
    told = worse_than_live(comparison(0.2 - 2.2 * error), live)
    assert told.startswith("new recall_at_10 is 0.1378 and that of the live version 0.2000")
    assert worse_than_live(comparison(0.3), live) == ""


def test_what_was_not_judged_is_not_compared() -> None:
    assert worse_than_live(None, comparison(0.2)) == ""
    assert worse_than_live(comparison(0.0), None) == ""
    assert worse_than_live(comparison(0.0, questions=50), comparison(0.2)) == ""
