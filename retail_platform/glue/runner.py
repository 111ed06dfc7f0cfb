"""Starts the Glue job, follows it, and answers like any other engine.

One job run for an engine run. The order goes out and the results come back through Dagster Pipes,
by S3. A run that this platform started and lost sight of is stopped before another starts.
"""

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError
from dagster_aws.pipes import PipesS3ContextInjector, PipesS3MessageReader
from dagster_pipes import PipesParams

from retail_platform.aws import aws_errors, client, code_of, is_passing, region, told
from retail_platform.engines.protocol import RowReader, RunRequest, TableResult
from retail_platform.errors import EngineError, RetailError
from retail_platform.glue.bundle import bundle_version
from retail_platform.glue.order import Answer, JobSource, Order, as_extras, from_messages
from retail_platform.sources.address import Address

log = logging.getLogger(__name__)

# Dagster warns so whoever reads messages by its own readers.
warnings.filterwarnings("ignore", message="Function `PipesMessageReader.expected_writer_count`")

_POLL_SECONDS = 2.0
_PATIENCE_SECONDS = 600.0
"""How long a job may take to stop or be refused a start, and AWS not to answer, before we give up."""

_ATTEMPTS = 2
_LOG_LINES = 20

_LAKE = "--retail-lake"
"""The argument by which the runs of one lake know each other."""

_CONTEXT = "--dagster-pipes-context"
"""The argument of Pipes that no two runs share."""

_ACTIVE = ("STARTING", "RUNNING", "STOPPING", "WAITING")
_LONGEST_RUN = timedelta(days=8)
"""More than the seven days after which Glue itself ends any run."""

_BUSY = {"ConcurrentRunsExceededException", "ResourceNumberLimitExceededException"}
_WORTH_RETRYING = re.compile(
    r"internal (service |server )?error|resource setup|throttl|insufficient|unavailable|no capacity",
    re.IGNORECASE,
)
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemory|out of memory|exceeding (physical )?memory limits|exit (code|status):? 137",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class GlueEngine:
    """Runs models and extractions as runs of a Glue job.

    Attributes:
        job: The job's name.
        pipes_bucket: Through which orders and results go.
        lake: The URI of the lake, whose runs nobody else may have under way.
        context: The Dagster step that waits for the job.
        source: Tells the job where it reads the source; None where there is none.
    """

    source_connections: ClassVar[int] = 4  # what a busy database bears

    job: str
    pipes_bucket: str
    lake: str
    context: dg.OpExecutionContext | dg.AssetExecutionContext
    source: Callable[[], JobSource] | None = None

    def run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        """See `engines.protocol.Engine.run`; `source` stays here, the job has its own way there.

        Raises:
            ConfigurationError: Something on AWS is missing.
            SourceError, EngineError: The job says so, or it failed, was stopped or said nothing.
            LakeError: AWS cannot be reached.
        """
        reads = any(output.reads for output in request.outputs)
        order = Order(request, self.source() if self.source and reads else None)
        glue = client("glue")
        self._stop_orphans(glue)
        for attempt in range(1, _ATTEMPTS + 1):
            run, answer = self._attempt(glue, _moved(order, attempt))
            if attempt < _ATTEMPTS and answer.error is None and _is_passing(run):
                log.warning(
                    "Glue job run %s ended as %s (%s); trying once more",
                    run["Id"],
                    run["JobRunState"],
                    run.get("ErrorMessage", ""),
                )
                continue
            return self._results(run, answer, request)
        raise AssertionError("unreachable")

    def _attempt(self, glue: Any, order: Order) -> tuple[dict[str, Any], Answer]:
        """One job run to its end, however it ends, and what it reported."""
        s3 = client("s3")
        with (
            aws_errors(
                f"using the bucket {self.pipes_bucket}",
                "create it, or correct RETAIL_PIPES_BUCKET",
            ),
            dg.open_pipes_session(
                context=self.context,
                extras=as_extras(order, bundle_version()),
                context_injector=PipesS3ContextInjector(bucket=self.pipes_bucket, client=s3),
                message_reader=_SteadyMessageReader(
                    bucket=self.pipes_bucket,
                    client=s3,
                    interval=0,
                    include_stdio_in_messages=True,
                ),
            ) as session,
        ):
            arguments = {**session.get_bootstrap_cli_arguments(), _LAKE: self.lake}
            try:
                run_id = self._start(glue, arguments)
                log.info("Glue job %s, run %s: %s", self.job, run_id, self._console(run_id))
                run = self._wait(glue, run_id)
            except BaseException:  # the step was cancelled, or we cannot follow the job any more
                self._abandon(glue, arguments)
                raise
        return run, from_messages(list(session.get_custom_messages()))

    def _start(self, glue: Any, arguments: Mapping[str, str]) -> str:
        """Starts the job; where the answer was lost on the way, the run is found again."""
        sent_once = client("glue", attempts=1)  # a second try might start a second run
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = sent_once.start_job_run(JobName=self.job, Arguments=arguments)
                return str(answer["JobRunId"])
            except (ClientError, BotoCoreError) as error:
                busy = code_of(error) in _BUSY
                if not (busy or is_passing(error)) or time.monotonic() > until:
                    raise self._told(error) from error
                log.warning("Glue does not start the job yet (%s); waiting", error)
                time.sleep(5 * _POLL_SECONDS)
                if started := self._found(glue, arguments):
                    return started[0]

    def _found(self, glue: Any, arguments: Mapping[str, str]) -> list[str]:
        """The run that was started with these arguments, of all runs, should there be one."""
        try:
            ours = {_CONTEXT: arguments[_CONTEXT]}
            return [run["Id"] for run in self._runs(glue, ours)]
        except (ClientError, BotoCoreError) as error:
            raise self._told(error) from error

    def _abandon(self, glue: Any, arguments: Mapping[str, str]) -> None:
        """Stops what was started with these arguments; if that fails, what led here matters more."""
        try:
            self._stop_active(glue, {_CONTEXT: arguments[_CONTEXT]})
        except (ClientError, BotoCoreError, RetailError) as error:
            log.warning(
                "a run of the Glue job %s may go on (%s): the next build stops it", self.job, error
            )

    def _wait(self, glue: Any, run_id: str) -> dict[str, Any]:
        """Follows a run to its end."""
        answered = time.monotonic()
        while True:
            try:
                run: dict[str, Any] = glue.get_job_run(JobName=self.job, RunId=run_id)["JobRun"]
            except (ClientError, BotoCoreError) as error:
                if not is_passing(error) or time.monotonic() > answered + _PATIENCE_SECONDS:
                    raise self._told(error) from error
                log.warning("Glue does not answer (%s); asking again", error)
            else:
                answered = time.monotonic()
                if run["JobRunState"] not in _ACTIVE:
                    return run
            time.sleep(_POLL_SECONDS)

    def _stop_orphans(self, glue: Any) -> None:
        """Stops what an orchestrator that died has left running on this lake.

        Whoever comes here holds the lake's lock, so no one is waiting for those runs any more.
        """
        try:
            self._stop_active(glue, {_LAKE: self.lake})
        except (ClientError, BotoCoreError) as error:
            raise self._told(error) from error

    def _stop_active(self, glue: Any, arguments: Mapping[str, str]) -> None:
        """Stops the runs under way that were started with these arguments, should there be any."""
        runs = self._runs(glue, arguments)
        if active := [run["Id"] for run in runs if run["JobRunState"] in _ACTIVE]:
            log.warning("stopping Glue job runs that nobody waits for: %s", ", ".join(active))
            self._stop(glue, active)

    def _stop(self, glue: Any, run_ids: Sequence[str]) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        glue.batch_stop_job_run(JobName=self.job, JobRunIds=list(run_ids))
        for run_id in run_ids:
            while True:
                run = glue.get_job_run(JobName=self.job, RunId=run_id)["JobRun"]
                if run["JobRunState"] not in _ACTIVE:
                    break
                if time.monotonic() > until:
                    raise EngineError(
                        f"Glue job run {run_id} does not stop: stop it in the console, "
                        f"{self._console(run_id)}"
                    )
                time.sleep(_POLL_SECONDS)

    def _runs(self, glue: Any, arguments: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """The runs that were started with these arguments and may be under way, the newest first."""
        oldest = datetime.now(UTC) - _LONGEST_RUN
        for page in glue.get_paginator("get_job_runs").paginate(JobName=self.job):
            for run in page["JobRuns"]:
                if run["StartedOn"] < oldest:
                    return  # Glue lists the newest first, and keeps them for months
                if arguments.items() <= run.get("Arguments", {}).items():
                    yield run

    def _results(
        self, run: Mapping[str, Any], answer: Answer, request: RunRequest
    ) -> list[TableResult]:
        """What was asked for, all of it, or why not."""
        state = run["JobRunState"]
        if answer.error is not None:
            raise type(answer.error)(f"{answer.error}\n{self._seen(run)}")
        if state != "SUCCEEDED":
            raise EngineError(f"{self._why(run)}\n{self._seen(run)}")
        results = {result.table: result for result in answer.results}
        names = [output.contract.name for output in request.outputs]
        if lacking := [name for name in names if name not in results]:
            raise EngineError(
                f"the Glue job {self.job} succeeded, but did not report {', '.join(lacking)}: nothing "
                f"is published; run the build again\n{self._seen(run)}"
            )
        origin = self._origin(run)
        return [replace(results[name], origin=origin) for name in names]

    def _why(self, run: Mapping[str, Any]) -> str:
        state, said = run["JobRunState"], run.get("ErrorMessage", "")
        remedies = {
            "TIMEOUT": "give the job a longer timeout or more workers, or build fewer months at once",
            "STOPPED": "somebody stopped it; run the build again",
            "EXPIRED": "it waited too long for workers; run the build again, or raise the quota",
        }
        remedy = remedies.get(state, "mend what its log says, then run the build again")
        if _OUT_OF_MEMORY.search(said):
            remedy = (
                "a worker had too little memory: give the job a larger worker type or more workers, "
                "or build fewer months at once"
            )
        return f"the Glue job {self.job} ended as {state}{f' ({said})' if said else ''}: {remedy}"

    def _seen(self, run: Mapping[str, Any]) -> str:
        """Where the run can be looked at, and the end of its log."""
        lines = self._log_end(run)
        shown = "".join(f"\n  {line}" for line in lines)
        end = f"; the end of its log:{shown}" if lines else "; it has no log that can be read"
        return f"{self._console(run['Id'])}{end}"

    def _log_end(self, run: Mapping[str, Any]) -> list[str]:
        group = run.get("LogGroupName", "/aws-glue/jobs")
        events: list[dict[str, Any]] = []
        for stream in ("output", "error"):
            try:
                events += client("logs").get_log_events(
                    logGroupName=f"{group}/{stream}",
                    logStreamName=run["Id"],
                    limit=_LOG_LINES,
                    startFromHead=False,
                )["events"]
            except (ClientError, BotoCoreError, RetailError):
                continue  # the error that is being told matters more
        events.sort(key=lambda event: int(event["timestamp"]))
        return [line for event in events for line in event["message"].splitlines()][-_LOG_LINES:]

    def _origin(self, run: Mapping[str, Any]) -> dict[str, str]:
        """What the catalog shall know of the run."""
        told = {
            "glue_job": self.job,
            "glue_run": run["Id"],
            "glue_console": self._console(run["Id"]),
            "glue_version": run.get("GlueVersion"),
            "glue_workers": " x ".join(
                str(run[key]) for key in ("NumberOfWorkers", "WorkerType") if run.get(key)
            ),
            "glue_seconds": run.get("ExecutionTime"),
            "bundle_version": bundle_version(),
        }
        return {name: str(value) for name, value in told.items() if value}

    def _console(self, run_id: str) -> str:
        place = region()
        return (
            f"https://{place}.console.aws.amazon.com/gluestudio/home?region={place}"
            f"#/job/{self.job}/run/{run_id}"
        )

    def _told(self, error: Exception) -> RetailError:
        return told(
            error, f"using the Glue job {self.job}", "create it, or correct RETAIL_GLUE_JOB"
        )


class _SteadyMessageReader(PipesS3MessageReader):
    """Reads on after a failure of the network, which would end Dagster's own, and lose results."""

    def download_messages_chunk(self, index: int, params: PipesParams) -> str | None:
        try:
            return super().download_messages_chunk(index, params)
        except BotoCoreError as error:
            log.warning("messages of the job cannot be read (%s); trying again", error)
            time.sleep(_POLL_SECONDS)
            return None


def _moved(order: Order, attempt: int) -> Order:
    """The order with folders of its own, because those of the attempt before may not be empty."""
    if attempt == 1:
        return order
    outputs = tuple(
        replace(output, location=f"{output.location}/attempt-{attempt}")
        for output in order.request.outputs
    )
    return replace(order, request=replace(order.request, outputs=outputs))


def _is_passing(run: Mapping[str, Any]) -> bool:
    """Whether a run failed for a reason that may be gone the next time."""
    if run["JobRunState"] == "ERROR":
        return True
    return run["JobRunState"] == "FAILED" and bool(
        _WORTH_RETRYING.search(run.get("ErrorMessage", ""))
    )


def job_source(secret: str, address: Address) -> JobSource:
    """How the job reaches the source at `address`, whose login is in a secret.

    Args:
        secret: Its name or ARN.
        address: The source; its login stays here.
    """
    dialect = address.dialect
    tls = address.option("ssl-mode" if dialect.name == "mysql" else "sslmode")
    product = dialect.product.lower()
    return JobSource(
        secret, product, address.host, address.port, address.database, dialect.session, tls or ""
    )
