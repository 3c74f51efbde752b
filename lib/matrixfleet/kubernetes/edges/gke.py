"""Ingress on GKE: an Ingress is a load balancer with an address, so a tenant has one for all its hosts.

Redirect and timeouts are kinds of Google's own. It has no body limit, so the router's is the only one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.edges.group import Group, ingress, tls_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.edge import DRAIN, HEALTH_PATHS, TRANSFER_TIMEOUT

FRONTEND, BACKEND = "networking.gke.io/v1beta1", "cloud.google.com/v1"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """To Pods' addresses, not through nodes, with the timeouts of its BackendConfig."""
    return {
        "cloud.google.com/neg": json.dumps({"ingress": True}),
        "cloud.google.com/backend-config": json.dumps({"default": plan.called(component)}),
    }


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """What the front does, what it does with each backend, and the Ingress."""
    policy = plan.cluster.edge.ssl_policy
    yield make(
        plan,
        "FrontendConfig",
        "edge",
        api=FRONTEND,
        wave=waves.FRONT,
        spec={
            "redirectToHttps": {"enabled": True, "responseCodeName": "MOVED_PERMANENTLY_DEFAULT"},
            **({"sslPolicy": policy} if policy else {}),
        },
    )
    for component in sorted({backend for group in groups for backend in group.backends}):
        yield backend_config(plan, component)
    annotations = {
        # Google's controller does not read spec.ingressClassName.
        "kubernetes.io/ingress.class": plan.cluster.edge.class_name,
        "networking.gke.io/v1beta1.FrontendConfig": plan.called("edge"),
    }
    tls = [entry for group in groups for entry in tls_of(plan, group)]
    yield ingress(plan, plan.called("edge"), groups, annotations, tls=tls, by_class_name=False)


def backend_config(plan: Plan, component: str) -> Object:
    """Timeouts, the whole exchange counted, and the health check."""
    return make(
        plan,
        "BackendConfig",
        "edge",
        api=BACKEND,
        name=plan.called(component),
        wave=waves.FRONT,
        spec={
            "timeoutSec": TRANSFER_TIMEOUT,
            "connectionDraining": {"drainingTimeoutSec": DRAIN},
            "healthCheck": {
                "type": "HTTP",
                "port": plan.workloads[component].ports["http"],
                "requestPath": HEALTH_PATHS[component],
            },
        },
    )
