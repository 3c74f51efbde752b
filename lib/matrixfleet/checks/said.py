"""What was said of a compiled target: in the inventory, and in the configuration of its Synapse."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import yaml

from matrixfleet.checks.tree import Entry, Json, Tree
from matrixfleet.model import Fleet, Target


@lru_cache(maxsize=4096)
def _target(fleet: Fleet, name: str) -> Target | None:
    return fleet.target(name) if name in fleet.names else None


def target_of(tree: Tree, entry: Entry) -> Target | None:
    """The target that an object belongs to. None without an inventory, and for a folder that is no
    target's: rule `targets` tells of that."""
    return _target(tree.fleet, entry.target) if tree.fleet else None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def homeservers(tree: Tree) -> Iterator[tuple[Entry, Json]]:
    """Every homeserver.yaml: the ConfigMap that holds it, and its options."""
    for entry in tree.of_kind("ConfigMap"):
        text = (entry.doc.get("data") or {}).get("homeserver.yaml")
        options = _parsed(text) if text else None
        if isinstance(options, dict):
            yield entry, options
