"""Prints rows: for people as a table, for programs as csv or json.

Rows go out a batch at a time, so that a large answer is never one large string.

| value | csv | json | table |
|---|---|---|---|
| decimal | at its scale, no grouping | a number, at its scale | at its scale, grouped |
| double | shortest exact form; `NaN`, `Infinity` | the same; NaN and infinities are null | the same |
| date, time | ISO 8601 | string | ISO 8601 |
| timestamp | ISO 8601 in UTC, ending in `Z` | string | the same |
| boolean | `true`, `false` | the same | the same |
| binary | base64 | base64 string | base64 |
| list, struct, map | its json | array; object; array of pairs | its json |
| NULL | nothing | null | `–` |

In csv an empty string is `""`, which tells it from NULL.
"""

import base64
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TextIO

from retail_platform.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console
    from rich.table import Table

    from retail_platform.serving.analytics import AnalyticsQuery

_BATCH_ROWS = 1_000
_BAR_CELLS = 24
_SHORTEST_BAR_CELLS = 4
_COLUMN_GAP = 3
_NO_LIMIT = 1_000_000
MISSING = "–"
"""What stands for NULL."""
_NEEDS_QUOTES = re.compile(r'^$|[",\r\n]')

Row = tuple[Any, ...]
Heading = tuple[str, Literal["left", "right"]]


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def write_rows(table: "pa.Table", format: Format, out: TextIO) -> None:
    """Prints a table's rows.

    Args:
        table: Any number of rows.
        format: `table` cuts nothing: it folds long cells to a terminal's width, and is as wide as
            its content elsewhere.
        out: Text goes here and nowhere else.

    Raises:
        ConfigurationError: json was asked for and two columns share a name.
    """
    match format:
        case Format.CSV:
            _write_csv(table, out)
        case Format.JSON:
            _write_json(table, out)
        case Format.TABLE:
            console = _console(out)
            for rows in _batches(table) if table.num_rows else [[]]:
                cells = [tuple(map(_cell, row)) for row in rows]
                _print(console, _grid(_columns(table), cells))


def write_report(query: "AnalyticsQuery", table: "pa.Table", out: TextIO) -> None:
    """Prints the answer to an analytics query under its title, with bars for its measure.

    The longest bar is the largest magnitude; negative values have a lighter shade. A terminal too
    narrow for numbers and bars gets the numbers.

    Args:
        query: Its `measure` names the column that the bars show.
        table: The query's rows.
        out: Text goes here and nowhere else.
    """
    out.write(f"{query.title}\n{query.description}\n")
    if not table.num_rows:
        out.write("No rows.\n\n")
        return
    console = _console(out)
    columns = [(heading(name), justify) for name, justify in _columns(table)]
    rows = [tuple(map(report_cell, row)) for batch in _batches(table) for row in batch]
    spare = console.width - _width(console, _grid(columns, rows)) - _COLUMN_GAP
    length = min(_BAR_CELLS, spare) if console.is_terminal else _BAR_CELLS
    if length >= _SHORTEST_BAR_CELLS:
        columns.append(("", "left"))
        bars = _bars(table.column(query.measure).to_pylist(), length)
        rows = [(*row, bar) for row, bar in zip(rows, bars, strict=True)]
    _print(console, _grid(columns, rows))
    out.write("\n")


def _write_csv(table: "pa.Table", out: TextIO) -> None:
    out.write(",".join(map(_quoted, table.column_names)) + "\n")
    for rows in _batches(table):
        out.writelines(",".join(map(_csv_field, row)) + "\n" for row in rows)


def _write_json(table: "pa.Table", out: TextIO) -> None:
    names = table.column_names
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(
            f"json needs one name a column, but {', '.join(repeated)} occurs twice; rename with AS"
        )
    keys = [json.dumps(name, ensure_ascii=False) for name in names]
    separator = "\n"
    out.write("[")
    for rows in _batches(table):
        for row in rows:
            pairs = (f"{key}: {_json(value)}" for key, value in zip(keys, row, strict=True))
            out.write(f"{separator}{{{', '.join(pairs)}}}")
            separator = ",\n"
    out.write("\n]\n")


def _console(out: TextIO) -> "Console":
    from rich.console import Console

    class PassingOn(Console):
        def on_broken_pipe(self) -> None:
            """Rich would end the process with 1; what it means is for the caller to say."""
            raise  # the BrokenPipeError in whose handler Rich calls this

    return PassingOn(file=out, markup=False, emoji=False, highlight=False)


def _columns(table: "pa.Table") -> list[Heading]:
    """The columns' names, and that numbers align to the right."""
    return [(field.name, "right" if _is_number(field.type) else "left") for field in table.schema]


def _grid(columns: Sequence[Heading], rows: Sequence[tuple[str, ...]]) -> "Table":
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, justify in columns:
        grid.add_column(_printable(name), justify=justify, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _print(console: "Console", grid: "Table") -> None:
    if not console.is_terminal:
        console.width = _width(console, grid)
    console.print(grid)


def _width(console: "Console", grid: "Table") -> int:
    """How many cells the table takes where nothing limits it."""
    unlimited = console.options.update(width=_NO_LIMIT)
    return max(console.measure(grid, options=unlimited).maximum, 1)


def _is_number(type_: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_decimal(type_) or pa.types.is_integer(type_) or pa.types.is_floating(type_)


def _batches(table: "pa.Table") -> Iterator[list[Row]]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _text(value: Any) -> str:
    """A value that is not NULL, as csv and tables show it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case float():
            return repr(value) if math.isfinite(value) else _not_finite(value)
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).replace(
                tzinfo=None
            ).isoformat() + "Z"
        case date() | time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case dict() | list() | tuple():
            return _json(value)
        case _:
            return str(value)


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _csv_field(value: Any) -> str:
    return "" if value is None else _quoted(_text(value))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def _json(value: Any) -> str:
    """Any value as json. Decimals keep every digit, which `json.dumps` cannot do."""
    match value:
        case None:
            return "null"
        case bool() | int() | Decimal():
            return _text(value)
        case float():
            return _text(value) if math.isfinite(value) else "null"
        case dict():
            return f"{{{', '.join(f'{_json(str(key))}: {_json(item)}' for key, item in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(_json, value))}]"
        case _:
            return json.dumps(_text(value), ensure_ascii=False)


def _cell(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, Decimal):
        return format(value, ",f")
    return _printable(_text(value))


def report_cell(value: Any) -> str:
    """A value of a report, for people."""
    return format(value, ",.1f") if isinstance(value, float) else _cell(value)


def _printable(text: str) -> str:
    """Control characters spelt out: what a database holds must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def heading(name: str) -> str:
    """A column's name, for people."""
    return name.removesuffix("_percent").replace("_", " ") + (" %" * name.endswith("_percent"))


def _bars(values: Sequence[Any], length: int) -> list[str]:
    """A bar for each value; the largest magnitude takes `length` cells."""
    sizes = [float(value or 0) for value in values]
    largest = max(map(abs, sizes)) or 1.0
    return [_bar(size / largest * length) for size in sizes]


def _bar(cells: float) -> str:
    """A bar in eighths of a cell; a negative one is shaded, in whole cells."""
    if cells < 0:
        return "░" * math.ceil(-cells)
    whole, eighths = divmod(round(cells * 8), 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()
