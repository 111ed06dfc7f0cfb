"""The star schema as a Mermaid diagram, from the contracts; the README shows it.

`python -m retail_platform.contracts.diagram` prints it.
"""

from collections.abc import Iterator

from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.contracts.model import Table


def star_diagram(contracts: Contracts) -> str:
    """Every table of the star schema with its columns and references, as Mermaid text."""
    return "\n".join(["erDiagram", *_lines(contracts)])


def _lines(contracts: Contracts) -> Iterator[str]:
    star = contracts.layer("star")
    for table in star:
        for key in table.foreign_keys:
            yield f'    {key.table} ||--o{{ {table.name} : "{", ".join(key.columns)}"'
    for table in star:
        yield f"    {table.name} {{"
        for column in table.columns:
            yield f"        {column.type.replace('(', '_').replace(',', '_').rstrip(')')} {column.name}{_keys(table, column.name)}"
        yield "    }"


def _keys(table: Table, column: str) -> str:
    kinds = ["PK"] if column in table.primary_key else []
    kinds += ["FK"] if any(column in key.columns for key in table.foreign_keys) else []
    return f" {', '.join(kinds)}" if kinds else ""


if __name__ == "__main__":
    print(star_diagram(load_contracts()))  # noqa: T201  (this is what it is run for)
