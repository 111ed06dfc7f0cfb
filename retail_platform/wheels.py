"""Wheels for another machine than this one, of the locked versions, and archives of what runs there."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory

import retail_platform
from retail_platform.errors import ConfigurationError

_LOCK = Path(retail_platform.__file__).parents[1] / "requirements.lock"
_GLIBC = (28, 27, 17)
"""Minor versions that Amazon Linux 2023 is as good as, on which Glue 5.1 and Python 3.13 run."""


@dataclass(frozen=True)
class Machine:
    """Where wheels shall run: an Amazon Linux 2023.

    Attributes:
        python: Such as 3.13.
        processor: x86_64 or aarch64.
    """

    python: str
    processor: str

    @property
    def abi(self) -> str:
        """Such as cp313."""
        return f"cp{self.python.replace('.', '')}"


def fetch(names: Sequence[str], machine: Machine, folder: Path) -> list[Path]:
    """Fetches the wheels of distributions unless they are there; others are removed.

    Args:
        names: Distributions that are installed here.
        machine: Where they shall run.
        folder: Where wheels are kept; of this machine alone.

    Returns:
        Their wheels, in the order of the names.

    Raises:
        ConfigurationError: They cannot be had; the message ends with pip's reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = {name: _wheel_of(name, machine, folder) for name in names}
    for old in folder.glob("*.whl"):
        if old not in here.values():
            old.unlink()
    if lacking := [name for name, wheel in here.items() if wheel is None]:
        reason = _download(lacking, machine, folder)
        here = {name: _wheel_of(name, machine, folder) for name in names}
        if absent := [name for name, wheel in here.items() if wheel is None]:
            raise ConfigurationError(
                f"{absent[0]} {installed_version(absent[0])} cannot be fetched: {reason}; let pip "
                f"reach a package index, or put its wheel for CPython {machine.python} on "
                f"{machine.processor} into {folder}"
            )
    return [wheel for wheel in here.values() if wheel is not None]


def write_archive(path: Path, contents: Mapping[str, bytes], compression: int) -> None:
    """Writes a zip that is the same bytes for the same contents.

    Args:
        path: Its place.
        contents: By their names in it.
        compression: Of `zipfile`; where it compresses, the bytes depend on the version of zlib.
    """
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = compression
            archive.writestr(entry, data)


def _wheel_of(name: str, machine: Machine, folder: Path) -> Path | None:
    stem = re.sub(r"[-_.]+", "_", name).lower()
    of_machine = re.compile(
        rf"{re.escape(stem)}-{re.escape(installed_version(name))}-"
        rf"((py2\.)?py3-none|{machine.abi}-{machine.abi}|cp3\d+-abi3)-(any|.*{machine.processor})\.whl"
    )
    return next((p for p in sorted(folder.glob("*.whl")) if of_machine.fullmatch(p.name)), None)


def _download(names: Sequence[str], machine: Machine, folder: Path) -> str:
    """Lets pip fetch; returns its last words."""
    with TemporaryDirectory() as temporary:
        wanted = Path(temporary) / "wanted.txt"
        wanted.write_text("\n".join(map(_locked, names)), encoding="utf-8")
        fetched = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--only-binary=:all:", "--python-version", machine.python),
                *("--implementation", "cp"),
                *(f"--platform=manylinux_2_{minor}_{machine.processor}" for minor in _GLIBC),
                f"--platform=manylinux2014_{machine.processor}",
                *("--dest", str(folder), "-r", str(wanted)),
            ],
            capture_output=True,
            text=True,
        )
    return (fetched.stderr.strip().splitlines() or ["no reason given"])[-1]


def _locked(name: str) -> str:
    """What pip is to fetch: with the lock's hashes, where there is a lock."""
    version = installed_version(name)
    text = _LOCK.read_text(encoding="utf-8") if _LOCK.exists() else ""
    # A universal lock may name the machines that need it; what needs it is asked for here.
    entry = re.search(
        rf"^{re.escape(name)}=={re.escape(version)}(?: ;[^\n\\]*)?( \\\n(?:.*\\\n)*.*)$",
        text,
        re.MULTILINE,
    )
    return f"{name}=={version}{entry[1] if entry else ''}"
