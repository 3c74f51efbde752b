"""The platform's admission policies, as they are compiled; tests/cluster/ has a real API server judge by them."""

from __future__ import annotations

from matrixfleet.checks import Tree

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


def test_every_policy_of_every_cluster_is_bound(tree: Tree) -> None:
    """To namespaces of this fleet and Argo CD's alone, and it refuses."""
    clusters = {entry.cluster for entry in tree.of_kind("Namespace")}
    bound = {(entry.cluster, entry.spec["policyName"]): entry.spec for entry in tree.of_kind(BINDING)}
    policies = {(entry.cluster, entry.name) for entry in tree.of_kind(POLICY)}
    assert {cluster for cluster, _ in policies} == clusters
    assert set(bound) == policies
    for spec in bound.values():
        assert spec["validationActions"] == ["Deny"]
        labels = spec["matchResources"]["namespaceSelector"]["matchLabels"]
        ours = labels.get("app.kubernetes.io/part-of") == "matrix-fleet"
        assert ours or labels == {"kubernetes.io/metadata.name": "argocd"}


def test_every_namespace_is_bound_and_says_its_hosts(tree: Tree) -> None:
    """But one that several tenants share, which must not change with them."""
    for entry in tree.of_kind("Namespace"):
        assert entry.doc["metadata"]["labels"]["app.kubernetes.io/part-of"] == "matrix-fleet"
        several = "matrix-fleet/several-tenants" in entry.annotations
        assert ("matrix-fleet/hosts" in entry.annotations) != several, entry


def test_what_is_being_deleted_is_let_go(tree: Tree) -> None:
    """Or a claim whose class the fleet no longer has would keep its finalizer for ever."""
    for entry in tree.of_kind(POLICY):
        (condition,) = entry.spec["matchConditions"]
        assert condition["expression"] == "!has(object.metadata.deletionTimestamp)"


def test_what_the_api_server_fills_into_lists_is_written_out(tree: Tree) -> None:
    """Rules are one atomic list: left to the API server, Argo CD would call the policy OutOfSync for ever."""
    for entry in tree.of_kind(POLICY):
        assert [rule["scope"] for rule in entry.spec["matchConstraints"]["resourceRules"]] == ["*"]


def test_importance_is_held_by_value(tree: Tree) -> None:
    """A cluster's default class is written into Pods that name none: it must not be refused by its name."""
    said = {
        entry.cluster: entry.spec["validations"][0]["expression"]
        for entry in tree.of_kind(POLICY)
        if entry.name == "matrix-fleet-priority-class"
    }
    assert said["eu1"] == "!has(object.spec.priority) || object.spec.priority <= 100000"
    assert said["us1"] == "!has(object.spec.priority) || object.spec.priority <= 0"
