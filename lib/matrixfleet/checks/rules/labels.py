"""Every object and every Pod carries the six recommended labels, with values that Kubernetes takes.

People and tools find a tenant's things by them; instance is the target's own name and says whose they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrixfleet.checks.tree import Finding, Json, Tree

PREFIX = "app.kubernetes.io/"
WANTED = ("name", "instance", "component", "part-of", "version", "managed-by")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def check(tree: Tree) -> Iterator[Finding]:
    """Objects, then Pod templates."""
    for entry in tree.objects:
        for fault in faults(entry.labels, entry.target):
            yield tree.finding(entry, "labels", fault)
    for pod in tree.pods:
        for fault in faults(pod.labels, pod.entry.target):
            yield tree.finding(pod.entry, "labels", f"its Pods: {fault}")


def faults(labels: Json, target: str) -> Iterator[str]:
    """What is wrong with one set of labels."""
    for name in WANTED:
        if not labels.get(PREFIX + name):
            yield f"expected a label {PREFIX}{name}"
    for key, value in labels.items():
        if not isinstance(value, str) or not VALUE.fullmatch(value):
            yield f"label {key}: expected a string of up to 63 of A-Z a-z 0-9 - _ . in it, got {value!r}"
    instance, owner = labels.get(PREFIX + "instance"), target.rpartition(".")[2]
    if instance and instance != owner:
        yield f"label {PREFIX}instance: expected {owner}, the target, got {instance}"
