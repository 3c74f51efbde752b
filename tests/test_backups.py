"""Backups as they compile; that they work, tests/services/drills proves with real programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleets import PAIR, TOP, Repository, with_standby
from matrixfleet.checks import Tree, run
from matrixfleet.checks.tree import Entry
from matrixfleet.cli.compile import read_fleet
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet
from matrixfleet.model.choices import Archiver, Backup, RestoreFrom
from matrixfleet.plan import plan_of
from test_base import put
from test_plan import EXTERNAL, PROD, changed, drawn

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
        assert f"\nFROM {images.postgresql.reference}\n" in dockerfile
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


@pytest.mark.parametrize("kind", ["cnpg", "external"])
def test_a_dump_is_restored_by_the_job_on_servers_of_others(fleet: Fleet, kind: str) -> None:
    """Which has no container beside them: it logs in as the database's owner."""
    database = EXTERNAL if kind == "external" else {"kind": kind}
    said = {"name": "again", "source": "dump"}
    base = changed(fleet, (("matrix", "database"), {**fleet.raw(PROD, ("matrix", "database")), **database}))
    tree = stopped(base, backup={**BACKUP, "kind": "dumps"}, restore=said)
    job = named(tree, "Job", "restore").spec["template"]["spec"]["containers"][0]
    assert environment(job)["RESTORE_DATABASE"] == "yes"
    assert not [one for one in tree.of_kind("StatefulSet") if one.name.endswith("-postgresql")]


def test_a_dump_of_an_older_postgresql_goes_aside(tmp_path: Path) -> None:
    """The data directory of another major version is kept, and only a restore puts it aside."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/initdb"
    program.write_text(
        '#!/bin/sh\ncase $1 in --version) echo "initdb (PostgreSQL) 18.6 (Debian 18.6-1)";;\n'
        '*) d=${1#--pgdata=}; mkdir "$d"; echo 18 >"$d/PG_VERSION";; esac\n'
    )
    program.chmod(0o755)
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("17\n")

    def started(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", TOP / "components/postgresql/initdb.sh", data, *words]
        environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = started()
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "data directory is of PostgreSQL 17 and this is 18, expected 17; see docs/restore.md,"
        ' "PostgreSQL\'s next major version"',
    )
    done = started("to-18")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "before-to-18/PG_VERSION").read_text() == "17\n"
    assert (data / "PG_VERSION").read_text() == "18\n"
    assert "data directory of PostgreSQL 18 is there" in started("to-18").stdout
    (data / "PG_VERSION").write_text("17\n")
    done = started("to-18")
    assert done.returncode == 1 and "give this restore another name" in done.stderr
    assert (data / "PG_VERSION").read_text() == "17\n"


@pytest.fixture
def pair(tmp_path: Path) -> Repository:
    """A homeserver that eu1 and eu2 have."""
    repository = Repository(tmp_path)
    with_standby(repository)
    return repository


def both(repository: Repository) -> tuple[Fleet, Tree]:
    fleet = read_fleet(repository.top)
    texts = drawn(fleet, "eu1.pair").texts | drawn(fleet, "eu2.pair-standby").texts
    return fleet, Tree.of(texts, fleet)


@pytest.mark.parametrize(("active", "standby"), [("eu1", "eu2"), ("eu2", "eu1")])
def test_a_standby_follows_and_runs_no_synapse(pair: Repository, active: str, standby: str) -> None:
    pair.edit(PAIR, "active: eu1", f"active: {active}")
    _, tree = both(pair)
    targets = {"eu1": "eu1.pair", "eu2": "eu2.pair-standby"}
    assert [str(finding) for finding in run(tree, whole_fleet=True) if "pair" in str(finding)] == []
    server = {one.cluster: one for one in tree.of_kind("Cluster") if "pair" in one.target}
    assert "replica" not in server[active].spec
    assert server[standby].spec["replica"] == {"enabled": True, "source": active}
    (origin,) = server[standby].spec["externalClusters"]
    assert origin["plugin"]["parameters"] == {
        "barmanObjectName": server[standby].name,
        "serverName": server[active].name,
    }
    stores = {one.spec["configuration"]["destinationPath"] for one in tree.of_kind("ObjectStore")}
    assert len(stores) == 1, "one bucket, a folder each by the servers' names"
    for place, runs in ((active, 1), (standby, 0)):
        mine = [one for one in tree.objects if one.target == targets[place]]
        (main,) = [one for one in mine if one.kind == "Deployment" and one.name.endswith("-synapse")]
        assert main.spec["replicas"] == runs
        suspended = {
            one.labels["app.kubernetes.io/component"]: one.spec["suspend"] for one in mine if one.kind == "CronJob"
        }
        assert suspended == dict.fromkeys(("dump", "verify", "drill", "media-copy"), not runs)
        assert len([one for one in mine if one.kind == "Job" and "-roles-" in one.name]) == runs


def test_a_claim_that_nobody_mounts_is_waited_for_by_nobody(pair: Repository) -> None:
    """It stays Pending, for which Argo CD would take the standby for Progressing as long as it is one."""
    _, tree = both(pair)
    ignored = "argocd.argoproj.io/ignore-healthcheck"
    found = {one.target: one.annotations.get(ignored) for one in tree.of_kind("PersistentVolumeClaim")}
    assert found == {"eu1.pair": None, "eu2.pair-standby": "true"}


def test_a_standby_is_given_what_is_the_homeservers(pair: Repository) -> None:
    """Another signing key would be another server."""
    fleet, _ = both(pair)
    for name, kind in (("eu1.pair", {"random", "signing-key"}), ("eu2.pair-standby", {"given"})):
        secrets = {one.purpose: {how for _, how in one.keys} for one in plan_of(fleet, name).secrets}
        for purpose in ("synapse", "signing-key", "backup-key"):
            assert secrets[purpose] <= kind, (name, purpose)
        assert secrets["database"] > {"random"}


def test_one_server_name_is_active_in_one_place(pair: Repository) -> None:
    """Also where somebody changed what is compiled."""
    _, tree = both(pair)
    (main,) = [path for path in tree.entries if path.endswith("deployment-pair-standby-synapse.yaml")]
    awake = put(main, "spec", "replicas", to=1)(tree)
    found = [str(one) for one in run(awake, whole_fleet=True) if one.rule == "isolation"]
    assert any("server_name pair.example.com is eu1.pair's already" in one for one in found), found


def test_pages_of_a_homeserver_on_two_clusters(pair: Repository) -> None:
    """What they have deleted is never what is active."""
    for active, other, standby in (("eu1", "eu2", "pair-standby"), ("eu2", "eu1", "pair")):
        pair.write(PAIR, pair.read(PAIR).replace(f"active: {other}", f"active: {active}"))
        fleet = read_fleet(pair.top)
        for name in ("eu1.pair", "eu2.pair-standby"):
            page = draw_target(fleet, name, TOP)["docs/recovery.md"]
            assert f"`active: {other}` in that class" in page
            assert re.findall("delete cluster.*", page) == [f"delete cluster.postgresql.cnpg.io {standby}-postgresql"]


def test_a_bucket_that_nobody_can_empty(fleet: Fleet) -> None:
    """verify looks whether it keeps versions; the tenant's keys reach none."""
    locked = {**BACKUP, "lock": 14}
    tree = backed_up(fleet, backup=locked)
    verify = named(tree, "CronJob", "verify").spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert "lock" in verify["command"]
    page = draw_target(changed(fleet, (("matrix", "backup"), locked)), PROD, TOP)["docs/recovery.md"]
    assert '"Mode": "COMPLIANCE", "Days": 14' in page and "s3:GetBucketVersioning" in page
    assert "ObjectVersion" not in page and "Bypass" not in page


def test_media_of_a_bucket_is_copied(tree: Tree, fleet: Fleet) -> None:
    for name in fleet.names:
        tenant = fleet.target(name).tenant
        copies = [one for one in tree.of_kind("CronJob") if one.target == name and one.name.endswith("-media-copy")]
        assert len(copies) == bool(tenant and tenant.media.s3 and tenant.backup.bucket), name
        for one in copies:
            container = one.spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
            said = environment(container)
            assert said["RCLONE_CONFIG_COPY_TYPE"] == "crypt"
            assert said["RCLONE_CONFIG_COPY_REMOTE"].startswith(said["PLACE_FIRST"] + "/")
            assert said["RCLONE_CONFIG_MEDIA_SHARED_CREDENTIALS_FILE"] == "/secrets/media/credentials"


def test_a_tenant_of_the_shared_server_comes_back_alone(fleet: Fleet) -> None:
    """Its page restores the platform's server beside, and of that this tenant's database alone."""
    archive = {"bucket": {"endpoint": "https://s3.example.net", "region": "one", "bucket": "platform"}}
    fleet = changed(
        fleet,
        (("platform", "postgresql"), {**fleet.raw("ap1.platform", ("platform", "postgresql")), "archive": archive}),
        (("cluster", "operators"), {"cloudnative_pg": {"version": "1.30.0", "barman_cloud": True}}),
        (("matrix", "backup"), {**BACKUP, "kind": "dumps"}),
        name="ap1.tenant-a",
    )
    page = draw_target(fleet, "ap1.tenant-a", TOP)["docs/recovery.md"]
    for told in (
        "kubectl -n fleet get -o json secret/platform-backup-1 objectstore/platform-postgresql",
        "createdb --owner=synapse_tenant_a --template=template0 --encoding=UTF8 --locale=C synapse_tenant_a_restored",
        "ALTER DATABASE synapse_tenant_a_restored RENAME TO synapse_tenant_a;",
        "        owner: platform\n",
    ):
        assert told in page, told
    tree = drawn(fleet, "ap1.tenant-a")
    (store,) = tree.of_kind("ObjectStore")
    assert store.spec["configuration"]["destinationPath"] == "s3://platform/platform-ap1"
    (server,) = [one for one in tree.of_kind("Cluster") if one.target == "ap1.platform"]
    assert server.spec["postgresql"]["parameters"]["archive_timeout"] == "60s"
    assert server.spec["plugins"][0]["parameters"] == {"barmanObjectName": "platform-postgresql"}
    assert [one for one in run(tree) if "platform" in str(one) and one.rule != "targets"] == []


@pytest.mark.parametrize("source", RestoreFrom)
def test_every_tenant_with_backups_can_be_restored(fleet: Fleet, source: RestoreFrom) -> None:
    """By what compiles and what the rules admit: nobody finds out in the night."""
    tried = 0
    for name in fleet.names:
        tenant = fleet.target(name).tenant
        own = tenant and tenant.database.kind == "statefulset"
        if not tenant or tenant.backup.kind is Backup.NONE or not (own or source is RestoreFrom.DUMP):
            continue
        said = {"name": "again", "source": str(source)}
        tree = drawn(changed(fleet, (("matrix", "state"), "stopped"), (("matrix", "restore"), said), name=name), name)
        found = [str(one) for one in run(tree) if one.rule not in ("targets", "yamllint")]
        assert found == [], name
        tried += 1
    assert tried


def test_a_restore_along_another_timeline(fleet: Fleet) -> None:
    said = {"name": "again", "until": "2026-03-01T15:05:00Z"}
    for more, asked in (({}, None), ({"timeline": 2}, "2")):
        pod = named(stopped(fleet, restore=said | more), "StatefulSet", "postgresql").spec["template"]["spec"]
        restore = next(one for one in pod["initContainers"] if one["name"] == "restore")
        assert environment(restore).get("TIMELINE") == asked


@pytest.mark.skipif(
    not (shutil.which("restic") and shutil.which("rclone")), reason="restic and rclone are not installed"
)
def test_a_repository_whose_making_was_killed(tmp_path: Path) -> None:
    """It is made anew; one that has something in it is not."""
    (tmp_path / "passphrase").write_text("secret")
    environment = {
        "PATH": os.environ["PATH"],
        "PLACE_FIRST": f":local:{tmp_path}/bucket",
        "RCLONE_CONFIG": "/dev/null",
        "RESTIC_PASSWORD_FILE": str(tmp_path / "passphrase"),
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }

    def made(more: str = "") -> subprocess.CompletedProcess[str]:
        script = f". {SCRIPTS}/lib.sh; own_repository media; restic cat config >/dev/null; {more}"
        command = ["bash", "-c", script]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert made().returncode == 0
    config = tmp_path / "bucket/media/config"
    config.unlink()
    done = made("echo kept | restic backup --stdin --stdin-filename one")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "bucket/media/keys").iterdir())) == 1
    config.unlink()
    done = made()
    assert done.returncode == 1 and "there is no config beside what is stored" in done.stderr
    assert len(list((tmp_path / "bucket/media/keys").iterdir())) == 1, "no key of it is removed"


BASE = """
arrives() { true; }
backups() { cat backups; }
base_backup() { true; }
"""


@pytest.mark.parametrize(
    ("backups", "restored", "said"),
    [
        ({}, 0, "a full backup is done"),
        ({"full": 2}, 0, ""),
        ({"full": 25}, 0, "a diff backup is done"),
        ({"full": 7 * 24 + 1, "diff": 1}, 0, "a full backup is done"),
        ({"full": 2}, 1, "a full backup is done"),
        ({"full": 3, "diff": 1}, 2, "a full backup is done"),
        ({"full": 2}, 3, ""),
    ],
    ids=[
        "none",
        "recent",
        "a day old",
        "a week old",
        "restored since",
        "a diff of another timeline",
        "restored before",
    ],
)
def test_when_a_base_backup_is_made(tmp_path: Path, backups: dict[str, int], restored: int, said: str) -> None:
    """Hours since each, and since a restore."""
    now = int(time.time())
    (tmp_path / "archiver.sh").write_text(BASE)
    (tmp_path / "lib.sh").write_text((SCRIPTS / "lib.sh").read_text())
    (tmp_path / "backups").write_text("".join(f"{now - hours * 3600} {kind} x\n" for kind, hours in backups.items()))
    (tmp_path / "pg_isready").write_text("#!/bin/sh\n")
    (tmp_path / "pg_isready").chmod(0o755)
    if restored:
        (tmp_path / "restored-once").touch()
        os.utime(tmp_path / "restored-once", (now - restored * 3600,) * 2)
    script = (SCRIPTS / "base.sh").read_text()
    for folder in ("/etc/backup", "/var/lib/postgresql"):
        script = script.replace(folder, str(tmp_path))
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "INTERVAL": "86400"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout and bool(said) == bool(done.stdout)


def test_a_claim_that_nobody_mounts_comes_last(fleet: Fleet) -> None:
    """With WaitForFirstConsumer it stays Pending: nothing may wait behind it."""
    tree = stopped(fleet)
    claims = [one for one in tree.of_kind("PersistentVolumeClaim") if one.target == PROD]
    assert claims and {one.wave for one in claims} == {7}


RESTORES = [None, *RestoreFrom]


@pytest.mark.parametrize("archiver", Archiver)
@pytest.mark.parametrize("source", RESTORES)
def test_every_rule_holds_with_an_archive(fleet: Fleet, archiver: Archiver, source: RestoreFrom | None) -> None:
    said = {"backup": {**BACKUP, "archiver": str(archiver)}}
    restore = {"restore": {"name": "again", "source": str(source)}, "state": "stopped"} if source else {}
    tree = backed_up(fleet, **said, **restore)
    assert [str(finding) for finding in run(tree, whole_fleet=False)] == []


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env", [])}


WAL_G = {
    "WALG_S3_PREFIX": "s3://matrix-backups/example.com/wal-g",
    "AWS_REGION": "nbg",
    "AWS_ENDPOINT": "https://s3.nbg.example.net:443",
    "AWS_S3_FORCE_PATH_STYLE": "true",
    "AWS_SHARED_CREDENTIALS_FILE": "/secrets/backup/credentials",
    "WALG_LIBSODIUM_KEY_PATH": "/secrets/backup-key/passphrase",
    "WALG_LIBSODIUM_KEY_TRANSFORM": "hex",
    "WALG_COMPRESSION_METHOD": "zstd",
    "WALG_UPLOAD_CONCURRENCY": "2",
    "WALG_DOWNLOAD_CONCURRENCY": "2",
    "WALG_DELTA_MAX_STEPS": "6",
    "WALG_DELTA_ORIGIN": "LATEST_FULL",
    "WALG_PREVENT_WAL_OVERWRITE": "true",
    "KEEP_FULL": "3",
}
"""As WAL-G's documentation has it."""


def with_wal_g(fleet: Fleet, **said: object) -> Tree:
    return backed_up(fleet, backup={**BACKUP, "archiver": str(Archiver.WAL_G), **said})


def test_wal_g_is_told_all_by_its_environment(fleet: Fleet) -> None:
    """Whatever calls it: PostgreSQL, what stands before and beside it, what looks after it; and keys are files."""
    tree = with_wal_g(fleet)
    pod = named(tree, "StatefulSet", "postgresql").spec["template"]["spec"]
    crons = [
        named(tree, "CronJob", name).spec["jobTemplate"]["spec"]["template"]["spec"] for name in ("verify", "drill")
    ]
    found = {
        one["name"]: one for part in (pod, *crons) for one in (*part.get("initContainers", []), *part["containers"])
    }
    for name in ("archive", "postgresql", "backup", "verify", "drill"):
        told = environment(found[name])
        assert {key: told.get(key) for key in WAL_G} == WAL_G, name
        mounted = {one["mountPath"] for one in found[name]["volumeMounts"]}
        assert {"/secrets/backup", "/secrets/backup-key"} <= mounted, name
    assert "WALG_S3_PREFIX" not in environment(found["reconciler"]) | environment(found["initdb"])


def test_wal_g_archives(fleet: Fleet) -> None:
    tree = with_wal_g(fleet)
    conf = named(tree, "ConfigMap", "matrix-prod-postgresql").doc["data"]["postgresql.conf"]
    assert "archive_command = 'timeout 60 wal-g wal-push \"%p\"'" in conf
    assert "archive_timeout = '60s'" in conf
    for config in ("archive", "dump"):
        files = named(tree, "ConfigMap", f"matrix-prod-{config}").doc["data"]
        assert files["archiver.sh"] == (SCRIPTS / "wal-g.sh").read_text()
        assert "pgbackrest.conf" not in files and not any(
            "pgbackrest" in text for text in files.values() if text != files["lib.sh"]
        )


def test_wal_g_with_an_authority_of_ones_own_and_without_an_endpoint(fleet: Fleet) -> None:
    private = {**BACKUP["bucket"], "ca": EXTERNAL["external"]["ca"]}
    pod = named(with_wal_g(fleet, bucket=private), "StatefulSet", "postgresql").spec["template"]["spec"]
    assert environment(pod["containers"][0])["WALG_S3_CA_CERT_FILE"] == "/etc/backup/authorities.crt"
    amazon = {"region": "eu-central-1", "bucket": "matrix"}
    pod = named(with_wal_g(fleet, bucket=amazon), "StatefulSet", "postgresql").spec["template"]["spec"]
    assert (
        not {"AWS_ENDPOINT", "AWS_S3_FORCE_PATH_STYLE", "WALG_S3_CA_CERT_FILE"}
        & environment(pod["containers"][0]).keys()
    )


def test_barman_cloud_with_an_authority_of_ones_own(fleet: Fleet) -> None:
    """The operator reads it from a Secret: the one with the keys, which a person gives."""
    authority = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bucket = {**BACKUP["bucket"], "endpoint": "https://s3.example.net", "ca": authority}
    name = "eu1.matrix-ha"
    mine = changed(fleet, (("matrix", "backup", "bucket"), bucket), name=name)
    tree = drawn(mine, name)
    (store,) = tree.of_kind("ObjectStore")
    assert store.spec["configuration"]["endpointCA"] == {"name": "matrix-ha-backup-1", "key": "ca.crt"}
    given = {secret.name: dict(secret.keys) for secret in plan_of(mine, name).secrets if secret.given}
    assert given["matrix-ha-backup-1"]["ca.crt"] == "given"
    (before,) = drawn(fleet, name).of_kind("ObjectStore")
    assert "endpointCA" not in before.spec["configuration"]


def test_as_many_full_backups_are_kept_as_the_days_take(fleet: Fleet) -> None:
    for days, count in ((7, "2"), (8, "3"), (14, "3"), (30, "6")):
        pod = named(with_wal_g(fleet, keep={"archive": days}), "StatefulSet", "postgresql").spec["template"]["spec"]
        assert environment(pod["containers"][0])["KEEP_FULL"] == count, days


def test_both_archivers_have_the_same_duties() -> None:
    """What the scripts call, each of them has."""
    duties = {"archived", "arrives", "backups", "base_backup", "whole", "fetched"}
    for one in ("pgbackrest.sh", "wal-g.sh"):
        assert set(re.findall(r"(?m)^(\w+)\(\) \{", (SCRIPTS / one).read_text())) - {"status"} == duties, one
    callers = "".join(
        (SCRIPTS / f"{name}.sh").read_text() for name in ("archive", "base", "drill", "restore_archive", "verify")
    )
    assert all(re.search(rf"\b{duty}\b", callers) for duty in duties)
    assert not re.search("pgbackrest|wal-g", callers)


SHELF = """#!/bin/sh
# A program that has what a test put on its shelf.
echo "$*" >>"$SHELF/calls"
[ -e "$SHELF/$1" ] && cat "$SHELF/$1" || exit "$(cat "$SHELF/exit" 2>/dev/null || echo 0)"
"""


class Shelf:
    """A program's place, with what it answers to each of its commands; and the scripts run by it."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.bin = folder / "shelf", folder / "bin"
        for one in (self.folder, self.bin, folder / "data"):
            one.mkdir()
        (self.bin / program).write_text(SHELF)
        (self.bin / program).chmod(0o755)
        script = (SCRIPTS / ("wal-g.sh" if program == "wal-g" else "pgbackrest.sh")).read_text()
        self.data = folder / "data"
        (folder / "archiver.sh").write_text(script.replace("/var/lib/postgresql/data", str(self.data)))
        self.script = f". {SCRIPTS}/lib.sh; . {folder}/archiver.sh; "
        (folder / "conf").write_text("there already")
        self.environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "SHELF": str(self.folder),
            "KEEP_FULL": "3",
            "PGBACKREST_CONFIG": str(folder / "conf"),
        }

    def answers(self, command: str, text: str) -> None:
        (self.folder / command).write_text(text)

    def fails(self, code: int) -> None:
        (self.folder / "exit").write_text(str(code))

    def does(self, text: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-c", self.script + text]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


LIST = json.dumps(
    [
        {"backup_name": name, "time": time, "wal_file_name": name[5:29], "storage_name": "default"}
        for name, time in (
            ("base_000000010000000000000002", "2026-03-01T02:00:00.5Z"),
            ("base_000000010000000000000009_D_000000010000000000000002", "2026-03-02T02:00:00Z"),
        )
    ]
)


def test_wal_g_is_asked_for_the_backup_before_a_moment(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "wal-g")
    shelf.answers("backup-list", LIST)
    (shelf.data / "postgresql.auto.conf").write_text("work_mem = '4MB'\nrecovery_target_time = '2020-01-01'\n")
    done = shelf.does('fetched "2026-03-01T14:05:00Z"')
    assert done.returncode == 0, done.stderr
    assert f"backup-fetch {shelf.data} base_000000010000000000000002" in shelf.calls
    conf = (shelf.data / "postgresql.auto.conf").read_text().splitlines()
    assert conf[0] == "work_mem = '4MB'" and conf[2:] == [
        "recovery_target_time = '2026-03-01 14:05:00+00'",
        "recovery_target_action = 'promote'",
    ]
    assert (shelf.data / "recovery.signal").exists()
    done = shelf.does('fetched "2026-02-01T00:00:00Z"')
    assert done.returncode == 1 and "restore: there is no base backup before 2026-02-01T00:00:00Z" in done.stderr
    assert shelf.does('fetched ""').returncode == 0 and shelf.calls[-1] == f"backup-fetch {shelf.data} LATEST"
    assert shelf.does('TIMELINE=2 fetched "2026-03-01T14:05:00Z"').returncode == 0
    assert "recovery_target_timeline = '2'" in (shelf.data / "postgresql.auto.conf").read_text()


def test_pgbackrest_is_asked_for_a_moment_and_a_timeline(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "pgbackrest")
    moment = "--stanza=synapse --type=time --target=2026-03-01 14:05:00+00 --target-action=promote"
    for before, asked in (("", moment), ("TIMELINE=2 ", f"{moment} --target-timeline=2")):
        done = shelf.does(f'{before}fetched "2026-03-01T14:05:00Z"')
        assert done.returncode == 0 and shelf.calls[-1] == f"{asked} restore", done.stderr
    assert shelf.does('fetched ""').returncode == 0 and shelf.calls[-1] == "--stanza=synapse restore"


@pytest.mark.parametrize(("code", "end"), [(0, 0), (74, 1), (1, 255), (137, 255)])
def test_a_bucket_that_is_away_is_no_end_of_the_log(tmp_path: Path, code: int, end: int) -> None:
    """PostgreSQL takes 1 to 125 for a segment that is not there, and starts without it; above, it stops."""
    shelf = Shelf(tmp_path, "wal-g")
    assert shelf.does('fetched ""').returncode == 0
    (line,) = [
        one for one in (shelf.data / "postgresql.auto.conf").read_text().splitlines() if "restore_command" in one
    ]
    command = line.partition(" = ")[2][1:-1].replace("%f", "0" * 24).replace("%p", "pg_wal/RECOVERYXLOG")
    shelf.fails(code)
    done = subprocess.run(["sh", "-c", command], check=False, env=shelf.environment)
    assert done.returncode == end
    assert shelf.calls[-1] == f"wal-fetch {'0' * 24} pg_wal/RECOVERYXLOG"


@pytest.mark.parametrize(("status", "code"), [("OK", 0), ("WARNING", 0), ("FAILURE", 1)])
def test_wal_g_verifies_after_each_backup(tmp_path: Path, status: str, code: int) -> None:
    shelf = Shelf(tmp_path, "wal-g")
    shelf.answers("wal-verify", json.dumps({"integrity": {"status": status}, "timeline": {"status": "OK"}}))
    done = shelf.does("base_backup full")
    assert done.returncode == code, done.stderr
    assert shelf.calls == [
        f"backup-push --full {shelf.data}",
        "delete retain FULL 3 --confirm",
        "wal-verify integrity timeline --json",
    ]
    assert ("base: the archive is not whole" in done.stderr) == bool(code)


def test_a_gap_in_what_wal_g_stores_is_told(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "wal-g")
    for status, code in (("OK", 0), ("LOST_SEGMENTS", 1)):
        shelf.answers("wal-show", json.dumps([{"start_segment": "0" * 24, "status": status}]))
        assert shelf.does("if whole; then exit 0; else exit 1; fi").returncode == code
    (shelf.folder / "wal-show").unlink()
    shelf.fails(1)
    assert shelf.does("if whole; then exit 0; else exit 1; fi").returncode == 1


INFO = """stanza: synapse
    status: ok
    cipher: aes-256-cbc

    db (current)
        wal archive min/max (15): 000000010000000000000002/000000010000000000000009

        full backup: 20260301-020000F
            timestamp start/stop: 2026-03-01 02:00:00+00 / 2026-03-01 02:00:05+00
            wal start/stop: 000000010000000000000002 / 000000010000000000000002

        diff backup: 20260301-020000F_20260302-020000D
            timestamp start/stop: 2026-03-02 02:00:00 / 2026-03-02 02:00:07
            backup reference list: 20260301-020000F
"""


@pytest.mark.parametrize(("program", "command", "answer"), [("wal-g", "backup-list", LIST), ("pgbackrest", "", INFO)])
def test_backups_are_listed_alike(tmp_path: Path, program: str, command: str, answer: str) -> None:
    shelf = Shelf(tmp_path, program)
    shelf.answers(command or "--stanza=synapse", answer)
    done = shelf.does("TZ=UTC backups")
    listed = [line.split() for line in done.stdout.splitlines()]
    assert [kind for _, kind, _ in listed] == ["full", "diff"], done.stderr
    assert [int(time) // 60 for time, _, _ in listed] == [1772330400 // 60, 1772416800 // 60]


EMPTY = [
    ("wal-g", "wal-show", "[]", 0, ""),
    ("wal-g", "wal-show", '[{"id":1,"start_segment":"000000010000000000000002"}]', 1, "Restore it"),
    ("wal-g", "", "", 1, "archive: the bucket does not answer"),
    ("pgbackrest", "--stanza=synapse", "stanza: synapse\n    status: error (missing stanza path)\n", 0, ""),
    ("pgbackrest", "--stanza=synapse", "stanza: synapse\n    status: error (no valid backups)\n", 1, "Restore it"),
    ("pgbackrest", "--stanza=synapse", INFO, 1, "Restore it"),
    (
        "pgbackrest",
        "--stanza=synapse",
        "stanza: synapse\n    status: error (other)\n [HostConnectError]",
        1,
        "HostConnect",
    ),
]


@pytest.mark.parametrize(("program", "command", "answer", "code", "says"), EMPTY)
def test_an_empty_volume_begins_no_server_where_an_archive_is(
    tmp_path: Path, program: str, command: str, answer: str, code: int, says: str
) -> None:
    shelf = Shelf(tmp_path, program)
    if command:
        shelf.answers(command, answer)
    else:
        shelf.fails(1)
    script = (SCRIPTS / "archive.sh").read_text().replace("/var/lib/postgresql/data", str(shelf.data))
    script = "\n".join(line for line in script.splitlines() if not line.startswith(". "))
    done = shelf.does(script)
    assert done.returncode == code and says in done.stderr, done.stderr
    # A server that is there, and a restore, ask nobody.
    shelf.environment["RESTORE"] = "again"
    assert shelf.does(script).returncode == 0
    del shelf.environment["RESTORE"]
    (shelf.data / "PG_VERSION").write_text("18\n")
    assert shelf.does(script).returncode == 0


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_parses(script: Path) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_tool_is_in_the_image() -> None:
    """What scripts start beside the shell's own and PostgreSQL's is installed by the Dockerfile."""
    dockerfile = (TOP / "images/backup/Dockerfile").read_text()
    told = "\n".join(path.read_text() for path in SCRIPTS.glob("*.sh"))
    for tool in ("age", "pgbackrest", "rclone", "restic", "wal-g"):
        assert re.search(rf"(?m)(^|[ (|]){tool} ", told) and re.search(rf"[ /]{tool}", dockerfile), tool


def test_a_buckets_policy_is_of_the_tenants_folder_alone(fleet: Fleet) -> None:
    """Barman asks whether the bucket is there, which S3 answers to who may list it without a prefix."""
    for target, folder, listing in (
        ("us1.newsroom", "newsroom.example.org", "StringLike"),
        ("eu1.matrix-ha", "group.example.com", "StringLikeIfExists"),
    ):
        page = drawn(fleet, target).texts[f"{target.replace('.', '/')}/docs/recovery.md"]
        first, second = (json.loads(line) for line in page.splitlines() if line.startswith('    {"Version"'))
        for policy, how in ((first, listing), (second, "StringLike")):
            objects, names = policy["Statement"]
            assert objects["Resource"].endswith(f"/{folder}/*")
            assert names["Condition"] == {how: {"s3:prefix": f"{folder}/*"}}
        assert "s3:DeleteObject" not in second["Statement"][0]["Action"]
