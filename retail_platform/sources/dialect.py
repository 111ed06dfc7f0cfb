"""What MySQL and PostgreSQL write differently, as fragments of SQL.

Every fragment gives the same answer under any `sql_mode` of MySQL 5.7, 8.x and MariaDB.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """The SQL of one kind of source.

    Attributes:
        name: sqlglot's name of it.
        product: Its name for people.
        port: Where its servers listen unless told otherwise.
        quote: The character around identifiers.
        text: The type to cast to for reading a value as text.
        usable: Whether the date or timestamp `{0}` is one that the calendar has; NULL for NULL.
        unusable: Why a date that is not usable is quarantined.
        month: The month of the usable date `{0}`, as the integer YYYYMM.
        session: Settles what a statement's answer would otherwise depend on.
    """

    name: str
    product: str
    port: int
    quote: str
    text: str
    usable: str
    unusable: str
    month: str
    session: str

    def quoted(self, identifier: str) -> str:
        """`identifier` as this dialect writes it, whatever its letters."""
        doubled = identifier.replace(self.quote, self.quote * 2)
        return f"{self.quote}{doubled}{self.quote}"


MYSQL = Dialect(
    name="mysql",
    product="MySQL",
    port=3306,
    quote="`",
    text="CHAR",
    # MySQL stores 0000-00-00, 2005-00-10 and, under ALLOW_INVALID_DATES, 2005-02-31; connectorx
    # panics on each. LAST_DAY is NULL for a zero month, DAYOFMONTH is 0 for a zero day.
    usable=(
        "({0} >= DATE '0001-01-01' AND DAYOFMONTH({0}) BETWEEN 1 AND DAYOFMONTH(LAST_DAY({0})))"
    ),
    unusable="zero date",
    month="EXTRACT(YEAR_MONTH FROM {0})",
    # TIMESTAMP columns are shown in the session's zone.
    session="SET SESSION time_zone = '+00:00', sql_mode = ''",
)

POSTGRES = Dialect(
    name="postgres",
    product="PostgreSQL",
    port=5432,
    quote='"',
    text="TEXT",
    # 'infinity', years before Christ and beyond 9999 have no counterpart in Arrow and Parquet readers.
    usable="({0} >= DATE '0001-01-01' AND {0} < DATE '9999-12-31' + 1)",
    unusable="infinite date",
    month="CAST(TO_CHAR({0}, 'YYYYMM') AS INT)",
    session="SET TIME ZONE 'UTC'",
)

DIALECTS = {"mysql": MYSQL, "postgresql": POSTGRES}
"""By the scheme of a source's URL."""
