"""What is answered to browse events.

The contract for others is `schemas/recommendation_event.v1.json`, which a test holds against this.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from lambda_inference.events import BrowseEvent, Instant


class Strategy(StrEnum):
    """By what someone was known."""

    KNOWN_SESSION = "known+session"  # by what he bought and what he browses
    KNOWN = "known"  # by what he bought alone
    FEATURES = "features"  # by what he browses and where he is
    SESSION = "session"  # by what he browses alone
    POPULARITY = "popularity"  # by nothing


class ReasonKind(StrEnum):
    """What speaks for a product."""

    BROWSED = "browsed"  # he browsed what it goes with
    BOUGHT = "bought"  # he bought what it goes with
    POPULAR = "popular"  # many bought it lately


class Reason(msgspec.Struct, frozen=True):
    """Why a product is recommended.

    Attributes:
        kind: What speaks for it.
        product_code: The product that it goes with.
    """

    kind: ReasonKind
    product_code: str | None = None


POPULAR = Reason(ReasonKind.POPULAR)


class Recommended(msgspec.Struct, frozen=True):
    """A product for someone.

    Attributes:
        id: Its code.
        score: Comparable within one answer only.
        reason: Why.
    """

    id: str
    score: float
    reason: Reason


class Similar(msgspec.Struct, frozen=True):
    """A product that goes with another.

    Attributes:
        id: Its code.
        score: Comparable within one list only.
    """

    id: str
    score: float


class SimilarItems(msgspec.Struct, frozen=True):
    """The products that go with one.

    Attributes:
        product_code: That one.
        similar_items: The best first.
    """

    product_code: str
    similar_items: list[Similar]


class Recommendations(msgspec.Struct, kw_only=True):
    """What is recommended to one visitor.

    Attributes:
        recommended_items: The best first; fewer where there are no more.
        similar_items: What goes with the product that he looked at last; None where it is unknown.
        strategy: By what he was known.
        model_version: Of the vectors; None where none were ever read.
        degraded: Whether the vector store was away: customers may then be unknown, and the model
            and the stock are those of the last time.
    """

    recommended_items: list[Recommended]
    similar_items: SimilarItems | None
    strategy: Strategy
    model_version: str | None
    degraded: bool


class RecommendationEvent(BrowseEvent, kw_only=True):
    """A browse event with what was recommended; one line in the lake.

    Attributes:
        event_id: Tells the event from all others.
        occurred_at: When it was, in UTC.
        generated_at: When it was answered, in UTC. The others are those of `BrowseEvent` and
            `Recommendations`.
    """

    event_id: str
    occurred_at: Instant
    recommended_items: list[Recommended]
    similar_items: SimilarItems | None
    strategy: Strategy
    model_version: str | None
    degraded: bool
    generated_at: Instant


def recommendation_event(
    event: BrowseEvent, found: Recommendations, generated_at: datetime
) -> RecommendationEvent:
    """An event, as `decode` gives it, and its answer as one."""
    assert event.event_id is not None  # noqa: S101  (decode gives one)
    return RecommendationEvent(
        event_id=event.event_id,
        schema_version=event.schema_version,
        session_id=event.session_id,
        customer_number=event.customer_number,
        city=event.city,
        country=event.country,
        credit_limit=event.credit_limit,
        occurred_at=event.occurred_at or generated_at,
        browse_history=event.browse_history,
        recommended_items=found.recommended_items,
        similar_items=found.similar_items,
        strategy=found.strategy,
        model_version=found.model_version,
        degraded=found.degraded,
        generated_at=generated_at,
    )


_ENCODER = msgspec.json.Encoder()


def lines(answers: "list[RecommendationEvent]") -> bytes:
    """Answers as JSON, each with the newline without which Athena sees one row an object."""
    return _ENCODER.encode_lines(answers)
