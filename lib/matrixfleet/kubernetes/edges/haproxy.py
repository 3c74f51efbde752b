"""HAProxy Ingress (haproxy-ingress.github.io, not the controller of HAProxy Technologies): one Ingress a
group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.edges.group import Group, ingress, tls_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import Plan
from matrixfleet.plan.edge import REQUEST_TIMEOUT

OURS = "haproxy-ingress.github.io"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """It would take annotations from Services too; the Ingress has them all."""
    return {}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """An Ingress a group."""
    annotations = {
        f"{OURS}/ssl-redirect": "true",
        f"{OURS}/proxy-body-size": f"{plan.body_limit}m",
        f"{OURS}/timeout-server": f"{REQUEST_TIMEOUT}s",
    }
    for group in groups:
        yield ingress(plan, plan.called(group.purpose), [group], annotations, tls=tls_of(plan, group))
