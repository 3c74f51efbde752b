"""6. Upgrade: from the compiled tree before this one to this one, and a node that is drained; never two mains."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
import yaml
from api import named, until
from mains import fewest_ready, is_main, most_mains
from repository import TOP

from conftest import Fleet, say


def before(folder: Path) -> str:
    """The compiled tree before this one, into a folder: of $BASE, else of the last tag, else of the last commit
    with another one."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=TOP, capture_output=True, text=True).stdout.strip()

    commits = git("log", "--format=%h", "-20", "--", "compiled").split()
    if not commits:
        pytest.skip("no history here to upgrade from")
    tag = git("describe", "--tags", "--abbrev=0")
    other = [each for each in commits if git("diff", "--name-only", each, "--", "compiled")]
    base = os.environ.get("BASE") or tag or next(iter(other), "")
    if not base:
        pytest.skip("compiled/ never was another")
    archive = subprocess.run(["git", "archive", base, "compiled", "argocd"], cwd=TOP, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return base


def test_no_upgrade_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    """The tree before is synced, then this one: an immutable field that differs would fail the sync."""
    base = before(tmp_path)
    fleet.repository.put(tmp_path)
    fleet.by_hand(tmp_path)
    down = fleet.hub.push(f"the tree of {base}", seconds=300)
    start = time.time()
    fleet.repository.put(TOP)
    fleet.by_hand()
    up = fleet.hub.push("the tree as it is", seconds=300)
    say(f"to the tree of {base} in {down:.0f} s, and from there to this one in {up:.0f} s")
    most = most_mains(fleet.recorders["eu1"], start)
    assert all(count <= 1 for count in most.values()), most


ROOTS = ("eu1-root", "us1-root")


def of_argocd(fleet: Fleet) -> dict[str, str]:
    """Every Application and project of the hub, none on its way out."""
    kinds = ("Application", "AppProject")
    found = [each for kind in kinds for each in fleet.hub.api.list("argoproj.io/v1alpha1", kind, "argocd")]
    assert not [named(each) for each in found if "deletionTimestamp" in each["metadata"]]
    return {named(each): each["metadata"]["uid"] for each in found}


def test_a_root_that_looks_where_nothing_is_any_more_deletes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    """Argo CD's objects once lay in each target's folder, and the root looked for them at any depth. After the commit that
    moves them that root finds nothing, and keeps what it had until the new one is applied by hand (docs/upgrade.md)."""
    for name in ("compiled", "argocd"):
        shutil.copytree(TOP / name, tmp_path / name)
    for path in (tmp_path / "compiled").glob("*/argocd/*.yaml"):
        target = yaml.safe_load(path.read_text())["metadata"]["labels"]["app.kubernetes.io/instance"]
        old = path.parent.parent / target / "argocd" / path.name
        old.parent.mkdir(exist_ok=True)
        path.rename(old)
    for path in (tmp_path / "argocd").glob("*.yaml"):
        cluster = path.stem
        now = f"path: compiled/{cluster}/argocd\n    directory:\n      recurse: false\n"
        then = f"path: compiled/{cluster}\n    directory:\n      recurse: true\n      include: '*/argocd/*.yaml'\n"
        assert now in path.read_text()
        path.write_text(path.read_text().replace(now, then))
    before = of_argocd(fleet)
    fleet.repository.put(tmp_path)
    fleet.by_hand(tmp_path)
    fleet.hub.push("as it once was")
    assert of_argocd(fleet) == before
    fleet.repository.put(TOP)
    revision = fleet.repository.commit("Argo CD's objects move")
    fleet.hub.refresh(*ROOTS)
    until("the roots have seen it", lambda: all(
        fleet.hub.application(root)["status"]["sync"].get("revision") == revision for root in ROOTS), 60)  # type: ignore[index]  # fmt: skip
    time.sleep(15)
    for root in ROOTS:
        status = fleet.hub.application(root)["status"]  # type: ignore[index]
        said = " ".join(each["message"] for each in status.get("conditions", []))
        assert "auto-sync will wipe out all resources" in said, said
    assert of_argocd(fleet) == before
    fleet.by_hand()
    # The roots find nothing to change, so nobody else has the others look.
    fleet.hub.refresh()
    fleet.hub.settle(revision=revision)
    assert of_argocd(fleet) == before


def test_a_drained_node_leaves_enough(fleet: Fleet) -> None:
    """Disruption budgets hold for every component that has one, and each main is replaced after it is gone."""
    api, plane = fleet.api("eu1"), fleet.planes["eu1"]
    mains = [pod for pod in api.list("v1", "Pod") if is_main(pod)]
    node = mains[0]["spec"]["nodeName"]
    budgets = api.list("policy/v1", "PodDisruptionBudget")
    start = time.time()
    plane.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s")
    fleet.hub.settle(seconds=180)
    left = [
        pod
        for pod in api.list("v1", "Pod")
        if pod["spec"].get("nodeName") == node and pod["status"]["phase"] == "Running"
    ]
    assert {pod["metadata"]["ownerReferences"][0]["kind"] for pod in left} <= {"DaemonSet"}
    say(f"{node} was drained and everything well again in {time.time() - start:.0f} s")
    plane.kubectl("uncordon", node)
    most = most_mains(fleet.recorders["eu1"], start)
    assert most and all(count == 1 for count in most.values()), most
    fewest = fewest_ready(fleet.recorders["eu1"], start)
    for budget in budgets:
        labels = budget["spec"]["selector"]["matchLabels"]
        if "cnpg.io/poolerName" in labels:
            # Poolers' Pods are the operator's, which is in tests 11 to 13.
            continue
        key = (labels["app.kubernetes.io/instance"], labels["app.kubernetes.io/component"])
        assert fewest[key] >= budget["status"]["desiredHealthy"], f"{named(budget)}: {fewest[key]} were ready"


def test_there_never_were_two_mains(fleet: Fleet) -> None:
    """Of any homeserver, in all that happened so far."""
    for name, recorder in fleet.recorders.items():
        most = most_mains(recorder)
        assert most or name == "none"
        assert all(count <= 1 for count in most.values()), most
