"""The questions that people ask: `sql/analytics/*.sql` as data, and their parameters bound.

A file is one query in Athena's dialect below a header of comments:

    -- title: Top products
    -- description: The products with the highest sales.
    -- measure: sales
    -- parameter: country string - The customer's country
    -- parameter: n integer = 10 - How many products

Its parameters stand in the query as `:country` and `:n`. One that has no default is NULL until it
is given. What belongs here knows neither engine nor lake: the same text goes to DuckDB, to Athena
as a named query, and to the dashboard.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import sqlglot
from sqlglot import exp

from retail_platform.contracts.loader import sql_folder
from retail_platform.errors import ConfigurationError
from retail_platform.serving.query import DIALECT

Value = str | int | date | None
"""What a parameter may be bound to; None leaves the filter open."""

_SQL_TYPES = {"string": "varchar", "integer": "integer", "date": "date"}

_PARAMETER = re.compile(
    r"(?P<name>\w+) (?P<type>string|integer|date)(?: = (?P<default>\S+))? - (?P<description>.+)"
)


@dataclass(frozen=True)
class Parameter:
    """A filter of an analytics query.

    Attributes:
        name: As in `:name`.
        type: `string`, `integer` or `date`.
        description: One phrase for a help text.
        default: The value when none is given; None leaves the filter open.
    """

    name: str
    type: str
    description: str
    default: Value = None


@dataclass(frozen=True)
class AnalyticsQuery:
    """One question of `sql/analytics`.

    Attributes:
        name: The file's name without its suffix.
        title: A heading.
        description: What the answer counts.
        sql: The query in Athena's dialect, with `:name` parameters.
        parameters: In the order in which the file declares them.
        measure: The output column that a chart shows.
    """

    name: str
    title: str
    description: str
    sql: str
    parameters: tuple[Parameter, ...]
    measure: str

    def takes(self, name: str) -> bool:
        """Whether it has a parameter of that name."""
        return any(parameter.name == name for parameter in self.parameters)


def load_analytics(folder: Path | None = None) -> dict[str, AnalyticsQuery]:
    """Reads every query of a folder.

    Args:
        folder: Where the .sql files are; `sql/analytics` when None.

    Returns:
        The queries by name, sorted.

    Raises:
        ConfigurationError: A file's header lacks a field or declares a parameter wrongly.
    """
    folder = folder or sql_folder() / "analytics"
    return {path.stem: _read(path) for path in sorted(folder.glob("*.sql"))}


def bind(query: AnalyticsQuery, **values: Value) -> str:
    """The query's text with its parameters replaced by typed literals.

    Values enter the syntax tree, never the text, so that no value can be read as SQL.

    Args:
        query: What to ask.
        **values: By parameter name; a string is read as the parameter's type. A parameter that is
            absent or None takes its default.

    Returns:
        One statement in Athena's dialect without parameters.

    Raises:
        ConfigurationError: The query has no such parameter, or a value is not of its type.
    """
    parameters = {parameter.name: parameter for parameter in query.parameters}
    for name in values:
        if name not in parameters:
            raise ConfigurationError(
                f"{query.name} has no parameter {name!r}; it has {', '.join(parameters) or 'none'}"
            )
    literals = {
        name: _literal(parameter, values.get(name)) for name, parameter in parameters.items()
    }
    tree = sqlglot.parse_one(query.sql, dialect=DIALECT)
    bound = tree.transform(partial(_replace_placeholder, literals))
    return bound.sql(dialect=DIALECT, pretty=True, comments=False)


def _replace_placeholder(literals: Mapping[str, exp.Expr], node: exp.Expr) -> exp.Expr:
    return literals[node.name].copy() if isinstance(node, exp.Placeholder) else node


def _literal(parameter: Parameter, value: Value) -> exp.Expr:
    """A typed literal, NULL included: engines refuse to compare a NULL without a type."""
    typed = _typed(parameter, parameter.default if value is None else value)
    if typed is None:
        return exp.cast(exp.null(), _SQL_TYPES[parameter.type])
    if isinstance(typed, int):
        return exp.Literal.number(typed)
    return exp.cast(exp.Literal.string(str(typed)), _SQL_TYPES[parameter.type])


def _typed(parameter: Parameter, value: Value) -> Value:
    try:
        if value is None:
            return None
        if parameter.type == "integer":
            return int(str(value))
        if parameter.type == "date":
            return date.fromisoformat(str(value))
        return str(value)
    except ValueError as error:
        example = {"integer": "10", "date": "2004-12-31"}[parameter.type]
        raise ConfigurationError(
            f"{parameter.name} takes a value of type {parameter.type} like {example}, not {value!r}"
        ) from error


def _read(path: Path) -> AnalyticsQuery:
    text = path.read_text(encoding="utf-8")
    header = re.findall(r"^-- (\w+): (.+)$", text, flags=re.MULTILINE)
    fields = {key: value for key, value in header if key != "parameter"}
    if missing := {"title", "description", "measure"} - fields.keys():
        raise ConfigurationError(
            f"{path.name}: the header lacks {', '.join(sorted(missing))}; write `-- title: ...`"
        )
    return AnalyticsQuery(
        name=path.stem,
        title=fields["title"],
        description=fields["description"],
        sql=text,
        parameters=tuple(
            _parameter(path, value.strip()) for key, value in header if key == "parameter"
        ),
        measure=fields["measure"],
    )


def _parameter(path: Path, declaration: str) -> Parameter:
    match = _PARAMETER.fullmatch(declaration)
    if match is None:
        raise ConfigurationError(
            f"{path.name}: cannot read the parameter {declaration!r}; "
            "write `name string|integer|date [= default] - description`"
        )
    parameter = Parameter(match["name"], match["type"], match["description"])
    return Parameter(
        parameter.name, parameter.type, parameter.description, _typed(parameter, match["default"])
    )
