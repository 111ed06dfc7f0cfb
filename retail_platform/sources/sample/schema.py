"""The nine tables of classicmodels as data, and their DDL in MySQL and PostgreSQL.

What belongs here: names, types and keys. How rows come about is `generate` and `online_retail`;
how they reach a database is `load`.
"""

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from retail_platform.sources.dialect import MYSQL, POSTGRES, Dialect


@dataclass(frozen=True)
class SampleColumn:
    """One column: its name, its MySQL type and whether NULL is allowed."""

    name: str
    type: str
    nullable: bool = False


@dataclass(frozen=True)
class SampleTable:
    """One table of the sample database."""

    name: str
    columns: tuple[SampleColumn, ...]
    primary_key: tuple[str, ...]

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema that every batch of this table has."""
        return pa.schema(
            [
                pa.field(column.name, _arrow_type(column.type), column.nullable)
                for column in self.columns
            ]
        )

    def create_statement(self, dialect: Dialect, name: str | None = None) -> str:
        """`CREATE TABLE` in `dialect`, under another `name` where one is given.

        PostgreSQL's identifiers stay unquoted, thus lower case, as in the public ports of
        classicmodels.
        """
        columns = [
            f"{column.name} {_sql_type(column.type, dialect)}{'' if column.nullable else ' NOT NULL'}"
            for column in self.columns
        ]
        key = f"PRIMARY KEY ({', '.join(self.primary_key)})"
        engine = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4" if dialect is MYSQL else ""
        return f"CREATE TABLE {name or self.name} ({', '.join([*columns, key])}){engine}"


_POSTGRESQL_TYPES = {"mediumtext": "text", "mediumblob": "bytea"}

_ARROW_TYPES: dict[str, pa.DataType] = {
    "int": pa.int32(),
    "smallint": pa.int16(),
    "date": pa.date32(),
    "text": pa.string(),
    "mediumtext": pa.string(),
    "mediumblob": pa.binary(),
}


def _sql_type(mysql_type: str, dialect: Dialect) -> str:
    if dialect is POSTGRES:
        return _POSTGRESQL_TYPES.get(mysql_type, mysql_type)
    return mysql_type


def _arrow_type(mysql_type: str) -> pa.DataType:
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", mysql_type):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if mysql_type.startswith("varchar"):
        return pa.string()
    return _ARROW_TYPES[mysql_type]


def record_batch(table: str, columns: dict[str, Any]) -> pa.RecordBatch:
    """A batch of `table` with `columns` (arrays or sequences, by name) cast to its schema.

    Raises:
        KeyError: Where a column of the table is missing.
        pyarrow.ArrowInvalid: Where a value does not fit its column.
    """
    schema = TABLES[table].arrow_schema
    arrays = [
        columns[field.name].cast(field.type)
        if isinstance(columns[field.name], pa.Array)
        else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _table(name: str, columns: str, *primary_key: str) -> SampleTable:
    """A table from lines of `name type [null]`."""
    words = [line.split() for line in columns.strip().splitlines()]
    return SampleTable(
        name=name,
        columns=tuple(SampleColumn(w[0], w[1], nullable=w[2:] == ["null"]) for w in words),
        primary_key=primary_key,
    )


_ALL_TABLES = (
    _table(
        "offices",
        """
        officeCode varchar(10)
        city varchar(50)
        phone varchar(50)
        addressLine1 varchar(50)
        addressLine2 varchar(50) null
        state varchar(50) null
        country varchar(50)
        postalCode varchar(15)
        territory varchar(10)
        """,
        "officeCode",
    ),
    _table(
        "employees",
        """
        employeeNumber int
        lastName varchar(50)
        firstName varchar(50)
        extension varchar(10)
        email varchar(100)
        officeCode varchar(10)
        reportsTo int null
        jobTitle varchar(50)
        """,
        "employeeNumber",
    ),
    _table(
        "productlines",
        """
        productLine varchar(50)
        textDescription varchar(4000) null
        htmlDescription mediumtext null
        image mediumblob null
        """,
        "productLine",
    ),
    _table(
        "products",
        """
        productCode varchar(15)
        productName varchar(70)
        productLine varchar(50)
        productScale varchar(10)
        productVendor varchar(50)
        productDescription text
        quantityInStock smallint
        buyPrice decimal(10,2)
        MSRP decimal(10,2)
        """,
        "productCode",
    ),
    _table(
        "customers",
        """
        customerNumber int
        customerName varchar(50)
        contactLastName varchar(50)
        contactFirstName varchar(50)
        phone varchar(50)
        addressLine1 varchar(50)
        addressLine2 varchar(50) null
        city varchar(50)
        state varchar(50) null
        postalCode varchar(15) null
        country varchar(50)
        salesRepEmployeeNumber int null
        creditLimit decimal(10,2) null
        """,
        "customerNumber",
    ),
    _table(
        "orders",
        """
        orderNumber int
        orderDate date
        requiredDate date
        shippedDate date null
        status varchar(15)
        comments text null
        customerNumber int
        """,
        "orderNumber",
    ),
    _table(
        "orderdetails",
        """
        orderNumber int
        productCode varchar(15)
        quantityOrdered int
        priceEach decimal(10,2)
        orderLineNumber smallint
        """,
        "orderNumber",
        "productCode",
    ),
    _table(
        "payments",
        """
        customerNumber int
        checkNumber varchar(50)
        paymentDate date
        amount decimal(10,2)
        """,
        "customerNumber",
        "checkNumber",
    ),
    _table(
        "ratings",
        """
        customerNumber int
        productCode varchar(15)
        productRating int
        """,
        "customerNumber",
        "productCode",
    ),
)

TABLES: dict[str, SampleTable] = {table.name: table for table in _ALL_TABLES}
"""The nine tables by name, referenced tables before those that refer to them."""
