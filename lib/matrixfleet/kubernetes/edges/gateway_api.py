"""Gateway API: a Gateway a tenant with a listener for each host, or one that all share; HTTPRoutes to it.

Fields that the API server would fill in are written out where they stand in lists: left to it, Argo CD under
server-side apply reports the object as OutOfSync for ever. The API has no body limit; an implementation's own
must not be below the router's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby

from matrixfleet.kubernetes.edges.group import Group, secret_of
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.model.cluster import EdgeSpec
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.edge import FEDERATION_PORT, TRANSFER_TIMEOUT, PublicHost

GROUP = "gateway.networking.k8s.io"
API = f"{GROUP}/v1"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """It takes nothing from Services."""
    return {}


def solver(edge: EdgeSpec) -> Object:
    """cert-manager's HTTP-01 by an HTTPRoute. To a tenant's own Gateway it is the Certificate that leads."""
    route: Object = {"serviceType": "ClusterIP"}
    if edge.gateway:
        route["parentRefs"] = [
            {
                "group": GROUP,
                "kind": "Gateway",
                "namespace": edge.gateway.namespace,
                "name": edge.gateway.name,
                "sectionName": edge.gateway.http_listener,
            }
        ]
    return {"gatewayHTTPRoute": route}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """The Gateway where it is the tenant's own, then the routes of each group."""
    shared = plan.cluster.edge.gateway
    if shared is None:
        yield gateway(plan, groups)
        if plan.cluster.edge.envoy_gateway:
            yield kept_paths(plan)
    for group in groups:
        for (path, _), found in groupby(group.hosts, lambda host: (host.path, host.backend)):
            hosts = list(found)
            if shared:
                listeners = list(shared.https_listeners)
            else:
                listeners = [listener for host in hosts for listener, _ in listeners_of(plan, host.host)]
            suffix = "" if path == "/" else "-" + path.strip("/.").replace("/", "-")
            yield route(
                plan, f"{group.purpose}{suffix}", [host.host for host in hosts], listeners, serve(plan, hosts[0])
            )
        listener = shared.http_listener if shared else "http"
        yield route(plan, f"{group.purpose}-redirect", group.names, [listener], redirect())


def listeners_of(plan: Plan, host: str) -> list[tuple[str, int]]:
    """Names and ports of a host's listeners: each has the certificate of its host."""
    ports = [443] + [FEDERATION_PORT] * plan.cluster.edge.federation_on_8448
    named = [(f"{'https' if port == 443 else 'federation'}.{host}", port) for port in ports]
    # A listener's name (SectionName) has 253 characters at most, and a host may have as many itself.
    short = hashlib.sha256(host.encode()).hexdigest()[:16]
    return [(name if len(name) <= 253 else f"{name.partition('.')[0]}.{short}", port) for name, port in named]


def gateway(plan: Plan, groups: Sequence[Group]) -> Object:
    """Plain HTTP for the redirect and for ACME, then every host."""
    same: Object = {"namespaces": {"from": "Same"}}
    listeners: list[Object] = [{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": same}]
    for group in groups:
        reference = {"group": "", "kind": "Secret", "name": secret_of(plan, group)}
        for host in group.names:
            for name, port in listeners_of(plan, host):
                listeners.append(
                    {
                        "name": name,
                        "hostname": host,
                        "port": port,
                        "protocol": "HTTPS",
                        "tls": {"mode": "Terminate", "certificateRefs": [reference]},
                        "allowedRoutes": same,
                    }
                )
    spec = {"gatewayClassName": plan.cluster.edge.class_name, "listeners": listeners}
    return make(plan, "Gateway", "edge", api=API, wave=waves.EDGE, spec=spec)


def kept_paths(plan: Plan) -> Object:
    """Paths go on as they came: by default Envoy Gateway redirects `%2F` to `/`, and merges slashes (its
    ClientTrafficPolicy, PathSettings)."""
    spec = {
        "targetRefs": [{"group": GROUP, "kind": "Gateway", "name": plan.called("edge")}],
        "path": {"escapedSlashesAction": "KeepUnchanged", "disableMergeSlashes": True},
    }
    return make(plan, "ClientTrafficPolicy", "edge", api="gateway.envoyproxy.io/v1alpha1", wave=waves.FRONT, spec=spec)


def route(plan: Plan, purpose: str, hosts: list[str], listeners: list[str], rule: Object) -> Object:
    """An HTTPRoute on some listeners."""
    shared = plan.cluster.edge.gateway
    parents = [
        {
            "group": GROUP,
            "kind": "Gateway",
            **({"namespace": shared.namespace} if shared else {}),
            "name": shared.name if shared else plan.called("edge"),
            "sectionName": listener,
        }
        for listener in listeners
    ]
    return make(
        plan,
        "HTTPRoute",
        "edge",
        api=API,
        name=plan.called(purpose),
        wave=waves.EDGE,
        spec={"parentRefs": parents, "hostnames": hosts, "rules": [rule]},
    )


def serve(plan: Plan, host: PublicHost) -> Object:
    """To the component that answers; the timeout counts the whole exchange."""
    port = plan.workloads[host.backend].ports["http"]
    backend_ref = {"group": "", "kind": "Service", "name": plan.called(host.backend), "port": port, "weight": 1}
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": host.path}}],
        "timeouts": {"request": f"{TRANSFER_TIMEOUT}s"},
        "backendRefs": [backend_ref],
    }


def redirect() -> Object:
    """To HTTPS, for good."""
    to_https = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
    return {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "filters": [to_https]}
