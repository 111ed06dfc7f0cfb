"""Months: parsing, order, and what lies within."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_platform.contracts.months import MonthRange, month_start, next_month
from retail_platform.errors import ConfigurationError


def test_a_range_includes_both_of_its_months() -> None:
    months = MonthRange.parse("2003-11", "2004-02")
    assert list(months) == [
        date(2003, 11, 1),
        date(2003, 12, 1),
        date(2004, 1, 1),
        date(2004, 2, 1),
    ]
    assert len(months) == 4
    assert date(2004, 2, 29) in months
    assert date(2004, 3, 1) not in months
    assert months.end == date(2004, 3, 1)
    assert str(months) == "2003-11..2004-02"


def test_one_month_is_a_range_too() -> None:
    assert list(MonthRange.parse("2004-01")) == [date(2004, 1, 1)]


@pytest.mark.parametrize("text", ["2004", "2004-13", "2004-1", "0000-01", "2004-01-01", "x"])
def test_what_is_no_month_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{text}' is not a month: write it as YYYY-MM"):
        MonthRange.parse(text)


def test_a_backward_range_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="backwards"):
        MonthRange.parse("2004-02", "2004-01")


def test_a_range_within_a_month_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="first days"):
        MonthRange(date(2004, 1, 2), date(2004, 2, 1))


@given(st.dates(max_value=date(9999, 11, 30)))
def test_every_day_lies_between_its_month_and_the_next(day: date) -> None:
    assert month_start(day) <= day < next_month(day)
    assert day in MonthRange(month_start(day), month_start(day))
