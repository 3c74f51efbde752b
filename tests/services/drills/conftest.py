"""Drills: a tenant's backups are made by its compiled Pods, then it is broken, and brought back.

Fixtures, beside those of ../conftest.py:
    store     the first region's S3 server, which lets the tenant at its own part alone (../s3.py)
    second_store    the second region's, with the keys
    people    age identities of two people who hold the tenant's keys
    tenant    the backed up tenant: a Backed, with a Homeserver (../harness.py)
"""

import contextlib
import copy
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import harness
import pytest
from harness import secret
from s3 import credentials, identity, served

sys.path.insert(0, str(harness.TOP / "tests"))

from fleetnode import overlays
from fleetnode.tenant import Tenant, boot
from fleets import Repository, with_another_cluster
from podrunner.objects import CONTROLLERS
from podrunner.objects import identity as identity_of

TENANT = "matrix-prod"
CLASS = "inventory/classes/feature/backups.yml"
OWNER, KEYS, SECOND = ("owner", "all-of-it"), ("backup", "its-own-part"), ("keys", "another-part")
FIRST_BUCKET, SECOND_BUCKET = "matrix-backups", "matrix-keys"
LOCKED, MEDIA, OF_MEDIA = "matrix-locked", "matrix-media", ("media", "no-backups")
"""A bucket with object lock; one with media, and the keys to that."""
# A backup every few seconds instead of days, so that a drill need not wait; nothing else differs.
QUICK = (
    overlays.variable("synapse", "INTERVAL", "1", "a day is too long for a drill"),
    overlays.variable("synapse", "PAUSE", "5", "a day is too long for a drill"),
    overlays.variable("postgresql", "INTERVAL", "20", "a day is too long for a drill"),
    overlays.variable("postgresql", "PAUSE", "5", "a day is too long for a drill"),
    overlays.replaced(
        "postgresql", "postgresql.conf", "archive_timeout = '60s'", "archive_timeout = '5s'", "a minute is too long"
    ),
)
TABLE = []
"""A line a drill: name, seconds of data lost at most, seconds until it was back."""


@dataclass
class Backed:
    """A tenant with backups, and the repository that its changes are made in."""

    node: object
    world: object
    store: object
    repository: Repository
    home: object = None
    changes: int = 0
    cluster: str = "eu1"

    @property
    def file(self):
        """The tenant's file."""
        return f"inventory/targets/{self.cluster}/{TENANT}.yml"

    def moved(self, cluster):
        """The tenant's file is in another cluster's folder from now on. Both clusters are this node."""
        text = self.repository.read(self.file)
        (self.repository.top / self.file).unlink()
        self.cluster = cluster
        self.repository.write(self.file, text)

    def compiled(self, **matrix):
        """The tenant's compiled folder after a change of its file: keys of `matrix`, as YAML."""
        before = text = self.repository.read(self.file)
        for key, value in matrix.items():
            # In the place of what the file says of it.
            text = re.sub(rf"^    {key}:.*\n(      .*\n)*", "", text, flags=re.MULTILINE) + f"    {key}: {value}\n"
        self.repository.write(self.file, text)
        command = [harness.TOP / ".venv/bin/matrix-fleet", "compile", "--target", f"{self.cluster}.{TENANT}"]
        environment = {**os.environ, "PYTHONPATH": str(harness.TOP / "lib")}
        done = subprocess.run(
            command, cwd=self.repository.top, env=environment, capture_output=True, text=True, check=False
        )
        self.repository.write(self.file, before)
        assert done.returncode == 0, done.stdout + done.stderr
        self.changes += 1
        folder = self.repository.top / f"change-{self.changes}/{self.cluster}/{TENANT}"
        shutil.copytree(self.repository.top / f"compiled/{self.cluster}/{TENANT}", folder)
        return folder

    @property
    def overlays(self):
        trusted = overlays.trusted(self.world.pem, "the S3 server's is the world's"), overlays.trusting(self.world.pem)
        return (*overlays.BACKED_UP, *trusted, *QUICK)

    def synced(self, folder, timeout=180):
        """Have the tenant be what a folder says, as Argo CD does: in the order of the waves, and what is no longer
        there goes."""
        made = Tenant(folder, self.overlays)
        wanted = {identity_of(one) for one in made.objects}
        for kind in CONTROLLERS:
            for one in list(self.node.objects.of_kind(kind, namespace=made.namespace)):
                if identity_of(one) not in wanted:
                    self.node.remove(*identity_of(one))
        boot(self.node, made, self.world, harness.VENV / "bin/python", timeout=timeout)
        self.home.tenant = made

    def runs(self, folder):
        """Synced, and Synapse answers through its router, which has seen that it is back."""
        self.synced(folder)
        versions = f"{self.home.url}/_matrix/client/versions"
        harness.eventually(lambda: self.home.http().get(versions, timeout=5).status_code == 200, 60)

    def lost(self, *claims):
        """Every Pod of the tenant, and these of its volumes, are gone."""
        for kind in CONTROLLERS:
            for one in list(self.node.objects.of_kind(kind, namespace=self.namespace)):
                self.node.remove(*identity_of(one))
        for claim in claims:
            shutil.rmtree(self.claim(claim))

    def claim(self, name):
        """A volume's folder on this machine."""
        return self.node.volumes.directory / "claims" / self.namespace / name

    def has(self, name):
        """Whether anything is on a volume."""
        return self.claim(name).exists()

    @property
    def namespace(self):
        return self.home.namespace

    def begun(self, name, scratch=None):
        """Start a CronJob's Job now: its Pod, and what removes it.

        scratch: another size of the room that it works in
        """
        crons = [one for one in self.home.tenant.objects if one["kind"] == "CronJob"]
        (cron,) = [one for one in crons if one["metadata"]["name"].endswith(f"-{name}")]
        spec = copy.deepcopy(cron["spec"]["jobTemplate"]["spec"])
        for volume in spec["template"]["spec"]["volumes"] if scratch else ():
            if volume["name"] == "scratch":
                # The runner limits what is in memory alone.
                del volume["ephemeral"]
                volume["emptyDir"] = {"medium": "Memory", "sizeLimit": scratch}
        where = {"namespace": self.namespace, "name": f"{cron['metadata']['name']}-{int(time.time() * 10)}"}
        (run,) = self.node.apply([{"kind": "Job", "metadata": where, "spec": spec}])
        return run, lambda: self.node.remove("Job", self.namespace, where["name"])

    def job(self, name, seconds=120, **more):
        """Run a CronJob now; its phase and its log."""
        run, finish = self.begun(name, **more)
        ends = time.monotonic() + seconds
        while run.phase not in ("Succeeded", "Failed"):
            assert time.monotonic() < ends, run.report()
            time.sleep(0.2)
        log, phase = run.main[0].log.read_text(), run.phase
        finish()
        return phase, log

    def log(self, component, container):
        return self.home.pod(component).container(container).log.read_text()

    def sql(self, query, database="synapse"):
        """An answer of the tenant's own server, by its socket."""
        output = Path(self.node.directory, "sql.txt")
        command = ["psql", "-XAtq", "-h", "/var/run/postgresql", "-U", "postgres", "-d", database, "-c", query]
        code = self.home.pod("postgresql").container("postgresql").execute(command, 30, output)
        assert code == 0, output.read_text()
        return output.read_text().strip()


@pytest.fixture(scope="session")
def store(node, world, tmp_path_factory):
    server_name = "example.com"
    everything = ("Admin", "Read", "Write", "List")

    def part(*buckets, folder=server_name):
        return [f"{action}:{bucket}/{folder}/*" for bucket in buckets for action in everything[1:]]

    identities = [
        identity(OWNER, everything),
        # Whether a bucket has versions is asked of the whole of it.
        identity(KEYS, [*part(FIRST_BUCKET, LOCKED), *part(LOCKED, folder=f"{server_name}-whole"), f"Read:{LOCKED}"]),
        identity(OF_MEDIA, part(MEDIA)),
    ]
    with region(node, world, tmp_path_factory, "nbg", identities, [FIRST_BUCKET, MEDIA]) as made:
        yield made


@pytest.fixture(scope="session")
def second_store(node, world, tmp_path_factory):
    """Another region's server, which has the keys alone."""
    actions = [f"{action}:{SECOND_BUCKET}/example.com/*" for action in ("Read", "Write", "List")]
    identities = [identity(OWNER, ("Admin", "Read", "Write", "List")), identity(SECOND, actions)]
    with region(node, world, tmp_path_factory, "hel", identities, [SECOND_BUCKET]) as made:
        yield made


@contextlib.contextmanager
def region(node, world, tmp_path_factory, name, identities, buckets):
    """A provider's server in one region."""
    data, host = tmp_path_factory.mktemp(f"seaweedfs-{name}"), f"s3.{name}.example.net"
    with served(node, world, data, [host], 443, identities, OWNER, buckets, f"s3-{name}") as made:
        node.network.outside[host] = made.address
        node.sync()
        yield made


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Files with the identities of two people, and their recipients."""
    folder, found = tmp_path_factory.mktemp("people"), {}
    for name in ("first", "second"):
        file = folder / name
        done = subprocess.run(["age-keygen", "--output", file], capture_output=True, text=True, check=True)
        found[file] = re.search(r"age1\w+", done.stderr).group()
    return found


@pytest.fixture(scope="session")
def tenant(node, world, store, second_store, people, tmp_path_factory):
    repository = Repository(tmp_path_factory.mktemp("fleet"))
    text = repository.read(CLASS)
    for known, recipient in zip(re.findall(r"age1\w+", text), people.values(), strict=True):
        text = text.replace(known, recipient)
    repository.write(CLASS, text)
    backed = Backed(node, world, store, repository)
    repository.edit(backed.file, "  - pattern.single-tenant\n", "  - pattern.single-tenant\n  - feature.backups\n")
    with_another_cluster(repository)
    node.objects.add(secret(TENANT, f"{TENANT}-backup-1", {"credentials": credentials(KEYS)}))
    node.objects.add(secret(TENANT, f"{TENANT}-backup-second-1", {"credentials": credentials(SECOND)}))
    backed.home = harness.bring_up(node, world, backed.compiled(), backed.overlays)
    return backed


def pytest_terminal_summary(terminalreporter):
    if TABLE:
        terminalreporter.write_line("\ndrill                                     data lost   back after")
        for name, lost, took in TABLE:
            terminalreporter.write_line(f"{name:<40} {lost:>10} {took:>10.1f} s")
