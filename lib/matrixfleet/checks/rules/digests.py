"""On a cluster that requires digests every image is pulled by its digest.

A tag means what its registry says when a node pulls: two nodes may run different programs under one name, and whoever
may push to the registry chooses them. A digest is the content's own (OCI image specification, descriptor.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrixfleet.checks.pulled import pulled
from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Finding, Tree

_PINNED = re.compile(r".+@sha256:[0-9a-f]{64}")


def check(tree: Tree) -> Iterator[Finding]:
    """One finding per cluster and image, at the first object that pulls it."""
    told: set[tuple[str, str]] = set()
    for entry in tree.objects:
        target = target_of(tree, entry)
        if target is None or not target.cluster.require_digests:
            continue
        for reference in pulled(entry.doc):
            if _PINNED.fullmatch(reference) or (entry.cluster, reference) in told:
                continue
            told.add((entry.cluster, reference))
            message = f"expected {reference} with its digest, since cluster.require_digests is true"
            yield tree.finding(entry, "digests", f"{message}; run matrix-fleet images --renew")
