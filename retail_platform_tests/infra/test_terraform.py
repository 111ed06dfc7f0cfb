"""`infra/` is well-formed, refuses what is wrong, and is described as it is; no account is needed."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retail_platform_tests.infra.readmes import INFRA, blocks, modules, readme

TERRAFORM = shutil.which("terraform")

Terraform = Callable[..., "subprocess.CompletedProcess[str]"]

_MIRRORED = "registry.terraform.io/hashicorp/aws"
_ROOTS = ("/opt", "/usr/share", "/usr/local/share", "/usr/lib", "/var/lib")


def provider_mirror() -> Path | None:
    """A folder of this machine that has AWS's provider, where no registry is reached."""
    homes = [Path.home() / ".terraform.d", Path.home() / ".local/share/terraform"]
    for root in [*homes, *map(Path, _ROOTS)]:
        for folder in (root, *sorted(root.glob("*")), *sorted(root.glob("*/*"))):
            if (folder / _MIRRORED).is_dir():
                return folder
    return None


@pytest.fixture(scope="module")
def infra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of `infra/`, so that nothing is left in the project's."""
    folder = tmp_path_factory.mktemp("terraform")
    shutil.copytree(INFRA, folder / "infra", ignore=shutil.ignore_patterns(".terraform*"))
    yield folder / "infra"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def terraform(infra: Path) -> Terraform:
    """Runs terraform in a folder of the copy, with AWS's provider at hand."""
    if TERRAFORM is None:
        pytest.skip("terraform is not installed: install terraform 1.11 or newer")
    program = TERRAFORM
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "AWS_"))}
    if mirror := provider_mirror():
        config = infra.parent / "terraform.rc"
        config.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
        )
        environment["TF_CLI_CONFIG_FILE"] = str(config)

    def run(*arguments: str, folder: Path = infra) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [program, *arguments], cwd=folder, env=environment, text=True, capture_output=True
        )

    return run


@pytest.fixture(scope="module")
def initialized(terraform: Terraform, infra: Path) -> Terraform:
    """The same, where the provider is there."""
    for folder in [infra, *sorted((infra / "modules").iterdir())]:
        result = terraform("init", "-backend=false", "-no-color", "-input=false", folder=folder)
        if "Could not retrieve the list of available versions" in result.stderr:
            pytest.skip(
                "AWS's provider is not to be had: no registry is reached, nor is it mirrored"
            )
        assert result.returncode == 0, result.stderr
    return terraform


def test_it_is_formatted(terraform: Terraform) -> None:
    result = terraform("fmt", "-check", "-recursive", "-diff")
    assert result.returncode == 0, f"run `terraform fmt -recursive infra`:\n{result.stdout}"


def test_it_is_valid(initialized: Terraform) -> None:
    result = initialized("validate", "-no-color")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Warning" not in result.stdout


@pytest.mark.parametrize("name", [".", *(module.name for module in modules())])
def test_it_keeps_its_promises(name: str, initialized: Terraform, infra: Path) -> None:
    folder = infra if name == "." else infra / "modules" / name
    result = initialized("test", "-no-color", folder=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 passed" not in result.stdout
    assert "0 failed." in result.stdout


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_each_module_is_described_as_it_is(module: Path) -> None:
    found = (module / "README.md").read_text(encoding="utf-8")
    assert found == readme(module), "run `python -m retail_platform_tests.infra.readmes`"
    assert len(found.split("<!--")[0].splitlines()) > 2, "say what the module is for"


@pytest.mark.parametrize("folder", [INFRA, *modules()], ids=lambda folder: folder.name)
def test_every_variable_and_output_is_told(folder: Path) -> None:
    for name, body in blocks(folder / "variables.tf", "variable").items():
        assert {"type", "description"} <= set(body), f"variable {name}"
    for name, body in blocks(folder / "outputs.tf", "output").items():
        assert "description" in body, f"output {name}"


@pytest.mark.parametrize("environment", ["dev", "prod", "local"])
def test_every_environment_sets_variables_that_there_are(environment: str) -> None:
    known = blocks(INFRA / "variables.tf", "variable")
    given = (INFRA / "environments" / f"{environment}.tfvars").read_text(encoding="utf-8")
    names = {line.split("=")[0].strip() for line in given.splitlines() if "=" in line}
    assert names <= set(known)
    assert f'environment        = "{environment}"' in given


def test_every_role_is_for_one_account() -> None:
    """A service that is told to act for another account does not get ours."""
    for policies in INFRA.glob("modules/*/iam.tf"):
        text = policies.read_text(encoding="utf-8")
        assert text.count('"sts:AssumeRole"') <= text.count("aws:SourceAccount"), policies
