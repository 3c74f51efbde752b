"""A Job's name ends with the hash of its spec, and it stays when it is done.

A Job's template cannot change: under one name a changed Job fails the whole sync. A Job that
ttlSecondsAfterFinished removes Argo CD makes again, and it runs for ever.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.tree import Entry, Finding, Pod, Tree
from matrixfleet.kubernetes.emit import content_hash


def check(tree: Tree) -> Iterator[Finding]:
    """Every Job."""
    for entry in tree.of_kind("Job"):
        for fault in faults(entry):
            yield tree.finding(entry, "jobs", fault)


def faults(entry: Entry) -> Iterator[str]:
    """What is wrong with one Job."""
    ending = f"-{content_hash(entry.spec)}"
    if not entry.name.endswith(ending):
        yield f"expected a name that ends with {ending}, the hash of its spec"
    if "ttlSecondsAfterFinished" in entry.spec:
        yield "has ttlSecondsAfterFinished, expected none: Argo CD would make it again"
    if "backoffLimit" not in entry.spec:
        yield "expected a backoffLimit, got none: by default a Job gives up after 6 tries"
    policy = Pod(entry).spec.get("restartPolicy")
    if policy not in ("OnFailure", "Never"):
        yield f"expected restartPolicy OnFailure or Never, got {policy}"
