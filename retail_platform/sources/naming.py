"""Finds the tables and columns that an extraction query means, whatever their letter case.

`orderDetails`, `orderdetails` and `"orderDetails"` are one table to whoever writes `sql/raw`;
MySQL on Linux tells them apart, and PostgreSQL folds whatever is not quoted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from retail_platform.contracts.model import Table
from retail_platform.contracts.sql import parse
from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.dialect import Dialect

Relations = Mapping[str, tuple[str, ...]]
"""The columns of every table and view of one schema, by its exact name."""

Catalogue = Callable[[str], Relations]
"""Gives the relations of a schema by its name; the empty name means where the source looks first."""


class UnknownNameError(SourceError):
    """The source has no such table or column, or several that may be meant."""


class MissingTableError(UnknownNameError):
    """The source has no table that the query reads."""


@dataclass(frozen=True)
class ResolvedQuery:
    """An extraction query in the dialect of its source.

    Attributes:
        sql: The statement, every identifier exact and quoted.
        outputs: The names of the columns that it gives, in lower case.
        unread_columns: `table.column` of what the table after FROM has and the query never reads.
    """

    sql: str
    outputs: tuple[str, ...]
    unread_columns: tuple[str, ...]


def resolve(table: Table, catalogue: Catalogue, dialect: Dialect) -> ResolvedQuery:
    """Writes the extraction query of `table` for a source.

    Args:
        table: A raw table, whose `sql` is in MySQL's dialect.
        catalogue: What the source has.
        dialect: The source's own dialect.

    Raises:
        MissingTableError: The query reads a table that the source lacks.
        UnknownNameError: It reads a column that the source lacks, or a name that fits several.
        ConfigurationError: It is not one SELECT.
    """
    remedy = f"edit sql/{table.sql_path}"
    written = parse(table.sql, "mysql")
    if not isinstance(written, exp.Query):
        raise ConfigurationError(f"sql/{table.sql_path} must be one SELECT")
    tree, relations = _with_stand_ins(written, catalogue, remedy)
    try:
        qualify(
            tree,
            schema={name: relation.schema for name, relation in relations.items()},
            dialect="mysql",
            validate_qualify_columns=False,
            allow_partial_qualification=True,  # we name a missing column and its neighbours
            quote_identifiers=False,
        )
    except OptimizeError as error:
        raise ConfigurationError(f"sql/{table.sql_path} is not understood: {error}") from error
    read = {name: set[str]() for name in relations}
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if not column.table and not column.find_ancestor(exp.Order, exp.Group, exp.Having):
                columns = [c for relation in relations.values() for c in relation.columns]
                raise _missing_column(column.name, "the tables it reads have", columns, remedy)
            if isinstance(source, exp.Table):
                exact = relations[source.name].exact_column(column.name, remedy)
                column.this.set("this", exact)
                read[source.name].add(exact)
    first = tree.find(exp.From)
    main = first.this.name if first else ""
    for node in tree.find_all(exp.Table):
        if relation := relations.get(node.name):
            node.set("this", exp.to_identifier(relation.name))
            node.set("db", exp.to_identifier(relation.schema_name or None))
    for cast in tree.find_all(exp.Cast):
        if cast.to.sql("mysql") == "CHAR":  # of any length in MySQL, of one letter in PostgreSQL
            cast.set("to", exp.DataType.build("TEXT"))
    return ResolvedQuery(
        sql=tree.sql(dialect=dialect.name, identify=True, comments=False),
        outputs=tuple(tree.named_selects),
        unread_columns=tuple(
            f"{relations[main].name}.{column}"
            for column in (relations[main].columns if main in relations else ())
            if column not in read[main]
        ),
    )


@dataclass(frozen=True)
class _Relation:
    """A table of the source that the query reads."""

    schema_name: str
    name: str
    columns: tuple[str, ...]

    @property
    def schema(self) -> dict[str, str]:
        return {column.lower(): "unknown" for column in self.columns}

    def exact_column(self, written: str, remedy: str) -> str:
        alike = [column for column in self.columns if column.lower() == written]
        if not alike:
            raise _missing_column(
                f"{self.name}.{written}", f"{self.name} has", self.columns, remedy
            )
        if len(alike) > 1:
            raise UnknownNameError(
                f"column {self.name}.{written} may be {' or '.join(alike)}: read a view that "
                f"has one of them, and {remedy}"
            )
        return alike[0]


def _with_stand_ins(
    tree: exp.Query, catalogue: Catalogue, remedy: str
) -> tuple[exp.Query, dict[str, _Relation]]:
    """The query with every name in lower case and every table called `t0`, `t1`, ...

    Names are thereby compared without their case, whichever schemas they come from; the exact
    ones return once every column has found its table.
    """
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    relations: dict[str, _Relation] = {}
    for node in list(tree.find_all(exp.Table)):
        if not node.db and node.name in ctes:
            continue
        available = catalogue(node.db)
        name = _pick(node.name, available, remedy)
        stand_in = f"t{len(relations)}"
        relations[stand_in] = _Relation(node.db, name, available[name])
        if not node.alias:
            node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name)))
        node.set("this", exp.to_identifier(stand_in))
        node.set("db", None)
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())
    return tree, relations


def _pick(written: str, names: Iterable[str], remedy: str) -> str:
    """The table that is meant: the exact one, or the only one that differs in case alone."""
    listed = tuple(names)
    alike = [name for name in listed if name.lower() == written.lower()]
    if not alike:
        raise MissingTableError(
            f"there is no table {written}{_near(written, listed)}: {remedy}, or grant the user "
            "SELECT on it"
        )
    if len(alike) > 1 and written not in alike:
        raise UnknownNameError(
            f"table {written} may be {' or '.join(alike)}: {remedy} to name one exactly"
        )
    return written if written in alike else alike[0]


def _missing_column(
    written: str, having: str, columns: Iterable[str], remedy: str
) -> UnknownNameError:
    listed = tuple(columns)
    near = _near(written.rpartition(".")[2], listed)
    return UnknownNameError(
        f"there is no column {written}{near}; {having} {', '.join(listed)}: {remedy}"
    )


def _near(written: str, names: Iterable[str]) -> str:
    lowered = {name.lower(): name for name in names}
    near = get_close_matches(written.lower(), lowered, n=3)
    return f" (did you mean {' or '.join(lowered[name] for name in near)}?)" if near else ""
