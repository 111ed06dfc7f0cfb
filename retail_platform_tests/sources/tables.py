"""Raw tables made up for a test, and their rows as a source gives them."""

from dataclasses import replace
from typing import Any

import pyarrow as pa

from retail_platform.contracts.model import Column, MonthPartition, Table
from retail_platform.sources.database import Source
from retail_platform.sources.query import SourceQuery


def table(sql: str, name: str = "things", **changes: Any) -> Table:
    """A raw table; every further argument is a column with its type, or a field of Table."""
    fields = {key: changes.pop(key) for key in list(changes) if key in Table.__dataclass_fields__}
    columns = tuple(Column(column, kind, "") for column, kind in changes.items())
    contract = Table("raw", name, "", "", columns, (), sql=sql, sql_path=f"raw/{name}.sql")
    return replace(contract, **fields)


MONTHLY = MonthPartition(column="month", date="day")


def prepared(source: Source, sql: str, **changes: Any) -> SourceQuery:
    """The query of `table(sql, **changes)`, whose tables the source has."""
    query = source.prepare(table(sql, **changes))
    assert query is not None
    return query


def read(source: Source, sql: str, schema: pa.Schema | None = None) -> list[dict[str, Any]]:
    """All rows that a statement gives."""
    with source.stream(sql, "things", schema) as rows:
        return rows.read_all().to_pylist()
