"""The live version of the recommender in memory, and what it answers; NumPy and nothing else.

The formulas are those of `sql/vectors/schema.sql`, which answers one asker in the database: a test
holds the two against each other. A batch is answered as one multiplication of matrices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_inference.answers import (
    POPULAR,
    Reason,
    ReasonKind,
    Recommended,
    Similar,
    SimilarItems,
    Strategy,
)
from lambda_inference.ranking import best, blocks

Vectors = NDArray[np.float32]
Indices = NDArray[np.int64]

_MORE = 4
"""Candidates for each place, where a rule may leave some out."""


@dataclass(frozen=True)
class Rules:
    """What a shop does not want recommended.

    Attributes:
        allowed_lines: Product lines, of which alone is recommended; None for all.
        blocked_lines: Product lines of which nothing is.
        most_of_line: How many products of one line there are in one answer; None for any number.
    """

    allowed_lines: frozenset[str] | None = None
    blocked_lines: frozenset[str] = frozenset()
    most_of_line: int | None = None


@dataclass(frozen=True)
class Products:
    """What can be recommended, p products by their position.

    Attributes:
        codes: Codes, (p,).
        lines: The number of each product's line in `line_names`, (p,).
        line_names: Names of product lines; an empty one for products that have none.
        in_stock: Whether there are any, (p,).
        recent_buyers: How many customers bought each lately, (p,).
        contexts: Of products that a customer bought, (p, width).
        targets: For customers, (p, width).
        session_contexts: Of products that someone browsed, (p, width).
        session_targets: For sessions, (p, width).
        similar: Positions of the products that go with each, the best first, -1 for none, (p, n).
        similar_scores: Of these, (p, n).
    """

    codes: Sequence[str]
    lines: NDArray[np.int32]
    line_names: Sequence[str]
    in_stock: NDArray[np.bool_]
    recent_buyers: Indices
    contexts: Vectors
    targets: Vectors
    session_contexts: Vectors
    session_targets: Vectors
    similar: NDArray[np.int32]
    similar_scores: Vectors


@dataclass(frozen=True)
class Customer:
    """What a version knows of a customer.

    Attributes:
        vector: By what he bought, (width,).
        session_vector: The same, beside what he browses, (width,).
        bought: Positions of what he bought, (n,).
        weights: Of these, (n,).
    """

    vector: Vectors
    session_vector: Vectors
    bought: Indices
    weights: Vectors


@dataclass(frozen=True)
class Visitor:
    """Who asks.

    Attributes:
        customer: None for one whom nobody knows.
        browsed: Codes of the products that he looked at, the latest last.
        features: What else is known of him, by feature.
    """

    customer: Customer | None
    browsed: Sequence[str]
    features: Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """The answer to a visitor.

    Attributes:
        strategy: By what he was known.
        items: The best first.
        similar: What goes with the last product that he looked at; None where it is unknown.
    """

    strategy: Strategy
    items: list[Recommended]
    similar: SimilarItems | None


@dataclass(frozen=True)
class _Asked:
    """A visitor in the model's terms; `query` is empty where nothing is known of him."""

    strategy: Strategy
    browsed: Indices
    query: Vectors
    customer: Customer | None


@dataclass(frozen=True)
class Model:
    """One version.

    Attributes:
        version: Its number in the vector store.
        model_version: Of its vectors.
        history_in_session: What a purchase weighs beside a product that is browsed.
        products: What can be recommended.
        features: What each value of a feature adds to a session, (width,) each.
        rules: What is not recommended all the same.
    """

    version: int
    model_version: str
    history_in_session: float
    products: Products
    features: Mapping[tuple[str, str], Vectors]
    rules: Rules
    position: dict[str, int] = field(init=False, repr=False)
    _withheld: Indices = field(init=False, repr=False)
    _popular: Indices = field(init=False, repr=False)
    _similar: dict[tuple[int, int], SimilarItems] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        products, rules = self.products, self.rules
        allowed = rules.allowed_lines
        line = np.array(
            [
                (allowed is None or name in allowed) and name not in rules.blocked_lines
                for name in products.line_names
            ],
            dtype=np.bool_,
        )
        served = products.in_stock & line[products.lines]
        order = np.lexsort((np.array(products.codes), -products.recent_buyers))
        set_ = object.__setattr__
        set_(self, "position", {code: number for number, code in enumerate(products.codes)})
        set_(self, "_withheld", np.flatnonzero(~served))
        set_(self, "_popular", order[served[order]])
        set_(self, "_similar", {})

    @property
    def width(self) -> int:
        """Of every vector: taste, and recent popularity."""
        return int(self.products.targets.shape[1])

    def recommend(self, visitors: Sequence[Visitor], count: int) -> list[Found]:
        """The best products for each visitor, without those that he knows already.

        Args:
            visitors: Who ask.
            count: How many for each; fewer where there are no more.
        """
        asked = [self._asked(visitor) for visitor in visitors]
        items: list[list[Recommended]] = [[] for _ in asked]
        by_session = {Strategy.KNOWN_SESSION, Strategy.FEATURES, Strategy.SESSION}
        sessions = [number for number, one in enumerate(asked) if one.strategy in by_session]
        customers = [number for number, one in enumerate(asked) if one.strategy == Strategy.KNOWN]
        for chosen, targets, contexts, weight in (
            (
                sessions,
                self.products.session_targets,
                self.products.session_contexts,
                self.history_in_session,
            ),
            (customers, self.products.targets, self.products.contexts, 1.0),
        ):
            for rows in blocks(len(chosen), len(targets)):
                some = [asked[number] for number in chosen[rows]]
                found = self._nearest(some, targets, contexts, weight, count)
                for number, answer in zip(chosen[rows], found, strict=True):
                    items[number] = answer
        return [
            Found(
                one.strategy,
                found if one.strategy != Strategy.POPULARITY else self._most_popular(one, count),
                self.similar(int(one.browsed[-1]), count) if len(one.browsed) else None,
            )
            for one, found in zip(asked, items, strict=True)
        ]

    def embed(self, visitor: Visitor) -> tuple[Strategy, Vectors]:
        """The vector by which a visitor is known, (width,), zeros where he is by nothing."""
        asked = self._asked(visitor)
        query = asked.query if len(asked.query) else np.zeros(self.width, dtype=np.float32)
        return asked.strategy, query

    def similar(self, product: int, count: int) -> SimilarItems:
        """What goes with the product at a position, of what is served."""
        if (kept := self._similar.get((product, count))) is None:
            products = self.products
            known = products.similar[product]
            served = (known >= 0) & ~np.isin(known, self._withheld)
            kept = SimilarItems(
                products.codes[product],
                [
                    Similar(products.codes[position], score)
                    for position, score in zip(
                        known[served][:count].tolist(),
                        _rounded(products.similar_scores[product][served][:count]),
                        strict=True,
                    )
                ],
            )
            self._similar[product, count] = kept
        return kept

    def _asked(self, visitor: Visitor) -> _Asked:
        customer = visitor.customer
        # Once each, in the order of the last look.
        seen = dict.fromkeys(reversed([self.position.get(code, -1) for code in visitor.browsed]))
        seen.pop(-1, None)
        browsed = np.array(list(seen)[::-1], dtype=np.int64)
        if not len(browsed):
            if customer is None:
                return _Asked(Strategy.POPULARITY, browsed, np.zeros(0, np.float32), None)
            return _Asked(Strategy.KNOWN, browsed, customer.vector, customer)
        query = self.products.session_contexts[browsed].sum(axis=0)
        if customer is not None:
            query += customer.session_vector
            return _Asked(Strategy.KNOWN_SESSION, browsed, query, customer)
        strategy = Strategy.SESSION
        for told in visitor.features.items():
            if (prior := self.features.get(told)) is not None:
                query += prior
                strategy = Strategy.FEATURES
        return _Asked(strategy, browsed, query, None)

    def _nearest(
        self,
        asked: Sequence[_Asked],
        targets: Vectors,
        contexts: Vectors,
        bought_weight: float,
        count: int,
    ) -> list[list[Recommended]]:
        queries = np.stack([one.query for one in asked])
        scores = queries @ targets.T
        scores[:, self._withheld] = -np.inf
        for row, one in enumerate(asked):
            scores[row, one.browsed] = -np.inf
            if one.customer is not None:
                scores[row, one.customer.bought] = -np.inf
        ranking = self._ranked(scores, count)
        reasons = self._reasons(asked, queries, ranking, targets, contexts, bought_weight)
        found = np.take_along_axis(scores, ranking, axis=1)
        codes = self.products.codes
        return [
            [
                Recommended(codes[position], score, reason)
                for position, score, reason in zip(positions, row_scores, row_reasons, strict=True)
                if position >= 0
            ]
            for positions, row_scores, row_reasons in zip(
                ranking.tolist(), _rounded(found), reasons, strict=True
            )
        ]

    def _ranked(self, scores: Vectors, count: int) -> Indices:
        """The best of each row within the rules, (rows, count), -1 where there are no more."""
        if self.rules.most_of_line is None:
            return best(scores, count)
        wanted = min(count * _MORE, scores.shape[1])
        ranking = best(scores, wanted)
        result = np.full((len(scores), count), -1, dtype=np.int64)
        for row, candidates in enumerate(ranking):
            kept = self._within_lines(candidates, count)
            if len(kept) < count and wanted < scores.shape[1]:
                (everything,) = best(scores[row : row + 1], scores.shape[1])
                kept = self._within_lines(everything, count)
            result[row, : len(kept)] = kept
        return result

    def _within_lines(self, ranking: Indices, count: int) -> list[int]:
        """The first of a ranking, of each line at most as many as there may be."""
        most = self.rules.most_of_line
        taken: dict[int, int] = {}
        kept: list[int] = []
        for position in ranking.tolist():
            if position < 0 or len(kept) == count:
                break
            line = int(self.products.lines[position])
            taken[line] = taken.get(line, 0) + 1
            if most is None or taken[line] <= most:
                kept.append(position)
        return kept

    def _most_popular(self, asked: _Asked, count: int) -> list[Recommended]:
        """What most customers bought lately, for someone of whom nothing is known."""
        kept = self._popular
        if self.rules.most_of_line is None:
            kept = kept[:count]
        chosen = self._within_lines(kept, count)
        scores = _rounded(np.log1p(self.products.recent_buyers[chosen]).astype(np.float32))
        codes = self.products.codes
        return [
            Recommended(codes[position], score, POPULAR)
            for position, score in zip(chosen, scores, strict=True)
        ]

    def _reasons(
        self,
        asked: Sequence[_Asked],
        queries: Vectors,
        ranking: Indices,
        targets: Vectors,
        contexts: Vectors,
        bought_weight: float,
    ) -> list[list[Reason]]:
        """For each place of a ranking what the visitor browsed or bought that speaks most for it.

        It is popularity where that has a larger share of the score than taste.
        """
        taste = self.width - 1
        chosen = targets[np.maximum(ranking, 0)]  # (rows, count, width)
        by_taste = np.einsum("rd,rkd->rk", queries[:, :taste], chosen[:, :, :taste])
        by_popularity = queries[:, taste, None] * chosen[:, :, taste]
        is_taste = by_taste >= by_popularity
        places = np.arange(ranking.shape[1])
        shown = chosen[:, :, :taste]
        known: dict[int, Reason] = {}
        reasons = []
        for row, one in enumerate(asked):
            browsed = one.browsed if one.strategy != Strategy.KNOWN else one.browsed[:0]
            count = len(browsed)
            says = contexts[browsed, :taste] @ shown[row].T
            evidence = browsed
            if one.customer is not None:
                evidence = np.concatenate([browsed, one.customer.bought])
                past = contexts[one.customer.bought, :taste] @ shown[row].T
                past *= one.customer.weights[:, None] * bought_weight
                says = np.concatenate([says, past])
            if not len(evidence):
                reasons.append([POPULAR] * ranking.shape[1])
                continue
            most = says.argmax(axis=0)
            speaks = is_taste[row] & (says[most, places] > 0)
            answer = []
            for place, product, tells in zip(
                most.tolist(), evidence[most].tolist(), speaks.tolist(), strict=True
            ):
                if not tells:
                    answer.append(POPULAR)
                    continue
                key = product if place < count else ~product
                if (reason := known.get(key)) is None:
                    kind = ReasonKind.BROWSED if place < count else ReasonKind.BOUGHT
                    reason = known[key] = Reason(kind, self.products.codes[product])
                answer.append(reason)
            reasons.append(answer)
        return reasons


def _rounded(scores: Vectors) -> Any:
    """Scores as lists, with as many digits as half precision, which vectors had, can give."""
    return np.round(scores.astype(np.float64), 5).tolist()
