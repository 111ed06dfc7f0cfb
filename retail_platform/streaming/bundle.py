"""What AWS Lambda runs, as zips to upload: `python -m retail_platform.streaming.bundle FOLDER`.

A zip for each processor holds `lambda_inference` and the wheels that it needs, for Python 3.13 on
Amazon Linux 2023. Lambda cannot keep what Python compiles, so that every cold start would compile
again: where there is a Python 3.13 here, what it compiles goes with the sources, valid whatever
their time. The same sources, wheels, Python and zlib give the same bytes.
"""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import lambda_inference
from retail_platform.wheels import Machine, fetch, write_archive

PYTHON = "3.13"
"""Lambda's runtime."""

PROCESSORS = {"x86_64": "x86_64", "arm64": "aarch64"}
"""As Lambda calls them, and as wheels do."""

MOST_BYTES = 50_000_000
"""Of a zip that is uploaded directly; Lambda says 50 MB."""

DISTRIBUTIONS = (
    "aws-lambda-powertools",
    "jmespath",
    "msgspec",
    "numpy",
    "psycopg",
    "psycopg-binary",
    "typing-extensions",
)
"""What the Lambda imports, with what these import; boto3 is in the runtime."""

_PACKAGE = Path(lambda_inference.__file__).parent
_USELESS = (".pyi", ".pyx", ".pxd", ".h", ".c", ".a", ".f90", ".typed")
_USELESS_FOLDERS = frozenset({"tests", "testing", "include", "bin", "f2py", "doc"})


@dataclass(frozen=True)
class LambdaBundle:
    """A zip.

    Attributes:
        path: Its place.
        compiled: Whether it holds what Python compiled.
    """

    path: Path
    compiled: bool


def write_bundle(folder: Path, architecture: str) -> LambdaBundle:
    """Writes the zip for an architecture.

    Args:
        folder: Where; wheels are kept below it.
        architecture: One of `PROCESSORS`.

    Raises:
        ConfigurationError: A wheel cannot be had.
    """
    machine = Machine(PYTHON, PROCESSORS[architecture])
    wheels = fetch(DISTRIBUTIONS, machine, folder / "wheels" / architecture)
    contents = _ours()
    for wheel in wheels:
        contents |= dict(_of_wheel(wheel))
    python = python_of_lambda()
    if python is not None:
        contents |= _compiled(contents, python)
    path = folder / f"lambda-inference-{architecture}.zip"
    write_archive(path, contents, zipfile.ZIP_DEFLATED)
    return LambdaBundle(path, python is not None)


def python_of_lambda() -> str | None:
    """A Python here of the version that Lambda runs; None where there is none."""
    program = shutil.which(f"python{PYTHON}")
    if program is None:
        return None
    # What is found may be a stand-in that knows no such version.
    asked = subprocess.run(
        [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
    )
    return program if asked.stdout.strip() == PYTHON else None


def _ours() -> dict[str, bytes]:
    paths = [*_PACKAGE.rglob("*.py"), *_PACKAGE.rglob("*.json")]
    return {path.relative_to(_PACKAGE.parent).as_posix(): path.read_bytes() for path in paths}


def _of_wheel(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """What of a wheel is needed to run."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            *folders, file = name.split("/")
            of_metadata = bool(folders) and folders[0].endswith(".dist-info")
            if of_metadata and file != "METADATA":
                continue
            if file.endswith(_USELESS) or _USELESS_FOLDERS & set(folders) or not file:
                continue
            yield name, archive.read(name)


def _compiled(contents: Mapping[str, bytes], python: str) -> dict[str, bytes]:
    """What a Python compiles of sources, by its place beside them."""
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name, data in contents.items():
            if name.endswith(".py"):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        subprocess.run(
            [
                *(python, "-I", "-m", "compileall", "-q", "-j", "1"),
                *("--invalidation-mode", "unchecked-hash", "-s", str(root), str(root)),
            ],
            check=True,
            capture_output=True,
        )
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.pyc")}


if __name__ == "__main__":
    for name in PROCESSORS:
        made = write_bundle(Path(sys.argv[1]), name)
        size = made.path.stat().st_size / 1e6
        how = "" if made.compiled else f", not compiled: there is no Python {PYTHON} here"
        print(f"{made.path}  {size:.1f} MB{how}")  # noqa: T201  (a script of `make`)
