"""Spark, on the laptop and on AWS Glue: the same SQL, contracts and checks where one machine ends.

Nothing here needs more than pyspark and pyarrow, so that Glue can run it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from retail_platform.contracts.checks import qualified
from retail_platform.contracts.model import Table
from retail_platform.engines.extraction import extract
from retail_platform.engines.jdbc import JdbcSource
from retail_platform.engines.parquet import write_parquet
from retail_platform.engines.protocol import (
    Audit,
    DataFile,
    InputTable,
    OutputTable,
    RowReader,
    RunRequest,
    TableResult,
)
from retail_platform.engines.run import (
    Extract,
    audit_tables,
    misplaced,
    named,
    not_as_promised,
    run,
)
from retail_platform.errors import EngineError, RetailError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

SPARK_CONFIG = {
    # A value that does not fit is an error and no NULL, as on the other engine.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # A source's CHAR and ENUM come without the blanks that Spark would add.
    "spark.sql.readSideCharPadding": "false",
    # Days before 1582 are those of the calendar that everyone else has.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.compression.codec": "snappy",
    # Iceberg knows columns by these, which the request carries.
    "spark.sql.parquet.fieldId.write.enabled": "true",
    # What a task writes: small tables and months are one file, large ones about this size.
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "384MB",
    # Files are looked up by this many tasks: one for each of sixty months takes a second to plan.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
}
"""What every session has to be set to for the engines to agree."""


_MONTH_FOLDER = "retail_month"

_SHUFFLE_PARTITIONS = "spark.sql.shuffle.partitions"

_LOG_CONFIG = (Path(__file__).parent / "log4j2.properties").as_uri()


def local_config(memory_limit: str, folder: Path) -> dict[str, str]:
    """What a session on a laptop is set to: bounded memory, and nothing listens beyond it.

    Args:
        memory_limit: Of the JVM, such as `2GB`.
        folder: Where Spark spills.
    """
    return {
        **SPARK_CONFIG,
        "spark.master": "local[*]",
        "spark.app.name": "retail",
        "spark.driver.memory": re.sub(r"\s?([MG])i?B", lambda unit: unit[1].lower(), memory_limit),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_LOG_CONFIG}",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        # Adaptive execution joins small ones; two hundred would each cost a task first.
        _SHUFFLE_PARTITIONS: "8",
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    }


@dataclass(frozen=True)
class SparkEngine:
    """Runs models in Spark.

    Attributes:
        session: Gives the session, the same one each time; it is started when first asked for.
    """

    source_connections: ClassVar[int] = 1

    session: "Callable[[], SparkSession]"

    def run(
        self, request: RunRequest, source: RowReader | JdbcSource | None = None
    ) -> list[TableResult]:
        """See `engines.protocol.Engine.run`; a `JdbcSource` is read by Spark itself."""
        tables = [*request.references, *(table for o in request.outputs for table in o.inputs)]
        contracts = [*(t.contract for t in tables), *(o.contract for o in request.outputs)]
        with self._backend(contracts) as backend:
            return run(backend, request, backend.reading(source))

    def audit(self, tables: Sequence[InputTable], references: Sequence[InputTable]) -> list[Audit]:
        """See `engines.protocol.Auditor.audit`."""
        with self._backend([table.contract for table in (*tables, *references)]) as backend:
            return audit_tables(backend, tables, references)

    @contextmanager
    def _backend(self, contracts: Iterable[Table]) -> "Iterator[_Spark]":
        session = self.session()
        for name, value in SPARK_CONFIG.items():
            session.conf.set(name, value)
        if not session.sparkContext.getConf().contains(_SHUFFLE_PARTITIONS):
            session.conf.set(_SHUFFLE_PARTITIONS, _shuffle_partitions(session))
        backend = _Spark(session, {qualified(table): table.name for table in contracts})
        try:
            yield backend
        except RetailError:
            raise
        except Exception as error:
            raise _told_plainly(error) from error
        finally:
            for name in backend.views.values():
                session.catalog.dropTempView(name)


@dataclass(frozen=True)
class _Spark:
    """Implements `engines.run.Backend`.

    Attributes:
        session: Where it runs.
        views: The temporary view of every table of the run, by `layer.name`. Spark qualifies no
            temporary view, and names are unique over all layers.
        frames: What has been shown, by table and files.
    """

    session: "SparkSession"
    views: dict[str, str]
    frames: "dict[tuple[str, tuple[DataFile, ...], frozenset[str]], DataFrame]" = field(
        default_factory=dict
    )

    def show(self, table: InputTable) -> None:
        """Makes a table readable as `layer.name`, and as `name`."""
        # Spark looks up each file of a new frame, in a job of its own where there are many.
        key = (table.contract.name, table.files, table.absent)
        if key not in self.frames:
            self.frames[key] = self._read(table)
        self.frames[key].createOrReplaceTempView(table.contract.name)

    def _read(self, table: InputTable) -> "DataFrame":
        from pyspark.sql import functions

        contract = table.contract
        if not table.files:
            return self.session.createDataFrame([], _schema(contract, contract.column_names))
        stored = [name for name in contract.column_names if name not in table.absent]
        files = [file.uri for file in table.files]
        frame = self.session.read.schema(_schema(contract, stored)).parquet(*files)
        return frame.select(
            *(
                functions.lit(None).cast(_type(contract, name)).alias(name)
                if name in table.absent
                else frame[name]
                for name in contract.column_names
            )
        )

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement, by column."""
        return [row.asDict() for row in self._frame(sql).collect()]

    def arrow(self, sql: str) -> pa.Table:
        """All rows of a statement, in this process's memory."""
        from pyspark.sql.pandas.types import to_arrow_schema

        frame = self._frame(sql)
        # Of pyspark's own: what `toPandas` collects before it makes pandas of it.
        return pa.Table.from_batches(frame._collect_as_arrow(), to_arrow_schema(frame.schema))

    def store(self, output: OutputTable, rows: pa.Table) -> tuple[DataFile, ...]:
        """Writes rows into one file."""
        if not len(rows):
            return ()
        uri = f"{output.location}/part-0.parquet"
        with TemporaryDirectory() as folder:
            path = Path(folder) / "part-0.parquet"
            write_parquet(rows, output, path)
            # By Spark's own file system, which reaches wherever Spark writes.
            self._file_system(uri).copyFromLocalFile(self._path(path.as_uri()), self._path(uri))
        return (DataFile(uri),)

    def keys_differ(self, table: Table) -> bool:
        """Leaves it to the check, which is one aggregation here too."""
        return False

    def byte_count(self, files: Sequence[DataFile]) -> int:
        """The size of data files."""
        return sum(self._status(file.uri).getLen() for file in files)

    def write(self, output: OutputTable, inputs: Sequence[InputTable]) -> tuple[DataFile, ...]:
        """Writes the rows of a model."""
        try:
            return self._write(output, inputs)
        except RetailError:
            raise
        except Exception as error:
            reason = _told_plainly(error)
            raise EngineError(f"{named(output.contract)} could not be built: {reason}") from error

    def reading(self, source: RowReader | JdbcSource | None) -> Extract | None:
        """What writes the rows of a source."""
        if isinstance(source, JdbcSource):
            return partial(self._extract, source=source)
        return partial(extract, source=source) if source else None

    def _extract(self, output: OutputTable, source: JdbcSource) -> tuple[DataFile, ...]:
        if not output.reads:
            return ()
        name = output.contract.name
        try:
            rows = source.rows(self.session, output)
            # Each connection has months of its own, and needs no shuffle to write them together.
            return self._store(output, rows if output.contract.partition else _rebalanced(rows))
        except RetailError:
            raise
        except Exception as error:
            # Neither shows its cause, which may show the password.
            if failure := source.failure(self.session, name, error):
                raise failure from None
            reason = source.redact(_told_plainly(error))
            raise EngineError(f"{name} could not be read from {source}: {reason}") from None

    def _write(self, output: OutputTable, inputs: Sequence[InputTable]) -> tuple[DataFile, ...]:
        from pyspark.sql import functions

        table = output.contract
        for read in inputs:
            self.show(read)
        model = self._frame(table.sql)
        _require_types(table, model.schema)
        monthly = {file.month for read in inputs for file in read.files if file.month}
        if table.partition and output.months and not monthly:
            # The model does not know which months are asked for. A missing one is kept for the audit.
            month = functions.col(table.partition.column)
            asked = month.between(output.months.first, output.months.last)
            model = model.where(functions.coalesce(asked, functions.lit(True)))
        by = table.partition.column if table.partition else ""
        files = self._store(output, _rebalanced(model, by))
        found = {file.month for file in files if file.month}
        if monthly and not found <= monthly:
            raise EngineError(misplaced(table, monthly, found - monthly))
        return files

    def _store(self, output: OutputTable, rows: "DataFrame") -> tuple[DataFile, ...]:
        """Writes rows that have the contract's columns; those of a monthly table by month."""
        from pyspark.sql import functions

        table = output.contract
        columns = [
            functions.col(name).alias(name, metadata={"parquet.field.id": output.field_ids[name]})
            for name in table.column_names
        ]
        if table.partition is None:
            rows.select(*columns).write.parquet(output.location)
            if self.session.read.schema(rows.schema).parquet(output.location).isEmpty():
                return ()
            return tuple(DataFile(uri) for uri in self._files(output.location))
        month = functions.col(table.partition.column).alias(_MONTH_FOLDER)
        by_month = rows.select(*columns, month)
        by_month.write.partitionBy(_MONTH_FOLDER).parquet(output.location)
        return tuple(DataFile(uri, _month_of(uri)) for uri in self._files(output.location))

    def _frame(self, sql: str) -> "DataFrame":
        for name, view in self.views.items():
            sql = re.sub(rf"\b{re.escape(name)}\b", view, sql)
        return self.session.sql(sql)

    def _files(self, folder: str) -> list[str]:
        """The data files below a folder, as URIs with their scheme."""
        found = self._file_system(folder).listFiles(self._path(folder), True)
        uris = []
        while found.hasNext():
            status = found.next()
            if status.getPath().getName().endswith(".parquet"):
                # Java writes file:/x where everyone else has file:///x.
                uris.append(re.sub(r"^file:/+", "file:///", status.getPath().toString()))
        return sorted(uris)

    def _status(self, uri: str) -> Any:
        return self._file_system(uri).getFileStatus(self._path(uri))

    def _file_system(self, uri: str) -> Any:
        return self._path(uri).getFileSystem(self.session._jsc.hadoopConfiguration())

    def _path(self, uri: str) -> Any:
        return self.session._jvm.org.apache.hadoop.fs.Path(uri)  # type: ignore[union-attr]


def _shuffle_partitions(session: "SparkSession") -> int:
    """Into how many parts a shuffle goes before adaptive execution joins small ones.

    Spark's two hundred are a file each for every task, which on few cores costs more than the rows.
    Where executors are still to come, there are enough for thirty-two cores.
    """
    return min(200, max(32, 4 * session.sparkContext.defaultParallelism))


def _rebalanced(model: "DataFrame", column: str = "") -> "DataFrame":
    """Spread over as many tasks as make files of a sensible size, equal values of `column` together."""
    by = f"({column})" if column else ""
    return model.sparkSession.sql(f"SELECT /*+ REBALANCE{by} */ * FROM {{model}}", model=model)


def _schema(table: Table, names: Iterable[str]) -> str:
    """Columns of a contract as Spark writes a schema; the types have the same names."""
    return ", ".join(f"`{name}` {_type(table, name)}" for name in names)


def _type(table: Table, column: str) -> str:
    return table.column(column).type.replace(" ", "")


def _require_types(table: Table, given: "StructType") -> None:
    """Refuses a model whose columns are not of the contract's types, before it runs."""
    types = {field.name: field.dataType.simpleString() for field in given}
    wrong = [
        f"{name} is {types.get(name, 'missing')} and not {_type(table, name)}"
        for name in table.column_names
        if types.get(name) != _type(table, name)
    ]
    wrong += [f"{name} is not in the contract" for name in types if name not in table.column_names]
    if wrong:
        raise EngineError(not_as_promised(table, wrong))


def _month_of(uri: str) -> date | None:
    found = re.search(rf"/{_MONTH_FOLDER}=(\d{{4}}-\d\d-\d\d)/", uri)
    return date.fromisoformat(found[1]) if found else None


def _told_plainly(error: Exception) -> Exception:
    """Spark's error without the JVM's traces; other errors as they are."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    if isinstance(error, Py4JJavaError):
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = str(cause.toString())
    elif isinstance(error, PySparkException):
        text = str(error)
    else:
        return error
    reason = text.strip().split("\n\tat ", 1)[0].split("\n\nJVM stacktrace", 1)[0]
    if "OutOfMemory" in text:
        reason += "; give Spark more memory with RETAIL_MEMORY_LIMIT, or build fewer months at once"
    return EngineError(f"Spark: {reason}")
