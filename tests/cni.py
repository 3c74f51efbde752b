"""NetworkPolicies as CNIs apply them: a model over compiled objects of what differs between them.

Two questions are left open by the NetworkPolicy API (kubernetes.io, "Network Policies", on ipBlock), and CNIs answer
them differently: whether a policy sees a destination before or after the address of a Service or a balancer is
rewritten, and whether ipBlock holds addresses of nodes (Cilium: not, unless `policyCIDRMatchMode` has `nodes`).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from matrixfleet.checks import Tree
from matrixfleet.checks.tree import Entry, matches


@dataclass(frozen=True)
class Cni:
    """One way to answer."""

    name: str
    translates_first: bool
    """Whether a policy sees the address that is connected to in the end."""
    blocks_hold_nodes: bool = True
    """Whether ipBlock holds the address of a node."""


CNIS = (
    Cni("Calico, kube-router, Antrea: after translation", True),
    Cni("Amazon's VPC CNI: before translation", False),
    Cni("Cilium, policyCIDRMatchMode: nodes", True),
)
CILIUM_BY_DEFAULT = Cni("Cilium by default", True, blocks_hold_nodes=False)


@dataclass(frozen=True)
class End:
    """A destination: an address that a balancer or a Service rewrites is two of them."""

    address: str
    port: int
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    """Of a Pod; nothing of anything else."""
    node: bool = False


@dataclass(frozen=True)
class Way:
    """What a program connects to, and where that ends."""

    asked: End
    ends: End

    def seen(self, cni: Cni) -> End:
        """As a policy sees it."""
        return self.ends if cni.translates_first else self.asked


def allows(tree: Tree, cluster: str, namespace: str, labels: dict[str, Any], way: Way, cni: Cni) -> bool:
    """Whether Pods with these labels may open the connection (TCP)."""
    policies = [one for one in tree.of_kind("NetworkPolicy") if (one.cluster, one.namespace) == (cluster, namespace)]
    own = [one for one in policies if matches((one.spec["podSelector"].get("matchLabels") or {}), labels)]
    end = way.seen(cni)
    return not own or any(
        any(meets_port(port, end.port) for port in rule["ports"])
        and any(meets(policy, peer, end, cni) for peer in rule["to"])
        for policy in own
        for rule in policy.spec.get("egress") or []
    )


def meets_port(port: dict[str, Any], number: int) -> bool:
    """Whether a rule's port holds a TCP port."""
    return port["protocol"] == "TCP" and port["port"] <= number <= port.get("endPort", port["port"])


def meets(policy: Entry, peer: dict[str, Any], end: End, cni: Cni) -> bool:
    """Whether a rule's peer holds a destination. Addresses of Pods are no business of ipBlock (Cilium), and of others
    it is: the stricter of both is asked."""
    if block := peer.get("ipBlock"):
        if end.labels or (end.node and not cni.blocks_hold_nodes):
            return False
        address = ipaddress.ip_address(end.address)
        return holds(block["cidr"], address) and not any(holds(cut, address) for cut in block.get("except", []))
    selector = peer.get("namespaceSelector", {}).get("matchLabels", {})
    namespace = selector.get("kubernetes.io/metadata.name", policy.namespace)
    return bool(end.labels) and end.namespace == namespace and matches(peer["podSelector"]["matchLabels"], end.labels)


def holds(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether a network has an address."""
    return address in ipaddress.ip_network(network)
