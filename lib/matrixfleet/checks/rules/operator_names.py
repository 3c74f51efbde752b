"""Secrets that CloudNativePG makes for a Cluster are made by nobody else.

It takes one that is there for its own, and stands still where that has other keys ("missing ca.key secret data").
The suffixes are those of CloudNativePG 1.30, api/v1/cluster_types.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.tree import Finding, Tree

# With what a Cluster says in its `certificates` where it brings one of its own instead.
SECRETS = {
    "ca": "clientCASecret",
    "server": "serverTLSSecret",
    "replication": "replicationTLSSecret",
    "app": "",
    "superuser": "",
    "pooler": "",
}


def check(tree: Tree) -> Iterator[Finding]:
    """Every Secret that is made beside a Cluster."""
    for cluster in tree.of_kind("Cluster"):
        said = cluster.spec.get("certificates") or {}
        for suffix, instead in SECRETS.items():
            name = f"{cluster.name}-{suffix}"
            made = tree.produced_secrets.get((cluster.cluster, cluster.namespace, name))
            if made and not said.get(instead):
                told = f"expected another name than {name}, which CloudNativePG gives a Secret of {cluster}"
                yield tree.finding(made[0], "operator-names", told)
