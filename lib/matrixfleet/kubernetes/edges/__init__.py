"""How each kind of edge spells hosts, TLS, redirect to HTTPS, body size and timeouts: one module a kind.

Each offers two functions:

    objects(plan, groups)      what it takes to serve all groups of hosts
    backend(plan, component)   annotations of a Service that stands behind it

What the products do by themselves, and what their controllers must have set, is in docs/edges.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType

from matrixfleet.kubernetes.edges import (
    aws_alb,
    azure_agic,
    gateway_api,
    gke,
    haproxy,
    ingress_nginx,
    istio,
    nginx,
    traefik,
)
from matrixfleet.kubernetes.edges.group import certificate, groups_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.model import Cluster
from matrixfleet.model.choices import Edge
from matrixfleet.plan import Plan

KINDS: dict[Edge, ModuleType] = {
    Edge.TRAEFIK: traefik,
    Edge.GATEWAY_API: gateway_api,
    Edge.ISTIO: istio,
    Edge.NGINX: nginx,
    Edge.INGRESS_NGINX: ingress_nginx,
    Edge.HAPROXY: haproxy,
    Edge.AWS_ALB: aws_alb,
    Edge.GKE: gke,
    Edge.AZURE_AGIC: azure_agic,
}

_ALB = (
    *("group.name", "scheme", "target-type", "listen-ports", "ssl-redirect", "ssl-policy", "load-balancer-attributes"),
    *("certificate-arn", "inbound-cidrs", "healthcheck-path", "target-group-attributes"),
)
_AGIC = (
    *("request-timeout", "health-probe-path", "health-probe-port", "health-probe-status-codes", "ssl-redirect"),
    *("connection-draining", "connection-draining-timeout", "override-frontend-port"),
)
_TRAEFIK = ("router.entrypoints", "router.middlewares", "router.tls", "service.serverstransport")
_BODY = ("ssl-redirect", "proxy-body-size")
ANNOTATIONS: dict[Edge, set[str]] = {
    Edge.TRAEFIK: {f"traefik.ingress.kubernetes.io/{key}" for key in _TRAEFIK},
    Edge.GATEWAY_API: {f"acme.cert-manager.io/http01-parentref{key}" for key in ("kind", "name")},
    Edge.ISTIO: set(),
    Edge.NGINX: {
        f"{nginx.OURS}/{key}"
        for key in (
            "ssl-redirect",
            "client-max-body-size",
            "proxy-read-timeout",
            "proxy-send-timeout",
            "listen-ports-ssl",
        )
    },
    Edge.INGRESS_NGINX: {f"{ingress_nginx.OURS}/{key}" for key in (*_BODY, "proxy-read-timeout", "proxy-send-timeout")},
    Edge.HAPROXY: {f"{haproxy.OURS}/{key}" for key in (*_BODY, "timeout-server")},
    Edge.AWS_ALB: {f"{aws_alb.OURS}/{key}" for key in _ALB},
    Edge.GKE: {
        "kubernetes.io/ingress.class",
        "networking.gke.io/v1beta1.FrontendConfig",
        "cloud.google.com/neg",
        "cloud.google.com/backend-config",
    },
    Edge.AZURE_AGIC: {f"{azure_agic.OURS}/{key}" for key in _AGIC},
}
"""What tenants' objects at each edge say in annotations: admission lets no other in."""


NAMESPACE_LABELS: dict[Edge, dict[str, str]] = {Edge.AWS_ALB: aws_alb.READINESS}
"""What edges must read of the namespaces that hold what they serve."""


def edge_objects(plan: Plan) -> Iterator[Object]:
    """Everything at the edge of one tenant."""
    edge, groups = plan.cluster.edge, groups_of(plan)
    if edge.reads_secrets:
        for group in groups:
            yield certificate(plan, group)
    yield from KINDS[edge.controller].objects(plan, groups)


def backend_annotations(plan: Plan, component: str) -> Mapping[str, str]:
    """Annotations of a Service that stands behind the edge."""
    annotations: Mapping[str, str] = KINDS[plan.cluster.edge.controller].backend(plan, component)
    return annotations


def http01_solver(cluster: Cluster) -> Object:
    """How cert-manager reaches an ACME authority through this edge."""
    if cluster.edge.controller is Edge.GATEWAY_API:
        return gateway_api.solver(cluster.edge)
    return {"ingress": {"ingressClassName": cluster.edge.class_name}}
