"""What an object has pulled: images, of Pods and of what operators make Pods of, and charts of Applications."""

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


def charts(node: Any) -> Iterator[tuple[str, str, str]]:
    """Every chart that an Application names, in `source` or `sources`: repository, name and version."""
    if isinstance(node, dict):
        if "chart" in node and "repoURL" in node:
            yield str(node["repoURL"]), str(node["chart"]), str(node.get("targetRevision", ""))
        for value in node.values():
            yield from charts(value)
    elif isinstance(node, list):
        for value in node:
            yield from charts(value)
