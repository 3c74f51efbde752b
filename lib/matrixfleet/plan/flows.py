"""Who talks to whom, and why. One component draws these as NetworkPolicies; what is not here is denied.

The outside has no names in a NetworkPolicy, only Pods and networks: the cluster class says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrixfleet.model import Cluster, Peer, Tenant
from matrixfleet.model.choices import Metrics
from matrixfleet.model.cluster import Reach
from matrixfleet.plan.oidc import HTTPS, logins_of
from matrixfleet.plan.processes import Kind, Process
from matrixfleet.plan.workloads import Guest, Workload

TCP, UDP = "TCP", "UDP"


@dataclass(frozen=True, slots=True)
class Outside:
    """One side of a flow that is not the tenant's."""

    name: str
    peers: tuple[Peer, ...] = ()
    internet_without: tuple[str, ...] = ()
    """Everything but these private networks, where there are any."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Connections that are opened from one side to the other."""

    source: str | Outside
    """A component or a guest of the tenant, or the outside."""
    target: str | Outside
    ports: tuple[tuple[str, int], ...]
    """Protocol and port; empty means every TCP port."""
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
        """For people: "TCP 443"."""
        return ", ".join(f"{protocol} {port}" for protocol, port in self.ports) or "every TCP port"


def _internet(private: tuple[str, ...]) -> Outside:
    return Outside("the Internet", internet_without=private)


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


def _outward(process: Process, tenant: Tenant, internet: Outside) -> Flow:
    """What a process opens to the Internet. Servers delegate federation to any port, and links may name
    one; without either it is the ports of what was named."""
    synapse = tenant.synapse
    previews = synapse.url_previews and process.component in ("synapse", "media-repository")
    reasons = [
        "federation: servers delegate to any port" if synapse.federation.enabled else "",
        "URL previews" if previews else "",
        "push gateways" if process.component in ("synapse", "pusher") else "",
    ]
    ports = {HTTPS}
    if process.kind is Kind.MAIN:
        # Single sign-on is main's alone.
        for login in logins_of(tenant.auth.providers):
            if not login.said.reach:
                ports.add(login.port)
                reasons.append(f"log-in by {login.id}")
    if tenant.email and not tenant.email.reach:
        ports.add(tenant.email.port)
        reasons.append("mail")
    if any(not service.reach for service in tenant.appservices.values()):
        reasons.append("application services")
    every = synapse.federation.enabled or previews
    told = ", ".join(filter(None, reasons)) or "HTTPS"
    return Flow(process.component, internet, () if every else tuple((TCP, port) for port in sorted(ports)), told)


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
    for name, service in tenant.appservices.items():
        events = "events, and questions about its users and rooms"
        yield from to(f"application service {name}", service.reach, events, talking)
        for one in service.reach:
            if one.namespace:
                bridge = Outside(f"application service {name}", (one,))
                yield Flow(bridge, "router", ((TCP, router),), "client API")


def flows_of(
    tenant: Tenant,
    cluster: Cluster,
    processes: tuple[Process, ...],
    workloads: Mapping[str, Workload],
    guests: tuple[Guest, ...],
) -> tuple[Flow, ...]:
    """Every flow of a tenant. Coturn is not here: it is on the nodes' network, under no NetworkPolicy."""
    network = cluster.network
    edge = Outside("the edge", cluster.edge.peers)
    dns = Outside("cluster DNS", network.dns)
    api = Outside("the Kubernetes API", (Peer(cidrs=network.api_server.cidrs),))
    internet = _internet(network.private)
    lookup = ((UDP, 53), (TCP, 53))
    database, router = (workloads[name].ports for name in ("postgresql", "router"))

    flows = [
        Flow(edge, "router", ((TCP, router["http"]),), "client and federation API, .well-known"),
        Flow("router", dns, lookup, "finds Synapse"),
        Flow("bootstrap", api, ((TCP, network.api_server.port),), "creates Secrets that are absent"),
    ]
    for process in processes:
        flows += _process_flows(process, processes, workloads)
        flows.append(Flow(process.component, "postgresql", ((TCP, database["postgresql"]),), "all of Synapse's state"))
        flows.append(Flow(process.component, dns, lookup, "finds PostgreSQL, its peers and other servers"))
        if process.internet:
            flows.append(_outward(process, tenant, internet))
    flows += private_flows(tenant, processes, router["http"])
    if "element" in workloads:
        flows.append(Flow(edge, "element", ((TCP, workloads["element"].ports["http"]),), "the web client"))
    if cluster.metrics is not Metrics.NONE and network.monitoring:
        monitoring = Outside("monitoring", (network.monitoring,))
        flows.extend(
            Flow(monitoring, name, ((TCP, workload.ports["metrics"]),), "Prometheus scrapes")
            for name, workload in workloads.items()
            if "metrics" in workload.ports
        )
    flows.extend(Flow(edge, guest.name, ((TCP, guest.ports["http"]),), guest.reason) for guest in guests)
    return tuple(flows)
