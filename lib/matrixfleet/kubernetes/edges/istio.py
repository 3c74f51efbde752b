"""Istio's own kinds: VirtualServices on a Gateway that all tenants share.

A `credentialName` is read in the namespace of the gateway's Pods, so a tenant's certificate cannot be named: the
Gateway and its certificates are its owner's. No body limit of its own, so the router's is the only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.edges.group import Group
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.edge import TRANSFER_TIMEOUT, PublicHost

API = "networking.istio.io/v1"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """It takes nothing from Services."""
    return {}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """A VirtualService a host: hosts of one may not differ in their paths."""
    shared = plan.cluster.edge.gateway
    assert shared is not None
    for group in groups:
        for number, host in enumerate(group.hosts):
            suffix = f"-{number}" if number else ""
            spec = {
                "hosts": [host.host],
                "gateways": [f"{shared.namespace}/{shared.name}"],
                # The mesh between Pods is not the edge's: sidecars never see this.
                "exportTo": [".", shared.namespace],
                "http": [redirect(), serve(plan, host)],
            }
            name = f"{plan.called(group.purpose)}{suffix}"
            yield make(plan, "VirtualService", "edge", api=API, name=name, wave=waves.EDGE, spec=spec)


def redirect() -> Object:
    """To HTTPS, for good; harmless where the Gateway does it already (`httpsRedirect`)."""
    return {"match": [{"port": 80}], "redirect": {"scheme": "https", "redirectCode": 301}}


def serve(plan: Plan, host: PublicHost) -> Object:
    """To the component that answers; the timeout counts the whole exchange. Nothing is sent twice: by default
    Istio tries a request again."""
    address, port = plan.address(host.backend), plan.workloads[host.backend].ports["http"]
    return {
        "match": [{"uri": {"prefix": host.path}}],
        "timeout": f"{TRANSFER_TIMEOUT}s",
        "retries": {"attempts": 0},
        "route": [{"destination": {"host": address, "port": {"number": port}}}],
    }
