"""The filters of the dashboard: what its URL says, as data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from urllib.parse import urlencode

from retail_platform.serving.analytics import AnalyticsQuery, Value

MOST_ROWS = 100
"""Of a chart that shows the first of many."""

LONGEST_NAME = 100
"""Of a country or a product line, in characters."""

_DAYS = (date(1900, 1, 1), date(2199, 12, 31))


class BadFilter(ValueError):
    """A URL that names a filter in a way that cannot be read; the message says which and why."""


@dataclass(frozen=True)
class Filters:
    """What the figures are of.

    Attributes:
        date_from: The first day.
        date_to: The last day.
        country: Of the customers; None for all.
        product_line: Of the products; None for all.
        n: How many rows of those charts that show the first of many.
    """

    date_from: date
    date_to: date
    country: str | None = None
    product_line: str | None = None
    n: int = 10

    @classmethod
    def read(cls, query: Mapping[str, str], default: "Filters") -> "Filters":
        """The filters of a URL; what it leaves out, or empty, is by default.

        Args:
            query: `from`, `to`, `country`, `product_line` and `n`; others mean nothing.
            default: Whose days and number count where there are none.

        Raises:
            BadFilter: One cannot be read, or the days are in the wrong order.
        """
        filters = cls(
            _day(query, "from") or default.date_from,
            _day(query, "to") or default.date_to,
            _name(query, "country"),
            _name(query, "product_line"),
            _number(query, "n") or default.n,
        )
        if filters.date_from > filters.date_to:
            raise BadFilter(f"from {filters.date_from} is after to {filters.date_to}: swap them")
        return filters

    @property
    def days(self) -> int:
        """From the first day to the last, both of them counted."""
        return (self.date_to - self.date_from).days + 1

    @property
    def previous(self) -> "Filters":
        """The same for as many days before."""
        before = self.date_from - timedelta(days=1)
        return replace(self, date_from=before - timedelta(days=self.days - 1), date_to=before)

    def values(self, query: AnalyticsQuery) -> dict[str, Value]:
        """What a question's parameters are bound to, as far as it has them."""
        every: dict[str, Value] = {
            "country": self.country,
            "product_line": self.product_line,
            "date_from": self.date_from,
            "date_to": self.date_to,
            "n": self.n,
        }
        return {name: value for name, value in every.items() if query.takes(name)}

    def url(self) -> str:
        """The query of a URL that says the same."""
        told = {
            "from": self.date_from.isoformat(),
            "to": self.date_to.isoformat(),
            "country": self.country,
            "product_line": self.product_line,
            "n": self.n,
        }
        return urlencode({name: value for name, value in told.items() if value is not None})

    def of_country(self, country: str | None) -> "Filters":
        """The same for one country, or for all."""
        return replace(self, country=country)

    def of_line(self, product_line: str | None) -> "Filters":
        """The same for one product line, or for all."""
        return replace(self, product_line=product_line)

    def between(self, first: date, last: date) -> "Filters":
        """The same for other days."""
        return replace(self, date_from=first, date_to=last)


def _day(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError:
        raise BadFilter(f"{name} is a day like 2004-12-31") from None
    first, last = _DAYS
    if not first <= day <= last:
        raise BadFilter(f"{name} is a day from {first} to {last}")
    return day


def _name(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name, "").strip()
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise BadFilter(f"{name} is a name of at most {LONGEST_NAME} letters")
    return text or None


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not 1 <= int(text) <= MOST_ROWS:
        raise BadFilter(f"{name} is a number from 1 to {MOST_ROWS}")
    return int(text)
