"""A file of any format gives the rows that stand in it, or says why it does not."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_platform.contracts.model import Column, MonthPartition, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.landing import files as files_module
from retail_platform.landing.files import LandedFile
from retail_platform.landing.values import UnfitFile
from retail_platform_tests.sources.tables import table

SALES = table(
    "",
    "sales",
    number="int",
    day="date",
    amount="decimal(10,2)",
    note="string",
    month="date",
    partition=MonthPartition("month", "day"),
)
STORED = MonthRange(date(2003, 1, 1), date(2005, 12, 1))
ROWS: list[dict[str, Any]] = [
    {"number": 1, "day": date(2003, 1, 6), "amount": Decimal("1.50"), "note": 'a "b", c\nd'},
    {"number": 2, "day": date(2005, 12, 31), "amount": None, "note": ""},
    {"number": 3, "day": date(2004, 2, 29), "amount": Decimal("-12345678.90"), "note": None},
]
_TYPES: dict[str, pa.DataType] = {
    "number": pa.int64(),
    "day": pa.date32(),
    "amount": pa.decimal128(12, 3),
    "note": pa.string(),
}
SCHEMA = pa.schema(list(_TYPES.items()))


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",", end: str = "\r\n") -> bytes:
    """RFC 4180, NULL being nothing and an empty text `""`."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(SCHEMA.names)
    for row in rows:
        marked = [_EMPTY if value == "" else value for value in row.values()]
        writer.writerow(marked)
    return out.getvalue().replace(_EMPTY, '""').encode()


_EMPTY = "\ue000"


def as_json(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps([_plain(row) for row in rows]).encode()


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(_plain(row), ensure_ascii=False) + "\n" for row in rows).encode()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """What a file need not say is NULL."""
    return {
        name: str(value) if isinstance(value, date | Decimal) else value
        for name, value in row.items()
        if value is not None
    }


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), out)
    return out.getvalue()


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "a.csv": as_csv,
    "a.CSV": lambda rows: b"\xef\xbb\xbf" + as_csv(rows, end="\n"),
    "semicolons.csv": lambda rows: as_csv(rows, ";"),
    "tabs.csv": lambda rows: as_csv(rows, "\t"),
    "a.csv.gz": lambda rows: gzip.compress(as_csv(rows), mtime=0),
    "a.json": as_json,
    "a.jsonl": as_lines,
    "a.ndjson.gz": lambda rows: gzip.compress(as_lines(rows), mtime=0),
    "a.parquet": as_parquet,
}


def file_of(folder: Path, name: str, data: bytes, contract: Table = SALES) -> LandedFile:
    path = folder / "0"
    path.write_bytes(data)
    return LandedFile(path, f"{contract.name}/{name}", contract, STORED, 5)


def rows_of(file: LandedFile) -> list[dict[str, Any]]:
    with file.stream("", "") as rows:
        return rows.read_all().to_pylist()


@pytest.mark.parametrize("name", FORMATS)
def test_the_rows_are_those_of_the_file(tmp_path: Path, name: str) -> None:
    file = file_of(tmp_path, name, FORMATS[name](ROWS))
    assert file.unread == ()
    assert rows_of(file) == [{**row, "landed_in": 5} for row in ROWS]


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_without_rows_is_one(tmp_path: Path, name: str) -> None:
    data = FORMATS[name]([]) or b"\n"  # JSON lines of nothing
    assert rows_of(file_of(tmp_path, name, data)) == []


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ue000"), max_size=12).filter(
    lambda text: text != "\\N"
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(
    name=st.sampled_from(["a.csv", "a.json", "a.jsonl", "a.parquet"]),
    notes=st.lists(st.none() | TEXT, max_size=20),
)
def test_any_text_comes_as_it_is(tmp_path: Path, name: str, notes: list[str | None]) -> None:
    rows = [
        {"number": number, "day": date(2004, 1, 1), "amount": Decimal(1), "note": note}
        # One of them is a text: of a column that no object of JSON has, nobody knows that it is NULL.
        for number, note in enumerate(["x", *notes])
    ]
    found = rows_of(file_of(tmp_path, name, FORMATS[name](rows)))
    assert [row["note"] for row in found] == ["x", *notes]


def test_numbers_in_json_keep_all_their_digits(tmp_path: Path) -> None:
    contract = table("", "exact", amount="decimal(38,2)", number="bigint", code="string")
    data = (
        b'{"amount": 123456789012345678901234567890.12, "number": 9007199254740993, "code": 0.10}'
    )
    (row,) = rows_of(file_of(tmp_path, "a.json", data, contract))
    assert row["amount"] == Decimal("123456789012345678901234567890.12")
    assert row["number"] == 9007199254740993
    assert row["code"] == "0.10"


def test_columns_may_come_in_any_order_and_more_of_them(tmp_path: Path) -> None:
    data = b"extra,note,amount,number,day\nx,n,1.5,1,2003-01-06\n"
    file = file_of(tmp_path, "a.csv", data)
    assert file.unread == ("extra",)
    (row,) = rows_of(file)
    assert row == {
        "number": 1,
        "day": date(2003, 1, 6),
        "amount": Decimal("1.50"),
        "note": "n",
        "landed_in": 5,
    }


def test_a_large_file_is_read_in_parts_and_its_rows_counted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "_ROWS_AT_ONCE", 3)
    rows = [{**ROWS[0], "number": number, "note": "n"} for number in range(10)]
    for name, write in FORMATS.items():
        assert [row["number"] for row in rows_of(file_of(tmp_path, name, write(rows)))] == list(
            range(10)
        ), name
    data = as_csv(rows).replace(b"8,2003-01-06", b"8,2003-01-61")
    with pytest.raises(UnfitFile, match=r"row 9: day '2003-01-61' is no date"):
        rows_of(file_of(tmp_path, "a.csv", data))


GOOD = b"number,day,amount,note\n"


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.parquet", b"", "it is empty"),
        ("a.txt", GOOD, "let it end in .csv, .json"),
        ("noname", GOOD, "let it end in .csv, .json"),
        ("a.parquet.gz", gzip.compress(as_parquet(ROWS), mtime=0), "let it end in .csv, .json"),
        ("a.csv", b"number,day,amount\n", "it has no column note$"),
        ("a.csv", b"orderNumber;Day\n1;2\n", "it has no column number, day, amount, note; it has "),
        ("a.csv", b"number,number,day,amount,note\n", "it has the column number twice"),
        ("a.csv", GOOD + b"1,2003-01-06,1.5\n", "Line: 2.* Expected Number of Columns: 4 Found: 3"),
        ("a.csv", GOOD + b"1,2003-01-06,1.5,a,b\n", "Expected Number of Columns: 4 Found: 5"),
        ("a.csv", GOOD + b'1,2003-01-06,1.5,"open\n', "unterminated quote"),
        ("a.csv", GOOD + b"1,2003-01-06,1.5,\xe9\n", "not utf-8"),
        ("a.csv", b"\xff\xfen\x00u\x00", "utf-8"),
        ("a.csv", GOOD + b"1,2003-01-06,1.555,n\n", r"row 1: amount '1.555' is no decimal\(10,2\)"),
        ("a.csv", GOOD + b"1,,1.5,n\n", "row 1: day NULL is not in 2003-01..2005-12"),
        ("a.csv", GOOD + b"1,2006-01-01,1,n\n", "row 1: day 2006-01-01 is not in"),
        ("a.csv", GOOD + b"1,2002-12-31,1,n\n", "row 1: day 2002-12-31 is not in"),
        ("a.csv.gz", as_csv(ROWS), "[gG][zZ][iI][pP]"),
        ("a.csv.gz", gzip.compress(as_csv(ROWS), mtime=0)[:-12], "GZIP"),
        ("a.json", as_json(ROWS)[:-5], "Malformed JSON"),
        ("a.json", b"hello", "Malformed JSON"),
        ("a.json", b"[1, 2]", "is no JSON object"),
        ("a.json", b'[{"number": 1}]', "it has no column day, amount, note"),
        ("a.json", as_json([{**ROWS[0], "number": "one"}]), "row 1: number 'one' is no int"),
        ("a.json", as_json([{**ROWS[0], "number": [1]}]), "number .*1.* is no int"),
        ("a.jsonl", as_lines(ROWS) + b'{"number": 4, "day":', "Malformed JSON"),
        ("a.jsonl", b'{"number": "\xe9"}', "[uU][tT][fF]|Malformed"),
        ("a.parquet", b"PAR1 no parquet at all PAR1", "[Pp]arquet"),
        ("a.parquet", as_parquet(ROWS)[:-20], "[Pp]arquet"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, name: str, data: bytes, told: str
) -> None:
    file = file_of(tmp_path, name, data)
    with pytest.raises(UnfitFile, match=told) as raised:
        rows_of(file)
    assert str(tmp_path) not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_float_is_no_price(tmp_path: Path) -> None:
    out = io.BytesIO()
    rows = pa.Table.from_pylist(ROWS, SCHEMA).to_pydict() | {"amount": [1.5, None, 2.5]}
    pq.write_table(pa.table(rows), out)
    with pytest.raises(UnfitFile, match="amount is double in the file and decimal"):
        rows_of(file_of(tmp_path, "a.parquet", out.getvalue()))


def test_a_table_without_months_takes_rows_of_any_day(tmp_path: Path) -> None:
    whole = replace(SALES, partition=None, columns=SALES.columns[:-1])
    assert isinstance(whole.columns[0], Column)
    data = GOOD + b"1,1970-01-01,1,n\n"
    (row,) = rows_of(file_of(tmp_path, "a.csv", data, whole))
    assert row["day"] == date(1970, 1, 1)
