"""`infra/` is well-formed, refuses what is wrong, and is described as it is; no account is needed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from retail_platform_tests.infra.readmes import blocks, modules, readme
from retail_platform_tests.infra.terraform import (
    INFRA,
    NOT_INSTALLED,
    PROGRAM,
    NoProvider,
    Terraform,
)


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """A copy of `infra/`."""
    if PROGRAM is None:
        pytest.skip(NOT_INSTALLED)
    return Terraform.copied(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="module")
def initialized(terraform: Terraform) -> Iterator[Terraform]:
    """The same, where the provider is there."""
    try:
        terraform.init()
    except NoProvider as error:
        pytest.skip(str(error))
    with terraform.attached() as attached:
        for module in modules():
            attached.init(module.name)
        yield attached


def test_it_is_formatted(terraform: Terraform) -> None:
    result = terraform.run("fmt", "-check", "-recursive", "-diff")
    assert result.returncode == 0, f"run `terraform fmt -recursive infra`:\n{result.stdout}"


def test_it_is_valid(initialized: Terraform) -> None:
    result = initialized.run("validate", "-no-color")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Warning" not in result.stdout


@pytest.mark.parametrize("name", ["", *(module.name for module in modules())])
def test_it_keeps_its_promises(name: str, initialized: Terraform) -> None:
    result = initialized.run("test", "-no-color", module=name)
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


def test_every_description_of_a_security_group_is_one_that_ec2_takes() -> None:
    """Which the provider does not check, nor does a stand-in."""
    told = (INFRA / "modules" / "network" / "security_groups.tf").read_text(encoding="utf-8")
    groups = re.search(r"groups = \{(.*?)\n  \}", told, re.DOTALL)
    assert groups
    descriptions = re.findall(r'= "([^"]*)"', groups[1] + told)
    assert len(descriptions) > 10
    for description in descriptions:
        assert re.fullmatch(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}", description), (
            description
        )


def test_every_role_is_for_one_account() -> None:
    """A service that is told to act for another account does not get ours."""
    for policies in INFRA.glob("modules/*/iam.tf"):
        text = policies.read_text(encoding="utf-8")
        assert text.count('"sts:AssumeRole"') <= text.count("aws:SourceAccount"), policies


def test_every_alarm_is_explained() -> None:
    """By its name in the README of `infra/`, or by its ending where there is one for each database."""
    told = (INFRA / "README.md").read_text(encoding="utf-8").partition("## When an alarm comes")[2]
    explained = set(re.findall(r"`([a-z_]+)`", told.partition("\n## ")[0]))
    source = (INFRA / "modules" / "monitoring" / "main.tf").read_text(encoding="utf-8")
    made = re.findall(
        r'"?(?:\$\{key\})?([a-z_]+)"? +=>? +(?:merge\(local\.\w+, )?\{\n +(?:metric|namespace) ',
        source,
    )
    names = {name for name in made if name}
    assert {"stale_lake", "failed_runs", "site_slow", "_cpu", "_errors"} <= names
    for name in names | {"degraded_share"}:
        assert any(alarm.endswith(name) for alarm in explained), f"{name} is not in the README"
