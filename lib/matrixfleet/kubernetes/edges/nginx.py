"""F5's NGINX Ingress Controller: one Ingress a group, all by its annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.edges.group import Group, ingress, tls_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import Plan
from matrixfleet.plan.edge import FEDERATION_PORT, REQUEST_TIMEOUT

OURS = "nginx.org"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """It takes nothing from Services."""
    return {}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """An Ingress a group."""
    annotations = {
        # For TLS that ends here, and the default; nginx.org/redirect-to-https goes by X-Forwarded-Proto.
        f"{OURS}/ssl-redirect": "true",
        f"{OURS}/client-max-body-size": f"{plan.body_limit}m",
        f"{OURS}/proxy-read-timeout": f"{REQUEST_TIMEOUT}s",
        f"{OURS}/proxy-send-timeout": f"{REQUEST_TIMEOUT}s",
    }
    if plan.cluster.edge.federation_on_8448:
        annotations[f"{OURS}/listen-ports-ssl"] = f"443,{FEDERATION_PORT}"
    for group in groups:
        yield ingress(plan, plan.called(group.purpose), [group], annotations, tls=tls_of(plan, group))
