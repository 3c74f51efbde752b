"""Istio: mutual TLS with its exceptions, the plan's flows as AuthorizationPolicies, and what sidecars know."""

from collections.abc import Iterator, Sequence

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import PREFIX, make, selector
from matrixfleet.model.fleet import SHARED_NAMESPACE
from matrixfleet.plan import Plan, TenantPlan
from matrixfleet.plan.mesh import Admitted, NamedHost, admitted, exceptions, is_meshed, named_hosts

SECURITY, NETWORKING, TELEMETRY = "security.istio.io/v1", "networking.istio.io/v1", "telemetry.istio.io/v1"
KEPT_OPEN: Object = {"tcp": {"idleTimeout": "0s"}}
"""0s: a connection may be idle for ever."""


@component("fence")
def main(plan: Plan) -> Iterator[Object]:
    """What holds for a namespace, then for each workload; nothing where there is no mesh."""
    if plan.istio is None or not plan.namespaces:
        return
    if plan.namespace in plan.owned_namespaces:
        yield draw(plan, "PeerAuthentication", "mesh", SECURITY, {"mtls": {"mode": "STRICT"}})
        # No rule: nobody may, until a policy says who.
        yield draw(plan, "AuthorizationPolicy", "mesh", SECURITY, {})
        yield draw(plan, "Sidecar", "mesh", NETWORKING, reach(plan))
        logs: Object = {"providers": [{"name": "envoy"}]} if plan.istio.access_logs else {"disabled": True}
        yield draw(plan, "Telemetry", "mesh", TELEMETRY, {"accessLogging": [logs]})
    accounts = {name: (plan.namespace, plan.called(name)) for name in plan.workloads}
    for name in (name for name in plan.workloads if is_meshed(plan.istio, name)):
        incoming = admitted(plan.istio, plan.flows, name, accounts)
        if incoming:
            yield authorization(plan, name, incoming)
        if plain := exceptions(incoming):
            yield peer_authentication(plan, name, plain)
    if isinstance(plan, TenantPlan):
        for name, host in stores(plan).items():
            yield destination_rule(plan, name, host)
        by_purpose: dict[str, list[NamedHost]] = {}
        for host in named_hosts(plan.tenant, plan.cluster.network.domain):
            by_purpose.setdefault(host.purpose, []).append(host)
        for purpose, hosts in by_purpose.items():
            yield service_entry(plan, purpose, hosts)


def draw(plan: Plan, kind: str, name: str, api: str, spec: Object, annotations: dict[str, str] | None = None) -> Object:
    """One of Istio's objects, in the namespace's own wave of walls."""
    return make(plan, kind, name, api=api, wave=1, annotations=annotations, spec=spec)


def reach(plan: Plan) -> Object:
    """What sidecars are told of: their own namespace, and the platform's where it has a PostgreSQL. Anything else
    they pass on as it is; NetworkPolicies say where to, since federation goes everywhere."""
    assert plan.istio is not None
    places = [".", plan.istio.namespace] + [SHARED_NAMESPACE] * (plan.target.platform.postgresql is not None)
    return {
        "egress": [{"hosts": [f"{place}/*" for place in places]}],
        "outboundTrafficPolicy": {"mode": "ALLOW_ANY"},
    }


def authorization(plan: Plan, name: str, incoming: Sequence[Admitted]) -> Object:
    """Who may connect to one workload, by identity, as its NetworkPolicy says it by Pods."""
    rules: list[Object] = []
    for one in incoming:
        # "cluster.local" stands for the mesh's own trust domain, however that is called.
        principals = [f"cluster.local/ns/{place}/sa/{account}" for place, account in one.accounts]
        rule: Object = {"from": [{"source": {"principals": principals}}]} if principals else {}
        rules.append(rule | {"to": [{"operation": {"ports": [str(port) for port in one.ports]}}]})
    spec = {"action": "ALLOW", "selector": {"matchLabels": selector(plan, name)}, "rules": rules}
    return draw(plan, "AuthorizationPolicy", name, SECURITY, spec)


def peer_authentication(plan: Plan, name: str, plain: dict[int, str]) -> Object:
    """Ports of one workload that somebody outside the mesh reaches; an annotation names them, a line a port."""
    told = "".join(f"TCP {port}: {reason}\n" for port, reason in sorted(plain.items()))
    spec = {
        "selector": {"matchLabels": selector(plan, name)},
        "mtls": {"mode": "STRICT"},
        "portLevelMtls": {str(port): {"mode": "PERMISSIVE"} for port in sorted(plain)},
    }
    return draw(plan, "PeerAuthentication", name, SECURITY, spec, {PREFIX + "exceptions": told})


def stores(plan: TenantPlan) -> dict[str, str]:
    """Hosts of what keeps connections open, by component, whoever runs it and wherever."""
    found = {"postgresql": plan.database.server.host}
    if plan.database.pooled:
        found["pgbouncer"] = plan.database.door.host
    return found | ({"redis": plan.address("redis")} if "redis" in plan.workloads else {})


def destination_rule(plan: Plan, name: str, host: str) -> Object:
    """Sidecars do mutual TLS among themselves (auto mTLS), around whatever the programs speak: a `tls` here
    with a mode of its own would begin TLS where PostgreSQL's clients begin theirs."""
    spec = {"host": host, "exportTo": ["."], "trafficPolicy": {"connectionPool": KEPT_OPEN}}
    return draw(plan, "DestinationRule", name, NETWORKING, spec)


def service_entry(plan: Plan, purpose: str, hosts: Sequence[NamedHost]) -> Object:
    """Hosts outside by name, for this namespace alone: else every sidecar of the mesh would hear of them.
    Their addresses are the NetworkPolicy's; a connection goes on to the address that it was opened to, as it
    is, since the program speaks TLS itself."""
    ports = {(host.port, "TLS" if host.tls else "TCP") for host in hosts}
    spec = {
        "hosts": list(dict.fromkeys(host.host for host in hosts)),
        "location": "MESH_EXTERNAL",
        "resolution": "NONE",
        "exportTo": ["."],
        "ports": [
            {"number": number, "name": f"{protocol.lower()}-{number}", "protocol": protocol}
            for number, protocol in sorted(ports)
        ],
    }
    return make(plan, "ServiceEntry", "mesh", api=NETWORKING, name=plan.called(f"outside-{purpose}"), wave=1, spec=spec)
