"""A deterministic sample of any size, in bounded memory.

Orders are generated in chunks of `ORDERS_PER_CHUNK` consecutive orders, each from a random stream
of its own that is derived from the seed and the chunk's number. What is kept from chunk to chunk is
a few bytes a customer and a product's rank a month.

What a recommender can learn: three of five lines of a customer's orders are of the customer's
favourite product line and one of five of a second one. Within a product line popularity is
long-tailed, and it drifts: over two years every product rises and falls once.
"""

from __future__ import annotations  # pyarrow's types are generic in its stubs only

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from math import isfinite, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retail_platform.errors import ConfigurationError
from retail_platform.sources.sample import people_and_places as words
from retail_platform.sources.sample.schema import TABLES, record_batch

CLASSIC_CUSTOMERS = 122
CLASSIC_PRODUCTS = 110
CLASSIC_ORDERS = 326
ORDERS_PER_CHUNK = 10_000
CUSTOMERS_PER_CHUNK = 100_000

FAVOURITE_SHARE = 0.6
SECOND_SHARE = 0.2

_MAX_LINES = 18
_FIRST_CUSTOMER, _CUSTOMER_STEP = 103, 3
_FIRST_ORDER = 10_100
_MAX_INT = 2**31 - 1
_DRIFT_PERIOD = 24.0
_ACTIVE_SHARE = 0.8
_PAID_SHARE = 0.885
_GOLDEN = 0.6180339887498949

_STATUSES = ("Shipped", "Cancelled", "Disputed", "On Hold", "In Process", "Resolved")
_SHIPPED, _CANCELLED, _DISPUTED, _ON_HOLD, _IN_PROCESS, _RESOLVED = range(6)
_STATUS_SHARES = (0.925, 0.02, 0.01, 0.015, 0.018, 0.012)

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SampleSize:
    """How much to generate.

    Attributes:
        scale: 1.0 is the classic size (122 customers, 326 orders, about 3,000 lines and 273
            payments). Customers, orders, lines and payments grow with it; products with its
            square root; offices and employees stay.
        first_month: First day of the first month that has orders.
        months: Over how many months the orders are spread.
        seed: Equal sizes with equal seeds give equal rows.

    Raises:
        ConfigurationError: Where a value makes no sample.
    """

    scale: float = 1.0
    first_month: date = date(2003, 1, 1)
    months: int = 29
    seed: int = 2003

    def __post_init__(self) -> None:
        if not (isfinite(self.scale) and self.scale > 0):
            raise ConfigurationError(
                f"The scale of the sample is {self.scale}; give a number above 0, 1 for the"
                " classic size."
            )
        if self.orders > _MAX_INT - _FIRST_ORDER:
            raise ConfigurationError(
                f"At scale {self.scale:g} order numbers leave the range of int; give a smaller scale."
            )
        if self.first_month.day != 1:
            raise ConfigurationError(
                f"The sample's first month is {self.first_month}; give the first day of a month."
            )
        if self.months < 1 or self.first_month.year + self.months // 12 + 1 > 9999:
            raise ConfigurationError(
                f"The sample spans {self.months} months from {self.first_month:%Y-%m}; give at"
                " least 1 month, all before the year 9999."
            )
        if self.seed < 0:
            raise ConfigurationError(f"The sample's seed is {self.seed}; give 0 or more.")

    @property
    def customers(self) -> int:
        """How many customers there are."""
        return max(1, round(CLASSIC_CUSTOMERS * self.scale))

    @property
    def products(self) -> int:
        """How many products there are: at least one a product line."""
        return max(len(words.PRODUCT_LINES), round(CLASSIC_PRODUCTS * sqrt(self.scale)))

    @property
    def orders(self) -> int:
        """How many orders there are."""
        return max(1, round(CLASSIC_ORDERS * self.scale))


def generate(size: SampleSize) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yields `(table, batch)` of all nine tables, referenced tables first.

    Every batch has its table's Arrow schema; a table may come in many batches. Memory is bounded
    by `ORDERS_PER_CHUNK`, `CUSTOMERS_PER_CHUNK` and a few bytes a customer.
    """
    catalogue = _Catalogue(size)
    yield "offices", _rows("offices", words.OFFICES)
    yield "employees", _employees()
    yield "productlines", _product_lines(size)
    yield "products", catalogue.batch()
    shoppers = _Shoppers(size)
    for first in range(0, size.customers, CUSTOMERS_PER_CHUNK):
        last = min(first + CUSTOMERS_PER_CHUNK, size.customers)
        yield "customers", _customers(size, first, last)
    calendar = _Calendar(size)
    for first in range(0, size.orders, ORDERS_PER_CHUNK):
        last = min(first + ORDERS_PER_CHUNK, size.orders)
        yield from _order_chunk(size, catalogue, shoppers, calendar, first, last)


def _random(size: SampleSize, *stream: int) -> np.random.Generator:
    """A random stream of its own for each kind of thing and each chunk of it."""
    return np.random.default_rng([size.seed, *stream])


_PRODUCT_STREAM, _LINE_STREAM, _TASTE_STREAM, _CUSTOMER_STREAM, _ORDER_STREAM = range(5)


def _evenly(indices: Ints, shift: float) -> NDArray[np.float64]:
    """A number in [0, 1) for each index, spread evenly over any stretch of indices.

    Unlike random draws it leaves no share out, so that a few hundred orders have every status.
    """
    spread: NDArray[np.float64] = np.mod(indices * _GOLDEN + shift, 1.0)
    return spread


def _decimals(cents: Ints) -> pa.Array[Any]:
    """Whole cents as decimal(10,2), without a Python object a value."""
    words_of_128_bits = np.empty((len(cents), 2), np.int64)
    words_of_128_bits[:, 0] = cents
    words_of_128_bits[:, 1] = cents >> 63  # the sign, extended
    return pa.Array.from_buffers(
        pa.decimal128(10, 2), len(cents), [None, pa.py_buffer(words_of_128_bits.tobytes())]
    )


def _pick(values: tuple[Any, ...], indices: NDArray[Any]) -> pa.Array[Any]:
    picked: pa.Array[Any] = pa.array(values).take(indices)
    return picked


def _where(keep: Flags, values: pa.Array[Any]) -> pa.Array[Any]:
    """`values` with NULL where `keep` is false."""
    kept: pa.Array[Any] = pc.if_else(pa.array(keep), values, pa.scalar(None, values.type))
    return kept


def _joined(*parts: pa.Array[Any] | str, separator: str = "") -> pa.Array[Any]:
    texts: list[Any] = [x if isinstance(x, str) else x.cast(pa.string()) for x in parts]
    joined: pa.Array[Any] = pc.binary_join_element_wise(*texts, separator)
    return joined


def _rows(table: str, rows: tuple[tuple[Any, ...], ...]) -> pa.RecordBatch:
    names = [column.name for column in TABLES[table].columns]
    return record_batch(table, dict(zip(names, zip(*rows, strict=True), strict=True)))


def _employees() -> pa.RecordBatch:
    return _rows(
        "employees",
        tuple(
            (
                number,
                last,
                first,
                f"x{number + 3200}",
                f"e{number}@classicmodelcars.example",
                office,
                manager,
                title,
            )
            for number, last, first, office, manager, title in words.EMPLOYEES
        ),
    )


def _product_lines(size: SampleSize) -> pa.RecordBatch:
    """The product lines; noise stands for the photograph, and one line has none."""
    rng = _random(size, _LINE_STREAM)
    return _rows(
        "productlines",
        tuple(
            (
                line.name,
                line.text,
                f"<p>{line.text}</p>" if number % 2 else None,
                rng.bytes(4096) if number else None,
            )
            for number, line in enumerate(words.PRODUCT_LINES)
        ),
    )


class _Catalogue:
    """The products: product line by product line, and their ranks by popularity, month by month."""

    def __init__(self, size: SampleSize) -> None:
        rng = _random(size, _PRODUCT_STREAM)
        shares = np.array([line.products for line in words.PRODUCT_LINES])
        self.line_sizes = _apportion(size.products, shares, at_least=1)
        self.line_starts = np.cumsum(self.line_sizes) - self.line_sizes
        self.line = np.repeat(np.arange(len(shares)), self.line_sizes)
        count = size.products
        self.buy_cents = rng.integers(1_591, 10_343, count)
        self.msrp_cents = (self.buy_cents * rng.uniform(1.3, 2.2, count)).astype(np.int64)
        self.quality = rng.normal(0.0, 0.6, count)
        self._years = rng.integers(1900, 2003, count)
        self._makers = rng.integers(0, 1 << 16, count)
        self._bodies = rng.integers(0, len(words.BODIES), count)
        self._scales = rng.integers(0, len(words.SCALES), count)
        self._vendors = rng.integers(0, len(words.VENDORS), count)
        self._stock = rng.integers(15, 9_998, count)
        self.ranking = self._rank(rng, size.months)

    def _rank(self, rng: np.random.Generator, months: int) -> NDArray[np.int32]:
        """Shape (months, products): within each product line, the products by popularity."""
        born, phase = rng.random(len(self.line)), rng.random(len(self.line))
        ranking = np.empty((months, len(self.line)), np.int32)
        for month in range(months):
            season = np.sin(2 * np.pi * (month / _DRIFT_PERIOD + phase))
            ranking[month] = np.lexsort((born + 0.2 * season, self.line))
        return ranking

    @cached_property
    def codes(self) -> pa.Array[Any]:
        """The product codes, such as S18_0042."""
        return pa.array(
            [
                f"S{words.SCALES[scale][2:]}_{number:04d}"
                for number, scale in enumerate(self._scales)
            ]
        )

    def batch(self) -> pa.RecordBatch:
        makers = [words.PRODUCT_LINES[line].makers for line in self.line]
        names = [
            f"{year} {choice[maker % len(choice)]} {words.BODIES[body]}"
            for year, choice, maker, body in zip(
                self._years, makers, self._makers, self._bodies, strict=True
            )
        ]
        scales = _pick(words.SCALES, self._scales)
        return record_batch(
            "products",
            {
                "productCode": self.codes,
                "productName": names,
                "productLine": _pick(tuple(x.name for x in words.PRODUCT_LINES), self.line),
                "productScale": scales,
                "productVendor": _pick(words.VENDORS, self._vendors),
                "productDescription": [
                    f"{name}, a detailed replica in scale {scale}; doors, hood & trunk open."
                    for name, scale in zip(names, scales.to_pylist(), strict=True)
                ],
                "quantityInStock": self._stock,
                "buyPrice": _decimals(self.buy_cents),
                "MSRP": _decimals(self.msrp_cents),
            },
        )


def _apportion(total: int, weights: NDArray[Any], at_least: int) -> Ints:
    """Splits `total` by `weights` into whole parts that sum to it, by the largest remainders."""
    at_least = at_least if total >= at_least * len(weights) else 0
    exact = (total - at_least * len(weights)) * weights / weights.sum()
    parts: Ints = np.floor(exact).astype(np.int64) + at_least
    missing = total - int(parts.sum())
    parts[np.argsort(parts - at_least - exact, kind="stable")[:missing]] += 1
    return parts


class _Shoppers:
    """Who buys, what they like, and whose first order has already been seen."""

    def __init__(self, size: SampleSize) -> None:
        rng = _random(size, _TASTE_STREAM)
        lines = len(words.PRODUCT_LINES)
        shares = np.array([line.products for line in words.PRODUCT_LINES]) + 10.0
        self.favourite = rng.choice(lines, size.customers, p=shares / shares.sum()).astype(np.int8)
        self.second = rng.integers(0, lines, size.customers, dtype=np.int8)
        active = max(1, round(size.customers * _ACTIVE_SHARE))
        self.active = rng.permutation(size.customers)[:active].astype(np.int32)
        self.has_rated = np.zeros(size.customers, np.bool_)

    def draw(self, rng: np.random.Generator, count: int) -> Ints:
        """The customers of `count` orders: some order often, most seldom, some never."""
        ranks = (len(self.active) * rng.random(count) ** 1.5).astype(np.int64)
        return self.active[ranks].astype(np.int64)

    def first_orders(self, customers: Ints) -> Ints:
        """Positions of the orders that are their customer's first; each is returned once ever."""
        _, firsts = np.unique(customers, return_index=True)
        firsts = firsts[~self.has_rated[customers[firsts]]]
        self.has_rated[customers[firsts]] = True
        return np.sort(firsts)


def _customer_numbers(indices: Ints) -> Ints:
    return _FIRST_CUSTOMER + _CUSTOMER_STEP * indices


def _customers(size: SampleSize, first: int, last: int) -> pa.RecordBatch:
    rng = _random(size, _CUSTOMER_STREAM, first)
    count, indices = last - first, np.arange(first, last)

    def some(values: tuple[str, ...]) -> pa.Array[Any]:
        return _pick(values, rng.integers(0, len(values), count))

    # The first customers take one place each, so that the classic size has every oddity.
    places = np.where(
        indices < len(words.PLACES), indices, rng.integers(0, len(words.PLACES), count)
    )
    reps = tuple(number for number, *_, title in words.EMPLOYEES if title == "Sales Rep")
    phones = pa.array(rng.integers(5_550_100, 5_559_999, count))
    addresses = _joined(pa.array(rng.integers(1, 9_999, count)), some(words.STREETS), separator=" ")
    suites = _joined("Suite ", pa.array(rng.integers(1, 900, count)))
    names = _joined(
        some(words.SHOP_WORDS), some(words.SHOP_KINDS), some(words.SHOP_FORMS), separator=" "
    )
    limits = rng.integers(0, 2_300, count) * 10_000
    limits[rng.random(count) < 0.15] = 0
    return record_batch(
        "customers",
        {
            "customerNumber": _customer_numbers(indices),
            "customerName": names,
            "contactLastName": some(words.LAST_NAMES),
            "contactFirstName": some(words.FIRST_NAMES),
            "phone": _joined("+", phones),
            "addressLine1": addresses,
            "addressLine2": _where(rng.random(count) < 0.2, suites),
            "city": _pick(tuple(place.city for place in words.PLACES), places),
            "state": _pick(tuple(place.state for place in words.PLACES), places),
            "postalCode": _pick(tuple(place.postal_code for place in words.PLACES), places),
            "country": _pick(tuple(place.country for place in words.PLACES), places),
            "salesRepEmployeeNumber": _where(
                _evenly(indices, 0.3) < 0.85, _pick(reps, rng.integers(0, len(reps), count))
            ),
            "creditLimit": _where(_evenly(indices, 0.7) < 0.95, _decimals(limits)),
        },
    )


class _Calendar:
    """Which order falls on which day: growing sales that peak before Christmas."""

    def __init__(self, size: SampleSize) -> None:
        first = np.datetime64(size.first_month, "M")
        months = first + np.arange(size.months + 1)
        self._starts = months.astype("datetime64[D]")
        of_year = months[:-1].astype(np.int64) % 12
        weights = np.linspace(1.0, 1.6, size.months) * np.where(of_year >= 9, 1.6, 1.0)
        self._counts = _apportion(size.orders, weights, at_least=1)
        self._ends = np.cumsum(self._counts)

    def place(self, rng: np.random.Generator, orders: Ints) -> tuple[Ints, NDArray[np.datetime64]]:
        """The month's number and the day of each order; days never fall as orders rise."""
        month = np.searchsorted(self._ends, orders, side="right")
        position = orders - (self._ends - self._counts)[month] + rng.random(len(orders))
        lengths = np.diff(self._starts).astype(np.int64)[month]
        days = np.floor(position / self._counts[month] * lengths).astype(np.int64)
        return month, self._starts[month] + np.minimum(days, lengths - 1)


def _order_chunk(
    size: SampleSize,
    catalogue: _Catalogue,
    shoppers: _Shoppers,
    calendar: _Calendar,
    first: int,
    last: int,
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Orders `first` to `last`, their lines and payments, and ratings of first orders."""
    rng = _random(size, _ORDER_STREAM, first)
    indices = np.arange(first, last)
    numbers = indices + _FIRST_ORDER
    customers = shoppers.draw(rng, len(indices))
    month, ordered = calendar.place(rng, indices)
    status = np.searchsorted(np.cumsum(_STATUS_SHARES)[:-1], _evenly(indices, 0.5), side="right")
    shipped = ordered + rng.integers(1, 7, len(indices))
    yield "orders", _orders(rng, numbers, customers, ordered, shipped, status)

    order, product = _baskets(rng, catalogue, shoppers, customers, month)
    begins = np.searchsorted(order, np.arange(len(indices)))
    floor = np.maximum(catalogue.buy_cents, catalogue.msrp_cents * 4 // 5)[product]
    span = catalogue.msrp_cents[product] - floor
    cents = floor + (rng.random(len(order)) * (span + 1)).astype(np.int64)
    quantity = rng.integers(20, 51, len(order))
    quantity[rng.random(len(order)) < 0.02] += 47
    codes = catalogue.codes.take(product)
    yield (
        "orderdetails",
        record_batch(
            "orderdetails",
            {
                "orderNumber": numbers[order],
                "productCode": codes,
                "quantityOrdered": quantity,
                "priceEach": _decimals(cents),
                "orderLineNumber": np.arange(len(order)) - begins[order] + 1,
            },
        ),
    )

    amounts = np.add.reduceat(quantity * cents, begins)
    is_sale = ~np.isin(status, (_CANCELLED, _DISPUTED, _ON_HOLD))
    paid = np.flatnonzero(is_sale & (_evenly(indices, 0.1) < _PAID_SHARE))
    yield (
        "payments",
        record_batch(
            "payments",
            {
                "customerNumber": _customer_numbers(customers[paid]),
                "checkNumber": _check_numbers(rng, numbers[paid]),
                "paymentDate": shipped[paid] + rng.integers(0, 21, len(paid)),
                "amount": _decimals(amounts[paid]),
            },
        ),
    )

    rated = np.isin(order, shoppers.first_orders(customers)) & (rng.random(len(order)) < 0.9)
    who, what = customers[order[rated]], product[rated]
    line = catalogue.line[what]
    liking = 1.2 * (line == shoppers.favourite[who]) + 0.6 * (line == shoppers.second[who])
    opinion = 2.8 + liking + catalogue.quality[what] + rng.normal(0.0, 0.6, len(who))
    yield (
        "ratings",
        record_batch(
            "ratings",
            {
                "customerNumber": _customer_numbers(who),
                "productCode": codes.filter(pa.array(rated)),
                "productRating": np.clip(np.rint(opinion), 1, 5).astype(np.int64),
            },
        ),
    )


def _orders(
    rng: np.random.Generator,
    numbers: Ints,
    customers: Ints,
    ordered: NDArray[np.datetime64],
    shipped: NDArray[np.datetime64],
    status: Ints,
) -> pa.RecordBatch:
    unshipped = np.isin(status, (_ON_HOLD, _IN_PROCESS)) | (
        (status == _CANCELLED) & (rng.random(len(numbers)) < 0.5)
    )
    comments = _pick(words.COMMENTS, rng.integers(0, len(words.COMMENTS), len(numbers)))
    return record_batch(
        "orders",
        {
            "orderNumber": numbers,
            "orderDate": ordered,
            "requiredDate": ordered + rng.integers(6, 11, len(numbers)),
            "shippedDate": _where(~unshipped, pa.array(shipped)),
            "status": _pick(_STATUSES, status),
            "comments": _where(rng.random(len(numbers)) < 0.25, comments),
            "customerNumber": _customer_numbers(customers),
        },
    )


def _check_numbers(rng: np.random.Generator, orders: Ints) -> pa.Array[Any]:
    """Two letters and the order's number, so that a customer never has one twice."""
    letters = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    first, second = (_pick(letters, rng.integers(0, 26, len(orders))) for _ in range(2))
    return _joined(first, second, pa.array(orders))


def _baskets(
    rng: np.random.Generator,
    catalogue: _Catalogue,
    shoppers: _Shoppers,
    customers: Ints,
    month: Ints,
) -> tuple[Ints, Ints]:
    """Order positions (rising) and product numbers of the lines; no product twice in an order.

    An order of k lines draws 2 k + 4 candidates and keeps its first k different ones. Order, place
    in the draw and product are packed into one integer, because sorting plain integers is what
    makes this fast.
    """
    wanted = 1 + rng.binomial(_MAX_LINES - 1, rng.beta(2.2, 2.27, len(customers)))
    drawn = 2 * wanted + 4
    order = np.repeat(np.arange(len(customers)), drawn)
    place = np.arange(len(order)) - (np.cumsum(drawn) - drawn)[order]
    product = _tasteful(rng, catalogue, shoppers, customers[order], month[order])

    by_product = np.sort(order << 32 | product << 6 | place)
    different = np.diff(by_product >> 6, prepend=-1) != 0
    kept = by_product[different]
    by_place = np.sort(kept >> 32 << 32 | (kept & 63) << 26 | (kept >> 6) & 0x3FFFFFF)
    order, product = by_place >> 32, by_place & 0x3FFFFFF
    line = np.arange(len(order)) - np.searchsorted(order, np.arange(len(customers)))[order]
    fits = line < wanted[order]
    return order[fits], product[fits]


def _tasteful(
    rng: np.random.Generator,
    catalogue: _Catalogue,
    shoppers: _Shoppers,
    customers: Ints,
    month: Ints,
) -> Ints:
    """One product for each customer and month: a line by taste, a product by popularity."""
    mood = rng.random(len(customers))
    anything = catalogue.line[rng.integers(0, len(catalogue.line), len(customers))]
    line = np.where(mood < FAVOURITE_SHARE + SECOND_SHARE, shoppers.second[customers], anything)
    line = np.where(mood < FAVOURITE_SHARE, shoppers.favourite[customers], line)
    # Squaring a uniform draw gives rank r a share that falls with the root of r: a long tail.
    rank = (catalogue.line_sizes[line] * rng.random(len(customers)) ** 2).astype(np.int64)
    products: Ints = catalogue.ranking[month, catalogue.line_starts[line] + rank].astype(np.int64)
    return products
