"""The JSON Schema of a target's and a class's file, for editors."""

from __future__ import annotations

import json
from typing import Any

from matrixfleet.model.base import descriptions
from matrixfleet.model.faults import models_below
from matrixfleet.model.fleet import NamespaceTarget, PlatformTarget, TenantTarget

TARGETS = (PlatformTarget, NamespaceTarget, TenantTarget)
SCHEMA_FILE = "inventory/schema.json"


def inventory_schema() -> str:
    """One schema for every file of the inventory. No file must say everything, since a target is merged
    from its classes: what is required is told when the whole is compiled, and unknown keys here."""
    definitions: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for target in TARGETS:
        said = target.model_json_schema()
        definitions |= said.pop("$defs", {})
        parameters |= said["properties"]
    for model in {model for target in TARGETS for model in models_below(target)}:
        for field, text in descriptions(model).items():
            if model.__name__ in definitions:
                definitions[model.__name__]["properties"][field]["description"] = text
    # A size says what a tenant may say.
    parameters["sizes"]["additionalProperties"] = parameters["matrix"]
    parameters["kapitan"] = {"type": "object", "description": "Kapitan's own settings; classes set them."}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Matrix Fleet inventory",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "classes": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Merged in this order, before this file.",
            },
            "parameters": {"type": "object", "additionalProperties": False, "properties": parameters},
        },
        "$defs": definitions,
    }
    return json.dumps(_partial(schema), indent=1, sort_keys=True) + "\n"


def _partial(node: Any) -> Any:
    """The schema without `required`, and with the backend's marks on keys let through (~key replaces a
    list, =key cannot be overridden)."""
    if isinstance(node, dict):
        kept = {key: _partial(value) for key, value in node.items() if key != "required" or not isinstance(value, list)}
        if kept.get("additionalProperties") is False:
            kept["patternProperties"] = {"^[~=]": {}}
        return kept
    if isinstance(node, list):
        return [_partial(value) for value in node]
    return node
