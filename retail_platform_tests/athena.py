"""A stand-in for Athena that answers: moto's service, with DuckDB where moto has nothing.

moto takes queries and never runs them. Here a query that is started is run: the tables of its text,
`"database"."table" [FOR VERSION AS OF snapshot]`, are looked up in moto's Glue catalog and read from
its S3 by pyiceberg, `LocalSql` gives the rows, and they are written to the workgroup's output
location as CSV and answered by GetQueryResults, in Athena's notation and by its names of types. So
PyAthena, boto3, HTTP, Glue and Iceberg are the real ones. It works for every process that speaks to
the server; the patches are in the process of the server.

What it cannot show, because DuckDB is not Trino: that Trino accepts a text or finds the same types
(it does not compare varchar with integer, its decimals keep their scale when divided, dividing by
zero fails), what Athena's messages are to the letter, how long anything takes, and that a role may
do what it must. A query has ended when it has started; GetQueryResults gives one page.
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from unittest.mock import patch

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from moto.athena.models import AthenaBackend, Execution, QueryResults
from moto.athena.responses import AthenaResponse
from moto.core.exceptions import JsonRESTError
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table as IcebergTable
from sqlglot import exp

from retail_platform.errors import ConfigurationError
from retail_platform.serving.query import DIALECT, LocalSql
from retail_platform_tests.aws import REGION

WORKGROUP = "retail"
"""The workgroup that the stand-in has, beside Athena's own `primary`, which has no output location."""

RESULTS_BUCKET = "retail-query-results"

_PAGE_ROWS = 1_000
_MEMORY = "1GB"


@dataclass(eq=False)
class Failure(Exception):
    """How a query ends that does not succeed.

    Attributes:
        reason: Athena's words.
        category: 1 for a fault of Athena, 2 for the user's.
        state: What becomes of the query.
    """

    reason: str
    category: int = 2
    state: Literal["FAILED", "CANCELLED"] = "FAILED"


@dataclass
class Athena:
    """The stand-in, for who wants to look at it.

    Attributes:
        queries: The text of every query that was started, in order.
        upcoming: How the next queries end, before they are run at all.
    """

    queries: list[str] = field(default_factory=list)
    upcoming: deque[Failure] = field(default_factory=deque)
    _failures: dict[str, Failure] = field(default_factory=dict)
    _snapshots: dict[tuple[str, str, int], pa.Table] = field(default_factory=dict)

    def _start(
        self,
        backend: AthenaBackend,
        query: str,
        context: Any,
        config: Any,
        workgroup: str | None,
        execution_parameters: Any,
    ) -> str:
        """`AthenaBackend.start_query_execution`; an unknown workgroup is refused by moto before."""
        group = backend.work_groups[workgroup or "primary"]
        location = group.configuration.get("ResultConfiguration", {}).get("OutputLocation")
        if not location:
            raise JsonRESTError(
                "InvalidRequestException",
                "No output location provided. An output location is required either through the "
                "Workgroup result configuration setting or as an API input.",
            )
        execution = Execution(
            query, context, {"OutputLocation": location}, group, execution_parameters
        )
        backend.executions[execution.id] = execution
        self.queries.append(query)
        try:
            if self.upcoming:
                raise self.upcoming.popleft()
            rows = self._run(query)
        except Failure as failure:
            self._failures[execution.id] = failure
        else:
            _write_csv(rows, execution.config["OutputLocation"])
            backend.query_results[execution.id] = _page(rows)
        return execution.id

    def _run(self, query: str) -> pa.Table:
        """The rows of a query over tables of the Glue catalog."""
        tree = sqlglot.parse_one(query, dialect=DIALECT)
        with TemporaryDirectory() as folder:
            files: dict[str, Path] = {}
            for node in tree.find_all(exp.Table):
                if not node.db:  # a common table expression
                    continue
                version = node.args.get("version")
                snapshot_id = int(version.expression.name) if version else None
                name = f"{node.db}.{node.name}@{snapshot_id}"
                if name not in files:
                    files[name] = Path(folder, f"{len(files)}.parquet")
                    pq.write_table(self._read(node.db, node.name, snapshot_id), files[name])
                if not node.alias:
                    node.set("alias", exp.TableAlias(this=node.this.copy()))
                node.set("this", exp.to_identifier(name, quoted=True))
                node.set("db", None)
                node.set("version", None)
            try:
                return LocalSql(_Files(files), _MEMORY).run(tree.sql(dialect=DIALECT))
            except ConfigurationError as error:
                raise Failure(f"SYNTAX_ERROR: line 1:1: {error}") from error

    def _read(self, database: str, table: str, snapshot_id: int | None) -> pa.Table:
        """The rows of a snapshot, which never change; of the newest one for None."""
        if snapshot_id is None:
            return _load(database, table).scan().to_arrow()
        key = (database, table, snapshot_id)
        if key not in self._snapshots:
            iceberg = _load(database, table)
            if iceberg.snapshot_by_id(snapshot_id) is None:
                raise Failure(
                    f"INVALID_ARGUMENTS: Iceberg snapshot ID does not exists: {snapshot_id}"
                )
            self._snapshots[key] = iceberg.scan(snapshot_id=snapshot_id).to_arrow()
        return self._snapshots[key]

    def _completed(self, described: str) -> str:
        """What moto says of an execution, and why it failed."""
        answer = json.loads(described)
        execution = answer["QueryExecution"]
        if failure := self._failures.get(execution["QueryExecutionId"]):
            execution["Status"] |= {
                "State": failure.state,
                "StateChangeReason": failure.reason,
                "AthenaError": {
                    "ErrorCategory": failure.category,
                    "ErrorMessage": failure.reason,
                    "Retryable": False,
                },
            }
        return json.dumps(answer)


@contextmanager
def athena_service() -> Iterator[Athena]:
    """Makes moto's Athena answer, with `WORKGROUP` in it; a server must be in use (`aws.use`)."""
    service = Athena()
    describe = AthenaResponse.get_query_execution
    s3 = boto3.client("s3")
    s3.create_bucket(
        Bucket=RESULTS_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    boto3.client("athena").create_work_group(
        Name=WORKGROUP,
        Configuration={
            "ResultConfiguration": {"OutputLocation": f"s3://{RESULTS_BUCKET}/answers/"},
            "EnforceWorkGroupConfiguration": True,
        },
    )
    with (
        patch.object(
            AthenaBackend,
            "start_query_execution",
            lambda backend, **started: service._start(backend, **started),
        ),
        patch.object(
            AthenaResponse,
            "get_query_execution",
            lambda response: service._completed(describe(response)),
        ),
    ):
        yield service


def glue_catalog() -> GlueCatalog:
    """The catalog in which the stand-in looks tables up."""
    # Arrow's client of S3 does not look for the server in the environment.
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    return GlueCatalog("glue", **{"s3.region": REGION, "s3.endpoint": endpoint})


def _load(database: str, table: str) -> IcebergTable:
    try:
        return glue_catalog().load_table((database, table))
    except NoSuchTableError as error:
        raise Failure(
            f"TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{database}.{table}' does not exist"
        ) from error


@dataclass(frozen=True)
class _Files:
    """One file for each snapshot that a query reads, as `LocalSql` sees them."""

    paths: Mapping[str, Path]

    def tables(self) -> Mapping[str, str]:
        return dict.fromkeys(self.paths, "snapshots")

    def files(self, table: str, as_of: datetime | None) -> Sequence[str]:
        return [f"file://{self.paths[table]}"]

    def columns(self, table: str, as_of: datetime | None) -> Sequence[tuple[str, str]]:
        raise AssertionError("every snapshot has a file")


def _write_csv(rows: pa.Table, location: str) -> None:
    """The file of an answer: every value in quotes, NULL as nothing."""
    lines = [rows.column_names, *_texts(rows)]
    quoted = [
        ",".join("" if text is None else '"' + text.replace('"', '""') + '"' for text in line)
        for line in lines
    ]
    bucket, key = location.removeprefix("s3://").split("/", 1)
    boto3.client("s3").put_object(
        Bucket=bucket, Key=key, Body="".join(f"{line}\n" for line in quoted).encode()
    )


def _page(rows: pa.Table) -> QueryResults:
    """The first page of GetQueryResults, whose first row is the names."""
    lines = [rows.column_names, *_texts(rows.slice(0, _PAGE_ROWS - 1))]
    return QueryResults(
        rows=[
            {"Data": [{} if text is None else {"VarCharValue": text} for text in line]}
            for line in lines
        ],
        column_info=[_column_info(column) for column in rows.schema],
    )


def _column_info(column: "pa.Field[Any]") -> dict[str, Any]:
    type_, precision, scale = _athena_type(column.type)
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column.name,
        "Label": column.name,
        "Type": type_,
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": type_ == "varchar",
    }


_TYPES: dict[pa.DataType, tuple[str, int, int]] = {
    pa.null(): ("unknown", 0, 0),
    pa.bool_(): ("boolean", 0, 0),
    pa.int8(): ("tinyint", 3, 0),
    pa.int16(): ("smallint", 5, 0),
    pa.int32(): ("integer", 10, 0),
    pa.int64(): ("bigint", 19, 0),
    pa.float32(): ("float", 17, 0),
    pa.float64(): ("double", 17, 0),
    pa.string(): ("varchar", 2147483647, 0),
    pa.binary(): ("varbinary", 1073741824, 0),
    pa.date32(): ("date", 0, 0),
    pa.time64("us"): ("time", 3, 0),
    pa.timestamp("us"): ("timestamp", 3, 0),
    pa.timestamp("us", "UTC"): ("timestamp with time zone", 3, 0),
}


def _athena_type(type_: pa.DataType) -> tuple[str, int, int]:
    if isinstance(type_, pa.Decimal128Type):
        return "decimal", type_.precision, type_.scale
    if pa.types.is_list(type_):
        return "array", 0, 0
    if pa.types.is_map(type_):
        return "map", 0, 0
    if pa.types.is_struct(type_):
        return "row", 0, 0
    return _TYPES[type_]


def _texts(rows: pa.Table) -> Iterator[Sequence[str | None]]:
    columns = [[_text(value) for value in column.to_pylist()] for column in rows.columns]
    return zip(*columns, strict=True)


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case Decimal():
            return format(value, "f")
        case float():
            return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(
                repr(value), repr(value)
            )
        case datetime() if value.tzinfo:
            return f"{_text(value.astimezone(UTC).replace(tzinfo=None))} UTC"
        case datetime():
            return value.isoformat(" ", "microseconds")
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.hex(" ")
        case list():
            return f"[{', '.join(_text(item) or 'null' for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{name}={_text(item)}' for name, item in value.items())}}}"
        case _:
            return str(value)
