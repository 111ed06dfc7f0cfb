"""The bill against sums done by hand, with the prices of the file as they were on its date."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_platform.cost.model import (
    Egress,
    Kinesis,
    Line,
    Shape,
    Usage,
    load_prices,
    monthly_bill,
    other_shapes,
    shape_of,
    shards,
    total,
)
from retail_platform.errors import ConfigurationError
from retail_platform_tests.shop import Shop

PRICES = load_prices()
SMALL = Usage(orders_per_day=300, events_per_day=50_000)
LARGE = Usage(orders_per_day=100_000, events_per_day=100_000_000)


def shape(
    kinesis: Kinesis = Kinesis.PROVISIONED,
    egress: Egress = Egress.NAT,
    environment: str = "dev",
    *,
    web: bool = False,
) -> Shape:
    return shape_of(environment, kinesis, egress, web=web)


def cents(lines: list[Line], service: str) -> dict[str, str]:
    """What each line of a service comes to."""
    return {line.what: f"{line.usd:.2f}" for line in lines if line.service == service}


def test_a_small_shop() -> None:
    bill = monthly_bill(SMALL, shape(), PRICES)
    # 4 jobs x 30.4167 nights x 2 DPU x (3 + 300 x 30.4167 x 2 / 100,000 = 3.1825 minutes) / 60 = 12.906
    assert cents(bill, "Glue") == {"jobs, every night": "5.68"}  # x .44
    # 730 x .0325, twice; 40 GB x .115
    assert cents(bill, "RDS") == {
        "source": "23.72",
        "vectors and Dagster's records": "23.72",
        "disks": "4.60",
    }
    # 730 x .015, 730 x .02, and 5,000 records a day x 30.4167 = .152 million x .014
    assert cents(bill, "Kinesis") == {
        "shards": "10.95",
        "a week's events": "14.60",
        "puts": "0.00",
    }
    # 730 x .045; 20.15 GB x .045; 730 x .005
    assert cents(bill, "VPC") == {
        "NAT gateways": "32.85",
        "by NAT": "0.91",
        "addresses of NAT": "3.65",
    }
    assert 150 < total(bill) < 190


def test_a_hundred_million_events_a_day() -> None:
    bill = monthly_bill(LARGE, shape(environment="prod"), PRICES)
    # 10 million records a day x 3 / 86,400 = 347 a second; 50 GB a day x 3 / 86,400 = 1.74 MB/s
    assert shards(LARGE) == 2
    # 2 x 730 x .015; 2 x 730 x .02; 304.17 million x .014
    assert cents(bill, "Kinesis") == {
        "shards": "21.90",
        "a week's events": "29.20",
        "puts": "4.26",
    }
    # 304.17 million records of 5 kB = 1,520.83 GB x .029
    assert cents(bill, "Firehose") == {"events": "44.10"}
    # 30.417 million calls x .20; x .025 s x 1.7275 GB x .0000133334
    assert cents(bill, "Lambda") == {"calls": "6.08", "time": "17.52"}
    # two databases, each with a standby: 2 x 730 x .065
    assert cents(bill, "RDS")["source"] == "94.90"
    assert 700 < total(bill) < 1200


def test_on_demand_is_paid_by_what_goes_in_and_out() -> None:
    bill = monthly_bill(LARGE, shape(Kinesis.ON_DEMAND), PRICES)
    # 730 x .04; 1,520.83 GB x .08 and x .04; 50 GB x 7 days x .10
    assert cents(bill, "Kinesis") == {
        "stream": "29.20",
        "in": "121.67",
        "out": "60.83",
        "a week's events": "35.00",
    }


def test_an_event_a_record_costs_what_ten_do_in_one() -> None:
    alone = monthly_bill(replace(LARGE, events_per_record=1), shape(), PRICES)
    # 3,041.67 million records, each counted as 5 kB: 15,208 GB x .029
    assert cents(alone, "Firehose") == {"events": "441.04"}
    assert shards(replace(LARGE, events_per_record=1)) == 4  # 3,472 records a second


def test_ways_out() -> None:
    # 16 services x 2 zones x 730 x .01; 20.15 GB x .01
    endpoints = monthly_bill(SMALL, shape(egress=Egress.ENDPOINTS), PRICES)
    assert cents(endpoints, "VPC") == {"endpoints": "233.60", "by endpoints": "0.20"}
    assert cents(monthly_bill(SMALL, shape(egress=Egress.NONE), PRICES), "VPC") == {}
    # in prod a gateway in each of three zones
    prod = monthly_bill(SMALL, shape(environment="prod"), PRICES)
    assert cents(prod, "VPC")["NAT gateways"] == "98.55"


def test_the_web_tier_is_paid_for_where_there_is_one() -> None:
    assert not cents(monthly_bill(SMALL, shape(), PRICES), "ALB")
    bill = monthly_bill(SMALL, shape(web=True), PRICES)
    # 730 x .0225; one unit x 730 x .008; an address in each of two zones
    assert cents(bill, "ALB") == {"load balancer": "16.42", "capacity": "5.84", "addresses": "7.30"}
    # 5 + 5 rules + 1.52 million x .60
    assert cents(bill, "WAF") == {"firewall": "5.00", "rules": "5.00", "requests": "0.91"}


@given(
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.sampled_from(Kinesis),
    st.sampled_from(Egress),
    st.integers(1, 100),
)
def test_who_does_more_never_pays_less(
    events: int, more: int, kinesis: Kinesis, egress: Egress, packed: int
) -> None:
    sums = [
        total(monthly_bill(Usage(10, count, packed), shape(kinesis, egress, web=True), PRICES))
        for count in (events, events + more)
    ]
    assert sums[0] <= sums[1]
    assert sums[0] > 0


def test_the_other_ways_are_all_told() -> None:
    assert [name for name, _ in other_shapes(shape())] == [
        "--kinesis on-demand",
        "--egress endpoints",
        "--egress none",
    ]


def test_prices_have_a_date_and_none_is_for_nothing() -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", PRICES.as_of)
    asked = set()

    def note(service: str, what: str) -> Decimal:
        asked.add((service, what))
        return PRICES.by_service[service][what]

    for kinesis in Kinesis:
        for egress in Egress:
            for environment in ("dev", "prod"):
                chosen = shape(kinesis, egress, environment, web=True)
                monthly_bill(SMALL, chosen, note)  # type: ignore[arg-type]
    there = {(service, what) for service, of in PRICES.by_service.items() for what in of}
    assert asked == there
    assert all(price > 0 for of in PRICES.by_service.values() for price in of.values())


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"orders_per_day": -1, "events_per_day": 0}, "must be 0 or more"),
        ({"orders_per_day": 0, "events_per_day": -1}, "must be 0 or more"),
        ({"orders_per_day": 0, "events_per_day": 0, "events_per_record": 0}, "from 1 to 1000"),
    ],
)
def test_what_no_shop_does_is_refused(usage: dict[str, int], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Usage(**usage)


def test_the_command_prints_the_bill_and_what_else_it_could_be(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    command = ("cost", "--orders-per-day", "300", "--events-per-day", "50000")
    result = shop.run(*command)
    assert result.returncode == 0, result.stderr
    assert "162.29 US dollars a month, by prices of" in result.stderr
    assert "with --kinesis on-demand" in result.stderr
    rows = shop.records(*command)
    assert sum(Decimal(row["usd"]) for row in rows) == pytest.approx(Decimal("162.29"), abs=0.1)
    for wrong in (("--environment", "staging"), ("--events-per-record", "0")):
        refused = shop.run(*command, *wrong)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
