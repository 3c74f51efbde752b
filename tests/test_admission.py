"""The platform's admission policies say what the cluster's class says; that they refuse is proven on an API server
(tests/cluster)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleets import Repository
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet
from matrixfleet.plan import plan_of

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


@pytest.mark.parametrize("cluster", ["eu1", "us1", "ap1"])
def test_every_policy_is_bound_and_denies(tree: Tree, cluster: str) -> None:
    policies = {entry.name for entry in tree.of_kind(POLICY) if entry.cluster == cluster}
    bound = {entry.spec["policyName"]: entry for entry in tree.of_kind(BINDING) if entry.cluster == cluster}
    assert policies == set(bound) and len(policies) >= 10
    for entry in bound.values():
        assert entry.spec["validationActions"] == ["Deny"]
        assert entry.spec["matchResources"]["namespaceSelector"]["matchLabels"]


@pytest.mark.parametrize(("cluster", "name"), [("eu1", "traefik"), ("us1", "alb")])
def test_the_edges_class_is_the_clusters(tree: Tree, cluster: str, name: str) -> None:
    policy = tree.find(cluster, POLICY, "", "matrix-fleet-ingress-class")
    assert policy and f'object.spec.ingressClassName == "{name}"' in policy.spec["validations"][0]["expression"]


def test_a_hub_keeps_applications_itself(tree: Tree) -> None:
    """us1 is synced from elsewhere: its Applications are not on it."""
    name = "matrix-fleet-application-project"
    assert tree.find("eu1", POLICY, "", name) and not tree.find("us1", POLICY, "", name)


def test_every_application_is_in_the_project_of_its_name(tree: Tree) -> None:
    """What the policy demands."""
    for entry in tree.of_kind("Application"):
        assert entry.spec["project"] == entry.name


def test_a_new_tenant_changes_no_policy(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    chess = repository.read("inventory/targets/eu1/chess-club.yml")

    def drawn() -> dict[str, str]:
        files = draw_target(Fleet.read(tmp_path / "inventory"), "eu1.platform", tmp_path)
        return {path: text for path, text in files.items() if "admission" in path}

    before = drawn()
    repository.write("inventory/targets/eu1/go-club.yml", chess.replace("chess.example.org", "go.example.org"))
    assert before and drawn() == before


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
    """But one that several tenants share, which must not change with them, and those of a platform without any: where
    none is said none is let in."""
    assert tree.fleet is not None
    for entry in tree.of_kind("Namespace"):
        assert entry.doc["metadata"]["labels"]["app.kubernetes.io/part-of"] == "matrix-fleet"
        several = "matrix-fleet/several-tenants" in entry.annotations
        has = bool(plan_of(tree.fleet, entry.target).names) and not several
        assert ("matrix-fleet/hosts" in entry.annotations) == has, entry


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
