"""What the dashboard offers and compares, without a lake."""

from datetime import date
from decimal import Decimal

import pytest

from retail_platform.web.figures import Choices, KeyFigure
from retail_platform.web.filters import Filters


def test_periods_are_whole_months_up_to_the_last_day_of_sales() -> None:
    choices = Choices(date(2003, 1, 6), date(2005, 1, 15), [], [])
    found = {name: (f.date_from, f.date_to) for name, f in choices.periods(choices.default)}
    assert found == {
        "3 months": (date(2004, 11, 1), date(2005, 1, 15)),
        "12 months": (date(2004, 2, 1), date(2005, 1, 15)),
        "This year": (date(2005, 1, 1), date(2005, 1, 15)),
        "All": (date(2003, 1, 6), date(2005, 1, 15)),
    }
    assert choices.default == Filters(date(2004, 2, 1), date(2005, 1, 15))


def test_a_young_shop_begins_with_its_first_day() -> None:
    choices = Choices(date(2005, 1, 6), date(2005, 1, 15), [], [])
    assert {f.date_from for _, f in choices.periods(choices.default)} == {
        date(2005, 1, 6),
    }


@pytest.mark.parametrize(
    ("value", "previous", "kind", "change"),
    [
        (Decimal("150.00"), Decimal("100.00"), "money", 50.0),
        (50, 100, "count", -50.0),
        (100, 100, "count", 0.0),
        (5, 0, "count", None),
        (Decimal("1.00"), None, "money", None),
        (None, Decimal("1.00"), "money", None),
        (36.9, 37.1, "percent", pytest.approx(-0.2)),
    ],
)
def test_a_change_is_in_percent_or_in_points(
    value: Decimal | int | float | None,
    previous: Decimal | int | float | None,
    kind: str,
    change: float | None,
) -> None:
    assert KeyFigure("x", value, previous, kind).change == change  # type: ignore[arg-type]
