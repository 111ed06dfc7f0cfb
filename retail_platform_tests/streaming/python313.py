"""The Python that Lambda runs, where this machine has it."""

import os
import shutil
from pathlib import Path

from retail_platform.streaming.bundle import PYTHON


def path_with_python() -> str | None:
    """A PATH on which Lambda's Python is found; None where there is none."""
    # Of pyenv, whose command of that name runs only what is chosen.
    of_pyenv = sorted(Path.home().glob(f".pyenv/versions/{PYTHON}.*/bin"))
    folders = [*map(str, of_pyenv), os.environ.get("PATH", os.defpath)]
    path = os.pathsep.join(folders)
    return path if of_pyenv or shutil.which(f"python{PYTHON}") else None
