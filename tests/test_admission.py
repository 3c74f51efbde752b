"""The platform's admission policies say what the cluster's class says; that they refuse is proven on an API server
(tests/cluster)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleets import Repository
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


@pytest.mark.parametrize("cluster", ["eu1", "us1", "ap1"])
def test_every_policy_is_bound_and_denies(tree: Tree, cluster: str) -> None:
    policies = {entry.name for entry in tree.of_kind(POLICY) if entry.cluster == cluster}
    bound = {entry.spec["policyName"]: entry for entry in tree.of_kind(BINDING) if entry.cluster == cluster}
    assert policies == set(bound) and len(policies) >= 10
    for entry in bound.values():
        assert entry.spec["validationActions"] == ["Deny"]
        assert entry.spec["matchResources"]["namespaceSelector"]["matchLabels"]


@pytest.mark.parametrize(("cluster", "name"), [("eu1", "traefik"), ("us1", "traefik-public")])
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
