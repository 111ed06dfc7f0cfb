"""What a model's SQL says: the tables it reads, its lineage, and its text for another engine."""

from functools import lru_cache

import sqlglot
from sqlglot import exp

from retail_platform.errors import ConfigurationError

MODEL_DIALECT = "spark"
"""Models, measures and rules are written in Spark SQL, in the subset that DuckDB shares."""


def parse(sql: str, dialect: str = MODEL_DIALECT) -> exp.Expr:
    """Parses one statement.

    Raises:
        ConfigurationError: It is not valid SQL of that dialect; the message shows where.
    """
    try:
        return sqlglot.parse_one(sql, dialect=dialect)
    except sqlglot.errors.ParseError as error:
        first = error.errors[0]
        raise ConfigurationError(
            f"malformed SQL at line {first['line']}, column {first['col']}: "
            f"{first['description']} near {first['highlight']!r}"
        ) from error


@lru_cache(maxsize=512)
def referenced_tables(sql: str) -> frozenset[str]:
    """The tables that a statement reads, as written (`raw.orders` or `orders`), without its CTEs."""
    tree = parse(sql)
    ctes = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    return frozenset(
        ".".join(part for part in (table.db, table.name) if part)
        for table in tree.find_all(exp.Table)
        if table.db or table.name not in ctes
    )


def row_condition(sql: str, table: str) -> str:
    """The condition of a rule that looks at single rows, so that many rules cost one scan.

    Args:
        sql: A statement that returns the rows that offend.
        table: The one table that it may read, as `layer.name`.

    Returns:
        What its WHERE says of a row; empty where it is not of the form
        `SELECT columns FROM table WHERE condition`.
    """
    tree = parse(sql)
    parts = {name for name, part in tree.args.items() if part}
    sources = list(tree.find_all(exp.Table))
    if (
        not isinstance(tree, exp.Select)
        or parts - {"kind", "expressions", "from_", "where"}
        or "where" not in parts
        or [f"{source.db}.{source.name}" for source in sources] != [table]
        or tree.find(exp.AggFunc, exp.Window)
    ):
        return ""
    condition: exp.Expr = tree.args["where"].this
    for column in condition.find_all(exp.Column):
        column.set("table", None)
    return condition.sql(dialect=MODEL_DIALECT)


@lru_cache(maxsize=512)
def to_duckdb(sql: str) -> str:
    """The statement as DuckDB runs it."""
    return _spelt_out(sql).sql(dialect="duckdb")


@lru_cache(maxsize=512)
def to_athena(sql: str) -> str:
    """The statement as Athena runs it, its tables named as they were."""
    return _spelt_out(sql).sql(dialect="athena")


def _spelt_out(sql: str) -> exp.Expr:
    """The statement with what Spark leaves unsaid, which other engines take otherwise.

    A CAST of the model stays strict: Spark's ANSI mode raises on a bad value, and so must any
    engine, whereas sqlglot takes Spark's CAST for a lenient one. Spark trims spaces, the others by
    themselves every kind of white space.
    """
    tree = parse(sql)
    for trim in tree.find_all(exp.Trim):
        if trim.expression is None:
            trim.set("expression", exp.Literal.string(" "))
    for cast in list(tree.find_all(exp.TryCast)):
        cast.replace(exp.Cast(this=cast.this, to=cast.to))
    return tree
