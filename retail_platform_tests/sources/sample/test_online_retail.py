"""Online Retail: every row is accounted for, and the totals are exact."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from retail_platform.errors import ConfigurationError, SourceError
from retail_platform.sources.sample.online_retail import (
    ImportAccount,
    import_online_retail,
    purchase_lines,
)
from retail_platform_tests.sources.sample.test_load import ask, quietly

FILE = Path(__file__).parents[4] / "shared" / "data" / "online_retail.parquet"

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
SMALL = (
    HEADER
    + """\
536365,85123A,"HEART, WHITE £5",6,12/1/2010 8:26,2.55,17850,United Kingdom
536365,85123a,"HEART, WHITE £5",4,12/1/2010 8:26,2.55,17850,United Kingdom
536365,85123A,"HEART, WHITE £5",1,12/1/2010 8:26,3.00,17850,United Kingdom
536366,22633,HAND WARMER UNION JACK,12,1/31/2011 23:59,0.10,17850.0,France
C536379,22633,HAND WARMER UNION JACK,-1,12/1/2010 9:41,27.50,14527,United Kingdom
A563185,B,Adjust bad debt,1,8/12/2011 14:50,11062.06,,United Kingdom
536370,POST,POSTAGE,3,12/1/2010 8:45,18.00,12583,France
536414,22139,,56,12/1/2010 11:52,0,,United Kingdom
536415,22633,HAND WARMER UNION JACK,1,someday,1.00,12838,United Kingdom
536415,22633,HAND WARMER UNION JACK,0,12/1/2010 11:57,1.00,12838,United Kingdom
536415,22633,HAND WARMER UNION JACK,1,12/1/2010 11:57,0.00,12838,United Kingdom
536415,22633,HAND WARMER UNION JACK,1,12/1/2010 11:57,0.001,12838,United Kingdom
"""
)


@pytest.fixture(params=["mysql_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """A fresh database: every test runs on MariaDB and on PostgreSQL."""
    return str(request.getfixturevalue(request.param))


def small_file(folder: Path) -> Path:
    path = folder / "online_retail.csv"
    path.write_text(SMALL, encoding="latin-1")
    return path


def test_every_row_is_imported_or_counted_under_one_reason(url: str, tmp_path: Path) -> None:
    assert import_online_retail(small_file(tmp_path), url, quietly) == ImportAccount(
        rows_read=12,
        imported=4,
        merged=1,
        set_aside={
            "credit note": 1,
            "invoice number is not a number below 1,000,000": 1,
            "not goods: stock code is not five digits and up to two letters": 1,
            "no customer": 1,
            "no readable date": 1,
            "quantity is not a whole number above 0": 1,
            "price is not above 0": 1,
            "price has more than two decimals": 1,
        },
        quantity=23,
        amount=Decimal("29.70"),
        first_month=date(2010, 12, 1),
        last_month=date(2011, 1, 1),
    )


def test_equal_prices_merge_and_another_price_continues_the_order(url: str, tmp_path: Path) -> None:
    import_online_retail(small_file(tmp_path), url, quietly)
    lines = ask(
        url,
        "SELECT orderNumber, productCode, quantityOrdered, priceEach FROM orderdetails ORDER BY 1",
    )
    assert lines == [
        (536365, "85123A", 10, Decimal("2.55")),
        (536366, "22633", 12, Decimal("0.10")),
        (1536365, "85123A", 1, Decimal("3.00")),
    ]
    assert ask(url, "SELECT checkNumber, amount FROM payments ORDER BY 1") == [
        ("536365", Decimal("28.50")),
        ("536366", Decimal("1.20")),
    ]
    assert ask(url, "SELECT productName, productLine FROM products ORDER BY productCode") == [
        ("HAND WARMER UNION JACK", "Gifts"),
        ("HEART, WHITE £5", "Home and Decoration"),
    ]
    assert ask(url, "SELECT customerName, country, city FROM customers") == [
        ("Customer 17850", "France", "(unknown)")
    ]


def test_csv_and_parquet_give_the_same_account(mysql_url: str, tmp_path: Path) -> None:
    from_csv = import_online_retail(small_file(tmp_path), mysql_url, quietly)
    parquet = tmp_path / "online_retail.parquet"
    text = tmp_path / "utf8.csv"
    text.write_text(SMALL, encoding="utf-8")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM read_csv('{text}', all_varchar = true)) TO '{parquet}'")
    assert import_online_retail(parquet, mysql_url, quietly, replace=True) == from_csv


def test_purchase_lines_are_the_imported_rows_and_the_guests(tmp_path: Path) -> None:
    path = small_file(tmp_path)
    with path.open("a") as file:
        file.write("536417,22633,HAND WARMER UNION JACK,1,12/1/2010 11:57,1.85,,France\n")
    lines = purchase_lines(path).sort_by("order_line_number")
    first, later = date(2010, 12, 1), date(2011, 1, 31)
    assert [tuple(row.values()) for row in lines.to_pylist()] == [
        (17850, "85123A", 536365, 1, first),
        (17850, "85123A", 536365, 2, first),
        (17850, "85123A", 536365, 3, first),
        (17850, "22633", 536366, 4, later),
        (None, "22633", 536417, 13, first),
    ]


@pytest.mark.skipif(not FILE.exists(), reason="../shared/data/online_retail.parquet is absent")
def test_the_published_file_keeps_its_totals_to_the_penny(url: str) -> None:
    account = import_online_retail(FILE, url, quietly)
    assert account.rows_read == 541_909
    assert account.imported == 396_337
    assert account.imported + sum(account.set_aside.values()) == account.rows_read
    assert (account.first_month, account.last_month) == (date(2010, 12, 1), date(2011, 12, 1))
    lines = "count(*), sum(quantityOrdered), sum(quantityOrdered * priceEach)"
    assert ask(url, f"SELECT {lines} FROM orderdetails") == [
        (account.imported - account.merged, account.quantity, account.amount)
    ]
    assert (account.quantity, account.amount) == (5_157_354, Decimal("8761066.65"))
    assert ask(url, "SELECT sum(amount) FROM payments") == [(account.amount,)]


def test_files_that_are_no_online_retail_are_refused(tmp_path: Path) -> None:
    nowhere = "mysql://127.0.0.1:1/shop"
    with pytest.raises(ConfigurationError, match="There is no file"):
        import_online_retail(tmp_path / "absent.csv", nowhere, quietly)
    excel = tmp_path / "online_retail.xlsx"
    excel.write_bytes(b"PK")
    with pytest.raises(ConfigurationError, match=r"ends in \.xlsx"):
        import_online_retail(excel, nowhere, quietly)
    other = tmp_path / "other.csv"
    other.write_text("InvoiceNo,Price\n1,2\n")
    with pytest.raises(ConfigurationError, match="lacks the columns StockCode"):
        import_online_retail(other, nowhere, quietly)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not parquet")
    with pytest.raises(SourceError, match="cannot be read"):
        import_online_retail(broken, nowhere, quietly)
    empty = tmp_path / "empty.csv"
    empty.write_text(HEADER)
    with pytest.raises(SourceError, match="None of the 0 rows"):
        import_online_retail(empty, nowhere, quietly)
