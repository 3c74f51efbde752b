"""NetworkPolicies as rules see them: who stands on either side of an allowed flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matrixfleet.checks.tree import Entry, Json, Tree, matches

NAMESPACE = "kubernetes.io/metadata.name"
GUESTS = ("acme.cert-manager.io/http01-solver", "cnpg.io/cluster", "cnpg.io/poolerName")
"""Labels of Pods that operators make. No template has them, but policies select them."""
SIDES = {"ingress": "from", "egress": "to"}
Place = tuple[str, str]
"""Cluster and namespace."""
Port = tuple[str, int]
"""Protocol and number."""


@dataclass(frozen=True, slots=True, eq=False)
class Party:
    """Pods that are alike: a template, or a guest as the policy for it describes it."""

    entry: Entry
    """The workload, or a guest's policy."""
    labels: Json
    ports: frozenset[Port] | None
    """What its containers listen on; unknown of a guest."""
    host_network: bool = False

    def listens(self, first: Port, last: int) -> list[Port]:
        """Its ports within a rule's."""
        if self.ports is None:
            return [first]
        return [port for port in self.ports if port[0] == first[0] and first[1] <= port[1] <= last]

    def __str__(self) -> str:
        return str(self.entry)


class Parties:
    """Everybody whom a policy may name, found by label: many tenants may share a namespace."""

    def __init__(self, tree: Tree) -> None:
        self.by_place: dict[Place, list[Party]] = {}
        self._by_label: dict[tuple[str, str, str, str], list[Party]] = {}
        for pod in tree.pods:
            ports = frozenset(port for _, port in container_ports(pod.containers))
            self._add(Party(pod.entry, pod.labels, ports, pod.host_network))
        for policy in tree.of_kind("NetworkPolicy"):
            if any(guest in selected_by(policy) for guest in GUESTS):
                self._add(Party(policy, selected_by(policy), None))

    def _add(self, party: Party) -> None:
        place = (party.entry.cluster, party.entry.namespace)
        self.by_place.setdefault(place, []).append(party)
        for key, value in party.labels.items():
            self._by_label.setdefault((*place, key, value), []).append(party)

    def select(self, place: Place, labels: Json) -> list[Party]:
        """Those with these labels; none of no labels means all."""
        lists = [self._by_label.get((*place, key, value), []) for key, value in labels.items()]
        few = min(lists or [self.by_place.get(place, [])], key=len)
        return [party for party in few if matches(labels, party.labels)]

    def reachable(self, place: Place, labels: Json) -> list[Party]:
        """Those of them that policies reach."""
        return [party for party in self.select(place, labels) if not party.host_network]


@dataclass(frozen=True, slots=True)
class Allowance:
    """One rule of a policy."""

    policy: Entry
    side: str
    """ingress or egress."""
    number: int
    peers: list[Json]
    ports: list[Json]

    @property
    def ranges(self) -> list[tuple[Port, int]]:
        """Each port, and the last of its range."""
        found = []
        for port in self.ports:
            first = int(port["port"])
            found.append(((str(port.get("protocol", "TCP")), first), int(port.get("endPort", first))))
        return found


def allowances(policy: Entry) -> Iterator[Allowance]:
    """What a policy allows, one by one."""
    for side, key in SIDES.items():
        for number, rule in enumerate(policy.spec.get(side) or [], 1):
            yield Allowance(policy, side, number, rule.get(key) or [], rule.get("ports") or [])


def container_ports(containers: list[Json]) -> Iterator[tuple[str, Port]]:
    """Name, protocol and number of every port."""
    for one in containers:
        for port in one.get("ports", []):
            yield port.get("name", ""), (port.get("protocol", "TCP"), port["containerPort"])


def selected_by(policy: Entry) -> Json:
    """The labels that a policy selects Pods by; empty means all."""
    return labels_in(policy.spec, "podSelector")


def labels_in(one: Json, key: str) -> Json:
    """The matchLabels of one of an object's selectors."""
    return (one.get(key) or {}).get("matchLabels") or {}


def place_of(policy: Entry, peer: Json) -> Place:
    """Where a peer's Pods are: in the policy's own namespace unless another is named."""
    named = labels_in(peer, "namespaceSelector").get(NAMESPACE, "")
    return policy.cluster, named if "namespaceSelector" in peer else policy.namespace
