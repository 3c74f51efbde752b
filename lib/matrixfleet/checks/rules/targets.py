"""Every target of the inventory has its folder in compiled/, and every folder is a target's.

`kapitan compile -t` leaves the folder of a deleted target behind, and Argo CD goes on syncing it.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.tree import ARGOCD, Finding, Tree

WHOLE_FLEET = True


def check(tree: Tree) -> Iterator[Finding]:
    """Both sides of the difference."""
    if tree.fleet is None:
        return
    targets = set(tree.fleet.names)
    clusters = {name.partition(".")[0] for name in targets}
    beside = {f"{cluster}.{ARGOCD}" for cluster in clusters}
    folders = {".".join(path.split("/")[:2]) for path in tree.texts if path.count("/") >= 2} - beside
    for name in sorted(targets ^ folders):
        fault = (
            f"target {name} is in the inventory and was not compiled; run make compile"
            if name in targets
            else f"no target {name} is in the inventory, its folder was left behind; run make compile"
        )
        yield Finding(f"{tree.root}/{name.replace('.', '/')}", "targets", fault)
