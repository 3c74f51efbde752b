"""Namespaces deny by default; each flow that is allowed has two sides, ports that listen, and a reason.

A flow is drawn twice, as the sender's egress and the receiver's ingress: one alone denies. Nothing on a
node's network is under a policy, so none pretends to be.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import cache

from matrixfleet.checks.network import (
    GUESTS,
    NAMESPACE,
    SIDES,
    Allowance,
    Parties,
    Party,
    Port,
    allowances,
    container_ports,
    labels_in,
    place_of,
    selected_by,
)
from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Entry, Finding, Tree, matches

BOTH = {"Ingress", "Egress"}
FLOWS = "matrix-fleet/flows"
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
Flow = tuple[Party, Party, Port]
"""Sender, receiver, and the receiver's port."""


def check(tree: Tree) -> Iterator[Finding]:
    """Namespaces, each policy and its rules, then the flows of all together."""
    parties = Parties(tree)
    policies = tree.of_kind("NetworkPolicy")
    flows: dict[str, dict[Flow, Entry]] = {side: {} for side in SIDES}
    closed = {(policy.cluster, policy.namespace) for policy in policies if denies_all(policy)}
    for (cluster, namespace), here in parties.by_place.items():
        fenced = [party for party in here if not party.host_network]
        if fenced and (cluster, namespace) not in closed:
            message = f"expected a NetworkPolicy in {namespace} that selects all Pods and allows nothing, got none"
            yield tree.finding(fenced[0].entry, "network-policies", message)
    for policy in policies:
        for fault in (*selection_faults(policy, parties), *reason_faults(policy)):
            yield tree.finding(policy, "network-policies", fault)
        for rule in allowances(policy):
            faults = [*shape_faults(rule), *network_faults(tree, rule)]
            # Of a rule that is no rule nothing more is asked.
            for fault in faults or flow_faults(rule, parties, flows[rule.side]):
                yield tree.finding(policy, "network-policies", f"{rule.side} rule {rule.number}: {fault}")
    for side, other in (("ingress", "egress"), ("egress", "ingress")):
        for flow, policy in flows[side].items():
            if flow not in flows[other]:
                sender, receiver, port = flow
                message = f"{side} allows {sender} to {receiver} on {told(port)}; expected the {other} of it too"
                yield tree.finding(policy, "network-policies", message)


def denies_all(policy: Entry) -> bool:
    """Whether it is the one that denies by default."""
    return not selected_by(policy) and not any(policy.spec.get(side) for side in SIDES)


def selection_faults(policy: Entry, parties: Parties) -> Iterator[str]:
    """Whom it selects, and in which directions."""
    if set(policy.spec.get("policyTypes", [])) != BOTH:
        yield "policyTypes: expected Ingress and Egress"
    if "matchExpressions" in repr(policy.spec):
        yield "matchExpressions: expected matchLabels alone"
    labels = selected_by(policy)
    found = parties.select((policy.cluster, policy.namespace), labels) if labels else []
    if labels and not found:
        yield f"podSelector selects no compiled Pod; expected one, or a guest's label ({', '.join(GUESTS)})"
    for party in found:
        if party.host_network:
            yield f"selects {party}, which is on the node's network: no policy reaches it"


def reason_faults(policy: Entry) -> Iterator[str]:
    """A line for each rule: `from WHO on WHAT: REASON`, `to WHO on WHAT: REASON`."""
    lines = [line for line in str(policy.annotations.get(FLOWS, "")).splitlines() if line.strip()]
    for side, key in SIDES.items():
        count, rules = sum(line.startswith(f"{key} ") for line in lines), len(policy.spec.get(side) or [])
        if count != rules:
            yield f"annotation {FLOWS}: expected {rules} lines that begin with {key}, one a rule, got {count}"
    for line in lines:
        if not line.partition(": ")[2].strip():
            yield f"annotation {FLOWS}: expected a reason after a colon, got {line!r}"


def shape_faults(rule: Allowance) -> Iterator[str]:
    """A rule that leaves out one half means everybody, or everything."""
    if not rule.peers:
        yield f"{SIDES[rule.side]}: expected peers; none means everywhere"
    if not rule.ports:
        yield "ports: expected some; none means all"
    for port in rule.ports:
        if not isinstance(port.get("port"), int):
            yield f"port: expected a number, got {port.get('port')}"
    for peer in rule.peers:
        if "namespaceSelector" in peer and NAMESPACE not in labels_in(peer, "namespaceSelector"):
            yield f"namespaceSelector: expected {NAMESPACE}; other labels may mean any namespace"


def network_faults(tree: Tree, rule: Allowance) -> Iterator[str]:
    """Networks around private ones cut those out; and the world comes in only where the cluster's class
    says that the edge is the world, or where a balancer of the Pods' own offers each of the ports to it."""
    for peer in rule.peers:
        block = peer.get("ipBlock") or {"cidr": "0.0.0.0/32"}
        wide = [private for private in PRIVATE if holds(block["cidr"], private) and block["cidr"] != private]
        if rule.side == "egress":
            for private in wide:
                if not any(holds(cut, private) for cut in block.get("except", [])):
                    yield f"{block['cidr']}: expected {private} among except"
        elif wide and not is_edge(tree, rule.policy, block["cidr"]) and not is_offered(tree, rule):
            yield (
                f"{block['cidr']}: expected a network that cluster.edge.peers names, a narrow one, or ports that a"
                " Service of type LoadBalancer offers"
            )


def is_edge(tree: Tree, policy: Entry, cidr: str) -> bool:
    """Whether the cluster's class names a network as its edge; yes where no inventory is at hand."""
    target = target_of(tree, policy)
    return target is None or any(cidr in peer.cidrs for peer in target.cluster.edge.peers)


def is_offered(tree: Tree, rule: Allowance) -> bool:
    """Whether the Pods have a balancer that offers every port of a rule: to be reached from anywhere is what
    it is for."""
    place = rule.policy.cluster, rule.policy.namespace
    pods = [pod for pod in tree.pods_in(*place) if matches(selected_by(rule.policy), pod.labels)]
    offered: set[Port] = set()
    for service in tree.of_kind("Service"):
        if (service.cluster, service.namespace) == place and service.spec.get("type") == "LoadBalancer":
            wanted = {
                (port.get("protocol", "TCP"), port.get("targetPort", port["port"])) for port in service.spec["ports"]
            }
            for pod in (pod for pod in pods if matches(service.spec.get("selector") or {"": None}, pod.labels)):
                for name, (protocol, number) in container_ports(pod.containers):
                    if {(protocol, name), (protocol, number)} & wanted:
                        offered.add((protocol, number))
    numbers = {(first[0], number) for first, last in rule.ranges for number in range(first[1], last + 1)}
    return bool(pods) and numbers <= offered


@cache
def holds(network: str, other: str) -> bool:
    """Whether a network holds another."""
    one, two = ipaddress.ip_network(network), ipaddress.ip_network(other)
    return one.version == two.version and one.supernet_of(two)  # type: ignore[arg-type]


def flow_faults(rule: Allowance, parties: Parties, flows: dict[Flow, Entry]) -> Iterator[str]:
    """The rule's flows between Pods that are compiled here; those are added to all."""
    own = parties.reachable((rule.policy.cluster, rule.policy.namespace), selected_by(rule.policy))
    if rule.side == "ingress":
        yield from port_faults(rule, own)
    for peer in rule.peers:
        place = place_of(rule.policy, peer)
        if "ipBlock" in peer or place not in parties.by_place:
            continue
        labels = labels_in(peer, "podSelector")
        others = parties.reachable(place, labels)
        if not others:
            yield f"podSelector {labels} selects no compiled Pod in {place[1]}"
        elif rule.side == "egress":
            yield from port_faults(rule, others)
        senders, receivers = (others, own) if rule.side == "ingress" else (own, others)
        for receiver in receivers:
            for port in (port for first, last in rule.ranges for port in receiver.listens(first, last)):
                flows.update({(sender, receiver, port): rule.policy for sender in senders})


def port_faults(rule: Allowance, receivers: list[Party]) -> Iterator[str]:
    """Ports on which none of the receivers listens."""
    for first, last in rule.ranges:
        if receivers and not any(party.listens(first, last) for party in receivers):
            yield f"{told(first)}: expected a containerPort of {', '.join(map(str, receivers))}"


def told(port: Port) -> str:
    """For people: "TCP 8008"."""
    return f"{port[0]} {port[1]}"
