"""What the dashboard shows: the questions of `sql/analytics` as key figures and charts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from retail_platform.contracts.months import next_month
from retail_platform.serving.analytics import AnalyticsQuery, bind
from retail_platform.serving.answers import Answer, Answers
from retail_platform.serving.render import MISSING
from retail_platform.web.filters import Filters
from retail_platform.web.pages import title

if TYPE_CHECKING:
    import pyarrow as pa

KEY_FIGURES = "key_figures"

MONTHS_SHOWN = 12
"""Up to that of the last day of sales, where the URL names no days."""

MOST_BARS = 30
"""Of a chart that shows all of a few; its table has them all."""

BOUNDS = "SELECT min(order_date) AS first, max(order_date) AS last FROM fact_orders WHERE is_sale"
_COUNTRIES = "SELECT DISTINCT country FROM dim_locations WHERE country IS NOT NULL ORDER BY 1"
_LINES = "SELECT DISTINCT product_line FROM dim_products WHERE product_line IS NOT NULL ORDER BY 1"


@dataclass(frozen=True)
class Choices:
    """What the filters can be set to.

    Attributes:
        first: The first day of sales.
        last: The last one.
        countries: Where customers are.
        product_lines: Of the products.
    """

    first: date
    last: date
    countries: Sequence[str]
    product_lines: Sequence[str]

    @property
    def default(self) -> Filters:
        """The last year of sales, from the first day of a month: no half month looks like a fall."""
        return Filters(max(self.first, _months_back(self.last, MONTHS_SHOWN)), self.last)

    def periods(self, filters: Filters) -> list[tuple[str, Filters]]:
        """Spans of days that people ask for, each with the filters that ask for it."""
        since = {
            "3 months": _months_back(self.last, 3),
            "12 months": _months_back(self.last, MONTHS_SHOWN),
            "This year": self.last.replace(month=1, day=1),
            "All": self.first,
        }
        return [(n, filters.between(max(d, self.first), self.last)) for n, d in since.items()]


@dataclass(frozen=True)
class KeyFigure:
    """One number, and what it was for as many days before.

    Attributes:
        title: What it is.
        value: None where there is nothing that it could be of.
        previous: The same for as many days before.
        kind: How it is written.
    """

    title: str
    value: Decimal | int | float | None
    previous: Decimal | int | float | None
    kind: Literal["money", "count", "percent"]

    @property
    def change(self) -> float | None:
        """In percent of what it was, or in points where it is one of percent itself."""
        if self.value is None or self.previous is None:
            return None
        if self.kind == "percent":
            return float(self.value) - float(self.previous)
        was = float(self.previous)
        return (float(self.value) - was) / was * 100 if was else None


@dataclass(frozen=True)
class Chart:
    """An answer to be looked at.

    Attributes:
        query: The question.
        kind: What is drawn.
        label: The column that names a place on the axis.
        measures: The columns that are drawn.
        rows: What is drawn; the table shows the same.
        count: How many rows the whole answer has.
        drill: For each row, the filters that show it alone; None where there are none.
        blind: What the filters say that the question does not ask for.
    """

    query: AnalyticsQuery
    kind: Literal["line", "bar"]
    label: str
    measures: Sequence[str]
    rows: "pa.Table"
    count: int
    drill: Sequence[Filters | None]
    blind: Sequence[str]

    @property
    def labels(self) -> list[str]:
        """The places on the axis."""
        return [_label(value) for value in self.rows.column(self.label).to_pylist()]

    @property
    def series(self) -> list[dict[str, Any]]:
        """What is drawn there, by measure: its name and its values."""
        return [
            {"name": title(name), "values": _numbers(self.rows.column(name).to_pylist())}
            for name in self.measures
        ]

    @property
    def links(self) -> list[str | None]:
        """Where each place leads."""
        return [f"/dashboard?{one.url()}" if one else None for one in self.drill]


@dataclass(frozen=True)
class Dashboard:
    """All of it.

    Attributes:
        key_figures: The numbers on top.
        charts: What is below them.
        empty: Whether nothing was sold.
        outdated: The oldest of the answers that could not be had anew; None where all could.
    """

    key_figures: Sequence[KeyFigure]
    charts: Sequence[Chart]
    empty: bool
    outdated: Answer | None


_Drill = Callable[[Mapping[str, Any], Filters], Filters | None]


def _to_month(row: Mapping[str, Any], filters: Filters) -> Filters | None:
    first = row["month"]
    last = next_month(first) - timedelta(days=1)
    return filters.between(max(first, filters.date_from), min(last, filters.date_to))


def _to_country(row: Mapping[str, Any], filters: Filters) -> Filters | None:
    return filters.of_country(row["country"]) if _is_known(row["country"]) else None


def _to_line(row: Mapping[str, Any], filters: Filters) -> Filters | None:
    return filters.of_line(row["product_line"]) if _is_known(row["product_line"]) else None


def _is_known(name: str | None) -> bool:
    """Whether it is a name to filter by, and none that stands for its absence."""
    return name not in (None, "", "Unknown")


def _nowhere(row: Mapping[str, Any], filters: Filters) -> Filters | None:
    return None


@dataclass(frozen=True)
class _Drawn:
    """How a question is drawn."""

    kind: Literal["line", "bar"]
    label: str
    measures: tuple[str, ...]
    drill: _Drill = _nowhere
    shows_first: bool = False  # of many rows: as many as the filters say


CHARTS: dict[str, _Drawn] = {
    "sales_by_month": _Drawn("line", "month", ("sales",), _to_month),
    "sales_by_country": _Drawn("bar", "country", ("sales",), _to_country),
    "sales_by_product_line": _Drawn("bar", "product_line", ("sales",), _to_line),
    "top_products": _Drawn("bar", "product_name", ("sales",), _to_line, True),
    "sales_by_representative": _Drawn("bar", "representative", ("sales",), shows_first=True),
    "sales_by_office": _Drawn("bar", "office_city", ("sales",)),
    "payments_against_sales": _Drawn(
        "bar", "customer_name", ("sales", "payments"), _to_country, True
    ),
}
"""The questions that the dashboard shows, in its order."""


def choices(answers: Answers) -> Choices | None:
    """What there is to choose from; None where nothing was ever sold.

    Raises:
        RetailError: See `Answers.all_of`.
    """
    if not answers.has("fact_orders"):
        return None
    bounds, countries, lines = (one.rows for one in answers.all_of([BOUNDS, _COUNTRIES, _LINES]))
    (days,) = bounds.to_pylist()
    if days["first"] is None:
        return None
    return Choices(
        days["first"],
        days["last"],
        [str(name) for name in countries.column(0).to_pylist()],
        [str(name) for name in lines.column(0).to_pylist()],
    )


def dashboard(
    answers: Answers, queries: Mapping[str, AnalyticsQuery], filters: Filters
) -> Dashboard:
    """What the dashboard shows.

    Args:
        answers: Answers what it asks.
        queries: The questions of `sql/analytics`.
        filters: What the figures are of.

    Raises:
        RetailError: See `Answers.all_of`.
    """
    key = queries[KEY_FIGURES]
    asked = [statement(key, filters), statement(key, filters.previous)]
    asked += [statement(queries[name], filters) for name in CHARTS]
    now, before, *charts = answers.all_of(asked)
    figures, previous = (next(iter(one.rows.to_pylist()), {}) for one in (now, before))
    late = [answer for answer in (now, before, *charts) if answer.outdated]
    return Dashboard(
        _key_figures(figures, previous),
        [
            _chart(queries[name], drawn, answer.rows, filters)
            for (name, drawn), answer in zip(CHARTS.items(), charts, strict=True)
        ],
        not figures,
        min(late, key=lambda answer: answer.answered_at) if late else None,
    )


@lru_cache(maxsize=1024)
def statement(query: AnalyticsQuery, filters: Filters) -> str:
    """A question about what the filters say."""
    return bind(query, **filters.values(query))


def _key_figures(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[KeyFigure]:
    named: list[tuple[str, str, Literal["money", "count", "percent"]]] = [
        ("Sales", "sales", "money"),
        ("Orders", "orders", "count"),
        ("Average order", "average_order_value", "money"),
        ("Customers", "customers", "count"),
        ("Margin", "margin", "money"),
        ("Margin of sales", "margin_percent", "percent"),
    ]
    return [KeyFigure(title, now.get(name), before.get(name), kind) for title, name, kind in named]


def _chart(query: AnalyticsQuery, drawn: _Drawn, rows: "pa.Table", filters: Filters) -> Chart:
    shown = rows
    if drawn.kind == "bar":
        shown = rows.slice(0, filters.n if drawn.shows_first else MOST_BARS)
    asked = {"product line": filters.product_line, "country": filters.country}
    return Chart(
        query,
        drawn.kind,
        drawn.label,
        drawn.measures,
        shown,
        rows.num_rows,
        [drawn.drill(row, filters) for row in shown.to_pylist()],
        [n for n, value in asked.items() if value and not query.takes(n.replace(" ", "_"))],
    )


def _months_back(day: date, months: int) -> date:
    """The first day of so many months, of which a day's own is the last."""
    year, month = divmod(day.year * 12 + day.month - months, 12)
    return date(year, month + 1, 1)


def _numbers(values: Sequence[Any]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


def _label(value: object) -> str:
    if value is None:
        return MISSING
    return f"{value:%b %Y}" if isinstance(value, date) else str(value)
