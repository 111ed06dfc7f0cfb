"""The README shows what is true: its diagram, its commands, its settings, its new table."""

import re
import shutil
from pathlib import Path

from retail_platform.contracts.diagram import star_diagram
from retail_platform.contracts.loader import load_contracts, sql_folder
from retail_platform.settings import Settings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_star_schema_is_the_contracts() -> None:
    shown = README.split("<!-- star schema -->")[1].split("<!-- /star schema -->")[0]
    assert shown.strip() == f"```mermaid\n{star_diagram(load_contracts())}\n```", (
        "paste what `python -m retail_platform.contracts.diagram` prints"
    )


def test_every_setting_is_named() -> None:
    documented = set(re.findall(r"`RETAIL_([A-Z_]+)`", README))
    assert documented == {name.upper() for name in Settings.model_fields}


def test_every_command_is_named() -> None:
    from retail_platform.cli import app

    named = set(re.findall(r"`retail ([a-z-]+)", README))
    commands = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    }
    assert named == commands | {group.name for group in app.registered_groups}


def test_the_new_table_needs_nothing_but_what_is_shown(tmp_path: Path) -> None:
    model = re.search(r"```sql\n(SELECT\n.*?)```", README, re.DOTALL)
    contract = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert model
    assert contract
    folder = tmp_path / "sql"
    shutil.copytree(sql_folder(), folder)
    (folder / "star" / "monthly_product_sales.sql").write_text(model[1], encoding="utf-8")
    with (folder / "star" / "schema.yml").open("a", encoding="utf-8") as schema:
        schema.write("\n" + contract[1])
    contracts = load_contracts(folder)
    table = contracts.table("monthly_product_sales")
    assert contracts.inputs(table) == {"fact_orders"}
    assert contracts.layer("star").index(table) > contracts.layer("star").index(
        contracts.table("fact_orders")
    )
