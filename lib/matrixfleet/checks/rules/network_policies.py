"""Namespaces deny by default, and every allowed flow has two sides that exist, ports that listen, and a reason.

A flow is drawn twice, as the sender's egress and the receiver's ingress: one alone denies. Nothing on a
node's network is under a policy, so none pretends to be.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from matrixfleet.checks.network import GUESTS, NAMESPACE, SIDES, Party, Port, choose, parties, place_of, selected_by
from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Entry, Finding, Json, Tree, matches

BOTH = {"Ingress", "Egress"}
FLOWS = "matrix-fleet/flows"
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
Flows = dict[tuple[Party, Party, Port], Entry]
"""Sender, receiver and port; the policy that allows it."""


def check(tree: Tree) -> Iterator[Finding]:
    """Namespaces, each policy, then the flows of all."""
    yield from (tree.finding(entry, "network-policies", fault) for entry, fault in faults(tree))


def faults(tree: Tree) -> Iterator[tuple[Entry, str]]:
    """Every fault and the object to change."""
    known = parties(tree)
    policies = tree.of_kind("NetworkPolicy")
    closed = {(policy.cluster, policy.namespace) for policy in policies if denies_all(policy)}
    for pod in tree.pods:
        place = (pod.entry.cluster, pod.entry.namespace)
        if not pod.host_network and place not in closed:
            # Told once a namespace.
            closed.add(place)
            message = f"expected a NetworkPolicy in {place[1]} that selects all Pods and allows nothing, got none"
            yield pod.entry, message
    flows: dict[str, Flows] = {"ingress": {}, "egress": {}}
    for policy in policies:
        yield from ((policy, fault) for fault in selection_faults(tree, policy, known))
        yield from ((policy, fault) for fault in reason_faults(policy))
        for side, key in SIDES.items():
            for number, rule in enumerate(policy.spec.get(side) or [], 1):
                found = [*shape_faults(rule, key), *network_faults(tree, policy, side, rule.get(key) or [])]
                # Of a rule that is no rule nothing more is asked.
                found = found or [*flow_faults(policy, side, rule, known, flows[side])]
                yield from ((policy, f"{side} rule {number}: {fault}") for fault in found)
    for (sender, receiver, port), policy in flows["egress"].items():
        if (sender, receiver, port) not in flows["ingress"]:
            yield policy, f"egress to {receiver.name} on {told(port)}: expected an ingress rule there, from {sender.name}"
    for (sender, receiver, port), policy in flows["ingress"].items():
        if (sender, receiver, port) not in flows["egress"]:
            yield policy, f"ingress from {sender.name} on {told(port)}: expected an egress rule there, to {receiver.name}"


def denies_all(policy: Entry) -> bool:
    """Whether it is the one that denies by default."""
    spec = policy.spec
    empty = not spec.get("podSelector") and not spec.get("ingress") and not spec.get("egress")
    return empty and set(spec.get("policyTypes", [])) == BOTH


def selection_faults(tree: Tree, policy: Entry, known: dict[tuple[str, str], list[Party]]) -> Iterator[str]:
    """Whom it selects."""
    labels, place = selected_by(policy), (policy.cluster, policy.namespace)
    if set(policy.spec.get("policyTypes", [])) != BOTH:
        yield "expected policyTypes Ingress and Egress"
    for selector in selectors(policy):
        if "matchExpressions" in (selector or {}):
            yield "matchExpressions: expected matchLabels alone"
    if labels and not choose(known.get(place, []), {"matchLabels": labels}):
        yield f"podSelector selects no compiled Pod; expected one, or a guest's label ({', '.join(GUESTS)})"
    for pod in tree.pods_in(*place):
        if labels and pod.host_network and matches(labels, pod.labels):
            yield f"selects {pod.entry}, which is on the node's network: no policy reaches it"


def selectors(policy: Entry) -> Iterator[Json | None]:
    """Every selector in it."""
    yield policy.spec.get("podSelector")
    for side, key in SIDES.items():
        for rule in policy.spec.get(side) or []:
            for peer in rule.get(key) or []:
                yield from (peer.get("podSelector"), peer.get("namespaceSelector"))


def reason_faults(policy: Entry) -> Iterator[str]:
    """A line for each rule: `from WHO on WHAT: REASON`, `to WHO on WHAT: REASON`."""
    lines = [line for line in str(policy.annotations.get(FLOWS, "")).splitlines() if line.strip()]
    for side, key in SIDES.items():
        count, rules = sum(line.startswith(f"{key} ") for line in lines), len(policy.spec.get(side) or [])
        if count != rules:
            yield f"annotation {FLOWS}: expected {rules} lines that begin with {key}, one a rule, got {count}"
    yield from (f"annotation {FLOWS}: {line!r} gives no reason" for line in lines if not line.partition(": ")[2].strip())


def shape_faults(rule: Json, key: str) -> Iterator[str]:
    """A rule that leaves out one half means everybody, or everything."""
    if not rule.get(key):
        yield f"{key}: expected peers; none means everywhere"
    if not rule.get("ports"):
        yield "ports: expected some; none means all"
    for port in rule.get("ports") or []:
        if not isinstance(port.get("port"), int):
            yield f"port {port.get('port')}: expected a number"
    for peer in rule.get(key) or []:
        names = ((peer.get("namespaceSelector") or {}).get("matchLabels") or {}).get(NAMESPACE)
        if "namespaceSelector" in peer and not names:
            yield f"namespaceSelector: expected {NAMESPACE}; other labels may mean any namespace"


def network_faults(tree: Tree, policy: Entry, side: str, peers: list[Json]) -> Iterator[str]:
    """Networks that hold private ones name what is cut out; the world comes in only where the cluster's
    class says that the edge is the world."""
    target = target_of(tree, policy)
    edge = {cidr for peer in target.cluster.edge.peers for cidr in peer.cidrs} if target else set()
    for peer in peers:
        if "ipBlock" not in peer:
            continue
        cidr = peer["ipBlock"]["cidr"]
        wide = [private for private in PRIVATE if holds(cidr, private) and cidr != private]
        cut = peer["ipBlock"].get("except", [])
        if wide and side == "egress":
            for private in wide:
                if not any(holds(one, private) for one in cut):
                    yield f"{cidr}: expected {private} among except"
        elif wide and target and cidr not in edge:
            yield f"{cidr}: expected no ingress from everywhere, since cluster.edge.peers of {policy.cluster} lacks it"


def holds(network: str, other: str) -> bool:
    """Whether a network holds another."""
    one, two = ipaddress.ip_network(network), ipaddress.ip_network(other)
    return one.version == two.version and one.supernet_of(two)  # type: ignore[arg-type]


def flow_faults(
    policy: Entry, side: str, rule: Json, known: dict[tuple[str, str], list[Party]], flows: Flows
) -> Iterator[str]:
    """The rule's flows between Pods that are compiled; those are added to all."""
    own = choose(known.get((policy.cluster, policy.namespace), []), policy.spec.get("podSelector"))
    ports = [((port.get("protocol", "TCP"), port["port"]), port.get("endPort", port["port"])) for port in rule["ports"]]
    if side == "ingress":
        for first, last in ports:
            if own and not any(party.listens(first, last) for party in own):
                yield f"no container of {', '.join(party.name for party in own)} listens on {told(first)}"
    for peer in rule[SIDES[side]]:
        place = place_of(policy, peer)
        if "ipBlock" in peer or place not in known:
            continue
        others = choose(known[place], peer.get("podSelector"))
        if not others:
            yield f"podSelector {peer.get('podSelector')} selects no compiled Pod in {place[1]}"
        for first, last in ports:
            receivers = own if side == "ingress" else others
            if side == "egress" and others and not any(party.listens(first, last) for party in others):
                yield f"no container of {', '.join(party.name for party in others)} listens on {told(first)}"
            for receiver in receivers:
                for sender in others if side == "ingress" else own:
                    flows.update({(sender, receiver, port): policy for port in receiver.listens(first, last)})


def told(port: Port) -> str:
    """For people: "TCP 8008"."""
    return f"{port[0]} {port[1]}"
