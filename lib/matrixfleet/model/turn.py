"""The relay for calls: a tenant's own, the platform's, or somebody else's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Built, Turn
from matrixfleet.model.resources import Generation, Resources, starts_with
from matrixfleet.model.types import Address, Host, LabelKey, LabelValue, Line, Port, expected, host_or_address

# Every relay port of a Deployment is a port of its Service, and balancers take few: AWS's NLB has 50
# listeners (its quotas), of which TURN itself takes two.
MOST_BALANCED = 48
BALANCED = (49152, 49191)


METRICS = 9641
"""Where Coturn has its numbers for Prometheus (its option `prometheus-port`)."""
INSIDE, INSIDE_TLS = 3478, 5349
"""Where Coturn listens inside a Pod: its Service offers these under any number."""
_ON_NODES = (
    (22, 22, "SSH's"),
    (53, 53, "a DNS cache's"),
    # https://kubernetes.io/docs/reference/networking/ports-and-protocols/
    (2379, 2380, "etcd's"),
    (6443, 6443, "the Kubernetes API's"),
    (10248, 10259, "Kubernetes's own"),
    (30000, 32767, "of Services (NodePort)"),
    (9100, 9100, "the node exporter's"),
    (METRICS, METRICS, "Coturn's own, for Prometheus"),
)


class PortRange(Model):
    """UDP ports, both ends included."""

    first: Annotated[Port, Field(ge=1024)] = 49152
    """`min-port`; the default begins the IANA's dynamic range."""
    last: Port = 65535
    """`max-port`."""

    @model_validator(mode="after")
    def _ordered(self) -> PortRange:
        if self.first >= self.last:
            raise expected(f"first below last ({self.last})", self.first)
        return self


class Relay(Model):
    """A Coturn."""

    resources: Annotated[Resources, starts_with("32Mi")] = Resources(cpu="100m", memory="256Mi")
    """Of one Coturn."""
    port: Port = 3478
    """STUN and TURN, UDP and TCP."""
    tls_port: Port = 5349
    """TURN over TLS and DTLS."""
    tls: bool = True
    """Certificates by the cluster's DNS-01 issuer."""
    relay_ports: PortRange | None = None
    """Relayed media, UDP. 49152 to 65535 unless said; behind a balancer (kind deployment) 49152 to 49191,
    and 48 ports at most, since each is a port of the Service. A call takes two to four of them. On nodes
    their firewall must admit these."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """On which nodes it runs: their public addresses are what its host resolves to."""
    external_addresses: dict[Address, Address] = Field(default_factory=dict)
    """For nodes behind NAT: each node's InternalIP, and the public address that leads to it. No Pod can ask
    Kubernetes for it (the downward API has none). A node that is not listed starts no Coturn and says so.
    Empty: the nodes have public addresses themselves."""
    secret: Generation = 1
    """Generation of the shared secret. Coturn accepts the one before too; raise it one at a time."""

    @model_validator(mode="after")
    def _ports_of_its_own(self) -> Relay:
        if self.tls and self.port == self.tls_port:
            raise expected("tls_port other than port", self.tls_port)
        relay = self.relay_ports or PortRange()
        for name in ("port", "tls_port") if self.tls else ("port",):
            if relay.first <= getattr(self, name) <= relay.last:
                raise expected(f"{name} outside of relay_ports ({relay.first} to {relay.last})", getattr(self, name))
        return self


def _free(relay: Relay, taken: tuple[tuple[int, int, str], ...], names: tuple[str, ...]) -> None:
    """Raise what pydantic takes for a fault where a port is somebody else's.

    names: the keys of single ports that count
    """
    said = relay.relay_ports or PortRange()
    ports = [(name, getattr(relay, name), getattr(relay, name)) for name in names]
    for name, first, last in (*ports, ("relay_ports", said.first, said.last)):
        for start, end, whose in taken:
            if first <= end and start <= last:
                told = str(start) if start == end else f"{start} to {end}"
                got = first if first == last else f"{first} to {last}"
                raise expected(f"{name} without {told}, which is {whose}", got)


def free_on_nodes(relay: Relay) -> None:
    """Raise what pydantic takes for a fault where a Coturn on nodes wants a port that nodes use."""
    _free(relay, _ON_NODES, ("port", "tls_port") if relay.tls else ("port",))


def ports_on_nodes(said: Mapping[str, Any]) -> list[tuple[int, int]]:
    """First and last of the ports that a Coturn takes of its node, from what was said of it and not read
    yet; nothing of what is no number, since that is a fault of its own."""
    fields = Relay.model_fields
    relay = said.get("relay_ports")
    relay = relay if isinstance(relay, Mapping) else {}
    ranges = [(said.get(name, fields[name].default),) * 2 for name in ("port", "tls_port")]
    if said.get("tls") is False:
        ranges.pop()
    first, last = (PortRange.model_fields[name].default for name in ("first", "last"))
    ranges.append((relay.get("first", first), relay.get("last", last)))
    return [one for one in ranges if all(isinstance(number, int) for number in one)]


class SharedTurn(Relay):
    """The platform's Coturn, a DaemonSet: tenants with turn.kind shared use it."""

    host: Host
    """Resolves to the nodes that run it."""

    @model_validator(mode="after")
    def _free_ports(self) -> SharedTurn:
        free_on_nodes(self)
        return self


_URI = re.compile(r"turns?:(?P<host>[a-z0-9.-]+|\[[0-9a-f:]+\])(:(?P<port>[1-9][0-9]{0,4}))?(\?transport=(udp|tcp))?")


def _turn_uri(value: Any) -> str:
    match = _URI.fullmatch(value) if isinstance(value, str) else None
    if match is None or not host_or_address(match["host"]) or int(match["port"] or 1) > 65535:
        raise expected("a TURN URI (turn:turn.example.net:3478?transport=udp)", value)
    return str(value)


TurnUri = Annotated[str, BeforeValidator(_turn_uri)]
"""RFC 7065: turn:turn.example.net:3478?transport=udp."""


class ExternalTurn(Model):
    """A TURN service that somebody else runs."""

    uris: tuple[TurnUri, ...] = Field(min_length=1)
    """Its URIs, as clients get them: UDP, TCP and TLS."""


_COTURN = {"resources", "port", "tls_port", "tls", "relay_ports", "secret"}
FITS = {
    Turn.DAEMONSET: _COTURN | {"node_selector", "external_addresses"},
    Turn.DEPLOYMENT: _COTURN | {"node_selector", "external_address", "annotations"},
    Turn.SHARED: set[str](),
    Turn.EXTERNAL: {"external", "secret"},
}
"""What may be said beside each kind; beside `none`, anything: calls may be off for a while."""


class TurnSpec(Relay):
    """The relay for calls."""

    kind: Built[Turn] = Turn.NONE
    """Where it comes from."""
    external_address: Address | None = None
    """Of kind deployment, required: the balancer's address, which hosts.turn resolves to."""
    annotations: dict[LabelKey, Line] = Field(default_factory=dict)
    """Of kind deployment: annotations of its Service. A cloud is asked so for one fixed address and for a
    balancer that passes UDP."""
    external: ExternalTurn | None = None
    """Of kind external, required."""

    @model_validator(mode="after")
    def _free_ports(self) -> TurnSpec:
        if self.kind is Turn.DAEMONSET:
            free_on_nodes(self)
        if self.kind is Turn.DEPLOYMENT:
            own = ((INSIDE, INSIDE, "Coturn's own"), (INSIDE_TLS, INSIDE_TLS, "Coturn's own"))
            _free(self, (*own, (METRICS, METRICS, "Coturn's own, for Prometheus")), ())
        return self

    @model_validator(mode="after")
    def _fits_its_kind(self) -> TurnSpec:
        if self.kind in FITS:
            for name in sorted(self.model_fields_set - {"kind"} - FITS[self.kind]):
                fits = ", ".join(sorted(FITS[self.kind])) or "nothing: the platform target says the rest"
                raise expected(f"beside turn.kind {self.kind} of turn.* only {fits}", name)
        if self.kind is Turn.EXTERNAL and self.external is None:
            raise expected("turn.external, since turn.kind is external", "none", "name the URIs of that service")
        if self.kind is Turn.DEPLOYMENT:
            if self.external_address is None:
                raise expected(
                    "turn.external_address, since turn.kind is deployment", "none", "name the balancer's address"
                )
            relay = self.relay_ports
            if relay and relay.last - relay.first >= MOST_BALANCED:
                raise expected(
                    f"turn.relay_ports of {MOST_BALANCED} ports or fewer, since each is a port of the Service",
                    relay.last - relay.first + 1,
                )
        return self
