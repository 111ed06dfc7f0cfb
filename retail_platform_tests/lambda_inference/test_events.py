"""The contract of browse events: what is understood, and what is said of what is not."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from lambda_inference.events import Rejected, decode
from lambda_inference.schema import FOLDER, schemas
from retail_platform_tests.lambda_inference.events import browse, encoded

BROWSE_EVENT = Draft202012Validator(
    schemas()["browse_event.v1.json"], format_checker=FormatChecker()
)


def test_the_shipped_schemas_are_those_of_the_classes() -> None:
    shipped = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert shipped == schemas(), "run `python -m lambda_inference.schema`"


@pytest.mark.parametrize("name", ["browse_event.v1.json", "recommendation_event.v1.json"])
def test_the_shipped_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


def test_an_event_is_what_was_sent() -> None:
    event = decode(
        encoded(
            browse(
                customer_number=103,
                credit_limit=21000.05,
                browse_history=[
                    {"product_code": "S10_1678", "quantity": 2, "in_shopping_cart": True},
                    {"product_code": "S12_1099"},
                ],
            )
        )
    )
    assert event.event_id == "e-1"
    assert event.customer_number == 103
    assert event.credit_limit == 21000.05
    assert event.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert [(b.product_code, b.quantity, b.in_shopping_cart) for b in event.browse_history] == [
        ("S10_1678", 2, True),
        ("S12_1099", 1, False),
    ]


def test_an_older_producers_event_gets_an_id_and_a_time_from_the_stream() -> None:
    line = encoded({"session_id": "s", "browse_history": []})
    arrived = datetime(2026, 1, 1, tzinfo=UTC)
    event = decode(line, "shard/1", arrived)
    assert event.schema_version == 1
    assert event.occurred_at == arrived
    assert event.event_id == decode(line, "shard/1").event_id
    assert event.event_id != decode(line, "shard/2").event_id
    assert decode(line).event_id == decode(line).event_id
    assert decode(line).event_id != decode(line + b" ").event_id


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in browse().items() if key != name}


REJECTED: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{'session_id'", "malformed"),
    "cut off": (encoded(browse())[:-1], "truncated"),
    "not UTF-8": (b'{"session_id": "\xff\xfe", "browse_history": []}', "utf-8"),
    "no object": (b"[]", "Expected `object`"),
    "nothing": (b"", "truncated"),
    "deep": (b"[" * 100_000, "not a browse event"),
    "no history": (without("browse_history"), "missing required field `browse_history`"),
    "history is null": (browse(browse_history=None), r"\$.browse_history"),
    "no session": (without("session_id"), "missing required field `session_id`"),
    "a customer by name": (browse(customer_number="103"), r"\$.customer_number"),
    "a customer beyond bigint": (browse(customer_number=2**63), r"\$.customer_number"),
    "no zone": (browse(occurred_at="2026-01-01T00:00:00"), r"\$.occurred_at"),
    "before all years": (
        browse(occurred_at="0001-01-01T00:00:00+14:00"),
        "before or after all years",
    ),
    "half a letter": (b'{"session_id": "\\ud800", "browse_history": []}', "surrogate"),
    "no time": (browse(occurred_at="yesterday"), r"\$.occurred_at"),
    "less than none": (
        browse(browse_history=[{"product_code": "a", "quantity": -1}]),
        r"\$.browse_history\[0\].quantity",
    ),
    "too many": (browse(*["a"] * 1001), "length <= 1000"),
    "endless credit": (
        encoded(browse()).replace(b"21000", b"1e400"),
        "out of range",
    ),
    "a later version": (browse(schema_version=2), "deploy a newer Lambda, then replay"),
    "a later version that is odd": (
        {"schema_version": 7, "visit": "by other words"},
        "schema_version 7 is later than 1",
    ),
    "version 0": (browse(schema_version=0), r"\$.schema_version"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_is_no_event_is_rejected_with_the_reason(name: str) -> None:
    event, reason = REJECTED[name]
    with pytest.raises(Rejected, match=reason):
        decode(encoded(event))


def test_the_reason_quotes_nothing_that_was_sent() -> None:
    for secret in (browse(customer_number="Jean Roulet"), b'{"city": "Jean Roulet"'):
        with pytest.raises(Rejected) as error:
            decode(encoded(secret))
        assert "Jean" not in str(error.value)


TEXT = st.one_of(st.none(), st.text(max_size=3), st.integers(-2, 2))
EVENTS = st.fixed_dictionaries(
    {
        "session_id": st.one_of(st.text(max_size=2), st.integers()),
        "browse_history": st.lists(
            st.fixed_dictionaries(
                {"product_code": st.one_of(st.text(max_size=2), st.none())},
                optional={
                    "quantity": st.one_of(st.integers(-1, 2**31), st.booleans()),
                    "in_shopping_cart": st.one_of(st.booleans(), st.integers(0, 1)),
                },
            ),
            max_size=2,
        ),
    },
    optional={
        "event_id": TEXT,
        "schema_version": st.one_of(st.integers(0, 2), st.none()),
        "customer_number": st.one_of(st.none(), st.integers(), st.text(max_size=1)),
        "city": TEXT,
        "country": TEXT,
        "credit_limit": st.one_of(st.none(), st.integers(-(10**13), 10**13), st.text(max_size=1)),
        "unknown": TEXT,
    },
)


@given(EVENTS)
def test_what_the_schema_allows_is_understood_and_nothing_else(event: dict[str, Any]) -> None:
    allowed = BROWSE_EVENT.is_valid(event)
    try:
        decode(encoded(event))
    except Rejected:
        assert not allowed
    else:
        assert allowed


@given(st.binary(max_size=50))
def test_any_bytes_are_an_event_or_rejected(data: bytes) -> None:
    with pytest.raises(Rejected):
        decode(data)
