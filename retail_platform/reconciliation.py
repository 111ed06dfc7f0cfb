"""Whether what was copied and what it was copied from agree: exact, month by month. Pure."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from retail_platform.contracts.checks import (
    RECONCILES,
    RECONCILES_ELSEWHERE,
    CheckResult,
    check_of,
)
from retail_platform.contracts.model import Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.protocol import Measures

_SHOWN = 3


def reconcile(
    table: Table,
    expected: Measures,
    found: Measures,
    built: MonthRange | None,
    counterpart: str,
) -> list[CheckResult]:
    """Compares a table's measures with those of what it was made from.

    Args:
        table: The contract, whose measures are compared.
        expected: The measures of the counterpart, of all its months.
        found: The measures of the new version of the table, of all its months.
        built: The months that the run builds; None for all.
        counterpart: What to call the other side, such as `the source`.

    Returns:
        One result, and for a monthly table a second one for the months outside `built`.
    """
    differing = [
        month
        for month in sorted(set(expected) | set(found))
        if not _equal(table, expected.get(month, {}), found.get(month, {}))
    ]
    if not table.partition:
        return [_result(table, RECONCILES, differing, expected, found, counterpart, "")]
    inside = [month for month in differing if built is None or not month or _month(month) in built]
    outside = [month for month in differing if month not in inside]
    again = f"; run {_build_command(outside)}" if outside else ""
    return [
        _result(table, RECONCILES, inside, expected, found, counterpart, ""),
        _result(table, RECONCILES_ELSEWHERE, outside, expected, found, counterpart, again),
    ]


def reconcile_quarantine(
    totals: Measures, quarantined: int, range_: MonthRange, table: Table
) -> list[str]:
    """Complaints about set-aside rows that do not account for all that the months leave out.

    Args:
        totals: The source's measures by month; unusable dates under `""`.
        quarantined: Rows of `table` in quarantine.
        range_: The months that the lake holds.
        table: The contract of the monthly table.
    """
    if "rows" not in table.measures:
        return []
    outside = sum(
        int(row["rows"])
        for month, row in totals.items()
        if not month or _month(month) not in range_
    )
    if outside == quarantined:
        return []
    return [f"{outside} source rows belong to no month, {quarantined} are in quarantine"]


def within(totals: Measures, range_: MonthRange) -> Measures:
    """The totals of the months that the lake holds."""
    return {month: row for month, row in totals.items() if month and _month(month) in range_}


def _month(key: str) -> date:
    return date.fromisoformat(f"{key}-01")


def _equal(table: Table, expected: dict[str, Decimal], found: dict[str, Decimal]) -> bool:
    return all((expected.get(name) or 0) == (found.get(name) or 0) for name in table.measures)


def _result(
    table: Table,
    name: str,
    differing: list[str],
    expected: Measures,
    found: Measures,
    counterpart: str,
    remedy: str,
) -> CheckResult:
    shown = "; ".join(
        _difference(table, month, expected, found, counterpart) for month in differing[:_SHOWN]
    )
    more = f" (and {len(differing) - _SHOWN} more months)" if len(differing) > _SHOWN else ""
    return check_of(table, name).result(table.name, len(differing), f"{shown}{more}{remedy}")


def _difference(
    table: Table, month: str, expected: Measures, found: Measures, counterpart: str
) -> str:
    sides = ", ".join(
        f"{measure}: {counterpart} {expected.get(month, {}).get(measure, 0)}, "
        f"{table.name} {found.get(month, {}).get(measure, 0)}"
        for measure in table.measures
        if expected.get(month, {}).get(measure, 0) != found.get(month, {}).get(measure, 0)
    )
    return f"{month}: {sides}" if month else sides


def _build_command(months: Iterable[str]) -> str:
    ordered = sorted(months)
    return f"`retail build --from {ordered[0]} --to {ordered[-1]}`"
