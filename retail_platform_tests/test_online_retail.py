"""The UCI Online Retail data set, from the file to the facts."""

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from retail_platform_tests.servers import postgres_home
from retail_platform_tests.shop import Shop

FILE = Path(__file__).parents[2] / "shared" / "data" / "online_retail.parquet"


@pytest.mark.skipif(not FILE.exists(), reason="the Online Retail file is not beside the project")
@pytest.mark.slow
def test_every_row_is_accounted_for_and_every_cent_arrives() -> None:
    with postgres_home() as home:
        shop = Shop(home)
        printed = shop.done("import-online-retail", str(FILE), "--format", "csv")
        rows = {row["what"]: int(row["rows"]) for row in csv.DictReader(io.StringIO(printed))}
        read = rows.pop("read from the file")
        assert read == 541_909
        assert sum(rows.values()) == read
        assert rows["imported"] == 396_337
        shop.done("build")
        totals = shop.rows(
            "SELECT sum(quantity_ordered) AS quantity, sum(order_amount) AS amount FROM fact_orders"
        )
        assert totals == [{"quantity": 5_157_354, "amount": Decimal("8761066.65")}]
        assert shop.rows("SELECT sum(amount) AS paid FROM fact_payments") == [
            {"paid": Decimal("8761066.65")}
        ]
