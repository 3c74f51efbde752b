"""Rendering the inventory with the backend that `.kapitan` names, without Kapitan's own import time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import reclass_rs

from matrixfleet.errors import Fault, FleetError
from matrixfleet.inventory.source import Source

Rendered = Mapping[str, Mapping[str, Any]]
"""Target name to its parameters."""


# The options that Kapitan 0.36.3 hands to reclass-rs (kapitan/inventory/backends/reclass).
_SETTINGS = {
    "storage_type": "yaml_fs",
    "nodes_uri": "targets",
    "classes_uri": "classes",
    "compose_node_name": True,
    "allow_none_override": True,
}


_CONSTANT = re.compile(r"Error rendering node (\S+): Can't overwrite constant key \"(\w+)\"")
_MERGE = re.compile(r"Error rendering node (\S+): In (\S+): Can't merge (?:Value::)?(\w+) over (?:Value::)?(\w+)")


def _backend_fault(said: str, source: Source) -> Fault:
    """What reclass-rs refused, at the line that it means where its words tell."""
    constant = _CONSTANT.search(said)
    if constant is not None:
        target, key = constant.groups()
        places = source.said(target, (key,))
        message = f"expected none: {places[0].file} sets it once for every target"
        return Fault(places[-1].file, places[-1].line, key, message)
    merge = _MERGE.search(said)
    if merge is None:
        return Fault("inventory", 0, "", said)
    target, key, got, held = merge.groups()
    message = f"expected a {held.lower()}, as classes before set it, got a {got.lower()}"
    places = source.said(target, tuple(key.split(".")))
    file, line = (places[-1].file, places[-1].line) if places else (source.shown(target), 1)
    return Fault(file, line, key, message)


def render(inventory: Path, source: Source) -> dict[str, dict[str, Any]]:
    """Every target's parameters, merged and interpolated.

    Raises FleetError with file and line for faults of the files, classes and references; where the
    backend refuses for another reason its own words are passed on.
    """
    if not (inventory / "targets").is_dir():
        raise FleetError([Fault(str(inventory / "targets"), 0, "", "no such folder; run this at the repository's top")])
    faults = source.file_faults()
    if faults:
        raise FleetError(faults)
    settings = {**_SETTINGS, "inventory_base_uri": str(inventory), **source.config}
    config = reclass_rs.Config.from_dict(str(inventory), settings)
    try:
        nodes = reclass_rs.Reclass.from_config(config).inventory().nodes
    except ValueError as error:
        raise FleetError(source.reference_faults() or [_backend_fault(str(error), source)]) from error
    return {name: dict(node.parameters) for name, node in nodes.items()}
