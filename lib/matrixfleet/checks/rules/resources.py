"""Every container asks for CPU, memory and ephemeral storage, and each namespace's quota has room for all of it.

Memory is requested as it is limited, so that a Pod is never the node's first choice to evict. A quota that
is too small shows only when a rollout hangs: here the surge of every rollout is counted at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from matrixfleet.checks.scaling import key_of, most, scalers
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree

UNITS = {"": Decimal(1), "m": Decimal("0.001")}
UNITS |= {prefix: Decimal(1000) ** (power + 1) for power, prefix in enumerate("kMGTPE")}
UNITS |= {f"{prefix}i": Decimal(1024) ** (power + 1) for power, prefix in enumerate("KMGTPE")}
ASKED = ("requests.cpu", "requests.memory", "limits.memory")


def check(tree: Tree) -> Iterator[Finding]:
    """Containers, then the sums of each namespace."""
    for pod in tree.pods:
        for one in pod.containers:
            yield from (tree.finding(pod.entry, "resources", fault) for fault in container_faults(one))
    fences = {kind: by_place(tree.of_kind(kind)) for kind in ("ResourceQuota", "LimitRange", "PersistentVolumeClaim")}
    operators = by_place(tree.of_kind("Cluster", "Pooler"))
    services, scaled = by_place(tree.of_kind("Service")), scalers(tree)
    for place in sorted({(pod.entry.cluster, pod.entry.namespace) for pod in tree.pods}):
        pods = tree.pods_in(*place)
        for kind in ("ResourceQuota", "LimitRange"):
            # A DaemonSet has as many Pods as there are nodes: no quota knows.
            uncounted = all(pod.host_network or pod.entry.kind == "DaemonSet" for pod in pods)
            if place not in fences[kind] and not uncounted:
                message = f"expected a {kind} in its namespace {place[1]}, got none"
                yield tree.finding(pods[0].entry, "resources", message)
        counted = [(pod, most(pod.entry, scaled.get(key_of(pod.entry)))) for pod in pods]
        sums = sums_of(counted, fences["PersistentVolumeClaim"].get(place, []))
        sums |= balancers_of(services.get(place, []))
        for key, more in operated(operators.get(place, [])).items():
            sums[key] += more
        for quota in fences["ResourceQuota"].get(place, []):
            for key, needed in sums.items():
                room = quota.spec["hard"].get(key)
                if room is None or amount(room) < needed:
                    message = f"{key}: expected {needed:f} or more, which all Pods ask for, got {room}"
                    yield tree.finding(quota, "resources", message)


def by_place(entries: list[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Objects by cluster and namespace."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.cluster, entry.namespace), []).append(entry)
    return found


def amount(quantity: object) -> Decimal:
    """A Kubernetes quantity in its base unit: cores, bytes, pieces."""
    text = str(quantity)
    number = text.rstrip("".join(UNITS))
    return Decimal(number) * UNITS[text[len(number) :]]


def container_faults(one: Json) -> Iterator[str]:
    """What a container lacks."""
    resources = one.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for key in ("cpu", "memory", "ephemeral-storage"):
        if key not in requests:
            yield f"container {one['name']}: expected a request of {key}, got none"
    if "memory" not in limits or amount(limits["memory"]) != amount(requests.get("memory", 0)):
        asked, limit = requests.get("memory"), limits.get("memory")
        yield f"container {one['name']}: expected a limit of memory equal to its request {asked}, got {limit}"


def asked_of(pod: Pod, key: str) -> Decimal:
    """What the scheduler counts of a Pod: the larger of any init container and all that run together."""
    section, _, name = key.partition(".")

    def get(one: Json) -> Decimal:
        return amount(((one.get("resources") or {}).get(section) or {}).get(name, 0))

    beside = peak = Decimal(0)
    for one in pod.spec.get("initContainers", []):
        peak = max(peak, beside + get(one))
        # A sidecar stays beside all that comes after it.
        beside += get(one) if one.get("restartPolicy") == "Always" else 0
    return max(peak, beside + sum(map(get, pod.spec["containers"])))


def sums_of(counted: list[tuple[Pod, int]], claims: list[Entry]) -> dict[str, Decimal]:
    """What a quota must have room for."""
    specs: list[Any] = [claim.spec for claim in claims]
    for pod, count in counted:
        specs += [template["spec"] for template in pod.entry.spec.get("volumeClaimTemplates", [])] * count
        claimed = (one["ephemeral"]["volumeClaimTemplate"] for one in pod.volumes.values() if "ephemeral" in one)
        specs += [template["spec"] for template in claimed] * count
    return {
        **{key: sum((asked_of(pod, key) * count for pod, count in counted), Decimal(0)) for key in ASKED},
        "pods": Decimal(sum(count for _, count in counted)),
        "persistentvolumeclaims": Decimal(len(specs)),
        "requests.storage": sum((amount(spec["resources"]["requests"]["storage"]) for spec in specs), Decimal(0)),
    }


def operated(entries: list[Entry]) -> dict[str, Decimal]:
    """What CloudNativePG will ask for: its instances with their volumes, and its poolers."""
    sums = dict.fromkeys([*ASKED, "pods", "persistentvolumeclaims", "requests.storage"], Decimal(0))
    for entry in entries:
        count, resources = entry.spec.get("instances", 1), entry.spec.get("resources") or {}
        if entry.kind == "Pooler":
            resources = entry.spec["template"]["spec"]["containers"][0]["resources"]
        else:
            sums["persistentvolumeclaims"] += count
            sums["requests.storage"] += amount(entry.spec["storage"]["size"]) * count
        sums["pods"] += count
        for key in ASKED:
            section, _, name = key.partition(".")
            sums[key] += amount((resources.get(section) or {}).get(name, 0)) * count
    return sums


def balancers_of(services: list[Entry]) -> dict[str, Decimal]:
    """Balancers, and a port of the nodes for each of theirs unless they are told to do without."""
    found = [service.spec for service in services if service.spec.get("type") == "LoadBalancer"]
    allocated = [spec for spec in found if spec.get("allocateLoadBalancerNodePorts", True)]
    ports = sum(len(spec["ports"]) for spec in allocated)
    return {"services.loadbalancers": Decimal(len(found)), "services.nodeports": Decimal(ports)}
