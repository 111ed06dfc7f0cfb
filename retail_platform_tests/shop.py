"""A shop as its user has it: a home, a source, and the `retail` command as a process of its own."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

RETAIL = Path(sys.executable).with_name("retail")


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
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=300)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

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
