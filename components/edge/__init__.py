"""The way in: hosts, TLS, redirect to HTTPS, timeouts, and nothing else; paths are the router's."""

from collections.abc import Iterator
from itertools import groupby

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.plan import TenantPlan, waves
from matrixfleet.plan.edge import REQUEST_TIMEOUT, PublicHost

TRAEFIK = "traefik.io/v1alpha1"


@component("workload/edge")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Traefik's objects that all hosts share, then a certificate and two Ingresses a purpose."""
    yield middleware(plan)
    yield transport(plan)
    for purpose, hosts in groupby(plan.public_hosts, lambda host: host.certificate):
        yield from public(plan, purpose, list(hosts))


def middleware(plan: TenantPlan) -> Object:
    """To HTTPS, for good."""
    spec = {"redirectScheme": {"scheme": "https", "permanent": True}}
    return make(plan, "Middleware", "edge", api=TRAEFIK, wave=waves.FRONT, name=plan.called("https"), spec=spec)


def transport(plan: TenantPlan) -> Object:
    """How long Traefik waits for what stands behind it: as long as everybody on the way."""
    timeouts = {"dialTimeout": "5s", "responseHeaderTimeout": f"{REQUEST_TIMEOUT}s", "idleConnTimeout": "60s"}
    return make(
        plan,
        "ServersTransport",
        "edge",
        api=TRAEFIK,
        wave=waves.FRONT,
        spec={"forwardingTimeouts": timeouts},
    )


def public(plan: TenantPlan, purpose: str, hosts: list[PublicHost]) -> Iterator[Object]:
    """One purpose's hosts. Each has a certificate of its own: where the DNS of one is not ready yet, the
    others still get theirs."""
    name, secret = plan.called(purpose), plan.called(f"{purpose}-tls")
    names = [host.host for host in hosts]
    edge = plan.cluster.edge
    yield make(
        plan,
        "Certificate",
        "edge",
        api="cert-manager.io/v1",
        name=name,
        wave=waves.EDGE,
        spec={
            "secretName": secret,
            "dnsNames": names,
            "usages": ["server auth"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "issuerRef": {
                "name": plan.cluster.issuers.web.name,
                "kind": "ClusterIssuer",
                "group": "cert-manager.io",
            },
        },
    )
    tls = {
        "traefik.ingress.kubernetes.io/router.entrypoints": edge.https_entrypoint,
        "traefik.ingress.kubernetes.io/router.tls": "true",
    }
    to_https = f"{plan.namespace}-{plan.called('https')}@kubernetescrd"
    redirect = {
        "traefik.ingress.kubernetes.io/router.entrypoints": edge.http_entrypoint,
        "traefik.ingress.kubernetes.io/router.middlewares": to_https,
    }
    secured = [{"hosts": names, "secretName": secret}]
    yield ingress(plan, name, hosts, tls, {"tls": secured})
    yield ingress(plan, f"{name}-redirect", hosts, redirect, {})


def ingress(plan: TenantPlan, name: str, hosts: list[PublicHost], annotations: dict[str, str], tls: Object) -> Object:
    """One Ingress."""
    rules = []
    for host in hosts:
        backend = {"service": {"name": plan.called(host.backend), "port": {"name": "http"}}}
        rules.append(
            {
                "host": host.host,
                "http": {"paths": [{"path": host.path, "pathType": "Prefix", "backend": backend}]},
            }
        )
    return make(
        plan,
        "Ingress",
        "edge",
        api="networking.k8s.io/v1",
        name=name,
        wave=waves.EDGE,
        annotations=annotations,
        spec={"ingressClassName": plan.cluster.edge.class_name, **tls, "rules": rules},
    )
