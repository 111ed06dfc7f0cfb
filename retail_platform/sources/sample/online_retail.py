"""Maps the UCI "Online Retail" file to the sample's nine tables, and accounts for every row.

The file has one row an invoice line: InvoiceNo, StockCode, Description, Quantity, InvoiceDate,
UnitPrice, CustomerID, Country (Daqing Chen, UCI Machine Learning Repository,
doi 10.24432/C5BW33). What classicmodels wants and the file lacks is either said to be unknown or
an estimate that is easy to recognise:

- products: `buyPrice` is 0.6 x the median price, `MSRP` the highest price, `productName` the
  description used most, `productLine` follows from a word of that name, stock is 0;
- customers: named after their number, in the city `(unknown)` of the country of their last invoice;
- orders: one an invoice, all `Shipped` on the invoice's day; payments: one an invoice, of its
  total. An invoice that names several customers (the original has none) is the lowest number's;
- ratings: none.

An order cannot hold a product twice. Rows of one invoice, product and price become one line with
the sum of their quantities. Where the price differs, every further price goes to a continuation of
the order, numbered `CONTINUATION` higher, so that no total changes and no price is invented.
"""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.sample.load import Progress, load
from retail_platform.sources.sample.schema import TABLES, record_batch

if TYPE_CHECKING:
    import duckdb

CONTINUATION = 1_000_000
"""Above every invoice number of the file, which have six digits."""

FILE_COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)

NO_CUSTOMER = "no customer"

REASONS = (
    ("credit note", "starts_with(invoice_text, 'C')"),
    ("invoice number is not a number below 1,000,000", "invoice IS NULL"),
    (
        "not goods: stock code is not five digits and up to two letters",
        r"NOT coalesce(regexp_full_match(code, '\d{5}[A-Z]{0,2}'), false)",
    ),
    (NO_CUSTOMER, "customer IS NULL"),
    ("no readable date", "invoiced IS NULL"),
    (
        "quantity is not a whole number above 0",
        "coalesce(quantity <= 0 OR quantity <> floor(quantity), true)",
    ),
    ("price is not above 0", "coalesce(price <= 0, true)"),
    ("price has more than two decimals", "price <> round(price, 2)"),
)
"""Why a row is set aside, as SQL over the parsed row; the first reason that holds counts."""

_BATCH_ROWS = 100_000


@dataclass(frozen=True)
class ImportAccount:
    """What became of every row of the file.

    `rows_read` is `imported` plus the sum of `set_aside`. Of the rows imported, `merged` went into
    another line of the same invoice, product and price, so the database holds `imported - merged`
    order lines; their quantities and amounts sum to exactly `quantity` and `amount`.

    Attributes:
        rows_read: Rows in the file.
        imported: Rows whose quantity and amount are in the database.
        merged: Those of them that share an order line with an earlier row.
        set_aside: Rows not imported, by reason, in the order of `REASONS`; all reasons are there.
        quantity: Pieces sold, over the imported rows.
        amount: Quantity x price over the imported rows, in the file's currency (GBP).
        first_month: First day of the first month that has orders.
        last_month: First day of the last month that has orders.
    """

    rows_read: int
    imported: int
    merged: int
    set_aside: dict[str, int]
    quantity: int
    amount: Decimal
    first_month: date
    last_month: date


def import_online_retail(
    path: Path, url: str, on_progress: Progress, *, replace: bool = False
) -> ImportAccount:
    """Creates the nine tables in the database at `url` from the file at `path`.

    Args:
        path: The data set as `.parquet` or `.csv` (UTF-8 or Latin-1; dates as ISO or, as in the
            original, month/day/year).
        url: As for `load`.
        on_progress: As for `load`.
        replace: As for `load`.

    Raises:
        ConfigurationError: Where the file is absent, neither parquet nor csv, or lacks a column;
            and as for `load`.
        SourceError: Where the file cannot be read, or none of its rows can be imported; and as
            for `load`.
    """
    with _sorted_out(path) as connection:
        rows_read, imported, merged, quantity, amount = _totals(connection)
        set_aside = _set_aside(connection)
        loaded = load(url, _tables(connection), on_progress, replace=replace)
    return ImportAccount(
        rows_read=rows_read,
        imported=imported,
        merged=merged,
        set_aside=set_aside,
        quantity=quantity,
        amount=amount,
        first_month=loaded.first_month,
        last_month=loaded.last_month,
    )


def purchase_lines(path: Path) -> pa.Table:
    """The rows that an import would keep, and those that only lack a customer: orders of guests.

    `order_number` is the invoice, and `order_line_number` the row's place in the file, which keeps
    the order in which an invoice was written.

    Args:
        path: As for `import_online_retail`.

    Returns:
        customer_number (null for a guest), product_code, order_number, order_line_number and
        order_date, as `fact_orders` has them.

    Raises:
        ConfigurationError: As for `import_online_retail`.
        SourceError: As for `import_online_retail`.
    """
    faults = " OR ".join(f"({fault})" for reason, fault in REASONS if reason != NO_CUSTOMER)
    with _sorted_out(path) as connection:
        lines: pa.Table = connection.sql(f"""
            SELECT min(customer) OVER invoice AS customer_number, code AS product_code,
                invoice AS order_number, row AS order_line_number,
                (min(invoiced) OVER invoice)::DATE AS order_date
            FROM sorted WHERE NOT coalesce({faults}, false)
            WINDOW invoice AS (PARTITION BY invoice)
        """).to_arrow_table()
    return lines


@contextmanager
def _sorted_out(path: Path) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A session with the tables of `_sort_out`, of which `line` has rows."""
    import duckdb

    try:
        with duckdb.connect() as connection:
            _read(connection, path)
            _sort_out(connection)
            rows_read, imported, *_ = _totals(connection)
            if not imported:
                raise SourceError(
                    f"None of the {rows_read:,} rows of {path} can be imported:"
                    f" {_set_aside(connection)}. Give the unchanged file of the UCI data set."
                )
            yield connection
    except duckdb.Error as error:
        raise SourceError(
            f"{path} cannot be read as Online Retail: {error}. Give the unchanged file of the UCI"
            " data set, as parquet or csv."
        ) from error


def _read(connection: "duckdb.DuckDBPyConnection", path: Path) -> None:
    """Makes the view `file`: the eight columns as text, whatever the format's types are."""
    if not path.is_file():
        raise ConfigurationError(
            f"There is no file {path}; give the path of the Online Retail file."
        )
    literal = "'" + str(path).replace("'", "''") + "'"
    match path.suffix.lower():
        case ".parquet":
            source = f"read_parquet({literal})"
        case ".csv":
            source = f"read_csv({literal}, header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"', strict_mode = true, encoding = '{_encoding(path)}')"
        case suffix:
            raise ConfigurationError(
                f"{path} ends in {suffix or 'nothing'}; give the Online Retail file as .parquet or"
                " .csv (an .xlsx can be saved as .csv)."
            )
    found = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    if missing := [name for name in FILE_COLUMNS if name not in found]:
        raise ConfigurationError(
            f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(found)}. Give the"
            " Online Retail file with its original column names."
        )
    columns = ", ".join(f"nullif(trim({name}::VARCHAR), '') AS {name}" for name in FILE_COLUMNS)
    connection.execute(f"CREATE VIEW file AS SELECT {columns} FROM {source}")


def _encoding(path: Path) -> str:
    """`utf-8` where the whole file is; else `latin-1`, as the original CSV (its pound signs)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _sort_out(connection: "duckdb.DuckDBPyConnection") -> None:
    """Makes the tables `sorted` (every row, with its reason), `line`, `invoice` and `product`."""
    reasons = " ".join(f"WHEN {condition} THEN {n}" for n, (_, condition) in enumerate(REASONS))
    connection.execute(f"""
        CREATE TABLE sorted AS
        WITH parsed AS (
            SELECT
                row_number() OVER () AS row,
                InvoiceNo AS invoice_text,
                CASE WHEN regexp_full_match(InvoiceNo, '\\d{{1,6}}') THEN InvoiceNo::INT END AS invoice,
                upper(StockCode) AS code,
                Description AS description,
                TRY_CAST(Quantity AS DECIMAL(18, 4)) AS quantity,
                coalesce(
                    TRY_CAST(InvoiceDate AS TIMESTAMP),
                    try_strptime(InvoiceDate, ['%m/%d/%Y %H:%M', '%m/%d/%Y'])
                ) AS invoiced,
                TRY_CAST(UnitPrice AS DECIMAL(38, 18)) AS price,
                TRY_CAST(TRY_CAST(CustomerID AS DOUBLE) AS INT) AS customer,
                coalesce(Country, '(unknown)') AS country
            FROM file
        )
        SELECT *, CASE {reasons} END AS reason FROM parsed
    """)
    connection.execute(f"""
        CREATE TABLE line AS
        WITH merged AS (
            SELECT
                invoice, code, price::DECIMAL(10, 2) AS price,
                sum(quantity)::INT AS quantity, count(*) AS rows,
                row_number() OVER (PARTITION BY invoice, code ORDER BY price) - 1 AS nth_price
            FROM sorted WHERE reason IS NULL GROUP BY invoice, code, price
        )
        SELECT *, (invoice + {CONTINUATION} * nth_price)::INT AS order_number FROM merged
    """)
    connection.execute("""
        CREATE TABLE invoice AS
        SELECT invoice, min(customer) AS customer, min(invoiced)::DATE AS day
        FROM sorted WHERE reason IS NULL GROUP BY invoice
    """)
    connection.execute(f"""
        CREATE TABLE product AS
        WITH name AS (
            SELECT code, arg_max(description, (uses, description)) AS name
            FROM (
                SELECT code, coalesce(description, code) AS description, count(*) AS uses
                FROM sorted WHERE reason IS NULL GROUP BY ALL
            )
            GROUP BY code
        )
        SELECT
            code AS productCode, left(name, 70) AS productName,
            {_product_line_sql("name")} AS productLine, '1:1' AS productScale,
            '(unknown)' AS productVendor, name AS productDescription, 0 AS quantityInStock,
            greatest(round(0.6 * median(price), 2), 0.01) AS buyPrice, max(price) AS MSRP
        FROM sorted JOIN name USING (code) WHERE reason IS NULL GROUP BY code, name
    """)


def _totals(connection: "duckdb.DuckDBPyConnection") -> tuple[int, int, int, int, Decimal]:
    """Rows read, imported and merged, and the imported rows' quantity and amount."""
    (row,) = connection.execute("""
        SELECT
            count(*),
            count(*) FILTER (reason IS NULL),
            count(*) FILTER (reason IS NULL) - (SELECT count(*) FROM line),
            coalesce(sum(quantity) FILTER (reason IS NULL), 0)::BIGINT,
            coalesce(sum(quantity::BIGINT * TRY_CAST(price AS DECIMAL(10, 2))) FILTER (reason IS NULL), 0)
                ::DECIMAL(38, 2)
        FROM sorted
    """).fetchall()
    return row


def _set_aside(connection: "duckdb.DuckDBPyConnection") -> dict[str, int]:
    counts: dict[int, int] = dict(
        connection.execute(
            "SELECT reason, count(*) FROM sorted WHERE reason IS NOT NULL GROUP BY reason"
        ).fetchall()
    )
    return {name: counts.get(n, 0) for n, (name, _) in enumerate(REASONS)}


PRODUCT_LINES = (
    ("Christmas", "christmas|xmas|advent|reindeer|santa"),
    ("Bags", "bags?|shopper|purse|rucksack|backpack"),
    ("Kitchen and Dining", "cake|cases|mug|cup|plate|bowl|tea|teaspoons?|jar|tin|lunch|pantry|bottle|kitchen|baking|egg|apron|cutlery|napkins?|doilies"),
    ("Lighting and Candles", "t-lights?|candles?|light|lights|lantern|lamp|holder|candlestick"),
    ("Stationery and Party", "cards?|paper|wrap|pencils?|pens?|notebook|stickers?|bunting|party|balloons?|tissues?|tape"),
    ("Toys and Games", "toys?|game|games|doll|dolly|puzzle|playhouse|skittles|felt|feltcraft|children'?s|spaceboy"),
    ("Garden", "garden|bird|plant|flower|watering|herb|seeds"),
    ("Jewellery", "necklace|earrings?|bracelet|ring|brooch|bead|beads"),
    ("Home and Decoration", "sign|frame|clock|doormat|cushion|hook|hooks|drawer|knob|mirror|cabinet|wall|hanging|heart|decoration|box|metal|wooden|home"),
)  # fmt: skip
"""A product's line is the first of these whose words its name holds, else `Gifts`."""


def _product_line_sql(name: str) -> str:
    """The line of the product called `name`, an SQL expression."""
    cases = " ".join(
        f"WHEN regexp_matches({name}, '\\b({words.replace(chr(39), chr(39) * 2)})\\b', 'i') THEN '{line}'"
        for line, words in PRODUCT_LINES
    )
    return f"CASE {cases} ELSE 'Gifts' END"


def _tables(connection: "duckdb.DuckDBPyConnection") -> Iterator[tuple[str, pa.RecordBatch]]:
    """All tables but ratings, which the file has none of, as `load` wants them."""
    for table, query in _queries().items():
        columns = ", ".join(
            f'"{column.name}"::{_duckdb_type(column.type)} AS "{column.name}"'
            for column in TABLES[table].columns
        )
        rows = connection.sql(f"SELECT {columns} FROM ({query})")
        for batch in rows.to_arrow_reader(_BATCH_ROWS):
            yield (
                table,
                record_batch(table, dict(zip(batch.schema.names, batch.columns, strict=True))),
            )


def _duckdb_type(mysql_type: str) -> str:
    return {"mediumtext": "text", "mediumblob": "blob"}.get(mysql_type, mysql_type)


def _queries() -> dict[str, str]:
    """One query a table over what `_sort_out` made, with the table's column names."""
    return {
        "offices": """
            SELECT '1' AS officeCode, 'London' AS city, '(unknown)' AS phone,
                '(unknown)' AS addressLine1, NULL AS addressLine2, NULL AS state,
                'United Kingdom' AS country, '(unknown)' AS postalCode, 'EMEA' AS territory
        """,
        "employees": """
            SELECT 1 AS employeeNumber, 'Shop' AS lastName, 'Online' AS firstName, '' AS extension,
                '' AS email, '1' AS officeCode, NULL AS reportsTo, 'Sales Rep' AS jobTitle
        """,
        "productlines": """
            SELECT DISTINCT productLine, NULL AS textDescription, NULL AS htmlDescription,
                NULL AS image
            FROM product ORDER BY productLine
        """,
        "products": "SELECT * FROM product ORDER BY productCode",
        "customers": """
            SELECT customer AS customerNumber, 'Customer ' || customer AS customerName,
                '(unknown)' AS contactLastName, '(unknown)' AS contactFirstName,
                '(unknown)' AS phone, '(unknown)' AS addressLine1, NULL AS addressLine2,
                '(unknown)' AS city, NULL AS state, NULL AS postalCode,
                arg_max(country, (invoiced, invoice, country)) AS country,
                1 AS salesRepEmployeeNumber, NULL AS creditLimit
            FROM sorted WHERE reason IS NULL GROUP BY customer ORDER BY customer
        """,
        "orders": """
            SELECT order_number AS orderNumber, day AS orderDate, day AS requiredDate,
                day AS shippedDate, 'Shipped' AS status,
                CASE WHEN order_number <> invoice
                    THEN 'Continues order ' || invoice || ': the same products at another price.'
                END AS comments,
                customer AS customerNumber
            FROM (SELECT DISTINCT order_number, invoice FROM line) JOIN invoice USING (invoice)
            ORDER BY order_number
        """,
        "orderdetails": """
            SELECT order_number AS orderNumber, code AS productCode, quantity AS quantityOrdered,
                price AS priceEach,
                row_number() OVER (PARTITION BY order_number ORDER BY code) AS orderLineNumber
            FROM line ORDER BY order_number, code
        """,
        "payments": """
            SELECT min(customer) AS customerNumber, invoice AS checkNumber,
                min(day) AS paymentDate, sum(quantity * price) AS amount
            FROM line JOIN invoice USING (invoice) GROUP BY invoice ORDER BY invoice
        """,
    }
