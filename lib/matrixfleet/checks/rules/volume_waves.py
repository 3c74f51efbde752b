"""A claim comes in the wave of the first Pod that mounts it, and a claim that is not for many has one Pod.

With WaitForFirstConsumer a claim in an earlier wave stays Pending, and the sync waits for it for ever
(argo-cd#12840). One that nobody mounts now comes last: nothing waits behind it. ReadWriteOncePod is what makes a
second main process impossible: a second workload or a second replica would never start. Replicas are said outright:
where they are not, an autoscaler sets them.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.pods import references
from matrixfleet.checks.tree import Entry, Finding, Json, Tree

LAST = 7
"""The wave that nothing comes behind."""
MANY = {"ReadWriteMany", "ReadOnlyMany"}
"""Access modes that Pods on different nodes may share."""


def check(tree: Tree) -> Iterator[Finding]:
    """Claims with those that mount them, then claim templates."""
    consumers: dict[tuple[str, str, str], list[Entry]] = {}
    for pod in tree.pods:
        for name in {one.name for one in references(pod) if one.kind == "PersistentVolumeClaim"}:
            consumers.setdefault((pod.entry.cluster, pod.entry.namespace, name), []).append(pod.entry)
        for template in pod.entry.spec.get("volumeClaimTemplates", []):
            for fault in unsaid(template["spec"]):
                message = f"claim template {template['metadata']['name']}: {fault}"
                yield tree.finding(pod.entry, "volume-waves", message)
    for entry in tree.of_kind("PersistentVolumeClaim"):
        users = consumers.get((entry.cluster, entry.namespace, entry.name), [])
        for fault in (*unsaid(entry.spec), *of_users(entry, users)):
            yield tree.finding(entry, "volume-waves", fault)


def unsaid(spec: Json) -> Iterator[str]:
    """What a claim leaves open."""
    for key in ("storageClassName", "accessModes"):
        if not spec.get(key):
            yield f"expected {key}, got none: what a default means differs by cluster"


def of_users(claim: Entry, users: list[Entry]) -> Iterator[str]:
    """A claim and the workloads that mount it."""
    if not users:
        yield "expected a Pod that mounts it, there is none"
        return
    # Of a stopped tenant: its workloads are there, and have no Pods.
    users = [user for user in users if count(user) != 0] or users
    first = min(users, key=lambda user: user.wave)
    if count(first) == 0:
        if claim.wave != LAST:
            yield f"expected wave {LAST}, the last, since {first} has no Pods to mount it, got {claim.wave}"
    elif first.wave != claim.wave:
        yield f"expected wave {first.wave}, that of {first}, which mounts it first, got {claim.wave}"
    modes = claim.spec.get("accessModes") or []
    if modes and not MANY.intersection(modes):
        if len(users) > 1:
            yield f"is {modes[0]}, expected one workload that mounts it, got {', '.join(map(str, users))}"
        for user in users:
            if count(user) not in (0, 1):
                yield f"is {modes[0]}, expected {user} to say 0 or 1 replicas, got {count(user)}"


def count(entry: Entry) -> int | None:
    """How many Pods of a workload there are at once; None where it does not say."""
    found: int | None = entry.spec.get("parallelism", 1) if entry.kind == "Job" else entry.spec.get("replicas")
    return found
