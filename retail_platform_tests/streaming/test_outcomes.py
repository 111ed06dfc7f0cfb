"""What came of recommendations: the same on both engines, and to the cent."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lambda_inference.answers import RecommendationEvent, Strategy
from retail_platform.contracts.loader import load_contracts
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.protocol import (
    Engine,
    InputTable,
    OutputTable,
    RunRequest,
    TableResult,
)
from retail_platform.engines.spark import SparkEngine
from retail_platform.streaming.daily import as_arrow
from retail_platform.streaming.rows import Answered, event_rows
from retail_platform_tests.parquet import read_rows, write_files
from retail_platform_tests.streaming.deliveries import NOON, answered

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONTRACTS = load_contracts()
OUTCOMES = CONTRACTS.table("recommendation_outcomes")
FACTS = CONTRACTS.table("fact_orders")
RULE = "not_worse_than_the_model_before"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return DuckDBEngine("500MB", tmp_path_factory.mktemp("spill"))


def line(number: int, product: str, day: date, customer: int = 1, **fields: Any) -> dict[str, Any]:
    """An order line of 10 and some cents."""
    return {
        **dict.fromkeys(FACTS.column_names),
        "order_number": number,
        "order_line_number": 1,
        "order_month": day.replace(day=1),
        "order_date": day,
        "is_sale": True,
        "customer_number": customer,
        "product_code": product,
        "order_amount": Decimal("10.01"),
        **fields,
    }


def outcomes_of(
    engine: Engine,
    folder: Path,
    events: Sequence[RecommendationEvent],
    orders: Sequence[dict[str, Any]] = (),
) -> TableResult:
    inputs = []
    for name, rows in event_rows(Answered(event, "object") for event in events).items():
        table = CONTRACTS.table(name)
        files = write_files(table, f"file://{folder}/{name}", as_arrow(table, rows).to_pylist())
        inputs.append(InputTable(table, files))
    facts = write_files(FACTS, f"file://{folder}/facts", orders)
    inputs.append(InputTable(FACTS, facts))
    output = OutputTable(
        OUTCOMES,
        f"file://{folder}/outcomes",
        {name: number for number, name in enumerate(OUTCOMES.column_names, 1)},
        inputs=tuple(inputs),
    )
    references = tuple(one for one in inputs if one.contract.name == "recommendation_events")
    (result,) = engine.run(RunRequest((output,), references))
    return result


def found(result: TableResult) -> dict[str, tuple[int, int, Decimal]]:
    """Clicks, purchases and revenue by event."""
    return {
        row["event_id"]: (row["clicked"], row["bought"], row["revenue"])
        for row in read_rows(result.files)
    }


def failing(result: TableResult) -> dict[str, int]:
    return {one.check.name: one.failing_rows for one in result.checks if one.failing_rows}


NOTHING = (0, 0, Decimal("0.00"))
CENT = Decimal("10.01")


def visit(
    *events: tuple[str, tuple[str, ...]], session: str = "s", customer: int | None = 1
) -> Any:
    """Events of one visit, a minute apart, by their id and what had been looked at."""
    return [
        answered(
            event_id,
            *codes,
            at=NOON + timedelta(minutes=number),
            session_id=session,
            customer_number=customer,
            model_version="old",
        )
        for number, (event_id, codes) in enumerate(events)
    ]


def test_a_product_that_is_looked_at_later_in_the_visit_was_followed(
    engine: Engine, tmp_path: Path
) -> None:
    events = [
        *visit(("e-1", ("X",)), ("e-2", ("X", "A")), ("e-3", ("X", "A", "B")), customer=None),
        *visit(("other", ("A",)), session="t", customer=None),
    ]
    result = outcomes_of(engine, tmp_path, events)
    assert {event: clicked for event, (clicked, *_) in found(result).items()} == {
        "e-1": 2,  # A and B
        "e-2": 1,  # B; A was there already, in the same event
        "e-3": 0,
        "other": 0,
    }
    assert failing(result) == {}


def test_a_purchase_counts_for_the_last_event_that_recommended_it(
    engine: Engine, tmp_path: Path
) -> None:
    day = NOON.date()
    orders = [
        line(1, "A", day),
        line(2, "A", day + timedelta(days=14)),
        line(3, "A", day + timedelta(days=15)),  # too late
        line(4, "A", day - timedelta(days=1)),  # before
        line(5, "B", day, is_sale=False),
        line(6, "C", day, customer=2),
        line(7, "Z", day),  # was not recommended
    ]
    result = outcomes_of(engine, tmp_path, visit(("e-1", ("X",)), ("e-2", ("X", "Y"))), orders)
    assert found(result) == {"e-1": NOTHING, "e-2": (0, 1, 2 * CENT)}
    assert failing(result) == {}


def test_revenue_is_counted_once_however_many_events_led_to_it(
    engine: Engine, tmp_path: Path
) -> None:
    day = NOON.date()
    events = [
        *visit(*((f"e-{n}", ("X",)) for n in range(5))),
        answered("late", "X", at=NOON + timedelta(days=3), customer_number=1),
        answered("nobody", "X", at=NOON + timedelta(days=3)),
    ]
    orders = [
        line(1, "A", day + timedelta(days=1)),
        line(1, "B", day + timedelta(days=1), order_line_number=2),
        line(2, "A", day + timedelta(days=4)),
    ]
    result = found(outcomes_of(engine, tmp_path, events, orders))
    assert sum(revenue for *_, revenue in result.values()) == 3 * CENT
    assert result["e-4"] == (0, 2, 2 * CENT)
    assert result["late"] == (0, 1, CENT)
    assert result["nobody"] == NOTHING


def test_without_events_there_are_no_outcomes(engine: Engine, tmp_path: Path) -> None:
    result = outcomes_of(engine, tmp_path, [], [line(1, "A", NOON.date())])
    assert result.row_count == 0
    assert failing(result) == {}


def served(model: str, at: datetime, events: int, followed: int) -> list[RecommendationEvent]:
    """Visits of two events, of which some are followed; the second event recommends nothing."""
    made = []
    for number in range(events):
        told: dict[str, Any] = {"session_id": f"{model}-{number}", "model_version": model}
        codes = ("X", "A") if number < followed else ("X", "Y")
        made.append(answered(f"{model}-{number}", "X", at=at, strategy=Strategy.SESSION, **told))
        later = at + timedelta(minutes=1)
        made.append(answered(f"{model}-{number}-later", *codes, at=later, shown=(), **told))
    return made


@pytest.mark.parametrize(
    ("events", "before", "now", "warned"),
    [
        (1_000, 400, 300, True),
        (1_000, 300, 400, False),
        (1_000, 400, 390, False),
        (999, 400, 100, False),
    ],
)
def test_a_model_that_is_followed_less_than_the_one_before_is_warned_of(
    engine: Engine, tmp_path: Path, events: int, before: int, now: int, warned: bool
) -> None:
    result = outcomes_of(
        engine,
        tmp_path,
        [
            *served("old", NOON, events, before),
            *served("new", NOON + timedelta(days=1), events, now),
        ],
    )
    assert failing(result) == ({RULE: 1} if warned else {})
    assert not any(one.blocks for one in result.checks)


def test_both_engines_find_the_same(engine: Engine, spark: "SparkSession", tmp_path: Path) -> None:
    day = NOON.date()
    events = [
        *visit(("e-1", ("X",)), ("e-2", ("X", "A")), ("e-3", ("X", "A", "B"))),
        answered("late", "X", at=NOON + timedelta(days=3), customer_number=1, model_version="new"),
        *served("old", NOON, 1_000, 400),
        *served("new", NOON + timedelta(days=1), 1_000, 300),
    ]
    orders = [line(n, code, day + timedelta(days=n)) for n, code in enumerate("ABCAZ", -1)]
    ours = outcomes_of(engine, tmp_path / "duckdb", events, orders)
    theirs = outcomes_of(SparkEngine(lambda: spark), tmp_path / "spark", events, orders)
    assert found(ours) == found(theirs)
    assert failing(ours) == failing(theirs) == {RULE: 1}
    assert ours.row_count == len(events)
