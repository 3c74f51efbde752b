"""A Pod that reads ConfigMaps carries the hash of their content, so that a change of configuration rolls it.

Nothing else would: programs read their configuration at start. The hash is content_hash() of the ConfigMap's
data; of several, that of {name: data}. Equal content has an equal hash, so nothing rolls without a reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.pods import references
from matrixfleet.checks.tree import Finding, Tree
from matrixfleet.kubernetes.emit import content_hash

ANNOTATION = "matrix-fleet/configuration"


def check(tree: Tree) -> Iterator[Finding]:
    """Every Pod that mounts a ConfigMap or has one in its environment."""
    for pod in tree.pods:
        read = {}
        for reference in references(pod):
            entry = tree.find(pod.entry.cluster, reference.kind, pod.entry.namespace, reference.name)
            if entry is not None and entry.kind == "ConfigMap":
                read[entry.name] = entry.doc.get("data") or {}
        if not read:
            continue
        expected = content_hash(read if len(read) > 1 else next(iter(read.values())))
        got = pod.annotations.get(ANNOTATION)
        if got != expected:
            what = f"its Pods' annotation {ANNOTATION}"
            message = f"{what}: expected {expected}, the hash of {', '.join(sorted(read))}, got {got}"
            yield tree.finding(pod.entry, "configuration-hash", message)
