"""The platform's admission policies say what the cluster's class says; that they refuse is proven on an API server
(tests/cluster)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fleets import TOP, Repository
from matrixfleet.checks import Tree
from matrixfleet.drawing import _load, draw_target
from matrixfleet.kubernetes.edges import ANNOTATIONS
from matrixfleet.model import Fleet
from matrixfleet.model.choices import Edge
from matrixfleet.plan import plan_of
from test_edges import PATTERNS, SPECS, drawn, with_edge
from test_plan import PROD, changed

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


@pytest.mark.parametrize("cluster", ["eu1", "us1", "ap1"])
def test_every_policy_is_bound_and_denies(tree: Tree, cluster: str) -> None:
    policies = {entry.name for entry in tree.of_kind(POLICY) if entry.cluster == cluster}
    bound = {entry.spec["policyName"]: entry for entry in tree.of_kind(BINDING) if entry.cluster == cluster}
    assert policies == set(bound) and len(policies) >= 10
    for entry in bound.values():
        assert entry.spec["validationActions"] == ["Deny"]


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
    for (cluster, name), spec in bound.items():
        assert spec["validationActions"] == ["Deny"]
        policy = tree.find(cluster, POLICY, "", name)
        assert policy
        conditions = {one["name"]: one["expression"] for one in policy.spec["matchConditions"]}
        if "matchResources" not in spec:
            # Wherever it is, but of this fleet: by Argo CD's tracking, or for what a Namespace already was.
            (said,) = (said for key, said in conditions.items() if key in ("tenants", "ours"))
            assert f"startsWith('{cluster}-')" in said and "argocd.argoproj.io/tracking-id" in said
            continue
        labels = spec["matchResources"]["namespaceSelector"]["matchLabels"]
        ours = labels.get("app.kubernetes.io/part-of") == "matrix-fleet"
        assert ours or (labels == {"kubernetes.io/metadata.name": "argocd"} and "roots" in conditions)


def test_every_namespace_is_bound_and_says_its_hosts(tree: Tree) -> None:
    """One that several tenants share says those of each by its name. A platform without any says none: none is let
    in."""
    assert tree.fleet is not None
    for entry in tree.of_kind("Namespace"):
        assert entry.doc["metadata"]["labels"]["app.kubernetes.io/part-of"] == "matrix-fleet"
        several = "matrix-fleet/several-tenants" in entry.annotations
        has = bool(plan_of(tree.fleet, entry.target).names) and not several
        assert ("matrix-fleet/hosts" in entry.annotations) == has, entry
        members = {key.partition("/hosts.")[2]: said for key, said in entry.annotations.items() if "/hosts." in key}
        assert bool(members) == several
        for name, said in members.items():
            assert said.split(",") == list(plan_of(tree.fleet, f"{entry.cluster}.{name}").names)


def test_what_is_being_deleted_is_let_go(tree: Tree) -> None:
    """Or a claim whose class the fleet no longer has would keep its finalizer for ever."""
    for entry in tree.of_kind(POLICY):
        condition, *_ = entry.spec["matchConditions"]
        assert condition["expression"] == "!has(object.metadata.deletionTimestamp)"


def test_what_the_api_server_fills_into_lists_is_written_out(tree: Tree) -> None:
    """Rules are one atomic list: left to the API server, Argo CD would call the policy OutOfSync for ever."""
    for entry in tree.of_kind(POLICY):
        assert {rule["scope"] for rule in entry.spec["matchConstraints"]["resourceRules"]} == {"*"}


def test_importance_is_held_by_value(tree: Tree) -> None:
    """A cluster's default class is written into Pods that name none: it must not be refused by its name."""
    said = {
        entry.cluster: entry.spec["validations"][0]["expression"]
        for entry in tree.of_kind(POLICY)
        if entry.name == "matrix-fleet-priority-class"
    }
    assert said["eu1"] == "!has(object.spec.priority) || object.spec.priority <= 100000"
    assert said["us1"] == "!has(object.spec.priority) || object.spec.priority <= 0"


def decided() -> dict[tuple[str, str], Any]:
    """The decision of each kind (components/admission/kinds.py)."""
    _load(TOP / "components/admission")
    rows = sys.modules["kadet_component_admission.kinds"].KINDS
    found = {(each.group, each.kind): each for each in rows}
    assert len(found) == len(rows)
    return found


SOURCES = {"vault": {"kind": "vault", "vault": {"auth": "vault/tenants"}}}


def every_tree(fleet: Fleet, tree: Tree) -> list[Tree]:
    """The fleet as it is, and with every edge, and another store."""
    trees = [drawn(with_edge(fleet, edge, name), name) for edge in SPECS for name in PATTERNS.values()]
    return [tree, drawn(changed(fleet, (("cluster", "secrets"), SOURCES["vault"]))), *trees]


def part_of(project: Any) -> str:
    return next((part for part in ("fence", "shared") if project.name.endswith(f"-{part}")), "workload")


def test_a_decision_is_recorded_for_every_kind_that_a_tenants_project_admits(fleet: Fleet, tree: Tree) -> None:
    known, met = decided(), set()
    for each in every_tree(fleet, tree):
        for project in each.of_kind("AppProject"):
            if project.target.endswith(".platform"):
                continue
            for key in ("namespaceResourceWhitelist", "clusterResourceWhitelist"):
                for one in project.spec.get(key) or ():
                    assert (one["group"], one["kind"]) in known, (
                        f"{project}: no decision for {one}; add a row to kinds.py"
                    )
                    row = known[one["group"], one["kind"]]
                    assert part_of(project) in row.parts, (
                        f"{project}: {one['kind']} is not decided for {part_of(project)}"
                    )
                    met.add(row.kind)
    assert {"VirtualService", "VaultStaticSecret", "BackendConfig", "Database", "AlertmanagerConfig"} <= met


def test_what_a_decision_names_is_compiled_where_the_kind_is(fleet: Fleet, tree: Tree) -> None:
    known = decided()
    for each in every_tree(fleet, tree):
        policies = {entry.name for entry in each.of_kind(POLICY)}
        for entry in each.objects:
            row = known.get((entry.group, entry.kind))
            if row and policies and not entry.target.endswith(".platform") and entry.part in row.parts:
                assert row.why
                assert {f"matrix-fleet-{name}" for name in row.policies} <= {
                    one.name for one in each.of_kind(POLICY) if one.cluster == entry.cluster
                }, entry
                resources = {
                    (group, resource)
                    for one in each.of_kind(POLICY)
                    if one.name == "matrix-fleet-tenants-metadata" and one.cluster == entry.cluster
                    for rule in one.spec["matchConstraints"]["resourceRules"]
                    for group in rule["apiGroups"]
                    for resource in rule["resources"]
                }
                assert (row.group, row.resource) in resources
                assert entry.doc["apiVersion"].rpartition("/")[2] == row.version, entry


def test_every_annotation_that_is_compiled_for_a_tenant_is_let_in(fleet: Fleet, tree: Tree) -> None:
    metadata = sys.modules["kadet_component_admission.metadata"] if decided() else None
    assert metadata
    for each in every_tree(fleet, tree):
        for entry in each.objects:
            if entry.target.endswith(".platform") or entry.part in ("argocd", "bootstrap"):
                continue
            assert each.fleet is not None
            controller = each.fleet.target(entry.target).cluster.edge.controller
            wanted = {*metadata.KNOWN, *ANNOTATIONS[Edge(controller)]}
            said = {key for key in entry.annotations if not key.startswith("matrix-fleet/")}
            if not (entry.kind == "Service" and entry.name.endswith("-turn")):
                assert said <= wanted, entry


def test_images_on_nodes_are_those_of_every_release(fleet: Fleet) -> None:
    release = fleet.raw("eu1.platform", ("releases", "stable"))
    newer = {**release, "images": {**release["images"], "coturn": {**release["images"]["coturn"], "tag": "9.9.9"}}}
    digest = "sha256:" + "a" * 64
    newer["images"]["vector"] = {**release["images"]["vector"], "digest": digest}
    files = draw_target(fleet.changed("eu1.platform", ("releases", "next"), newer), "eu1.platform", TOP)
    (text,) = (text for path, text in files.items() if "policy-matrix-fleet-on-nodes" in path)
    images = release["images"]
    for one in (f":{images['coturn']['tag']}", ":9.9.9", f":{images['vector']['tag']}", f"@{digest}"):
        assert f'{one}"' in text.replace("\n", "")


def test_a_tenant_whose_namespace_is_called_otherwise_is_known(fleet: Fleet) -> None:
    moved = fleet.changed(PROD, ("matrix", "namespace"), "company")
    files = draw_target(moved, "eu1.platform", TOP)
    (text,) = (text for path, text in files.items() if "policy-matrix-fleet-project-admits" in path)
    assert '"matrix-prod": dyn("company")' in text.replace("\n", "")
