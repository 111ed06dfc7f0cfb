"""Which checks follow from a contract, and what their failure means."""

from dataclasses import replace
from itertools import product

import pytest

from retail_platform.contracts.checks import Check, check_of, checks_of
from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.model import (
    Column,
    ForeignKey,
    MonthPartition,
    Rule,
    Severity,
    Table,
)
from retail_platform.contracts.sql import parse

BARE = Table("star", "things", "", "", (Column("id", "int", ""), Column("day", "date", "")), ())


def names(table: Table) -> list[str]:
    return [check.name for check in checks_of(table)]


@pytest.mark.parametrize(
    ("table", "checks"),
    [
        (BARE, []),
        (replace(BARE, primary_key=("id",)), ["primary_key"]),
        (replace(BARE, columns=(Column("id", "int", "", nullable=False),)), ["not_null"]),
        (replace(BARE, columns=(Column("id", "int", "", min="0"),)), ["id_in_range"]),
        (replace(BARE, columns=(Column("id", "int", "", max="9"),)), ["id_in_range"]),
        (
            replace(BARE, columns=(Column("id", "string", "", accepted_values=("a",)),)),
            ["id_accepted"],
        ),
        (replace(BARE, foreign_keys=(ForeignKey(("id",), "others", ("nr",)),)), ["id_exists"]),
        (replace(BARE, rules=(Rule("sane", "", "SELECT 1"),)), ["sane"]),
        (replace(BARE, min_rows=1), ["row_count"]),
        (replace(BARE, layer="raw"), ["reads_every_column"]),
        (replace(BARE, measures={"rows": "count(*)"}), ["reconciles"]),
        (
            replace(BARE, measures={"rows": "count(*)"}, partition=MonthPartition("month", "day")),
            ["reconciles", "reconciles_other_months"],
        ),
    ],
)
def test_a_check_follows_from_each_promise(table: Table, checks: list[str]) -> None:
    assert names(table) == checks


@pytest.mark.parametrize("table", [*load_contracts().tables.values()], ids=lambda t: t.name)
def test_names_are_unique_and_the_sql_can_be_parsed(table: Table) -> None:
    assert len(set(names(table))) == len(names(table))
    for check in checks_of(table):
        if sql := check.offenders or (check.condition and f"SELECT {check.condition}"):
            parse(sql)
        assert check.description


@pytest.mark.parametrize(
    ("failing", "severity", "blocking"), list(product([0, 2], Severity, [True, False]))
)
def test_a_result_fails_or_blocks(failing: int, severity: Severity, blocking: bool) -> None:
    result = Check("c", "", severity, blocking=blocking).result("things", failing, "why")
    assert result.passed == (failing == 0)
    assert result.fails == (failing > 0 and severity is Severity.ERROR)
    assert result.blocks == (result.fails and blocking)


def test_a_difference_in_other_months_does_not_withhold_the_run() -> None:
    orders = load_contracts().table("fact_orders")
    assert check_of(orders, "reconciles").blocking
    assert not check_of(orders, "reconciles_other_months").blocking


def test_a_quote_in_an_accepted_value_stays_text() -> None:
    column = Column("name", "string", "", accepted_values=("O'Hara",))
    assert check_of(replace(BARE, columns=(column,)), "name_accepted").condition == (
        "name NOT IN ('O''Hara')"
    )


def test_an_unknown_check() -> None:
    with pytest.raises(KeyError):
        check_of(BARE, "nothing")
