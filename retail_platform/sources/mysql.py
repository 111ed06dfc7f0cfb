"""MySQL 5.7, 8.x and MariaDB as a source: their catalogue, their types, their errors."""

import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pymysql
from pymysql.constants import CR, ER, FIELD_TYPE, FLAG
from pymysql.cursors import Cursor

from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.address import Address
from retail_platform.sources.columns import Family, SourceType
from retail_platform.sources.naming import Relations

_BINARY_CHARSET = 63
_INTEGERS = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.YEAR: "year",
}
_OTHERS = {
    FIELD_TYPE.FLOAT: SourceType(Family.FLOAT, "float"),
    FIELD_TYPE.DOUBLE: SourceType(Family.FLOAT, "double"),
    FIELD_TYPE.DATE: SourceType(Family.DATE, "date"),
    FIELD_TYPE.NEWDATE: SourceType(Family.DATE, "date"),
    FIELD_TYPE.DATETIME: SourceType(Family.TIMESTAMP, "datetime"),
    FIELD_TYPE.TIMESTAMP: SourceType(Family.TIMESTAMP, "timestamp"),
    FIELD_TYPE.TIME: SourceType(Family.OTHER, "time"),
    FIELD_TYPE.GEOMETRY: SourceType(Family.OTHER, "geometry"),
    FIELD_TYPE.JSON: SourceType(Family.TEXT, "json"),
    FIELD_TYPE.NULL: SourceType(Family.NULL, "NULL"),
}


class MySQLDriver:
    """One connection to a MySQL or MariaDB server."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection = connect(address)

    def bulk_url(self) -> str:
        """The source's URL, encrypted where this connection is, and without a detour.

        connectorx by itself never encrypts, and turns from a loopback address to the socket that
        the server there names: behind a tunnel or a container's port, that of another server.
        """
        options = self._address.options
        if not options and self.fetch("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]:
            options = "ssl-mode=required"
        joined = "&".join(filter(None, [options, "prefer_socket=false"]))
        return replace(self._address, options=joined).url

    def relations(self, schema: str) -> Relations:
        """The tables and views of a database; the empty name means the URL's."""
        rows = self.fetch(
            "SELECT table_name, column_name FROM information_schema.columns "
            f"WHERE table_schema = {self._literal(schema or self._address.database)} "
            "ORDER BY table_name, ordinal_position"
        )
        found: dict[str, tuple[str, ...]] = {}
        for table, column in rows:
            found[table] = (*found.get(table, ()), column)
        return found

    def describe(self, sql: str) -> dict[str, SourceType]:
        """The columns of a query, from the result of reading none of its rows.

        Asked under the server's own sql_mode: connectorx prepares a statement under it, and only
        then settles its session, so what ONLY_FULL_GROUP_BY refuses is refused here already.
        """
        self._run("SET SESSION sql_mode = @@GLOBAL.sql_mode")
        try:
            with self._run(f"SELECT * FROM ({sql}) AS q LIMIT 0") as cursor:
                # The public description lacks the flags and the character set, which tell a blob
                # from a text and an unsigned decimal from a signed one.
                fields = cursor._result.fields
        finally:
            self._run(self._address.dialect.session)
        return {field.name: _source_type(field) for field in fields}

    def fetch(self, sql: str) -> Sequence[Sequence[Any]]:
        """All rows of a query that gives few."""
        with self._run(sql) as cursor:
            rows: Sequence[Sequence[Any]] = cursor.fetchall()
        return rows

    def close(self) -> None:
        """Ends the connection."""
        if self._connection.open:
            self._connection.close()

    def _run(self, sql: str) -> Any:
        try:
            self._connection.ping(reconnect=False)
        except pymysql.Error:  # the server drops a connection that was idle for long
            self._connection = connect(self._address)
        try:
            cursor = self._connection.cursor()
            cursor.execute(sql)
        except (pymysql.Error, OSError, RuntimeError) as error:
            address = self._address
            raise SourceError(
                f"{address} refused a query: {address.redact(_text(error))}"
            ) from None
        return cursor

    def _literal(self, text: str) -> str:
        return self._connection.escape(text)


def login(address: Address) -> dict[str, Any]:
    """The arguments by which pymysql finds the server, proves who it is and encrypts.

    Without `ssl-mode` it encrypts where the server can, and believes any certificate.

    Raises:
        ConfigurationError: The file of `ssl-ca` cannot be read.
    """
    arguments: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password.encode(),  # pymysql would write it in latin1
        "charset": "utf8mb4",
    }
    mode = address.option("ssl-mode")
    if mode == "disabled":
        arguments["ssl_disabled"] = True
    elif mode:
        arguments["ssl"] = _tls(mode, address.option("ssl-ca"))
    return arguments


def _tls(mode: str, authority: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise ConfigurationError(
            f"the source's URL: ssl-ca={authority} cannot be read ({error.strerror}): name a "
            "file with the certificate of the authority that the server's is signed by"
        ) from None
    context.check_hostname = mode == "verify_identity"
    context.verify_mode = ssl.CERT_NONE if mode == "required" else ssl.CERT_REQUIRED
    return context


def connect(address: Address, **settings: Any) -> "pymysql.Connection[Cursor]":
    """Opens a connection.

    Args:
        address: Where to.
        **settings: Arguments of pymysql's in the place of ours.

    Raises:
        SourceError: The server does not answer, or refuses; the message says what to correct.
    """
    arguments: dict[str, Any] = {
        "database": address.database,
        "connect_timeout": 10,
        "autocommit": True,  # a transaction would show the same snapshot for ever
        "init_command": address.dialect.session,
    }
    try:
        return pymysql.connect(**login(address), **arguments | settings)
    except (pymysql.Error, OSError, RuntimeError) as error:
        raise SourceError(_why_not_connected(address, error)) from None


def _source_type(field: Any) -> SourceType:
    kind, unsigned = field.type_code, bool(field.flags & FLAG.UNSIGNED)
    if kind in _INTEGERS:
        name = _INTEGERS[kind] + (" unsigned" if unsigned and kind != FIELD_TYPE.YEAR else "")
        flag = kind == FIELD_TYPE.TINY and field.length == 1
        return SourceType(Family.INTEGER, name, flag=flag)
    if kind in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        # The length is that of the text: digits, a point, and a sign.
        precision = field.length - (field.scale > 0) - (not unsigned)
        name = f"decimal({precision},{field.scale})"
        return SourceType(Family.DECIMAL, name, precision, field.scale)
    if kind == FIELD_TYPE.BIT:
        return SourceType(Family.BIT, f"bit({field.length})", flag=field.length == 1)
    if kind in _OTHERS:
        return _OTHERS[kind]
    if field.charsetnr == _BINARY_CHARSET:
        # A bare NULL comes out of a derived table as a binary of no length.
        return SourceType(Family.NULL if field.length == 0 else Family.BINARY, "binary or blob")
    return SourceType(Family.TEXT, "varchar or text")


def _why_not_connected(address: Address, error: Exception) -> str:
    code = error.args[0] if error.args else None
    if code == ER.ACCESS_DENIED_ERROR:
        tls = " or TLS, which ssl-mode=disabled forbids"
        return (
            f"{address} refused user {address.user}: wrong user or password"
            f"{tls if address.option('ssl-mode') == 'disabled' else ''}; "
            f"correct {address.place}; a URL has special letters of a password percent-encoded"
        )
    if code in (ER.BAD_DB_ERROR, ER.DBACCESS_DENIED_ERROR):
        return (
            f"{address}: there is no database {address.database}, or user {address.user} may not "
            f"use it; correct {address.place}, create it, or grant SELECT on it"
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"{address} shows a certificate that is not trusted: name its authority's file with "
            f"ssl-ca in the source's URL, and its host as the certificate does ({_text(error)})"
        )
    if code in (CR.CR_CONN_HOST_ERROR, CR.CR_SERVER_LOST, CR.CR_SERVER_GONE_ERROR):
        return (
            f"{address} does not answer: start the MySQL server there, or correct host and port "
            f"in {address.place} ({address.redact(_text(error))})"
        )
    return f"{address} cannot be reached: {address.redact(_text(error))}; check {address.place}"


def _text(error: Exception) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)
