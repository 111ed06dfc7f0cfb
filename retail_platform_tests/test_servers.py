"""The test servers leave nothing running, even when the test run is killed."""

import os
import subprocess
import sys
import tempfile

import psutil  # type: ignore[import-untyped]
import pytest

from retail_platform_tests.servers import mariadbd_path

RUN = """
import sys
from retail_platform_tests.servers import mariadb_server, postgres_server

with {server}() as server:
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("server", ["mariadb_server", "postgres_server"])
def test_a_killed_test_run_leaves_no_server(server: str) -> None:
    if server == "mariadb_server" and mariadbd_path() is None:
        pytest.skip("mariadbd is not installed; install the system's mariadb-server")
    with tempfile.TemporaryDirectory() as folder:  # takes what a killed run cannot delete
        with subprocess.Popen(
            [sys.executable, "-c", RUN.format(server=server)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": folder},
        ) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
            started = psutil.Process(run.pid).children(recursive=True)
            assert started
            run.kill()
        _, alive = psutil.wait_procs(started, timeout=30)
        assert alive == []
