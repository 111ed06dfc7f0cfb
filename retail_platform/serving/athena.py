"""SQL over the published snapshots on AWS: Athena, asked through PyAthena.

What belongs here: pinning the tables of a query to snapshots, one question and its answer, and what
Athena's failures mean for who asked. Which snapshots there are is the lake's business.

The rows come from the CSV file that Athena writes for every answer, read by the types that Athena
reports: NULL stands there as nothing and an empty string as `""`, decimals have every digit, and a
file is one request however long it is. PyAthena's own cursors are not that exact: the one for Arrow
reads NULL as an empty string and decimals as text, and the plain one asks once for every 1000 rows.

Arrays, maps and rows are text in Athena's notation, where the laptop gives nested values.
"""

import logging
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from sqlglot import exp

from retail_platform.aws import aws_errors, client, code_of, region, told
from retail_platform.aws import session as aws_session
from retail_platform.errors import ConfigurationError, LakeError, RetailError
from retail_platform.serving.query import parse_query, referenced_tables

if TYPE_CHECKING:
    import pyarrow as pa
    from pyathena.connection import Connection
    from pyathena.cursor import Cursor
    from pyathena.model import AthenaQueryExecution

_POLL_SECONDS = 0.5  # PyAthena's second is as long as a small query takes
_BLOCK_BYTES = 64 * 1024**2  # of CSV: more than the longest row
_USER_ERROR = 2  # Athena's category of what the query, or a permission, is to blame for


class SnapshotHistory(Protocol):
    """What serving needs to know of the lake where Athena reads it."""

    def tables(self) -> Mapping[str, str]:
        """The layer of every published table, by the table's name."""
        ...

    def snapshot(self, table: str, as_of: datetime | None) -> int:
        """The id of a table's snapshot.

        Args:
            table: A name of `tables()`.
            as_of: The moment whose snapshot is meant; None for the newest.
        """
        ...


class AthenaSql:
    """Answers queries over the snapshots of one lake."""

    def __init__(self, workgroup: str, database_prefix: str, snapshots: SnapshotHistory) -> None:
        """Asks nothing before the first query.

        Args:
            workgroup: Athena's; it says where answers are written.
            database_prefix: What stands before a layer's name in that of its Glue database.
            snapshots: Which tables there are, and their snapshots.
        """
        self._workgroup = workgroup
        self._database_prefix = database_prefix
        self._snapshots = snapshots

    def run(self, sql: str, as_of: datetime | None = None) -> "pa.Table":
        """Runs one query.

        Every table is pinned to one snapshot before Athena starts, so that a query which reads a
        table twice sees the same rows even if a build publishes in between.

        Args:
            sql: One SELECT, WITH or VALUES statement in Athena's dialect. Tables are named
                unqualified or as `layer.table`.
            as_of: Reads every table as it was then; None reads the newest snapshots.

        Returns:
            The rows. Timestamps with a zone are in UTC.

        Raises:
            ConfigurationError: The query is malformed, is no query, or names what does not exist;
                or the workgroup, region, credentials or a permission are missing.
            LakeError: Athena failed.
        """
        tree = parse_query(sql)
        layers = self._snapshots.tables()
        relations = {
            name: Relation(
                layers[name],
                pinned(
                    f"{self._database_prefix}{layers[name]}",
                    name,
                    self._snapshots.snapshot(name, as_of),
                ),
            )
            for name in referenced_tables(tree, layers)
        }
        with session(self._workgroup) as athena:
            return athena.answer(over(sql, relations))


@dataclass(frozen=True)
class Relation:
    """What stands for a table in the text that goes to Athena.

    Attributes:
        layer: The table's.
        sql: A table of Glue or a subquery, without an alias.
    """

    layer: str
    sql: str


def pinned(database: str, table: str, snapshot_id: int) -> str:
    """A snapshot of a table, as Athena reads it."""
    return f'"{database}"."{table}" FOR VERSION AS OF {snapshot_id}'


def over(sql: str, relations: Mapping[str, Relation]) -> str:
    """The query with relations in the place of its tables.

    A table keeps its alias, and one without is aliased by its name, so that whatever named it still
    does. The rest of the text stays as it was written: sqlglot would write `DECIMAL '1.5'` as a
    CAST that rounds, and Athena's messages count lines as the user does.

    Args:
        sql: One query in Athena's dialect.
        relations: By the name of the table, in lower case.

    Raises:
        ConfigurationError: The query is malformed, or is no query.
    """
    tree = parse_query(sql)
    edits: list[tuple[int, int, str]] = []
    for column in tree.find_all(exp.Column):
        relation = relations.get(column.table.lower())
        if relation and column.db.lower() == relation.layer:
            edits.append((_start(column.args["db"]), _start(column.args["table"]), ""))
    for table in tree.find_all(exp.Table):
        name = table.name.lower()
        if name in relations and not _is_cte(table):
            alias = "" if table.alias else f' AS "{name}"'
            end = table.this.meta["end"] + 1
            edits.append((_start(table.parts[0]), end, f"{relations[name].sql}{alias}"))
    for start, end, text in sorted(edits, reverse=True):
        sql = f"{sql[:start]}{text}{sql[end:]}"
    return sql


def _start(identifier: exp.Expr) -> int:
    """Where an identifier begins in the text that was parsed."""
    start: int = identifier.meta["start"]
    return start


def _is_cte(table: exp.Table) -> bool:
    """Whether the name means a common table expression that is in sight where it stands."""
    inside: set[int] = set()
    node = None if table.db else table.parent
    while node is not None:
        with_ = node.args.get("with_")
        if with_ is not None:
            for cte in with_.expressions:
                # Within itself, neither an expression nor what follows it is in sight.
                if id(cte) in inside and not with_.recursive:
                    break
                if cte.alias.lower() == table.name.lower():
                    return True
        inside.add(id(node))
        node = node.parent
    return False


@contextmanager
def session(workgroup: str) -> "Iterator[Session]":
    """A connection to Athena, which threads may share.

    Raises:
        ConfigurationError: There is no region.
    """
    from pyathena import connect

    # It logs, with a traceback, the errors that it also raises.
    logging.getLogger("pyathena").setLevel(logging.CRITICAL)
    with aws_errors(f"asking Athena in workgroup {workgroup}"):
        connection = connect(
            work_group=workgroup,
            s3_staging_dir="",  # the workgroup's, whatever the environment says
            session=aws_session(),
            region_name=region(),
            poll_interval=_POLL_SECONDS,
        )
    with connection:
        yield Session(workgroup, connection, client("s3"))


@dataclass(frozen=True)
class Session:
    """A connection to Athena.

    Attributes:
        workgroup: Where queries run.
        connection: PyAthena's.
        s3: Reads the answers.
    """

    workgroup: str
    connection: "Connection[Cursor]"
    s3: Any

    def answer(self, sql: str) -> "pa.Table":
        """The rows of a query over tables of Glue.

        Raises:
            ConfigurationError: The query, the workgroup, the credentials or a permission is to
                blame.
            LakeError: Athena failed.
        """
        import pyathena

        last: deque[AthenaQueryExecution] = deque(maxlen=1)
        # One row is fetched with the columns; the others are in the file.
        cursor = self.connection.cursor(arraysize=1, on_poll=last.append)
        try:
            cursor.execute(sql)
        except pyathena.Error as error:
            raise self._told(error, last.pop() if last else None) from error
        if not cursor.output_location:
            raise ConfigurationError(
                f"the Athena workgroup {self.workgroup} writes its answers to no bucket: "
                "give it an output location"
            )
        location = urlsplit(cursor.output_location)
        with aws_errors(f"reading the answer in {cursor.output_location}"):
            file = self.s3.get_object(Bucket=location.netloc, Key=location.path.lstrip("/"))
            return read_answer(file["Body"], cursor.description or ())

    def _told(self, error: Exception, execution: "AthenaQueryExecution | None") -> RetailError:
        """An error of PyAthena in our words."""
        cause = error.__cause__
        if isinstance(cause, ClientError) and code_of(cause) == "InvalidRequestException":
            return ConfigurationError(
                f"Athena refuses the query in workgroup {self.workgroup}: "
                f"{cause.response['Error']['Message']}"
            )
        if isinstance(cause, ClientError | BotoCoreError):
            return told(cause, f"asking Athena in workgroup {self.workgroup}")
        if execution is None:
            return LakeError(f"Athena: {error}")
        return self._failure(execution)

    def _failure(self, execution: "AthenaQueryExecution") -> RetailError:
        """Why a query did not succeed."""
        reason = execution.state_change_reason or "it gives no reason"
        if "bytes scanned limit" in reason.lower():
            return ConfigurationError(
                f"the query reads more than the Athena workgroup {self.workgroup} allows "
                f"({reason}): read fewer months or columns, or raise the workgroup's limit"
            )
        if execution.state == execution.STATE_CANCELLED:
            return LakeError(f"the query was cancelled in Athena ({reason}): run it again")
        if execution.error_category == _USER_ERROR:
            return ConfigurationError(f"the query failed: {reason}")
        return LakeError(
            f"Athena failed: {reason}; run the query again, and if it fails again, read fewer "
            "months or columns"
        )


def read_answer(file: IO[bytes], columns: Sequence[Sequence[Any]]) -> "pa.Table":
    """The rows of an answer.

    Args:
        file: CSV as Athena writes it: a header, every value in quotes, NULL as nothing.
        columns: As DB-API describes them: name, type, ..., precision, scale, ...

    Raises:
        ConfigurationError: A value has more digits than its type in Arrow holds.
    """
    positions = [str(position) for position in range(len(columns))]  # names may occur twice
    types = [
        _arrow_type(type_, precision, scale) for _, type_, _, _, precision, scale, _ in columns
    ]
    by_hand = {position for position, type_ in enumerate(types) if _is_by_hand(type_)}
    # Arrow's threads let go of a file of Python's after the answer is there, and where Python ends
    # at that moment, they abort it: so they get a file of the system's.
    with NamedTemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        rows = _read_csv(copy.name, positions, types, by_hand)
    for number in by_hand:
        values = _parsed(rows.column(number).to_pylist(), types[number])
        rows = rows.set_column(number, positions[number], values)
    return rows.rename_columns([name for name, *_ in columns])


def _read_csv(
    path: str, positions: list[str], types: "list[pa.DataType]", by_hand: set[int]
) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    try:
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(
                column_names=positions, skip_rows_after_names=1, block_size=_BLOCK_BYTES
            ),
            # An empty line is a row: the NULL of a single column.
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={
                    name: pa.string() if number in by_hand else type_
                    for number, (name, type_) in enumerate(zip(positions, types, strict=True))
                },
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise ConfigurationError(
            f"the answer cannot be held exactly ({error}): CAST that column to a type with fewer "
            "digits, or to varchar"
        ) from error


def _arrow_type(type_: str, precision: int, scale: int) -> "pa.DataType":
    """Arrow's type for one of Athena's; text for what has none."""
    import pyarrow as pa

    match type_:
        case "boolean":
            return pa.bool_()
        case "tinyint":
            return pa.int8()
        case "smallint":
            return pa.int16()
        case "integer":
            return pa.int32()
        case "bigint":
            return pa.int64()
        case "float" | "real":
            return pa.float32()
        case "double":
            return pa.float64()
        case "decimal":
            return pa.decimal128(precision, scale)
        case "date":
            return pa.date32()
        case "time":
            return pa.time64("us")
        case "timestamp":
            return pa.timestamp("us")
        case "timestamp with time zone":
            return pa.timestamp("us", "UTC")
        case "varbinary":
            return pa.binary()
        case _:
            return pa.string()


def _is_by_hand(type_: "pa.DataType") -> bool:
    """Whether Arrow does not parse what Athena writes: the names of zones, and bytes in hex."""
    import pyarrow as pa

    return pa.types.is_binary(type_) or (pa.types.is_timestamp(type_) and type_.tz is not None)


def _parsed(texts: Sequence[str | None], type_: "pa.DataType") -> "pa.Array[Any]":
    import pyarrow as pa
    from pyathena.converter import DefaultTypeConverter

    name = "varbinary" if pa.types.is_binary(type_) else "timestamp with time zone"
    converter = DefaultTypeConverter()
    return pa.array([converter.convert(name, text) for text in texts], type_)
