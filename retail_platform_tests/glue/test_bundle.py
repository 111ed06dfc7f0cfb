"""What Glue runs: the same bytes each time, nothing that Glue lacks, nothing to ask an index for."""

import base64
import csv
import hashlib
import io
import subprocess
import zipfile
from pathlib import Path

import pytest

from retail_platform.errors import ConfigurationError
from retail_platform.glue import bundle
from retail_platform.glue.bundle import SCRIPT, bundle_version, fetch_scipy, write_bundle
from retail_platform_tests.glue.stand_in import PYTHON, ROOT, StandIn, installed

GLUE_HAS = Path(__file__).with_name("requirements.in")


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_is_the_same_each_time(tmp_path: Path) -> None:
    one, other = write_bundle(tmp_path / "one"), write_bundle(tmp_path / "other")
    assert one.wheel.name == other.wheel.name
    assert one.wheel.read_bytes() == other.wheel.read_bytes()
    assert one.script.read_bytes() == other.script.read_bytes()


def test_it_holds_the_job_the_models_and_pipes_and_no_more(tmp_path: Path) -> None:
    names = set(contents(write_bundle(tmp_path).wheel))
    assert {
        "dagster_pipes/__init__.py",
        "retail_platform/__init__.py",
        "retail_platform/engines/spark.py",
        "retail_platform/glue/job.py",
        "retail_platform/sql/star/fact_orders.sql",
    } <= names
    assert not [name for name in names if "runner" in name or "lake" in name or "duckdb" in name]


def test_its_record_is_right(tmp_path: Path) -> None:
    made = write_bundle(tmp_path)
    files = contents(made.wheel)
    (record,) = (name for name in files if name.endswith("/RECORD"))
    listed = list(csv.reader(io.StringIO(files[record].decode())))
    assert {name for name, *_ in listed} == set(files)
    for name, digest, size in listed:
        if name != record:
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=")
            assert (digest, int(size)) == (f"sha256={sha256.decode()}", len(files[name]))


def test_scipy_is_fetched_once_with_the_locked_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "wheels" / "scipy-1.0.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    old.parent.mkdir()
    old.touch()
    try:
        wheel = fetch_scipy(tmp_path)
    except ConfigurationError as error:
        pytest.skip(f"no package index can be reached: {error}")
    assert [path.name for path in old.parent.iterdir()] == [wheel.name]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"sha256:{digest}" in lock
    assert f"scipy=={wheel.name.split('-')[1]}\n" in GLUE_HAS.read_text(encoding="utf-8")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch_scipy(tmp_path) == wheel


def test_a_scipy_that_cannot_be_fetched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"scipy .+ cannot be fetched: .+ put its wheel"):
        fetch_scipy(tmp_path)


def test_an_older_wheel_makes_room(tmp_path: Path) -> None:
    old = tmp_path / "retail_platform_glue-0.0.1-py3-none-any.whl"
    old.touch()
    made = write_bundle(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {made.wheel.name, SCRIPT}


def test_what_glue_lacks_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle, "PROVIDED", bundle.PROVIDED - {"numpy", "pyarrow"})
    with pytest.raises(
        ConfigurationError, match="imports numpy, pyarrow, which Glue does not have"
    ):
        bundle._code()


def test_the_version_is_that_of_the_code_and_not_of_the_models(tmp_path: Path) -> None:
    made = write_bundle(tmp_path)
    assert made.version == bundle_version()
    assert f"-{made.version}-" in made.wheel.name
    assert not [place for place in bundle._code() if "/sql/" in place]
    assert [place for place in bundle._sql() if place.endswith("fact_orders.sql")]


def test_it_imports_where_there_is_nothing_but_glues_libraries(glue_cluster: StandIn) -> None:
    """Installed by pip without an index, on Python 3.11 with what Glue 5.1 documents."""
    site = installed(glue_cluster.bundle, glue_cluster.folder)
    script = (
        "import importlib.metadata as m, numpy, pandas, pyarrow, pyspark, sys\n"
        "import retail_platform.glue.job, retail_platform.engines.spark as spark\n"
        "print(sys.version_info[:2], pyspark.__version__, numpy.__version__, pandas.__version__,"
        " pyarrow.__version__, m.version('retail-platform-glue'), spark.__file__)\n"
        "assert not {'dagster', 'pydantic', 'sqlglot', 'yaml'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [str(PYTHON), "-c", script],
        env={"PYTHONPATH": str(site)},
        cwd=glue_cluster.folder,
        check=True,
        capture_output=True,
        text=True,
    )
    version = glue_cluster.bundle.version
    assert done.stdout.strip() == (
        f"(3, 11) 3.5.6 2.3.4 2.3.3 22.0.0 {version} {site}/retail_platform/engines/spark.py"
    )
