"""What an engine is asked and answers survives a journey as JSON."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_platform.contracts.checks import checks_of
from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.as_json import dump, load
from retail_platform.engines.protocol import (
    DataFile,
    InputTable,
    OutputTable,
    RunRequest,
    SourceRead,
    TableResult,
)
from retail_platform.errors import EngineError


def there_and_back(value: object) -> object:
    return load(type(value), json.loads(json.dumps(dump(value))))


def test_every_contract_travels() -> None:
    tables = load_contracts().tables.values()
    assert len(tables) > 10
    for table in tables:
        assert there_and_back(table) == table


def test_a_request_travels_whole() -> None:
    contracts = load_contracts()
    table, source = contracts.table("fact_orders"), contracts.table("orders")
    file = DataFile("s3://lake/a b%20.parquet", date(2004, 2, 1))
    read = InputTable(source, (file,), frozenset({"b", "a"}), 7)
    output = OutputTable(
        table,
        "s3://lake/out",
        {"order_number": 1},
        MonthRange.parse("2004-01", "2005-05"),
        (read,),
        (file,),
        (SourceRead(source, "SELECT 'é'"),),
    )
    request = RunRequest((output, replace(output, months=None, reads=None)), (read,))
    assert there_and_back(request) == request


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(),
        st.dictionaries(st.text(), st.decimals(allow_nan=False, allow_infinity=False), max_size=3),
        max_size=3,
    ),
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_result_travels_exactly(
    measures: dict[str, dict[str, Decimal]], detail: str, seconds: float
) -> None:
    checks = [c.result("orders", 3, detail) for c in checks_of(load_contracts().table("orders"))]
    result = TableResult("orders", (DataFile("u"),), 3, 9, seconds, measures, tuple(checks))
    back = there_and_back(result)
    assert back == result
    assert str(back) == str(result), "1.50 stays 1.50"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"outputs": [], "more": 1}, "more"),
        ({"outputs": [{"location": "x"}]}, "contract"),
        ({"outputs": 3}, "int"),
        ({}, "outputs"),
        ([], "malformed RunRequest"),
    ],
)
def test_what_is_no_request_is_refused(data: object, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        load(RunRequest, data)


def test_a_number_is_not_taken_for_a_text() -> None:
    with pytest.raises(EngineError, match="3 is no str"):
        load(DataFile, {"uri": 3})
