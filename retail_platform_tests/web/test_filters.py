"""The dashboard's URL as filters, whatever it says."""

from contextlib import suppress
from datetime import date, timedelta
from urllib.parse import parse_qsl

import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from retail_platform.serving.analytics import bind, load_analytics
from retail_platform.serving.query import DIALECT
from retail_platform.web.filters import LONGEST_NAME, MOST_ROWS, BadFilter, Filters

DEFAULT = Filters(date(2004, 6, 1), date(2005, 5, 31))

days = st.dates(date(1900, 1, 1), date(2199, 12, 31))
texts = st.text(
    st.characters(categories=["L", "N", "P", "S"], include_characters=" "),
    min_size=1,
    max_size=LONGEST_NAME,
).filter(lambda text: text.strip() == text)


@st.composite
def filters(draw: st.DrawFn) -> Filters:
    first, last = sorted([draw(days), draw(days)])
    name = st.none() | texts
    return Filters(first, last, draw(name), draw(name), draw(st.integers(1, MOST_ROWS)))


@given(filters())
def test_a_url_says_what_it_was_made_of(asked: Filters) -> None:
    assert Filters.read(dict(parse_qsl(asked.url())), DEFAULT) == asked


@given(
    st.dictionaries(
        st.sampled_from(["from", "to", "country", "product_line", "n", "other"]), st.text()
    )
)
def test_any_url_is_filters_or_is_refused(query: dict[str, str]) -> None:
    with suppress(BadFilter):
        found = Filters.read(query, DEFAULT)
        assert found.date_from <= found.date_to
        assert 1 <= found.n <= MOST_ROWS


@given(filters())
def test_the_period_before_ends_the_day_before_and_is_as_long(asked: Filters) -> None:
    before = asked.previous
    assert before.date_to == asked.date_from - timedelta(days=1)
    assert before.days == asked.days
    assert (before.country, before.product_line) == (asked.country, asked.product_line)


QUERY = load_analytics()["sales_by_country"]


@given(texts)
def test_no_name_becomes_sql(country: str) -> None:
    """Whatever it is called, a country is a literal of the statement and nothing else of it."""
    asked = DEFAULT.of_country(country)
    tree = sqlglot.parse_one(bind(QUERY, **asked.values(QUERY)), dialect=DIALECT)
    plain = DEFAULT.of_country("x")
    other = sqlglot.parse_one(bind(QUERY, **plain.values(QUERY)), dialect=DIALECT)
    literals = [one for one in other.find_all(exp.Literal) if one.this == "x"]
    assert len(literals) == 2
    for one in literals:
        one.replace(exp.Literal.string(country))
    assert tree == other


def test_what_is_left_out_is_by_default() -> None:
    assert Filters.read({}, DEFAULT) == DEFAULT
    assert Filters.read({"from": "", "country": " ", "n": ""}, DEFAULT) == DEFAULT
