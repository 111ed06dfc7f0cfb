"""Raw tables made up for a test."""

from dataclasses import replace
from typing import Any

from retail_platform.contracts.model import Column, MonthPartition, Table


def table(sql: str, name: str = "things", **changes: Any) -> Table:
    """A raw table; every further argument is a column with its type, or a field of Table."""
    fields = {key: changes.pop(key) for key in list(changes) if key in Table.__dataclass_fields__}
    columns = tuple(Column(column, kind, "") for column, kind in changes.items())
    contract = Table("raw", name, "", "", columns, (), sql=sql, sql_path=f"raw/{name}.sql")
    return replace(contract, **fields)


MONTHLY = MonthPartition(column="month", date="day")
