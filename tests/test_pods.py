"""What every Pod has, on each kind of cluster: swept over the reference fleet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from fleets import TOP
from matrixfleet.checks.tree import Pod, Tree
from matrixfleet.model.backup import BackupSpec
from matrixfleet.model.cron import longest_gap
from matrixfleet.plan.backup import drill_of, oldest, schedule_of, spread, verify_of

EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
NAMES = [f"tenant-{number}" for number in range(300)]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree.read(TOP / "compiled")


def ends(pod: Pod) -> bool:
    return pod.entry.kind in ("Job", "CronJob")


def tolerated(spec: dict[str, Any]) -> dict[str, int]:
    """Seconds by what a Pod tolerates for a while."""
    found = spec.get("tolerations", [])
    return {one["key"]: one["tolerationSeconds"] for one in found if "tolerationSeconds" in one}


LOST = {"node.kubernetes.io/not-ready": 30, "node.kubernetes.io/unreachable": 30}


def test_pods_that_may_run_twice_leave_a_lost_node_soon_and_no_others(tree: Tree) -> None:
    kinds = set()
    for pod in tree.pods:
        held = any("persistentVolumeClaim" in volume for volume in pod.volumes.values())
        stateless = pod.entry.kind == "Deployment" and not held
        assert tolerated(pod.spec) == (LOST if stateless else {}), pod.entry.path
        kinds.add((pod.entry.kind, held))
    assert {("Deployment", True), ("Deployment", False), ("StatefulSet", False)} <= kinds


def test_poolers_and_instances_are_spread(tree: Tree) -> None:
    poolers = list(tree.of_kind("Pooler"))
    assert poolers
    for pooler in poolers:
        spec = pooler.spec["template"]["spec"]
        keys = {one["topologyKey"] for one in spec["topologySpreadConstraints"]}
        assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        assert tolerated(spec) == LOST
        selector = {"matchLabels": {"cnpg.io/poolerName": pooler.name}}
        budgets = [one for one in tree.of_kind("PodDisruptionBudget") if one.cluster == pooler.cluster]
        held = [one for one in budgets if one.namespace == pooler.namespace and one.spec["selector"] == selector]
        assert len(held) == (1 if pooler.spec["instances"] > 1 else 0)
    for cluster in tree.of_kind("Cluster"):
        wanted = "required" if cluster.spec["instances"] > 1 else "preferred"
        assert cluster.spec["affinity"]["podAntiAffinityType"] == wanted


def test_what_runs_to_its_end_hurts_no_neighbour(tree: Tree) -> None:
    for pod in tree.pods:
        annotations = pod.template["metadata"]["annotations"]
        assert annotations[EVICT] == ("false" if ends(pod) else "true"), pod.entry.path
        if ends(pod):
            assert "priorityClassName" not in pod.spec
        if pod.entry.kind == "Job":
            # Four hours and then never again was too short for a Secret that a person makes.
            assert pod.entry.spec["backoffLimit"] == 2**31 - 1


def disk(volume: dict[str, Any]) -> int:
    """MiB of an emptyDir on the node's disk."""
    said = volume.get("emptyDir")
    if said is None or said.get("medium") == "Memory":
        return 0
    number, unit = re.fullmatch(r"([0-9]+)(Mi|Gi)", said["sizeLimit"]).groups()
    return int(number) * (1024 if unit == "Gi" else 1)


def requested(pod: Pod) -> int:
    texts = [one["resources"]["requests"]["ephemeral-storage"] for one in pod.spec["containers"]]
    return sum(int(text.removesuffix("Mi")) for text in texts)


def test_every_container_asks_for_the_disk_that_it_may_fill(tree: Tree) -> None:
    for pod in tree.pods:
        assert all("ephemeral-storage" in one["resources"]["requests"] for one in pod.containers), pod.entry.path
        used = sum(disk(volume) for volume in pod.spec.get("volumes", []))
        assert requested(pod) == used + 64 * len(pod.spec["containers"]), pod.entry.path


def test_a_drill_has_a_disk_of_its_own_that_goes(tree: Tree) -> None:
    drills = [pod for pod in tree.pods if pod.entry.name.endswith("-drill")]
    assert drills
    for pod in drills:
        assert "volumeClaimTemplate" in pod.volumes["scratch"]["ephemeral"]
        # Another Pod of the same Job would claim another volume; a Pod that is done keeps its own.
        assert pod.spec["restartPolicy"] == "OnFailure"
        assert pod.entry.spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] == 3600


def test_names_have_few_dots_to_look_for(tree: Tree) -> None:
    for pod in tree.pods:
        assert {"name": "ndots", "value": "2"} in pod.spec["dnsConfig"]["options"]


def test_no_volume_is_too_small_for_a_file_system(tree: Tree) -> None:
    for claim in tree.of_kind("PersistentVolumeClaim"):
        assert not claim.spec["resources"]["requests"]["storage"].endswith("Mi"), claim.path


def schedules() -> Iterator[list[str]]:
    empty = BackupSpec()
    yield [schedule_of(name, empty) for name in NAMES]
    yield [drill_of(name, empty) for name in NAMES]


def test_tenants_begin_in_minutes_of_their_own() -> None:
    for found in schedules():
        assert max(found.count(one) for one in found) <= 6
        assert len({one.split()[0] for one in found}) > 50
        assert all(longest_gap(one) is not None for one in found)
    assert len({verify_of(name) for name in NAMES}) > 50
    assert {spread(name, "canary", 5) for name in NAMES} == {0, 1, 2, 3, 4}
    # The same for ever: another minute at each compile would be a change of every tenant.
    assert schedule_of("matrix-prod", BackupSpec()) == schedule_of("matrix-prod", BackupSpec())


@pytest.mark.parametrize(
    ("schedule", "hours"), [("17 2 * * *", 48), ("0 */6 * * *", 30), ("0 3 */2 * *", 72), ("0 3 * * 0,2,4,6", 72)]
)
def test_verify_goes_by_the_schedule_that_is_said(schedule: str, hours: int) -> None:
    assert oldest(schedule) == hours * 3600


def test_postgresql_takes_no_pages_that_its_pod_has_not(tree: Tree) -> None:
    for cluster in tree.of_kind("Cluster"):
        said = cluster.spec["postgresql"]["parameters"]
        assert (said["huge_pages"], said["jit"]) == ("off", "off")


def test_coturn_is_told_nothing_that_is_gone(tree: Tree) -> None:
    """Removed or without effect since 4.16 (coturn#2026, coturn#2079); read by 4.18 as a bad configuration."""
    gone = {"no-tlsv1", "no-tlsv1_1", "no-dtls", "no-cli", "no-sslv2", "no-sslv3", "prod", "secret-ts-exp-time"}
    texts = [
        one.doc["data"]["turnserver.conf"]
        for one in tree.of_kind("ConfigMap")
        if "turnserver.conf" in (one.doc.get("data") or {})
    ]
    assert texts
    for text in texts:
        assert not gone & {line.partition("=")[0] for line in text.splitlines()}


def test_managed_operators_outlive_a_node_and_ask_for_what_they_use(tree: Tree) -> None:
    charts = {}
    for one in tree.of_kind("Application"):
        source = one.spec.get("source") or {}
        if "chart" in source:
            charts[source["chart"]] = source["helm"]["valuesObject"]
    assert charts.keys() == {"cert-manager", "cloudnative-pg", "plugin-barman-cloud"}
    manager = charts["cert-manager"]
    for part in (manager, manager["webhook"], manager["cainjector"], charts["cloudnative-pg"]):
        assert part["replicaCount"] == 2
    for part in (manager, manager["webhook"], manager["cainjector"], *charts.values()):
        assert part["resources"]["requests"]["memory"] == part["resources"]["limits"]["memory"]
    watched = [one for one in tree.of_kind("PodMonitor") if one.name == "platform-cert-manager"]
    assert watched and watched[0].spec["namespaceSelector"] == {"matchNames": ["cert-manager"]}


UNWATCHED = {
    "backup": "a copy takes as long as its bucket lets it; MatrixBackupLate tells of one that stands still",
}
"""Containers without a probe, and who watches them."""


def test_a_container_that_stands_still_is_started_again(tree: Tree) -> None:
    known = set()
    for pod in tree.pods:
        if ends(pod) or pod.entry.kind not in ("Deployment", "StatefulSet", "DaemonSet"):
            continue
        for one in pod.spec["containers"]:
            known.add(one["name"])
            assert ("livenessProbe" in one) != (one["name"] in UNWATCHED), f"{pod.entry}: {one['name']}"
    assert {*UNWATCHED, "cache", "reconciler", "synapse", "exporter"} <= known
