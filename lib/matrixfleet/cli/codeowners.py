"""CODEOWNERS: who must agree to what is equivalent to root on a cluster.

GitHub and GitLab take the last line that matches a path, and one without owners asks nobody
(docs.github.com/repositories: about code owners; docs.gitlab.com/user/project/codeowners/reference: zero owners).
Everything is the platform's first, so that a file that nobody thought of, a workflow or a hook, is too. Then the
tenants' own are let go: their target's file, and in compiled/ what admission and projects hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.model import Fleet
from matrixfleet.model.fleet import PLATFORM

FILE = "CODEOWNERS"
ELSEWHERE = (".github/CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""Where GitHub looks first (.github), and both look too."""
TENANTS = ("docs", "workload")
"""Folders of a tenant in compiled/ that reach nothing beyond it."""


def codeowners(fleet: Fleet) -> str:
    """The file's text; "" where no cluster names owners."""
    clusters = {name.partition(".")[0]: fleet.platform(name).cluster.owners for name in fleet.names}
    every = sorted({owner for owners in clusters.values() for owner in owners})
    if not every:
        return ""
    lines = ["# Written by `make compile` from cluster.owners; lib/matrixfleet/cli/codeowners.py says why.", ""]
    lines.append(line("*", every))
    for cluster, owners in sorted(clusters.items()):
        lines += ["", *of_cluster(fleet, cluster, sorted(owners))] if owners else []
    return "\n".join(lines) + "\n"


def of_cluster(fleet: Fleet, cluster: str, owners: list[str]) -> Iterator[str]:
    """What is one cluster's, then what is its tenants', then what looks like a tenant's and is not."""
    for path in (f"argocd/{cluster}.yaml", f"inventory/classes/cluster/{cluster}.yml"):
        yield line(f"/{path}", owners)
    for path in ("compiled", "inventory/targets"):
        yield line(f"/{path}/{cluster}/", owners)
    yield line(f"/inventory/targets/{cluster}/*.yml", [])
    for part in TENANTS:
        yield line(f"/compiled/{cluster}/*/{part}/", [])
    names = [name for name in fleet.names if name.partition(".")[0] == cluster]
    # A Pod on the nodes' network runs what its command and its ConfigMap say; admission sees the image alone.
    for name in filter(fleet.on_nodes, names):
        yield line(f"/compiled/{name.replace('.', '/')}/workload/", owners)
    for name in (name for name in names if name.endswith(f".{PLATFORM}") or fleet.is_namespace(name)):
        yield line(f"/inventory/targets/{name.replace('.', '/')}.yml", owners)
        yield line(f"/compiled/{name.replace('.', '/')}/", owners)


def line(path: str, owners: list[str]) -> str:
    """A pattern, and who owns what it matches."""
    return " ".join([path, *owners])
