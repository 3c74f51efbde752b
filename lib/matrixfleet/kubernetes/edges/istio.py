"""Istio's own kinds (networking.istio.io): VirtualServices on a Gateway, the tenant's own or one that all share.

A tenant's own Gateway stands in its namespace and is served by gateway Pods that all share. Those read Secrets in
their own namespace alone, so the certificates lie there. Envoy has neither a body limit nor, unless told, a timeout
of requests: the router's are the only ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from matrixfleet.kubernetes.edges.group import Group, secret_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.edge import FEDERATION_PORT

API = "networking.istio.io/v1"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """It takes nothing from Services."""
    return {}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """The Gateway where it is the tenant's own, then what is behind it."""
    if plan.cluster.edge.gateway is None:
        yield gateway(plan, groups)
    for group in groups:
        # One for all paths of a name: the order between several of one host is undefined.
        for served, names in groupby(group.names, group.paths_of):
            path = served[-1][0]
            suffix = "" if path == "/" else "-" + path.strip("/.").replace("/", "-")
            yield virtual_service(plan, f"{group.purpose}{suffix}", list(names), served)


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
        tls = {"mode": "SIMPLE", "credentialName": secret_of(plan, group), "minProtocolVersion": "TLSV1_2"}
        for name, number in ports:
            port = {"number": number, "name": f"{name}-{group.purpose}", "protocol": "HTTPS"}
            servers.append({"port": port, "hosts": mine(group.names), "tls": dict(tls)})
    spec = {"selector": dict(edge.peers[0].pods), "servers": servers}
    return make(plan, "Gateway", "edge", api=API, wave=waves.EDGE, spec=spec)


def virtual_service(plan: Plan, purpose: str, hosts: Sequence[str], served: Sequence[tuple[str, str]]) -> Object:
    """Hosts of the same paths, to the components that answer. Exported to where the gateway is: else every sidecar of
    the mesh would hear of it."""
    edge = plan.cluster.edge
    shared = edge.gateway
    around = {edge.peers[0].namespace, *([shared.namespace] if shared else [])}
    spec = {
        "hosts": list(hosts),
        "gateways": [f"{shared.namespace}/{shared.name}" if shared else plan.called("edge")],
        "exportTo": [".", *sorted(filter(None, around))],
        "http": [*([redirect()] if shared else []), *(serve(plan, *each) for each in served)],
    }
    return make(plan, "VirtualService", "edge", api=API, name=plan.called(purpose), wave=waves.EDGE, spec=spec)


def redirect() -> Object:
    """To HTTPS, for good; harmless where the Gateway's owner does it already (`httpsRedirect`)."""
    return {"match": [{"port": 80}], "redirect": {"scheme": "https", "redirectCode": 301}}


def serve(plan: Plan, path: str, backend: str) -> Object:
    """A path to the component that answers. Tried once: by default Istio sends a request again that may have reached
    Synapse."""
    address, port = plan.address(backend), plan.workloads[backend].ports["http"]
    return {
        "match": [{"uri": {"prefix": path}}],
        "retries": {"attempts": 0},
        "route": [{"destination": {"host": address, "port": {"number": port}}}],
    }
