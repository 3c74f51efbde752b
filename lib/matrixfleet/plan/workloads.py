"""What runs, with what resources: the table that Pods, quota and labels are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrixfleet.model import Cluster, Image, Release, Resources, Tenant
from matrixfleet.model.choices import Backup, Database, Media, Metrics, Pooling, Secrets
from matrixfleet.model.cluster import EdgeSpec
from matrixfleet.model.logs import LogCollection
from matrixfleet.model.tenant import Element
from matrixfleet.model.turn import METRICS
from matrixfleet.model.types import bytes_of, millicores_of
from matrixfleet.model.workers import WorkerResources
from matrixfleet.plan import backup, waves
from matrixfleet.plan.probes import CANARY
from matrixfleet.plan.processes import Kind, Process
from matrixfleet.plan.storage import media_keeper

if TYPE_CHECKING:
    from matrixfleet.plan.turn import TurnServer

METRICS_OF_COTURN = METRICS
METRICS_OF_PROBES = 9115
"""Where the exporter that tries addresses listens, its default."""

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
    containers: Mapping[str, Resources | WorkerResources]
    """Requests and limits of each container, init containers included."""
    ports: Mapping[str, int]
    """Named TCP ports that its Service offers."""
    sidecars: Mapping[str, Image] = field(default_factory=dict)
    """Containers of another image, each as that image's user."""
    metrics_path: str = ""
    """Where its port `metrics` answers Prometheus."""
    autoscaled: bool = False
    """Whether an autoscaler sets its number."""
    on_nodes: bool = False
    """On the nodes' own network: in a namespace of its own, under no NetworkPolicy and no quota."""
    reads_nodes: bool = False
    """Reads the nodes' own files: in a namespace of its own, under no quota."""


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
    claims: tuple[str, ...] = ()
    """Sizes of the volumes that it claims."""


def _synapse(process: Process, image: Image, joins: Mapping[str, Resources], sidecars: Mapping[str, Image]) -> Workload:
    """A Synapse process as a workload. Health has a listener of its own: a probe waits for no request."""
    ports = {"metrics": 9092, "health": 8081}
    if process.serves:
        ports = {"http": 8008} | ports
    if process.replicates:
        ports |= {"replication": 9093}
    main = process.kind is Kind.MAIN
    return Workload(
        process.component,
        "synapse",
        image,
        process.replicas,
        process.most - process.replicas + process.surge,
        waves.MAIN if main else waves.WORKERS,
        {"signing-key": _GENERATOR, **joins, "synapse": process.resources},
        ports,
        sidecars,
        metrics_path="/_synapse/metrics",
        autoscaled=bool(process.autoscale_cpu) and process.replicas > 0,
    )


def bootstrap_workload(release: Release) -> Workload:
    """The Job that makes Secrets."""
    resources = {"bootstrap": _GENERATOR}
    return Workload("bootstrap", "bootstrap", release.images.synapse, 1, 0, waves.SECRETS, resources, {})


def element_workload(spec: Element, release: Release, scraped: bool) -> Workload:
    """Element Web behind its nginx."""
    return Workload(
        "element",
        "element-web",
        release.images.element_web,
        spec.replicas,
        1,
        waves.FRONT,
        {"nginx": spec.resources} | ({"exporter": _HELPER} if scraped else {}),
        {"http": 8080} | ({"metrics": 9113} if scraped else {}),
        {"exporter": release.images.nginx_exporter},
        "/metrics" if scraped else "",
    )


def turn_workload(turn: TurnServer, release: Release) -> Workload:
    """Coturn. Its metrics only in a Pod network, where a NetworkPolicy admits Prometheus alone: on a node
    they would listen where the world, or whoever shares the node's network, can ask."""
    return Workload(
        "turn",
        "coturn",
        release.images.coturn,
        0 if turn.on_nodes else 1,
        0,
        waves.TURN,
        {"configuration": _HELPER, "coturn": turn.resources},
        turn.listens if turn.on_nodes else turn.listens | {"metrics": METRICS_OF_COTURN},
        metrics_path="" if turn.on_nodes else "/metrics",
        on_nodes=turn.on_nodes,
    )


def logs_workload(spec: LogCollection, release: Release, scraped: bool) -> Workload:
    """The agent that reads logs, one a node."""
    ports = {"metrics": 9598} if scraped else {}
    containers = {"vector": spec.resources}
    path = "/metrics" if scraped else ""
    image = release.images.vector
    return Workload("logs", "vector", image, 0, 0, waves.FRONT, containers, ports, metrics_path=path, reads_nodes=True)


def probes_workload(release: Release) -> Workload:
    """What tries public addresses, for all tenants of the cluster."""
    image, ports = release.images.blackbox_exporter, {"metrics": METRICS_OF_PROBES}
    return Workload(
        "probes", "blackbox-exporter", image, 1, 1, waves.FRONT, {"blackbox": _HELPER}, ports, metrics_path="/metrics"
    )


def _database(tenant: Tenant, release: Release, scraped: bool, standby: bool) -> Iterator[Workload]:
    """What of PostgreSQL is ours to run; an operator's Pods are guests."""
    spec, images = tenant.database, release.images
    if spec.kind is Database.STATEFULSET:
        containers = {"initdb": _GENERATOR, "postgresql": spec.resources, "reconciler": _HELPER}
        image = images.postgresql
        if "postgresql" in backup.buckets_of(tenant):
            # The same PostgreSQL, with the tools.
            image = images.backup
            containers |= dict(_tools(tenant))
        yield Workload(
            "postgresql",
            "postgresql",
            image,
            1,
            0,
            waves.DATABASE,
            containers | ({"exporter": _HELPER} if scraped else {}),
            {"postgresql": 5432} | ({"metrics": 9187} if scraped else {}),
            {"exporter": images.postgres_exporter},
            "/metrics" if scraped else "",
        )
    if spec.kind is not Database.EXTERNAL and not standby:
        # In the server's wave, since it waits for the server, and done before Synapse's.
        yield Workload("roles", "postgresql", images.postgresql, 1, 0, waves.DATABASE, {"roles": _HELPER}, {})
    if spec.pooling is Pooling.PGBOUNCER and spec.kind in (Database.STATEFULSET, Database.EXTERNAL):
        yield Workload(
            "pgbouncer",
            "pgbouncer",
            images.pgbouncer,
            spec.pgbouncer.replicas,
            1,
            waves.DATABASE,
            {"users": _HELPER, "pgbouncer": spec.pgbouncer.resources} | ({"exporter": _HELPER} if scraped else {}),
            {"postgresql": 5432} | ({"metrics": 9127} if scraped else {}),
            {"exporter": images.pgbouncer_exporter},
            "/metrics" if scraped else "",
        )


def _tools(tenant: Tenant) -> Iterator[tuple[str, Resources]]:
    """The containers beside PostgreSQL that archive it and bring it back."""
    resources = tenant.backup.resources
    if backup.archives(tenant):
        yield backup.ARCHIVE, resources
        yield backup.SIDECAR, resources
    if tenant.restore:
        yield "restore", resources


def _backups(tenant: Tenant, release: Release) -> Iterator[Workload]:
    """What makes and tries backups by the clock, and while a restore is said its Job."""
    spec, image = tenant.backup, release.images.backup
    if spec.kind is Backup.NONE:
        return
    # A drill runs a whole server.
    resources = dict.fromkeys(backup.by_the_clock(tenant), spec.resources) | {"drill": tenant.database.resources}
    for name, needs in resources.items():
        yield Workload(name, "backup", image, 1, 0, waves.FRONT, {name: needs}, {})
    if tenant.restore:
        # Behind the database, and in nobody's way.
        yield Workload("restore", "backup", image, 1, 0, waves.MAIN, {"restore": spec.resources}, {})


def workloads_of(
    tenant: Tenant, cluster: Cluster, release: Release, processes: tuple[Process, ...], turn: TurnServer | None
) -> dict[str, Workload]:
    """The workloads of a tenant, by component."""
    images = release.images
    scraped = cluster.metrics is not Metrics.NONE
    joins = {"email": _HELPER} if tenant.email and tenant.email.user else {}
    bucket = tenant.media.kind is Media.S3
    cleans = {media_keeper(tenant): {"cache": _HELPER}} if bucket else {}
    backs_up = {component: {backup.SIDECAR: tenant.backup.resources} for component in backup.duties(tenant)}
    found = [
        *_database(tenant, release, scraped, tenant.follows(cluster.name)),
        *(
            _synapse(
                process,
                images.synapse_s3 if bucket else images.synapse,
                joins | cleans.get(process.component, {}) | backs_up.get(process.component, {}),
                {backup.SIDECAR: images.backup} if process.component in backs_up else {},
            )
            for process in processes
        ),
        *_backups(tenant, release),
        Workload(
            "router",
            "haproxy",
            images.haproxy,
            tenant.router.replicas,
            1,
            waves.FRONT,
            {"haproxy": tenant.router.resources},
            {"http": 8080, "metrics": 8405},
            metrics_path="/metrics",
        ),
    ]
    if tenant.workers.any:
        found.append(
            Workload(
                "redis",
                "redis",
                images.redis,
                1,
                0,
                waves.DATABASE,
                {"configuration": _HELPER, "redis": tenant.redis.resources}
                | ({"exporter": _HELPER} if scraped else {}),
                {"redis": 6379} | ({"metrics": 9121} if scraped else {}),
                {"exporter": images.redis_exporter},
                "/metrics" if scraped else "",
            )
        )
    if tenant.probes.canary:
        found.append(Workload(CANARY, CANARY, images.synapse, 1, 0, waves.FRONT, {CANARY: _HELPER}, {}))
    if cluster.secrets.kind is Secrets.KUBERNETES:
        found.insert(0, bootstrap_workload(release))
    if tenant.hosts.element:
        found.append(element_workload(tenant.element, release, scraped))
    if turn:
        found.append(turn_workload(turn, release))
    return {workload.component: workload for workload in found}


def guests_of(edge: EdgeSpec) -> tuple[Guest, ...]:
    """The guests. cert-manager solves HTTP-01 with a Pod a host in the certificate's namespace (its
    resources: cert-manager's defaults, flags --acme-http01-solver-resource-*), where it makes the edge's
    certificates."""
    if not edge.reads_secrets or edge.certificate_namespace:
        return ()
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
    balancers: int
    """Services of type LoadBalancer."""
    node_ports: int
    """One for each port of those: clouds send through them."""


def quota_of(
    workloads: Mapping[str, Workload], guests: tuple[Guest, ...], claims: tuple[str, ...], turn: TurnServer | None
) -> Quota:
    """What a namespace may ask for: everything that is drawn, with every rollout at once and every guest
    present, and nothing more. An init container counts where it asks for more than the rest (Kubernetes
    counts the larger of the two); the sum is always enough."""
    cpu = memory = pods = 0
    for workload in workloads.values():
        if workload.on_nodes or workload.reads_nodes:
            continue
        count = workload.replicas + workload.surge
        # A stopped main process must be able to start again within the quota.
        count = max(count, 1)
        pods += count
        cpu += count * sum(millicores_of(one.cpu) for one in workload.containers.values())
        memory += count * sum(bytes_of(one.memory) for one in workload.containers.values())
    claims = (*claims, *(size for guest in guests for size in guest.claims))
    for guest in guests:
        pods += guest.count
        cpu += guest.count * millicores_of(guest.resources.cpu)
        memory += guest.count * bytes_of(guest.resources.memory)
    offered = len(turn.ports) + len(turn.relays) if turn and not turn.on_nodes else 0
    storage = sum(map(bytes_of, claims))
    return Quota(cpu, -(-memory // 1024**2), pods, len(claims), storage, 1 if offered else 0, offered)
