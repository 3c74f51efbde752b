"""ingress-nginx, archived by Kubernetes in March 2026: for clusters that still have it. Compiling warns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.edges.group import Group, ingress, tls_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import Plan
from matrixfleet.plan.edge import REQUEST_TIMEOUT

OURS = "nginx.ingress.kubernetes.io"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """It takes nothing from Services."""
    return {}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """An Ingress a group. No rewrite-target, here or anywhere: it would decode %2F."""
    annotations = {
        f"{OURS}/ssl-redirect": "true",
        f"{OURS}/proxy-body-size": f"{plan.body_limit}m",
        f"{OURS}/proxy-read-timeout": f"{REQUEST_TIMEOUT}",
        f"{OURS}/proxy-send-timeout": f"{REQUEST_TIMEOUT}",
    }
    for group in groups:
        # Its admission refuses a dot, as in /.well-known, in paths of the other types (`strict-validate-path-type`, on
        # by default since 1.12; kubernetes/ingress-nginx#11176). Without use-regex this type is a prefix too.
        kind, tls = "ImplementationSpecific", tls_of(plan, group)
        yield ingress(plan, plan.called(group.purpose), [group], annotations, tls=tls, path_type=kind)
