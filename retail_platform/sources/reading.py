"""Rows in bulk, through connectorx: one statement, one connection, one stream of Arrow batches."""

from collections.abc import Iterator
from contextlib import contextmanager

import connectorx
import pyarrow as pa

from retail_platform.errors import SourceError
from retail_platform.sources.address import Address

_BATCH_ROWS = 10_000  # larger ones are no quicker and cost memory


@contextmanager
def open_stream(
    address: Address, url: str, sql: str, table: str, schema: pa.Schema | None = None
) -> Iterator[pa.RecordBatchReader]:
    """Reads the rows that a statement gives.

    A consumer such as DuckDB turns an error of the stream into one of its own, with a traceback
    for a message; leaving the context raises the original instead.

    connectorx reads ahead without bound: a consumer slower than the source makes it keep rows in
    memory.

    Args:
        address: Of the source, for messages.
        url: Of the source, as connectorx takes it; a secret.
        sql: In the source's own dialect.
        table: What is being read, for messages.
        schema: Names and types to which every batch is cast; a value that would be rounded, cut
            or does not fit is an error. None leaves them as connectorx gives them.

    Raises:
        SourceError: The source failed, or a value cannot be read or cast.
    """
    failures: list[SourceError] = []

    def batches(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in rows:
                if batch.num_rows:
                    yield batch if schema is None else _cast(batch, schema, table)
        except GeneratorExit:
            raise
        except BaseException as error:
            failures.append(_failure(address, table, error))
            raise failures[0] from None

    rows = _start(address, url, sql, table)
    reader = pa.RecordBatchReader.from_batches(schema or rows.schema, batches(rows))
    try:
        yield reader
    except BaseException:
        if failures:
            raise failures[0] from None
        raise
    finally:
        reader.close()


def _start(address: Address, url: str, sql: str, table: str) -> pa.RecordBatchReader:
    try:
        reader: pa.RecordBatchReader = connectorx.read_sql(
            url,
            sql,
            return_type="arrow_stream",
            batch_size=_BATCH_ROWS,
            pre_execution_query=address.dialect.session,
        )
    except BaseException as error:
        raise _failure(address, table, error) from None
    return reader


def _cast(batch: pa.RecordBatch, schema: pa.Schema, table: str) -> pa.RecordBatch:
    columns = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        try:
            columns.append(batch.column(name).cast(kind))
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"{table}.{name}: a value does not fit {kind}: {error}; mend it in the source, "
                f"convert it in sql/raw/{table}.sql or widen the contract"
            ) from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _failure(address: Address, table: str, error: BaseException) -> SourceError:
    """The error to show. A panic of connectorx is no Exception, so everything else is passed on.

    Raises:
        BaseException: `error` itself, where it is not one of reading.
    """
    if isinstance(error, SourceError):
        return error
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    said = address.redact(error).split("\n", 1)[0].strip()
    if "utf8" in said.lower().replace("-", ""):
        remedy = f"some text is not valid UTF-8; convert it in sql/raw/{table}.sql"
    elif "convert" in said or "ConversionTo" in said or "decimal" in said or "Exceeds" in said:
        remedy = f"a value is out of range; mend it in the source or cast it in sql/raw/{table}.sql"
    else:
        remedy = "check that the source is up and its log, then run again"
    return SourceError(f"{table} cannot be read from {address}: {said}: {remedy}")
