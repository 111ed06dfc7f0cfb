"""What Lambda runs: small, the same bytes each time, and all that it needs."""

import json
import platform
import subprocess
import zipfile
from pathlib import Path

import pytest

from retail_platform.embedded.postgres import EmbeddedPostgres
from retail_platform.errors import ConfigurationError
from retail_platform.streaming.bundle import (
    MOST_BYTES,
    PROCESSORS,
    LambdaBundle,
    python_of_lambda,
    write_bundle,
)
from retail_platform_tests.lambda_inference.events import browse, firehose_request, told
from retail_platform_tests.lambda_inference.stores import served
from retail_platform_tests.recommender.editions import shop
from retail_platform_tests.streaming.python313 import path_with_python


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lambda")


@pytest.fixture(scope="module")
def bundles(folder: Path) -> dict[str, LambdaBundle]:
    with pytest.MonkeyPatch.context() as patch:
        if path := path_with_python():
            patch.setenv("PATH", path)
        try:
            return {name: write_bundle(folder, name) for name in PROCESSORS}
        except ConfigurationError as error:
            pytest.skip(f"no package index can be reached: {error}")


@pytest.mark.parametrize("architecture", PROCESSORS)
def test_it_is_small_and_holds_what_is_needed(
    bundles: dict[str, LambdaBundle], architecture: str
) -> None:
    made = bundles[architecture]
    assert made.path.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(made.path) as archive:
        names = archive.namelist()
        machine = {name for name in names if name.endswith(".so") and "cpython" in name}
    assert {
        "lambda_inference/firehose.py",
        "lambda_inference/kinesis.py",
        "lambda_inference/http.py",
        "lambda_inference/schemas/browse_event.v1.json",
    } <= set(names)
    assert {name.partition("/")[0] for name in machine} >= {"msgspec", "numpy", "psycopg_binary"}
    assert all(PROCESSORS[architecture] in name for name in machine)
    assert not [name for name in names if name.startswith(("boto", "retail_platform"))]


def test_it_is_the_same_each_time(bundles: dict[str, LambdaBundle], folder: Path) -> None:
    before = bundles["x86_64"].path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        if path := path_with_python():
            patch.setenv("PATH", path)
        patch.setenv("PIP_NO_INDEX", "1")  # the wheels are there
        again = write_bundle(folder, "x86_64")
    assert again.compiled == bundles["x86_64"].compiled
    assert again.path.read_bytes() == before


def test_without_lambdas_python_it_is_not_compiled(
    bundles: dict[str, LambdaBundle], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = folder / "wheels" / "arm64"
    elsewhere = folder / "elsewhere"
    (elsewhere / "wheels").mkdir(parents=True)
    (elsewhere / "wheels" / "arm64").symlink_to(wheels)
    monkeypatch.setenv("PATH", str(folder))
    made = write_bundle(elsewhere, "arm64")
    assert not made.compiled
    with zipfile.ZipFile(made.path) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".pyc")]


def test_a_stand_in_for_its_python_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert python_of_lambda() is None


def test_wheels_that_cannot_be_had_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"aws-lambda-powertools .+ cannot be fetched"):
        write_bundle(tmp_path, "arm64")


HERE = next(name for name, machine in PROCESSORS.items() if machine == platform.machine())

_ON_LAMBDA = """
import json, sys
sys.path.insert(0, sys.argv[1])
import lambda_inference.http, lambda_inference.kinesis
from lambda_inference.firehose import handler
assert lambda_inference.http.__cached__.endswith(".cpython-313.pyc")
print(json.dumps(handler(json.load(sys.stdin), None)))
"""


def test_it_answers_on_lambdas_python(
    bundles: dict[str, LambdaBundle], postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """From the zip of this processor, with nothing else installed, from the real vector store."""
    path = path_with_python()
    if path is None:
        pytest.skip("there is no Python 3.13 here, on which Lambda runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        python = python_of_lambda()
    if python is None:
        pytest.skip("there is no Python 3.13 here, on which Lambda runs")
    with zipfile.ZipFile(bundles[HERE].path) as archive:
        archive.extractall(tmp_path)
    with served(postgres.ensure_database("inference_bundle"), shop()[1]) as live:
        done = subprocess.run(
            [python, "-I", "-c", _ON_LAMBDA, str(tmp_path)],
            input=json.dumps(firehose_request([browse("A01", customer_number=10), b"{"])),
            env={"INFERENCE_VECTORS_URL": live.store.address.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout.splitlines()[-1])
    assert [record["result"] for record in response["records"]] == ["Ok", "ProcessingFailed"]
    ((line,),) = told(response)
    assert (line["strategy"], len(line["recommended_items"])) == ("known+session", 10)
