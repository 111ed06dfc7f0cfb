"""What Glue runs, as files to upload: `python -m retail_platform.glue.bundle FOLDER`.

The bundle is a pure-Python wheel and the job's script, the same bytes each time they are made from
the same sources, and beside them the wheel of SciPy, which trains and which Glue lacks. Our wheel
holds the job, whatever it imports of ours, `sql/`, and dagster-pipes: all else is on Glue already, so
that installing it asks no package index, which a job in a private network could not reach.
"""

import ast
import base64
import hashlib
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path

import dagster_pipes

import retail_platform
from retail_platform.contracts.loader import sql_folder
from retail_platform.errors import ConfigurationError
from retail_platform.glue.order import DISTRIBUTION
from retail_platform.wheels import Machine, fetch, write_archive

PROVIDED = frozenset({"boto3", "botocore", "numpy", "py4j", "pyarrow", "pyspark"})
"""What Glue 5.1 has of what we need; see "Python modules already provided in AWS Glue" there."""

BROUGHT = "scipy"
"""What Glue lacks and is no pure Python: its own wheel is uploaded beside ours."""

SCRIPT = "retail_glue_job.py"

_JOB = "retail_platform.glue.job"
_ROOT = Path(retail_platform.__file__).parents[1]
_OURS = ("retail_platform", "lambda_inference")
_PIPES = dagster_pipes.__name__
_SCRIPT_TEXT = f"""# The Glue job of Retail Platform. The work is in the wheel beside it.
from {_JOB} import main

main()
"""


@dataclass(frozen=True)
class Bundle:
    """The files of a bundle.

    Attributes:
        version: What an order has to ask for.
        wheel: For the job's `--additional-python-modules`.
        script: For the job's ScriptLocation.
    """

    version: str
    wheel: Path
    script: Path


@cache
def bundle_version() -> str:
    """The version of the platform, and of the code that Glue would run of it.

    The text of `sql/` is no part of it: models travel in the order, and a change of one needs no
    new bundle. It is a number, because the text that Python allows after a version begins with a
    plus sign, which not everything that handles keys of S3 leaves as it is.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_code().items()):
        digest.update(f"{name}\n".encode() + path.read_bytes())
    return f"{installed_version('retail-platform')}.post{int(digest.hexdigest()[:12], 16)}"


def write_bundle(folder: Path) -> Bundle:
    """Writes the wheel and the script into `folder`, and removes other wheels of ours there.

    Raises:
        ConfigurationError: The job imports what Glue does not have.
    """
    version = bundle_version()
    name = DISTRIBUTION.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}-*.whl"):
        old.unlink()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    _write_wheel(wheel, f"{name}-{version}.dist-info", version)
    script = folder / SCRIPT
    script.write_text(_SCRIPT_TEXT, encoding="utf-8")
    return Bundle(version, wheel, script)


def _write_wheel(wheel: Path, info: str, version: str) -> None:
    contents = {name: path.read_bytes() for name, path in (_code() | _sql()).items()}
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\nRequires-Python: >=3.11\n"
    ).encode()
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: retail_platform\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(
        f"{name},sha256={_urlsafe_digest(data)},{len(data)}\n"
        for name, data in sorted(contents.items())
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    # Stored and not compressed, because the bytes would depend on the version of zlib.
    write_archive(wheel, contents, zipfile.ZIP_STORED)


def _urlsafe_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _sql() -> dict[str, Path]:
    """`sql/`, so that who looks into a bundle finds the models of its day."""
    folder = sql_folder()
    files = (path for path in folder.rglob("*") if path.is_file())
    return {f"retail_platform/sql/{path.relative_to(folder).as_posix()}": path for path in files}


def _code() -> dict[str, Path]:
    """The modules that the job needs and Glue lacks, by their place in the wheel.

    Raises:
        ConfigurationError: The job imports what is neither ours nor to be had on Glue.
    """
    ours, foreign = reached(_JOB)
    if lacking := sorted(foreign - PROVIDED - {_PIPES, BROUGHT} - sys.stdlib_module_names):
        raise ConfigurationError(
            f"the Glue job imports {', '.join(lacking)}, which Glue does not have: let it do without"
        )
    pipes = Path(dagster_pipes.__file__).parent
    files = [*ours, *sorted(pipes.glob("*.py"))]
    return {
        path.relative_to(pipes.parent if path.parent == pipes else _ROOT).as_posix(): path
        for path in files
    }


def reached(module: str) -> tuple[list[Path], set[str]]:
    """What a module of ours imports, directly or through others of ours.

    Returns:
        The files of ours, packages included, and the other top-level modules.
    """
    files: list[Path] = []
    others: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        top, _, rest = name.partition(".")
        if top not in _OURS:
            others.add(top)
        elif (path := source_of(name)) and path not in files:
            files.append(path)
            waiting += imports(path)
            waiting += [name.rpartition(".")[0]] if rest else []
    return sorted(files), others


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; names in a package count too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def source_of(module: str) -> Path | None:
    """The file of a module of ours; None for a name that is no module, but something in one."""
    path = _ROOT / Path(*module.split("."))
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


def fetch_scipy(folder: Path) -> Path:
    """Fetches SciPy's wheel for Glue 5.1, of the version that is locked, unless it is there.

    Raises:
        ConfigurationError: It cannot be had; the message says why.
    """
    (wheel,) = fetch([BROUGHT], Machine("3.11", "x86_64"), folder / "wheels")
    return wheel


if __name__ == "__main__":
    target = Path(sys.argv[1])
    made = write_bundle(target)
    print(f"{made.wheel}\n{fetch_scipy(target)}\n{made.script}")  # noqa: T201  (a script of `make`)
