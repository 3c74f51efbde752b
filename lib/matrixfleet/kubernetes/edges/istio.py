"""Istio's own API: a Gateway a tenant for gateway Pods that all share, and a VirtualService for each path.

Gateway and VirtualServices are in the tenant's namespace; the certificates must lie where the gateway's Pods
are, since those read Secrets of their own namespace alone. Envoy has neither a body limit nor, unless told, a
timeout of requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from matrixfleet.kubernetes.edges.group import Group, secret_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.edge import FEDERATION_PORT, PublicHost

API = "networking.istio.io/v1"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """It takes nothing from Services."""
    return {}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """The Gateway, then what is behind it."""
    yield gateway(plan, groups)
    for group in groups:
        for path, hosts in groupby(group.hosts, lambda host: host.path):
            suffix = "" if path == "/" else "-" + path.strip("/.").replace("/", "-")
            yield virtual_service(plan, f"{group.purpose}{suffix}", list(hosts))


def gateway(plan: Plan, groups: Sequence[Group]) -> Object:
    """Plain HTTP for the redirect alone, then every certificate's hosts. The namespace before a host: no
    VirtualService of another one binds to it."""
    edge = plan.cluster.edge
    ports = [("https", 443)] + [("federation", FEDERATION_PORT)] * edge.federation_on_8448

    def mine(hosts: Sequence[str]) -> list[str]:
        return [f"{plan.namespace}/{host}" for host in hosts]

    everybody = mine([host for group in groups for host in group.names])
    servers: list[Object] = [
        {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": everybody, "tls": {"httpsRedirect": True}}
    ]
    for group in groups:
        for name, number in ports:
            servers.append(
                {
                    "port": {"number": number, "name": f"{name}-{group.purpose}", "protocol": "HTTPS"},
                    "hosts": mine(group.names),
                    "tls": {
                        "mode": "SIMPLE",
                        "credentialName": secret_of(plan, group),
                        "minProtocolVersion": "TLSV1_2",
                    },
                }
            )
    spec = {"selector": dict(edge.peers[0].pods), "servers": servers}
    return make(plan, "Gateway", "edge", api=API, wave=waves.EDGE, spec=spec)


def virtual_service(plan: Plan, purpose: str, hosts: Sequence[PublicHost]) -> Object:
    """Hosts of one path, to the component that answers. Known to the tenant's namespace and the gateway's:
    else every sidecar of the mesh would hear of it. Tried once, since a request may have reached Synapse."""
    first = hosts[0]
    destination = {"host": plan.address(first.backend), "port": {"number": plan.workloads[first.backend].ports["http"]}}
    rule = {
        "match": [{"uri": {"prefix": first.path}}],
        "route": [{"destination": destination}],
        "retries": {"attempts": 0},
    }
    return make(
        plan,
        "VirtualService",
        "edge",
        api=API,
        name=plan.called(purpose),
        wave=waves.EDGE,
        spec={
            "hosts": [host.host for host in hosts],
            "gateways": [plan.called("edge")],
            "exportTo": [".", plan.cluster.edge.peers[0].namespace],
            "http": [rule],
        },
    )
