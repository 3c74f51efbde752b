"""Who talks to whom, and why. One component draws these as NetworkPolicies; what is not here is denied.

The outside has no names in a NetworkPolicy, only Pods and networks: the cluster class says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrixfleet.model import Cluster, Peer, Tenant
from matrixfleet.model.choices import Metrics
from matrixfleet.model.cluster import Network
from matrixfleet.model.peers import Reach
from matrixfleet.plan.backup import CLIENTS, Archive, archived_by_operator, buckets_of, duties
from matrixfleet.plan.edge import FEDERATION_PORT
from matrixfleet.plan.oidc import HTTPS, logins_of
from matrixfleet.plan.probes import CANARY
from matrixfleet.plan.processes import Kind, Process
from matrixfleet.plan.storage import media_keeper
from matrixfleet.plan.workloads import Guest, Workload

if TYPE_CHECKING:
    from matrixfleet.plan.database import Door, Reached
    from matrixfleet.plan.turn import TurnServer

TCP, UDP = "TCP", "UDP"
EDGE = "the edge"
FEDERATION = "federation: servers delegate to any port"


@dataclass(frozen=True, slots=True)
class Outside:
    """One side of a flow that is not the tenant's."""

    name: str
    peers: tuple[Peer, ...] = ()
    internet_of: Network | None = None
    """Everything that is not private or special as seen from a cluster."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Connections that are opened from one side to the other."""

    source: str | Outside
    """A component or a guest of the tenant, or the outside."""
    target: str | Outside
    ports: tuple[tuple[str, int] | tuple[str, int, int], ...]
    """Protocol and port, or first and last of a range; empty means every TCP port."""
    reason: str

    @property
    def source_name(self) -> str:
        """For people."""
        return self.source if isinstance(self.source, str) else self.source.name

    @property
    def target_name(self) -> str:
        """For people."""
        return self.target if isinstance(self.target, str) else self.target.name

    @property
    def ports_told(self) -> str:
        """For people: "TCP 443", "UDP 49152 to 49191"."""
        told = (f"{protocol} {' to '.join(map(str, numbers))}" for protocol, *numbers in self.ports)
        return ", ".join(told) or "every TCP port"


ANYWHERE = Outside("anywhere", (Peer(cidrs=("0.0.0.0/0", "::/0")),))
"""Whoever is sent by a balancer: clients, and their peers."""


def _internet(network: Network) -> Outside:
    return Outside("the Internet", internet_of=network)


def edge_peers(cluster: Cluster) -> Iterator[tuple[Outside, tuple[tuple[str, int], ...]]]:
    """The edge as a destination, and its ports. A public name that this cluster serves resolves to a balancer's
    address, which most CNIs rewrite to the edge's Pod before they ask a policy (projectcalico/calico#10664,
    antrea-io/antrea#8179, kubernetes-sigs/network-policy-api#185): "the Internet" does not hold that Pod. Others ask
    before, and a balancer with a private address is not the Internet either."""
    edge = cluster.edge
    offered = (HTTPS, FEDERATION_PORT) if edge.federation_on_8448 else (HTTPS,)
    served = tuple((TCP, port) for port in dict.fromkeys((*offered, *edge.pod_ports)))
    pods = tuple(peer for peer in edge.peers if peer.namespace)
    if pods:
        yield Outside(EDGE, pods), tuple((TCP, port) for port in edge.pod_ports)
    networks = tuple(peer for peer in edge.peers if peer.cidrs)
    if edge.addresses:
        networks = (*networks, Peer(cidrs=edge.addresses))
    if networks:
        yield Outside(EDGE, networks), served


def internet_flows(source: str, cluster: Cluster, ports: tuple[tuple[str, int], ...], reason: str) -> Iterator[Flow]:
    """TCP to the Internet by name, and to the edge where such a name is one that this cluster serves."""
    yield Flow(source, _internet(cluster.network), ports, reason)
    for edge, served in edge_peers(cluster):
        yield Flow(source, edge, served, f"under names that this cluster serves: {reason}")


def _process_flows(
    process: Process, processes: tuple[Process, ...], workloads: Mapping[str, Workload]
) -> Iterator[Flow]:
    """Between a Synapse process, the router, Redis and its peers."""
    ports = workloads[process.component].ports
    if process.serves:
        checked = (TCP, ports["http"]), (TCP, ports["health"])
        yield Flow("router", process.component, checked, "requests, and whether it is there")
    if "redis" in workloads:
        redis = ((TCP, workloads["redis"].ports["redis"]),)
        yield Flow(process.component, "redis", redis, "what one process tells the others")
    for peer in processes:
        if peer is not process and "replication" in workloads[peer.component].ports:
            port = ((TCP, workloads[peer.component].ports["replication"]),)
            yield Flow(process.component, peer.component, port, "replication requests to a stream's writer")


def _outward(process: Process, tenant: Tenant, cluster: Cluster) -> Iterator[Flow]:
    """What a process opens to the Internet. Servers delegate federation to any port, and links may name
    one; without either it is the ports of what was named."""
    synapse = tenant.synapse
    previews = synapse.url_previews and process.component in ("synapse", "media-repository")
    reasons = [
        FEDERATION if synapse.federation.enabled else "",
        "URL previews" if previews else "",
        "push gateways" if process.component in ("synapse", "pusher") else "",
    ]
    ports = {HTTPS}
    if process.kind is Kind.MAIN:
        # Single sign-on is main's alone.
        for login in logins_of(tenant.auth.providers):
            if not login.said.reach:
                ports.update(login.ports)
                reasons.append(f"log-in by {login.id}")
    if tenant.email and not tenant.email.reach:
        ports.add(tenant.email.port)
        reasons.append("mail")
    bucket = tenant.media.s3
    if bucket and not bucket.reach and process.component == media_keeper(tenant):
        ports.add(bucket.port)
        reasons.append("media in its bucket")
    for kept in buckets_of(tenant).get(process.component, ()):
        if not kept.reach:
            ports.add(kept.port)
            reasons.append("backups in their bucket")
    if any(not service.reach for service in tenant.appservices.values()):
        reasons.append("application services")
    every = synapse.federation.enabled or previews
    told = ", ".join(filter(None, dict.fromkeys(reasons))) or "HTTPS"
    where = () if every else tuple((TCP, port) for port in sorted(ports))
    return internet_flows(process.component, cluster, where, told)


def private_flows(tenant: Tenant, processes: tuple[Process, ...], router: int) -> Iterator[Flow]:
    """What Synapse talks to in private networks, and the Pods of bridges that talk to it through the router."""
    talking = [process.component for process in processes if process.internet]

    def to(name: str, reach: tuple[Reach, ...], reason: str, sources: list[str]) -> Iterator[Flow]:
        for one in reach:
            for source in sources:
                yield Flow(source, Outside(name, (one,)), ((TCP, one.port),), reason)

    for login in logins_of(tenant.auth.providers):
        why = f"log-in by {login.id}: discovery, tokens, keys"
        yield from to(f"OpenID provider {login.id}", login.said.reach, why, talking[:1])
    if tenant.email:
        yield from to("the mail server", tenant.email.reach, "mail", talking)
    if bucket := tenant.media.s3:
        yield from to("the bucket", bucket.reach, "media", [media_keeper(tenant)])
    for name, service in tenant.appservices.items():
        events = "events, and questions about its users and rooms"
        yield from to(f"application service {name}", service.reach, events, talking)
        for one in service.reach:
            if one.namespace:
                bridge = Outside(f"application service {name}", (one,))
                yield Flow(bridge, "router", ((TCP, router),), "client API")


def module_flows(tenant: Tenant, processes: tuple[Process, ...]) -> Iterator[Flow]:
    """What modules ask: any process of Synapse loads them all."""
    for module in tenant.modules:
        for one in module.reach:
            where = Outside(f"module {module.id}", (one,))
            for process in processes:
                yield Flow(process.component, where, ((TCP, one.port),), "what the module asks")


def backup_flows(tenant: Tenant, cluster: Cluster, server: Door) -> Iterator[Flow]:
    """The way to the buckets of backups, and to PostgreSQL itself. Synapse's own way to the Internet is said with its
    other reasons to go there."""
    dns, processes = Outside("cluster DNS", cluster.network.dns), duties(tenant)
    for component, buckets in buckets_of(tenant).items():
        if component not in processes:
            if component != "postgresql" or not archived_by_operator(tenant):
                # Instances of CloudNativePG ask it for more, and have it already.
                yield Flow(component, dns, ((UDP, 53), (TCP, 53)), "finds the bucket")
            ports = sorted({bucket.port for bucket in buckets if not bucket.reach})
            if ports:
                where = tuple((TCP, port) for port in ports)
                yield from internet_flows(component, cluster, where, "backups in their bucket")
        where_to: list[Reach] = []
        for one in (peer for bucket in buckets for peer in bucket.reach):
            # Two buckets of one server are one destination. A peer has a mapping in it, so it cannot be a key.
            if one not in where_to:
                where_to.append(one)
        for one in where_to:
            yield Flow(component, Outside("the bucket of backups", (one,)), ((TCP, one.port),), "backups")
        if component in CLIENTS:
            yield Flow(component, server.place, ((TCP, server.port),), CLIENTS[component])


def archive_flows(cluster: Cluster, archive: Archive | None) -> Iterator[Flow]:
    """The way of the platform's instances to the bucket that they archive to."""
    if archive:
        port, why = ((TCP, archive.bucket.port),), "its log and base backups"
        for one in archive.bucket.reach:
            yield Flow("postgresql", Outside("the bucket of backups", (one,)), port, why)
        if not archive.bucket.reach:
            yield from internet_flows("postgresql", cluster, port, why)


def api_flows(source: str, cluster: Cluster, reason: str) -> Iterator[Flow]:
    """To the Kubernetes API: its endpoints, and its Service where policies may see that."""
    for networks, port in cluster.network.api_server.ways:
        yield Flow(source, Outside("the Kubernetes API", (Peer(cidrs=networks),)), ((TCP, port),), reason)


def bootstrap_flows(cluster: Cluster) -> Iterator[Flow]:
    """The Job that makes Secrets."""
    return api_flows("bootstrap", cluster, "creates Secrets that are absent")


def logs_flows(cluster: Cluster, workloads: Mapping[str, Workload]) -> Iterator[Flow]:
    """The agent that reads logs."""
    store = cluster.logs.store
    if "logs" not in workloads or store is None:
        return
    yield from api_flows("logs", cluster, "whose Pods run on its node")
    yield Flow("logs", Outside("cluster DNS", cluster.network.dns), ((UDP, 53), (TCP, 53)), "finds the logs' store")
    for one in store.reach:
        yield Flow("logs", Outside("the logs' store", (one,)), ((TCP, one.port),), "log lines")
    if not store.reach:
        yield from internet_flows("logs", cluster, ((TCP, store.port),), "log lines")


def probe_flows(cluster: Cluster, workloads: Mapping[str, Workload]) -> Iterator[Flow]:
    """What tries public addresses: where they lead back into the cluster, to the edge's own Pods."""
    if "probes" in workloads:
        asks = "asks what the world asks: any port that a tenant offers"
        yield Flow("probes", Outside("cluster DNS", cluster.network.dns), ((UDP, 53), (TCP, 53)), "finds hosts")
        yield from internet_flows("probes", cluster, (), asks)


def turn_flows(turn: TurnServer, cluster: Cluster) -> tuple[Flow, ...]:
    """Of a Coturn in a Pod network; on the nodes' network no NetworkPolicy reaches it."""
    if turn.on_nodes:
        return ()
    relay = turn.relay_ports
    asked = tuple((port.protocol, port.number) for port in turn.ports)
    return (
        Flow(ANYWHERE, "turn", asked, "clients ask for relays, through the balancer"),
        Flow(ANYWHERE, "turn", ((UDP, relay.first, relay.last),), "peers send media to relays, through the balancer"),
        Flow("turn", _internet(cluster.network), ((UDP, 1, 65535),), "relays media to peers, on any port"),
    )


def flows_of(
    tenant: Tenant,
    cluster: Cluster,
    processes: tuple[Process, ...],
    workloads: Mapping[str, Workload],
    guests: tuple[Guest, ...],
    turn: TurnServer | None,
    database: Reached,
) -> tuple[Flow, ...]:
    """Every flow of a tenant but its operators'. A Coturn on the nodes' network is not here: it is under no
    NetworkPolicy."""
    network = cluster.network
    edge = Outside(EDGE, cluster.edge.peers)
    dns = Outside("cluster DNS", network.dns)
    lookup = ((UDP, 53), (TCP, 53))
    router = workloads["router"].ports
    server, door = (((TCP, one.port),) for one in (database.server, database.door))

    flows = [
        Flow(edge, "router", ((TCP, router["http"]),), "client and federation API, .well-known"),
        Flow("router", dns, lookup, "finds Synapse"),
    ]
    if "roles" in workloads:
        flows.append(Flow("roles", database.server.place, server, "sees to Synapse's role"))
        flows.append(Flow("roles", dns, lookup, "finds PostgreSQL"))
    if "pgbouncer" in workloads:
        flows.append(Flow("pgbouncer", database.server.place, server, "the sessions of its clients"))
        flows.append(Flow("pgbouncer", dns, lookup, "finds PostgreSQL"))
    if "bootstrap" in workloads:
        flows += bootstrap_flows(cluster)
    if CANARY in workloads:
        flows.append(Flow(CANARY, "router", ((TCP, router["http"]),), "logs in, writes and reads as people do"))
        flows.append(Flow(CANARY, dns, lookup, "finds the router"))
    for process in processes:
        flows += _process_flows(process, processes, workloads)
        flows.append(Flow(process.component, database.door.place, door, "all of Synapse's state"))
        flows.append(Flow(process.component, dns, lookup, "finds PostgreSQL, its peers and other servers"))
        if cluster.tracing.reach:
            agent = Outside("the tracing agent", (cluster.tracing.reach,))
            flows.append(Flow(process.component, agent, ((UDP, cluster.tracing.reach.port),), "spans"))
        if process.internet:
            flows += _outward(process, tenant, cluster)
        elif process.federates and tenant.synapse.federation.enabled:
            flows += internet_flows(process.component, cluster, (), FEDERATION)
    flows += private_flows(tenant, processes, router["http"])
    flows += module_flows(tenant, processes)
    flows += backup_flows(tenant, cluster, database.server)
    if turn:
        flows.extend(turn_flows(turn, cluster))
    return (*flows, *visitor_flows(cluster, workloads, guests))


def visitor_flows(cluster: Cluster, workloads: Mapping[str, Workload], guests: tuple[Guest, ...]) -> Iterator[Flow]:
    """What comes in from edge and monitoring, whoever's workloads they are."""
    edge, network = Outside(EDGE, cluster.edge.peers), cluster.network
    if "element" in workloads:
        yield Flow(edge, "element", ((TCP, workloads["element"].ports["http"]),), "the web client")
    if cluster.metrics is not Metrics.NONE and network.monitoring:
        monitoring = Outside("monitoring", (network.monitoring,))
        everybody = [(name, one.ports) for name, one in workloads.items() if not one.on_nodes]
        for name, ports in (*everybody, *((guest.name, guest.ports) for guest in guests)):
            if "metrics" in ports:
                yield Flow(monitoring, name, ((TCP, ports["metrics"]),), "Prometheus scrapes")
    for guest in guests:
        if "http" in guest.ports:
            yield Flow(edge, guest.name, ((TCP, guest.ports["http"]),), guest.reason)
