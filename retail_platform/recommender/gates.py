"""What a model has to reach before it may be published, and whether it did."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

from retail_platform.contracts.checks import ENOUGH_HISTORY, CheckResult, check_of
from retail_platform.contracts.model import Gate, Table
from retail_platform.recommender.report import PLATFORM, Comparison, Protocol, Report

ENOUGH_QUESTIONS = 100
"""Fewer leave a standard error of recall as large as the differences that are judged."""

ONLINE_RETAIL = (
    Gate("new_recall", "", Protocol.NEW, "recall_at_10", 0.115),
    Gate("session_recall", "", Protocol.SESSION_3, "recall_at_10", 0.155),
    Gate("session_mrr", "", Protocol.SESSION_3, "mrr", 0.35),
    Gate("known_session_recall", "", Protocol.SESSION_KNOWN_3, "recall_at_10", 0.25),
)
"""What a good model is known to reach on that data set."""

_CLEAR = 2.0
"""Standard errors by which a model must be worse to be called so."""


@dataclass(frozen=True)
class Verdict:
    """A demand, and what was reached.

    Attributes:
        gate: The demand.
        reached: The figure reached.
        required: The least that passes.
    """

    gate: Gate
    reached: float
    required: float

    @property
    def passed(self) -> bool:
        """Whether the demand is met."""
        return self.reached >= self.required

    def __str__(self) -> str:
        gate = self.gate
        against = f" against {gate.at_least:g} x {gate.times}" if gate.times else ""
        return (
            f"{gate.protocol} {gate.metric}{against}: {self.reached:.4f}, "
            f"required {self.required:.4f}"
        )


def judge(comparison: Comparison, gates: Sequence[Gate]) -> list[Verdict]:
    """What became of the demands whose protocols have at least `ENOUGH_QUESTIONS` questions."""
    unjudged = too_short(comparison)
    return [_verdict(comparison, gate) for gate in gates if gate.protocol not in unjudged]


def too_short(comparison: Comparison) -> list[str]:
    """The protocols for which the test holds too little to judge by."""
    return [name for name, count in comparison.questions.items() if count < ENOUGH_QUESTIONS]


def checks(table: Table, report: Report) -> list[CheckResult]:
    """The outcomes of a contract's gates; what cannot be judged passes, and a warning says so."""
    if not table.gates:
        return []
    comparison = report.comparison
    verdicts = {v.gate.name: v for v in judge(comparison, table.gates)} if comparison else {}
    evidence = comparison.markdown() if comparison else ""
    results = []
    for gate in table.gates:
        verdict = verdicts.get(gate.name)
        failed = verdict is not None and not verdict.passed
        told = str(verdict) if verdict else "not judged"
        result = check_of(table, gate.name).result(table.name, int(failed), told)
        figures = {"reached": verdict.reached, "required": verdict.required} if verdict else {}
        results.append(replace(result, evidence=evidence, figures=figures))
    lacking = "" if len(verdicts) == len(table.gates) else _lacking(report)
    enough = check_of(table, ENOUGH_HISTORY)
    return [*results, enough.result(table.name, int(bool(lacking)), lacking)]


def worse_than_live(new: Comparison | None, live: Comparison | None) -> str:
    """Why a model must not take the place of the one that is live; empty where it may.

    Each was judged on the four weeks before its own last day. It is clearly worse where its recall
    is below the other's by more than two standard errors of their difference, taken as those of a
    share, which is at least as large as the recall's own.

    Args:
        new: Of the model that would be published.
        live: Of the model that is.
    """
    if new is None or live is None:
        return ""
    unjudged = {*too_short(new), *too_short(live)}
    for protocol in (p.value for p in Protocol if p.value not in unjudged):
        ours, theirs = new.result(PLATFORM, protocol), live.result(PLATFORM, protocol)
        if ours is None or theirs is None:
            continue
        error = sqrt(
            sum(
                result.recall_at_10 * (1 - result.recall_at_10) / comparison.questions[protocol]
                for result, comparison in ((ours, new), (theirs, live))
            )
        )
        if ours.recall_at_10 < theirs.recall_at_10 - _CLEAR * error:
            return (
                f"{protocol} recall_at_10 is {ours.recall_at_10:.4f} and that of the live version "
                f"{theirs.recall_at_10:.4f}, which is clearly worse"
            )
    return ""


def _lacking(report: Report) -> str:
    if report.comparison is None:
        return f"published unjudged: {report.unjudged}"
    counts = ", ".join(
        f"{name} has {report.comparison.questions[name]:,}" for name in too_short(report.comparison)
    )
    return (
        f"published unjudged, because the last four weeks ask too little: {counts} of the "
        f"{ENOUGH_QUESTIONS} questions that it takes"
    )


def _verdict(comparison: Comparison, gate: Gate) -> Verdict:
    ours = comparison.result(PLATFORM, gate.protocol)
    theirs = comparison.result(gate.times or PLATFORM, gate.protocol)
    assert ours is not None  # noqa: S101  (it is asked whatever is asked)
    reached: float = getattr(ours, gate.metric)
    # A method that cannot answer the protocol demands nothing.
    reference = getattr(theirs, gate.metric) if theirs else 0.0
    required = gate.at_least * (reference if gate.times else 1)
    return Verdict(gate, reached, required)
