"""The boundary of a tenant: what its file takes, held against what the platform allows (`cluster.tenants`).

Every fault is at the line that asks for too much, never at the line of whoever would lose something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from matrixfleet.errors import did_you_mean
from matrixfleet.inventory.source import Key
from matrixfleet.model.choices import Turn
from matrixfleet.model.cluster import Cluster
from matrixfleet.model.networks import METADATA, SPECIAL, holds, overlaps
from matrixfleet.model.peers import Peer, Reach
from matrixfleet.model.tenant import Tenant
from matrixfleet.model.turn import PortRange

Fault = tuple[Key, str]
"""Where in the target's parameters, and what is wrong."""

# Names that these programs and providers use for their own namespaces, by their documentation.
KNOWN_NAMESPACES = (
    # Kubernetes, its distributions and the clouds.
    "default", "kube-*", "kubernetes-*", "openshift", "openshift-*", "operators", "olm", "cattle-*", "fleet-default",
    "fleet-local", "gke-*", "gmp-*", "config-management-*", "aks-*", "azure-arc*", "amazon-*", "aws-*", "eks-*",
    "local-path-storage", "node-feature-discovery", "gpu-operator", "karpenter", "keda",
    # Operators and controllers: `*-system` is what most of them are called.
    "*-system", "argo", "argocd", "argocd-*", "argo-cd", "argo-rollouts", "argo-workflows", "argo-events",
    "cert-manager", "cert-manager-*", "trust-manager", "cloudnative-pg", "external-secrets", "external-dns",
    "sealed-secrets", "vault", "vault-secrets-operator*", "openbao", "kyverno", "velero", "metrics-server",
    "rook-ceph", "ceph", "openebs",
    # Meshes, networks and edges.
    "istio-*", "linkerd", "linkerd-*", "cilium", "cilium-*", "calico-*", "tigera-*", "multus", "traefik",
    "ingress-nginx", "nginx-ingress", "nginx-gateway", "haproxy-controller", "haproxy-ingress", "ingress-haproxy",
    "envoy-gateway", "gateway-system", "projectcontour", "kong", "knative-*",
    # Monitoring, logs and the rest of a platform.
    "monitoring", "monitoring-*", "prometheus", "prometheus-*", "alertmanager", "grafana", "grafana-*", "observability",
    "loki", "logging", "elastic", "elasticsearch", "tempo", "jaeger", "tracing", "opentelemetry*", "victoria-metrics",
    "dex", "gitlab", "gitea", "harbor",
    # What the platform itself runs for its tenants.
    "fleet", "fleet-turn", "fleet-logs", "platform",
)  # fmt: skip
# First labels of what a platform serves for itself.
KNOWN_HOSTS = (
    "argocd", "argo-cd", "argo", "cd", "grafana", "prometheus", "alertmanager", "loki", "git", "gitlab", "github",
    "gitea", "forgejo", "vault", "openbao", "kubernetes", "k8s", "kube", "registry", "harbor", "rancher",
)  # fmt: skip
NEVER_KEYS = (
    "argocd.argoproj.io/*", "argoproj.io/*", "*.argoproj.io/*", "matrix-fleet*", "*matrix-fleet*/*", "*snippet*",
    "kubectl.kubernetes.io/*", "app.kubernetes.io/*", "meta.helm.sh/*", "cert-manager.io/*", "prometheus.io/*",
    "*istio.io/*", "pod-security.kubernetes.io/*", "service.kubernetes.io/topology*",
)  # fmt: skip
"""Keys that tools of the platform read, whatever a cluster allows."""
NEVER_LABELS = (*NEVER_KEYS, "node-role.kubernetes.io/*", "kubernetes.io/hostname")
KUBELETS = range(10248, 10260)
"""Ports of the kubelet and the control plane (https://kubernetes.io/docs/reference/networking/ports-and-protocols/)."""
ETCD = range(2379, 2381)
LOCAL = ("127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "::1/128", "::/128", "fe80::/10")


def boundary_faults(cluster: Cluster, name: str, tenant: Tenant, taken: Taken) -> Iterator[Fault]:
    """Whatever of a tenant is beyond what its cluster allows.

    name: the tenant's own name, that of its file
    """
    yield from namespace_faults(cluster, tenant.namespace or name, ("matrix", "namespace") if tenant.namespace else ())
    yield from host_faults(cluster, tenant, taken)
    yield from reach_faults(cluster, name, tenant, taken)
    yield from port_faults(cluster, tenant)
    yield from address_faults(cluster, tenant)
    yield from key_faults(cluster, tenant, taken)


@dataclass(frozen=True, slots=True)
class Taken:
    """What is somebody else's already. Read from the raw inventory, so that a fault in one cluster's class hides
    nothing of another."""

    hosts: Sequence[str]
    """Hosts of addresses in any cluster class."""
    namespaces: Mapping[str, set[str]]
    """Tenants of this cluster by their namespace."""


_SERVER = re.compile(r"((?:[a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*):[0-9]{1,5}")


def hosts_in(clusters: Iterable[Any]) -> list[str]:
    """Hosts of every address in cluster classes, sorted."""
    return sorted({host for cluster in clusters for host in _hosts_in(cluster)})


def _hosts_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _hosts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _hosts_in(inner)
    elif isinstance(value, str) and re.match(r"(https?|ssh)://", value):
        try:
            host = urlsplit(value).hostname
        except ValueError:
            return
        if host and not re.fullmatch(r"[0-9.]+|.*:.*", host):
            yield host
    elif isinstance(value, str) and (found := _SERVER.fullmatch(value)):
        # A name server, as cert-manager's solvers take it.
        yield found[1]


def class_faults(cluster: Cluster, classes: Iterable[tuple[str, int]]) -> Iterator[tuple[int, str]]:
    """Line and message for each class that a tenant's file may not name."""
    allowed = cluster.tenants.classes
    for name, line in classes:
        if not any(fnmatchcase(name, pattern) for pattern in allowed):
            near = did_you_mean(name, allowed)
            yield (
                line,
                f"class {name!r} is not one that tenants of {cluster.name} may name (cluster.tenants.classes){near}",
            )


def reserved_namespaces(cluster: Cluster) -> dict[str, str]:
    """Namespaces that the cluster class names, and for what."""
    found: dict[str, str] = {}
    for key, value in _leaves(cluster, ()):
        if key[-1] == "namespace" and isinstance(value, str):
            found.setdefault(value, ".".join(str(part) for part in ("cluster", *key)))
        elif key[-1] in ("auth", "ca") and isinstance(value, str) and value.count("/") == 1:
            found.setdefault(value.partition("/")[0], ".".join(str(part) for part in ("cluster", *key)))
    return found


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if key or name != "tenants":
                yield from _leaves(getattr(value, name), (*key, name))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*key, name))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*key, index))
    elif value is not None:
        yield key, value


def namespace_faults(cluster: Cluster, namespace: str, key: Key) -> Iterator[Fault]:
    """A namespace that is not a tenant's to have, with that of its Coturn beside it."""
    hint = "expected a namespace of its own; " + ("name another" if key else "rename the file, or set namespace")
    reserved = reserved_namespaces(cluster)
    if key:
        # Services that several tenants use, by whoever asks for their namespace.
        reserved = dict.fromkeys(cluster.tenants.reach.namespaces, "cluster.tenants.reach.namespaces") | reserved
    for one in (namespace, f"{namespace}-turn"):
        holder = reserved.get(one)
        if holder:
            yield key, f"namespace {one!r} is reserved: {holder} names it; {hint}"
            return
        known = next((pattern for pattern in KNOWN_NAMESPACES if fnmatchcase(one, pattern)), None)
        if known:
            yield (
                key,
                f"namespace {one!r} is reserved: {known} is used by Kubernetes, an operator or a provider; {hint}",
            )
            return
    allowed = cluster.tenants.namespaces
    if not any(fnmatchcase(namespace, pattern) for pattern in allowed):
        yield (
            key,
            f"namespace {namespace!r} is none that tenants of {cluster.name} may have (cluster.tenants.namespaces);"
            f" expected {' or '.join(allowed)}",
        )


def shared_namespace_faults(cluster: Cluster, name: str) -> Iterator[Fault]:
    """A namespace of several tenants that the cluster does not list."""
    listed = cluster.tenants.shared_namespaces
    if name not in listed:
        near = did_you_mean(name, listed)
        yield (
            ("namespace",),
            f"{name!r} is no namespace of several tenants on {cluster.name} (cluster.tenants.shared_namespaces){near};"
            " expected a block matrix, or its name in that list of the platform's",
        )
    yield from namespace_faults(cluster, name, ())


def _within(host: str, domains: Iterable[str]) -> str | None:
    return next((domain for domain in domains if host == domain or host.endswith(f".{domain}")), None)


def host_faults(cluster: Cluster, tenant: Tenant, taken: Taken) -> Iterator[Fault]:
    """Names that are not the tenant's to have."""
    for key, host in (("server_name", tenant.server_name), *tenant.hosts.model_dump(exclude_none=True).items()):
        where: Key = ("matrix", key) if key == "server_name" else ("matrix", "hosts", key)
        message = host_fault(cluster, taken, host)
        if message:
            yield where, message


def host_fault(cluster: Cluster, taken: Taken, host: str) -> str | None:
    """Why a tenant of a cluster may not have a name, or None."""
    policy = cluster.tenants
    holder = _within(host, (*policy.reserved_domains, *taken.hosts, cluster.network.domain))
    if holder:
        return f"{host!r} is the platform's own ({holder}); expected a name of the tenant's"
    if policy.domains:
        if not _within(host, policy.domains):
            wanted = " or ".join(policy.domains)
            return (
                f"{host!r} is of no domain that tenants of {cluster.name} may have (cluster.tenants.domains);"
                f" expected a name in {wanted}"
            )
    elif host.partition(".")[0] in KNOWN_HOSTS:
        return (
            f"{host!r} looks like the platform's own; expected another name, or cluster.tenants.domains that says which"
            " domains tenants may have"
        )
    return None


def peers_of(value: Any, key: Key, port: int | None = None) -> Iterator[tuple[Key, Peer, int | None]]:
    """Every destination that a model names, with its key and its port.

    port: of the model that has the destination, where that says it (an external database)
    """
    if isinstance(value, Peer):
        yield key, value, value.port if isinstance(value, Reach) else port
    elif isinstance(value, BaseModel):
        own = getattr(value, "port", port)
        for name in type(value).model_fields:
            yield from peers_of(getattr(value, name), (*key, name), own if isinstance(own, int) else port)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from peers_of(inner, (*key, name), port)
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from peers_of(inner, (*key, index), port)


def reach_faults(cluster: Cluster, name: str, tenant: Tenant, taken: Taken) -> Iterator[Fault]:
    """Destinations beyond what the cluster allows."""
    for key, peer, port in peers_of(tenant, ("matrix",)):
        for index, network in enumerate(peer.cidrs):
            message = network_fault(cluster, network, port)
            if message:
                yield (*key, "cidrs", index), message
        if peer.namespace:
            message = peer_fault(cluster, name, tenant, taken, peer, port)
            if message:
                yield (*key, "namespace"), message


def _never(cluster: Cluster) -> Iterator[tuple[str, Iterable[str]]]:
    yield "a metadata address, which gives credentials to whoever asks", METADATA
    yield "the API server (cluster.network.api_server)", cluster.network.api_server.networks
    yield "the nodes, where kubelets listen (cluster.network.nodes)", cluster.network.nodes
    if cluster.network.monitoring:
        yield "monitoring (cluster.network.monitoring)", cluster.network.monitoring.cidrs


def network_fault(cluster: Cluster, network: str, port: int | None) -> str | None:
    """Why a tenant may not reach a network, or None."""
    for what, networks in _never(cluster):
        held = next((one for one in networks if overlaps(network, one)), None)
        if held:
            return f"{network} holds {held}: {what}; expected a network without it"
    if port is not None and (port in KUBELETS or port in ETCD):
        return f"port {port} is the kubelet's or the control plane's; expected the port of a service"
    allowed = cluster.tenants.reach.networks
    if any(holds(one, network) for one in allowed):
        return None
    if any(holds(one, network) for peer in cluster.edge.peers for one in peer.cidrs):
        return None if port in (443, 8448) else f"the edge is at {network}: expected port 443 or 8448, got {port}"
    if not any(overlaps(network, one) for one in (*cluster.network.private, *_SPECIAL)):
        return None
    wanted = f"expected one within {', '.join(allowed)}" if allowed else _NONE_LISTED
    return (
        f"{network} is no network that tenants of {cluster.name} may reach (cluster.tenants.reach.networks); {wanted}"
    )


# An IPv4-mapped network is refused as a spelling already, and would hold every IPv4 network here.
_SPECIAL = tuple(network for network in SPECIAL if network != "::ffff:0:0/96")
_NONE_LISTED = "none is listed there, and only the platform's class can list one"


def peer_fault(cluster: Cluster, name: str, tenant: Tenant, taken: Taken, peer: Peer, port: int | None) -> str | None:
    """Why a tenant may not reach Pods of a namespace at a port, or None."""
    namespace, own = str(peer.namespace), tenant.namespace or name
    holders = taken.namespaces.get(namespace, set())
    if namespace in (own, f"{own}-turn") and holders <= {name}:
        return None
    others = ", ".join(sorted(holders - {name}))
    if others:
        return f"namespace {namespace!r} is another tenant's ({others}); expected none of them"
    if any(peer.pods.items() >= one.pods.items() for one in cluster.edge.peers if one.namespace == namespace):
        ports = cluster.edge.pod_ports
        if not ports or port in ports:
            return None
        told = " or ".join(map(str, ports))
        return f"the edge serves its names at port {told} (cluster.edge.pod_ports); expected one of these, got {port}"
    control = {cluster.argocd.namespace: "Argo CD", "argocd": "Argo CD", "kube-system": "Kubernetes"}
    if cluster.network.monitoring and cluster.network.monitoring.namespace:
        control[cluster.network.monitoring.namespace] = "monitoring"
    if namespace in control or namespace.startswith("kube-"):
        return f"namespace {namespace!r} is of {control.get(namespace, 'Kubernetes')}, which no tenant may reach"
    allowed = cluster.tenants.reach.namespaces
    if namespace not in allowed:
        wanted = f"expected one of {', '.join(allowed)}" if allowed else _NONE_LISTED
        return (
            f"namespace {namespace!r} is none that tenants of {cluster.name} may reach"
            f" (cluster.tenants.reach.namespaces); {wanted}"
        )
    return None


def _other_address(word: str, tenant: Tenant) -> bool:
    """Whether a word is an address, or a network, and not the tenant's own."""
    try:
        return str(ip_network(word, strict=False).network_address) != str(tenant.turn.external_address)
    except ValueError:
        return False


def port_faults(cluster: Cluster, tenant: Tenant) -> Iterator[Fault]:
    """Ports of nodes that are not lent to tenants."""
    turn = tenant.turn
    if turn.kind is not Turn.DAEMONSET:
        return
    relay = turn.relay_ports or PortRange()
    ports = [("port", turn.port, turn.port), ("relay_ports", relay.first, relay.last)]
    if turn.tls:
        ports.append(("tls_port", turn.tls_port, turn.tls_port))
    allowed = cluster.tenants.node_ports
    told = ", ".join(f"{one.first}-{one.last}" if one.first < one.last else str(one.first) for one in allowed)
    for key, first, last in ports:
        if not any(one.first <= first and last <= one.last for one in allowed):
            got = str(first) if first == last else f"{first}-{last}"
            yield (
                ("matrix", "turn", key),
                f"expected ports of nodes within {told or 'none'} (cluster.tenants.node_ports), got {got}",
            )


def address_faults(cluster: Cluster, tenant: Tenant) -> Iterator[Fault]:
    """An address of a balancer that cannot be one."""
    address = tenant.turn.external_address
    if address is None:
        return
    network = f"{address}/{ip_address(address).max_prefixlen}"
    never = (*_never(cluster), ("the host itself or its own link", LOCAL))
    for what, networks in never:
        if any(overlaps(network, one) for one in networks):
            yield ("matrix", "turn", "external_address"), f"{address} is {what}; expected the balancer's address"
            return


def key_faults(cluster: Cluster, tenant: Tenant, taken: Taken) -> Iterator[Fault]:
    """Keys of free maps that the cluster does not allow, and names in their values."""
    policy = cluster.tenants
    maps = (
        ("annotations", tenant.turn.annotations, policy.annotations, NEVER_KEYS),
        ("node_selector", tenant.turn.node_selector, policy.node_labels, NEVER_LABELS),
    )
    for where, values, allowed, never in maps:
        listed = "cluster.tenants." + ("annotations" if where == "annotations" else "node_labels")
        for key, value in values.items():
            at: Key = ("matrix", "turn", where, key)
            if any(fnmatchcase(key.lower(), pattern) for pattern in never):
                yield at, f"{key!r} is read by the platform's own tools; expected none of theirs"
            elif not any(fnmatchcase(key, pattern) for pattern in allowed):
                wanted = f"expected one of {', '.join(allowed)}" if allowed else _NONE_LISTED
                yield at, f"{key!r} is none that tenants of {cluster.name} may set ({listed}); {wanted}"
            elif wrong := [one for one in re.split(r"[,\s]+", value.strip()) if _other_address(one, tenant)]:
                yield at, f"expected turn.external_address ({tenant.turn.external_address}) alone, got {wrong[0]!r}"
            elif "hostname" in key.lower():
                for host in re.split(r"[,\s]+", value.strip()):
                    message = host_fault(cluster, taken, host.lower().rstrip(".").removeprefix("*."))
                    if message:
                        yield at, message
