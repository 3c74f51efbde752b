"""Application Gateway Ingress Controller: an Ingress is listeners and rules of an Azure Application Gateway,
which sends to Pods' addresses itself.

Without a WAF it has no body limit that Matrix reaches, so the router's is the only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.edges.group import Group, ingress, tls_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import Plan
from matrixfleet.plan.edge import DRAIN, FEDERATION_PORT, HEALTH_PATHS, REQUEST_TIMEOUT

OURS = "appgw.ingress.kubernetes.io"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """It takes nothing from Services."""
    return {}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """An Ingress a group and backend, and another where there is a second port: port and health probe are annotations
    of the whole Ingress."""
    for group, backend in ((one, backend) for one in groups for backend in one.backends):
        mine = Group(group.purpose, tuple(host for host in group.hosts if host.backend == backend))
        name, tls = plan.called(group.purpose + f"-{backend}" * (len(group.backends) > 1)), tls_of(plan, group)
        annotations = {
            f"{OURS}/request-timeout": str(REQUEST_TIMEOUT),
            f"{OURS}/health-probe-path": HEALTH_PATHS[backend],
            f"{OURS}/health-probe-port": str(plan.workloads[backend].ports["http"]),
            f"{OURS}/health-probe-status-codes": "200",
            # What a leaving Pod has begun goes on meanwhile.
            f"{OURS}/connection-draining": "true",
            f"{OURS}/connection-draining-timeout": str(DRAIN),
        }
        yield ingress(plan, name, [mine], {f"{OURS}/ssl-redirect": "true", **annotations}, tls=tls)
        if plan.cluster.edge.federation_on_8448:
            port = {f"{OURS}/override-frontend-port": str(FEDERATION_PORT)}
            yield ingress(plan, f"{name}-federation", [mine], {**port, **annotations}, tls=tls)
