"""How many Pods a workload may have at once."""

from __future__ import annotations

from math import ceil

from matrixfleet.checks.tree import Entry, Tree

Scaled = tuple[str, str, str, str]
"""Cluster, namespace, kind and name of a workload."""


def key_of(entry: Entry) -> Scaled:
    """A workload as a scaler names it."""
    return entry.cluster, entry.namespace, entry.kind, entry.name


def scalers(tree: Tree) -> dict[Scaled, Entry]:
    """HorizontalPodAutoscalers by what they scale."""
    found = {}
    for entry in tree.of_kind("HorizontalPodAutoscaler"):
        scaled = entry.spec["scaleTargetRef"]
        found[entry.cluster, entry.namespace, scaled["kind"], scaled["name"]] = entry
    return found


def most(entry: Entry, scaler: Entry | None) -> int:
    """Pods at once, a rollout's surge included. A DaemonSet counts as one: nobody knows the nodes here."""
    at_rest = entry.spec.get("parallelism" if entry.kind == "Job" else "replicas", 1)
    count = int(scaler.spec["maxReplicas"] if scaler else at_rest)
    strategy = entry.spec.get("strategy") or {}
    if entry.kind != "Deployment" or strategy.get("type") == "Recreate":
        return count
    surge = str((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%"))
    return count + (ceil(count * int(surge[:-1]) / 100) if surge.endswith("%") else int(surge))
