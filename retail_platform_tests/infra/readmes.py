"""The READMEs of the modules of `infra/`: `python -m retail_platform_tests.infra.readmes` writes them.

What stands above the line of dashes is written by hand, what is below it follows from the module.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2

from retail_platform_tests.infra.terraform import INFRA

MARK = "<!-- below: made by `python -m retail_platform_tests.infra.readmes` -->"


def modules() -> list[Path]:
    """The folders of the modules."""
    return sorted(path for path in (INFRA / "modules").iterdir() if path.is_dir())


def readme(module: Path) -> str:
    """What a module's README has to be, of what stands in it now by hand."""
    path = module / "README.md"
    written = path.read_text(encoding="utf-8") if path.exists() else f"# {module.name}\n\n"
    return f"{written.partition(MARK)[0]}{MARK}\n\n" + "\n".join(_tables(module)) + "\n"


def blocks(file: Path, kind: str) -> dict[str, dict[str, Any]]:
    """The blocks of a kind, such as `variable`, in a file, by name."""
    with file.open(encoding="utf-8") as text:
        found = hcl2.load(text).get(kind, [])
    return {_plain(name): body for block in found for name, body in block.items()}


def actions(module: str, document: str) -> set[str]:
    """What a policy of a module allows, whatever the resource."""
    with (INFRA / "modules" / module / "iam.tf").open(encoding="utf-8") as text:
        documents = hcl2.load(text)["data"]
    (found,) = (
        named[name]
        for kind in documents
        for name_of_kind, named in kind.items()
        if _plain(name_of_kind) == "aws_iam_policy_document"
        for name in named
        if _plain(name) == document
    )
    statements = list(found["statement"])
    for dynamic in found.get("dynamic", ()):
        for body in dynamic.values():
            statements += body["content"]
    return {_plain(action) for one in statements for action in one["actions"]}


def _tables(module: Path) -> Iterator[str]:
    yield "| input | type | default | what it is |"
    yield "|---|---|---|---|"
    for name, body in blocks(module / "variables.tf", "variable").items():
        default = _code(body["default"]) if "default" in body else ""
        yield f"| `{name}` | {_code(body['type'])} | {default} | {_plain(body['description'])} |"
    yield ""
    yield "| output | what it is |"
    yield "|---|---|"
    for name, body in blocks(module / "outputs.tf", "output").items():
        yield f"| `{name}` | {_plain(body['description'])} |"


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.removeprefix("${").removesuffix("}") if text.startswith("${") else text
    return f"`{text}`"


def _plain(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


if __name__ == "__main__":
    for folder in modules():
        (folder / "README.md").write_text(readme(folder), encoding="utf-8")
