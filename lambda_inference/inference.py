"""Answers to batches of browse events: from the vector store, and where it is away from memory."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from lambda_inference.answers import (
    RecommendationEvent,
    Recommendations,
    SimilarItems,
    Strategy,
    recommendation_event,
)
from lambda_inference.events import BrowseEvent
from lambda_inference.features import features
from lambda_inference.model import Customer, Model, Vectors, Visitor
from lambda_inference.store import Unavailable, VectorReader

log = logging.getLogger(__name__)

KEPT_CUSTOMERS = 10_000
"""Remembered of a version, whose customers never change: those who came last."""


@dataclass(frozen=True)
class State:
    """What a batch is answered from.

    Attributes:
        model: The version; None where none was ever read.
        customers: Who is known of those that were asked for, by number.
        degraded: Whether the store was away.
    """

    model: Model | None
    customers: dict[int, Customer]
    degraded: bool


@dataclass(frozen=True)
class Embedding:
    """The vector by which someone is known.

    Attributes:
        strategy: By what.
        vector: To multiply with the products' targets, (width,).
        model_version: Of the vectors.
    """

    strategy: Strategy
    vector: Vectors
    model_version: str


class Inference:
    """The model of the live version in memory, over one vector store.

    Args:
        store: Asked once a batch, and once more where the version has changed.
        count: How many products are recommended.
        clock: Gives the time, in UTC.
    """

    def __init__(
        self,
        store: VectorReader,
        count: int = 10,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._count = count
        self._clock = clock
        self._model: Model | None = None
        # None for a number of which the version knows nothing.
        self._customers: OrderedDict[int, Customer | None] = OrderedDict()

    def answer(self, events: Sequence[BrowseEvent]) -> list[RecommendationEvent]:
        """The events with their recommendations, in their order; never fails for the store."""
        if not events:
            return []
        generated_at = self._clock()
        found = self.recommend(events)
        return [
            recommendation_event(event, one, generated_at)
            for event, one in zip(events, found, strict=True)
        ]

    def recommend(self, events: Sequence[BrowseEvent]) -> list[Recommendations]:
        """The same without the events."""
        state = self.state([e.customer_number for e in events if e.customer_number is not None])
        if state.model is None:
            nothing = Recommendations(
                recommended_items=[],
                similar_items=None,
                strategy=Strategy.POPULARITY,
                model_version=None,
                degraded=True,
            )
            return [nothing] * len(events)
        visitors = [_visitor(event, state) for event in events]
        return [
            Recommendations(
                recommended_items=one.items,
                similar_items=one.similar,
                strategy=one.strategy,
                model_version=state.model.model_version,
                degraded=state.degraded,
            )
            for one in state.model.recommend(visitors, self._count)
        ]

    def embed(self, event: BrowseEvent) -> Embedding:
        """The vector of whom an event is of.

        Raises:
            Unavailable: No version was ever read.
        """
        state = self.state([] if event.customer_number is None else [event.customer_number])
        model = _required(state.model)
        strategy, vector = model.embed(_visitor(event, state))
        return Embedding(strategy, vector, model.model_version)

    def similar(self, product_code: str, count: int | None = None) -> SimilarItems | None:
        """What goes with a product; None where the live version does not know it.

        Raises:
            Unavailable: No version was ever read.
        """
        model = _required(self.state([]).model)
        position = model.position.get(product_code)
        if position is None:
            return None
        return model.similar(position, self._count if count is None else count)

    def state(self, numbers: Sequence[int]) -> State:
        """The live version and the customers of some numbers, as far as they can be had."""
        wanted = set(numbers)
        degraded = False
        try:
            self._read(wanted)
        except Unavailable as error:
            log.warning("%s; answering from memory", error)
            degraded = True
        known = {}
        for number in wanted & self._customers.keys():
            self._customers.move_to_end(number)
            if (customer := self._customers[number]) is not None:
                known[number] = customer
        while len(self._customers) > KEPT_CUSTOMERS:
            self._customers.popitem(last=False)
        return State(self._model, known, degraded)

    def _read(self, wanted: Set[int]) -> None:
        """Asks for the live version, and for the customers of it that are not remembered."""
        new: Set[int] = wanted - self._customers.keys()
        remembered = wanted & self._customers.keys()
        version = None if self._model is None else self._model.version
        live = self._store.live(sorted(new), sorted(remembered), version)
        if self._model is None or live.version != version:
            self._model = self._store.model(live.version)
            log.info("serving version %d, model %s", live.version, self._model.model_version)
            self._customers.clear()
            new = wanted
        known = live.customers(self._model)
        self._customers.update({number: known.get(number) for number in new})


def _required(model: Model | None) -> Model:
    if model is None:
        raise Unavailable("the vector store does not answer, and nothing was read of it before")
    return model


def _visitor(event: BrowseEvent, state: State) -> Visitor:
    customer = event.customer_number
    known = None if customer is None else state.customers.get(customer)
    told = features(event.country, event.city, event.credit_limit)
    return Visitor(known, [browsed.product_code for browsed in event.browse_history], told)
