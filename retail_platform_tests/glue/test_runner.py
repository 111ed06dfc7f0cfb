"""The Glue engine when things go wrong; that it is an engine, engines/test_engines.py shows."""

import os
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
from botocore.exceptions import EndpointConnectionError
from dagster_aws.pipes import PipesS3MessageReader
from dagster_pipes import PipesParams

from retail_platform.contracts.model import Column, Table
from retail_platform.engines.protocol import OutputTable, RunRequest, SourceRead
from retail_platform.errors import ConfigurationError, EngineError, LakeError
from retail_platform.glue import runner
from retail_platform.glue.bundle import bundle_version
from retail_platform.glue.runner import GlueEngine
from retail_platform_tests.aws import PIPES_BUCKET
from retail_platform_tests.glue.stand_in import JOB, PYTHON, StandIn, installed
from retail_platform_tests.glue.steps import LAKE, GlueInAStep
from retail_platform_tests.parquet import read_rows

NAMES = ("first", "second", "third")


@pytest.fixture
def engine(glue: StandIn) -> GlueInAStep:
    return GlueInAStep()


@pytest.fixture
def nothing_said(glue: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for no last words of a job that does not run."""
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 0)


def table(name: str) -> Table:
    return Table(
        layer="raw",
        name=name,
        description="One row.",
        grain="one row",
        columns=(Column("text", "string", "A text."),),
        primary_key=("text",),
        sql=f"SELECT cast('{name}' AS string) AS text",
    )


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    """Three tables of one row each."""
    return RunRequest(
        tuple(OutputTable(table(name), f"file://{tmp_path}/{name}", {"text": 1}) for name in NAMES)
    )


def test_the_results_name_the_run(glue: StandIn, engine: GlueInAStep, request_: RunRequest) -> None:
    results = engine.run(request_)
    assert [result.table for result in results] == list(NAMES)
    origin = results[0].origin
    assert origin["glue_run"] == glue.runs[0].id
    assert origin["glue_console"].endswith(f"#/job/{JOB}/run/{glue.runs[0].id}")
    assert origin["glue_workers"] == "2 x G.1X"
    assert origin["bundle_version"] == bundle_version()


def test_the_order_travels_by_s3_and_is_gone_afterwards(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    engine.run(request_)
    size = sum(len(name) + len(value) for name, value in (glue.runs[0].arguments or {}).items())
    assert size < 2_000, "whatever the size of the request"
    keys = [
        item["Key"] for item in boto3.client("s3").list_objects(Bucket=PIPES_BUCKET)["Contents"]
    ]
    assert keys
    assert not [key for key in keys if key.endswith("context.json")]


def test_what_the_job_prints_is_shown(
    engine: GlueInAStep, request_: RunRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.run(request_)
    shown = capfd.readouterr().out.splitlines()
    assert [line for line in shown if line.startswith("writing")] == [
        f"writing raw.{name}" for name in NAMES
    ]


# A job that fails


def test_a_job_that_fails_half_way_gives_nothing(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.faults += ["half_way"]
    with pytest.raises(
        EngineError, match=r"ended as FAILED \(RuntimeError: the cluster broke"
    ) as e:
        engine.run(request_)
    told = str(e.value)
    assert f"/run/{glue.runs[0].id}; the end of its log:\n" in told
    assert 'raise RuntimeError("the cluster broke after two tables")' in told
    assert len(glue.runs) == 1, "not retried"


@pytest.mark.parametrize(
    ("fault", "lacking"),
    [
        ("silent", "first, second, third"),
        ("lost_message", "second"),
        ("lost_chunk", "first, second, third"),
    ],
)
def test_a_table_that_the_job_did_not_report_does_not_count(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest, fault: str, lacking: str
) -> None:
    glue.faults += [fault]
    with pytest.raises(EngineError, match=rf"succeeded, but did not report {lacking}: nothing is"):
        engine.run(request_)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("TIMEOUT", r"ended as TIMEOUT: give the job a longer timeout or more workers"),
        ("EXPIRED", r"ended as EXPIRED: it waited too long for workers; run the build again"),
        ("STOPPED", r"ended as STOPPED: somebody stopped it"),
        (
            "FAILED:java.lang.OutOfMemoryError: Java heap space",
            r"give the job a larger worker type",
        ),
        ("FAILED:Container killed by YARN for exceeding memory limits", r"a larger worker type"),
        ("FAILED:ModuleNotFoundError: No module named 'x'", r"'x'\): mend what its log says"),
    ],
)
@pytest.mark.usefixtures("nothing_said")
def test_an_end_without_success_is_a_failure_with_a_remedy(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest, fault: str, told: str
) -> None:
    glue.faults += [fault]
    with pytest.raises(EngineError, match=told):
        engine.run(request_)
    assert len(glue.runs) == 1


def test_a_failure_of_glue_itself_is_tried_once_more_in_a_fresh_folder(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest, tmp_path: Path
) -> None:
    left = tmp_path / "first" / "part-left-behind.parquet"
    left.parent.mkdir()
    left.write_bytes(b"no parquet")
    glue.faults += ["FAILED:Internal service error : Throttled"]
    results = engine.run(request_)
    assert [run.state for run in glue.runs] == ["FAILED", "SUCCEEDED"]
    assert read_rows(results[0].files) == [{"text": "first"}]


@pytest.mark.usefixtures("nothing_said")
def test_a_failure_of_glue_that_stays_is_told(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.faults += ["ERROR:Resource setup error", "ERROR:Resource setup error"]
    with pytest.raises(EngineError, match=r"ended as ERROR \(Resource setup error\)"):
        engine.run(request_)
    assert len(glue.runs) == 2


def test_a_worker_that_is_killed_is_a_failed_job(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.faults += ["killed"]
    with pytest.raises(EngineError, match=r"exit code 137\): a worker had too little memory"):
        engine.run(request_)


# Calls that fail


def test_throttling_is_waited_for(glue: StandIn, engine: GlueInAStep, request_: RunRequest) -> None:
    glue.refusals += [
        ("StartJobRun", "ThrottlingException"),
        ("StartJobRun", "ConcurrentRunsExceededException"),
        *[("GetJobRun", "ThrottlingException")] * 3,
    ]
    assert len(engine.run(request_)) == 3
    assert glue.refusals == []
    assert len(glue.runs) == 1


def test_a_run_whose_start_was_not_confirmed_is_found_and_not_doubled(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.refusals += [("AfterStartJobRun", "InternalServiceException")]
    assert len(engine.run(request_)) == 3
    assert len(glue.runs) == 1


def test_a_start_is_sent_once_and_looked_up_before_it_is_sent_again(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    """A client sends a call again by itself after a failure of the server: two runs would start."""
    glue.refusals += [("AfterStartJobRun", "500")]
    assert len(engine.run(request_)) == 3
    assert [run.state for run in glue.runs] == ["SUCCEEDED"]


@pytest.mark.usefixtures("nothing_said")
def test_a_run_that_ended_before_it_was_found_again_counts(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.faults += ["FAILED:no such module"]
    glue.refusals += [("AfterStartJobRun", "InternalServiceException")]
    with pytest.raises(EngineError, match="no such module"):
        engine.run(request_)
    assert len(glue.runs) == 1


def test_runs_that_somebody_started_by_hand_are_let_alone(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.faults += ["hangs"]
    boto3.client("glue").start_job_run(JobName=JOB)
    glue.runs[0].arguments = None
    assert len(engine.run(request_)) == 3
    assert glue.runs[0].state in ("STARTING", "RUNNING")


def test_runs_of_long_ago_are_not_looked_at(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    """Glue keeps them for months, and lists the newest first."""
    glue.faults += ["hangs", "hangs"]
    for _ in range(2):
        boto3.client("glue").start_job_run(JobName=JOB, Arguments={"--retail-lake": LAKE})
    _until(lambda: [run.state for run in glue.runs] == ["RUNNING", "RUNNING"])
    glue.runs[0].started = datetime.now(UTC) - timedelta(days=9)
    engine.run(request_)
    assert [run.state for run in glue.runs] == ["RUNNING", "RUNNING", "SUCCEEDED"]


def test_a_network_that_fails_for_a_while_loses_no_results(
    glue: StandIn,
    engine: GlueInAStep,
    request_: RunRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, failures = PipesS3MessageReader.download_messages_chunk, ["once", "twice"]

    def fail(self: PipesS3MessageReader, index: int, params: PipesParams) -> str | None:
        if failures:
            raise EndpointConnectionError(endpoint_url=failures.pop())
        return read(self, index, params)

    monkeypatch.setattr(PipesS3MessageReader, "download_messages_chunk", fail)
    assert len(engine.run(request_)) == 3
    assert failures == []


@pytest.mark.usefixtures("nothing_said")
def test_glue_that_never_starts_a_job_is_given_up(
    glue: StandIn,
    engine: GlueInAStep,
    request_: RunRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_PATIENCE_SECONDS", 0.5)
    glue.refusals += [("StartJobRun", "ConcurrentRunsExceededException")] * 100
    with pytest.raises(LakeError, match=rf"using the Glue job {JOB}.*ConcurrentRunsExceeded"):
        engine.run(request_)


# Cancelled and abandoned


@pytest.mark.usefixtures("nothing_said")
def test_a_cancelled_step_stops_its_job(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.faults += ["hangs"]
    interrupt = threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises((dg.DagsterExecutionInterruptedError, KeyboardInterrupt)):
        engine.run(request_)
    assert [run.state for run in glue.runs] == ["STOPPED"]


@pytest.mark.usefixtures("nothing_said")
def test_a_job_that_cannot_be_stopped_does_not_hide_why_it_should(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest, caplog: pytest.LogCaptureFixture
) -> None:
    glue.faults += ["hangs"]
    glue.refusals += [("GetJobRun", "AccessDeniedException"), ("BatchStopJobRun", "Broken")]
    with pytest.raises(ConfigurationError, match=r"AWS forbids it"):
        engine.run(request_)
    assert f"a run of the Glue job {JOB} may go on (" in caplog.text
    assert "the next build stops it" in caplog.text


@pytest.mark.usefixtures("nothing_said")
def test_a_step_that_is_cancelled_while_it_starts_its_job_leaves_none(
    glue: StandIn,
    engine: GlueInAStep,
    request_: RunRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = GlueEngine._start

    def interrupted(self: GlueEngine, *arguments: Any) -> str:
        start(self, *arguments)
        raise ZeroDivisionError

    glue.faults += ["hangs"]
    monkeypatch.setattr(GlueEngine, "_start", interrupted)
    with pytest.raises(ZeroDivisionError):
        engine.run(request_)
    assert [run.state for run in glue.runs] == ["STOPPED"]


def test_a_job_that_nobody_waits_for_is_stopped_and_not_doubled(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.faults += ["hangs", "hangs"]
    start = boto3.client("glue").start_job_run
    start(JobName=JOB, Arguments={"--retail-lake": LAKE})
    start(JobName=JOB, Arguments={"--retail-lake": "s3://another/lake"})
    _until(lambda: [run.state for run in glue.runs] == ["RUNNING", "RUNNING"])
    engine.run(request_)
    assert [run.state for run in glue.runs] == ["STOPPED", "RUNNING", "SUCCEEDED"]


def _until(true: "object") -> None:
    assert callable(true)
    for _ in range(100):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


# What is missing or wrong


def test_another_version_of_the_bundle_is_refused(
    glue: StandIn,
    engine: GlueInAStep,
    request_: RunRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "bundle_version", lambda: "0.1.0.post7")
    with pytest.raises(
        ConfigurationError,
        match=rf"runs bundle {glue.bundle.version} and is asked for "
        r"0.1.0.post7: run `make glue-bundle`",
    ):
        engine.run(request_)


def test_an_error_of_a_model_is_told_in_its_own_words(
    glue: StandIn, engine: GlueInAStep, tmp_path: Path
) -> None:
    wrong = Table(**{**vars(table("first")), "sql": "SELECT no_such AS text"})
    request = RunRequest((OutputTable(wrong, f"file://{tmp_path}/out", {"text": 1}),))
    with pytest.raises(EngineError, match=r"raw.first .* could not be built.*no_such") as e:
        engine.run(request)
    assert "the end of its log:" in str(e.value)


def test_a_read_without_a_source_is_refused(
    glue: StandIn, engine: GlueInAStep, tmp_path: Path
) -> None:
    read = SourceRead(table("first"), "SELECT 1")
    output = OutputTable(table("first"), f"file://{tmp_path}/out", {"text": 1}, reads=(read,))
    with pytest.raises(EngineError, match="read from a source, but none was given"):
        engine.run(RunRequest((output,)))


def test_a_missing_job_is_named(glue: StandIn, engine: GlueInAStep, request_: RunRequest) -> None:
    boto3.client("glue").delete_job(JobName=JOB)
    with pytest.raises(ConfigurationError, match=rf"{JOB}.*correct RETAIL_GLUE_JOB"):
        engine.run(request_)


def test_a_missing_bucket_is_named(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    boto3.client("s3").delete_bucket(Bucket=PIPES_BUCKET)
    with pytest.raises(ConfigurationError, match=rf"{PIPES_BUCKET}.*correct RETAIL_PIPES_BUCKET"):
        engine.run(request_)
    assert glue.runs == []


@pytest.mark.usefixtures("nothing_said")
def test_a_missing_permission_is_named(
    glue: StandIn, engine: GlueInAStep, request_: RunRequest
) -> None:
    glue.refusals += [("StartJobRun", "AccessDeniedException")]
    with pytest.raises(ConfigurationError, match=rf"{JOB}: AWS forbids it .*grant the permission"):
        engine.run(request_)


def test_a_missing_region_is_told(
    engine: GlueInAStep, request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError, match="no AWS region is set: set AWS_DEFAULT_REGION"):
        engine.run(request_)


def test_missing_credentials_are_told(
    engine: GlueInAStep, request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers them
    with pytest.raises(ConfigurationError, match="there are no AWS credentials"):
        engine.run(request_)


def test_a_job_that_dagster_did_not_start_does_nothing(glue: StandIn) -> None:
    done = subprocess.run(
        [str(PYTHON), str(glue.bundle.script)],
        env={"PYTHONPATH": str(installed(glue.bundle, glue.folder))},
        cwd=glue.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "this job was not started by Dagster: run `retail build`" in done.stderr
