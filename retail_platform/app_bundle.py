"""What machines on AWS run, as one zip: `python -m retail_platform.app_bundle FOLDER`.

It holds our wheel and those of all that it requires, of the locked versions, for Python 3.11 on Amazon
Linux 2023, and the script that installs them: a machine in a private network asks no package index.
"""

import subprocess
import sys
import zipfile
from importlib.metadata import requires
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import retail_platform
from retail_platform.errors import ConfigurationError
from retail_platform.wheels import Machine, fetch, write_archive

DISTRIBUTION = "retail-platform"
PYTHON = "3.11"

PROCESSORS = {"x86_64": "x86_64", "arm64": "aarch64"}
"""As AWS calls them, and as wheels do."""

EXTRAS = frozenset({"aws", "web"})
"""What machines need besides; Spark runs on Glue."""

_ROOT = Path(retail_platform.__file__).parents[1]
_INSTALL = """#!/bin/bash
# Installs what lies beside it into a new virtual environment: install.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python3.11 -m venv "$1"
"$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$here"/wheels/*.whl
"""


def write_bundle(folder: Path, architecture: str) -> Path:
    """Writes the zip for an architecture; the same sources and wheels give the same bytes.

    Args:
        folder: Where; wheels are kept below it.
        architecture: One of `PROCESSORS`.

    Returns:
        The zip.

    Raises:
        ConfigurationError: A wheel cannot be had, or this is no checkout of the project.
    """
    machine = Machine(PYTHON, PROCESSORS[architecture])
    wheels = fetch(required(EXTRAS, machine), machine, folder / "wheels" / architecture)
    with TemporaryDirectory() as temporary:
        contents = {f"wheels/{path.name}": path.read_bytes() for path in wheels}
        ours = our_wheel(Path(temporary))
        contents[f"wheels/{ours.name}"] = ours.read_bytes()
    contents["install.sh"] = _INSTALL.encode()
    path = folder / f"{DISTRIBUTION}-{installed_version(DISTRIBUTION)}-{architecture}.zip"
    # Wheels are compressed already.
    write_archive(path, contents, zipfile.ZIP_STORED)
    return path


def required(extras: frozenset[str], machine: Machine) -> list[str]:
    """All distributions that ours needs on a machine, directly or through others.

    Args:
        extras: Of ours, those that count.
        machine: Where.
    """
    there: dict[str, str] = {
        **{name: str(value) for name, value in default_environment().items()},
        "platform_machine": machine.processor,
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    found: set[str] = set()
    waiting = [(DISTRIBUTION, extra) for extra in ("", *sorted(extras))]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        found.add(name)
        for line in requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({**there, "extra": extra}):
                continue
            needed = canonicalize_name(requirement.name)
            news = {(needed, wanted) for wanted in ("", *requirement.extras)} - seen
            seen |= news
            waiting += sorted(news)
    return sorted(found - {DISTRIBUTION})


def our_wheel(folder: Path) -> Path:
    """Builds the wheel of the project.

    Args:
        folder: Where, with no other wheel in it.

    Raises:
        ConfigurationError: This is no checkout of the project.
    """
    if not (_ROOT / "pyproject.toml").exists():
        raise ConfigurationError(
            "the bundle is made of the sources: run it in a checkout of the project, after `make setup`"
        )
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=_ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


if __name__ == "__main__":
    made = write_bundle(Path(sys.argv[1]), "arm64")
    print(f"{made}  {made.stat().st_size / 1e6:.0f} MB")  # noqa: T201  (a script of `make`)
