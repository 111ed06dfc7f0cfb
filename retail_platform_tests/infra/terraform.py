"""Terraform on a copy of `infra/`, with AWS's provider wherever this machine has it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

INFRA = Path(__file__).parents[2] / "infra"

PROGRAM = shutil.which("terraform")

NOT_INSTALLED = "terraform is not installed: install terraform 1.11 or newer"

NO_PROVIDER = "AWS's provider is not to be had: no registry is reached, nor is it mirrored"

_MIRRORED = "registry.terraform.io/hashicorp/aws"
_ROOTS = ("/opt", "/usr/share", "/usr/local/share", "/usr/lib", "/var/lib")


class NoProvider(RuntimeError):
    """AWS's provider cannot be had."""


@dataclass(frozen=True)
class Terraform:
    """A copy of `infra/`.

    Attributes:
        folder: Where it is.
        environment: What terraform sees besides what this process sees of no AWS and no Terraform.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def copied(cls, folder: Path, environment: Mapping[str, str] | None = None) -> "Terraform":
        """A copy in a folder, so that nothing is left in the project's."""
        left_out = shutil.ignore_patterns(".terraform*", "*.tfstate*")
        shutil.copytree(INFRA, folder / "infra", ignore=left_out)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "AWS_"))}
        if mirror := provider_mirror():
            config = folder / "terraform.rc"
            config.write_text(
                f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
            )
            kept["TF_CLI_CONFIG_FILE"] = str(config)
        return cls(folder / "infra", {**kept, **(environment or {})})

    def run(self, *arguments: str, module: str = "") -> "subprocess.CompletedProcess[str]":
        """Runs terraform, in a module or in the root one."""
        folder = self.folder / "modules" / module if module else self.folder
        assert PROGRAM is not None, NOT_INSTALLED
        return subprocess.run(
            [PROGRAM, *arguments], cwd=folder, env=self.environment, text=True, capture_output=True
        )

    def done(self, *arguments: str, module: str = "") -> str:
        """Runs terraform, which has to succeed, and gives what it prints.

        Raises:
            NoProvider: It cannot be had.
            RuntimeError: It failed; the message says why.
        """
        result = self.run(*arguments, module=module)
        if "Could not retrieve the list of available versions" in result.stderr:
            raise NoProvider(NO_PROVIDER)
        if result.returncode != 0:
            raise RuntimeError(f"terraform {arguments[0]}:\n{result.stderr or result.stdout}")
        return result.stdout

    def init(self, module: str = "") -> None:
        """Prepares a folder; see `done`."""
        self.done("init", "-backend=false", "-no-color", "-input=false", module=module)

    @contextmanager
    def attached(self) -> Iterator["Terraform"]:
        """The same with one process of the provider for every command.

        Terraform starts the provider, 700 MB of it, anew for each of its walks, and `terraform test`
        walks twice for each run: a module's tests take a fifth of the time with one that stays. It
        has to be initialized.
        """
        (program,) = self.folder.glob(f".terraform/providers/{_MIRRORED}/*/*/*provider-aws*")
        command = [str(program), "-debug"]
        with subprocess.Popen(
            command,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as provider:
            try:
                assert provider.stdout is not None
                told = re.search(r"TF_REATTACH_PROVIDERS='(.+)'", _until_told(provider.stdout))
                assert told, "the provider does not say where it is"
                yield replace(
                    self, environment={**self.environment, "TF_REATTACH_PROVIDERS": told[1]}
                )
            finally:
                provider.terminate()


def _until_told(lines: Iterator[str]) -> str:
    return next((line for line in lines if "TF_REATTACH_PROVIDERS=" in line), "")


def provider_mirror() -> Path | None:
    """A folder of this machine that has AWS's provider, where no registry is reached."""
    homes = [Path.home() / ".terraform.d", Path.home() / ".local/share/terraform"]
    for root in [*homes, *map(Path, _ROOTS)]:
        for folder in (root, *sorted(root.glob("*")), *sorted(root.glob("*/*"))):
            if (folder / _MIRRORED).is_dir():
                return folder
    return None
