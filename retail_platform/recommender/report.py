"""What a training and its evaluation tell, as plain data that travels as JSON and needs no SciPy."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

PLATFORM = "platform"
"""The method that is published."""

POPULARITY = "popularity_14d"
ITEM_NEIGHBOURS = "item_knn"
OWN_HISTORY = "own_history"
PURE_SVD = "pure_svd"

REFERENCES = (POPULARITY, ITEM_NEIGHBOURS, OWN_HISTORY, PURE_SVD)
"""What the published method is compared with."""

METRICS = ("recall_at_10", "ndcg_at_10", "hit_rate_at_10", "mrr", "coverage_at_10")


class Method(StrEnum):
    """How the vectors were made."""

    EASE = "ease"
    PURE_SVD = "pure_svd"
    POPULARITY = "popularity"


class Protocol(StrEnum):
    """What an evaluation asks; see `recommender.evaluation`."""

    NEW = "new"
    REPEAT = "repeat"
    SESSION_3 = "session_3"
    SESSION_KNOWN_3 = "session_known_3"


@dataclass(frozen=True)
class Training:
    """What a recommender was made of, and how.

    Attributes:
        method: How.
        reason: Why that method.
        as_of: Only earlier days were seen.
        lines: Purchase lines seen.
        customers: Customers who bought.
        products: Products that were bought.
        seed: Of all that is random.
        seconds: What it took.
    """

    method: Method
    reason: str
    as_of: date
    lines: int
    customers: int
    products: int
    seed: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """How well a method answered a protocol; metrics are between 0 and 1, of the first ten places.

    Attributes:
        method: A contestant's name.
        protocol: What was asked.
        recall_at_10: See `metrics.recall`.
        ndcg_at_10: See `metrics.ndcg`.
        hit_rate_at_10: See `metrics.hit_rate`.
        mrr: See `metrics.mean_reciprocal_rank`.
        coverage_at_10: See `metrics.coverage`.
        train_seconds: What the method took to train.
    """

    method: str
    protocol: Protocol
    recall_at_10: float
    ndcg_at_10: float
    hit_rate_at_10: float
    mrr: float
    coverage_at_10: float
    train_seconds: float


@dataclass(frozen=True)
class Comparison:
    """Methods that learnt from the days before a cut, judged by the days since.

    Attributes:
        cut: The first day of the test.
        last_day: The last.
        training: Of the method that is published, before the cut.
        questions: How many were asked, by protocol.
        results: One for each method and protocol that it can answer and that has questions.
    """

    cut: date
    last_day: date
    training: Training
    questions: Mapping[str, int]
    results: tuple[Result, ...]

    def result(self, method: str, protocol: str) -> Result | None:
        """What a method reached; None where it was not asked."""
        for result in self.results:
            if (result.method, result.protocol) == (method, protocol):
                return result
        return None

    def markdown(self) -> str:
        """The comparison as a table, a line a method and protocol."""
        lines = [
            f"| method | protocol | questions | {' | '.join(METRICS)} |",
            f"|---|---|---{'|---' * len(METRICS)}|",
        ]
        for result in self.results:
            figures = " | ".join(f"{getattr(result, metric):.4f}" for metric in METRICS)
            asked = self.questions[result.protocol]
            lines.append(f"| {result.method} | {result.protocol} | {asked} | {figures} |")
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """What is known of trained embeddings.

    Attributes:
        model_version: Of the vectors; equal for equal vectors.
        training: What they were made of.
        comparison: How good the same training was four weeks before; None where nothing could be
            asked.
        unjudged: Why there is no comparison; empty where there is one.
    """

    model_version: str
    training: Training
    comparison: Comparison | None
    unjudged: str = ""
