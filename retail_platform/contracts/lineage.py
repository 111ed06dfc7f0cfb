"""Column-level lineage: which source columns make an output column, read from the SQL itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import Table
from retail_platform.contracts.sql import MODEL_DIALECT, parse


@dataclass(frozen=True, order=True)
class ColumnSource:
    """A column that another is made from; `table` is a lake table, or a source's for `raw`."""

    table: str
    column: str


def column_lineage(contracts: Contracts, table: Table) -> dict[str, tuple[ColumnSource, ...]]:
    """The source columns of every column of `table`, by column; `{}` for the quarantine.

    A column made from nothing but constants, or by exploding a sequence, has no entry. A raw
    table's sources are the columns of the OLTP tables that its extraction query reads.
    """
    if not table.sql:
        return {}
    if table.layer == "raw":
        return _of_extraction(table)
    schema = {
        other.layer: {
            **{t.name: _types(t) for t in contracts.tables.values() if t.layer == other.layer}
        }
        for other in contracts.tables.values()
    }
    return _trace(contracts, table, schema)


def _types(table: Table) -> dict[str, str]:
    return {column.name: column.type for column in table.columns}


def _trace(
    contracts: Contracts, table: Table, schema: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> dict[str, tuple[ColumnSource, ...]]:
    tree = parse(table.sql)
    ctes = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    for reference in tree.find_all(exp.Table):
        if not reference.db and reference.name not in ctes:
            reference.set("db", exp.to_identifier(contracts.table(reference.name).layer))
    qualified = qualify(tree, schema=dict(schema), dialect=MODEL_DIALECT)
    scope = build_scope(qualified)
    # Neither copied nor trimmed to each column: nothing here reads the SQL of a node.
    roots = lineage(
        None,
        qualified,
        dict(schema),
        dialect=MODEL_DIALECT,
        scope=scope,
        trim_selects=False,
        copy=False,
    )
    traced: dict[str, tuple[ColumnSource, ...]] = {}
    for column in table.column_names:
        sources = {
            ColumnSource(node.source.name, node.name.rpartition(".")[2].strip('"`'))
            for node in roots[column].walk()
            if isinstance(node.source, exp.Table) and not node.downstream
        }
        if sources:
            traced[column] = tuple(sorted(sources))
    return traced


def _of_extraction(table: Table) -> dict[str, tuple[ColumnSource, ...]]:
    tree = parse(table.sql, "mysql")
    names = {t.alias_or_name: t.name for t in tree.find_all(exp.Table)}
    only = next(iter(names.values())) if len(names) == 1 else ""
    traced: dict[str, tuple[ColumnSource, ...]] = {}
    select = tree.find(exp.Select)
    for projection in select.expressions if select else []:
        sources = {
            ColumnSource(names.get(column.table, only), column.name)
            for column in projection.find_all(exp.Column)
        }
        if sources and projection.alias_or_name in table.column_names:
            traced[projection.alias_or_name] = tuple(sorted(sources))
    if table.partition and (day := traced.get(table.partition.date)):
        traced[table.partition.column] = day
    return traced
