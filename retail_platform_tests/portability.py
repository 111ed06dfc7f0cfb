"""The SQL that two engines would answer differently, found in its text and told with its remedy.

Every entry was seen: Spark and DuckDB give other rows, other types or an error on one side only.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from retail_platform.contracts.checks import qualified
from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import Table
from retail_platform.contracts.sql import MODEL_DIALECT, parse

Schema = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Types of columns, by layer and table."""

_MONDAY = "mod(datediff(d, date '1900-01-01'), 7) + 1, in which Monday is 1"
_DIGEST = "md5(...) or sha2(..., 256)"
_AVERAGE = "avg(cast(x AS double)), or keep sum and count"

_PORTABLE = {
    "dayofweek": _MONDAY,
    "weekday": _MONDAY,
    "hash": _DIGEST,
    "xxhash64": _DIGEST,
    "crc32": _DIGEST,
    "trunc": "cast(date_trunc('month', d) AS date)",
    "try_cast": "cast(...): a bad value has to fail, not to become NULL",
    "ceil": "cast(-floor(-x) AS int)",
    "ceiling": "cast(-floor(-x) AS int)",
    "months_between": "(year(a) - year(b)) * 12 + month(a) - month(b)",
    "mean": _AVERAGE,
    "upper": "the text as it is: upper('ß') differs",
    "ucase": "the text as it is: upper('ß') differs",
}
"""What to write instead of a function."""

_DATES = (exp.AddMonths, exp.TsOrDsAdd, exp.TimestampTrunc)
_INTEGERS = exp.DataType.INTEGER_TYPES
_FRACTIONS = {exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE}
_DECIMALS = {exp.DataType.Type.DECIMAL}


def schema_of(contracts: Contracts) -> Schema:
    """The types of everything that a model may read."""
    return {
        layer: {
            table.name: {column.name: column.type for column in table.columns}
            for table in contracts.layer(layer)
        }
        for layer in {table.layer for table in contracts.tables.values()}
    }


def statements(table: Table) -> Iterator[tuple[str, str]]:
    """All Spark SQL of a table, by where it stands: its model, its rules and its measures."""
    if table.layer != "raw" and table.sql:
        yield f"sql/{table.sql_path}", table.sql
    where = f"sql/{table.layer}/schema.yml, table {table.name}"
    for rule in table.rules:
        yield f"{where}, rule {rule.name}", rule.sql
    for name, sql in table.measures.items():
        yield f"{where}, measure {name}", f"SELECT {sql} AS measure FROM {qualified(table)}"


def unportable(sql: str, schema: Schema) -> list[str]:
    """What is wrong with a statement, and what to write instead; empty where it is portable."""
    tree = qualify(parse(sql), schema=dict(schema), dialect=MODEL_DIALECT, quote_identifiers=False)
    typed = annotate_types(tree, schema=dict(schema), dialect=MODEL_DIALECT)
    return list(
        dict.fromkeys(
            [
                *_functions(sql),
                *(complaint for node in typed.walk() if (complaint := _complaint(node))),
            ]
        )
    )


def uncast(table: Table) -> list[str]:
    """The output columns of a model that are no CAST to the contract's type.

    A bare column is fine where the model reads its own last snapshot, which has that type.
    """
    return [
        f"{column.name} is {projection.sql(MODEL_DIALECT)!r}: "
        f"write cast(... AS {column.type}) AS {column.name}"
        for select in _branches(parse(table.sql))
        for column, projection in zip(table.columns, select.expressions, strict=True)
        if projection.alias_or_name != column.name
        or not (_is_cast_to(projection.unalias(), column.type) or _is_of(table, select, projection))
    ]


def _functions(sql: str) -> Iterator[str]:
    """By their written names, because parsing makes `trunc` and `date_trunc` nearly the same."""
    for token, following in pairwise(Spark().tokenize(sql)):
        name = token.text.lower()
        if following.text == "(" and name in _PORTABLE:
            yield f"{name}() differs between engines: write {_PORTABLE[name]}"


def _complaint(node: exp.Expr) -> str | None:
    match node:
        case exp.Div() if _type(node.left) in _DECIMALS or _type(node.right) in _DECIMALS:
            return "a division of decimals has another scale: write cast(a AS double) / b"
        case exp.Avg() if _type(node.this) not in _FRACTIONS:
            return f"avg of what is no double has another type: write {_AVERAGE}"
        case exp.Round() if _type(node.this) not in _DECIMALS:
            return "round of a double goes the other way at halves: write round(cast(x AS decimal(20,2)), n)"
        case exp.Mul() if {bool(_type(s) in _DECIMALS) for s in (node.left, node.right)} == {
            True,
            False,
        } and (_type(node.left) in _INTEGERS or _type(node.right) in _INTEGERS):
            return "int * decimal has another precision: write cast(n AS decimal(20,2)) * price"
        case exp.Cast() if node.to.this in _INTEGERS and _type(node.this) in _DECIMALS:
            return "a cast of a decimal to int rounds on one engine: write cast(floor(x) AS int)"
        case exp.Explode() if not isinstance(node.parent, exp.Alias | exp.Select):
            return (
                "Spark explodes no value within an expression: explode in a CTE and cast around it"
            )
        case exp.Substring(args={"start": exp.Literal(this="0")}):
            return "substring(s, 0, n) counts from 0 or 1: write substring(s, 1, n)"
        case _ if isinstance(node, _DATES) and not _becomes_date(node):
            return "a computed date is a timestamp on one engine: write cast(... AS date)"
    return None


def _type(node: exp.Expr) -> exp.DType | None:
    inner = node.unnest()
    if isinstance(inner, exp.Floor):
        return None  # a whole number, whatever it is called
    return inner.type.this if inner.type else None


def _becomes_date(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return isinstance(parent, exp.Cast) and parent.to.this is exp.DataType.Type.DATE


def _branches(tree: exp.Expr) -> Iterator[exp.Select]:
    if isinstance(tree, exp.SetOperation):
        yield from _branches(tree.left)
        yield from _branches(tree.right)
    elif isinstance(tree, exp.Select):
        yield tree


def _is_cast_to(value: exp.Expr, type_: str) -> bool:
    return isinstance(value, exp.Cast) and value.to == exp.DataType.build(
        type_, dialect=MODEL_DIALECT
    )


def _is_of(table: Table, select: exp.Select, value: exp.Expr) -> bool:
    """Whether a value is a column of the table's own last snapshot."""
    own = {t.alias_or_name for t in select.find_all(exp.Table) if t.name == table.name}
    return isinstance(value, exp.Column) and value.table in own
