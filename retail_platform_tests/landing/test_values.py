"""A value of a file is exactly that of the contract's type, or the file is refused."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_platform.engines.parquet import arrow_type
from retail_platform.landing.values import UnfitFile, fitted

NOON = datetime(2004, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "type_", "found"),
    [
        (["7", "-7", "+7", None], "int", [7, -7, 7, None]),
        (["9223372036854775807"], "bigint", [2**63 - 1]),
        (["1.5", "2", "-0.05", "1e2"], "decimal(10,2)", ["1.50", "2.00", "-0.05", "100.00"]),
        (["2004-01-31", None], "date", [date(2004, 1, 31), None]),
        (["2004-01-31T12:00:00Z"], "timestamp", [NOON]),
        (["2004-01-31 12:00:00"], "timestamp", [NOON]),
        (["2004-01-31T14:00:00+02:00"], "timestamp", [NOON]),
        (["true", "false", "1"], "boolean", [True, False, True]),
        (["AAEC", None, ""], "binary", [b"\x00\x01\x02", None, b""]),
        (["é", ""], "string", ["é", ""]),
        (["1e-3"], "double", [0.001]),
        (pa.array([7], pa.int64()), "int", [7]),
        (pa.array([7], pa.uint8()), "decimal(10,2)", ["7.00"]),
        (pa.array([Decimal("1.5000")]), "decimal(10,2)", ["1.50"]),
        (pa.array([Decimal("7.00")]), "int", [7]),
        (pa.array([datetime(2004, 1, 31), None], pa.timestamp("ns")), "date", [date(2004, 1, 31), None]),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms")), "timestamp", [NOON]),
        (pa.array([date(2004, 1, 31)]), "timestamp", [NOON.replace(hour=0)]),
        (pa.array([None, None]), "decimal(10,2)", [None, None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "string", ["a", "b", "a"]),
        (pa.array([1.5], pa.float32()), "double", [1.5]),
        (pa.array([b"a"], pa.large_binary()), "binary", [b"a"]),
        (pa.array(["a"], pa.large_string()), "string", ["a"]),
        ([], "int", []),
    ],
)  # fmt: skip
def test_a_value_that_fits_is_the_same_value(given: Any, type_: str, found: list[Any]) -> None:
    column = given if isinstance(given, pa.Array) else pa.array(given, pa.string())
    expected = (
        [Decimal(one) for one in found] if type_.startswith("decimal") and any(found) else found
    )
    cast = fitted(column, arrow_type(type_), "c", 0)
    assert cast.type == arrow_type(type_)
    assert cast.to_pylist() == expected


@pytest.mark.parametrize(
    ("given", "type_", "told"),
    [
        (["1", "2", "x"], "int", "row 103: c 'x' is no int"),
        (["1.0"], "int", "row 101: c '1.0' is no int"),
        (["0x1f"], "int", "'0x1f' is no int"),
        (["99999999999"], "int", "'99999999999' is no int"),
        ([" 7"], "int", "' 7' is no int"),
        ([""], "int", "'' is no int"),
        (["1.005"], "decimal(10,2)", r"'1.005' is no decimal\(10,2\)"),
        (["NaN"], "decimal(10,2)", "'NaN' is no decimal"),
        (["123456789.00"], "decimal(10,2)", "'123456789.00' is no decimal"),
        (["1,50"], "decimal(10,2)", "'1,50' is no decimal"),
        (["31/12/2004"], "date", "'31/12/2004' is no date, such as 2004-01-31"),
        (["2004-02-30"], "date", "'2004-02-30' is no date"),
        (["0000-00-00"], "date", "'0000-00-00' is no date"),
        (["noon"], "timestamp", "'noon' is no timestamp, such as 2004-01-31T12:00:00Z"),
        (["yes"], "boolean", "'yes' is no boolean: true or false"),
        (["AA*="], "binary", r"'AA\*=' is no binary in base64"),
        (["x" * 100], "int", r"c 'x{60}\.\.\.' is no int"),
        (pa.array([2**31]), "int", "2147483648 is no int"),
        (pa.array([Decimal("1.505")]), "decimal(10,2)", r"Decimal\('1.505'\) is no decimal"),
        (pa.array([1.5]), "decimal(10,2)", "c is double in the file and decimal"),
        (pa.array([1.0]), "int", "c is double in the file"),
        (pa.array([NOON]), "date", "is no date"),
        (pa.array([True]), "int", "c is bool in the file"),
        (pa.array([[1]]), "int", "c is list"),
        (pa.array([7]), "string", "c is int64 in the file and string in the contract"),
        (pa.array([datetime(2004, 1, 1, 0, 0, 0, 1)], pa.timestamp("us")), "date", "is no date"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_shown_with_its_row(given: Any, type_: str, told: str) -> None:
    column = given if isinstance(given, pa.Array) else pa.array(given, pa.string())
    with pytest.raises(UnfitFile, match=told):
        fitted(column, arrow_type(type_), "c", 100)


@given(st.lists(st.none() | st.decimals(-(10**8) + 1, 10**8 - 1, places=2), max_size=30))
def test_decimals_come_as_they_were_written(values: list[Decimal | None]) -> None:
    text = pa.array([None if value is None else str(value) for value in values], pa.string())
    assert fitted(text, arrow_type("decimal(10,2)"), "c", 0).to_pylist() == values


@given(st.lists(st.sampled_from(["1", "-2", "x"]), min_size=1, max_size=40))
def test_the_first_value_that_does_not_fit_is_named(values: list[str]) -> None:
    column = pa.array(values)
    if "x" not in values:
        assert fitted(column, pa.int32(), "c", 0).to_pylist() == [int(value) for value in values]
        return
    with pytest.raises(UnfitFile, match=rf"row {values.index('x') + 1}: c 'x'"):
        fitted(column, pa.int32(), "c", 0)
