"""Copies and what they were copied from agree to the cent, in every month."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_platform.contracts.checks import CheckResult
from retail_platform.contracts.model import Column, MonthPartition, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.protocol import Measures
from retail_platform.reconciliation import reconcile, reconcile_with_source

SALES = Table(
    "raw",
    "sales",
    "",
    "",
    (Column("day", "date", ""), Column("month", "date", "")),
    (),
    partition=MonthPartition("month", "day"),
    measures={"rows": "count(*)", "amount": "sum(amount)"},
)
SHOPS = replace(SALES, name="shops", partition=None)
YEAR = MonthRange.parse("2004-01", "2004-12")
NOW = MonthRange.parse("2004-06", "2004-07")

KEYS = [f"{month:%Y-%m}" for month in YEAR]
AMOUNTS = st.fixed_dictionaries(
    {"rows": st.integers(0, 5).map(Decimal), "amount": st.decimals(0, 9, places=2)}
)
MONTHLY = st.dictionaries(st.sampled_from(KEYS), AMOUNTS)


def row(rows: int, amount: str = "0.00") -> dict[str, Decimal]:
    return {"rows": Decimal(rows), "amount": Decimal(amount)}


def compare(expected: Measures, found: Measures, built: MonthRange = NOW) -> list[CheckResult]:
    return reconcile(SALES, expected, found, built, YEAR, "the source")


@given(MONTHLY)
def test_what_is_equal_agrees(measures: Measures) -> None:
    assert all(result.passed for result in compare(measures, measures))


@given(MONTHLY, MONTHLY)
def test_every_differing_month_counts_once_inside_or_outside_the_run(
    expected: Measures, found: Measures
) -> None:
    differing = [key for key in KEYS if expected.get(key, row(0)) != found.get(key, row(0))]
    built = [key for key in differing if date.fromisoformat(f"{key}-01") in NOW]
    inside, outside = compare(expected, found)
    assert inside.failing_rows == len(built)
    assert outside.failing_rows == len(differing) - len(built)
    assert inside.blocks == bool(built)
    assert not outside.blocks
    assert outside.fails == (len(differing) > len(built))


@given(MONTHLY, MONTHLY)
def test_neither_side_is_privileged(one: Measures, other: Measures) -> None:
    assert [result.failing_rows for result in compare(one, other)] == [
        result.failing_rows for result in compare(other, one)
    ]


@given(MONTHLY, MONTHLY)
def test_a_run_over_all_months_leaves_none_outside(one: Measures, other: Measures) -> None:
    inside, outside = compare(one, other, YEAR)
    assert outside.passed
    assert inside.failing_rows == sum(result.failing_rows for result in compare(one, other))


def test_a_difference_is_shown_from_both_sides_to_the_cent() -> None:
    inside, _ = compare({"2004-06": row(2, "10.10")}, {"2004-06": row(2, "10.11")})
    assert inside.detail == "2004-06: amount: the source 10.10, sales 10.11"


def test_months_outside_the_run_name_the_build_that_mends_them() -> None:
    expected = {"2004-02": row(1), "2004-06": row(1), "2004-09": row(1)}
    inside, outside = compare(expected, {"2004-06": row(1)})
    assert inside.passed
    assert outside.detail.endswith("; run `retail build --from 2004-02 --to 2004-09`")


def test_long_lists_are_cut() -> None:
    _, outside = compare({key: row(1) for key in KEYS}, {"2004-06": row(1), "2004-07": row(1)})
    assert outside.failing_rows == 10
    assert "(and 7 more months)" in outside.detail


def test_rows_without_a_month_count_as_the_runs() -> None:
    inside, outside = compare({}, {"": row(1)})
    assert (inside.failing_rows, outside.failing_rows) == (1, 0)


def test_a_table_without_months_has_one_result() -> None:
    (result,) = reconcile(SHOPS, {"": row(3)}, {"": row(2)}, NOW, YEAR, "the source")
    assert result.blocks
    assert result.detail == "rows: the source 3, shops 2"


def test_a_month_that_the_lake_may_hold_no_longer_goes_with_a_whole_build() -> None:
    _, outside = compare({}, {"1999-12": row(1), "2004-02": row(1)})
    assert outside.failing_rows == 2
    assert outside.detail.endswith("; run `retail build`")


@given(st.dictionaries(st.sampled_from(["", "1999-12", "2005-01", *KEYS]), AMOUNTS))
def test_every_source_row_is_in_a_stored_month_or_in_quarantine(totals: Measures) -> None:
    stored = {key: entry for key, entry in totals.items() if key in KEYS}
    aside = sum((entry["rows"] for key, entry in totals.items() if key not in KEYS), Decimal(0))

    def complaints(quarantined: Decimal) -> list[str]:
        quarantine = {"": {"sales": quarantined}}
        results = reconcile_with_source(SALES, totals, stored, quarantine, NOW, YEAR)
        return [result.detail for result in results if not result.passed]

    assert complaints(aside) == []
    assert complaints(aside + 1) == [
        f"{aside} source rows belong to no month, {aside + 1} are in quarantine: "
        "run `retail build sales quarantine`"
    ]


@pytest.mark.parametrize("quarantined", [0, 7])
def test_a_table_that_counts_no_rows_is_not_held_against_the_quarantine(quarantined: int) -> None:
    silent = replace(SALES, measures={"amount": "sum(amount)"})
    quarantine = {"": {"sales": Decimal(quarantined)}}
    results = reconcile_with_source(silent, {"": row(1)}, {}, quarantine, NOW, YEAR)
    assert all(result.passed for result in results)
