"""Every Pod with a port `metrics` is scraped exactly once, in its cluster's way, and Prometheus reaches it.

Scraped twice, every rate doubles and alerts fire for nothing; scraped never, none fires at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.network import NAMESPACE, Parties, allowances, container_ports, labels_in, selected_by
from matrixfleet.checks.pods import Selection
from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree
from matrixfleet.model import Cluster, Peer
from matrixfleet.model.choices import Metrics

NAME = "metrics"


def check(tree: Tree) -> Iterator[Finding]:
    """Each Pod with metrics, in clusters of which it is known how they scrape."""
    watched, policies = monitors(tree), policies_by_pod(tree)
    for pod in tree.pods:
        target, number = target_of(tree, pod.entry), metrics_port(pod)
        if target and number:
            path = pod.entry.path
            faults = [
                *way_faults(pod, number, target.cluster.metrics, watched.get(path, [])),
                *reach_faults(pod, number, target.cluster, policies.get(path, [])),
            ]
            yield from (tree.finding(pod.entry, "scraped-once", fault) for fault in faults)


def metrics_port(pod: Pod) -> int:
    """The number of its port `metrics`; 0 where it has none."""
    return next((port[1] for name, port in container_ports(pod.containers) if name == NAME), 0)


def way_faults(pod: Pod, number: int, mode: Metrics, watching: list[Entry]) -> Iterator[str]:
    """Monitors or annotations, as the cluster has it."""
    wanted = 1 if mode is Metrics.PROMETHEUS_OPERATOR else 0
    if len(watching) != wanted:
        got = ", ".join(map(str, watching)) or "none"
        yield f"cluster.metrics is {mode}: expected {wanted} endpoints of monitors, got {got}"
    said = pod.annotations.get("prometheus.io/scrape") == "true"
    if said != (mode is Metrics.ANNOTATIONS):
        yield f"cluster.metrics is {mode}: expected prometheus.io/scrape {'missing' if said else 'true'}"
    if said and pod.annotations.get("prometheus.io/port") != str(number):
        yield f"prometheus.io/port: expected {number}, got {pod.annotations.get('prometheus.io/port')}"


def reach_faults(pod: Pod, number: int, cluster: Cluster, policies: list[Entry]) -> Iterator[str]:
    """Prometheus comes in, where anything keeps it out."""
    peer = cluster.network.monitoring
    if peer and cluster.metrics is not Metrics.NONE and not pod.host_network:
        rules = [rule for policy in policies for rule in allowances(policy) if rule.side == "ingress"]
        open_to = [one for rule in rules if number in [port.get("port") for port in rule.ports] for one in rule.peers]
        if not any(is_peer(one, peer) for one in open_to):
            yield f"expected a NetworkPolicy that admits cluster.network.monitoring on TCP {number}, got none"


def is_peer(one: Json, peer: Peer) -> bool:
    """Whether a policy's peer is the one that the cluster's class names."""
    if peer.cidrs:
        return (one.get("ipBlock") or {}).get("cidr") in peer.cidrs
    namespace = labels_in(one, "namespaceSelector").get(NAMESPACE)
    return namespace == peer.namespace and labels_in(one, "podSelector") == peer.pods


def monitors(tree: Tree) -> dict[str, list[Entry]]:
    """Who scrapes each Pod's port, once for each endpoint."""
    pods, services = Selection.of_pods(tree), Selection.of_services(tree)
    found: dict[str, list[Entry]] = {}
    for monitor in tree.of_kind("PodMonitor"):
        count = sum(end.get("port") == NAME for end in monitor.spec.get("podMetricsEndpoints", []))
        for pod in pods.by(monitor):
            found.setdefault(pod.entry.path, []).extend([monitor] * count)
    for monitor in tree.of_kind("ServiceMonitor"):
        names = [end.get("port") for end in monitor.spec.get("endpoints", [])]
        for service in services.by(monitor):
            for pod in pods.by(service):
                for port in service.spec["ports"]:
                    if port.get("targetPort", port["port"]) in (NAME, metrics_port(pod)):
                        found.setdefault(pod.entry.path, []).extend([monitor] * names.count(port.get("name")))
    return found


def policies_by_pod(tree: Tree) -> dict[str, list[Entry]]:
    """The NetworkPolicies on each workload's Pods."""
    parties = Parties(tree)
    found: dict[str, list[Entry]] = {}
    for policy in tree.of_kind("NetworkPolicy"):
        for party in parties.select((policy.cluster, policy.namespace), selected_by(policy)):
            found.setdefault(party.entry.path, []).append(policy)
    return found
