"""The platform's own Terraform on this machine: `make local-aws`.

MiniStack stands in for AWS and the embedded PostgreSQL for the one of RDS. The local environment is
applied with the real bundles; vectors are published; visitors' events go into Kinesis, by Firehose
through the Lambda into S3, are found by the sensor, and come back as rows of recommendation_events. A
second plan may show what MiniStack is known to forget and nothing else, and destroy leaves nothing.
"""

import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version as installed_version
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import dagster as dg
import requests

from retail_platform import app_bundle
from retail_platform.definitions import EVENTS_JOB, build_definitions
from retail_platform.embedded.postgres import embedded_postgres
from retail_platform.glue import bundle as glue_bundle
from retail_platform.platform import VECTORS_DATABASE, Platform
from retail_platform.serving import named_queries
from retail_platform.settings import load_settings
from retail_platform.streaming import bundle as lambda_bundle
from retail_platform.streaming.sending import KinesisSink, send
from retail_platform.streaming.visitors import CUSTOMERS, SALES, Shop, Visitors
from retail_platform.wheels import write_archive
from retail_platform_tests.infra.terraform import Terraform
from retail_platform_tests.servers import postgres_home
from retail_platform_tests.shop import Shop as Laptop
from retail_platform_tests.streaming.python313 import path_with_python

ROOT = Path(__file__).parents[2]
MINISTACK = ROOT / ".venv-aws" / "bin" / "ministack"

EVENTS = 30
REGION = "us-east-1"

SERVICES = (
    "application-autoscaling,athena,autoscaling,budgets,cloudwatch,ec2,elbv2,firehose,glue,iam,kinesis,"
    "kms,lambda,logs,rds,s3,secretsmanager,sns,sqs,ssm,sts,wafv2"
)

KNOWN_DIFFERENCES: dict[str, set[str]] = {
    "aws_autoscaling_group": {
        *(
            "availability_zone_distribution",
            "availability_zones",
            "capacity_reservation_specification",
        ),
        *("default_instance_warmup", "instance_refresh", "launch_template", "tag"),
        "vpc_zone_identifier",
    },
    "aws_cloudwatch_metric_alarm": {
        *("actions_enabled", "alarm_actions", "alarm_description", "dimensions", "ok_actions"),
        *("period", "statistic", "extended_statistic", "treat_missing_data"),
    },
    "aws_db_instance": {
        *("backup_window", "enabled_cloudwatch_logs_exports", "performance_insights_kms_key_id"),
    },
    "aws_glue_connection": {"tags_all"},
    "aws_glue_crawler": {"lineage_configuration", "tags_all"},
    "aws_glue_job": {"execution_property", "job_run_queuing_enabled", "tags_all"},
    # What names the stream is read again, because the stream is changed.
    "aws_iam_policy": {"policy"},
    "aws_iam_role_policy": {"policy"},
    "aws_kinesis_firehose_delivery_stream": {"extended_s3_configuration"},
    "aws_kinesis_stream": {"tags_all"},
    "aws_launch_template": {
        *("block_device_mappings", "default_version", "iam_instance_profile", "latest_version"),
        *("metadata_options", "monitoring", "network_interfaces", "tag_specifications"),
    },
    "aws_s3_object": {"tags_all"},
}
"""What MiniStack forgets of what it was told, by type of resource: attributes that a second plan sets
again."""

KNOWN_REPLACEMENTS = {"aws_flow_log"}
"""What it forgets so much of that it is made anew: the role of the flow log."""

QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
"""Dagster tells each event of a run at length."""

_ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}


class LocalAwsError(RuntimeError):
    """What should have come did not; the message says what."""


def main() -> None:
    """All of it, step by step, with what each step took."""
    with TemporaryDirectory(prefix="local-aws-") as temporary, postgres_home() as home:
        folder = Path(temporary)
        with step("the bundles of Glue, Lambda and machines"):
            bundles = write_bundles(folder / "dist")
        with step("a sample shop, its lake and its vectors on this machine"):
            laptop = Laptop(home)
            laptop.done("sample")
            laptop.done("build")
        with ministack(folder) as url, embedded_postgres(home) as postgres:
            use(url)
            variables = {
                **bundles,
                "stand_in_vectors_url": postgres.ensure_database(VECTORS_DATABASE),
                "web": {"certificate_arn": certificate()},
                "source_secret_arn": f"arn:aws:secretsmanager:{REGION}:000000000000:secret:source-abc",
                "buffer_seconds": 0,
                "lambda_concurrency": 2,
            }
            terraform = Terraform.copied(folder, environment(url))
            (terraform.folder / "backend.tf").unlink()  # its state is a file
            (terraform.folder / "here.tfvars.json").write_text(json.dumps(variables))
            with step("terraform init and apply"):
                terraform.init()
                terraform.done("apply", "-auto-approve", *COMMON)
            settings = json.loads(terraform.done("output", "-json", "settings"))
            made = terraform.done("state", "list").split()
            say(f"{len([one for one in made if not is_data(one)])} resources")
            with step(
                f"{EVENTS} events through Kinesis, Firehose and Lambda to S3, and into the lake"
            ):
                come_back(home, settings)
            with step("terraform plan, a second time"):
                compare(terraform)
            with step("terraform destroy"):
                terraform.done("destroy", "-auto-approve", *COMMON)
            nothing_left(terraform)
    say("all of it came back, and nothing is left")


COMMON = (
    *("-no-color", "-input=false", "-var-file=environments/local.tfvars"),
    "-var-file=here.tfvars.json",
)


def write_bundles(folder: Path) -> dict[str, Any]:
    """Makes what is uploaded; returns the variables that name it."""
    path = path_with_python()
    if path is None:
        raise LocalAwsError(f"there is no Python {lambda_bundle.PYTHON}, which the Lambda runs on")
    os.environ["PATH"] = path
    processor = _ARCHITECTURE[platform.machine()]
    glue_bundle.write_bundle(folder / "glue")
    glue_bundle.fetch_scipy(folder / "glue")
    named_queries.write(folder / "athena")
    # No machine starts here, and 300 MB of wheels would keep MiniStack busy: ours alone, by its name.
    (folder / "app").mkdir()
    ours = app_bundle.our_wheel(folder / "app")
    name = f"{app_bundle.DISTRIBUTION}-{installed_version(app_bundle.DISTRIBUTION)}-arm64.zip"
    write_archive(folder / "app" / name, {ours.name: ours.read_bytes()}, zipfile.ZIP_STORED)
    return {
        "glue_bundle": str(folder / "glue"),
        "athena_queries": str(folder / "athena"),
        "app_bundles": str(folder / "app"),
        "lambda_bundle": str(lambda_bundle.write_bundle(folder / "lambda", processor).path),
        "lambda_architecture": processor,
    }


@contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """A running MiniStack on a free port of the loopback; gives its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": SERVICES,
        "TMPDIR": str(folder),
    }
    url = f"http://127.0.0.1:{port}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON"))}
    with (folder / "ministack.log").open("wb") as log:
        server = subprocess.Popen(
            [MINISTACK],
            env={**kept, **told},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(300):
            with suppress(requests.ConnectionError):
                requests.get(f"{url}/_ministack/health", timeout=5)
                break
            time.sleep(0.1)
        else:
            raise LocalAwsError(
                f"MiniStack does not start:\n{(folder / 'ministack.log').read_text()}"
            )
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def environment(url: str) -> dict[str, str]:
    """What makes clients of AWS speak to MiniStack."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


def use(url: str) -> None:
    """Makes this process one of MiniStack's account."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "RETAIL_"))]:
        del os.environ[name]
    os.environ.update(environment(url))


def certificate() -> str:
    """The ARN of a certificate; nobody connects, so that none has to be there."""
    return f"arn:aws:acm:{REGION}:000000000000:certificate/local"


def come_back(home: Path, told: dict[str, str]) -> None:
    """Sends events, and takes what comes of them with the settings that Terraform put out.

    The databases of RDS are the one thing of which there is only the name.
    """
    laptop = Platform(load_settings(home))
    shop = Shop.of(laptop.sql.run(SALES).to_pylist(), laptop.sql.run(CUSTOMERS).to_pylist())
    events = list(islice(Visitors(shop, 5, seed=1).events(), EVENTS))
    left_out = {"RETAIL_RECORDS_URL", "RETAIL_VECTORS_URL", "RETAIL_METRICS_NAMESPACE"}
    with TemporaryDirectory() as elsewhere:
        os.environ.update({k: v for k, v in told.items() if k not in left_out})
        os.environ["RETAIL_HOME"] = elsewhere
        settings = load_settings()
        definitions = build_definitions(settings)
        sensor = definitions.resolve_sensor_def("arrivals")
        job = definitions.resolve_job_def(EVENTS_JOB)
        lake = Platform(settings).lake
        with dg.DagsterInstance.ephemeral() as instance:

            def look() -> Any:
                return sensor(dg.build_sensor_context(instance, definitions=definitions))

            if not isinstance(look(), dg.SkipReason):
                raise LocalAwsError("the sensor found something before anything was sent")
            sink = KinesisSink(settings.event_stream)
            for _ in send(iter(events), sink, rate=0, seconds=None, count=EVENTS):
                pass
            deadline = time.monotonic() + 120
            found: set[str] = set()
            while time.monotonic() < deadline and len(found) < EVENTS:
                if isinstance(look(), dg.RunRequest):
                    if not job.execute_in_process(instance=instance, run_config=QUIET).success:
                        raise LocalAwsError("the run that the sensor asked for failed")
                    rows = lake.rows("recommendation_events").to_pylist()
                    found = {row["event_id"] for row in rows}
                    if any(row["degraded"] for row in rows):
                        raise LocalAwsError("the Lambda answered without the vector store")
                time.sleep(0.5)
    if missing := {event.event_id for event in events} - found:
        raise LocalAwsError(f"{len(missing)} of {EVENTS} events did not come back")


def compare(terraform: Terraform) -> None:
    """Plans again: what differs has to be known."""
    terraform.done("plan", "-out=again.tfplan", *COMMON)
    plan = json.loads(terraform.done("show", "-json", "again.tfplan"))
    unknown = []
    known = 0
    for change in plan.get("resource_changes", ()):
        actions = change["change"]["actions"]
        if actions in (["no-op"], ["read"]):
            continue
        attributes = differing(change["change"])
        forgotten = KNOWN_DIFFERENCES.get(change["type"], set())
        if (actions == ["update"] and attributes <= forgotten) or (
            change["type"] in KNOWN_REPLACEMENTS
        ):
            known += 1
            continue
        unknown.append(
            f"{change['address']}: {'/'.join(actions)} of {', '.join(sorted(attributes))}"
        )
    say(f"{known} known differences")
    if unknown:
        raise LocalAwsError("a second plan differs:\n" + "\n".join(unknown))


def differing(change: dict[str, Any]) -> set[str]:
    """The attributes that a change changes."""
    before, after = change.get("before") or {}, change.get("after") or {}
    unknown = {name for name, is_unknown in change.get("after_unknown", {}).items() if is_unknown}
    return {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)} | unknown


def nothing_left(terraform: Terraform) -> None:
    """Asks the state, and the services that cost something."""
    left = terraform.done("state", "list").split()
    left += [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    left += [one["FunctionName"] for one in boto3.client("lambda").list_functions()["Functions"]]
    left += boto3.client("kinesis").list_streams()["StreamNames"]
    left += [
        one["DBInstanceIdentifier"]
        for one in boto3.client("rds").describe_db_instances()["DBInstances"]
    ]
    if left:
        raise LocalAwsError(f"destroy left {', '.join(left)}")


def is_data(address: str) -> bool:
    """Whether an address of the state is of something that is only read."""
    return re.search(r"(^|\.)data\.", address) is not None


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says what is done and how long it took."""
    started = time.monotonic()
    say(what)
    yield
    say(f"  {time.monotonic() - started:.0f} s")


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
