"""The cluster of the stand-in for Glue: runs job scripts, one after the other, on one Spark.

It is started with the Python of Glue's versions and sees nothing of the project but the bundle.
What it is asked comes as a line of JSON, {"argv", "log", "fault"}, and it answers with one.
"""

import json
import os
import runpy
import sys
import traceback
from typing import Any

from dagster_pipes import (
    PipesContext,
    PipesDefaultLogWriter,
    PipesS3MessageWriterChannel,
    PipesStdioLogWriterChannel,
)
from pyspark.sql import SparkSession

_REPORT = PipesContext.report_custom_message
_UPLOAD = PipesS3MessageWriterChannel.upload_messages_chunk


def inject(fault: str) -> None:
    """Breaks the next job run in one way, and mends what the last one broke."""
    reported: list[Any] = []

    def half_way(pipes: PipesContext, payload: Any) -> None:
        if len(reported) == 2:
            raise RuntimeError("the cluster broke after two tables")
        reported.append(payload)
        _REPORT(pipes, payload)

    def one_less(pipes: PipesContext, payload: Any) -> None:
        reported.append(payload)
        if len(reported) != 2:
            _REPORT(pipes, payload)

    def one_chunk_less(channel: PipesS3MessageWriterChannel, payload: Any, index: int) -> None:
        if index != 1:
            _UPLOAD(channel, payload, index)

    reports = {"half_way": half_way, "lost_message": one_less}
    setattr(PipesContext, "report_custom_message", reports.get(fault, _REPORT))  # noqa: B010
    upload = one_chunk_less if fault == "lost_chunk" else _UPLOAD
    setattr(PipesS3MessageWriterChannel, "upload_messages_chunk", upload)  # noqa: B010


def run(order: dict[str, Any]) -> str | None:
    """Runs a script as Glue does; gives its error, if any."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = order["argv"]
    PipesContext._instance = None  # of the run before
    inject(order["fault"])
    try:
        runpy.run_path(order["argv"][0], run_name="__main__")
    except BaseException as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return None


def main() -> None:
    # What Pipes waits for the last words of a script: seconds that a test has better use for.
    PipesStdioLogWriterChannel.WAIT_FOR_TEE_SECONDS = 0.1
    PipesDefaultLogWriter.__init__.__defaults__ = (0.1,)
    answers = os.fdopen(os.dup(1), "w")
    builder = SparkSession.builder
    for name, value in json.loads(sys.argv[1]).items():
        builder = builder.config(name, value)
    builder.getOrCreate()
    for line in sys.stdin:
        answers.write(json.dumps({"error": run(json.loads(line))}) + "\n")
        answers.flush()


main()
