"""The contracts of events and answers for others, as JSON Schema: `python -m lambda_inference.schema`.

The files are written from the classes that decode and encode, so that they cannot say another thing.
Within a version they may only grow by what is optional.
"""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from lambda_inference.answers import RecommendationEvent
from lambda_inference.events import SCHEMA_VERSION, BrowseEvent

FOLDER = Path(__file__).with_name("schemas")

_CONTRACTS: dict[str, type[msgspec.Struct]] = {
    "browse_event": BrowseEvent,
    "recommendation_event": RecommendationEvent,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Every contract, by the name of its file."""
    return {
        f"{name}.v{SCHEMA_VERSION}.json": _schema(name, struct)
        for name, struct in _CONTRACTS.items()
    }


def _schema(name: str, struct: type[msgspec.Struct]) -> dict[str, Any]:
    (root,), parts = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    for part in parts.values():
        _describe(part)
    (own,) = [part for part in parts if root["$ref"] == f"#/$defs/{part}"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{name}.v{SCHEMA_VERSION}.json",
        **parts.pop(own),
        "$defs": parts,
    }


def _describe(definition: dict[str, Any]) -> None:
    """Gives each property what the class's docstring says of it."""
    summary, _, attributes = definition.get("description", "").partition("\n\n    Attributes:\n")
    definition["description"] = summary
    told = dict(_ATTRIBUTE.findall(attributes + "\n"))
    for name, field in definition.get("properties", {}).items():
        if name in told:
            field["description"] = " ".join(told[name].split())


_ATTRIBUTE = re.compile(r"^ {8}(\w+): (.*\n(?: {12}.*\n)*)", re.MULTILINE)


def write_schemas(folder: Path = FOLDER) -> None:
    """Writes the files."""
    for name, schema in schemas().items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
