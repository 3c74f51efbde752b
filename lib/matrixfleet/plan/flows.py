"""Who talks to whom, and why. One component draws these as NetworkPolicies; what is not here is denied.

The outside has no names in a NetworkPolicy, only Pods and networks: the cluster class says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matrixfleet.model import Cluster, Peer, Tenant
from matrixfleet.model.choices import Metrics
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


def flows_of(
    tenant: Tenant, cluster: Cluster, workloads: Mapping[str, Workload], guests: tuple[Guest, ...]
) -> tuple[Flow, ...]:
    """Every flow of a tenant. Coturn is not here: it is on the nodes' network, under no NetworkPolicy."""
    network = cluster.network
    edge = Outside("the edge", cluster.edge.peers)
    dns = Outside("cluster DNS", network.dns)
    api = Outside("the Kubernetes API", (Peer(cidrs=network.api_server.cidrs),))
    internet = _internet(network.private)
    lookup = ((UDP, 53), (TCP, 53))
    database, synapse, router = (workloads[name].ports for name in ("postgresql", "synapse", "router"))

    flows = [
        Flow(edge, "router", ((TCP, router["http"]),), "client and federation API, .well-known"),
        Flow("router", "synapse", ((TCP, synapse["http"]),), "client and federation API"),
        Flow("router", dns, lookup, "finds Synapse"),
        Flow("synapse", "postgresql", ((TCP, database["postgresql"]),), "all of Synapse's state"),
        Flow("synapse", dns, lookup, "finds PostgreSQL, and other servers"),
        Flow("roles", "postgresql", ((TCP, database["postgresql"]),), "sets the password of Synapse's role"),
        Flow("roles", dns, lookup, "finds PostgreSQL"),
    ]
    if "bootstrap" in workloads:
        flows.append(Flow("bootstrap", api, ((TCP, network.api_server.port),), "creates Secrets that are absent"))
    if tenant.synapse.federation.enabled or tenant.synapse.url_previews:
        reasons = [
            "federation: servers delegate to any port" if tenant.synapse.federation.enabled else "",
            "URL previews" if tenant.synapse.url_previews else "",
            "push gateways",
        ]
        flows.append(Flow("synapse", internet, (), ", ".join(filter(None, reasons))))
    else:
        flows.append(Flow("synapse", internet, ((TCP, 443),), "push gateways"))
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
