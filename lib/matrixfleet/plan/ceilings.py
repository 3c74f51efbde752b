"""How large a tenant may become: what its cluster allows, and what its programs can use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from matrixfleet.errors import Refused
from matrixfleet.model.tenants import Ceiling
from matrixfleet.model.types import bytes_of, millicores_of
from matrixfleet.plan.edge import RouterLimits
from matrixfleet.plan.workloads import Quota, Workload

MOST_THREADS = 64
"""Of one HAProxy without thread groups (its configuration manual, `nbthread`)."""
MOST_CONNECTIONS = 500_000
"""Of one HAProxy: each takes two file descriptors, and container runtimes allow 1,048,576 of them
(LimitNOFILE of containerd's unit)."""
FEWEST_CONNECTIONS = 400
"""Fewer, and a handful of open clients fills the router."""
_UNITS = (("Ti", 1024**4), ("Gi", 1024**3), ("Mi", 1024**2))


@dataclass(frozen=True, slots=True)
class Requests:
    """What Pods and volumes request."""

    cpu: int
    """Millicores."""
    memory: int
    """Bytes."""
    storage: int
    """Bytes."""
    pods: int

    def __add__(self, other: Requests) -> Requests:
        return Requests(
            self.cpu + other.cpu, self.memory + other.memory, self.storage + other.storage, self.pods + other.pods
        )


def requests_of(quota: Quota, workloads: Mapping[str, Workload]) -> Requests:
    """What a target requests: its quota, and the Pods in namespaces without one."""
    memory = quota.memory * 1024**2
    cpu, pods = quota.cpu, quota.pods
    for workload in workloads.values():
        if workload.on_nodes or workload.reads_nodes:
            pods += workload.replicas
            cpu += workload.replicas * sum(millicores_of(one.cpu) for one in workload.containers.values())
            memory += workload.replicas * sum(bytes_of(one.memory) for one in workload.containers.values())
    return Requests(cpu, memory, quota.storage, pods)


def excess(ceiling: Ceiling, requests: Requests, key: str) -> Iterator[str]:
    """A message for each value above a ceiling.

    key: the inventory's name of the ceiling
    """
    if ceiling.cpu is not None and requests.cpu > millicores_of(ceiling.cpu):
        yield f"requests {requests.cpu / 1000:g} CPU in all, more than {key}.cpu ({ceiling.cpu}) allows"
    for name, got in (("memory", requests.memory), ("storage", requests.storage)):
        most = getattr(ceiling, name)
        if most is not None and got > bytes_of(most):
            yield f"requests {_readable(got)} of {name} in all, more than {key}.{name} ({most}) allows"
    if ceiling.pods is not None and requests.pods > ceiling.pods:
        yield f"runs up to {requests.pods} Pods, more than {key}.pods ({ceiling.pods}) allows"


def _readable(size: int) -> str:
    unit, factor = next(((unit, factor) for unit, factor in _UNITS if size >= factor), ("Mi", 1024**2))
    return f"{size / factor:.3g}{unit}" if size % factor else f"{size // factor}{unit}"


def verify_size(ceiling: Ceiling, requests: Requests) -> None:
    """Refuse a tenant that asks for more than its cluster allows."""
    for message in excess(ceiling, requests, "cluster.tenants.size.tenant"):
        raise Refused(("matrix", "size"), f"{message}; expected a smaller size, fewer replicas or smaller volumes")


def verify_router(limits: RouterLimits) -> None:
    """Refuse a router that its HAProxy could not run."""
    key = ("matrix", "router", "resources")
    if limits.threads > MOST_THREADS:
        message = f"expected {MOST_THREADS} cores or fewer, HAProxy's most threads, got {limits.threads}"
        raise Refused((*key, "cpu"), f"{message}; more routers carry more: router.replicas")
    if not FEWEST_CONNECTIONS <= limits.connections <= MOST_CONNECTIONS:
        bounds = f"{FEWEST_CONNECTIONS} to {MOST_CONNECTIONS}"
        raise Refused(
            (*key, "memory"),
            f"expected memory for {bounds} connections (48Mi to 19Gi), got room for {limits.connections}",
        )


def over_cluster(ceiling: Ceiling, requests: Iterable[Requests]) -> Iterator[str]:
    """Messages where all tenants of a cluster together ask for more than it allows."""
    total = sum(requests, Requests(0, 0, 0, 0))
    for message in excess(ceiling, total, "cluster.tenants.size.cluster"):
        yield f"its tenants together: {message}"
