"""Each selector finds Pods that exist, a workload's its own alone, and none names a version.

A workload's selector never changes in its life, while the version does at every upgrade; a Service that
named it would lose the old Pods during a rollout. A StatefulSet's Pods have host names only through the
headless Service that it names.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.pods import Selection, selector_of, selects
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree

VERSION = "app.kubernetes.io/version"
FINDERS = ("Service", "PodMonitor", "ServiceMonitor", "PodDisruptionBudget")
# Pods that an operator makes carry a label with the name of the object that it makes them for.
MADE_FOR = {"cnpg.io/cluster": "Cluster", "cnpg.io/poolerName": "Pooler"}


def check(tree: Tree) -> Iterator[Finding]:
    """Workloads, then what finds Pods and Services."""
    pods, services = Selection.of_pods(tree), Selection.of_services(tree)
    for entry in (*(pod.entry for pod in tree.pods), *tree.of_kind(*FINDERS)):
        if VERSION in str(selector_of(entry)):
            message = f"selects by {VERSION}, expected labels that no upgrade changes"
            yield tree.finding(entry, "selectors", message)
    for pod in tree.pods:
        for fault in (*of_workload(pod, pods), *of_stateful_set(tree, pod)):
            yield tree.finding(pod.entry, "selectors", fault)
    for entry in tree.of_kind(*FINDERS):
        selector = selector_of(entry)
        found = services.by(entry) if entry.kind == "ServiceMonitor" else pods.by(entry)
        if selector is not None and not found and not guests(tree, entry, selector):
            what = "a Service" if entry.kind == "ServiceMonitor" else "Pods"
            yield tree.finding(entry, "selectors", f"selects {said(selector)}, expected {what} with these labels")


def of_workload(pod: Pod, pods: Selection[Pod]) -> Iterator[str]:
    """A workload finds its own Pods and no others."""
    selector = selector_of(pod.entry)
    if selector is not None and not selects(selector, pod.labels):
        yield f"selects {said(selector)}, expected its Pods to have these labels"
    for other in pods.by(pod.entry):
        if other.entry is not pod.entry:
            yield f"selects the Pods of {other.entry}, expected its own alone"


def of_stateful_set(tree: Tree, pod: Pod) -> Iterator[str]:
    """A StatefulSet's headless Service."""
    entry = pod.entry
    if entry.kind != "StatefulSet":
        return
    name = entry.spec.get("serviceName", "")
    service = tree.find(entry.cluster, "Service", entry.namespace, name)
    if service is None or service.spec.get("clusterIP") != "None":
        yield f"serviceName: expected a headless Service, got {name!r}"
    elif not selects(selector_of(service) or {}, pod.labels):
        yield f"serviceName: {service} selects other Pods, expected it to select these"


def guests(tree: Tree, entry: Entry, selector: Json) -> bool:
    """Whether an operator makes what is selected, for an object that is there."""
    labels = selector.get("matchLabels") or {}
    named = (entry.spec.get("namespaceSelector") or {}).get("matchNames") or []
    if any(
        one.cluster == entry.cluster
        and one.spec["destination"]["namespace"] in named
        and (one.spec.get("source") or {}).get("chart") == labels.get("app.kubernetes.io/name", "")
        for one in tree.of_kind("Application")
    ):
        # An upstream chart makes them, with its name as a label.
        return True
    return any(
        tree.find(entry.cluster, kind, entry.namespace, labels.get(label, "")) is not None
        for label, kind in MADE_FOR.items()
    )


def said(selector: Json) -> str:
    """A selector in a line."""
    labels = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ", ".join([*labels, *map(str, selector.get("matchExpressions") or [])])
