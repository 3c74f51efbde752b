"""Who talks to whom, and why. One component draws these as NetworkPolicies; what is not here is denied.

The outside has no names in a NetworkPolicy, only Pods and networks: the cluster class says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrixfleet.model import Cluster, Peer, Tenant
from matrixfleet.model.choices import Metrics
from matrixfleet.plan.processes import Process
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
    """What a process opens to the Internet."""
    reasons = []
    if tenant.synapse.federation.enabled:
        reasons.append("federation: servers delegate to any port")
    if tenant.synapse.url_previews and process.component in ("synapse", "media-repository"):
        reasons.append("URL previews")
    if process.component in ("synapse", "pusher"):
        reasons.append("push gateways")
    open_ended = tenant.synapse.federation.enabled or "URL previews" in reasons
    return Flow(process.component, internet, () if open_ended else ((TCP, 443),), ", ".join(reasons or ["HTTPS"]))


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
