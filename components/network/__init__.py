"""The plan's flows as NetworkPolicies: one that denies everything, one a component for what is allowed."""

from collections.abc import Iterable, Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import PREFIX, make, selector
from matrixfleet.plan import Plan
from matrixfleet.plan.flows import Flow, Outside
from matrixfleet.plan.networks import public


@component("fence")
def main(plan: Plan) -> Iterator[Object]:
    """Default deny, then what each component and guest may receive and open."""
    if not plan.namespaces:
        return
    if plan.namespace in plan.owned_namespaces:
        yield policy(plan, "default-deny", {}, {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    if plan.logs_namespace in plan.namespaces:
        closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        yield policy(plan, "logs-default-deny", {}, closed, plan.logs_namespace)
    guests = {guest.name: dict(guest.selector) for guest in plan.guests}
    for name in (*plan.workloads, *guests):
        if name in plan.workloads and plan.workloads[name].on_nodes:
            # No policy reaches it, so none pretends to.
            continue
        yield component_policy(plan, name, guests.get(name))


def component_policy(plan: Plan, name: str, guest: dict[str, str] | None) -> Object:
    """Everything that one component takes part in; its reasons are an annotation, a line a flow."""
    incoming = grouped((flow, flow.source, flow.source_name) for flow in plan.flows if flow.target == name)
    outgoing = grouped((flow, flow.target, flow.target_name) for flow in plan.flows if flow.source == name)
    spec: Object = {
        "podSelector": {"matchLabels": guest or selector(plan, name)},
        "policyTypes": ["Ingress", "Egress"],
    }
    if incoming:
        spec["ingress"] = [{"from": sides(plan, group), **ports(group[0][0])} for group in incoming]
    if outgoing:
        spec["egress"] = [{"to": sides(plan, group), **ports(group[0][0])} for group in outgoing]
    reasons = [told("from", group) for group in incoming] + [told("to", group) for group in outgoing]
    told_all = {PREFIX + "flows": "\n".join(reasons) + "\n"} if reasons else {}
    return policy(plan, name, told_all, spec, plan.place(name))


Side = tuple[Flow, str | Outside, str]


def grouped(flows: Iterable[Side]) -> list[list[Side]]:
    """Flows of the same ports and reason: one rule."""
    groups: dict[tuple[object, str], list[Side]] = {}
    for side in flows:
        groups.setdefault((side[0].ports, side[0].reason), []).append(side)
    return list(groups.values())


def sides(plan: Plan, group: list[Side]) -> list[Object]:
    """A rule's other sides."""
    return [peer for _, side, _ in group for peer in peers(plan, side)]


def told(direction: str, group: list[Side]) -> str:
    """A rule in a line."""
    flow = group[0][0]
    return f"{direction} {', '.join(name for _, _, name in group)} on {flow.ports_told}: {flow.reason}"


def policy(plan: Plan, name: str, annotations: dict[str, str], spec: Object, namespace: str = "") -> Object:
    """A NetworkPolicy of the tenant's namespace, or of one beside it."""
    return make(
        plan,
        "NetworkPolicy",
        name,
        namespace=namespace,
        api="networking.k8s.io/v1",
        wave=1,
        annotations=annotations,
        spec=spec,
    )


def ports(flow: Flow) -> Object:
    """A rule's ports; every TCP port is a range, since a rule without ports would admit UDP too."""
    entries: list[Object] = []
    for protocol, first, *last in flow.ports or (("TCP", 1, 65535),):
        entries.append({"protocol": protocol, "port": first} | ({"endPort": last[0]} if last else {}))
    return {"ports": entries}


def peers(plan: Plan, side: str | Outside) -> list[Object]:
    """A rule's other side: Pods of this namespace, Pods of another, or networks."""
    if isinstance(side, str):
        guests = {guest.name: dict(guest.selector) for guest in plan.guests}
        return [{"podSelector": {"matchLabels": guests.get(side) or selector(plan, side)}}]
    found: list[Object] = []
    for peer in side.peers:
        found += [{"ipBlock": {"cidr": network}} for network in peer.cidrs]
        if peer.namespace:
            name = {"kubernetes.io/metadata.name": peer.namespace}
            found.append({"namespaceSelector": {"matchLabels": name}, "podSelector": {"matchLabels": dict(peer.pods)}})
    for network, cut in public(side.internet_of) if side.internet_of else ():
        found.append({"ipBlock": {"cidr": network, "except": cut}})
    return found
