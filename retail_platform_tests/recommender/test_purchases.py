"""Purchase lines: their order, their cuts, and what is refused."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from retail_platform.errors import TrainingError
from retail_platform.recommender.interactions import (
    decayed_baskets,
    decayed_history,
    habits,
    order_counts,
    recent_buyers,
)
from retail_platform.recommender.purchases import Purchases, positions
from retail_platform_tests.recommender.shop import FIRST_DAY, line, purchases, table, training_set


def test_a_cut_keeps_what_its_lines_name_and_no_more() -> None:
    all_days = purchases(line(7, "new", day=2), line(5, "old", day=0), line(7, "old", day=1))
    before, since = all_days.before(date(2024, 1, 3)), all_days.since(date(2024, 1, 3))
    assert (before.customers.tolist(), before.products.tolist()) == ([5, 7], ["old"])
    assert (since.customers.tolist(), since.products.tolist()) == ([7], ["new"])
    assert len(before) + len(since) == len(all_days)
    assert before.last_day == date(2024, 1, 2)


def test_history_is_the_age_of_the_last_purchase_however_many_there_were() -> None:
    history = decayed_history(
        training_set(line(1, "a", day=0), line(1, "a", day=10), line(2, "b", day=10)),
        date(2024, 4, 10),  # 90 days after day 10
    )
    assert history.toarray().tolist() == [[0.5, 0], [0, 0.5]]


def test_habits_count_orders_and_the_age_of_the_last() -> None:
    seen = training_set(
        line(1, "a", day=0, order=7),
        line(1, "a", day=90, order=8),
        line(2, "b", day=90),
    )
    found = habits(seen, date(2024, 6, 29))  # 90 days after day 90
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found.toarray(), np.log1p([[2 * half, 0], [0, half]]), rtol=1e-6)
    assert order_counts(seen).toarray().tolist() == [[2, 0], [0, 1]]


def test_a_basket_is_an_order() -> None:
    lines = purchases(line(1, "a", order=8), line(1, "b", order=8), line(1, "a", order=9))
    assert decayed_baskets(lines, date(2024, 3, 31)).toarray().tolist() == [[0.5, 0.5], [0.5, 0]]


def test_popularity_counts_customers_of_the_last_fortnight() -> None:
    seen = training_set(
        line(1, "a", day=20, order=1),
        line(1, "a", day=20, order=2),
        line(2, "a", day=7),
        line(3, "b", day=6),
    )
    assert recent_buyers(seen).tolist() == [2, 0]


def test_a_guest_has_baskets_and_no_history() -> None:
    lines = purchases(line(None, "a", order=8), line(4, "b", order=9))
    assert (lines.customers.tolist(), lines.customer.tolist()) == ([4], [-1, 0])
    assert decayed_baskets(lines, date(2024, 3, 31)).toarray().tolist() == [[0.5, 0], [0, 0.5]]
    seen = training_set(line(None, "a", order=8), line(4, "b", order=9))
    assert (seen.customers.tolist(), seen.products.tolist()) == ([4], ["b"])
    assert lines.since(FIRST_DAY).customer.tolist() == [-1, 0]


def test_the_future_is_refused() -> None:
    bought = line(1, "a", day=0)
    with pytest.raises(TrainingError, match="not before 2024-01-01"):
        decayed_history(training_set(bought), FIRST_DAY)
    with pytest.raises(TrainingError, match="not before"):
        decayed_baskets(purchases(bought), FIRST_DAY)


def test_no_lines_have_no_last_day() -> None:
    with pytest.raises(TrainingError, match="retail build"):
        _ = purchases().last_day


def test_gaps_and_absent_columns_are_refused() -> None:
    whole = table([line(1, "a"), line(2, "b")])
    with pytest.raises(TrainingError, match="have no order_date"):
        Purchases.from_arrow(whole.drop_columns(["order_date"]))
    gap = whole.set_column(1, "product_code", pa.array(["a", None]))
    with pytest.raises(TrainingError, match="1 of 2 purchases have no product_code"):
        Purchases.from_arrow(gap)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1.5])
def test_numbers_that_are_no_numbers_are_refused(bad: float) -> None:
    lines = table([line(1, "a"), line(2, "b")])
    broken = lines.set_column(0, "customer_number", pa.array([1.0, bad]))
    with pytest.raises(TrainingError, match="customer_number of a purchase is no int64"):
        Purchases.from_arrow(broken)


def test_positions_are_found_or_minus_one() -> None:
    known = np.array(["b", "d"])
    assert positions(np.array(["a", "b", "c", "d", "e"]), known).tolist() == [-1, 0, -1, 1, -1]
    assert positions(np.array(["a"]), known[:0]).tolist() == [-1]
