"""The Coturn that a target runs, its ports, and the URIs that clients get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matrixfleet.model import Resources, Tenant
from matrixfleet.model.choices import Turn
from matrixfleet.model.fleet import Platform
from matrixfleet.model.turn import BALANCED, INSIDE, INSIDE_TLS, PortRange, Relay
from matrixfleet.plan.flows import TCP, UDP

ANY_NODE = "*"


@dataclass(frozen=True, slots=True)
class TurnPort:
    """A port of Coturn."""

    name: str
    protocol: str
    number: int
    """Where it listens."""
    offered: int
    """Where the world finds it."""


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A Coturn of a target's own."""

    host: str
    spec: Relay
    on_nodes: bool
    """On the nodes' network, one a node; else one Pod behind a balancer."""
    namespace: str
    external: Mapping[str, str]
    """Public addresses by the address that Coturn binds (ANY_NODE stands for each); empty without NAT."""
    annotations: Mapping[str, str]
    """Of its Service."""

    @property
    def relay_ports(self) -> PortRange:
        """Where it relays."""
        default = PortRange() if self.on_nodes else PortRange(first=BALANCED[0], last=BALANCED[1])
        return self.spec.relay_ports or default

    @property
    def listens(self) -> dict[str, int]:
        """Its own ports by purpose: `turn`, and `turns` with TLS."""
        numbers = {"turn": self.spec.port if self.on_nodes else INSIDE}
        if self.spec.tls:
            numbers["turns"] = self.spec.tls_port if self.on_nodes else INSIDE_TLS
        return numbers

    @property
    def ports(self) -> tuple[TurnPort, ...]:
        """Where it is asked for relays: on UDP and TCP, and on both with TLS."""
        offered = {"turn": self.spec.port, "turns": self.spec.tls_port}
        return tuple(
            TurnPort(f"{name}-{protocol.lower()}", protocol, number, offered[name])
            for name, number in self.listens.items()
            for protocol in (UDP, TCP)
        )

    @property
    def relays(self) -> tuple[TurnPort, ...]:
        """Each relay port, which a Service must name; none on nodes."""
        if self.on_nodes:
            return ()
        relay = self.relay_ports
        return tuple(TurnPort(f"relay-{port}", UDP, port, port) for port in range(relay.first, relay.last + 1))

    @property
    def resources(self) -> Resources:
        """Of one Coturn."""
        return self.spec.resources


def turn_of_tenant(tenant: Tenant, namespace: str, turn_namespace: str) -> TurnServer | None:
    """The tenant's own, if it has one."""
    spec, host = tenant.turn, tenant.hosts.turn
    if spec.kind not in (Turn.DAEMONSET, Turn.DEPLOYMENT) or host is None:
        return None
    if spec.kind is Turn.DAEMONSET:
        return TurnServer(host, spec, True, turn_namespace, spec.external_addresses, {})
    external = {ANY_NODE: spec.external_address} if spec.external_address else {}
    return TurnServer(host, spec, False, namespace, external, spec.annotations)


def turn_of_platform(platform: Platform, turn_namespace: str) -> TurnServer | None:
    """The one that its tenants share, if there is one."""
    spec = platform.turn
    return TurnServer(spec.host, spec, True, turn_namespace, spec.external_addresses, {}) if spec else None


def uris_of(host: str, spec: Relay) -> tuple[str, ...]:
    """Of a Coturn of ours: UDP first, TCP where UDP is filtered, TLS where only that passes."""
    uris = [f"turn:{host}:{spec.port}?transport={transport}" for transport in ("udp", "tcp")]
    if spec.tls:
        uris.append(f"turns:{host}:{spec.tls_port}?transport=tcp")
    return tuple(uris)


def uris_for(tenant: Tenant, platform: Platform) -> tuple[str, ...]:
    """What a tenant's clients get; none without a relay."""
    spec = tenant.turn
    if spec.kind is Turn.EXTERNAL and spec.external:
        return spec.external.uris
    if spec.kind is Turn.SHARED and platform.turn:
        return uris_of(platform.turn.host, platform.turn)
    if spec.kind in (Turn.DAEMONSET, Turn.DEPLOYMENT) and tenant.hosts.turn:
        return uris_of(tenant.hosts.turn, spec)
    return ()
