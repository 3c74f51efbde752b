"""Every object fits the strict schema of its kind, on each minor version of Kubernetes that its release is for."""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.said import target_of
from matrixfleet.checks.schemas import ALL_MINORS, KUBERNETES_MINORS, validate
from matrixfleet.checks.tree import Entry, Finding, Tree


def check(tree: Tree) -> Iterator[Finding]:
    """A message is told once, with the first version that has it."""
    unknown: set[str] = set()
    for entry in tree.objects:
        told: set[str] = set()
        minors = minors_of(tree, entry)
        for minor in sorted(set(minors) - ALL_MINORS - unknown):
            unknown.add(minor)
            known = (
                f"expected {KUBERNETES_MINORS[-1]} or older in releases.*.kubernetes, or a newer kubernetes-validate"
            )
            yield tree.finding(entry, "schemas", f"no schemas for Kubernetes {minor}; {known}")
        for minor in (one for one in minors if one in ALL_MINORS):
            for message in validate(entry.doc, minor):
                if message not in told:
                    told.add(message)
                    yield tree.finding(entry, "schemas", f"{message} (Kubernetes {minor})")


def minors_of(tree: Tree, entry: Entry) -> tuple[str, ...]:
    """Versions that an object may meet; the newest where no inventory says which."""
    target = target_of(tree, entry)
    return target.release.kubernetes.minors if target else KUBERNETES_MINORS
