"""The bill of a month, service by service, from what a shop does and how it runs the platform.

Everything that Terraform makes is in it, and nothing that depends on people: no support plan, no tax,
no free tier, no transfer to the internet.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files

from retail_platform.errors import ConfigurationError

HOURS = Decimal(730)
"""Of a month, as AWS counts them."""

DAYS = HOURS / 24
"""Of the same month."""

PEAK = 3
"""How many times the mean the busiest minute is."""

EVENT_KB = Decimal("0.5")
"""Of a browse event with some products in it."""

ANSWER_KB = Decimal("2.5")
"""Of its answer, which also has what was recommended."""

PACKED = Decimal("0.15")
"""What gzip leaves of answers."""

GLUE_JOBS_A_NIGHT = 4
"""Raw, star, the training set with its embeddings, and what came of recommendations."""

GLUE_WORKERS = 2
"""The least that a job has: G.1X, a DPU each."""

GLUE_MINUTES = Decimal(3)
"""Of a job of a small shop, its start included."""

ORDERS_A_GLUE_MINUTE = 100_000
"""Orders of a night's months that make a job a minute longer, as measured with two cores."""

QUERIES_A_DAY = 200
QUERY_GB = Decimal("0.01")
"""The least that Athena counts; it reads the columns and the months that are asked for."""

BATCH = 100
"""Events that the Lambda answers at a time."""

BATCH_SECONDS = Decimal("0.025")
"""What that takes; the 99th of a hundred, with ten thousand products."""

LAMBDA_GB = Decimal(1769) / 1024

ENDPOINTS = 16
"""Services that are reached by an interface endpoint: see `infra/modules/network`."""

ALARMS = 20
METRICS = 12
"""Of our own."""

KEPT_DAYS = 7
"""How long the stream keeps events."""


class Kinesis(StrEnum):
    """How the stream is paid for."""

    PROVISIONED = "provisioned"
    ON_DEMAND = "on-demand"


class Egress(StrEnum):
    """How private subnets reach AWS."""

    NAT = "nat"
    ENDPOINTS = "endpoints"
    NONE = "none"


@dataclass(frozen=True)
class Usage:
    """What a shop does.

    Attributes:
        orders_per_day: Orders, of nine lines each.
        events_per_day: Browse events.
        events_per_record: How many of them a producer puts into one record of Kinesis.
    """

    orders_per_day: int
    events_per_day: int
    events_per_record: int = 10

    def __post_init__(self) -> None:
        """Refuses what no shop does.

        Raises:
            ConfigurationError: A number is negative, or a record has no event.
        """
        if self.orders_per_day < 0 or self.events_per_day < 0:
            raise ConfigurationError("orders and events a day must be 0 or more")
        if not 1 <= self.events_per_record <= 1000:
            raise ConfigurationError("events a record must be from 1 to 1000: a record has 1 MB")


@dataclass(frozen=True)
class Shape:
    """How the platform is run.

    Attributes:
        kinesis: How the stream is paid for.
        egress: How private subnets reach AWS.
        zones: Over how many availability zones.
        protected: Whether databases have a standby, and each zone a NAT gateway.
        database_class: The machine of both databases.
        web_machines: How many the web tier has; 0 for none, nor a load balancer and a firewall.
    """

    kinesis: Kinesis
    egress: Egress
    zones: int
    protected: bool
    database_class: str
    web_machines: int = 0


def shape_of(environment: str, kinesis: Kinesis, egress: Egress, *, web: bool) -> Shape:
    """The shape that `infra/environments` gives an environment.

    Raises:
        ConfigurationError: There is no such environment.
    """
    machines = 2 if web else 0
    if environment == "dev":
        return Shape(kinesis, egress, 2, False, "db.t4g.small", machines)
    if environment == "prod":
        return Shape(kinesis, egress, 3, True, "db.t4g.medium", machines)
    raise ConfigurationError(f"unknown environment {environment!r}: it is dev or prod")


def other_shapes(shape: Shape) -> list[tuple[str, Shape]]:
    """The same shape with another way of paying for the stream, or another way out, by its name."""
    streams = [(f"--kinesis {k}", replace(shape, kinesis=k)) for k in Kinesis if k != shape.kinesis]
    ways = [(f"--egress {e}", replace(shape, egress=e)) for e in Egress if e != shape.egress]
    return [*streams, *ways]


@dataclass(frozen=True)
class Line:
    """A line of the bill.

    Attributes:
        service: Of AWS.
        what: What is paid for.
        quantity: How much of it.
        unit: Of the quantity.
        usd: For a month, in US dollars, not rounded.
    """

    service: str
    what: str
    quantity: Decimal
    unit: str
    usd: Decimal


@dataclass(frozen=True)
class Prices:
    """What AWS asks for.

    Attributes:
        as_of: When somebody looked them up, as YYYY-MM-DD.
        region: Where.
        by_service: US dollars by service and what is paid for.
    """

    as_of: str
    region: str
    by_service: Mapping[str, Mapping[str, Decimal]]

    def __call__(self, service: str, what: str) -> Decimal:
        """One price, in US dollars."""
        return self.by_service[service][what]


def load_prices() -> Prices:
    """The prices of `prices.toml`."""
    told = tomllib.loads(files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"))
    by_service = {
        service: {what: Decimal(price) for what, price in prices.items()}
        for service, prices in told.items()
        if isinstance(prices, dict)
    }
    return Prices(told["as_of"], told["region"], by_service)


def shards(usage: Usage) -> int:
    """How many shards take the busiest minute: each 1,000 records and 1 MB a second."""
    thousands = Decimal(_records_a_day(usage)) / 1000
    megabytes = usage.events_per_day * EVENT_KB / 1000
    return max(1, math.ceil(max(thousands, megabytes) / 86_400 * PEAK))


def monthly_bill(usage: Usage, shape: Shape, prices: Prices) -> list[Line]:
    """Every line of it, in the order of the way from the source to the people."""
    parts = (_batch, _databases, _stream, _machines, _network, _site, _watching)
    return [line for part in parts for line in part(usage, shape, prices)]


def total(bill: list[Line]) -> Decimal:
    """The sum, in US dollars, not rounded."""
    return sum((line.usd for line in bill), Decimal(0))


def _line(service: str, what: str, quantity: Decimal | int, unit: str, price: Decimal) -> Line:
    return Line(service, what, Decimal(quantity), unit, quantity * price)


def _records_a_day(usage: Usage) -> int:
    return math.ceil(usage.events_per_day / usage.events_per_record)


def _batch(usage: Usage, shape: Shape, prices: Prices) -> Iterator[Line]:
    # A night refreshes the last two months.
    minutes = GLUE_MINUTES + usage.orders_per_day * DAYS * 2 / ORDERS_A_GLUE_MINUTE
    hours = GLUE_JOBS_A_NIGHT * DAYS * GLUE_WORKERS * minutes / 60
    yield _line("Glue", "jobs, every night", hours, "DPU-hours", prices("glue", "dpu_hour"))
    scanned = QUERIES_A_DAY * DAYS * QUERY_GB / 1000
    yield _line("Athena", "questions", scanned, "TB", prices("athena", "tb_scanned"))
    # Three years of orders and a year of answers, with a fortnight of versions that can be undone.
    orders = usage.orders_per_day * 1095 * 9 * Decimal("0.2") / 1_000_000
    answers = usage.events_per_day * 365 * ANSWER_KB * PACKED / 1_000_000
    stored = (orders * 2 + answers) * Decimal("1.1") + 1
    yield _line("S3", "lake and logs", stored, "GB", prices("s3", "gb_month"))
    # An object of Firehose each minute, its copy in the lake, and a night's files.
    writes = (2 * HOURS * 60 + 5_000 * DAYS) / 1000
    yield _line("S3", "writes", writes, "thousand", prices("s3", "thousand_writes"))


def _databases(_: Usage, shape: Shape, prices: Prices) -> Iterator[Line]:
    copies = 2 if shape.protected else 1
    for what in ("source", "vectors and Dagster's records"):
        yield _line("RDS", what, copies * HOURS, "hours", prices("rds", shape.database_class))
    yield _line("RDS", "disks", 2 * copies * 20, "GB", prices("rds", "gb_month"))
    yield _line("Secrets Manager", "logins", 2, "secrets", prices("other", "secret_month"))


def _stream(usage: Usage, shape: Shape, prices: Prices) -> Iterator[Line]:
    gigabytes = usage.events_per_day * DAYS * EVENT_KB / 1_000_000
    records = _records_a_day(usage) * DAYS
    if shape.kinesis is Kinesis.PROVISIONED:
        hours = shards(usage) * HOURS
        yield _line("Kinesis", "shards", hours, "hours", prices("kinesis", "shard_hour"))
        kept = prices("kinesis", "shard_hour_of_a_week")
        yield _line("Kinesis", "a week's events", hours, "hours", kept)
        units = records * math.ceil(usage.events_per_record * EVENT_KB / 25) / 1_000_000
        yield _line("Kinesis", "puts", units, "million", prices("kinesis", "million_puts"))
    else:
        yield _line("Kinesis", "stream", HOURS, "hours", prices("kinesis", "on_demand_stream_hour"))
        # Each record counts as whole kilobytes.
        size = math.ceil(usage.events_per_record * EVENT_KB)
        counted = records * size / 1_000_000
        yield _line("Kinesis", "in", counted, "GB", prices("kinesis", "on_demand_gb_in"))
        yield _line("Kinesis", "out", counted, "GB", prices("kinesis", "on_demand_gb_out"))
        kept = prices("kinesis", "on_demand_gb_month")
        yield _line("Kinesis", "a week's events", gigabytes * KEPT_DAYS / DAYS, "GB", kept)
    # A record of Kinesis is one of Firehose, in whole 5 kB.
    billed = records * 5 * math.ceil(usage.events_per_record * EVENT_KB / 5) / 1_000_000
    yield _line("Firehose", "events", billed, "GB", prices("firehose", "gb"))
    batches = Decimal(math.ceil(usage.events_per_day / BATCH)) * DAYS
    yield _line(
        "Lambda", "calls", batches / 1_000_000, "million", prices("lambda", "million_requests")
    )
    seconds = batches * BATCH_SECONDS * LAMBDA_GB
    yield _line("Lambda", "time", seconds, "GB-seconds", prices("lambda", "gb_second"))


def _machines(_: Usage, shape: Shape, prices: Prices) -> Iterator[Line]:
    yield _line("EC2", "Dagster", HOURS, "hours", prices("ec2", "t4g.medium"))
    if shape.web_machines:
        hours = shape.web_machines * HOURS
        yield _line("EC2", "web tier", hours, "hours", prices("ec2", "t4g.small"))
    disks = 30 * (1 + shape.web_machines)
    yield _line("EC2", "disks", disks, "GB", prices("ec2", "gb_month"))


def _network(usage: Usage, shape: Shape, prices: Prices) -> Iterator[Line]:
    # What Dagster, Glue and the Lambda say to AWS's services; S3 has a way that costs nothing.
    traffic = 20 + usage.events_per_day * DAYS * Decimal("0.1") / 1_000_000
    if shape.egress is Egress.NAT:
        gateways = shape.zones if shape.protected else 1
        yield _line("VPC", "NAT gateways", gateways * HOURS, "hours", prices("network", "nat_hour"))
        yield _line("VPC", "by NAT", traffic, "GB", prices("network", "nat_gb"))
        address = prices("network", "public_address_hour")
        yield _line("VPC", "addresses of NAT", gateways * HOURS, "hours", address)
    elif shape.egress is Egress.ENDPOINTS:
        hours = ENDPOINTS * shape.zones * HOURS
        yield _line("VPC", "endpoints", hours, "hours", prices("network", "endpoint_hour"))
        yield _line("VPC", "by endpoints", traffic, "GB", prices("network", "endpoint_gb"))


def _site(usage: Usage, shape: Shape, prices: Prices) -> Iterator[Line]:
    if not shape.web_machines:
        return
    yield _line("ALB", "load balancer", HOURS, "hours", prices("network", "load_balancer_hour"))
    # A request for each event: 25 new connections a second are one unit.
    units = max(Decimal(1), Decimal(usage.events_per_day) / 86_400 / 25)
    unit = prices("network", "capacity_unit_hour")
    yield _line("ALB", "capacity", units * HOURS, "unit-hours", unit)
    address = prices("network", "public_address_hour")
    yield _line("ALB", "addresses", shape.zones * HOURS, "hours", address)
    yield _line("WAF", "firewall", 1, "list", prices("firewall", "acl_month"))
    yield _line("WAF", "rules", 5, "rules", prices("firewall", "rule_month"))
    requests = usage.events_per_day * DAYS / 1_000_000
    yield _line("WAF", "requests", requests, "million", prices("firewall", "million_requests"))


def _watching(usage: Usage, _: Shape, prices: Prices) -> Iterator[Line]:
    yield _line("KMS", "key", 1, "key", prices("other", "key_month"))
    yield _line("CloudWatch", "alarms", ALARMS, "alarms", prices("other", "alarm_month"))
    yield _line("CloudWatch", "dashboard", 1, "dashboard", prices("other", "dashboard_month"))
    yield _line("CloudWatch", "metrics", METRICS, "metrics", prices("other", "metric_month"))
    # A line of the Lambda's for each batch, and what Glue and Dagster say.
    logged = 5 + Decimal(usage.events_per_day) / BATCH * DAYS / 1_000_000
    yield _line("CloudWatch", "logs", logged, "GB", prices("other", "log_gb"))
