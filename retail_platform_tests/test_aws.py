"""`retail` with RETAIL_ENV=aws: the command as a process of its own, on stand-ins for AWS.

What is real: MariaDB, JDBC, Spark with the bundle, the clients of AWS and their protocol, Iceberg.
"""

import base64
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import boto3
import pymysql
import pytest

from lambda_inference.firehose import transform
from retail_platform.contracts.loader import LAYERS
from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.sources.address import Address
from retail_platform.sources.mysql import login
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform_tests.athena import WORKGROUP, athena_service
from retail_platform_tests.aws import (
    CALLS,
    DAGSTER_KEY,
    JOB_KEY,
    LAKE_BUCKET,
    PIPES_BUCKET,
    SITE_KEY,
    environment,
    make_older,
    use,
)
from retail_platform_tests.glue.stand_in import JDBC_JARS, JOB, Run, StandIn, serving
from retail_platform_tests.infra.readmes import actions
from retail_platform_tests.lambda_inference.events import firehose_request
from retail_platform_tests.lambda_inference.test_firehose import lists_of
from retail_platform_tests.landing.exports import export
from retail_platform_tests.servers import MariaDB
from retail_platform_tests.shop import Shop
from retail_platform_tests.streaming.deliveries import failures_of, key, upload
from retail_platform_tests.web.site import running

# Every month of every fact is files of its own, and each is some requests of some milliseconds.
SMALL = SampleSize(scale=0.3, first_month=date(2003, 11, 1), months=4)

SECRET = "retail/source"
READER, PASSWORD = "reader", "rosebud-4711/+"
LOCK = f"s3://{LAKE_BUCKET}/lake/lake.lock"


@dataclass(frozen=True)
class OnAws:
    """A shop on AWS, and the same one on a laptop."""

    shop: Shop
    laptop: Shop
    glue: StandIn


@pytest.fixture(scope="module")
def on_aws(
    mariadb: MariaDB,
    postgres: EmbeddedPostgres,
    aws_url: str,
    glue_cluster: StandIn,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OnAws]:
    if not JDBC_JARS["mysql"].exists():
        pytest.skip("no JDBC driver; install Debian's libmariadb-java")
    url = mariadb.create_database("aws_shop")
    load(url, generate(SMALL), lambda table, rows: None)
    address = Address.parse(url)
    with closing(pymysql.connect(**login(address))) as connection:
        connection.cursor().execute(
            f"GRANT SELECT ON aws_shop.* TO {READER} IDENTIFIED BY '{PASSWORD}'"
        )
    settings = {
        "RETAIL_ENV": "aws",
        "RETAIL_LAKE_BUCKET": LAKE_BUCKET,
        "RETAIL_PIPES_BUCKET": PIPES_BUCKET,
        "RETAIL_GLUE_JOB": JOB,
        "RETAIL_ATHENA_WORKGROUP": WORKGROUP,
        "RETAIL_SOURCE_SECRET": SECRET,
        "RETAIL_VECTORS_URL": postgres.ensure_database("aws_vectors"),
        **environment(aws_url, DAGSTER_KEY),
    }
    secret = {
        "engine": "mysql",
        "host": address.host,
        "port": address.port,
        "username": READER,
        "password": PASSWORD,
        "dbname": address.database,
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        use(monkeypatch, aws_url)
        boto3.client("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps(secret))
        for layer in LAYERS:  # as Terraform makes them
            boto3.client("glue").create_database(DatabaseInput={"Name": f"retail_{layer}"})
        with serving(glue_cluster, monkeypatch) as glue, athena_service():
            shop = Shop(tmp_path_factory.mktemp("aws"), settings=settings)
            laptop = Shop(tmp_path_factory.mktemp("laptop"), url)
            shop.done("build")
            laptop.done("build")
            yield OnAws(shop, laptop, glue)


@pytest.fixture(autouse=True)
def _whole(on_aws: OnAws) -> Iterator[None]:
    """Leaves no fault behind."""
    yield
    on_aws.glue.faults.clear()
    on_aws.glue.refusals.clear()


def published(shop: Shop) -> dict[str, str]:
    return {row["table"]: row["snapshot_id"] for row in shop.records("status")}


def test_a_layer_is_one_job_run(on_aws: OnAws) -> None:
    assert [run.state for run in on_aws.glue.runs[:4]] == ["SUCCEEDED"] * 4
    logs = [run.log.read_text() for run in on_aws.glue.runs[:4]]
    layers = [
        Counter(table.partition(".")[0] for table in re.findall("writing (.*)", log))
        for log in logs
    ]
    assert layers[:2] == [{"raw": 10}, {"star": 7}]
    assert {"ml": 1} in layers
    assert {"events": 1} in layers
    trained = logs[layers.index(Counter(ml=1))]
    assert [sorted(tables.split(", ")) for tables in re.findall("training (.*)", trained)] == [
        [f"ml.{name}_embeddings" for name in ("customer", "feature", "product")]
        + ["ml.similar_products"]
    ]


def test_recommendations_are_those_of_the_laptop(on_aws: OnAws) -> None:
    """Trained on Glue, read from S3 and published by Dagster."""
    for asked in (["--customer", "103"], ["--session", "S10_0016,S12_0076", "--country", "France"]):
        ours, theirs = (shop.records("recommend", *asked) for shop in (on_aws.shop, on_aws.laptop))
        assert ours == theirs
        assert len(ours) == 10
    (live,) = on_aws.shop.records("vectors", "list")
    assert live["live"] == "true"


def test_without_a_vector_store_on_aws_all_else_works(on_aws: OnAws) -> None:
    settings = {k: v for k, v in on_aws.shop.settings.items() if k != "RETAIL_VECTORS_URL"}
    shop = replace(on_aws.shop, settings=settings)
    for command in (["recommend"], ["build", "vector_store"]):
        result = shop.run(*command)
        assert result.returncode == 2
        assert "set RETAIL_VECTORS_URL to a PostgreSQL with pgvector" in result.stderr


def test_reports_are_those_of_the_laptop(on_aws: OnAws) -> None:
    reports = on_aws.shop.done("report")
    assert "Classic Cars" in reports
    assert reports == on_aws.laptop.done("report")


def test_checks_are_those_of_the_laptop(on_aws: OnAws) -> None:
    checks = on_aws.shop.records("check")
    assert len(checks) > 80
    assert checks == on_aws.laptop.records("check")


def test_athena_and_spark_find_iceberg_tables_in_glue(on_aws: OnAws) -> None:
    table = boto3.client("glue").get_table(DatabaseName="retail_star", Name="fact_orders")["Table"]
    assert table["Parameters"]["table_type"].upper() == "ICEBERG"
    assert table["Parameters"]["metadata_location"].startswith(f"s3://{LAKE_BUCKET}/lake/star/")


def test_one_table_is_a_run_of_one_table(on_aws: OnAws) -> None:
    before = published(on_aws.shop)
    on_aws.shop.done("build", "fact_payments", "--from", "2004-01", "--to", "2004-02")
    run = on_aws.glue.runs[-1]
    assert re.findall("writing (.*)", run.log.read_text()) == ["star.fact_payments"]
    after = published(on_aws.shop)
    changed = {table for table in after if after[table] != before[table]}
    assert changed == {"star.fact_payments"}


def test_queries_go_back_in_time(on_aws: OnAws) -> None:
    sql = "SELECT count(*) AS n FROM dim_dates"
    on_aws.shop.done("build", "dim_dates")
    built = on_aws.shop.records("history", "dim_dates")
    assert len(built) == 2
    assert on_aws.shop.rows(sql, "--as-of", built[-1]["built_at"]) == on_aws.shop.rows(sql)


def test_what_a_failed_job_wrote_is_not_published(on_aws: OnAws) -> None:
    before = published(on_aws.shop)
    on_aws.glue.faults += ["half_way"]
    result = on_aws.shop.run("build", "star", "--from", "2004-01", "--to", "2004-01")
    assert result.returncode == 1
    assert "ended as FAILED (RuntimeError: the cluster broke after two tables)" in result.stderr
    assert f"#/job/{JOB}/run/{on_aws.glue.runs[-1].id}; the end of its log:" in result.stderr
    assert "Traceback" not in result.stderr.partition("the end of its log:")[0]
    assert published(on_aws.shop) == before


def test_a_build_that_is_interrupted_stops_its_job(on_aws: OnAws) -> None:
    before = published(on_aws.shop)
    on_aws.glue.faults += ["hangs"]
    process = on_aws.shop.start("build", "dim_dates")
    run = _next_run(on_aws.glue)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert run.state == "STOPPED"
    assert process.returncode != 0
    assert published(on_aws.shop) == before


def test_the_job_of_a_build_that_died_is_stopped_by_the_next(on_aws: OnAws) -> None:
    on_aws.glue.faults += ["hangs"]
    process = on_aws.shop.start("build", "dim_dates")
    run = _next_run(on_aws.glue)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    assert run.state == "RUNNING"
    make_older(LOCK, timedelta(minutes=2))  # instead of waiting for the lease to run out
    on_aws.shop.done("build", "dim_dates")
    assert run.state == "STOPPED"
    assert on_aws.glue.runs[-1].state == "SUCCEEDED"


def _next_run(glue: StandIn) -> Run:
    known = len(glue.runs)
    for _ in range(600):
        if len(glue.runs) > known and glue.runs[-1].state == "RUNNING":
            return glue.runs[-1]
        time.sleep(0.1)
    raise AssertionError("no job was started")


def test_the_password_is_nowhere_but_in_the_secret(on_aws: OnAws) -> None:
    for run in on_aws.glue.runs:
        assert PASSWORD not in f"{run.arguments} {run.error}"
        assert not run.log.exists() or PASSWORD not in run.log.read_text()
    for file in on_aws.shop.home.rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
    s3 = boto3.client("s3")
    for item in s3.list_objects_v2(Bucket=PIPES_BUCKET)["Contents"]:
        body = s3.get_object(Bucket=PIPES_BUCKET, Key=item["Key"])["Body"].read()
        assert PASSWORD.encode() not in body


def test_status_says_where_things_are(on_aws: OnAws) -> None:
    told = on_aws.shop.run("status").stderr
    assert f"lake      s3://{LAKE_BUCKET}/lake, Glue databases retail_*" in told
    assert f"engine    Glue job {JOB}" in told
    assert f"source    the database of secret {SECRET}" in told


@pytest.mark.parametrize(
    ("setting", "value", "command", "told"),
    [
        ("RETAIL_LAKE_BUCKET", "no-such-bucket", "build", "RETAIL_LAKE_BUCKET"),
        ("RETAIL_PIPES_BUCKET", "no-such-bucket", "build", "RETAIL_PIPES_BUCKET"),
        ("RETAIL_GLUE_JOB", "no-such-job", "build", "RETAIL_GLUE_JOB"),
        ("RETAIL_SOURCE_SECRET", "no-such-secret", "build", "RETAIL_SOURCE_SECRET"),
        ("RETAIL_ATHENA_WORKGROUP", "no-such-group", "report", "no-such-group"),
        ("AWS_DEFAULT_REGION", "", "build", "AWS_DEFAULT_REGION"),
        ("RETAIL_ATHENA_WORKGROUP", "", "build", "RETAIL_ENV=aws needs RETAIL_ATHENA_WORKGROUP"),
        ("RETAIL_ENGINE", "duckdb", "build", "with RETAIL_ENV=aws it is glue"),
    ],
)
def test_what_is_missing_is_told_in_one_message(
    on_aws: OnAws,
    setting: str,
    value: str,
    command: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(setting, raising=False)
    settings = {name: text for name, text in on_aws.shop.settings.items() if name != setting}
    settings |= {setting: value} if value else {}
    shop = replace(on_aws.shop, settings=settings, home=tmp_path)
    result = shop.run(command)
    assert result.returncode == 2, result.stderr
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_visitors_browse_into_the_stream_and_what_firehose_delivers_comes_back(
    on_aws: OnAws,
) -> None:
    """The Lambda's own work is tested elsewhere; here its answers are what is delivered."""
    no_stream = on_aws.shop.run("events", "--count", "1")
    assert no_stream.returncode == 2
    assert "set RETAIL_EVENT_STREAM" in no_stream.stderr
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName="browse", ShardCount=1)
    settings = {**on_aws.shop.settings, "RETAIL_EVENT_STREAM": "browse"}
    shop = replace(on_aws.shop, settings=settings)
    assert "sent 30 events" in shop.run("events", "--rate", "0", "--count", "30").stderr
    (shard,) = kinesis.list_shards(StreamName="browse")["Shards"]
    start = kinesis.get_shard_iterator(
        StreamName="browse", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )
    records = kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
    response = transform(
        firehose_request([record["Data"] for record in records] + [b"{"]), lists_of(3)
    )
    by_result: dict[str, list[bytes]] = {"Ok": [], "ProcessingFailed": []}
    for record in response["records"]:
        by_result[record["result"]].append(base64.b64decode(record["data"]))
    assert [len(found) for found in by_result.values()] == [30, 1]
    delivered = f"delivered/{key('a.gz')}"
    upload(LAKE_BUCKET, delivered, b"".join(by_result["Ok"]))
    failed = f"delivered/{key('f.gz', 'processing-failed')}"
    upload(LAKE_BUCKET, failed, failures_of(*by_result["ProcessingFailed"]))
    shop.done("build", "recommendation_events", "delivery_failures")
    counts = (
        "SELECT count(*) AS n, count(DISTINCT event_id) AS ids, sum(recommended) AS shown"
        " FROM events.recommendation_events"
    )
    assert shop.rows(counts) == [{"n": 30, "ids": 30, "shown": 90}]
    assert shop.rows("SELECT error_code, events FROM delivery_failures") == [
        {"error_code": "Lambda.FunctionError", "events": 0}
    ]
    assert "1 record left: not a browse event" in shop.run("replay", "--failed").stderr


def test_what_lands_in_the_bucket_is_merged_by_the_job(on_aws: OnAws) -> None:
    shop = replace(on_aws.shop, settings={**on_aws.shop.settings, "RETAIL_LANDED": "ratings"})
    (before,) = shop.rows(
        "SELECT count(*) AS n, min(customer_number) AS customer FROM raw.ratings"
        " WHERE product_rating IS NOT NULL"
    )
    (one,) = shop.rows(
        f"SELECT * FROM ratings WHERE customer_number = {before['customer']} LIMIT 1"
    )
    again = (one["customer_number"], one["product_code"], (one["product_rating"] + 1) % 6)
    upload(LAKE_BUCKET, "landing/ratings/a.csv", export("ratings", [again, (999999, "new", 1)]))
    upload(LAKE_BUCKET, "landing/ratings/b.csv", b"no ratings")
    runs = len(on_aws.glue.runs)
    result = shop.run("build", "ratings", "landed_files")
    assert result.returncode == 0, result.stderr
    assert "landed_files.none_set_aside: 1 offending" in result.stderr
    assert len(on_aws.glue.runs) == runs + 1
    assert shop.rows("SELECT count(*) AS n FROM ratings") == [{"n": before["n"] + 1}]
    assert shop.rows(
        "SELECT product_rating AS rating FROM ratings WHERE"
        f" customer_number = {again[0]} AND product_code = '{again[1]}'"
    ) == [{"rating": again[2]}]
    shop.done("check", "ratings", "landed_files")


def test_the_site_shows_the_lake_and_sends_what_visitors_do(
    on_aws: OnAws, aws_url: str, tmp_path: Path
) -> None:
    """It has no database; the Lambda, which moto does not run, is away."""
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName="site", ShardCount=1)
    settings = {
        **{k: v for k, v in on_aws.shop.settings.items() if k != "RETAIL_VECTORS_URL"},
        **environment(aws_url, SITE_KEY),
        "RETAIL_EVENT_STREAM": "site",
        "RETAIL_RECOMMENDER": "retail-http:live",
        "RETAIL_SIGN_IN": "true",
    }
    with running(replace(on_aws.shop, settings=settings, home=tmp_path), tmp_path) as site:
        signed_in = {"x-amzn-oidc-identity": "someone"}
        refused = site.get("/dashboard")
        assert refused.status_code == 403
        assert "for who signs in" in refused.text
        days = {"from": "2004-01-01", "to": "2004-12-31"}
        page = site.get("/dashboard", params=days, headers=signed_in)
        assert page.status_code == 200, page.text
        told = on_aws.laptop.records(
            "report", "key_figures", "--from", days["from"], "--to", days["to"]
        )
        assert f"{Decimal(told[0]['sales']):,.2f}" in page.text
        name = "/dashboard/sales_by_country.csv"
        got = site.get(name, params=days, headers=signed_in).text
        report = ("report", "sales_by_country", "--from", days["from"], "--to", days["to"])
        assert got == on_aws.laptop.done(*report, "--format", "csv")
        assert "fact_orders" in site.get("/trust", headers=signed_in).text

        (code,) = re.findall(r"/shop/products/(\w+)", site.get("/shop").text)[:1]
        shown = site.get(f"/shop/products/{code}")
        assert shown.status_code == 200
        assert "Recommendations take a rest: this is what sells best." in shown.text
        assert "Secure" in shown.headers["Set-Cookie"]
        assert "max-age" in shown.headers["Strict-Transport-Security"]
        assert site.post("/shop/visitor", data={"who": "103"}).status_code == 403
        assert site.post("/shop/checkout").status_code == 403
        assert site.get("/readyz").json()["ready"] is True
    (shard,) = kinesis.list_shards(StreamName="site")["Shards"]
    start = kinesis.get_shard_iterator(
        StreamName="site", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )
    (record,) = kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
    assert code in record["Data"].decode()


def called_by(who: str) -> set[str]:
    """What the requests of this module asked for."""
    return {call.action for call in CALLS if call.who == who and call.action}


def reading() -> set[str]:
    """What whoever asks the lake may."""
    return actions("catalog_etl", "reading")


def test_dagsters_machine_may_all_that_it_does_and_little_else(on_aws: OnAws) -> None:
    """Last, because what the tests above made it do is what counts."""
    allowed = reading() | actions("orchestrator", "work") | actions("machines", "this")
    assert called_by(DAGSTER_KEY) - allowed == set()
    assert allowed - called_by(DAGSTER_KEY) - set(DAGSTER_UNSEEN) == set()


def test_the_job_may_all_that_it_does_and_little_else(on_aws: OnAws) -> None:
    allowed = actions("catalog_etl", "job")
    assert called_by(JOB_KEY) - allowed == set()
    assert allowed - called_by(JOB_KEY) - set(JOB_UNSEEN) == set()


def test_the_site_may_all_that_it_does_and_little_else(on_aws: OnAws) -> None:
    allowed = reading() | actions("web", "work") | actions("machines", "this")
    assert called_by(SITE_KEY) - allowed == set()
    assert allowed - called_by(SITE_KEY) == set(SITE_UNSEEN)


_ATHENA = "Athena asks it in the name of whoever asks Athena"
_KMS = "S3, Kinesis and Secrets Manager ask it in the name of whoever asks them"
_AGENT = "the agent of CloudWatch asks it"
_GLUE = "Glue itself asks it, to put its workers into the network and to write their logs"

DAGSTER_UNSEEN = {
    "athena:StopQueryExecution": "a query that is interrupted",
    "athena:GetWorkGroup": "pyathena asks it where results go, unless it knows",
    "cloudwatch:PutMetricData": "automation/test_metrics.py",
    "glue:GetPartitions": _ATHENA,
    "glue:GetTables": _ATHENA,
    "kms:Decrypt": _KMS,
    "kms:GenerateDataKey": _KMS,
    "logs:CreateLogStream": _AGENT,
    "logs:DescribeLogStreams": _AGENT,
    "logs:PutLogEvents": _AGENT,
    "rds-db:connect": "a right to log in, and no request: test_rds.py",
    "s3:AbortMultipartUpload": "a large upload that is interrupted",
    "s3:GetBucketLocation": _ATHENA,
    "sqs:DeleteMessage": "automation/test_attention.py",
    "sqs:ReceiveMessage": "automation/test_attention.py",
}
"""What Dagster's machine may, though no test here makes it ask: action and reason."""

JOB_UNSEEN = {
    "cloudwatch:PutMetricData": "Glue tells of the job",
    **dict.fromkeys(
        (
            *("ec2:CreateNetworkInterface", "ec2:CreateTags", "ec2:DeleteNetworkInterface"),
            *("ec2:DeleteTags", "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables"),
            *("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcAttribute"),
            *("ec2:DescribeVpcEndpoints", "glue:GetConnection", "logs:AssociateKmsKey"),
            *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
        ),
        _GLUE,
    ),
    "kms:Decrypt": _KMS,
    "kms:GenerateDataKey": _KMS,
    "s3:DeleteObject": "Spark on Glue, when it commits files; the stand-in's are in a folder",
    "s3:ListBucket": "the same",
}
"""The same of the Glue job."""

SITE_UNSEEN = {
    "athena:StopQueryExecution": "a query that is interrupted",
    "athena:GetWorkGroup": "pyathena asks it where results go, unless it knows",
    "glue:GetPartitions": _ATHENA,
    "kms:Decrypt": _KMS,
    "kms:GenerateDataKey": _KMS,
    "logs:CreateLogStream": _AGENT,
    "logs:DescribeLogStreams": _AGENT,
    "logs:PutLogEvents": _AGENT,
    "s3:AbortMultipartUpload": _ATHENA,
    "s3:GetBucketLocation": _ATHENA,
    "s3:PutObject": _ATHENA,
    "secretsmanager:GetSecretValue": "the machine, when it starts, of where orders go",
}
"""The same of the site, and of its machines."""

_OF_LAMBDA = (
    "Lambda itself asks it: its network, its log, its environment, and the calls that failed"
)

LAMBDA_MAY = {
    **dict.fromkeys(
        (
            *("ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface"),
            *("ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
            *("ec2:UnassignPrivateIpAddresses", "kms:Decrypt", "logs:CreateLogStream"),
            *("logs:PutLogEvents", "sqs:SendMessage"),
        ),
        _OF_LAMBDA,
    ),
    "rds-db:connect": "a right to log in, and no request: the token is made in the process",
}
"""All that the Lambda may: by Firehose and by HTTP it asks AWS for nothing."""


def test_the_lambda_may_what_its_network_and_log_need() -> None:
    assert actions("streaming", "function") == set(LAMBDA_MAY)
