"""No Pod runs as the default ServiceAccount, nor has a token unless a narrow Role gives it something to do.

A token in a Pod is a way into the API server for whoever breaks into it. Roles are held to what they need:
whoever lists Secrets reads them all, and a wildcard grants what Kubernetes has yet to invent.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree
from matrixfleet.model.fleet import PLATFORM

# These reach every Secret of the namespace; resourceNames does not narrow them.
NEVER = {"list", "watch", "deletecollection"}
BY_NAME = {"get", "update", "patch", "delete"}


def check(tree: Tree) -> Iterator[Finding]:
    """Accounts, Pods, bindings, roles."""
    for entry in tree.of_kind("ServiceAccount"):
        if entry.doc.get("automountServiceAccountToken") is not False:
            yield tree.finding(entry, "service-accounts", "expected automountServiceAccountToken: false")
    bound = {
        (entry.cluster, subject.get("namespace", entry.namespace), subject["name"])
        for entry in tree.of_kind("RoleBinding", "ClusterRoleBinding")
        for subject in entry.doc.get("subjects", [])
        if subject["kind"] == "ServiceAccount"
    }
    for pod in tree.pods:
        yield from (tree.finding(pod.entry, "service-accounts", fault) for fault in pod_faults(tree, pod, bound))
    for entry in tree.of_kind("RoleBinding", "ClusterRoleBinding"):
        yield from (tree.finding(entry, "service-accounts", fault) for fault in binding_faults(tree, entry))
    for entry in tree.of_kind("Role", "ClusterRole"):
        for rule in entry.doc.get("rules", []):
            yield from (tree.finding(entry, "service-accounts", fault) for fault in rule_faults(rule))
    for entry in tree.of_kind("ClusterRole", "ClusterRoleBinding"):
        if not entry.target.endswith(f".{PLATFORM}"):
            message = f"expected none in a tenant's target, got a {entry.kind}; a Role ends at its namespace"
            yield tree.finding(entry, "service-accounts", message)


def pod_faults(tree: Tree, pod: Pod, bound: set[tuple[str, str, str]]) -> Iterator[str]:
    """One Pod's account and token."""
    account = pod.spec.get("serviceAccountName", "default")
    where = (pod.entry.cluster, pod.entry.namespace)
    if account == "default":
        yield "runs as the default ServiceAccount; expected one of its own"
    elif tree.find(where[0], "ServiceAccount", where[1], account) is None:
        yield f"no ServiceAccount {account} is compiled in its namespace"
    if pod.spec.get("automountServiceAccountToken") and (*where, account) not in bound:
        yield f"automountServiceAccountToken: expected false, since no binding names {account}"


def binding_faults(tree: Tree, entry: Entry) -> Iterator[str]:
    """A binding's two sides exist."""
    role = entry.doc["roleRef"]
    if tree.find(entry.cluster, role["kind"], entry.namespace if role["kind"] == "Role" else "", role["name"]) is None:
        yield f"no {role['kind']} {role['name']} is compiled"
    for subject in entry.doc.get("subjects", []):
        place = subject.get("namespace", entry.namespace)
        if subject["kind"] != "ServiceAccount":
            yield f"names {subject['kind']} {subject['name']}; expected ServiceAccounts alone"
        elif tree.find(entry.cluster, "ServiceAccount", place, subject["name"]) is None:
            yield f"no ServiceAccount {place}/{subject['name']} is compiled"


def rule_faults(rule: Json) -> Iterator[str]:
    """What one rule of a Role grants too much."""
    yield from (
        f"{key}: expected names, got *" for key in ("apiGroups", "resources", "verbs") if "*" in rule.get(key, [])
    )
    if "secrets" in rule.get("resources", []):
        verbs = set(rule.get("verbs", []))
        if verbs & NEVER:
            yield f"{', '.join(sorted(verbs & NEVER))} of secrets reaches all of them; expected none"
        if verbs & BY_NAME and not rule.get("resourceNames"):
            yield f"{', '.join(sorted(verbs & BY_NAME))} of secrets: expected resourceNames, got none"
