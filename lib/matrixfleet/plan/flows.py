"""Who talks to whom, and why. One component draws these as NetworkPolicies; what is not here is denied.

The outside has no names in a NetworkPolicy, only Pods and networks: the cluster class says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrixfleet.model import Cluster, Peer, Tenant
from matrixfleet.model.choices import Metrics
from matrixfleet.plan.workloads import Guest, Workload

if TYPE_CHECKING:
    from matrixfleet.plan.turn import TurnServer

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


def _internet(private: tuple[str, ...]) -> Outside:
    return Outside("the Internet", internet_without=private)


def bootstrap_flow(cluster: Cluster) -> Flow:
    """The Job that makes Secrets."""
    api = cluster.network.api_server
    outside = Outside("the Kubernetes API", (Peer(cidrs=api.cidrs),))
    return Flow("bootstrap", outside, ((TCP, api.port),), "creates Secrets that are absent")


def turn_flows(turn: TurnServer, cluster: Cluster) -> tuple[Flow, ...]:
    """Of a Coturn in a Pod network; on the nodes' network no NetworkPolicy reaches it."""
    if turn.on_nodes:
        return ()
    relay = turn.relay_ports
    asked = tuple((port.protocol, port.number) for port in turn.ports)
    return (
        Flow(ANYWHERE, "turn", asked, "clients ask for relays, through the balancer"),
        Flow(ANYWHERE, "turn", ((UDP, relay.first, relay.last),), "peers send media to relays, through the balancer"),
        Flow("turn", _internet(cluster.network.private), ((UDP, 1, 65535),), "relays media to peers, on any port"),
    )


def flows_of(
    tenant: Tenant,
    cluster: Cluster,
    workloads: Mapping[str, Workload],
    guests: tuple[Guest, ...],
    turn: TurnServer | None,
) -> tuple[Flow, ...]:
    """Every flow of a tenant. A Coturn on the nodes' network is not here: it is under no NetworkPolicy."""
    network = cluster.network
    edge = Outside("the edge", cluster.edge.peers)
    dns = Outside("cluster DNS", network.dns)
    internet = _internet(network.private)
    lookup = ((UDP, 53), (TCP, 53))
    database, synapse, router = (workloads[name].ports for name in ("postgresql", "synapse", "router"))

    flows = [
        Flow(edge, "router", ((TCP, router["http"]),), "client and federation API, .well-known"),
        Flow("router", "synapse", ((TCP, synapse["http"]),), "client and federation API"),
        Flow("router", dns, lookup, "finds Synapse"),
        Flow("synapse", "postgresql", ((TCP, database["postgresql"]),), "all of Synapse's state"),
        Flow("synapse", dns, lookup, "finds PostgreSQL, and other servers"),
        bootstrap_flow(cluster),
    ]
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
    if turn:
        flows.extend(turn_flows(turn, cluster))
    if cluster.metrics is not Metrics.NONE and network.monitoring:
        monitoring = Outside("monitoring", (network.monitoring,))
        flows.extend(
            Flow(monitoring, name, ((TCP, workload.ports["metrics"]),), "Prometheus scrapes")
            for name, workload in workloads.items()
            if "metrics" in workload.ports
        )
    flows.extend(Flow(edge, guest.name, ((TCP, guest.ports["http"]),), guest.reason) for guest in guests)
    return tuple(flows)
