"""NetworkPolicies as rules see them: who stands on either side of an allowed flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matrixfleet.checks.tree import Entry, Json, Tree, matches

NAMESPACE = "kubernetes.io/metadata.name"
GUESTS = ("acme.cert-manager.io/http01-solver", "cnpg.io/cluster")
"""Labels of Pods that operators make. No template has them, but policies select them."""
SIDES = {"ingress": "from", "egress": "to"}
Port = tuple[str, int]
"""Protocol and number."""


@dataclass(frozen=True, eq=False)
class Party:
    """Pods that are alike: a template, or a guest as the policy for it describes it."""

    name: str
    labels: Json
    ports: frozenset[Port] | None
    """What its containers listen on; unknown of a guest."""

    def listens(self, first: Port, last: int) -> list[Port]:
        """Its ports within a rule's."""
        if self.ports is None:
            return [first]
        return [port for port in self.ports if port[0] == first[0] and first[1] <= port[1] <= last]


def container_ports(containers: list[Json]) -> Iterator[tuple[str, Port]]:
    """Name, protocol and number of every port."""
    for one in containers:
        for port in one.get("ports", []):
            yield port.get("name", ""), (port.get("protocol", "TCP"), port["containerPort"])


def parties(tree: Tree) -> dict[tuple[str, str], list[Party]]:
    """Who a policy reaches, by cluster and namespace. Nobody on a node's network is among them."""
    found: dict[tuple[str, str], list[Party]] = {}
    for pod in tree.pods:
        if not pod.host_network:
            ports = frozenset(port for _, port in container_ports(pod.containers))
            place = (pod.entry.cluster, pod.entry.namespace)
            found.setdefault(place, []).append(Party(str(pod.entry), pod.labels, ports))
    for policy in tree.of_kind("NetworkPolicy"):
        labels = selected_by(policy)
        if any(guest in labels for guest in GUESTS):
            guest = Party(f"guest of {policy.name}", labels, None)
            found.setdefault((policy.cluster, policy.namespace), []).append(guest)
    return found


def selected_by(policy: Entry) -> Json:
    """The labels that a policy selects Pods by; empty means all."""
    return (policy.spec.get("podSelector") or {}).get("matchLabels") or {}


def place_of(policy: Entry, peer: Json) -> tuple[str, str]:
    """Cluster and namespace of a peer that is Pods."""
    if "namespaceSelector" not in peer:
        return policy.cluster, policy.namespace
    return policy.cluster, ((peer["namespaceSelector"] or {}).get("matchLabels") or {}).get(NAMESPACE, "")


def choose(here: list[Party], selector: Json | None) -> list[Party]:
    """Those whom a podSelector selects."""
    labels = (selector or {}).get("matchLabels") or {}
    return [party for party in here if matches(labels, party.labels)]
