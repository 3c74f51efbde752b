"""6. Upgrade: no immutable field is in the way, a rollout goes in order, a drain leaves every pool enough, and there are
never two main processes."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections import defaultdict
from pathlib import Path

import build
import pytest
from api import Object, documents, named, until
from changes import change
from order import WAVE
from plane import Plane, is_ready
from repository import TOP

from conftest import FOLDER, Fleet, say

COMPONENT, INSTANCE = "app.kubernetes.io/component", "app.kubernetes.io/instance"
HA, SPACE = "eu1.matrix-ha", "matrix-ha"


def before(folder: Path) -> str:
    """The compiled tree of the last tag, or else of the last commit that had another one, into a folder; which it is."""

    def git(*words: str) -> bytes:
        return subprocess.run(["git", "-C", str(TOP), *words], check=True, capture_output=True).stdout

    tags = git("tag", "--merged", "HEAD", "--sort=-creatordate").decode().split()
    commits = git("log", "-2", "--format=%H", "--", "compiled").decode().split()
    found = tags[0] if tags else commits[-1]
    with tarfile.open(fileobj=io.BytesIO(git("archive", found, "compiled"))) as archive:
        archive.extractall(folder, filter="data")
    return found


def wave(thing: Object) -> int:
    """Of an object."""
    return int(thing["metadata"]["annotations"][WAVE])


def test_no_immutable_field_is_changed(fleet: Fleet, tmp_path: Path) -> None:
    """What was there is applied to a cluster of its own, and what is there now over it, as Argo CD applies it."""
    commit = before(tmp_path)
    plane = Plane(build.folder(), FOLDER / "upgrade", 3)
    api = plane.start()
    try:
        plane.define()
        count = 0
        for top in (tmp_path / "compiled", TOP / "compiled"):
            things = sorted(documents(top).values(), key=lambda each: (each["kind"] != "Namespace", wave(each)))
            for cluster in fleet.planes:
                argocd = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}
                api.apply(argocd)
                assert cluster
            for thing in things:
                metadata = thing["metadata"]
                # Argo CD makes these; the cluster has the others.
                if metadata.get("namespace") and not api.get("v1", "Namespace", None, metadata["namespace"]):
                    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": metadata["namespace"]}})
                api.apply(thing, manager="argocd-controller")
                count += 1
        say(f"{count} objects applied, those of {commit[:12]} and those of now over them")
    finally:
        plane.stop()


def test_a_release_goes_in_the_order_of_the_waves(fleet: Fleet) -> None:
    """Another version of Synapse: main first, and no worker before main is ready; nothing else rolls."""
    recorder, api = fleet.recorders["eu1"], fleet.api("eu1")
    old = api.list("v1", "Pod", SPACE)
    known = {pod["metadata"]["uid"] for pod in old}
    with change(fleet.repository) as pull:
        text = pull.inventory.read("inventory/classes/release/stable.yml")
        (tag,) = {line.split()[-1].strip("\"'") for line in text.splitlines() if "v1.163.2" in line and "tag" in line}
        pull.inventory.write("inventory/classes/release/stable.yml", text.replace(tag, f"{tag}-next"))
        pull.compile(HA)
        fleet.hub.push("another Synapse", "eu1-matrix-ha")
    made: dict[str, float] = {}
    became: dict[str, float] = {}
    for at, event, pod in list(recorder.events):
        labels = pod["metadata"].get("labels", {})
        if pod["kind"] == "Pod" and event != "DELETED" and pod["metadata"]["namespace"] == SPACE:
            if pod["metadata"]["uid"] not in known and COMPONENT in labels:
                made.setdefault(labels[COMPONENT], at)
                if is_ready(pod):
                    became.setdefault(labels[COMPONENT], at)
    workloads = {
        thing["metadata"]["labels"][COMPONENT]: wave(thing)
        for thing in fleet.compiled("eu1", SPACE, "workload").values()
        if thing["kind"] in ("Deployment", "StatefulSet") and "synapse" in str(thing["spec"]["template"]["spec"])
    }
    workers = [
        component for component, number in workloads.items() if number > workloads["synapse"] and component in made
    ]
    assert workers
    for worker in workers:
        assert made[worker] >= became["synapse"], f"{worker} came before main was ready"
    assert "redis" not in made, "what has no other version stays"
    fleet.hub.push("and back", "eu1-matrix-ha")


def test_a_drain_takes_one_of_a_pool_at_a_time(fleet: Fleet) -> None:
    """`kubectl drain` is never refused for good, and of each pool with a budget all but one are always ready."""
    api, plane, recorder = fleet.api("eu1"), fleet.planes["eu1"], fleet.recorders["eu1"]
    budgets = [
        (thing["spec"]["selector"]["matchLabels"], thing["spec"]["maxUnavailable"])
        for thing in fleet.compiled("eu1").values()
        if thing["kind"] == "PodDisruptionBudget"
    ]
    pods = [pod for pod in api.list("v1", "Pod", SPACE) if pod["status"]["phase"] == "Running"]
    node = max(
        {pod["spec"]["nodeName"] for pod in pods}, key=lambda name: sum(p["spec"]["nodeName"] == name for p in pods)
    )
    begun = len(recorder.events)
    plane.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=180s")
    try:
        fleet.hub.settle(seconds=180)
        until("every Pod is elsewhere", lambda: all(
            is_ready(pod) for pod in api.list("v1", "Pod", SPACE) if pod["status"]["phase"] == "Running"), 60)  # fmt: skip
    finally:
        plane.kubectl("uncordon", node)
    for labels, unavailable in budgets:
        alive = {pod["metadata"]["uid"]: pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()}
        if not alive:
            continue
        size = least = len(alive)
        for _, event, pod in recorder.events[begun:]:
            if pod["kind"] == "Pod" and labels.items() <= pod["metadata"].get("labels", {}).items():
                if event == "DELETED":
                    alive.pop(pod["metadata"]["uid"], None)
                else:
                    alive[pod["metadata"]["uid"]] = pod
                serving = [
                    each for each in alive.values() if is_ready(each) and "deletionTimestamp" not in each["metadata"]
                ]
                least = min(least, len(serving))
        assert least >= size - unavailable, f"{labels[COMPONENT]}: {least} of {size} were ready"
    say(f"drained {node}")


def test_there_were_never_two_main_processes(fleet: Fleet) -> None:
    """In all that was recorded, of every tenant: Pods that run, terminating ones counted."""
    found = 0
    for cluster, recorder in fleet.recorders.items():
        running: dict[str, set[str]] = defaultdict(set)
        for _, event, pod in list(recorder.events):
            labels = pod["metadata"].get("labels", {})
            if pod["kind"] != "Pod" or labels.get(COMPONENT) != "synapse":
                continue
            here = running[labels[INSTANCE]]
            if event == "DELETED" or pod["status"].get("phase") != "Running":
                here.discard(pod["metadata"]["uid"])
            else:
                here.add(pod["metadata"]["uid"])
                found += 1
            assert len(here) <= 1, f"{cluster}: {named(pod)} ran beside another main process"
    assert found, "nothing was recorded"


@pytest.fixture(autouse=True)
def settled(fleet: Fleet) -> None:
    """Each begins with a fleet that stands."""
    fleet.hub.settle()
