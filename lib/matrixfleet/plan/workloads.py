"""What runs, with what resources: the table that Pods, quota and labels are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matrixfleet.model import Cluster, Image, Release, Resources, Tenant
from matrixfleet.model.choices import Secrets, Turn
from matrixfleet.model.types import bytes_of, millicores_of
from matrixfleet.plan import waves
from matrixfleet.plan.processes import Process

_HELPER = Resources(cpu="10m", memory="64Mi")
_GENERATOR = Resources(cpu="50m", memory="256Mi")


@dataclass(frozen=True, slots=True)
class Workload:
    """One Deployment, StatefulSet, DaemonSet or Job."""

    component: str
    """Names its objects, and is its app.kubernetes.io/component."""
    software: str
    """app.kubernetes.io/name."""
    image: Image
    replicas: int
    """Pods at rest; for a DaemonSet the Pods counted in the quota."""
    surge: int
    """Pods on top while a rollout goes on."""
    wave: int
    containers: Mapping[str, Resources]
    """Requests and limits of each container, init containers included."""
    ports: Mapping[str, int]
    """Named TCP ports that its Service offers."""
    metrics_path: str = ""
    """Where its port `metrics` answers Prometheus."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Pods that an operator makes in the tenant's namespace: not ours, but quota and policies must
    have room for them."""

    name: str
    selector: Mapping[str, str]
    ports: Mapping[str, int]
    resources: Resources
    count: int
    reason: str


def workloads_of(
    tenant: Tenant, cluster: Cluster, release: Release, processes: tuple[Process, ...]
) -> dict[str, Workload]:
    """The workloads of a tenant, by component."""
    images = release.images
    main = next(process for process in processes if process.name == "main")
    found = [
        Workload(
            "postgresql",
            "postgresql",
            images.postgresql,
            1,
            0,
            waves.DATABASE,
            {"initdb": _GENERATOR, "postgresql": tenant.database.resources, "reconciler": _HELPER},
            {"postgresql": 5432},
        ),
        # In the server's wave, since it waits for the server, and done before Synapse's.
        Workload("roles", "postgresql", images.postgresql, 1, 0, waves.DATABASE, {"roles": _HELPER}, {}),
        Workload(
            "synapse",
            "synapse",
            images.synapse,
            main.replicas,
            0,
            waves.MAIN,
            {"signing-key": _GENERATOR, "synapse": main.resources},
            {"http": 8008, "metrics": 9092},
            "/_synapse/metrics",
        ),
        Workload(
            "router",
            "haproxy",
            images.haproxy,
            1,
            1,
            waves.FRONT,
            {"haproxy": tenant.router.resources},
            {"http": 8080, "metrics": 8405},
            "/metrics",
        ),
    ]
    if cluster.secrets.kind is Secrets.KUBERNETES:
        bootstrap = {"bootstrap": _GENERATOR}
        found.insert(0, Workload("bootstrap", "bootstrap", images.synapse, 1, 0, waves.SECRETS, bootstrap, {}))
    if tenant.hosts.element:
        found.append(
            Workload(
                "element",
                "element-web",
                images.element_web,
                1,
                1,
                waves.FRONT,
                {"nginx": tenant.element.resources},
                {"http": 8080},
            )
        )
    if tenant.turn.kind is Turn.DAEMONSET:
        found.append(
            Workload(
                "turn",
                "coturn",
                images.coturn,
                0,
                0,
                waves.TURN,
                {"configuration": _HELPER, "coturn": tenant.turn.resources},
                {"turn": tenant.turn.port, "turns": tenant.turn.tls_port},
            )
        )
    return {workload.component: workload for workload in found}


def guests_of() -> tuple[Guest, ...]:
    """The guests. cert-manager solves HTTP-01 with a Pod a host in the certificate's namespace (its
    resources: cert-manager's defaults, flags --acme-http01-solver-resource-*)."""
    return (
        Guest(
            "acme-solver",
            {"acme.cert-manager.io/http01-solver": "true"},
            {"http": 8089},
            Resources(cpu="100m", memory="64Mi"),
            3,
            "cert-manager's HTTP-01 solver answers the certificate authority through the edge",
        ),
    )


@dataclass(frozen=True, slots=True)
class Quota:
    """A namespace's ResourceQuota."""

    cpu: int
    """Millicores requested at most."""
    memory: int
    """MiB requested and limited at most."""
    pods: int
    claims: int
    storage: int
    """Bytes of all claims."""


def quota_of(workloads: Mapping[str, Workload], guests: tuple[Guest, ...], claims: tuple[str, ...]) -> Quota:
    """What a namespace may ask for: everything that is drawn, with every rollout at once and every guest
    present, and nothing more. An init container counts where it asks for more than the rest (Kubernetes
    counts the larger of the two); the sum is always enough."""
    cpu = memory = pods = 0
    for workload in workloads.values():
        count = workload.replicas + workload.surge
        # A stopped main process must be able to start again within the quota.
        count = max(count, 1)
        pods += count
        cpu += count * sum(millicores_of(one.cpu) for one in workload.containers.values())
        memory += count * sum(bytes_of(one.memory) for one in workload.containers.values())
    for guest in guests:
        pods += guest.count
        cpu += guest.count * millicores_of(guest.resources.cpu)
        memory += guest.count * bytes_of(guest.resources.memory)
    return Quota(cpu, -(-memory // 1024**2), pods, len(claims), sum(map(bytes_of, claims)))
