"""In a mesh everything is mutual TLS, each exception has a reason, and identities admit whom NetworkPolicies admit.

A NetworkPolicy knows Pods, an AuthorizationPolicy knows ServiceAccounts: each flow into a Pod with a sidecar is
in both, or one of them is a hole or a wall that nobody meant.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.network import NAMESPACE, Allowance, Place, allowances, labels_in, place_of, selected_by
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree, matches

INJECT = "sidecar.istio.io/inject"
NATIVE = "sidecar.istio.io/nativeSidecar"
LIMIT = "sidecar.istio.io/proxyMemoryLimit"
EXCEPTIONS = "matrix-fleet/exceptions"
OUTSIDE = "matrix-fleet/outside"
ISTIOD = 15012
ANYBODY = "anybody"
"""Whoever the NetworkPolicy admits: without an identity."""
Senders = dict[int, set[str]]
"""By port, "namespace/ServiceAccount" of who may connect, or ANYBODY."""


def is_meshed(pod: Pod) -> bool:
    """Whether Istio gives it a sidecar."""
    return pod.labels.get(INJECT) == "true"


def check(tree: Tree) -> Iterator[Finding]:
    """Namespaces of the mesh, then each Pod in it."""
    meshed = [pod for pod in tree.pods if is_meshed(pod)]
    first = {(pod.entry.cluster, pod.entry.namespace): pod for pod in meshed}
    inside = {pod.entry.target for pod in meshed}
    for pod in (pod for pod in tree.pods if pod.entry.target in inside and not is_meshed(pod)):
        if not str(pod.annotations.get(OUTSIDE, "")).strip():
            message = f'expected label {INJECT}: "true" as others of its target have it, or annotation {OUTSIDE}'
            yield tree.finding(pod.entry, "mesh", f"{message} with a reason")
    for place, pod in first.items():
        for fault in namespace_faults(tree, place):
            yield tree.finding(pod.entry, "mesh", fault)
    for pod in meshed:
        for fault in (*pod_faults(tree, pod), *flow_faults(tree, pod)):
            yield tree.finding(pod.entry, "mesh", fault)
    for entry in tree.of_kind("PeerAuthentication"):
        for fault in exception_faults(entry):
            yield tree.finding(entry, "mesh", fault)
    for entry in tree.of_kind("DestinationRule"):
        if (entry.spec.get("trafficPolicy") or {}).get("tls"):
            message = "trafficPolicy.tls: expected none: sidecars agree on mutual TLS by themselves"
            yield tree.finding(entry, "mesh", message)


def here(tree: Tree, kind: str, place: Place, labels: Json | None) -> list[Entry]:
    """Objects of a namespace that select these labels; with None those that select every Pod."""
    found = []
    for entry in tree.placed(kind, *place):
        wanted = labels_in(entry.spec, "selector")
        if (not wanted) if labels is None else (wanted and matches(wanted, labels)):
            found.append(entry)
    return found


def namespace_faults(tree: Tree, place: Place) -> Iterator[str]:
    """Mutual TLS unless said, nobody unless said."""
    modes = [(entry.spec.get("mtls") or {}).get("mode") for entry in here(tree, "PeerAuthentication", place, None)]
    if modes != ["STRICT"]:
        yield f"expected one PeerAuthentication STRICT for all of {place[1]}, got {modes or 'none'}"
    if not any(not entry.spec for entry in here(tree, "AuthorizationPolicy", place, None)):
        yield f"expected an AuthorizationPolicy in {place[1]} that allows nothing, got none"


def pod_faults(tree: Tree, pod: Pod) -> Iterator[str]:
    """Sidecars that end with their Job, have a limit, and find istiod; nothing that they cannot carry."""
    if pod.annotations.get(NATIVE) != "true":
        yield f'annotation {NATIVE}: expected "true": else a Job never ends and init containers have no network'
    if LIMIT not in pod.annotations:
        yield f"annotation {LIMIT}: expected one: quota counts it"
    if pod.host_network:
        yield "hostNetwork: expected none of a Pod in the mesh"
    ports = {port for rule in rules_of(tree, pod, "egress") for (_, port), _ in rule.ranges}
    if ISTIOD not in ports:
        yield f"expected its NetworkPolicy to let it reach istiod on TCP {ISTIOD}"
    for service in tree.placed("Service", pod.entry.cluster, pod.entry.namespace):
        if matches(service.spec.get("selector") or {"": None}, pod.labels):
            for port in service.spec["ports"]:
                if port.get("appProtocol") not in ("tcp", "http"):
                    got = port.get("appProtocol", "none")
                    yield f"{service} port {port['name']}: expected appProtocol tcp, or http for an edge, got {got}"


def rules_of(tree: Tree, pod: Pod, side: str) -> list[Allowance]:
    """What NetworkPolicies allow a Pod."""
    return [
        rule
        for policy in tree.placed("NetworkPolicy", pod.entry.cluster, pod.entry.namespace)
        if selected_by(policy) and matches(selected_by(policy), pod.labels)
        for rule in allowances(policy)
        if rule.side == side
    ]


def by_network(tree: Tree, pod: Pod) -> Senders:
    """Who connects, by NetworkPolicies: of compiled Pods in the mesh their ServiceAccounts, of Pods elsewhere
    their namespace as "namespace/", of everybody else ANYBODY."""
    found: Senders = {}
    for rule in rules_of(tree, pod, "ingress"):
        for peer in rule.peers:
            place = place_of(rule.policy, peer)
            # A network is nobody's Pods.
            around = [] if "ipBlock" in peer else tree.pods_in(*place)
            pods = [one for one in around if matches(labels_in(peer, "podSelector"), one.labels)]
            senders = {f"{place[1]}/{one.spec['serviceAccountName']}" if is_meshed(one) else ANYBODY for one in pods}
            if not pods:
                outside = labels_in(peer, "namespaceSelector").get(NAMESPACE)
                senders = {f"{outside}/" if outside else ANYBODY}
            for (protocol, port), _ in rule.ranges:
                if protocol == "TCP":
                    found.setdefault(port, set()).update(senders)
    return found


def by_identity(tree: Tree, pod: Pod) -> Senders:
    """Who connects, by AuthorizationPolicies."""
    found: Senders = {}
    for entry in here(tree, "AuthorizationPolicy", (pod.entry.cluster, pod.entry.namespace), pod.labels):
        for rule in entry.spec.get("rules") or []:
            accounts = {
                principal.removeprefix("cluster.local/ns/").replace("/sa/", "/")
                for source in rule.get("from") or []
                for principal in source["source"].get("principals", [])
            }
            for target in rule.get("to") or []:
                for port in target["operation"].get("ports", []):
                    found.setdefault(int(port), set()).update(accounts or {ANYBODY})
    return found


def flow_faults(tree: Tree, pod: Pod) -> Iterator[str]:
    """Differences of the two, and ports for anybody that demand an identity, or the other way round."""
    network, identity = by_network(tree, pod), by_identity(tree, pod)
    place = pod.entry.cluster, pod.entry.namespace
    plain = {
        int(port)
        for entry in here(tree, "PeerAuthentication", place, pod.labels)
        for port in entry.spec.get("portLevelMtls") or {}
    }
    for port in sorted(network.keys() | identity.keys()):
        one, other = network.get(port, set()), identity.get(port, set())
        for sender in sorted(one - other):
            # Pods that are not compiled here: any account of their namespace, or plain connections.
            known = ANYBODY in other or any(account.startswith(sender) for account in other if sender.endswith("/"))
            if not known or (sender != ANYBODY and not sender.endswith("/")):
                yield f"TCP {port}: NetworkPolicies admit {sender}; expected an AuthorizationPolicy that does too"
        for sender in sorted(other - one):
            namespace = sender.partition("/")[0] + "/"
            wide = sender == ANYBODY and any(account.endswith("/") for account in one)
            if not wide and namespace not in one:
                yield f"TCP {port}: an AuthorizationPolicy admits {sender}; expected a NetworkPolicy that does too"
        if (ANYBODY in other) != (port in plain):
            got = "takes mutual TLS alone" if port not in plain else "takes plain connections"
            wanted = "whoever comes" if ANYBODY in other else "identities alone"
            yield f"TCP {port} admits {wanted} and {got}; expected the two to agree"


def exception_faults(entry: Entry) -> Iterator[str]:
    """Each port that takes plain connections has its line."""
    lines = str(entry.annotations.get(EXCEPTIONS, "")).splitlines()
    told = {line.partition(":")[0]: line.partition(": ")[2].strip() for line in lines}
    if entry.spec.get("selector") and (entry.spec.get("mtls") or {}).get("mode") != "STRICT":
        yield "mtls.mode: expected STRICT, with exceptions by port"
    for port, said in (entry.spec.get("portLevelMtls") or {}).items():
        if said.get("mode") != "PERMISSIVE":
            yield f"portLevelMtls {port}: expected PERMISSIVE, got {said.get('mode')}"
        if not told.get(f"TCP {port}"):
            yield f"annotation {EXCEPTIONS}: expected a line TCP {port}: REASON"
