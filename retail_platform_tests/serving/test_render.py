"""Rows as people and programs get them."""

import io
import json
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from retail_platform.errors import ConfigurationError
from retail_platform.serving.analytics import AnalyticsQuery
from retail_platform.serving.render import Format, write_report, write_rows


def printed(table: pa.Table, format: Format) -> str:
    out = io.StringIO()
    write_rows(table, format, out)
    return out.getvalue()


def one(value: Any, type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array([value], type_)})


VALUES: list[tuple[pa.Table, str, str]] = [
    (one(Decimal("1234567.50"), pa.decimal128(20, 2)), "1234567.50", "1234567.50"),
    (one(Decimal("0.00"), pa.decimal128(20, 2)), "0.00", "0.00"),
    (one(Decimal("-0.0000001"), pa.decimal128(20, 7)), "-0.0000001", "-0.0000001"),
    (one(Decimal(10**37), pa.decimal128(38, 0)), str(10**37), str(10**37)),
    (one(2**62), str(2**62), str(2**62)),
    (one(0.1), "0.1", "0.1"),
    (one(1e300), "1e+300", "1e+300"),
    (one(float("nan")), "NaN", "null"),
    (one(float("inf")), "Infinity", "null"),
    (one(float("-inf")), "-Infinity", "null"),
    (one(True), "true", "true"),
    (one(False), "false", "false"),
    (one(date(2004, 2, 29)), "2004-02-29", '"2004-02-29"'),
    (one(time(1, 2, 3)), "01:02:03", '"01:02:03"'),
    (one(datetime(2004, 2, 29, 1, 2, 3)), "2004-02-29T01:02:03Z", '"2004-02-29T01:02:03Z"'),
    (
        one(
            datetime(2004, 2, 29, 1, 2, 3, 4, timezone(timedelta(hours=2))),
            pa.timestamp("us", tz="Europe/Paris"),
        ),
        "2004-02-28T23:02:03.000004Z",
        '"2004-02-28T23:02:03.000004Z"',
    ),
    (one(b"\x00\xff"), "AP8=", '"AP8="'),
    (one(None, pa.string()), "", "null"),
    (one(""), '""', '""'),
    (one("plain"), "plain", '"plain"'),
    (one("a,b"), '"a,b"', '"a,b"'),
    (one('say "hi"'), '"say ""hi"""', '"say \\"hi\\""'),
    (one("two\nlines"), '"two\nlines"', '"two\\nlines"'),
    (one("Côte ✓"), "Côte ✓", '"Côte ✓"'),
    (one([1, None]), '"[1, null]"', "[1, null]"),
    (
        one({"a": Decimal("1.50"), "b": "é"}),
        '"{""a"": 1.50, ""b"": ""é""}"',
        '{"a": 1.50, "b": "é"}',
    ),
]


@pytest.mark.parametrize(("table", "csv", "_"), VALUES, ids=lambda value: str(value)[:20])
def test_csv_values(table: pa.Table, csv: str, _: str) -> None:
    assert printed(table, Format.CSV) == f"x\n{csv}\n"


@pytest.mark.parametrize(("table", "_", "text"), VALUES, ids=lambda value: str(value)[:20])
def test_json_values(table: pa.Table, _: str, text: str) -> None:
    output = printed(table, Format.JSON)
    assert output == f'[\n{{"x": {text}}}\n]\n'
    json.loads(output)


def test_an_answer_without_rows_still_has_its_columns() -> None:
    empty = pa.table({"a": pa.array([], pa.int32()), "b,c": pa.array([], pa.string())})
    assert printed(empty, Format.CSV) == 'a,"b,c"\n'
    assert json.loads(printed(empty, Format.JSON)) == []
    assert "b,c" in printed(empty, Format.TABLE)


def test_json_refuses_two_columns_of_one_name() -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert printed(twice, Format.CSV) == "a,a\n1,2\n"
    with pytest.raises(ConfigurationError, match="a occurs twice; rename with AS"):
        printed(twice, Format.JSON)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (
        pa.string(),
        optional(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    ),
    "amount": (
        pa.decimal128(20, 2),
        optional(st.integers(-(10**20) + 1, 10**20 - 1).map(lambda n: Decimal(n).scaleb(-2))),
    ),
    "number": (pa.int64(), optional(st.integers(-(2**63), 2**63 - 1))),
    "ratio": (pa.float64(), optional(st.floats(allow_nan=False))),
    "day": (pa.date32(), optional(st.dates())),
    "moment": (
        pa.timestamp("us", tz="UTC"),
        optional(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))),
    ),
    "flag": (pa.bool_(), optional(st.booleans())),
}
TABLES = st.lists(st.fixed_dictionaries({name: rule for name, (_, rule) in COLUMNS.items()})).map(
    lambda rows: pa.Table.from_pylist(
        rows, schema=pa.schema([(name, type_) for name, (type_, _) in COLUMNS.items()])
    )
)


@given(TABLES)
def test_csv_loses_nothing(table: pa.Table) -> None:
    text = printed(table, Format.CSV).replace("Infinity", "inf")
    read = pa_csv.read_csv(
        io.BytesIO(text.encode()),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=table.schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    expected = [
        {**row, "text": row["text"] and row["text"].replace("Infinity", "inf")}
        for row in table.to_pylist()
    ]
    assert read.to_pylist() == expected


@given(TABLES)
def test_json_keeps_every_digit(table: pa.Table) -> None:
    rows = json.loads(printed(table, Format.JSON), parse_float=Decimal)
    for row, original in zip(rows, table.to_pylist(), strict=True):
        assert row["text"] == original["text"]
        assert row["number"] == original["number"]
        assert row["amount"] is None or str(row["amount"]) == format(original["amount"], "f")


def test_more_rows_than_a_batch_all_come_out_in_order() -> None:
    table = pa.table({"n": range(2_500)})
    assert printed(table, Format.CSV).split() == ["n", *map(str, range(2_500))]
    assert [row["n"] for row in json.loads(printed(table, Format.JSON))] == list(range(2_500))
    lines = [line.strip() for line in printed(table, Format.TABLE).splitlines()]
    assert [line for line in lines if line.isdigit()] == list(map(str, range(2_500)))


def test_tables_align_numbers_right_and_group_money() -> None:
    table = pa.table(
        {
            "country": ["Norway", None],
            "order_number": [10100, 7],
            "sales": pa.array([Decimal("1234567.50"), Decimal("-3.00")], pa.decimal128(20, 2)),
        }
    )
    lines = [line.rstrip() for line in printed(table, Format.TABLE).splitlines() if line.strip()]
    assert lines[0].split() == ["country", "order_number", "sales"]
    assert lines[2].split() == ["Norway", "10100", "1,234,567.50"]
    assert lines[3].split() == ["–", "7", "-3.00"]
    assert len({cell_len(line) for line in (lines[0], lines[2], lines[3])}) == 1


def test_a_wide_table_is_not_cut_where_there_is_no_terminal() -> None:
    text = "x" * 500
    table = pa.table({"a": [text], "b": [text]})
    assert printed(table, Format.TABLE).count(text) == 2


def test_what_a_database_holds_cannot_steer_the_terminal() -> None:
    output = printed(pa.table({"a": ["\x1b[31mred\nline [bold]x[/bold] :smile:"]}), Format.TABLE)
    assert r"\x1b[31mred\nline [bold]x[/bold] :smile:" in output


class Terminal(io.StringIO):
    """Stands for a terminal: Rich asks the stream, and takes its width from the environment."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_nothing_wider_than_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    write_rows(pa.table({"a": ["x" * 100]}), Format.TABLE, out)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert max(map(len, text.splitlines())) <= 40
    assert text.count("x") == 100


def test_a_terminal_too_narrow_for_bars_gets_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for columns, length in {"34": 0, "40": 8, "200": 24}.items():
        monkeypatch.setenv("COLUMNS", columns)
        out = Terminal()
        write_report(REPORT, pa.table({"x": ["a" * 20], "sales": [123456]}), out)
        assert "123456" in out.getvalue()
        assert out.getvalue().count("█") == length


REPORT = AnalyticsQuery("sales", "Sales by x", "What was sold.", "", (), "sales")


def reported(*sales: str | None) -> list[str]:
    table = pa.table(
        {
            "x": [f"row{index}" for index in range(len(sales))],
            "sales": pa.array(
                [None if text is None else Decimal(text) for text in sales], pa.decimal128(20, 2)
            ),
            "sales_percent": [100 / 3] * len(sales),
        }
    )
    out = io.StringIO()
    write_report(REPORT, table, out)
    return out.getvalue().splitlines()


def test_a_report_has_a_title_and_bars_in_proportion() -> None:
    lines = reported("2000.00", "1000.00", "0.00", None, "-500.00")
    assert lines[:2] == ["Sales by x", "What was sold."]
    rows = {line.split()[0]: line for line in lines if line.strip().startswith("row")}
    assert "2,000.00" in rows["row0"]
    assert "33.3" in rows["row0"]
    assert rows["row0"].count("█") == 2 * rows["row1"].count("█") > 0
    assert "█" not in rows["row2"] + rows["row3"] + rows["row4"]
    assert rows["row4"].count("░") * 4 == rows["row0"].count("█")


def test_headings_of_a_report_are_words() -> None:
    assert reported("1.00")[2].split() == ["x", "sales", "sales", "%"]


def test_a_report_of_zeros_has_no_bars() -> None:
    assert not any("█" in line for line in reported("0.00", "0.00"))


def test_a_report_without_rows_says_so() -> None:
    assert reported() == ["Sales by x", "What was sold.", "No rows.", ""]
