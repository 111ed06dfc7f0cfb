"""What a model has to reach before it may be published."""

from dataclasses import dataclass
from operator import attrgetter

from retail_platform.recommender.evaluation import (
    ITEM_NEIGHBOURS,
    OWN_HISTORY,
    PLATFORM,
    POPULARITY,
    Evaluation,
    Protocol,
)

ENOUGH_QUESTIONS = 100
"""Fewer leave a standard error of recall as large as the differences that are judged."""


@dataclass(frozen=True)
class Gate:
    """One demand.

    Attributes:
        name: What is demanded.
        reached: The figure reached.
        required: The least that passes.
    """

    name: str
    reached: float
    required: float

    @property
    def passed(self) -> bool:
        """Whether the demand is met."""
        return self.reached >= self.required


@dataclass(frozen=True)
class _Least:
    protocol: Protocol
    metric: str
    factor: float
    reference: str | None = None
    """The method whose same figure the factor multiplies; None where the factor is the demand."""


_ANY_HISTORY = (
    _Least(Protocol.NEW, "recall_at_10", 1.25, POPULARITY),
    _Least(Protocol.NEW, "recall_at_10", 1.10, ITEM_NEIGHBOURS),
    _Least(Protocol.NEW, "coverage_at_10", 0.10),
    _Least(Protocol.REPEAT, "recall_at_10", 1.0, OWN_HISTORY),
)

_ONLINE_RETAIL = (
    _Least(Protocol.NEW, "recall_at_10", 0.115),
    _Least(Protocol.SESSION_3, "recall_at_10", 0.155),
    _Least(Protocol.SESSION_3, "mrr", 0.35),
    _Least(Protocol.SESSION_KNOWN_3, "recall_at_10", 0.25),
)


def gates(evaluation: Evaluation, *, online_retail: bool = False) -> list[Gate]:
    """The demands that apply, with what was reached.

    Args:
        evaluation: Protocols with fewer than `ENOUGH_QUESTIONS` questions are not judged.
        online_retail: Whether the history is the Online Retail data set, for which it is known
            what a good model reaches.
    """
    demands = (*_ANY_HISTORY, *_ONLINE_RETAIL) if online_retail else _ANY_HISTORY
    unjudged = too_short(evaluation)
    return [_gate(evaluation, least) for least in demands if least.protocol not in unjudged]


def too_short(evaluation: Evaluation) -> list[Protocol]:
    """The protocols for which the test holds too little to judge by."""
    return [p for p, count in evaluation.questions.items() if count < ENOUGH_QUESTIONS]


def _gate(evaluation: Evaluation, least: _Least) -> Gate:
    figure = attrgetter(least.metric)
    by_method = {r.method: r for r in evaluation.results if r.protocol is least.protocol}
    name = f"{least.protocol} {least.metric}"
    required = least.factor
    if least.reference is not None:
        name += f" against {least.factor:g} x {least.reference}"
        required *= figure(by_method[least.reference])
    return Gate(name, figure(by_method[PLATFORM]), required)
