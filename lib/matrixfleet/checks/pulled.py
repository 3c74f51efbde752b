"""The images that an object has a node pull: of Pod templates, and of what operators make Pods of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FIELDS = ("image", "imageName")
"""Fields that name an image: a container's, and CloudNativePG's Cluster."""


def pulled(node: Any) -> Iterator[str]:
    """Every image reference in an object, at any depth. Text in a ConfigMap is no object."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in FIELDS and isinstance(value, str):
                yield value
            else:
                yield from pulled(value)
    elif isinstance(node, list):
        for value in node:
            yield from pulled(value)
