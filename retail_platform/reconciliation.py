"""Whether what was copied and what it was copied from agree: exact, month by month. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal

from retail_platform.contracts.checks import (
    RECONCILES,
    RECONCILES_ELSEWHERE,
    CheckResult,
    check_of,
)
from retail_platform.contracts.model import QUARANTINE, Severity, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.protocol import Measures, TableResult

_SHOWN = 3


def reconcile(
    table: Table,
    expected: Measures,
    found: Measures,
    built: MonthRange,
    stored: MonthRange,
    counterpart: str,
) -> list[CheckResult]:
    """Compares a table's measures with those of what it was made from.

    Args:
        table: The contract, whose measures are compared.
        expected: The measures of the counterpart, of all its months.
        found: The measures of the new version of the table, of all its months.
        built: The months that the run builds.
        stored: The months that the lake may hold.
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
    inside = [month for month in differing if not month or _month(month) in built]
    outside = [month for month in differing if month not in inside]
    again = f"; run {_build_command(outside, stored)}" if outside else ""
    return [
        _result(table, RECONCILES, inside, expected, found, counterpart, ""),
        _result(table, RECONCILES_ELSEWHERE, outside, expected, found, counterpart, again),
    ]


def reconcile_with_source(
    table: Table,
    totals: Measures,
    found: Measures,
    quarantine: Measures,
    built: MonthRange,
    stored: MonthRange,
) -> list[CheckResult]:
    """Every row of the source is in the table or in quarantine, and the measures are the same.

    Args:
        table: A raw table.
        totals: The source's measures by month; of rows that belong to none under `""`.
        found: The measures of the new version of the table, of all its months.
        quarantine: The measures of the quarantine: how many rows it has of each table.
        built: The months that the run builds.
        stored: The months that the lake may hold.

    Returns:
        As `reconcile`.
    """
    if not table.partition:
        return reconcile(table, totals, found, built, stored, "the source")
    expected = {month: row for month, row in totals.items() if month and _month(month) in stored}
    inside, outside = reconcile(table, expected, found, built, stored, "the source")
    elsewhere = sum(row.get("rows", 0) for month, row in totals.items() if month not in expected)
    set_aside = quarantine.get("", {}).get(table.name, 0)
    if "rows" in table.measures and elsewhere != set_aside:
        complaint = (
            f"{elsewhere} source rows belong to no month, {set_aside} are in quarantine: "
            f"run `retail build {table.name} {QUARANTINE}`"
        )
        inside = replace(
            inside,
            failing_rows=inside.failing_rows + 1,
            detail="; ".join(filter(None, [inside.detail, complaint])),
        )
    return [inside, outside]


def as_warning(result: CheckResult, told: str) -> CheckResult:
    """The outcome as no more than a warning, because no exact answer exists."""
    return replace(
        result,
        check=replace(result.check, severity=Severity.WARN),
        failing_rows=max(result.failing_rows, 1),
        detail="; ".join(filter(None, [result.detail, told])),
    )


def told_as_moving(
    result: TableResult, before: Measures, after: Measures, tries: int
) -> TableResult:
    """What was read of a source that kept changing: both its totals are only reported."""
    moved = [month for month in sorted(before | after) if before.get(month) != after.get(month)]
    changes = "; ".join(
        f"{month or 'all'}: {_change(before.get(month, {}), after.get(month, {}))}"
        for month in moved[:_SHOWN]
    )
    told = f"the source kept changing during {tries} reads, at last {changes}"
    return replace(
        result,
        checks=tuple(
            as_warning(check, told)
            if check.check.name in (RECONCILES, RECONCILES_ELSEWHERE)
            else check
            for check in result.checks
        ),
    )


def _change(before: dict[str, Decimal], after: dict[str, Decimal]) -> str:
    return ", ".join(
        f"{name} from {before.get(name, 0)} to {after.get(name, 0)}"
        for name in after | before
        if before.get(name) != after.get(name)
    )


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


def _build_command(months: Iterable[str], stored: MonthRange) -> str:
    """What mends those months; one that the lake may hold no longer goes with a whole build."""
    ordered = sorted(months)
    if _month(ordered[0]) not in stored or _month(ordered[-1]) not in stored:
        return "`retail build`"
    return f"`retail build --from {ordered[0]} --to {ordered[-1]}`"
