"""Athena's named queries are the project's questions, over the databases of an environment."""

from pathlib import Path

import sqlglot
from sqlglot import exp

from retail_platform.contracts.loader import load_contracts
from retail_platform.serving.analytics import load_analytics
from retail_platform.serving.named_queries import named_queries, write


def test_every_question_names_the_database_of_each_table() -> None:
    contracts = load_contracts()
    found = named_queries()
    assert set(found) == set(load_analytics())
    for name, text in found.items():
        tree = sqlglot.parse_one(text.replace("${database_prefix}", "shop_"), dialect="athena")
        common = {cte.alias for cte in tree.find_all(exp.CTE)}
        read = [table for table in tree.find_all(exp.Table) if table.name not in common]
        assert read, name
        for table in read:
            assert table.db == f"shop_{contracts.table(table.name).layer}", name
        assert not list(tree.find_all(exp.Placeholder)), name


def test_a_folder_holds_those_of_today(tmp_path: Path) -> None:
    (tmp_path / "of_yesterday.sql").write_text("SELECT 1")
    write(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(load_analytics())
    text = (tmp_path / "top_products.sql").read_text(encoding="utf-8")
    assert text.startswith(f"-- {load_analytics()['top_products'].title}\n")
    assert "${" not in text.replace("${database_prefix}", ""), "Terraform would take it for its own"
    assert "%{" not in text
