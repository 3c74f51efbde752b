"""Who is in the mesh, and what its sidecars add to what everybody may do.

Sidecars carry connections, not requests: every port but those of the edge is declared TCP, so that no proxy within
decodes a path, ends a long poll, or sends a request twice. Identities and mutual TLS are all that the mesh adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from matrixfleet.model import Cluster, Peer, Tenant
from matrixfleet.model.cluster import Istio
from matrixfleet.plan.flows import TCP, Flow, Outside
from matrixfleet.plan.oidc import HTTPS, logins_of
from matrixfleet.plan.workloads import Workload

PROXY = "istio-proxy"
"""The sidecar's container."""
XDS = 15012
"""istiod: certificates and configuration (Istio's docs, ops/deployment/application-requirements)."""
OUT = {
    "logs": "it reads files of its node, in a namespace that no sidecar is in",
    "probes": "it asks as the world does, from outside",
    "bootstrap": "it talks to the Kubernetes API alone",
    "turn": "a sidecar carries no UDP, and none stands on the nodes' network",
}
"""Components that are not in it, and why. Pods that operators make are not either: CloudNativePG's speak TLS and its
operator is outside."""
STORES = ("postgresql", "pgbouncer", "redis")
"""Their connections are idle for hours; Envoy closes one after an hour unless told, at either end."""


def is_meshed(istio: Istio | None, component: str) -> bool:
    """Whether a workload has a sidecar.

    istio: the target's; None for one that is in no mesh
    """
    return istio is not None and component not in OUT


def with_proxies(istio: Istio | None, workloads: Mapping[str, Workload]) -> dict[str, Workload]:
    """The workloads, their sidecars counted: quota must have room for them."""
    return {
        name: replace(one, containers={**one.containers, PROXY: istio.proxy})
        if istio and is_meshed(istio, name)
        else one
        for name, one in workloads.items()
    }


def mesh_flows(
    istio: Istio | None, cluster: Cluster, workloads: Mapping[str, Workload], said: Iterable[Flow]
) -> Iterator[Flow]:
    """What sidecars open: istiod, and DNS to find it where nobody else in the Pod asks."""
    if istio is None:
        return
    istiod = Outside("istiod", (Peer(namespace=istio.namespace, pods=istio.pods),))
    asking = {flow.source for flow in said if flow.target_name == "cluster DNS"}
    for name in (name for name in workloads if is_meshed(istio, name)):
        yield Flow(name, istiod, ((TCP, XDS),), "its sidecar: certificates and configuration")
        if name not in asking:
            dns = Outside("cluster DNS", cluster.network.dns)
            yield Flow(name, dns, (("UDP", 53), (TCP, 53)), "its sidecar finds istiod")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A flow into a meshed workload as its sidecar sees it."""

    ports: tuple[int, ...]
    accounts: tuple[tuple[str, str], ...]
    """Namespace and ServiceAccount of everybody who may; none means whoever the NetworkPolicy lets through:
    who is outside has no identity, and the ports take plain connections."""
    reason: str


def admitted(
    istio: Istio | None, flows: Iterable[Flow], component: str, own: Mapping[str, tuple[str, str]]
) -> tuple[Admitted, ...]:
    """Who may connect to a component. own: namespace and ServiceAccount of the target's own workloads."""
    found: list[Admitted] = []
    for flow in flows:
        if flow.target != component:
            continue
        ports = tuple(port[0] for protocol, *port in flow.ports if protocol == TCP)
        accounts: list[tuple[str, str]] = []
        if isinstance(flow.source, str):
            if is_meshed(istio, flow.source) and flow.source in own:
                accounts.append(own[flow.source])
        elif all(peer.service_account for peer in flow.source.peers):
            accounts += [(peer.namespace or "", peer.service_account or "") for peer in flow.source.peers]
        found.append(Admitted(ports, tuple(accounts), f"{flow.source_name}: {flow.reason}"))
    return tuple(found)


def exceptions(of: Iterable[Admitted]) -> dict[int, str]:
    """Ports that take connections without mutual TLS, each with its reason."""
    return {port: one.reason for one in of if not one.accounts for port in one.ports}


@dataclass(frozen=True, slots=True)
class NamedHost:
    """A host outside that the tenant names: the mesh knows it by its name."""

    purpose: str
    host: str
    port: int
    tls: bool
    """Whether connections begin with TLS and the name in it. PostgreSQL and mail begin in the clear."""


def named_hosts(tenant: Tenant, domain: str) -> tuple[NamedHost, ...]:
    """The hosts outside by name. Federation, pushes and previews go to names that nobody knows before; a
    Service of the cluster is no host outside.

    domain: the cluster's
    """
    found = []
    for login in logins_of(tenant.auth.providers):
        said = login.endpoints.model_dump(exclude={"authorization"}) if login.endpoints else {"issuer": login.issuer}
        for url in (urlsplit(address) for address in said.values() if address):
            if url.hostname:
                found.append(NamedHost(login.secret, url.hostname, url.port or HTTPS, True))
    if tenant.email:
        found.append(NamedHost("mail", tenant.email.host, tenant.email.port, False))
    bucket = tenant.media.s3
    if bucket and bucket.endpoint:
        found.append(NamedHost("bucket", urlsplit(bucket.endpoint).hostname or "", bucket.port, True))
    if tenant.database.external:
        found.append(NamedHost("database", tenant.database.external.host, tenant.database.external.port, False))
    return tuple(dict.fromkeys(one for one in found if not one.host.endswith(f".svc.{domain}")))
