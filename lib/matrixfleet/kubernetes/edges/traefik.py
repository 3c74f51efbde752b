"""Traefik: two Ingresses a group, since its annotations hold for a whole Ingress and the redirect for port 80
alone. IngressRoute says nothing here that an Ingress does not.

No body limit of its own, so the router's is the only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.edges.group import Group, ingress, tls_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.edge import REQUEST_TIMEOUT

API = "traefik.io/v1alpha1"
ROUTER = "traefik.ingress.kubernetes.io/router"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """Traefik takes a backend's timeouts from its Service."""
    transport = f"{plan.namespace}-{plan.called('edge')}@kubernetescrd"
    return {"traefik.ingress.kubernetes.io/service.serverstransport": transport}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """What all hosts share, then the Ingresses of each group."""
    yield middleware(plan)
    yield transport(plan)
    edge = plan.cluster.edge
    entrypoints = [edge.https_entrypoint] + [edge.federation_entrypoint] * edge.federation_on_8448
    secured = {f"{ROUTER}.entrypoints": ",".join(entrypoints), f"{ROUTER}.tls": "true"}
    redirect = {
        f"{ROUTER}.entrypoints": edge.http_entrypoint,
        f"{ROUTER}.middlewares": f"{plan.namespace}-{plan.called('https')}@kubernetescrd",
    }
    for group in groups:
        name = plan.called(group.purpose)
        yield ingress(plan, name, [group], secured, tls=tls_of(plan, group))
        yield ingress(plan, f"{name}-redirect", [group], redirect)


def middleware(plan: Plan) -> Object:
    """To HTTPS, for good."""
    spec = {"redirectScheme": {"scheme": "https", "permanent": True}}
    return make(plan, "Middleware", "edge", api=API, wave=waves.FRONT, name=plan.called("https"), spec=spec)


def transport(plan: Plan) -> Object:
    """How long Traefik waits for what stands behind it: as long as everybody on the way."""
    timeouts = {"dialTimeout": "5s", "responseHeaderTimeout": f"{REQUEST_TIMEOUT}s", "idleConnTimeout": "60s"}
    return make(
        plan,
        "ServersTransport",
        "edge",
        api=API,
        wave=waves.FRONT,
        spec={"forwardingTimeouts": timeouts},
    )
