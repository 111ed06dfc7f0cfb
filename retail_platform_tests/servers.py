"""Real database servers for tests: on the loopback, on free ports, in temporary folders.

They are gone after the tests, whether these pass, fail or are killed.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pymysql

from retail_platform.embedded.postgres import (
    EmbeddedPostgres,
    data_directory,
    embedded_postgres,
    is_initialised,
)

_PATIENCE_SECONDS = 60.0
_SYSTEM_PATH = f"{os.defpath}:/usr/sbin:/usr/local/sbin"  # Debian keeps mariadbd in /usr/sbin


def mariadbd_path() -> str | None:
    """Returns the MariaDB server program, or None where it is not installed."""
    return shutil.which("mariadbd") or shutil.which("mariadbd", path=_SYSTEM_PATH)


@dataclass(frozen=True)
class MariaDB:
    """A running MariaDB or MySQL whose user may do everything over TCP."""

    port: int
    user: str = "retail"
    password: str = "pw"

    @classmethod
    def at(cls, url: str) -> "MariaDB":
        """The server of `mysql://user:password@127.0.0.1:port`."""
        parts = urlsplit(url)
        return cls(parts.port or 3306, parts.username or "root", parts.password or "")

    def url(self, database: str = "") -> str:
        return f"mysql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Creates an empty utf8mb4 database and returns its URL."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=self.password
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return self.url(name)


@contextmanager
def mariadb_server(*options: str) -> Iterator[MariaDB]:
    """Runs a MariaDB of its own.

    Args:
        *options: More of its command line's.

    Raises:
        RuntimeError: It is not installed, or does not start; the message ends with its log.
    """
    program = mariadbd_path()
    if program is None:
        raise RuntimeError("mariadbd is not installed; install the system's mariadb-server.")
    # Not below pytest's folder: the socket's path may not exceed 107 bytes.
    with tempfile.TemporaryDirectory(prefix="mariadb-") as folder:
        root = Path(folder)
        # Its own: a MariaDB that starts deletes temporary tables of whoever shares the folder.
        temporary = root / "tmp"
        temporary.mkdir()
        common = ["--no-defaults", f"--datadir={root / 'data'}", f"--tmpdir={temporary}"]
        if os.geteuid() == 0:
            common.append("--user=root")
        subprocess.run(
            [
                shutil.which("mariadb-install-db") or "/usr/bin/mariadb-install-db",
                *common,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
        )
        port = free_port()
        log = root / "server.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    program,
                    *common,
                    f"--socket={root / 'socket'}",
                    f"--port={port}",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--local-infile=1",
                    "--character-set-server=utf8mb4",
                    "--innodb-flush-log-at-trx-commit=0",  # nobody needs the data after a crash
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        try:
            mariadb = MariaDB(port)
            _create_user(mariadb, root / "socket", server, log)
            yield mariadb
        finally:
            server.terminate()
            try:
                server.wait(_PATIENCE_SECONDS)
            finally:
                server.kill()
                server.wait()


def _create_user(
    mariadb: MariaDB, mysql_socket: Path, server: subprocess.Popen[bytes], log: Path
) -> None:
    """Waits until the server answers on its socket, then creates the user that tests use."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            connection = pymysql.connect(unix_socket=str(mysql_socket), user="root")
            break
        except pymysql.err.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER '{mariadb.user}'@'%' IDENTIFIED BY '{mariadb.password}'")
        cursor.execute(f"GRANT ALL ON *.* TO '{mariadb.user}'@'%' WITH GRANT OPTION")


@contextmanager
def postgres_home() -> Iterator[Path]:
    """Yields a new RETAIL_HOME; at exit its PostgreSQL is stopped and both folders are gone.

    A process that outlives us does this, as soon as our end of its pipe closes: also after a kill.
    """
    folder = Path(tempfile.mkdtemp(prefix="retail-home-"))
    undertaker = subprocess.Popen(
        [sys.executable, "-m", __name__, folder], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield folder
    finally:
        undertaker.communicate()
        if undertaker.returncode != 0:
            raise RuntimeError(f"The PostgreSQL of {folder} was not stopped.")


@contextmanager
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """Runs a PostgreSQL with pgvector of its own."""
    with postgres_home() as home, embedded_postgres(home) as postgres:
        yield postgres


def _bury(home: Path) -> None:
    """Joins the home's server as its last user, which stops it, and deletes what it left."""
    try:
        if is_initialised(home):
            with embedded_postgres(home):
                pass
    finally:
        data = data_directory(home)
        for folder in (*data.parent.glob(f"{data.name}*"), home):
            shutil.rmtree(folder, ignore_errors=True)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


if __name__ == "__main__":
    sys.stdin.read()
    _bury(Path(sys.argv[1]))
