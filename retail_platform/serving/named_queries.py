"""The questions of `sql/analytics` as Athena keeps them by name: `python -m ... FOLDER`.

Each is a template of Terraform's, in which `${database_prefix}` stands before a layer's name; its
parameters have their defaults.
"""

import sys
from pathlib import Path

from retail_platform.contracts.loader import load_contracts
from retail_platform.serving.analytics import bind, load_analytics
from retail_platform.serving.athena import Relation, over
from retail_platform.serving.query import parse_query, referenced_tables


def named_queries() -> dict[str, str]:
    """The text of every question, by its name."""
    layers = {name: table.layer for name, table in load_contracts().tables.items()}
    found = {}
    for name, query in load_analytics().items():
        sql = bind(query)
        relations = {
            table: Relation(layers[table], f'"${{database_prefix}}{layers[table]}"."{table}"')
            for table in referenced_tables(parse_query(sql), layers)
        }
        found[name] = f"-- {query.title}\n-- {query.description}\n{over(sql, relations)}\n"
    return found


def write(folder: Path) -> None:
    """Writes them into a folder, a file each, and removes others of the kind there."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.sql"):
        old.unlink()
    for name, text in named_queries().items():
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
