"""Every object fits the strict schema of its kind, on each of three Kubernetes minor versions."""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.schemas import KUBERNETES_MINORS, validate
from matrixfleet.checks.tree import Finding, Tree


def check(tree: Tree) -> Iterator[Finding]:
    """A message is told once, with the first version that has it."""
    for entry in tree.objects:
        told: set[str] = set()
        for minor in KUBERNETES_MINORS:
            for message in validate(entry.doc, minor):
                if message not in told:
                    told.add(message)
                    yield tree.finding(entry, "schemas", f"{message} (Kubernetes {minor})")
