"""What edges have in common: hosts that share a certificate, the certificate, an Ingress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.model.choices import Edge
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.edge import PublicHost


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts of one purpose. Each purpose has a certificate of its own: where the DNS of one is not ready
    yet, the others still get theirs."""

    purpose: str
    hosts: tuple[PublicHost, ...]

    @property
    def names(self) -> list[str]:
        """The host names, each once."""
        return list(dict.fromkeys(host.host for host in self.hosts))

    @property
    def backends(self) -> list[str]:
        """The components that answer: two where Element Web has the homeserver's own name."""
        return sorted({host.backend for host in self.hosts})

    def paths_of(self, name: str) -> tuple[tuple[str, str], ...]:
        """Each path of a host name and the component that answers; the longest first, for edges that take the first
        that fits."""
        paths = [(each.path, each.backend) for each in self.hosts if each.host == name]
        return tuple(sorted(paths, key=lambda each: -len(each[0])))


def groups_of(plan: Plan) -> list[Group]:
    """A tenant's public hosts by certificate."""
    by_purpose = groupby(plan.public_hosts, lambda host: host.certificate)
    return [Group(purpose, tuple(hosts)) for purpose, hosts in by_purpose]


def secret_of(plan: Plan, group: Group) -> str:
    """The Secret of a group's certificate."""
    return plan.called(f"{group.purpose}-tls")


def tls_of(plan: Plan, group: Group) -> list[Object]:
    """A group's entry in an Ingress's `tls`."""
    return [{"hosts": group.names, "secretName": secret_of(plan, group)}]


def certificate(plan: Plan, group: Group) -> Object:
    """A group's certificate, from the cluster's issuer."""
    annotations = {}
    if plan.cluster.edge.controller is Edge.GATEWAY_API:
        # Where cert-manager attaches the route of its HTTP-01 solver (acmeorders/util.go of 1.20).
        annotations = {
            "acme.cert-manager.io/http01-parentrefkind": "Gateway",
            "acme.cert-manager.io/http01-parentrefname": plan.called("edge"),
        }
    return make(
        plan,
        "Certificate",
        "edge",
        api="cert-manager.io/v1",
        name=plan.called(group.purpose),
        namespace=plan.cluster.edge.certificate_namespace,
        wave=waves.EDGE,
        annotations=annotations,
        spec={
            "secretName": secret_of(plan, group),
            "dnsNames": group.names,
            "usages": ["server auth"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "issuerRef": {
                "name": plan.web_issuer.name,
                "kind": "ClusterIssuer",
                "group": "cert-manager.io",
            },
        },
    )


def ingress(
    plan: Plan,
    name: str,
    groups: Sequence[Group],
    annotations: Mapping[str, str],
    *,
    tls: Sequence[Object] = (),
    by_class_name: bool = True,
    path_type: str = "Prefix",
) -> Object:
    """One Ingress of the cluster's class.

    by_class_name: whether the controller reads spec.ingressClassName; GKE's reads an annotation instead
    path_type: how the controller reads paths
    """
    rules = []
    for group in groups:
        for host in group.names:
            paths = [
                {
                    "path": path,
                    "pathType": path_type,
                    "backend": {"service": {"name": plan.called(backend), "port": {"name": "http"}}},
                }
                for path, backend in group.paths_of(host)
            ]
            rules.append({"host": host, "http": {"paths": paths}})
    spec: Object = {"ingressClassName": plan.cluster.edge.class_name} if by_class_name else {}
    if tls:
        spec["tls"] = list(tls)
    spec["rules"] = rules
    return make(
        plan,
        "Ingress",
        "edge",
        api="networking.k8s.io/v1",
        name=name,
        wave=waves.EDGE,
        annotations=annotations,
        spec=spec,
    )
