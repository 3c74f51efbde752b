"""Backups as they compile; that they work, tests/services/drills proves with real programs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.checks.tree import Entry
from matrixfleet.model import Fleet
from matrixfleet.model.choices import Backup, RestoreFrom
from test_plan import PROD, changed, drawn

SCRIPTS = TOP / "lib/matrixfleet/backup"


BACKUP = yaml.safe_load((TOP / "inventory/classes/feature/backups.yml").read_text())["parameters"]["matrix"]["backup"]


def backed_up(fleet: Fleet, **matrix: object) -> Tree:
    """matrix-prod with backups, with more said of it."""
    said = [(("matrix", key), value) for key, value in {"backup": BACKUP, **matrix}.items()]
    return drawn(changed(fleet, *said))


def stopped(fleet: Fleet, **matrix: object) -> Tree:
    """The same, stopped."""
    return backed_up(fleet, state="stopped", **matrix)


def named(tree: Tree, kind: str, name: str) -> Entry:
    (found,) = [one for one in tree.of_kind(kind) if one.target == PROD and name in one.name]
    return found


def names(containers: list[dict[str, object]]) -> list[object]:
    return [one["name"] for one in containers]


def test_the_image_is_the_releases_postgresql(fleet: Fleet) -> None:
    dockerfile = (TOP / "images/backup/Dockerfile").read_text()
    for name in fleet.names:
        images = fleet.target(name).release.images
        assert f"\nFROM {images.postgresql.repository}:{images.postgresql.tag}\n" in dockerfile
        assert images.backup.tag.startswith(f"{images.postgresql.tag}-")
        assert dockerfile.count(f"{images.backup.repository}:{images.backup.tag}") == 2, "as its comment says"
        same = ("uid", "gid", "ports", "writes", "stop_signal")
        assert all(getattr(images.backup, key) == getattr(images.postgresql, key) for key in same)


def test_a_tenant_with_backups_has_them_all(tree: Tree, fleet: Fleet) -> None:
    for name in fleet.names:
        tenant = fleet.target(name).tenant
        crons = {one.name.rpartition("-")[2] for one in tree.of_kind("CronJob") if one.target == name}
        expected = {"dump", "verify", "drill"} if tenant and tenant.backup.bucket else set()
        assert {"dump", "verify", "drill"} & crons == expected, name


def test_no_passphrase_and_no_key_is_in_an_environment(tree: Tree) -> None:
    """What is encrypted with is mounted: a Pod's environment is in its description."""
    for pod in tree.pods:
        for one in pod.containers:
            for said in one.get("env", []):
                secret = (said.get("valueFrom") or {}).get("secretKeyRef", {}).get("name", "")
                assert "-backup" not in secret, f"{pod.entry}: {said['name']}"


def test_dumps_alone_archive_nothing(fleet: Fleet) -> None:
    tree = backed_up(fleet, backup={**BACKUP, "kind": str(Backup.DUMPS)})
    config = named(tree, "ConfigMap", "matrix-prod-postgresql")
    assert "archive_mode" not in config.doc["data"]["postgresql.conf"]
    pod = named(tree, "StatefulSet", "postgresql").spec["template"]["spec"]
    assert "backup" not in names(pod["containers"])
    assert named(tree, "CronJob", "dump")


def test_one_volume_is_read_by_the_pod_that_has_it(fleet: Fleet) -> None:
    """The sidecar sees media and the key read-only: what backs up cannot destroy."""
    pod = named(backed_up(fleet), "Deployment", "matrix-prod-synapse").spec["template"]["spec"]
    (sidecar,) = [one for one in pod["containers"] if one["name"] == "backup"]
    seen = {one["name"]: one.get("readOnly", False) for one in sidecar["volumeMounts"]}
    assert seen["media"] and seen["signing-key"] and not seen["backup-tmp"]


@pytest.mark.parametrize("source", RestoreFrom)
def test_a_restore(fleet: Fleet, source: RestoreFrom) -> None:
    said = {"name": "again", "source": str(source), "until": "2026-03-01T15:05:00+01:00"}
    tree = stopped(fleet, restore=said)
    pod = named(tree, "StatefulSet", "postgresql").spec["template"]["spec"]
    where = {RestoreFrom.ARCHIVE: "initContainers", RestoreFrom.DUMP: "containers"}[source]
    assert "restore" in names(pod[where])
    restore = next(one for one in pod[where] if one["name"] == "restore")
    assert {"name": "UNTIL", "value": "2026-03-01T14:05:00Z"} in restore["env"]
    job = named(tree, "Job", "restore")
    mounted = {one["name"] for one in job.spec["template"]["spec"]["volumes"]}
    assert {"media", "signing-key", "restored-key"} <= mounted
    # Passwords come back as they were: the Job that sets them runs again.
    assert named(tree, "Job", "roles").name != named(stopped(fleet), "Job", "roles").name
    suspended = {one.name: one.spec["suspend"] for one in tree.of_kind("CronJob") if one.target == PROD}
    assert all(suspended.values()), suspended


def test_a_claim_that_nobody_mounts_comes_last(fleet: Fleet) -> None:
    """With WaitForFirstConsumer it stays Pending: nothing may wait behind it."""
    tree = stopped(fleet)
    claims = [one for one in tree.of_kind("PersistentVolumeClaim") if one.target == PROD]
    assert claims and {one.wave for one in claims} == {7}


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_parses(script: Path) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_tool_is_in_the_image() -> None:
    """What scripts start beside the shell's own and PostgreSQL's is installed by the Dockerfile."""
    dockerfile = (TOP / "images/backup/Dockerfile").read_text()
    told = "\n".join(path.read_text() for path in SCRIPTS.glob("*.sh"))
    for tool in ("age", "pgbackrest", "rclone", "restic"):
        assert re.search(rf"(?m)(^|[ (|]){tool} ", told) and f" {tool}" in dockerfile
