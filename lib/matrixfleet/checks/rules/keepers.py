"""What holds data is kept: no prune and no deletion takes it.

Argo CD reads these options from the live object, and a StatefulSet hands its template's annotations to its
claims only when those are made: they must be there from the first render. A StorageClass keeps by
reclaimPolicy, a StatefulSet by its retention policy, an order to a store by leaving its Secret without owner or
by being kept itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Entry, Finding, Json, Tree

OPTION = "argocd.argoproj.io/sync-options"
_KEPT = ("Prune=false", "Delete=false")
KEEP = {
    "PersistentVolumeClaim": _KEPT,
    # Of CloudNativePG: the volumes go with their Cluster.
    "Cluster": _KEPT,
    "Database": _KEPT,
    "ExternalSecret": _KEPT,
    "VaultStaticSecret": _KEPT,
    "Namespace": ("Prune=confirm", "Delete=confirm"),
}


def check(tree: Tree) -> Iterator[Finding]:
    """Claims, claim templates, namespaces, orders to a store, storage classes."""
    for entry in tree.of_kind(*KEEP):
        yield from (
            tree.finding(entry, "keepers", f"{OPTION} lacks {option}")
            for option in missing(entry.metadata, KEEP[entry.kind])
        )
    for entry in tree.of_kind("StatefulSet"):
        for template in entry.spec.get("volumeClaimTemplates", []):
            for option in missing(template["metadata"], KEEP["PersistentVolumeClaim"]):
                message = f"claim template {template['metadata']['name']}: {OPTION} lacks {option}"
                yield tree.finding(entry, "keepers", message)
        policy = entry.spec.get("persistentVolumeClaimRetentionPolicy") or {}
        if set(policy.values()) != {"Retain"} or len(policy) != 2:
            message = "expected persistentVolumeClaimRetentionPolicy whenDeleted and whenScaled: Retain"
            yield tree.finding(entry, "keepers", message)
    for entry in tree.of_kind("ExternalSecret"):
        target = entry.spec.get("target") or {}
        for option, wanted in (("creationPolicy", "Orphan"), ("deletionPolicy", "Retain")):
            if target.get(option) != wanted:
                message = f"expected target.{option}: {wanted}, got {target.get(option)}: its Secret would go with it"
                yield tree.finding(entry, "keepers", message)
    for entry in tree.of_kind("Database"):
        if entry.spec.get("databaseReclaimPolicy") != "retain":
            got = entry.spec.get("databaseReclaimPolicy", "none")
            yield tree.finding(entry, "keepers", f"expected databaseReclaimPolicy: retain, got {got}")
    for entry in tree.of_kind("StorageClass"):
        got, wanted = entry.doc.get("reclaimPolicy", "Delete"), "Delete" if _is_scratch(tree, entry) else "Retain"
        if got != wanted:
            yield tree.finding(entry, "keepers", f"expected reclaimPolicy: {wanted}, got {got}")


def _is_scratch(tree: Tree, entry: Entry) -> bool:
    """Whether a storage class is for volumes that live as long as a Pod (`cluster.storage.scratch`)."""
    target = target_of(tree, entry)
    scratch = target.cluster.storage.scratch if target else None
    return scratch is not None and scratch.name == entry.name


def missing(metadata: Json, wanted: tuple[str, ...]) -> list[str]:
    """The sync options that are not there."""
    options = str((metadata.get("annotations") or {}).get(OPTION, "")).split(",")
    return [option for option in wanted if option not in options]
