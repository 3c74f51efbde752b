"""7. Rolling: an autoscaler's replicas are its own; a change rolls the Pods that read it and no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from api import Api, Object, documents, until
from changes import change
from repository import TOP

from conftest import Fleet

COMPONENT = "app.kubernetes.io/component"
CHANGES = {
    "element": ("eu1", "chess-club", "brand: Chess Club", "brand: The Chess Club"),
    "every process of Synapse": (
        "eu1",
        "matrix-ha",
        "    size: large\n",
        "    size: large\n    synapse: {url_previews: false}\n",
    ),
}


def pods(api: Api, namespace: str) -> dict[str, set[str]]:
    """The Pods of each component that run for good, by their uid."""
    found: dict[str, set[str]] = {}
    for pod in api.list("v1", "Pod", namespace):
        owners = [each["kind"] for each in pod["metadata"].get("ownerReferences", [])]
        if "Job" not in owners and "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["metadata"]["labels"][COMPONENT], set()).add(pod["metadata"]["uid"])
    return found


def readers(old: dict[Path, Object], new: dict[Path, Object]) -> set[str]:
    """Components whose Pods name a ConfigMap that has other data than it had."""
    was = {thing["metadata"]["name"]: thing["data"] for thing in old.values() if thing["kind"] == "ConfigMap"}
    now = {thing["metadata"]["name"]: thing["data"] for thing in new.values() if thing["kind"] == "ConfigMap"}
    other = {name for name, data in now.items() if was.get(name) != data}
    found = set()
    for thing in new.values():
        if thing["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            said = json.dumps(thing["spec"]["template"]["spec"].get("volumes", []))
            if any(f'"name": "{name}"' in said for name in other):
                found.add(thing["metadata"]["labels"][COMPONENT])
    return found


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_rolls_exactly_the_pods_that_read_it(fleet: Fleet, what: str) -> None:
    cluster, tenant, old, new = CHANGES[what]
    api, folder = fleet.api(cluster), ("compiled", cluster, tenant, "workload")
    fleet.hub.settle()
    before = pods(api, tenant)
    others = {name: pods(api, name) for name in ("matrix-prod", "matrix-ha", "chess-club") if name != tenant}
    with change(fleet.repository) as pull:
        pull.edit(f"{cluster}/{tenant}.yml", old, new)
        pull.compile(f"{cluster}.{tenant}")
        wanted = readers(documents(TOP.joinpath(*folder)), documents(fleet.repository.path(*folder)))
        fleet.hub.push(f"other configuration: {what}", f"{cluster}-{tenant}")
    assert wanted and wanted < set(before)
    after = until("each rolled Pod is another", lambda: gone(before, pods(api, tenant), wanted), 60)
    assert {name for name in before if not before[name] & after.get(name, set())} == wanted
    assert {name for name in before if before[name] != after.get(name)} == wanted
    assert {name: pods(api, name) for name in others} == others
    fleet.hub.push("as it was", f"{cluster}-{tenant}")


def gone(before: dict[str, set[str]], after: dict[str, set[str]], wanted: set[str]) -> dict[str, set[str]] | None:
    """What is there now, once none of what was to go is."""
    done = all(after.get(name) and not before[name] & after[name] for name in wanted)
    return after if done else None


def test_a_rotated_secret_rolls_its_consumers(fleet: Fleet) -> None:
    """docs/rotate-a-secret.md: TURN's next generation is made by the Job, Synapse and Coturn take it, and the one before
    stays for a way back."""
    api, tenant = fleet.api("eu1"), "matrix-prod"
    fleet.hub.settle()
    places = (tenant, f"{tenant}-turn")
    before = {place: pods(api, place) for place in places}
    first = {place: api.get("v1", "Secret", place, f"{tenant}-turn-1") for place in places}
    assert all(first.values())
    with change(fleet.repository) as pull:
        pull.edit("eu1/matrix-prod.yml", "    media:\n", "    turn: {secret: 2}\n    media:\n")
        pull.compile("eu1.matrix-prod")
        fleet.hub.push("another secret of TURN", "eu1-matrix-prod", "eu1-matrix-prod-fence")
    for place, old in first.items():
        second = api.get("v1", "Secret", place, f"{tenant}-turn-2")
        assert second and old and second["data"] != old["data"]
        assert api.get("v1", "Secret", place, f"{tenant}-turn-1") == old
    expected = {tenant: {"synapse"}, f"{tenant}-turn": {"turn"}}
    for place, wanted in expected.items():
        after = until(f"consumers in {place} rolled", lambda: gone(before[place], pods(api, place), wanted), 60)  # noqa: B023
        assert {name for name in before[place] if before[place][name] != after.get(name)} == wanted
    fleet.hub.push("back to the first generation", "eu1-matrix-prod", "eu1-matrix-prod-fence")


def test_an_autoscalers_replicas_are_its_own(fleet: Fleet) -> None:
    """Busy Pods become more, and Argo CD, asked again, neither calls that a difference nor takes them away."""
    api, argo, name = fleet.api("eu1"), fleet.hub, "matrix-ha-client-reader"
    argo.settle("eu1-matrix-ha")
    operation = (argo.application("eu1-matrix-ha") or {})["status"]["operationState"]["finishedAt"]

    def replicas() -> int:
        found = api.get("apps/v1", "Deployment", "matrix-ha", name)
        assert found
        return int(found["spec"]["replicas"])

    autoscaler = api.get("autoscaling/v2", "HorizontalPodAutoscaler", "matrix-ha", name)
    assert autoscaler
    least, most = autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]
    assert replicas() == least
    fleet.metrics["eu1"].busy["client-reader"] = 2.0
    try:
        until("the autoscaler makes more", lambda: replicas() == most, 120)
        argo.refresh("eu1-matrix-ha")
        argo.settle("eu1-matrix-ha")
        assert replicas() == most
        assert (argo.application("eu1-matrix-ha") or {})["status"]["operationState"]["finishedAt"] == operation
    finally:
        fleet.metrics["eu1"].busy.clear()
    until("they go when they are idle", lambda: replicas() == least, 180)
    argo.settle("eu1-matrix-ha")
