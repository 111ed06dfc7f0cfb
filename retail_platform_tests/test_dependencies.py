"""The direction of dependencies, which is the architecture."""

import ast
import subprocess
import sys
from pathlib import Path

from retail_platform.glue.bundle import imports, reached

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "retail_platform"
LAMBDA = ROOT / "lambda_inference"
WITHOUT_DAGSTER = (
    "contracts",
    "engines",
    "lake",
    "sources",
    "serving",
    "embedded",
    "recommender",
    "streaming",
    "web",
)


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def offenders(paths: list[Path], *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in imports(path)
        if any(name == f or name.startswith(f"{f}.") for f in forbidden)
    ]


def test_the_core_knows_no_dagster() -> None:
    core = [path for folder in WITHOUT_DAGSTER for path in modules(PACKAGE / folder)]
    core += [
        PACKAGE / name for name in ("build.py", "extraction.py", "reconciliation.py", "platform.py")
    ]
    assert len(core) > 30
    assert offenders(core, "dagster", "dagster_aws", "retail_platform.assets") == []


def test_engines_know_no_catalog_and_no_source() -> None:
    engines = modules(PACKAGE / "engines")
    assert engines
    forbidden = ("retail_platform.lake", "retail_platform.assets", "retail_platform.sources")
    assert offenders(engines, *forbidden, "pyiceberg") == []


def test_spark_needs_nothing_that_a_cluster_lacks() -> None:
    """Glue brings Spark, Arrow and NumPy, the bundle SciPy; no parser of SQL or YAML, no pydantic."""
    ours, others = reached("retail_platform.engines.spark")
    assert PACKAGE / "engines" / "audit.py" in ours
    assert others - sys.stdlib_module_names == {"pyspark", "py4j", "pyarrow", "numpy", "scipy"}


def test_the_recommender_takes_arrays() -> None:
    paths = modules(PACKAGE / "recommender")
    assert len(paths) > 5
    others = ("lake", "engines", "serving", "settings", "platform", "build", "publication")
    assert offenders(paths, *(f"retail_platform.{name}" for name in others), "pandas") == []
    assert {line.split(" imports ")[1] for line in offenders(paths, "retail_platform.sources")} <= {
        "retail_platform.sources.address",
        "retail_platform.sources.address.Address",
    }


def test_only_the_runner_of_glue_knows_dagster() -> None:
    paths = [path for path in modules(PACKAGE / "glue") if path.name != "runner.py"]
    assert len(paths) > 3
    assert offenders(paths, "dagster", "dagster_aws", "retail_platform.assets") == []


def test_lambda_inference_stands_alone() -> None:
    paths = modules(LAMBDA)
    assert len(paths) > 10
    assert offenders(paths, "retail_platform", "dagster") == []


def test_its_core_knows_no_aws() -> None:
    """What decodes, answers and encodes, and what asks the store."""
    at_the_edge = {"firehose", "kinesis", "http", "login", "telemetry", "live", "settings"}
    core = [path for path in modules(LAMBDA) if path.stem not in at_the_edge]
    assert len(core) > 6
    assert offenders(core, "boto3", "botocore", "aws_lambda_powertools") == []
    assert offenders(core, *(f"lambda_inference.{name}" for name in at_the_edge)) == []


def test_only_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in (*modules(PACKAGE), *modules(LAMBDA))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    # The command line hands DAGSTER_HOME on to Dagster's own process.
    assert readers == {
        "retail_platform/settings.py",
        "retail_platform/cli.py",
        "lambda_inference/settings.py",
    }


def test_nothing_touches_the_network_at_import(tmp_path: Path) -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (*modules(PACKAGE), *modules(LAMBDA))
        if path.name != "__init__.py"
    ]
    script = (
        "import importlib, socket\n"
        "def refuse(*a, **k): raise RuntimeError('the network was touched')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"RETAIL_HOME": str(tmp_path), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [], "nothing is written at import either"


def test_the_guard_sees_an_import(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from dagster import asset\n", encoding="utf-8")
    assert list(imports(bad)) == ["dagster", "dagster.asset"]


def test_the_guard_sees_a_module_that_its_package_is_asked_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("from retail_platform.contracts import loader\n", encoding="utf-8")
    assert list(imports(bad)) == ["retail_platform.contracts", "retail_platform.contracts.loader"]
    assert "yaml" in reached("retail_platform.contracts.loader")[1]
