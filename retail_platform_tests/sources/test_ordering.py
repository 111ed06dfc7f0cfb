"""An order lands whole, at list prices and from stock, or it leaves nothing behind."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_platform.contracts.loader import load_contracts
from retail_platform.errors import OrderRefused, SourceError
from retail_platform.sources import mysql, ordering, postgres
from retail_platform.sources.address import Address
from retail_platform.sources.database import open_source
from retail_platform.sources.dialect import MYSQL
from retail_platform.sources.ordering import KnownBuyer, NewBuyer, OrderDesk, OrderLine, PlacedOrder
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load

TODAY = date(2005, 6, 1)
CAR, BIKE, SHIP = "S10_0016", "S10_0044", "S12_0076"
WRITTEN = ("products", "customers", "orders", "orderdetails")
ADA = NewBuyer("Ada Lovelace", "London", "UK")

Rows = list[tuple[Any, ...]]
Ask = Callable[..., Rows]


class Shop:
    """A filled database, asked past the desk."""

    def __init__(self, url: str) -> None:
        self.address = Address.parse(url)
        self.desk = OrderDesk(self.address)

    def connect(self) -> Any:
        """A connection of someone who knows nothing of desks, and commits by hand."""
        if self.address.dialect is MYSQL:
            return mysql.connect(self.address, autocommit=False)
        connection = postgres.connect(self.address)
        connection.autocommit = False
        return connection

    def ask(self, sql: str, *values: object) -> Rows:
        with closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(sql, values)
            rows = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
            return rows

    def one(self, sql: str, *values: object) -> Any:
        ((value,),) = self.ask(sql, *values)
        return value

    def stock(self, code: str, pieces: int) -> None:
        self.ask("UPDATE products SET quantityInStock = %s WHERE productCode = %s", pieces, code)

    def in_stock(self, code: str) -> int:
        return int(self.one("SELECT quantityInStock FROM products WHERE productCode = %s", code))

    def price(self, code: str) -> Decimal:
        price = self.one("SELECT MSRP FROM products WHERE productCode = %s", code)
        assert isinstance(price, Decimal)
        return price

    def contents(self) -> dict[str, set[tuple[Any, ...]]]:
        return {name: set(self.ask(f"SELECT * FROM {name}")) for name in WRITTEN}


@pytest.fixture(params=["mysql_url", "postgres_url"])
def shop(request: pytest.FixtureRequest) -> Shop:
    """The sample: every test runs on MariaDB and on PostgreSQL."""
    url = str(request.getfixturevalue(request.param))
    load(url, generate(SampleSize()), lambda table, rows: None)
    shop = Shop(url)
    for code in (CAR, BIKE, SHIP):
        shop.stock(code, 2000)
    return shop


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is enough to see that a wait ends."""
    monkeypatch.setattr(ordering, "STATEMENT_SECONDS", 1)


def some_customer(shop: Shop) -> int:
    return int(shop.one("SELECT max(customerNumber) FROM customers"))


def test_an_order_that_is_sent_again_is_the_one_that_is_there(shop: Shop) -> None:
    buyer, lines = NewBuyer("Zoë", "Łódź", "Poland"), [OrderLine(SHIP, 3), OrderLine(CAR, 2)]
    with ThreadPoolExecutor(4) as threads:
        sent = [threads.submit(shop.desk.place, buyer, lines, TODAY, "once") for _ in range(4)]
        placed = [one.result() for one in sent]
    assert placed == [placed[0]] * 4
    after = shop.contents()
    assert shop.desk.place(buyer, lines, TODAY, "once") == placed[0]
    assert shop.contents() == after
    another = shop.desk.place(buyer, lines, TODAY, "twice")
    assert another.order_number == placed[0].order_number + 1


def test_an_order_of_a_known_customer_lands_as_the_schema_has_it(shop: Shop) -> None:
    before = shop.contents()
    last = shop.one("SELECT max(orderNumber) FROM orders")
    customer = some_customer(shop)
    placed = shop.desk.place(
        KnownBuyer(customer),
        [OrderLine(SHIP, 3), OrderLine(CAR, 1000), OrderLine(SHIP, 4)],
        TODAY,
        "a",
    )
    assert (placed.order_number, placed.customer_number) == (last + 1, customer)
    assert [(line.line_number, line.product_code, line.quantity) for line in placed.lines] == [
        (1, SHIP, 7),
        (2, CAR, 1000),
    ]
    assert placed.total == 7 * shop.price(SHIP) + 1000 * shop.price(CAR)
    assert str(placed.total) == str(placed.total.quantize(Decimal("0.01")))
    after = shop.contents()
    number = placed.order_number
    assert after["orders"] - before["orders"] == {
        (number, TODAY, date(2005, 6, 8), None, "In Process", "storefront a", customer)
    }
    assert after["orderdetails"] - before["orderdetails"] == {
        (number, SHIP, 7, shop.price(SHIP), 1),
        (number, CAR, 1000, shop.price(CAR), 2),
    }
    assert after["customers"] == before["customers"]
    assert [shop.in_stock(code) for code in (SHIP, CAR, BIKE)] == [1993, 1000, 2000]
    assert len(after["products"] - before["products"]) == 2


def test_a_new_buyer_becomes_a_customer(shop: Shop) -> None:
    last = some_customer(shop)
    buyer = NewBuyer("  Zoë  O'Brien; DROP TABLE orders -- \\", "Sankt\tGallen", "Schweiz 🇨🇭")
    placed = shop.desk.place(buyer, [OrderLine(CAR, 1)], TODAY)
    assert placed.customer_number == last + 1
    (row,) = shop.ask("SELECT * FROM customers WHERE customerNumber = %s", last + 1)
    name, place = "Zoë O'Brien; DROP TABLE orders -- \\", ("Sankt Gallen", None, None, "Schweiz 🇨🇭")
    assert row == (last + 1, name, *["(unknown)"] * 4, None, *place, None, None)
    again = shop.desk.place(KnownBuyer(last + 1), [OrderLine(CAR, 1)], TODAY)
    assert again.customer_number == last + 1


def test_the_platform_reads_what_the_desk_wrote(shop: Shop) -> None:
    def amounts() -> dict[str, Decimal]:
        with open_source(shop.address.url) as source:
            query = source.prepare(load_contracts().table("order_details"))
            assert query
            return source.totals(query).get(
                "2005-06", dict.fromkeys(query.table.measures, Decimal())
            )

    before = amounts()
    placed = shop.desk.place(ADA, [OrderLine(CAR, 3), OrderLine(BIKE, 2)], TODAY)
    after = amounts()
    assert {name: after[name] - before[name] for name in after} == {
        "rows": 2,
        "quantity": 5,
        "amount": placed.total,
    }


def test_the_first_order_of_an_empty_shop_is_number_one(shop: Shop) -> None:
    for name in ("customers", "orders", "orderdetails"):
        shop.ask(f"DELETE FROM {name}")
    placed = shop.desk.place(ADA, [OrderLine(CAR, 1)], TODAY)
    assert (placed.order_number, placed.customer_number) == (1, 1)


@pytest.mark.parametrize(
    ("buyer", "lines", "why"),
    [
        (ADA, [], "no lines"),
        (ADA, [OrderLine(CAR, 0)], f"0 pieces of '{CAR}' .* choose 1 to 1000"),
        (ADA, [OrderLine(CAR, 1), OrderLine(BIKE, -1)], "-1 pieces"),
        (ADA, [OrderLine(CAR, 1001)], "1001 pieces"),
        (ADA, [OrderLine(CAR, 600), OrderLine(CAR, 401)], "1001 pieces"),
        (ADA, [OrderLine(CAR, 1), OrderLine("S0_0", 1)], "no product 'S0_0'"),
        (ADA, [OrderLine(CAR.lower(), 1)], f"no product '{CAR.lower()}'"),
        (ADA, [OrderLine("' OR '1'='1", 1)], "no product"),
        (ADA, [OrderLine("S10\0_0016", 1), OrderLine("\ud800", 1)], "no product.*; there is no"),
        (KnownBuyer(987654), [OrderLine(CAR, 1)], "no customer 987654"),
        (KnownBuyer(-(10**40)), [OrderLine(CAR, 1)], "no customer -1000"),
        (replace(ADA, name=" "), [OrderLine(CAR, 1)], "the name '' .* write 1 to 50 letters"),
        (replace(ADA, city="x" * 51), [OrderLine(CAR, 1)], "the city 'xxx"),
        (replace(ADA, country="U\0K"), [OrderLine(CAR, 1)], "the country"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    shop: Shop, buyer: ordering.Buyer, lines: list[OrderLine], why: str
) -> None:
    before = shop.contents()
    with pytest.raises(OrderRefused, match=why):
        shop.desk.place(buyer, lines, TODAY)
    assert shop.contents() == before


def test_everything_that_is_short_is_named_with_what_there_is(shop: Shop) -> None:
    shop.stock(CAR, 0)
    shop.stock(BIKE, 2)
    before = shop.contents()
    with pytest.raises(OrderRefused) as refused:
        shop.desk.place(ADA, [OrderLine(code, 3) for code in (CAR, SHIP, BIKE)], TODAY)
    car, bike = str(refused.value).split("; ")
    assert f"({CAR}) were asked for, 0 are in stock" in car
    assert f"({BIKE}) were asked for, 2 are in stock" in bike
    assert shop.contents() == before


def test_any_basket_is_taken_whole_or_refused_whole(shop: Shop) -> None:
    codes = (CAR, BIKE, SHIP)
    prices = {code: shop.price(code) for code in codes}
    quantities = st.one_of(st.integers(1, 20), st.integers(-1, 1002))
    baskets = st.lists(
        st.builds(OrderLine, st.sampled_from((*codes, "S0_0")), quantities), max_size=5
    )

    @given(baskets, st.integers(0, 1500))
    @settings(max_examples=40)
    def holds(lines: list[OrderLine], stock: int) -> None:
        shop.ask("UPDATE products SET quantityInStock = %s", stock)
        asked = {line.product_code: 0 for line in lines}
        for line in lines:
            asked[line.product_code] += line.quantity
        fits = (
            bool(lines)
            and all(1 <= line.quantity <= 1000 for line in lines)
            and all(code in codes and n <= min(1000, stock) for code, n in asked.items())
        )
        orders = shop.one("SELECT count(*) FROM orders")
        try:
            placed = shop.desk.place(ADA, lines, TODAY)
        except OrderRefused:
            assert not fits
            asked = {}
        else:
            assert fits
            assert placed.total == sum(n * prices[code] for code, n in asked.items())
            assert [line.line_number for line in placed.lines] == list(range(1, len(asked) + 1))
            written = shop.ask(
                "SELECT productCode, quantityOrdered FROM orderdetails WHERE orderNumber = %s",
                placed.order_number,
            )
            assert dict(written) == asked
        assert shop.one("SELECT count(*) FROM orders") == orders + fits
        left: dict[str, int] = dict(shop.ask("SELECT productCode, quantityInStock FROM products"))
        assert left == {code: stock - asked.get(code, 0) for code in left}

    holds()


def place_one(url: str, place: int) -> PlacedOrder | None:
    """What one of many desks does; products are asked for in both directions."""
    lines = [OrderLine(CAR, 2), OrderLine(BIKE, 1)]
    try:
        return OrderDesk(Address.parse(url)).place(ADA, lines[:: 1 if place % 2 else -1], TODAY)
    except OrderRefused:
        return None


@pytest.fixture(params=["threads", "processes"])
def workers(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        with ThreadPoolExecutor(12) as threads:
            yield threads
    else:
        context = multiprocessing.get_context("spawn")  # a fork would take our sockets along
        with ProcessPoolExecutor(2, context) as processes:
            yield processes


def test_desks_at_the_same_time_neither_collide_nor_sell_what_is_not_there(
    shop: Shop, workers: Executor
) -> None:
    shop.stock(CAR, 61)
    orders = shop.one("SELECT max(orderNumber) FROM orders")
    customers = some_customer(shop)
    placed = list(workers.map(place_one, [shop.address.url] * 48, range(48)))
    taken = [order for order in placed if order]
    # Numbers have no gaps either: nobody was refused but for what was not in stock.
    assert sorted(o.order_number for o in taken) == list(range(orders + 1, orders + 31))
    assert sorted(o.customer_number for o in taken) == list(range(customers + 1, customers + 31))
    assert (shop.in_stock(CAR), shop.in_stock(BIKE)) == (1, 1970)
    assert shop.one("SELECT count(*) FROM orderdetails WHERE orderNumber > %s", orders) == 60


@pytest.mark.parametrize("commits", [True, False])
def test_a_number_that_a_stranger_takes_meanwhile_is_not_taken_twice(
    shop: Shop, commits: bool
) -> None:
    last = shop.one("SELECT max(orderNumber) FROM orders")
    with closing(shop.connect()) as stranger, ThreadPoolExecutor(1) as thread:
        stranger.cursor().execute(
            "INSERT INTO orders (orderNumber, orderDate, requiredDate, status, customerNumber)"
            " VALUES (%s, '2005-06-01', '2005-06-02', 'Shipped', 1)",
            (last + 1,),
        )
        placing = thread.submit(shop.desk.place, ADA, [OrderLine(CAR, 1)], TODAY)
        time.sleep(0.5)  # it now waits for what becomes of the stranger's order
        assert not placing.done()
        stranger.commit() if commits else stranger.rollback()
        assert placing.result(10).order_number == last + 1 + commits
    assert shop.in_stock(CAR) == 1999


def test_pieces_that_a_stranger_sells_meanwhile_are_not_sold_twice(shop: Shop) -> None:
    with closing(shop.connect()) as stranger, ThreadPoolExecutor(1) as thread:
        stranger.cursor().execute(
            "UPDATE products SET quantityInStock = 1 WHERE productCode = %s", (CAR,)
        )
        customer = KnownBuyer(some_customer(shop))
        placing = thread.submit(shop.desk.place, customer, [OrderLine(CAR, 2)], TODAY)
        time.sleep(0.5)  # it now waits for how many are left
        assert not placing.done()
        stranger.commit()
        with pytest.raises(OrderRefused, match="1 are in stock"):
            placing.result(10)
    assert shop.in_stock(CAR) == 1


def test_what_fails_at_the_last_table_leaves_nothing_in_the_others(shop: Shop) -> None:
    before = shop.contents()
    shop.ask("ALTER TABLE orderdetails RENAME TO elsewhere")
    with pytest.raises(SourceError, match=r"nothing was written: .*orderdetails.*retail sample"):
        shop.desk.place(ADA, [OrderLine(CAR, 1)], TODAY)
    shop.ask("ALTER TABLE elsewhere RENAME TO orderdetails")
    assert shop.contents() == before


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "held", ["UPDATE products SET quantityInStock = quantityInStock", "turn"], ids=["stock", "turn"]
)
def test_what_another_holds_for_long_is_not_waited_for(shop: Shop, held: str) -> None:
    before = shop.contents()
    turn = ordering._TAKE_TURN[shop.address.dialect.name].format(seconds=1)
    with closing(shop.connect()) as other:
        other.cursor().execute(turn if held == "turn" else held)
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"nothing was written.*try again"):
            shop.desk.place(ADA, [OrderLine(CAR, 1)], TODAY)
        assert time.monotonic() - started < 4
    assert shop.contents() == before
    assert shop.desk.place(ADA, [OrderLine(CAR, 1)], TODAY)


def test_a_commit_of_which_nobody_heard_is_not_called_undone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is cut by the server just before the last word."""
    real = ordering.OrderDesk._commit

    def cut(desk: OrderDesk, cursor: Any, number: int) -> None:
        if shop.address.dialect is MYSQL:
            shop.ask(f"KILL {cursor.connection.thread_id()}")
        else:
            shop.ask("SELECT pg_terminate_backend(%s)", cursor.connection.info.backend_pid)
        real(desk, cursor, number)

    monkeypatch.setattr(ordering.OrderDesk, "_commit", cut)
    with pytest.raises(SourceError, match=r"may have taken it: .*look whether it is there"):
        shop.desk.place(ADA, [OrderLine(CAR, 1)], TODAY)


@pytest.mark.usefixtures("impatient")
def test_a_postgres_that_freezes_in_the_middle_is_given_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot end its own statement then; MySQL's driver counts the seconds by itself."""
    frozen = []

    def freeze(desk: OrderDesk, cursor: Any) -> None:
        frozen.append(cursor.connection.info.backend_pid)
        os.kill(frozen[0], signal.SIGSTOP)

    monkeypatch.setattr(ordering.OrderDesk, "_take_turn", freeze)
    started = time.monotonic()
    try:
        with pytest.raises(SourceError, match="nothing was written: wait timeout"):
            OrderDesk(Address.parse(postgres_url)).place(ADA, [OrderLine(CAR, 1)], TODAY)
        assert time.monotonic() - started < 5
    finally:
        os.kill(frozen[0], signal.SIGCONT)


def test_a_database_that_answers_is_ready(shop: Shop) -> None:
    shop.desk.ready()
    assert shop.address.password not in repr(shop.desk)


def assert_unanswered(address: Address, why: str) -> None:
    desk = OrderDesk(address)
    for ask in (desk.ready, lambda: desk.place(ADA, [OrderLine(CAR, 1)], TODAY)):
        with pytest.raises(SourceError, match=why) as told:
            ask()
        assert "hunter2" not in str(told.value)
        assert told.value.__cause__ is None


def test_a_wrong_database_or_login_is_named_without_the_password(shop: Shop) -> None:
    wrong = replace(shop.address, database="nowhere", place="SHOP_URL")
    assert_unanswered(wrong, r"no database nowhere.*SHOP_URL")
    if shop.address.dialect is MYSQL:  # the test's PostgreSQL believes whoever comes from here
        assert_unanswered(replace(shop.address, password="hunter2"), "wrong user or password")
    else:
        assert_unanswered(replace(shop.address, user="nobody", password="hunter2"), "nobody")


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_a_server_that_is_down_is_named(scheme: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = Address.parse(f"{scheme}://u:hunter2@127.0.0.1:{port}/shop")
    assert_unanswered(address, f"127.0.0.1:{port}/shop does not answer: start")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
def test_a_server_that_takes_what_is_said_and_never_answers(scheme: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        started = time.monotonic()
        address = Address.parse(f"{scheme}://u:hunter2@127.0.0.1:{port}/shop")
        assert_unanswered(address, "does not answer: start")
        assert time.monotonic() - started < 12
