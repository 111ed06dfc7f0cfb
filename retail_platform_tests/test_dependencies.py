"""The direction of dependencies, which is the architecture."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "retail_platform"
WITHOUT_DAGSTER = ("contracts", "engines", "lake", "sources", "serving", "embedded")


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (
                name for a in node.names if source_of(name := f"{node.module}.{a.name}").exists()
            )


def source_of(module: str) -> Path:
    """Where a module of ours stands; no such file for what is no module, or not ours."""
    path = ROOT / Path(*module.split("."))
    return path if path.is_dir() else path.with_suffix(".py")


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


def reached(path: Path) -> set[str]:
    """Every module that a file imports, directly or through modules of ours."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for name in set(imports(waiting.pop())) - found:
            found.add(name)
            waiting += [file] if (file := source_of(name)).is_file() else []
    return found


def test_spark_needs_nothing_that_a_cluster_lacks() -> None:
    """Glue brings Spark, Arrow and NumPy; no parser of SQL or YAML, and no pydantic."""
    modules = reached(PACKAGE / "engines" / "spark.py")
    assert "retail_platform.engines.audit" in modules
    needed = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    assert needed == {"retail_platform", "pyspark", "py4j", "pyarrow", "numpy"}


def test_only_the_runner_of_glue_knows_dagster() -> None:
    paths = [path for path in modules(PACKAGE / "glue") if path.name != "runner.py"]
    assert len(paths) > 3
    assert offenders(paths, "dagster", "dagster_aws", "retail_platform.assets") == []


def test_lambda_inference_stands_alone() -> None:
    paths = modules(ROOT / "lambda_inference")
    assert paths
    assert offenders(paths, "retail_platform", "dagster") == []


def test_only_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(PACKAGE))
        for path in modules(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    # The command line hands DAGSTER_HOME on to Dagster's own process, and the embedded server gets
    # the environment that it runs in.
    assert readers <= {"settings.py", "cli.py", "embedded/postgres.py"}


def test_nothing_touches_the_network_at_import(tmp_path: Path) -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in modules(PACKAGE)
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
    assert list(imports(bad)) == ["dagster"]


def test_the_guard_sees_a_module_that_its_package_is_asked_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("from retail_platform.contracts import loader, LAYERS\n", encoding="utf-8")
    assert list(imports(bad)) == ["retail_platform.contracts", "retail_platform.contracts.loader"]
    assert "yaml" in reached(bad)
