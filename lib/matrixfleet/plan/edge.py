"""Public names and what answers for them, and how long a request may take on its way."""

from __future__ import annotations

from dataclasses import dataclass

from matrixfleet.model import Tenant

# Longer than anything that answers: /sync waits 30 s by clients' custom, a join of a large room takes
# minutes. Every hop has the same, so none cuts what another still waits for.
REQUEST_TIMEOUT = 300
"""Seconds."""
PUBLIC_PATHS = ("/_matrix/", "/_synapse/client/")
"""What of Synapse is public (docs/reverse_proxy.md of Synapse); all else answers 404 at the router."""


@dataclass(frozen=True, slots=True)
class PublicHost:
    """A host name at the edge."""

    host: str
    path: str
    """Only below this prefix."""
    backend: str
    """The component that answers."""
    certificate: str
    """The certificate that covers it: hosts of one purpose share one."""


def public_hosts_of(tenant: Tenant) -> tuple[PublicHost, ...]:
    """The hosts of a tenant. Where server_name is not the Matrix host, only .well-known is served there."""
    hosts = [PublicHost(tenant.hosts.matrix, "/", "router", "matrix")]
    if tenant.well_known.serve and tenant.server_name != tenant.hosts.matrix:
        hosts.append(PublicHost(tenant.server_name, "/.well-known/matrix", "router", "matrix"))
    if tenant.hosts.element:
        hosts.append(PublicHost(tenant.hosts.element, "/", "element", "element"))
    return tuple(hosts)


def well_known_of(tenant: Tenant) -> dict[str, dict[str, object]]:
    """The two bodies of server discovery: "client" and "server" (Matrix specification)."""
    return {
        "client": {"m.homeserver": {"base_url": f"https://{tenant.hosts.matrix}"}},
        "server": {"m.server": f"{tenant.hosts.matrix}:443"},
    }
