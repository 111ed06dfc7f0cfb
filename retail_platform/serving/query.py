"""SQL over the published snapshots on the laptop: the dialect of Athena, run by DuckDB.

What belongs here: parsing, naming what is wrong with a query, and a locked DuckDB session that
sees the snapshot's files and nothing else. Which files those are is the lake's business; printing
the rows is `render`'s.

Where the two engines differ, the session takes Athena's side: dividing integers gives an integer,
`date_diff` counts whole units, `date_trunc` of a date is a date, sums of integers are bigint,
`format_datetime` exists. What stays different: dividing or averaging decimals gives a double here and a decimal on Athena, and a
date plus an interval is a timestamp here. Casting the operands makes both agree.
"""

import difflib
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.time import format_time

from retail_platform.errors import ConfigurationError, LakeError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DIALECT = "athena"
"""The dialect of `retail query` and of `sql/analytics`."""

_STRFTIME_OF_JODA = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m",
    "dd": "%d", "d": "%-d", "EEEE": "%A", "EEE": "%a", "e": "%u", "DDD": "%j", "ww": "%V",
    "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "a": "%p",
    "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "SSS": "%g",
}  # fmt: skip


class SnapshotReader(Protocol):
    """What serving needs to know of the lake."""

    def tables(self) -> Mapping[str, str]:
        """The layer of every published table, by the table's name."""
        ...

    def files(self, table: str, as_of: datetime | None) -> Sequence[str]:
        """The Parquet data files of a table's snapshot, as `file://` before the path as it is.

        Args:
            table: A name of `tables()`.
            as_of: The moment whose snapshot is meant; None for the newest.
        """
        ...

    def columns(self, table: str, as_of: datetime | None) -> Sequence[tuple[str, str]]:
        """Name and DuckDB type of the columns of a table's snapshot, in stored order."""
        ...


class QueryService(Protocol):
    """Answers SQL in Athena's dialect over the published snapshots."""

    def run(self, sql: str, as_of: datetime | None = None) -> "pa.Table":
        """Runs one query; see `LocalSql.run`."""
        ...


class LocalSql:
    """Answers queries over the snapshots of one lake."""

    def __init__(self, snapshots: SnapshotReader, memory_limit: str) -> None:
        """Opens nothing before the first query.

        Args:
            snapshots: Which tables there are, and their files.
            memory_limit: What a query may hold in memory before it spills to disk, such as `2GB`.
        """
        self._snapshots = snapshots
        self._memory_limit = memory_limit

    def run(self, sql: str, as_of: datetime | None = None) -> "pa.Table":
        """Runs one query.

        Args:
            sql: One SELECT, WITH or VALUES statement in Athena's dialect. Tables are named
                unqualified or as `layer.table`.
            as_of: Reads every table as it was then; None reads the newest snapshots.

        Returns:
            The rows. Timestamps with a zone are in UTC.

        Raises:
            ConfigurationError: The query is malformed, is no query, or names what does not exist.
            LakeError: A data file of a snapshot cannot be read.
        """
        import duckdb

        tree = parse_query(sql)
        layers = self._snapshots.tables()
        tables = {
            name: [_path(file) for file in self._snapshots.files(name, as_of)]
            for name in referenced_tables(tree, layers)
        }
        with (
            tempfile.TemporaryDirectory(prefix="retail-query-") as spill,
            duckdb.connect(":memory:") as connection,
        ):
            schemas = sorted({layers[table] for table in tables})
            for schema in schemas:
                connection.execute(f"CREATE SCHEMA {_identifier(schema)}")
            for table, files in tables.items():
                view = f"{_identifier(layers[table])}.{_identifier(table)}"
                body = _rows(files) if files else _no_rows(self._snapshots.columns(table, as_of))
                try:
                    connection.execute(f"CREATE VIEW {view} AS {body}")
                except duckdb.Error as error:
                    raise LakeError(
                        f"a data file of {table} cannot be read: {_first_lines(error)}; "
                        f"rebuild it with `retail build {table}`"
                    ) from error
            connection.execute(f"SET search_path = {_literal(','.join([*schemas, 'main']))}")
            connection.execute(f"SET memory_limit = {_literal(self._memory_limit)}")
            _lock(connection, [file for files in tables.values() for file in files], spill)
            try:
                # `sql` rather than `execute`: its Arrow result is not copied a second time.
                answer = connection.sql(to_duckdb(tree))
                return _sums_as_bigint(answer.to_arrow_table(), answer.types)
            except duckdb.IOException as error:
                raise LakeError(
                    f"reading {', '.join(tables)} failed: {_first_lines(error)}; run the query "
                    "again, and if it fails again, `retail build`"
                ) from error
            except duckdb.Error as error:
                raise ConfigurationError(f"the query failed: {_first_lines(error)}") from error


def parse_query(sql: str) -> exp.Expr:
    """The tree of one query in Athena's dialect.

    Raises:
        ConfigurationError: It is malformed (the message shows where), it is not a query, it is
            not exactly one statement, or it has parameters without values.
    """
    try:
        statements = [tree for tree in sqlglot.parse(sql, read=DIALECT) if tree is not None]
    except ParseError as error:
        raise ConfigurationError(_malformed(error)) from error
    except SqlglotError as error:
        raise ConfigurationError(f"malformed query: {error}; is a quote left open?") from error
    if not statements:
        raise ConfigurationError("the query is empty: write one SELECT, such as SELECT 1 AS one")
    if len(statements) > 1:
        raise ConfigurationError(f"expected one query, found {len(statements)}; run them singly")
    tree = statements[0]
    if not isinstance(tree, exp.Query | exp.Values) or tree.find(exp.Into):
        raise ConfigurationError(
            "only queries (SELECT, WITH, VALUES) are allowed: `retail status` lists the tables, "
            "and `retail build` writes them"
        )
    if placeholder := tree.find(exp.Placeholder, exp.Parameter):
        name = placeholder.sql(dialect=DIALECT)
        raise ConfigurationError(f"the query has the parameter {name}; write its value instead")
    return tree


def referenced_tables(tree: exp.Expr, layers: Mapping[str, str]) -> list[str]:
    """The lake's tables that a query reads, sorted.

    A name that is both a common table expression and a table counts as the table too: inside
    `WITH orders AS (SELECT * FROM orders)` both are meant.

    Args:
        tree: A parsed query.
        layers: The layer of every table there is.

    Raises:
        ConfigurationError: There is no such table, and the message names the nearest ones; or one
            is asked for as of a moment of its own.
    """
    defined = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    found: set[str] = set()
    for node in tree.find_all(exp.Table):
        if not isinstance(node.this, exp.Identifier):
            raise ConfigurationError(
                f"table functions are not available: {node.this.sql(dialect=DIALECT)}; "
                "query the tables of the lake, or UNNEST an array"
            )
        if node.args.get("version"):
            raise ConfigurationError(
                f"{node.sql(dialect=DIALECT)}: a query reads all its tables as of one moment; "
                "leave FOR out, and give the moment by --as-of"
            )
        layer, name = node.db.lower(), node.name.lower()
        if not node.catalog and name in layers and layer in ("", layers[name]):
            found.add(name)
        elif layer or name not in defined:
            raise ConfigurationError(_unknown_table(node.sql(dialect=DIALECT), name, layers))
    return sorted(found)


def to_duckdb(tree: exp.Expr) -> str:
    """The query as DuckDB runs it.

    sqlglot translates names and syntax but leaves two meanings behind: DuckDB's `date_diff` counts
    the boundaries between two moments where Athena counts whole units, which DuckDB calls
    `date_sub`; and `format_datetime` takes Joda patterns, which `strftime` does not know. A nameless
    column is called `_col0`, `_col1`, ... after its position, as on Athena.
    """

    def athenas_meaning(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.DateDiff):
            unit = exp.Literal.string(node.text("unit"))
            return exp.Anonymous(this="DATE_SUB", expressions=[unit, node.expression, node.this])
        if (
            isinstance(node, exp.Anonymous)
            and node.name.upper() == "FORMAT_DATETIME"
            and len(node.expressions) == 2
            and node.expressions[1].is_string
        ):
            moment, pattern = node.expressions
            strftime = exp.Literal.string(format_time(pattern.name, _STRFTIME_OF_JODA))
            return exp.Anonymous(this="STRFTIME", expressions=[moment, strftime])
        return node

    translated = tree.transform(athenas_meaning)
    if isinstance(translated, exp.Query):
        for position, column in enumerate(translated.selects):
            if not (column.alias or column.is_star or isinstance(column, exp.Column)):
                column.replace(exp.alias_(column.copy(), f"_col{position}"))
    return translated.sql(dialect="duckdb")


def _lock(connection: "duckdb.DuckDBPyConnection", files: Iterable[str], spill: str) -> None:
    """Leaves the session nothing but the snapshot's files, and no way to change that."""
    for statement in (
        "SET TimeZone = 'UTC'",
        "SET integer_division = true",
        # The overloads make `date_trunc` of a date a date, as Athena has it.
        "CREATE MACRO memory.main.date_trunc"
        "(unit, moment DATE) AS CAST(system.main.date_trunc(unit, moment) AS DATE), "
        "(unit, moment TIMESTAMP) AS system.main.date_trunc(unit, moment), "
        "(unit, moment TIMESTAMPTZ) AS system.main.date_trunc(unit, moment)",
        "SET python_enable_replacements = false",
        f"SET temp_directory = {_literal(spill)}",
        f"SET allowed_paths = [{', '.join(map(_literal, files))}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(statement)


def _sums_as_bigint(rows: "pa.Table", types: Sequence[object]) -> "pa.Table":
    """DuckDB sums integers into 128 bits; Athena's sums are bigint, and so are ours.

    Raises:
        ConfigurationError: A sum does not fit.
    """
    import pyarrow as pa

    for position, type_ in enumerate(types):
        if str(type_) == "HUGEINT":
            name = rows.column_names[position]
            try:
                column = rows.column(position).cast(pa.int64())
            except pa.ArrowInvalid as error:
                raise ConfigurationError(
                    f"the query failed: {name} exceeds bigint; CAST what is summed to decimal(38,0)"
                ) from error
            rows = rows.set_column(position, name, column)
    return rows


def _path(file: str) -> str:
    """The path in a `file://` URI, in which a percent sign stands for itself, as in the lake."""
    return file.removeprefix("file://")


def _rows(files: Sequence[str]) -> str:
    return (
        f"SELECT * FROM read_parquet([{', '.join(map(_literal, files))}], "
        "union_by_name = true, hive_partitioning = false)"
    )


def _no_rows(columns: Sequence[tuple[str, str]]) -> str:
    typed = (f"CAST(NULL AS {type_}) AS {_identifier(name)}" for name, type_ in columns)
    return f"SELECT {', '.join(typed)} WHERE false"


def _identifier(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql(dialect="duckdb")


def _malformed(error: ParseError) -> str:
    first = error.errors[0]
    reason = re.sub(r"<class '.*\.(\w+)'>", r"\1", str(first["description"]))
    return (
        f"malformed query at line {first['line']}, column {first['col']}, "
        f"near {first['highlight']!r}: {reason}"
    )


def _unknown_table(written: str, name: str, layers: Mapping[str, str]) -> str:
    if not layers:
        return f"unknown table {written}: nothing is built yet, run `retail build`"
    if name in layers:
        return f"unknown table {written}: did you mean {layers[name]}.{name}?"
    near = difflib.get_close_matches(name, layers, n=3)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(layers))};"
    )
    return f"unknown table {written}: {hint} if it is not built yet, run `retail build`"


def _first_lines(error: Exception) -> str:
    """DuckDB's message without the echo of the translated query, which the user never wrote."""
    message = str(error).split("\n\nLINE ")[0]
    return " ".join(line.strip() for line in message.splitlines() if line.strip())
