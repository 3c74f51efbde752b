"""13. Two tenants on the platform's PostgreSQL, which the real CloudNativePG runs and the Barman Cloud plugin archives: one of them
comes back to a moment by its page, and from a dump by a change of its file. The other notices nothing."""

from __future__ import annotations

import time
from pathlib import Path

import barman
import pytest
from api import documents, until
from change import PullRequests
from joined import Homeserver, Joined, SomeTenants

from conftest import GIVEN, give, say
from fleetnode import overlays

FLEET, SERVER = "fleet", "platform-postgresql"
PLATFORM = "inventory/targets/eu1/platform.yml"
SHARED = """\
parameters:
  platform:
    postgresql:
      resources: {cpu: 500m, memory: 1Gi}
      instances: 1
      archive: {bucket: {endpoint: "https://s3.nbg.example.net", region: nbg, bucket: matrix-backups-group}}
"""
TENANT = """\
classes:
  - pattern.single-tenant
  - feature.backups
parameters:
  matrix:
    size: small
    server_name: %s.example.com
    hosts: {matrix: matrix.%s.example.com}
    database: {kind: shared}
    backup: {kind: dumps, bucket: {bucket: matrix-backups-group}}
"""
TENANTS = ("club", "choir")


class Pulls:
    """Pull requests on a fleet with the two."""

    def __init__(self, joined: Joined) -> None:
        self.joined = joined
        repository = joined.repository
        repository.kept = (*SomeTenants.kept, *(f"eu1/{name}" for name in TENANTS))
        authority = (joined.plane.certificates.folder / "ca.crt").read_bytes()
        trusted = overlays.trusted(authority, "the bucket's certificate is of this run's own authority")
        repository.overlays = (*SomeTenants.overlays, *barman.OVERLAYS, trusted)
        self.pull = PullRequests(joined.plane.folder / "pull-shared", repository)
        source = self.pull.source
        source.write(PLATFORM, source.read(PLATFORM) + SHARED)
        for name in TENANTS:
            source.write(self.file(name), TENANT % (name, name))

    @staticmethod
    def file(name: str) -> str:
        return f"inventory/targets/eu1/{name}.yml"

    def page(self, name: str) -> str:
        return Path(self.pull.source.top, f"compiled/eu1/{name}/docs/recovery.md").read_text()

    def change(self, name: str, lines: str) -> None:
        """A tenant's file with these lines more than at first, until Argo CD has it."""
        self.pull.source.write(self.file(name), TENANT % (name, name) + lines)
        self.pull.compile()
        # Its walls, and the platform's: another of its Pods may ask the shared server then.
        walls = (f"eu1-{name}-fence", f"eu1-{name}-shared", "eu1-platform-fence", "eu1-platform")
        self.joined.argo.push(lines or "running", *walls, f"eu1-{name}", seconds=300)


@pytest.fixture(scope="module")
def pulls(joined: Joined, operators: None) -> Pulls:
    made, start = Pulls(joined), time.monotonic()
    made.pull.compile()
    joined.repository.commit("a shared server and two tenants")
    joined.argo.refresh("eu1-root", "eu1-platform", "eu1-platform-fence")
    for namespace in (FLEET, *TENANTS):
        until(f"{namespace} is there", lambda: joined.api.get("v1", "Namespace", None, namespace), 120)  # noqa: B023
        joined.api.apply(barman.authority(joined, namespace))
    for name in ("platform", *TENANTS):
        give(joined.api, documents(joined.repository.work / f"compiled/eu1/{name}").values())
    keys = f"[default]\naws_access_key_id = {GIVEN}\naws_secret_access_key = {GIVEN}\n"
    for name in TENANTS:
        where = {"name": f"{name}-backup-1", "namespace": name}
        joined.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": where, "stringData": {"credentials": keys}})
    joined.settle("eu1-platform", *(f"eu1-{name}" for name in TENANTS), seconds=300)
    barman.base_backup(joined, FLEET)
    say(f"two tenants on one server, archived, after {time.monotonic() - start:.0f} s")
    return made


class Person:
    """Somebody with a room."""

    def __init__(self, joined: Joined, tenant: str) -> None:
        self.home = Homeserver(joined, tenant, f"matrix.{tenant}.example.com")
        until(f"{tenant} answers", self.home.answers, 60)
        self.token = self.home.log_in("alice")
        self.room = self.home.client("POST", "createRoom", {"name": "Tea"}, self.token)["room_id"]

    def say(self, text: str) -> str:
        return self.home.send(self.token, self.room, text)

    def reads(self, event: str) -> int:
        """The status of reading it."""
        path = f"/_matrix/client/v3/rooms/{self.room}/event/{event}"
        return self.home.call("GET", path, token=self.token)[0]


@pytest.fixture(scope="module")
def people(joined: Joined, pulls: Pulls) -> dict[str, Person]:
    return {name: Person(joined, name) for name in TENANTS}


def test_one_tenant_comes_back_to_a_moment(joined: Joined, pulls: Pulls, people: dict[str, Person]) -> None:
    club, choir = (people[name] for name in TENANTS)
    first, before = club.say("the first"), choir.say("before")
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime())
    time.sleep(1.1)
    second, after = club.say("the second"), choir.say("after")
    barman.archived(joined, FLEET, barman.primary_of(joined, FLEET, SERVER))
    uids, start = choir.home.uids(), time.monotonic()
    pulls.change("club", "    state: stopped\n")
    barman.by_page(joined, pulls.page("club"), moment)
    pulls.change("club", "")
    until("the first message is read again", lambda: club.reads(first) == 200, 60)
    assert club.reads(second) == 404
    assert (choir.reads(before), choir.reads(after), choir.home.uids()) == (200, 200, uids)
    say(f"one tenant of two is back at a moment after {time.monotonic() - start:.0f} s, its two pull requests included")


def test_one_tenant_comes_back_from_a_dump(joined: Joined, pulls: Pulls, people: dict[str, Person]) -> None:
    """By the Job of three changes of its file. It loads in one transaction, and keeps what was there."""
    club, choir = (people[name] for name in TENANTS)
    kept = club.say("in the dump")
    cron = joined.api.get("batch/v1", "CronJob", "club", "club-dump")
    assert cron
    where = {"name": "dump-now", "namespace": "club"}
    spec = cron["spec"]["jobTemplate"]["spec"]
    joined.api.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": where, "spec": spec})

    def dumped() -> bool:
        found = joined.api.get("batch/v1", "Job", "club", "dump-now")
        return bool(found and found.get("status", {}).get("succeeded"))

    until("the dump is made, and read back", dumped, 120)
    lost, sung = club.say("after the dump"), choir.say("meanwhile")
    start = time.monotonic()
    pulls.change("club", "    state: stopped\n")
    pulls.change("club", "    state: stopped\n    restore: {name: again, source: dump}\n")
    pulls.change("club", "")
    until("what was dumped is read", lambda: club.reads(kept) == 200, 60)
    assert club.reads(lost) == 404 and choir.reads(sung) == 200
    primary = barman.primary_of(joined, FLEET, SERVER)
    query = f'SELECT count(*) FROM "before_again".events WHERE event_id = $${lost}$$'
    said = barman.shell(joined, FLEET, primary, f"psql -XAtq -d synapse_club -c '{query}'").read_text().strip()
    assert said == "1", "what was there is kept"
    say(
        f"one tenant of two is back from a dump after {time.monotonic() - start:.0f} s, its three pull requests included"
    )
