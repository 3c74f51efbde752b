"""Public names and what answers for them, and how long a request may take on its way."""

from __future__ import annotations

from dataclasses import dataclass

from matrixfleet.model import Resources, Tenant
from matrixfleet.model.choices import Edge
from matrixfleet.model.types import bytes_of, millicores_of

# Longer than anything that answers: /sync waits 30 s by clients' custom, a join of a large room takes
# minutes. Every hop has the same, so none cuts what another still waits for.
REQUEST_TIMEOUT = 300
"""Seconds."""
TRANSFER_TIMEOUT = 3600
"""Seconds, for edges that count a whole exchange and not its silence: the largest media over a slow line
(100 MiB at 256 kbit/s) must come through."""
FEDERATION_PORT = 8448
"""Where servers connect that found no delegation (Matrix specification, server discovery)."""
HEALTH_PATHS = {"router": "/health", "element": "/"}
"""What answers 200 to a load balancer that asks each backend itself."""
DRAIN = 60
"""Seconds that a cloud's balancer goes on with what a leaving backend has begun."""
_IDLE = {
    Edge.TRAEFIK: 60,
    Edge.GATEWAY_API: 3600,
    Edge.ISTIO: 3600,
    Edge.NGINX: 60,
    Edge.INGRESS_NGINX: 60,
    Edge.HAPROXY: 60,
    Edge.AWS_ALB: REQUEST_TIMEOUT,
    Edge.GKE: 600,
    Edge.AZURE_AGIC: 300,
}
"""Seconds after which each closes a connection to a backend that carries nothing. Traefik and the ALB are told so here
(idleConnTimeout, idle_timeout). Envoy: `idle_timeout` of HttpProtocolOptions, one hour; other implementations of the
Gateway API are shorter. NGINX: `keepalive_timeout` of an upstream, 60 s, as `upstream-keepalive-timeout` of
ingress-nginx. HAProxy drops idle connections sooner (`pool-purge-delay`). Google: 600 s, fixed ("Backend services
overview", "Backend keepalive timeout"). Azure: five minutes at most ("FAQ for Application Gateway", TCP idle
timeout)."""
_UNTIL_TOLD = {Edge.AWS_ALB: 30, Edge.GKE: 60, Edge.AZURE_AGIC: 90}
"""Seconds that clouds' balancers take until they send nothing more to a Pod that leaves; Pods of the cluster watch
EndpointSlices and take 5."""


def keep_alive_of(edge: Edge) -> int:
    """Seconds that a backend keeps an idle connection open: longer than its edge, or a request that the edge sends at
    the moment when the backend closes is lost, and the client sees a 502."""
    return _IDLE[edge] + 20


def leave_after(edge: Edge) -> int:
    """Seconds that a Pod behind the edge serves on after it was told to leave (preStop)."""
    return _UNTIL_TOLD.get(edge, 5)


PUBLIC_PATHS = ("/_matrix/", "/_synapse/client/")
"""What of Synapse is public (docs/reverse_proxy.md of Synapse); all else answers 404 at the router."""

UPLOAD_PATHS = ("/_matrix/media/", "/_matrix/client/v1/media/")
"""Requests that max_upload_size limits."""
REQUEST_LIMIT = 200 * 65536
"""Bytes of any other request's body that Synapse reads: 200 events of the largest size, for transactions of federation
(MAX_REQUEST_SIZE of synapse/api/constants.py). Backups of keys are as large too."""

_MIB = 1024**2
# Two buffers of 16 KiB a connection and what HAProxy keeps beside them (its management guide, section 2).
_CONNECTION = 40 * 1024


@dataclass(frozen=True, slots=True)
class RouterLimits:
    """What one HAProxy may use of its resources."""

    threads: int
    connections: int

    @property
    def of_a_server(self) -> int:
        """Requests that it has open at one process of Synapse: half, so that one that hangs does not take all of them.
        More wait for their turn (`timeout queue`), and get 503 after it."""
        return self.connections // 2


def router_limits_of(resources: Resources) -> RouterLimits:
    """Threads by CPU, or HAProxy would start one a core of the node; connections by memory, or a flood of
    them would end in the kernel's OOM killer instead of in a queue."""
    return RouterLimits(
        threads=max(2, -(-millicores_of(resources.cpu) // 1000)),
        connections=(bytes_of(resources.memory) - 32 * _MIB) // _CONNECTION,
    )


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
    """The hosts of a homeserver. Where server_name is not the Matrix host, only .well-known is served there; where
    Element Web has that name too, both share its certificate, since an edge has one for a name."""
    hosts = [PublicHost(tenant.hosts.matrix, "/", "router", "matrix")]
    if tenant.well_known.serve and tenant.server_name != tenant.hosts.matrix:
        certificate = "element" if tenant.server_name == tenant.hosts.element else "matrix"
        hosts.append(PublicHost(tenant.server_name, "/.well-known/matrix", "router", certificate))
    return tuple(hosts)


def body_limit_of(tenant: Tenant) -> int:
    """MiB that the edge lets through: a little more than any request may have, so that it is the router who refuses,
    with an answer that a Matrix client understands."""
    return -(-max(REQUEST_LIMIT, bytes_of(tenant.synapse.max_upload_size)) // _MIB) + 1


def well_known_of(tenant: Tenant) -> dict[str, dict[str, object]]:
    """The two bodies of server discovery: "client" and "server" (Matrix specification)."""
    return {
        "client": {"m.homeserver": {"base_url": f"https://{tenant.hosts.matrix}"}},
        "server": {"m.server": f"{tenant.hosts.matrix}:443"},
    }
