"""What of a tenant is tried from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrixfleet.model import Cluster, Tenant
from matrixfleet.model.choices import Metrics

if TYPE_CHECKING:
    from matrixfleet.plan.turn import TurnServer

CANARY = "canary"
"""The component that logs in, writes and reads; also its user's name, and what its password is for."""


@dataclass(frozen=True, slots=True)
class Check:
    """Addresses that are tried in one way."""

    name: str
    """The label `check`."""
    module: str
    """Of blackbox.yml."""
    targets: tuple[str, ...]


def probed(cluster: Cluster) -> bool:
    """Whether anything is tried: Probes are prometheus-operator's."""
    return cluster.metrics is Metrics.PROMETHEUS_OPERATOR


def checks_of(tenant: Tenant, turn: TurnServer | None) -> Iterator[Check]:
    """Each way. TURN over UDP is not among them, since the exporter speaks none: the kubelet asks that, of the Pod
    itself (components/turn)."""
    matrix, name = f"https://{tenant.hosts.matrix}", f"https://{tenant.server_name}"
    yield Check("client", "client", (f"{matrix}/_matrix/client/versions",))
    if tenant.synapse.federation.enabled:
        asked = (f"{matrix}/_matrix/key/v2/server", f"{matrix}/_matrix/federation/v1/version")
        yield Check("federation", "federation", asked)
    kinds = ("client", "server") if tenant.synapse.federation.enabled else ("client",)
    yield Check("well-known", "well-known", tuple(f"{name}/.well-known/matrix/{kind}" for kind in kinds))
    if tenant.hosts.element:
        yield Check("element", "element", (f"https://{tenant.hosts.element}/",))
    if turn:
        for port in (port for port in turn.ports if port.protocol == "TCP"):
            yield Check(port.name, "turns" if "turns" in port.name else "turn", (f"{turn.host}:{port.offered}",))
