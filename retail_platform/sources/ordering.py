"""Writes an order into the OLTP database: what a storefront does at its checkout.

What belongs here: the one transaction that takes an order, in MySQL, MariaDB and PostgreSQL, of the
tables as `sample.schema` lays them out. Names are written without quotes, as there: PostgreSQL
folds them, MySQL on Linux wants those of tables in lower case, and so one text serves both.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pymysql
from pymysql.constants import ER

from retail_platform.errors import OrderRefused, SourceError
from retail_platform.sources import mysql, postgres
from retail_platform.sources.address import Address
from retail_platform.sources.dialect import MYSQL, POSTGRES

CONNECT_SECONDS = 3
"""How long connecting may take."""

STATEMENT_SECONDS = 4
"""How long one statement may take, waiting for others included."""

MOST_PIECES = 1000
"""How many pieces of a product one order may have."""

REMEMBERED = 10_000
"""Orders among which one that was sent before is looked for: the last of them, by their key."""

DELIVERY = timedelta(weeks=1)
"""When an order is required, counted from its date."""

_MARK = "storefront"  # before the reference, in the comments of an order
_ATTEMPTS = 5
_LONGEST_NAME = 50  # of a customer, a city and a country
_UNKNOWN = "(unknown)"  # what the import of Online Retail writes where NULL is not allowed

# Desks take turns, so that none reads a number that another is about to take. Whoever else writes
# orders does not know of this: against them the unique keys hold, and the order is tried again.
# A turn ends with the transaction or with the connection, also where we are killed.
_TAKE_TURN = {
    # The lock is of the whole server, and its name has 64 letters at most.
    MYSQL.name: "SELECT GET_LOCK(CONCAT('order_desk.', MD5(DATABASE())), {seconds})",
    # The lock is of the database; its number is any that nobody else takes. statement_timeout ends
    # the wait.
    POSTGRES.name: "SELECT 1 FROM pg_advisory_xact_lock(7236045112)",
}
_DRIVER_ERRORS = (psycopg.Error, pymysql.Error, OSError, RuntimeError)
_COLLISIONS = {  # pymysql's numbers, and psycopg's states: those of MySQL are too coarse
    ER.DUP_ENTRY,
    ER.LOCK_DEADLOCK,
    psycopg.errors.UniqueViolation.sqlstate,
    psycopg.errors.DeadlockDetected.sqlstate,
}


@dataclass(frozen=True)
class KnownBuyer:
    """A customer whom the shop has.

    Attributes:
        customer_number: The key of the customer.
    """

    customer_number: int


@dataclass(frozen=True)
class NewBuyer:
    """Someone who becomes a customer with this order; each text has 1 to 50 letters.

    Attributes:
        name: What they are called.
        city: Where they are.
        country: The country of that.
    """

    name: str
    city: str
    country: str


Buyer = KnownBuyer | NewBuyer
"""Who orders."""


@dataclass(frozen=True)
class OrderLine:
    """What is asked for; several lines of one product count as one.

    Attributes:
        product_code: The key of the product, in its exact letters.
        quantity: How many pieces, 1 to 1000.
    """

    product_code: str
    quantity: int


@dataclass(frozen=True)
class PlacedLine:
    """A line of an order that was taken.

    Attributes:
        line_number: Its place in the order, from 1.
        product_code: The key of the product.
        product_name: What the product is called.
        quantity: How many pieces.
        price_each: The list price of one piece, by which it was sold.
    """

    line_number: int
    product_code: str
    product_name: str
    quantity: int
    price_each: Decimal

    @property
    def amount(self) -> Decimal:
        """What the line costs."""
        return self.quantity * self.price_each


@dataclass(frozen=True)
class PlacedOrder:
    """An order that was taken.

    Attributes:
        order_number: Its key.
        customer_number: The key of who ordered.
        lines: What was ordered, in the order in which it was asked for.
    """

    order_number: int
    customer_number: int
    lines: tuple[PlacedLine, ...]

    @property
    def total(self) -> Decimal:
        """What the order costs, to the cent."""
        return sum((line.amount for line in self.lines), Decimal("0.00"))


class OrderDesk:
    """Takes orders for one database; threads and processes may have as many of it as they like.

    Every order has a connection of its own, so that a server that was away is no matter
    once it is back.

    Args:
        address: The database. Its user needs SELECT on products, customers and orders, UPDATE on
            products, and INSERT on customers, orders and orderdetails.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    def __repr__(self) -> str:
        return f"OrderDesk({self._address})"

    def ready(self) -> None:
        """Returns when the database answers.

        Raises:
            SourceError: It does not; the message says what to do.
        """
        with self._transaction() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()

    def place(
        self, buyer: Buyer, lines: Sequence[OrderLine], on: date, reference: str | None = None
    ) -> PlacedOrder:
        """Takes an order, whole or not at all, at the list prices and from stock.

        Args:
            buyer: Who orders.
            lines: What.
            on: The date of the order.
            reference: Tells the order from all others, however often it is sent: one that is there
                already, among the last `REMEMBERED`, is not placed again. None for another.

        Returns:
            The order as it was written.

        Raises:
            OrderRefused: There is no such customer or product, not enough is in stock, there are
                no lines, or a quantity or a text is out of bounds. Nothing was written.
            SourceError: The database does not answer, or refuses. Nothing was written, unless
                the message says that this is not known.
        """
        basket = _basket(lines)
        if isinstance(buyer, NewBuyer):
            buyer = _tidy(buyer)
        mark = f"{_MARK} {reference or uuid.uuid4().hex}"
        attempt = 1
        while True:
            try:
                return self._place(buyer, basket, on, mark)
            except _CollisionError:
                if attempt == _ATTEMPTS:
                    raise
            attempt += 1

    def _place(self, buyer: Buyer, basket: dict[str, int], on: date, mark: str) -> PlacedOrder:
        with self._transaction() as cursor:
            self._take_turn(cursor)
            if (before := _placed_before(cursor, mark)) is not None:
                return before
            customer = _customer(cursor, buyer)
            lines = _taken_from_stock(cursor, basket)
            number = _next(cursor, "orderNumber", "orders")
            cursor.execute(
                "INSERT INTO orders (orderNumber, orderDate, requiredDate, status, comments,"
                " customerNumber) VALUES (%s, %s, %s, 'In Process', %s, %s)",
                (number, on, on + DELIVERY, mark, customer),
            )
            cursor.executemany(
                "INSERT INTO orderdetails (orderNumber, productCode, quantityOrdered, priceEach,"
                " orderLineNumber) VALUES (%s, %s, %s, %s, %s)",
                [
                    (number, line.product_code, line.quantity, line.price_each, line.line_number)
                    for line in lines
                ],
            )
            self._commit(cursor, number)
        return PlacedOrder(number, customer, lines)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """A cursor whose work is undone unless it is committed."""
        connection = _connect(self._address)
        try:
            yield connection.cursor()
        except _DRIVER_ERRORS as error:
            codes = {getattr(error, "sqlstate", None), *error.args[:1]}
            kind = _CollisionError if codes & _COLLISIONS else SourceError
            address = self._address
            raise kind(
                f"{address} failed, and nothing was written: {self._said(error)}; check that user"
                f" {address.user} may read and write orders there, that the tables are those of"
                " `retail sample`, and that nobody locks them for long, then try again"
            ) from None
        finally:
            connection.close()

    def _take_turn(self, cursor: Any) -> None:
        cursor.execute(_TAKE_TURN[self._address.dialect.name].format(seconds=STATEMENT_SECONDS))
        if list(cursor.fetchall()) != [(1,)]:
            raise SourceError(
                f"{self._address} is busy with other orders, and nothing was written: try again"
            )

    def _commit(self, cursor: Any, number: int) -> None:
        try:
            cursor.connection.commit()
        except _DRIVER_ERRORS as error:
            # An answer that got lost looks like one that never came.
            raise SourceError(
                f"{self._address} failed at the end of order {number}, and may have taken it:"
                f" {self._said(error)}; look whether it is there before it is placed again"
            ) from None

    def _said(self, error: Exception) -> str:
        text = error.args[1] if len(error.args) > 1 else error  # pymysql puts a number before it
        return self._address.redact(text).partition("\n")[0]  # psycopg shows the statement below


class _CollisionError(SourceError):
    """Someone else wrote the same at the same moment."""


class _PatientConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server that does not even say that it timed out."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        patience = STATEMENT_SECONDS + 1
        return super().wait(gen, interval, patience if timeout is None else timeout)


def _connect(address: Address) -> Any:
    """A connection in which nothing waits for long, and nothing lasts that is not committed."""
    if address.dialect is MYSQL:
        return mysql.connect(
            address,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=STATEMENT_SECONDS + 1,
            write_timeout=STATEMENT_SECONDS + 1,
            autocommit=False,
            # Strict, because MySQL otherwise cuts what does not fit. max_statement_time is
            # MariaDB's alone; MySQL has locks and our own patience end a statement.
            init_command="SET SESSION sql_mode = 'STRICT_ALL_TABLES',"
            f" innodb_lock_wait_timeout = {STATEMENT_SECONDS},"
            f" lock_wait_timeout = {STATEMENT_SECONDS}"
            f" /*M! , max_statement_time = {STATEMENT_SECONDS} */",
        )
    connection = postgres.connect(address, _PatientConnection, CONNECT_SECONDS)
    try:
        connection.execute(f"SET statement_timeout = {STATEMENT_SECONDS * 1000}".encode())
    except psycopg.Error as error:
        connection.close()
        raise SourceError(f"{address} does not answer: {address.redact(error)}") from None
    # Each statement sees what was committed before it, whatever the database's own default is.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    connection.autocommit = False
    return connection


def _placed_before(cursor: Any, mark: str) -> PlacedOrder | None:
    """The order of the same mark; None where there is none."""
    cursor.execute(
        "SELECT orderNumber, customerNumber FROM orders WHERE comments = %s"
        " AND orderNumber > (SELECT max(orderNumber) FROM orders) - %s",
        (mark, REMEMBERED),
    )
    row = cursor.fetchone()
    if row is None:
        return None
    number, customer = row
    cursor.execute(
        "SELECT d.orderLineNumber, d.productCode, p.productName, d.quantityOrdered, d.priceEach"
        " FROM orderdetails d JOIN products p ON p.productCode = d.productCode"
        " WHERE d.orderNumber = %s ORDER BY d.orderLineNumber",
        (number,),
    )
    return PlacedOrder(number, customer, tuple(PlacedLine(*line) for line in cursor.fetchall()))


def _basket(lines: Sequence[OrderLine]) -> dict[str, int]:
    """The quantity of each product, in the order in which they were asked for.

    Raises:
        OrderRefused: There is none, or a quantity is out of bounds.
    """
    if not lines:
        raise OrderRefused("the order has no lines: choose a product")
    basket: dict[str, int] = {}
    for line in lines:
        code = line.product_code
        basket[code] = basket.get(code, 0) + line.quantity
        for quantity in (line.quantity, basket[code]):
            if not 1 <= quantity <= MOST_PIECES:
                raise OrderRefused(
                    f"{quantity} pieces of {code!r} were asked for: choose 1 to {MOST_PIECES}"
                )
    return basket


def _tidy(buyer: NewBuyer) -> NewBuyer:
    """The buyer without stray spaces.

    Raises:
        OrderRefused: A text is missing, too long, or has letters that no database takes.
    """
    tidy = {field: " ".join(text.split()) for field, text in vars(buyer).items()}
    for field, text in tidy.items():
        if not text or not text.isprintable() or len(text) > _LONGEST_NAME:
            raise OrderRefused(
                f"the {field} {text!r} cannot be taken: write 1 to {_LONGEST_NAME} letters"
            )
    return NewBuyer(**tidy)


def _customer(cursor: Any, buyer: Buyer) -> int:
    """The number of the buyer, who is made a customer where they are new.

    Raises:
        OrderRefused: There is no such customer.
    """
    if isinstance(buyer, KnownBuyer):
        number = buyer.customer_number
        cursor.execute("SELECT 1 FROM customers WHERE customerNumber = %s", (number,))
        if not cursor.fetchall():
            raise OrderRefused(f"there is no customer {number}: correct it, or order as a new one")
        return number
    number = _next(cursor, "customerNumber", "customers")
    cursor.execute(
        "INSERT INTO customers (customerNumber, customerName, contactLastName, contactFirstName,"
        " phone, addressLine1, city, country) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (number, buyer.name, *[_UNKNOWN] * 4, buyer.city, buyer.country),
    )
    return number


def _taken_from_stock(cursor: Any, basket: dict[str, int]) -> tuple[PlacedLine, ...]:
    """The lines of the order, at list price, whose pieces are no longer in stock.

    Raises:
        OrderRefused: A product does not exist, or too few are in stock; all such are named.
    """
    # No database has a code of other letters, and the drivers do not take every one of them.
    codes = [code for code in basket if code.isprintable()]
    found: dict[str, tuple[str, Decimal, int]] = {}
    if codes:
        # In the order of their keys, so that two who want the same products do not wait for each
        # other; locked, so that nobody else sells what is about to be sold.
        cursor.execute(
            "SELECT productCode, productName, MSRP, quantityInStock FROM products"
            f" WHERE productCode IN ({', '.join(['%s'] * len(codes))})"
            " ORDER BY productCode FOR UPDATE",
            codes,
        )
        found = {code: (name, price, stock) for code, name, price, stock in cursor.fetchall()}
    # MySQL finds codes whatever their letter case; the one that the product has counts.
    complaints = [
        f"there is no product {code!r}: choose another"
        if code not in found
        else f"{quantity} pieces of {found[code][0]} ({code}) were asked for,"
        f" {max(found[code][2], 0)} are in stock: choose no more than that"
        for code, quantity in basket.items()
        if code not in found or quantity > found[code][2]
    ]
    if complaints:
        raise OrderRefused("; ".join(complaints))
    cursor.executemany(
        "UPDATE products SET quantityInStock = quantityInStock - %s WHERE productCode = %s",
        [(quantity, code) for code, quantity in basket.items()],
    )
    return tuple(
        PlacedLine(place, code, found[code][0], quantity, found[code][1])
        for place, (code, quantity) in enumerate(basket.items(), 1)
    )


def _next(cursor: Any, column: str, table: str) -> int:
    """The first number after those that a table has."""
    cursor.execute(f"SELECT COALESCE(MAX({column}), 0) + 1 FROM {table}")
    ((number,),) = cursor.fetchall()
    return int(number)
