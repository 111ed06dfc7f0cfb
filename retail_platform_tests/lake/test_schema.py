"""Contracts as Iceberg schemas: field ids stay with their column, and are never used again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.schema import Schema

from retail_platform.contracts.model import Column, Table
from retail_platform.lake.schema import plan_schema


def table(**columns: str) -> Table:
    made = tuple(Column(name, kind, "") for name, kind in columns.items())
    return Table("star", "things", "", "", made, ())


NOW = plan_schema(table(id="int", size="int", note="string"), None).schema


def test_a_new_table_is_no_change() -> None:
    plan = plan_schema(table(id="int", size="decimal(10,2)"), None)
    assert plan.field_ids == {"id": 1, "size": 2}
    assert plan.changes == ()


@pytest.mark.parametrize(
    ("wanted", "field_ids", "changes"),
    [
        (table(id="int", size="int", note="string"), [1, 2, 3], ()),
        (table(note="string", id="int", size="int"), [3, 1, 2], ()),
        (table(id="int", new="date", size="int", note="string"), [1, 4, 2, 3], ("new added",)),
        (table(id="int", size="int"), [1, 2], ("note removed",)),
        (
            table(id="int", size="bigint", note="string"),
            [1, 4, 3],
            ("size retyped from int to long",),
        ),
        (
            table(id="bigint", name="string"),
            [4, 5],
            ("id retyped from int to long", "name added", "size removed", "note removed"),
        ),
    ],
    ids=["same", "reordered", "added", "removed", "retyped", "all at once"],
)
def test_only_a_new_or_retyped_column_gets_a_fresh_field_id(
    wanted: Table, field_ids: list[int], changes: tuple[str, ...]
) -> None:
    plan = plan_schema(wanted, NOW, last_field_id=3)
    assert list(plan.field_ids.values()) == field_ids
    assert plan.changes == changes


CONTRACTS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.sampled_from(["int", "bigint", "string", "array<float>"]),
    min_size=1,
)


@given(st.lists(CONTRACTS, min_size=1, max_size=6))
def test_however_contracts_change_a_field_id_means_one_column_of_one_type(
    contracts: list[dict[str, str]],
) -> None:
    current: Schema | None = None
    last = 0
    meaning: dict[int, tuple[str, str]] = {}
    for columns in contracts:
        plan = plan_schema(table(**columns), current, last)
        assert bool(plan.changes) == (
            current is not None
            and {(f.name, f.field_type) for f in current.fields}
            != {(f.name, f.field_type) for f in plan.schema.fields}
        )
        for name, number in plan.field_ids.items():
            column = (name, columns[name.removesuffix(".element")])
            assert meaning.setdefault(number, column) == column
        current, last = plan.schema, max(last, *plan.field_ids.values())


def test_a_vectors_numbers_have_a_field_id_that_stays() -> None:
    first = plan_schema(table(id="int", vector="array<float>", note="string"), None)
    assert first.field_ids == {"id": 1, "vector": 2, "note": 3, "vector.element": 4}
    more = table(id="int", other="array<float>", vector="array<float>", note="string")
    plan = plan_schema(more, first.schema, last_field_id=4)
    assert plan.field_ids == {
        "id": 1,
        "other": 5,
        "vector": 2,
        "note": 3,
        "other.element": 6,
        "vector.element": 4,
    }
    assert plan.changes == ("other added",)
