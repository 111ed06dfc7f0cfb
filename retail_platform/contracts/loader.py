"""Reads the contracts: `sql/<layer>/schema.yml` and the SQL file beside it for every table."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from retail_platform.contracts.model import (
    COLUMN_TYPES,
    QUARANTINE,
    VECTOR,
    Column,
    Feed,
    ForeignKey,
    Gate,
    Rule,
    Table,
)
from retail_platform.contracts.sql import referenced_tables, row_condition
from retail_platform.errors import ConfigurationError
from retail_platform.recommender.report import METRICS, REFERENCES, Protocol

LAYERS = ("raw", "star", "ml", "events")
"""In the order in which they are built."""

_DECIMAL = re.compile(r"decimal\(([1-9]|[12]\d|3[0-8]),\s*\d{1,2}\)")
_TABLE = TypeAdapter(Table)


def sql_folder() -> Path:
    """The folder `sql/`: inside the package where it is installed, at the root of a checkout."""
    packaged = Path(__file__).parents[1] / "sql"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "sql"


@dataclass(frozen=True)
class Contracts:
    """All tables, in the order of their layers and files.

    Attributes:
        tables: By name.
    """

    tables: dict[str, Table]

    def table(self, name: str) -> Table:
        """The contract of `name`, which may be qualified by its layer.

        Raises:
            ConfigurationError: There is no such table; the message lists those there are.
        """
        layer, _, bare = name.rpartition(".")
        table = self.tables.get(bare)
        if table is None or (layer and table.layer != layer):
            raise ConfigurationError(
                f"unknown table {name!r}; the tables are {', '.join(sorted(self.tables))}"
            )
        return table

    def layer(self, layer: str) -> tuple[Table, ...]:
        """The tables of one layer in building order: every table after those that it needs.

        A model needs the tables of its layer that it reads or refers to, so that a reader never
        sees a fact before its dimensions. Raw tables keep the order of their file, in which
        children come before parents.
        """
        graph = {
            table.name: self._needs(table) for table in self.tables.values() if table.layer == layer
        }
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise ConfigurationError(
                f"tables of sql/{layer} need each other in a circle: {' -> '.join(error.args[1])}"
            ) from error
        return tuple(self.tables[name] for name in order if name in graph)

    def landing(self, names: Iterable[str]) -> "Contracts":
        """The same, where the named raw tables are fed by files that land and not by the source.

        Raises:
            ConfigurationError: One of them is no raw table, or none that has rows of its own.
        """
        known = [table.name for table in self.layer("raw") if table.sql]
        if unknown := [name for name in names if name not in known]:
            raise ConfigurationError(
                f"landed (RETAIL_LANDED): no raw table is called {', '.join(unknown)}; files can "
                f"land for {', '.join(known)}"
            )
        landed = {name: replace(self.tables[name], feed=Feed.LANDING) for name in names}
        tables = self.tables | landed
        read = [t for t in tables.values() if t.layer == "raw" and t.feed is Feed.SOURCE]
        if not any(table.partition for table in read):
            # It is the source's: a file is taken whole, or set aside whole.
            tables.pop(QUARANTINE, None)
        return Contracts(tables)

    def fed_by(self, feed: Feed) -> tuple[Table, ...]:
        """The raw tables of a feed, in building order; the quarantine is the source's."""
        return tuple(t for t in self.layer("raw") if t.feed is feed and not t.delivered)

    def _needs(self, table: Table) -> set[str]:
        if table.layer == "raw":
            return set()
        return (self.inputs(table) | {key.table for key in table.foreign_keys}) - {table.name}

    def inputs(self, table: Table) -> set[str]:
        """The lake tables that the model of `table` reads; its own name means its last snapshot."""
        return set(self._inputs.get(table.name, frozenset()))

    def reads(self, table: Table) -> set[str]:
        """The lake tables that building `table` reads.

        A trained table is judged by what its training set would have been on earlier days, and so
        needs what that is made from too.
        """
        judged_by = [self.table(name) for name in table.trained_from[:1]]
        return self.inputs(table).union(*(self.inputs(training_set) for training_set in judged_by))

    @cached_property
    def _inputs(self) -> dict[str, frozenset[str]]:
        return {
            table.name: frozenset(self._resolve(table))
            for table in self.tables.values()
            if table.layer != "raw"
        }

    def _resolve(self, table: Table) -> Iterator[str]:
        if table.delivered:
            return
        for name in table.trained_from or referenced_tables(table.sql):
            try:
                yield self.table(name).name
            except ConfigurationError as error:
                raise ConfigurationError(f"{_place(table)} reads an {error}") from None


@lru_cache(maxsize=4)
def load_contracts(folder: Path | None = None) -> Contracts:
    """Reads and validates every contract under `folder` (default: the project's `sql/`).

    Raises:
        ConfigurationError: A schema.yml or an SQL file is missing, malformed, or disagrees with
            the other; the message names the file and the field.
    """
    root = folder or sql_folder()
    tables: dict[str, Table] = {}
    for layer in LAYERS:
        for table in _read_layer(root, layer):
            if table.name in tables:
                raise ConfigurationError(
                    f"sql/{layer}/schema.yml: table {table.name!r} also stands in layer "
                    f"{tables[table.name].layer!r}; names are unique over all layers"
                )
            tables[table.name] = table
    if QUARANTINE in tables:
        monthly = [
            table.name for table in tables.values() if table.layer == "raw" and table.partition
        ]
        counts = {name: f"count_if(table_name = '{name}')" for name in monthly}
        tables[QUARANTINE] = replace(tables[QUARANTINE], measures=counts)
    contracts = Contracts(tables)
    for table in tables.values():
        _check_references(contracts, table)
    for layer in LAYERS:
        contracts.layer(layer)  # also proves that no tables read each other in a circle
    return contracts


def _read_layer(root: Path, layer: str) -> Iterator[Table]:
    path = root / layer / "schema.yml"
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"sql/{layer}/schema.yml cannot be read: {error}") from error
    where = f"sql/{layer}/schema.yml"
    entries = _mapping(f"{where}, tables", _mapping(where, document).get("tables"))
    undeclared = {file.stem for file in (root / layer).glob("*.sql")} - set(entries)
    if undeclared:
        raise ConfigurationError(
            f"sql/{layer}/schema.yml lacks the contract of {', '.join(sorted(undeclared))}: "
            "every SQL file there needs one"
        )
    for name, entry in entries.items():
        yield _read_table(root, layer, name, entry)


def _place(table: Table) -> str:
    """Where a table is defined, for messages."""
    return f"sql/{table.sql_path or f'{table.layer}/schema.yml, table {table.name},'}"


def _read_table(root: Path, layer: str, name: str, entry: object) -> Table:
    where = f"sql/{layer}/schema.yml, table {name}"
    written = _fields(where, entry, Table, "layer", "name", "sql", "sql_path", "feed")
    has_sql = not (name == QUARANTINE or written.get("trained_from") or written.get("delivered"))
    sql_path = f"{layer}/{name}.sql" if has_sql else ""
    try:
        sql = (root / sql_path).read_text(encoding="utf-8") if has_sql else ""
    except OSError as error:
        raise ConfigurationError(f"{where}: sql/{sql_path} cannot be read: {error}") from error
    keys = written.get("foreign_keys", [])
    contract = {
        **written,
        "layer": layer,
        "name": name,
        "columns": _named(f"{where}, columns", written.get("columns", {}), Column),
        "rules": _named(f"{where}, rules", written.get("rules", {}), Rule, "condition"),
        "gates": _named(f"{where}, gates", written.get("gates", {}), Gate),
        "foreign_keys": [_fields(f"{where}, foreign_keys", key, ForeignKey) for key in keys],
        "sql": sql,
        "sql_path": sql_path,
    }
    try:
        table = _TABLE.validate_python(contract)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{where}: {place}: {first['msg']}") from error
    rules = tuple(_with_condition(where, rule, f"{layer}.{name}") for rule in table.rules)
    return replace(table, rules=rules)


def _with_condition(where: str, rule: Rule, table: str) -> Rule:
    try:
        return replace(rule, condition=row_condition(rule.sql, table))
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}, rules.{rule.name}: {error}") from error


def _named(where: str, entries: object, of: type, *derived: str) -> list[dict[str, Any]]:
    return [
        {"name": name, **_fields(f"{where}.{name}", entry, of, "name", *derived)}
        for name, entry in _mapping(where, entries).items()
    ]


def _fields(where: str, entry: object, of: type, *derived: str) -> dict[str, Any]:
    """An entry whose fields are those of `of`: another one would silently have no effect.

    Args:
        where: The place, for messages.
        entry: What stands there.
        of: The data class that it becomes.
        derived: Fields of it that follow from something else.
    """
    known = [field.name for field in fields(of) if field.name not in derived]
    unknown = [str(name) for name in _mapping(where, entry) if name not in known]
    if unknown:
        raise ConfigurationError(
            f"{where}: unknown {', '.join(unknown)}; known are {', '.join(known)}"
        )
    return _mapping(where, entry)


def _mapping(where: str, entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where}: a mapping is expected here, not {entry!r}")
    return entry


def _check_references(contracts: Contracts, table: Table) -> None:
    """Every name that a contract uses exists."""
    where = f"sql/{table.layer}/schema.yml, table {table.name}"

    def columns_exist(of: Table, names: tuple[str, ...], what: str) -> None:
        missing = [name for name in names if name not in of.column_names]
        if missing:
            raise ConfigurationError(
                f"{where}: {what} names {', '.join(missing)}, which {of.name} lacks"
            )

    def table_called(name: str) -> Table:
        try:
            return contracts.table(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None

    for column in table.columns:
        if column.type not in COLUMN_TYPES and not _DECIMAL.fullmatch(column.type):
            raise ConfigurationError(
                f"{where}, column {column.name}: unknown type {column.type!r}; the types are "
                f"{', '.join(COLUMN_TYPES)} and decimal(p,s) of at most 38 digits"
            )
        if column.type == VECTOR and not table.trained_from:
            raise ConfigurationError(
                f"{where}, column {column.name}: {VECTOR} is for tables with trained_from: Spark "
                "cannot write one that Iceberg reads"
            )
        if column.type == VECTOR and (column.min, column.max, column.accepted_values) != (
            None,
            None,
            (),
        ):
            raise ConfigurationError(
                f"{where}, column {column.name}: a vector has no min, max or accepted_values: write "
                "a rule"
            )
    for gate in table.gates:
        for name, known in (
            (gate.protocol, [*Protocol]),
            (gate.metric, METRICS),
            (gate.times, ["", *REFERENCES]),
        ):
            if name not in known:
                raise ConfigurationError(
                    f"{where}, gates.{gate.name}: unknown {name!r}; known are "
                    f"{', '.join(filter(None, known))}"
                )
    if table.gates and not table.trained_from:
        raise ConfigurationError(f"{where}: gates are for tables with trained_from")
    columns_exist(table, table.primary_key, "primary_key")
    if bool(table.delivered) != bool(table.by_day):
        raise ConfigurationError(
            f"{where}: what is delivered is stored by day: give it both, delivered and by_day"
        )
    stored_by = [table.by_day] if table.by_day else []
    if table.partition:
        columns_exist(table, (table.partition.column, table.partition.date), "partition")
        stored_by.append(table.partition.column)
    columns_exist(table, tuple(stored_by), "by_day")
    for name in stored_by:
        column = table.column(name)
        if column.nullable or column.type != "date":
            raise ConfigurationError(
                f"{where}: {name} tells where a row is stored: give it "
                "type: date and nullable: false"
            )
    if table.min_rows and table.partition and table.layer != "raw":
        raise ConfigurationError(
            f"{where}: min_rows: a run of some months cannot tell how many rows a monthly table "
            "has; leave it out, or write a rule over whole tables"
        )
    for key in table.foreign_keys:
        columns_exist(table, key.columns, "a foreign key")
        columns_exist(table_called(key.table), key.to_columns, "a foreign key")
        if len(key.columns) != len(key.to_columns):
            raise ConfigurationError(
                f"{where}: a foreign key pairs {', '.join(key.columns)} with "
                f"{', '.join(key.to_columns)}: give as many columns on both sides"
            )
    if table.reconciles_with and not (
        set(table.measures) <= set(table_called(table.reconciles_with).measures)
    ):
        raise ConfigurationError(f"{where}: measures must stand in {table.reconciles_with} too")
