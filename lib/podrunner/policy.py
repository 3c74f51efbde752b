"""NetworkPolicies as nftables in each Pod's own namespace: both directions, default deny, a counter for each rule.

A Pod that no policy selects is open, as in a cluster. The node's own traffic to a Pod (probes) goes through the
Pod's loopback and needs no rule.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from podrunner.network import NAMESPACES
from podrunner.objects import Object, Objects, Pod, Unsupported, identity, matches, number_of

TABLE = "policies"
INGRESS, EGRESS = "ingress", "egress"
DENIED = "denied"


@dataclass(frozen=True)
class Rule:
    """One nftables rule. Its addresses are kept in a set, so that Pods come and go and counters stay."""

    policy: str
    """Namespace and name."""
    direction: str
    number: int
    """Of the rule in the policy's list."""
    match: str
    """What the packet must be, without the peer."""
    peers: Mapping[str, object] | None
    """The selectors of a peer; None where the match says it all."""

    @property
    def comment(self) -> str:
        return f"{self.policy} {self.direction} {self.number}"


def policies_of(pod: Pod, objects: Objects) -> list[Object]:
    if pod.host_network:
        return []
    chosen = objects.of_kind("NetworkPolicy", namespace=pod.namespace)
    return [one for one in chosen if pod.matches(one["spec"].get("podSelector", {}))]


def ruleset(pod: Pod, objects: Objects) -> tuple[str, list[Rule]]:
    """The table of a Pod (empty where it is open) and its rules; rule N reads the addresses of set `peersN`."""
    chosen = policies_of(pod, objects)
    if not chosen:
        return "", []
    rules = [rule for one in chosen for rule in _rules(pod, one)]
    lines = [f"table ip {TABLE} {{}}", f"delete table ip {TABLE}", f"table ip {TABLE} {{"]
    for number, rule in enumerate(rules):
        if rule.peers is not None:
            lines.append(f"  set peers{number} {{ type ipv4_addr; }}")
    for direction, hook in ((INGRESS, "input"), (EGRESS, "output")):
        lines += [f"  chain {direction} {{", f"    type filter hook {hook} priority 0; policy accept;"]
        if any(_isolates(one, direction) for one in chosen):
            interface = "iifname" if direction == INGRESS else "oifname"
            lines += [f'    {interface} "lo" accept', "    ct state established,related accept"]
            for number, rule in enumerate(rules):
                if rule.direction == direction:
                    lines.append(f'    {_peer(rule, number)}{rule.match}counter accept comment "{rule.comment}"')
            # What comes late, after conntrack has forgotten the connection, opens none: dropped, and not counted.
            lines.append("    tcp flags & (fin | syn | rst | ack) != syn drop")
            lines.append(f'    counter drop comment "{DENIED} {direction}"')
        lines.append("  }")
    return "\n".join([*lines, "}"]), rules


def _isolates(policy: Object, direction: str) -> bool:
    types = policy["spec"].get("policyTypes")
    if types is None:
        return direction == INGRESS or EGRESS in policy["spec"]
    return direction.capitalize() in types


def _rules(pod: Pod, policy: Object) -> Iterator[Rule]:
    _, namespace, name = identity(policy)
    for direction, side in ((INGRESS, "from"), (EGRESS, "to")):
        if not _isolates(policy, direction):
            continue
        for number, rule in enumerate(policy["spec"].get(direction) or []):
            for ports in _ports(pod, rule.get("ports"), direction):
                for block, peers in _peers(rule.get(side), direction):
                    yield Rule(f"{namespace}/{name}", direction, number, block + ports, peers)


def _ports(pod: Pod, ports: Sequence[Object] | None, direction: str) -> Iterator[str]:
    if not ports:
        yield ""
    for port in ports or ():
        protocol = port.get("protocol", "TCP")
        if "port" not in port:
            yield f"meta l4proto {protocol.lower()} "
            continue
        number = number_of(port["port"], pod.containers, protocol) if direction == INGRESS else port["port"]
        if not isinstance(number, int):
            raise Unsupported(f"Pod {pod.key}: a policy's port {port['port']!r} by name")
        last = port.get("endPort", number)
        yield f"{protocol.lower()} dport {number if last == number else f'{number}-{last}'} "


def _peers(peers: Sequence[Object] | None, direction: str) -> Iterator[tuple[str, Mapping[str, object] | None]]:
    """What a peer's address must be: a match, or selectors whose Pods go into a set."""
    if not peers:
        yield "", None
    side = "saddr" if direction == INGRESS else "daddr"
    for peer in peers or ():
        if "ipBlock" not in peer:
            yield "", peer
            continue
        block = peer["ipBlock"]
        if ":" in block["cidr"]:
            continue
        refused = [one for one in block.get("except", []) if ":" not in one]
        inside = f"ip {side} {block['cidr']} " if block["cidr"] != "0.0.0.0/0" else ""
        yield inside + (f"ip {side} != {{ {', '.join(refused)} }} " if refused else ""), None


def _peer(rule: Rule, number: int) -> str:
    if rule.peers is None:
        return ""
    return f"ip {'saddr' if rule.direction == INGRESS else 'daddr'} @peers{number} "


def addresses(rules: Sequence[Rule], pods: Sequence[tuple[Pod, str]], objects: Objects) -> str:
    """The nftables commands that fill the sets with the addresses of the Pods there are."""
    lines = []
    labels = {identity(one)[2]: one["metadata"].get("labels", {}) for one in objects.of_kind("Namespace")}
    for number, rule in enumerate(rules):
        if rule.peers is None:
            continue
        own = rule.policy.partition("/")[0]
        chosen = sorted({at for pod, at in pods if not pod.host_network and _selects(rule.peers, own, pod, labels)})
        lines.append(f"flush set ip {TABLE} peers{number}")
        if chosen:
            lines.append(f"add element ip {TABLE} peers{number} {{ {', '.join(chosen)} }}")
    return "\n".join(lines)


def _selects(peer: Mapping[str, object], own: str, pod: Pod, labels: Mapping[str, Mapping[str, str]]) -> bool:
    if "namespaceSelector" in peer:
        named = {"kubernetes.io/metadata.name": pod.namespace, **labels.get(pod.namespace, {})}
        if not matches(peer["namespaceSelector"], named):  # type: ignore[arg-type]
            return False
    elif pod.namespace != own:
        return False
    return "podSelector" not in peer or pod.matches(peer["podSelector"])  # type: ignore[arg-type]


def counted(name: str) -> dict[str, int]:
    """Packets by comment: "NAMESPACE/POLICY ingress 0", "denied egress". Only a connection's first packet counts."""
    where = ["nsenter", f"--net={NAMESPACES / name}", "nft", "--json", "list", "table", "ip", TABLE]
    done = subprocess.run(where, capture_output=True, text=True, check=False)
    if done.returncode:
        return {}
    found: dict[str, int] = {}
    for one in json.loads(done.stdout)["nftables"]:
        rule = one.get("rule", {})
        for part in rule.get("expr", []):
            if "counter" in part and "comment" in rule:
                found[rule["comment"]] = found.get(rule["comment"], 0) + part["counter"]["packets"]
    return found
