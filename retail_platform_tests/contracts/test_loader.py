"""What a schema.yml may say, and how its author is told what is wrong with it."""

from pathlib import Path

import pytest

from retail_platform.contracts.loader import Contracts, load_contracts
from retail_platform.errors import ConfigurationError

GOOD = """
tables:
  things:
    description: Things.
    grain: one row per thing
    primary_key: [id]
    measures: {rows: count(*)}
    columns:
      id: {type: int, description: Key.}
"""
MODEL = "SELECT cast(1 AS int) AS id"


def load(
    folder: Path,
    star: str,
    raw: str = "tables: {}",
    ml: str = "tables: {}",
    events: str = "tables: {}",
    **models: str,
) -> Contracts:
    for layer, text in (("raw", raw), ("star", star), ("ml", ml), ("events", events)):
        (folder / layer).mkdir()
        (folder / layer / "schema.yml").write_text(text, encoding="utf-8")
    for name, sql in (models or {"things": MODEL}).items():
        (folder / "star" / f"{name}.sql").write_text(sql, encoding="utf-8")
    return load_contracts(folder)


def table(name: str, more: str = "") -> str:
    """The entry of a further table."""
    return f"""
  {name}:
    description: More.
    grain: one row
    primary_key: [id]
    columns: {{id: {{type: int, description: Key.}}}}
    {more}
"""


def test_a_table_is_what_its_two_files_say(tmp_path: Path) -> None:
    things = load(tmp_path, GOOD).table("things")
    assert (things.layer, things.sql, things.sql_path) == ("star", MODEL, "star/things.sql")
    assert things.column("id").type == "int"
    assert things.column("id").nullable


def test_a_rule_on_single_rows_carries_its_condition(tmp_path: Path) -> None:
    rules = """rules:
      even: {description: d, sql: SELECT * FROM star.things WHERE id % 2 = 1}
      few: {description: d, sql: SELECT count(*) FROM star.things HAVING count(*) > 9}
    measures"""
    even, few = load(tmp_path, GOOD.replace("measures", rules)).table("things").rules
    assert (even.condition, few.condition) == ("id % 2 = 1", "")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("tables:", "tables: [", r"sql/star/schema.yml cannot be read: while parsing"),
        (GOOD, "", r"sql/star/schema.yml: a mapping is expected here, not None"),
        ("tables:", "table:", r"sql/star/schema.yml, tables: a mapping is expected"),
        ("{type: int, description: Key.}", "int", r"columns.id: a mapping is expected"),
        ("things:", "tings:", r"schema.yml lacks the contract of things: every SQL file"),
        (GOOD, GOOD + table("more"), r"table more: sql/star/more.sql cannot be read"),
        ("    grain: one row per thing\n", "", r"table things: grain: Field required"),
        ("grain:", "grein:", r"table things: unknown grein; known are .*grain"),
        ("Key.", "Key., nulable: false", r"columns.id: unknown nulable; known are .*nullable"),
        ("Key.", "Key., min: 0", r"table things: columns.0.min: .*valid string"),
        ("type: int", "type: integer", r"column id: unknown type 'integer'; the types are int, .*"),
        (
            "measures",
            "partition: {column: id, date: id}\n    measures",
            r"id tells where a row is stored: give it type: date and nullable: false",
        ),
        ("[id]", "[nr]", r"primary_key names nr, which things lacks"),
        ("measures", "partition: {column: nr, date: id}\n    measures", r"partition names nr"),
        (
            "measures",
            "reconciles_with: nothing\n    measures",
            r"table things: unknown table 'nothing'",
        ),
        (
            "measures",
            "rules: {r: {description: d, sql: SELECT 1, severity: fatal}}\n    measures",
            r"rules.0.severity: Input should be 'error' or 'warn'",
        ),
        (
            "measures",
            "rules: {r: {description: d, sql: SELECT 1, condition: id = 1}}\n    measures",
            r"rules.r: unknown condition; known are .*sql",
        ),
        (
            "measures",
            "rules: {r: {description: d, sql: SELECT FROM WHERE}}\n    measures",
            r"table things, rules.r: malformed SQL at line 1, column ",
        ),
        (
            "measures",
            "sql: SELECT 1\n    measures",
            r"table things: unknown sql; known are .*columns",
        ),
        (
            "measures",
            "foreign_keys: [{columns: [nr], table: things, to_columns: [id]}]\n    measures",
            r"a foreign key names nr, which things lacks",
        ),
        (
            "measures",
            "foreign_keys: [{columns: [id], table: things, to_columns: [nr]}]\n    measures",
            r"a foreign key names nr, which things lacks",
        ),
        (
            "measures",
            "foreign_keys: [{columns: [id], table: nothing, to_columns: [id]}]\n    measures",
            r"table things: unknown table 'nothing'; the tables are things",
        ),
        (
            "measures",
            "foreign_keys: [{columns: [id], table: things, to_columns: [id, id]}]\n    measures",
            r"a foreign key pairs id with id, id",
        ),
        (
            "measures",
            "foreign_keys: [{columns: [id], table: things, to_columns: [id], severty: warn}]\n    measures",
            r"foreign_keys: unknown severty; known are .*severity",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = GOOD.replace(old, new)
    assert text != GOOD
    with pytest.raises(ConfigurationError, match=told):
        load(tmp_path, text)


def test_a_missing_schema_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"sql/raw/schema.yml cannot be read"):
        load_contracts(tmp_path)


def test_a_name_is_unique_over_all_layers(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "schema.yml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "raw" / "things.sql").write_text("SELECT id FROM things", encoding="utf-8")
    (tmp_path / "star").mkdir()
    (tmp_path / "star" / "schema.yml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "star" / "things.sql").write_text(MODEL, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="'things' also stands in layer 'raw'"):
        load_contracts(tmp_path)


TRAINED = """
tables:
  vectors:
    description: Vectors.
    grain: one row per thing
    primary_key: [id]
    trained_from: [things]
    gates:
      good: {description: Good., protocol: new, metric: recall_at_10, at_least: 1.25, times: item_knn}
    columns:
      id: {type: int, description: Key.}
      vector: {type: array<float>, description: Where it is.}
"""


def test_a_trained_table_has_no_sql_and_reads_what_it_is_trained_from(tmp_path: Path) -> None:
    contracts = load(tmp_path, GOOD, ml=TRAINED)
    vectors = contracts.table("vectors")
    assert (vectors.sql, vectors.sql_path) == ("", "")
    assert contracts.inputs(vectors) == {"things"}
    assert vectors.gates[0].at_least == 1.25


@pytest.mark.parametrize(
    ("replaced", "by", "told"),
    [
        (
            "trained_from: [things]",
            "trained_from: [nothing]",
            "table vectors, reads an unknown table",
        ),
        ("protocol: new", "protocol: old", "gates.good: unknown 'old'; known are new, repeat, "),
        (
            "metric: recall_at_10",
            "metric: recall",
            "gates.good: unknown 'recall'; known are recall_",
        ),
        (
            "times: item_knn",
            "times: chance",
            "gates.good: unknown 'chance'; known are popularity_14d",
        ),
        ("description: Where", "min: '0', description: Where", "a vector has no min, max"),
        ("at_least: 1.25", "at_most: 1.25", "unknown at_most; known are"),
    ],
)
def test_a_mistake_in_a_trained_table_is_told(
    tmp_path: Path, replaced: str, by: str, told: str
) -> None:
    assert replaced in TRAINED
    with pytest.raises(ConfigurationError, match=told):
        load(tmp_path, GOOD, ml=TRAINED.replace(replaced, by))


@pytest.mark.parametrize(
    ("replaced", "by", "told"),
    [
        ("type: int", "type: array<float>", "array<float> is for tables with trained_from"),
        (
            "measures: {rows: count(*)}",
            "gates: {g: {description: G., protocol: new, metric: mrr, at_least: 1.0}}",
            "gates are for tables with trained_from",
        ),
    ],
)
def test_what_only_trained_tables_have(tmp_path: Path, replaced: str, by: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        load(tmp_path, GOOD.replace(replaced, by))


def test_measures_stand_on_both_sides(tmp_path: Path) -> None:
    text = GOOD + table("more", "reconciles_with: things\n    measures: {pieces: sum(id)}")
    with pytest.raises(ConfigurationError, match="table more: measures must stand in things too"):
        load(tmp_path, text, things=MODEL, more=MODEL)


def test_a_model_reads_only_tables_that_exist(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"sql/star/things.sql reads an unknown table 'raw.nothing'"
    ):
        load(tmp_path, GOOD, things="SELECT id FROM raw.nothing")


def test_malformed_sql_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="malformed SQL at line 2"):
        load(tmp_path, GOOD, things="SELECT id,\n  FROM FROM")


@pytest.mark.parametrize(
    ("reference", "model"),
    [
        ("", "SELECT cast(id AS int) AS id FROM star.things"),
        ("foreign_keys: [{columns: [id], table: things, to_columns: [id]}]", MODEL),
    ],
    ids=["by reading", "by reference"],
)
def test_tables_that_need_each_other_are_refused(
    tmp_path: Path, reference: str, model: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"sql/star need each other in a circle: .*more"):
        load(
            tmp_path,
            GOOD + table("more", reference),
            things="SELECT cast(id AS int) AS id FROM star.more",
            more=model,
        )


def test_a_table_may_read_its_own_last_snapshot(tmp_path: Path) -> None:
    contracts = load(tmp_path, GOOD, things="SELECT id FROM star.things")
    assert contracts.inputs(contracts.table("things")) == {"things"}


# The project's own


def test_every_table_is_built_after_those_that_it_needs() -> None:
    contracts = load_contracts()
    star = contracts.layer("star")
    order = [table.name for table in star]
    for later in star:
        needed = contracts.inputs(later) | {key.table for key in later.foreign_keys}
        for earlier in needed & set(order) - {later.name}:
            assert order.index(earlier) < order.index(later.name), (earlier, later.name)


def test_children_are_extracted_before_parents() -> None:
    raw = [table.name for table in load_contracts().layer("raw")]
    assert raw.index("order_details") < raw.index("orders")


@pytest.mark.parametrize("name", ["nothing", "raw.fact_orders", "star.orders"])
def test_an_unknown_table_is_told_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"unknown table '{name}'; .*fact_orders"):
        load_contracts().table(name)


@pytest.mark.parametrize("name", ["fact_orders", "star.fact_orders"])
def test_a_table_has_two_names(name: str) -> None:
    assert load_contracts().table(name).layer == "star"


DELIVERED = """
tables:
  seen:
    description: Seen.
    grain: one row per thing
    primary_key: [id]
    delivered: things
    by_day: seen_on
    columns:
      id: {type: string, description: Key.}
      seen_on: {type: date, nullable: false, description: Day.}
"""


def test_a_delivered_table_has_no_sql_and_reads_nothing(tmp_path: Path) -> None:
    contracts = load(tmp_path, GOOD, events=DELIVERED)
    seen = contracts.table("seen")
    assert (seen.delivered, seen.by_day, seen.sql, seen.partition) == (
        "things",
        "seen_on",
        "",
        None,
    )
    assert contracts.inputs(seen) == set()


@pytest.mark.parametrize(
    ("mistake", "instead", "told"),
    [
        ("    by_day: seen_on\n", "", "stored by day: give it both, delivered and by_day"),
        ("by_day: seen_on", "by_day: seen", "by_day names seen, which seen lacks"),
        ("by_day: seen_on", "by_day: id", "id tells where a row is stored: give it type: date"),
        ("nullable: false, ", "", "seen_on tells where a row is stored"),
    ],
)
def test_a_mistake_in_a_delivered_table_is_told(
    tmp_path: Path, mistake: str, instead: str, told: str
) -> None:
    assert mistake in DELIVERED
    with pytest.raises(ConfigurationError, match=told):
        load(tmp_path, GOOD, events=DELIVERED.replace(mistake, instead))
