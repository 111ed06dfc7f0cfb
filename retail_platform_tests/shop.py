"""A shop as its user has it: a home, a source, and the `retail` command as a process of its own."""

import atexit
import csv
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

RETAIL = Path(sys.executable).with_name("retail")

_PATIENCE_SECONDS = 300

_WARM = multiprocessing.get_context("forkserver")
"""Forks processes that have imported what `retail` needs: nine tenths of a short command are imports."""

_WARM.set_forkserver_preload(
    [
        "retail_platform.__main__",
        "retail_platform.cli",
        "retail_platform.runs",
        "retail_platform.embedded.postgres",
        "retail_platform.recommender.model",
        "typer.rich_utils",
        "rich.console",
        "scipy.sparse",
        "pgvector.psycopg",
        "connectorx",
        "boto3",
    ]
)


def _retail(arguments: Sequence[str], environment: Mapping[str, str], out: Path, err: Path) -> None:
    """What the script `retail` does, with another environment and its output in files."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    for stream, file in ((sys.stdout, out), (sys.stderr, err)):
        with file.open("wb") as opened:
            os.dup2(opened.fileno(), stream.fileno())
    sys.argv = [str(RETAIL), *arguments]
    from retail_platform.__main__ import main

    try:
        main()
    finally:
        # A process that was forked by multiprocessing leaves these out.
        atexit._run_exitfuncs()


@dataclass(frozen=True)
class Shop:
    """One RETAIL_HOME.

    Attributes:
        home: Its folder.
        source_url: The OLTP database; None for the embedded one.
        settings: Further settings, by the name of their variable.
    """

    home: Path
    source_url: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What the command sees."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RETAIL_")}
        kept |= {"RETAIL_HOME": str(self.home), "COLUMNS": "200", **self.settings}
        if self.source_url:
            kept["RETAIL_SOURCE_URL"] = self.source_url
        return kept

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts `retail` and does not wait for it."""
        return subprocess.Popen(
            [str(RETAIL), *arguments],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs `retail` to its end."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            process = _WARM.Process(target=_retail, args=(arguments, self.environment, out, err))
            process.start()
            try:
                process.join(_PATIENCE_SECONDS)
                assert process.exitcode is not None, f"retail {arguments} takes too long"
            finally:
                if process.exitcode is None and process.pid is not None:
                    os.killpg(process.pid, signal.SIGKILL)
            told = out.read_text(), err.read_text()
        return subprocess.CompletedProcess(arguments, process.exitcode, *told)

    def done(self, *arguments: str) -> str:
        """Runs `retail`, which has to succeed, and gives its stdout."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def rows(self, sql: str, *options: str) -> list[dict[str, Any]]:
        """The answer to a query, exact decimals included."""
        answer = self.done("query", sql, "--format", "json", *options)
        return list(json.loads(answer, parse_float=Decimal))

    def records(self, *arguments: str) -> list[dict[str, str]]:
        """The rows that a command prints as csv."""
        return list(csv.DictReader(io.StringIO(self.done(*arguments, "--format", "csv"))))
