"""Each homeserver has exactly one main process, and nothing can start a second beside it.

Two main processes on one database corrupt it: each believes itself the only writer of every stream. Recreate
orders rollouts alone, and an evicted Pod is replaced while it still terminates; what forbids the second is a
volume that one Pod at a time may mount.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.pods import MAIN
from matrixfleet.checks.said import homeservers
from matrixfleet.checks.scaling import key_of, scalers
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree

ONE_POD = ["ReadWriteOncePod"]


def check(tree: Tree) -> Iterator[Finding]:
    """Count, lock, scalers, databases."""
    mains: dict[str, list[Pod]] = {}
    for pod in tree.pods:
        if any(runs_main(one) for one in pod.containers):
            mains.setdefault(pod.entry.target, []).append(pod)
    scaled = scalers(tree)
    for pod in (pod for pods in mains.values() for pod in pods):
        yield from (tree.finding(pod.entry, "single-main", fault) for fault in main_faults(tree, pod))
        if scaler := scaled.get(key_of(pod.entry)):
            message = f"scales the main process, {pod.entry}; expected no scaler"
            yield tree.finding(scaler, "single-main", message)
    databases: dict[tuple[str, ...], Entry] = {}
    for entry, options in homeservers(tree):
        found = [str(pod.entry) for pod in mains.get(entry.target, [])]
        if len(found) != 1:
            message = f"expected one workload of its target to run {MAIN}, got {', '.join(found) or 'none'}"
            yield tree.finding(entry, "single-main", message)
        database = database_of(entry, options)
        other = databases.setdefault(database, entry)
        if other.target != entry.target:
            message = f"database {database[-1]} on {database[1]} is {other.target}'s ({other.path})"
            yield tree.finding(entry, "single-main", f"{message}; expected one of its own")


def runs_main(one: Json) -> bool:
    """Whether a container runs the main process."""
    return any(MAIN in word for word in [*one.get("command", []), *one.get("args", [])])


def main_faults(tree: Tree, pod: Pod) -> Iterator[str]:
    """What one workload must be so that there is never a second Pod."""
    entry = pod.entry
    if entry.kind not in ("Deployment", "StatefulSet"):
        yield f"runs {MAIN}; expected a Deployment or StatefulSet for it, got a {entry.kind}"
    if entry.spec.get("replicas", 1) > 1:
        yield f"replicas: expected 1 or 0, got {entry.spec['replicas']}; more of them corrupt the database"
    strategy = (entry.spec.get("strategy") or {}).get("type", "RollingUpdate")
    if entry.kind == "Deployment" and strategy != "Recreate":
        yield f"strategy: expected Recreate, got {strategy}, which starts the second before the first ends"
    mounted = {mount["name"] for one in pod.containers if runs_main(one) for mount in one.get("volumeMounts", [])}
    claims = [claim_of(tree, entry, volume) for name, volume in pod.volumes.items() if name in mounted]
    if not any((claim.get("spec") or {}).get("accessModes") == ONE_POD for claim in claims):
        yield f"expected its container to mount a claim with accessModes {ONE_POD}, got none"


def claim_of(tree: Tree, entry: Entry, volume: Json) -> Json:
    """The claim behind a volume; {} where there is none."""
    name = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
    found = tree.find(entry.cluster, "PersistentVolumeClaim", entry.namespace, name)
    return found.doc if found else volume.get("claimTemplate") or {}


def database_of(entry: Entry, options: Json) -> tuple[str, ...]:
    """Where, host, port and name of a database. A name inside a cluster is that cluster's."""
    args = (options.get("database") or {}).get("args") or {}
    host = str(args.get("host", entry.path))
    return entry.cluster if ".svc" in host else "", host, str(args.get("port", 5432)), str(args.get("dbname"))
