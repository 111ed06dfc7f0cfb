"""The source's rows as Spark reads them itself, through JDBC: where the job runs, there they arrive.

Nothing here needs more than pyspark, so that Glue can run it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from retail_platform.contracts.model import QUARANTINE, Column, Table
from retail_platform.engines.extraction import REASON, row_json, source_columns
from retail_platform.engines.protocol import OutputTable, SourceRead
from retail_platform.errors import EngineError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

_MYSQL, _MARIADB = "com.mysql.cj.jdbc.Driver", "org.mariadb.jdbc.Driver"
_DRIVERS = {"mysql": (_MYSQL, _MARIADB), "postgresql": ("org.postgresql.Driver",)}
"""By product, the better one first. Spark quotes names as MySQL does only for `jdbc:mysql:`, which
MariaDB's driver answers to as well."""

_MARIADB_TLS = {
    "": {},
    "disabled": {"useSsl": "false"},
    "required": {"useSsl": "true", "trustServerCertificate": "true"},
    "verify_ca": {"useSsl": "true", "disableSslHostnameVerification": "true"},
    "verify_identity": {"useSsl": "true"},
}

_FETCH_ROWS = "10000"

_UNFIT = "a value does not fit"
_REMEDIES = {
    "22": "a value is out of range; mend it in the source or cast it in sql/raw/{table}.sql",
    "28": "correct the source's user or password",
    "42": "correct sql/raw/{table}.sql, or grant the user SELECT on what it reads",
}
"""By the class of the SQLSTATE."""


@dataclass(frozen=True)
class JdbcSource:
    """A source database, as Spark reaches it. Neither `repr` nor `str` shows the password.

    Attributes:
        product: `mysql` or `postgresql`.
        host: Its host.
        port: Its port.
        database: Its name.
        user: Who reads.
        password: Their password; a secret.
        session: The statement that settles what a connection's answers would otherwise depend on:
            UTC above all.
        tls: How to encrypt, in the words of the database's own client: `disabled`, `required`,
            `verify_ca` or `verify_identity` for MySQL, the values of `sslmode` for PostgreSQL;
            empty leaves it to the driver. An authority to verify by is in the JVM's trust store.
    """

    product: str
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    session: str
    tls: str = ""

    def rows(self, session: "SparkSession", output: OutputTable) -> "DataFrame":
        """The rows that the output's statements give, in the columns and types of its contract.

        Each statement is one partition, and so one connection, of which no more are open at once
        than there are statements. Statements over months of their own beat Spark's partitionColumn
        and lowerBound: these wrap conditions around what the statement gives, a CASE around the
        date, where no index can help. Where months lie mixed in the table and a statement asks for
        more than a few hundredths of it, the server scans it all the same, once for each.

        Args:
            session: Where they are read.
            output: A table with one read or more.
        """
        frames = [self._rows_of(session, output.contract, read) for read in output.reads or ()]
        return reduce(lambda one, other: one.union(other), frames)

    def failure(self, session: "SparkSession", table: str, error: Exception) -> SourceError | None:
        """What went wrong in the source or with its values; None for what went wrong elsewhere."""
        from py4j.java_gateway import is_instance_of

        gateway = session.sparkContext._gateway
        for cause in _causes(error):
            said = self.redact(cause.getMessage()).split("\n", 1)[0].strip()
            if unfit := re.search(rf"\w+\.\w+: {_UNFIT} .*", said):
                return SourceError(_mendable(unfit[0]))
            if is_instance_of(gateway, cause, "java.sql.SQLException"):
                remedy = _REMEDIES.get(
                    str(cause.getSQLState())[:2],
                    "check that the source is up and its log, then run again",
                ).format(table=table)
                return SourceError(f"{table} cannot be read from {self}: {said}: {remedy}")
        return None

    def redact(self, message: object) -> str:
        """`message` without the password, should a driver have put it there."""
        text = str(message)
        for secret in (self.password, quote(self.password, safe="")):
            if secret:
                text = text.replace(secret, "***")
        return text

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"

    def _rows_of(self, session: "SparkSession", table: Table, read: SourceRead) -> "DataFrame":
        origin = read.contract
        columns = source_columns(origin)
        if table.name == QUARANTINE:
            columns = (*columns, Column(REASON, "string", ""))
        given = (
            session.read.format("jdbc")
            .options(**self._options(session))
            .options(dbtable=self._statement(read.sql, columns))
            .load()
        )
        types = {field.name: field.dataType.simpleString() for field in given.schema}
        rows = given.selectExpr(
            *(
                f"{_exact(origin, column, types[column.name])} AS `{column.name}`"
                for column in columns
            )
        )
        if table.name == QUARANTINE:
            return _set_aside(rows, origin)
        if table.partition:
            month = f"CAST(date_trunc('month', `{table.partition.date}`) AS date)"
            rows = rows.selectExpr("*", f"{month} AS `{table.partition.column}`")
        return rows.select(*table.column_names)

    def _statement(self, sql: str, columns: Iterable[Column]) -> str:
        """`sql` with the columns that a driver would not give as they are in another guise."""
        selected = (f"{self._asked(column)} AS {self._quoted(column)}" for column in columns)
        return f"(SELECT {', '.join(selected)} FROM ({sql}) AS given) AS selected"

    def _asked(self, column: Column) -> str:
        name = self._quoted(column)
        if column.type in ("date", "timestamp"):
            # Java's own depend on the JVM's zone, and on another calendar before 1582.
            return f"CAST({name} AS {'CHAR' if self.product == 'mysql' else 'TEXT'})"
        if column.type == "double" and self.product == "mysql":
            return f"{name} * 1e0"  # a FLOAT by itself is sent in six digits
        return name

    def _quoted(self, column: Column) -> str:
        mark = "`" if self.product == "mysql" else '"'
        return f"{mark}{column.name}{mark}"

    def _options(self, session: "SparkSession") -> dict[str, str]:
        """Spark's options; those that it does not know are the driver's."""
        driver = self._driver(session)
        host = f"[{self.host}]" if ":" in self.host else self.host
        options = {
            "url": f"jdbc:{self.product}://{host}:{self.port}/{quote(self.database, safe='')}",
            "driver": driver,
            "user": self.user,
            "password": self.password,
            "fetchsize": _FETCH_ROWS,
            "sessionInitStatement": self.session,
        }
        if self.product == "postgresql":
            return options | ({"sslmode": self.tls} if self.tls else {})
        if driver == _MARIADB:
            options |= _MARIADB_TLS[self.tls]
        elif self.tls:
            options["sslMode"] = self.tls.upper()
        return options | {
            "useCursorFetch": "true",  # MySQL's driver holds all rows in memory otherwise
            "tinyInt1isBit": "false",  # 2 stays 2
            "yearIsDateType": "false",  # 2004 is no first of January
        }

    def _driver(self, session: "SparkSession") -> str:
        from py4j.protocol import Py4JJavaError

        jvm: Any = session._jvm
        loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
        for name in _DRIVERS[self.product]:
            try:
                loader.loadClass(name)
            except Py4JJavaError:
                continue
            return name
        raise EngineError(
            f"Spark has no JDBC driver for {self.product}: put the jar of "
            f"{' or '.join(_DRIVERS[self.product])} on its class path"
        )


def _set_aside(rows: "DataFrame", table: Table) -> "DataFrame":
    """Rows for the quarantine, as `engines.extraction` makes them."""
    from pyspark.sql import functions

    # No mapInArrow: it asks for pandas, which nothing here needs.
    as_json = functions.udf(_row_json)(functions.struct(*(c.name for c in source_columns(table))))
    return rows.select(
        functions.lit(table.name).alias("table_name"),
        functions.col(REASON).alias("reason"),
        as_json.alias("row_json"),
    )


def _row_json(row: "Row") -> str:
    """A row as the quarantine keeps it, its values of the types that Arrow gives."""
    return row_json({name: _as_arrow_gives(value) for name, value in row.asDict().items()})


def _as_arrow_gives(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC)  # it comes in the worker's zone, and does not say so
    return bytes(value) if isinstance(value, bytearray) else value


def _exact(table: Table, column: Column, given: str) -> str:
    """The SQL that casts a column to its contract's type, and fails where that loses anything."""
    name, wanted = f"`{column.name}`", column.type
    if given == wanted.replace(" ", ""):
        return name
    cast = f"try_cast({name} AS {wanted})"
    if wanted == "boolean":
        return f"CAST({name} AS boolean)"  # a flag of the source: all but 0 is true
    if given != "string":
        fits = f"CAST({cast} AS {given}) = {name}"
    elif wanted.startswith("decimal"):
        scale = wanted.rstrip(")").rpartition(",")[2].strip()
        fits = f"{name} RLIKE '^[+-]?[0-9]+([.][0-9]{{0,{scale}}}0*)?$' AND {cast} IS NOT NULL"
    else:
        fits = f"{cast} IS NOT NULL"
    told = f"'{table.name}.{column.name}: {_UNFIT} {wanted}: ', left(CAST({name} AS string), 60)"
    return (
        f"CASE WHEN {name} IS NULL OR {fits} THEN {cast} "
        f"ELSE CAST(raise_error(concat({told})) AS {wanted}) END"
    )


def _mendable(unfit: str) -> str:
    table = unfit.partition(".")[0]
    return (
        f"{unfit}; mend it in the source, convert it in sql/raw/{table}.sql or widen the contract"
    )


def _causes(error: Exception) -> Iterator[Any]:
    """The JVM's exceptions behind an error of Spark, the outermost first."""
    from py4j.protocol import Py4JJavaError

    cause = error.java_exception if isinstance(error, Py4JJavaError) else None
    cause = cause or getattr(error, "_origin", None)
    while cause is not None:
        yield cause
        cause = cause.getCause()
