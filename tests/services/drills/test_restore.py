"""Everything is lost, and comes back: to a moment between two messages, from a dump, on another cluster."""

import base64
import re
import subprocess
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import harness
import pytest
from harness import eventually, secret, together

from conftest import SECOND_BUCKET, TABLE, TENANT
from fleetnode import overlays

CLAIMS = {"database": f"data-{TENANT}-postgresql-0", "media": f"{TENANT}-media", "key": f"{TENANT}-signing-key"}


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Alice:
    """Somebody who logged in once, before anything was lost."""

    def __init__(self, home, name="alice"):
        self.home = home

        async def scenario():
            client = await home.client(name)
            room = (await client.room_create()).room_id
            await client.close()
            return client.access_token, room

        ((self.token, self.room),) = together(scenario())
        self.header = {"Authorization": f"Bearer {self.token}"}
        self.sent = 0

    def ask(self, method, path, **more):
        return self.home.http().request(method, self.home.url + path, headers=self.header, timeout=20, **more)

    def say(self, text):
        self.sent += 1
        path = f"/_matrix/client/v3/rooms/{self.room}/send/m.room.message/{self.sent}-{time.time()}"
        answer = self.ask("PUT", path, json={"msgtype": "m.text", "body": text})
        assert answer.ok, answer.text

    def reads(self):
        answer = self.ask("GET", f"/_matrix/client/v3/rooms/{self.room}/messages?dir=b&limit=100")
        assert answer.ok, answer.text
        return [one["content"].get("body") for one in answer.json()["chunk"] if one["type"] == "m.room.message"]

    def upload(self, content):
        answer = self.ask("POST", "/_matrix/media/v3/upload", data=content)
        assert answer.ok, answer.text
        return answer.json()["content_uri"].removeprefix("mxc://")

    def download(self, media):
        return self.ask("GET", f"/_matrix/client/v1/media/download/{media}").content


@pytest.fixture(scope="module")
def alice(tenant):
    return Alice(tenant.home)


def keys_of(home):
    return home.http().get(f"{home.url}/_matrix/key/v2/server", timeout=10).json()["verify_keys"]


def archived(tenant):
    """All that was committed is in the archive."""
    before = tenant.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
    tenant.sql("SELECT pg_switch_wal()")
    eventually(lambda: tenant.sql("SELECT last_archived_wal FROM pg_stat_archiver") >= before, 60)


def backed_up(tenant, alice):
    """A base backup is there, and media that is uploaded now is backed up."""
    eventually(lambda: "base: a full backup is done" in tenant.log("postgresql", "backup"), 90)
    media = alice.upload(b"a picture" * 1000)
    before = tenant.log("synapse", "backup").count("media: backed up")
    # The first to end may have begun before.
    eventually(lambda: tenant.log("synapse", "backup").count("media: backed up") > before + 1, 90)
    return media


def restored(tenant, name, **restore):
    """The three changes: stopped, restored, running. Seconds from the second on. The first two are one where the
    server's volume is gone: an empty one waits for the restore."""
    if tenant.has(CLAIMS["database"]):
        tenant.synced(tenant.compiled(state="stopped"))
    said = ", ".join(f"{key}: {value}" for key, value in {"name": name, **restore}.items())
    folder = tenant.compiled(state="stopped", restore=f"{{{said}}}")
    running = tenant.compiled()
    begun = time.monotonic()
    tenant.synced(folder, 240)
    (job,) = tenant.node.pods(namespace=tenant.namespace, component="restore")
    log = tenant.log("postgresql", "restore") + job.container("restore").log.read_text()
    tenant.runs(running)
    return time.monotonic() - begun, log


@pytest.fixture(scope="module")
def moments():
    """Between the second message and the one after it."""
    return []


def test_a_moment_between_two_messages(tenant, alice, moments):
    keys = keys_of(tenant.home)
    media = backed_up(tenant, alice)
    alice.say("the first")
    time.sleep(1.1)
    moment = now()
    time.sleep(1.1)
    alice.say("the second")
    time.sleep(1.1)
    moments.append(now())
    time.sleep(1.1)
    alice.say("too late")
    archived(tenant)
    tenant.lost(CLAIMS["database"], CLAIMS["media"])
    took, log = restored(tenant, "between", until=f'"{moment}"')
    eventually(lambda: alice.reads() == ["the first"], 30)
    assert alice.download(media) == b"a picture" * 1000, log
    assert keys_of(tenant.home) == keys
    assert "0 of them not stored" in log
    TABLE.append(("database and media to a moment", "as asked", took))


def test_a_later_moment_after_all(tenant, alice, moments):
    """It is on the timeline that the restore before this one left."""
    alice.say("on the second timeline")
    archived(tenant)
    took, log = restored(tenant, "later", until=f'"{moments[0]}"', timeline=1)
    eventually(lambda: alice.reads() == ["the second", "the first"], 30)
    assert "on timeline 2, is in /var/lib/postgresql/before-later" in log
    TABLE.append(("database to a later moment after all", "as asked", took))


def test_it_goes_on_after_a_restore(tenant, alice):
    """A new timeline is archived, and what is said on it can be restored."""
    eventually(lambda: "base: a full backup is done" in tenant.log("postgresql", "backup"), 90)
    alice.say("the third")
    archived(tenant)
    tenant.lost(CLAIMS["database"])
    took, _ = restored(tenant, "newest")
    eventually(lambda: alice.reads() == ["the third", "the second", "the first"], 30)
    TABLE.append(("database to the newest", "none", took))


def test_a_dump(tenant, alice):
    phase, log = tenant.job("dump")
    assert phase == "Succeeded", log
    alice.say("after the dump")
    took, _ = restored(tenant, "from-a-dump", source="dump")
    eventually(lambda: alice.reads() == ["the third", "the second", "the first"], 30)
    # What was there is kept.
    assert (
        tenant.sql("SELECT count(*) FROM event_json WHERE json LIKE '%after the dump%'", "synapse_before_from-a-dump")
        == "1"
    )
    TABLE.append(("database from a dump", "since it", took))


def backed_up_now(tenant):
    """Media, by the page's command in the container that backs it up."""
    page = (tenant.home.tenant.folder / "docs/recovery.md").read_text()
    ((component, command),) = re.findall(r"component=(\S+)\) -c backup -- (.*)", page)
    output = tenant.node.directory / "backup.txt"
    code = tenant.home.pod(component).container("backup").execute(command.split(), 60, output)
    assert code == 0, output.read_text()


ABROAD = """\
classes:
  - pattern.single-tenant
parameters:
  matrix:
    size: small
    server_name: abroad.example.net
    hosts: {matrix: matrix.abroad.example.net}
"""


@pytest.fixture
def bob(tenant, alice, tmp_path_factory):
    """Somebody on another server, who is in Alice's room."""
    folder = harness.variant(tmp_path_factory.mktemp("fleet"), "abroad", ABROAD)
    trusting = overlays.trusting(tenant.world.pem)
    other = harness.bring_up(tenant.node, tenant.world, folder, (*overlays.SINGLE_TENANT, trusting))
    made = Alice(other, "bob")
    body = {"user_id": f"@bob:{other.server_name}"}
    answer = alice.ask("POST", f"/_matrix/client/v3/rooms/{alice.room}/invite", json=body)
    assert answer.ok, answer.text
    made.room = alice.room
    path = f"/_matrix/client/v3/rooms/{alice.room}/join"
    eventually(lambda: made.ask("POST", path, json={}).ok, 60)
    return made


def test_another_cluster(tenant, second_store, alice, bob, people, tmp_path):
    """The first one is gone with every volume and every Secret; one of the people who hold its keys, the buckets and an
    empty cluster are all there is. Other servers trust it as before."""
    keys = keys_of(tenant.home)
    alice.say("the last")
    media = alice.upload(b"the last picture" * 1000)
    backed_up_now(tenant)
    archived(tenant)
    eventually(lambda: "the last" in bob.reads(), 60)
    tenant.lost(*CLAIMS.values())
    kept = ("backup-1", "backup-second-1")
    for one in list(tenant.node.objects.of_kind("Secret", namespace=tenant.namespace)):
        name = one["metadata"]["name"]
        if not name.endswith(kept):
            tenant.node.remove("Secret", tenant.namespace, name)
    begun = time.monotonic()
    newest = max(key for key in second_store.keys(SECOND_BUCKET) if key.endswith(".tar.age"))
    encrypted = tmp_path / "keys.tar.age"
    encrypted.write_bytes(second_store.client.get_object(Bucket=SECOND_BUCKET, Key=newest)["Body"].read())
    second = list(people)[1]
    # Who restores is somebody else: the holder hands over what the identity reads, and keeps it.
    own, handed = tmp_path / "own", tmp_path / "handed.age"
    subprocess.run(["age-keygen", "--output", own], check=True)
    recipient = subprocess.run(["age-keygen", "-y", own], check=True, capture_output=True, text=True).stdout.strip()
    read = subprocess.run(["age", "--decrypt", "--identity", second, encrypted], check=True, capture_output=True).stdout
    subprocess.run(["age", "--encrypt", "--recipient", recipient, "--output", handed], check=True, input=read)
    subprocess.run(["age", "--decrypt", "--identity", own, "--output", tmp_path / "keys.tar", handed], check=True)
    with tarfile.open(tmp_path / "keys.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    for folder, name in (("secrets/backup-key", "backup-key-1"), ("secrets/synapse", "synapse-1")):
        data = {file.name: base64.b64encode(file.read_bytes()).decode() for file in Path(tmp_path, folder).iterdir()}
        where = {"namespace": tenant.namespace, "name": f"{TENANT}-{name}"}
        tenant.node.objects.add({"kind": "Secret", "metadata": where, "data": data})
    key = (tmp_path / "data/signing-key/signing.key").read_text()
    tenant.node.objects.add(secret(tenant.namespace, f"{TENANT}-restored-key-1", {"signing.key": key}))
    tenant.moved("eu2")
    restored(tenant, "moved")
    eventually(lambda: "the last" in alice.reads(), 60)
    assert keys_of(tenant.home) == keys
    TABLE.append(("everything on another, empty cluster", "none", time.monotonic() - begun))
    assert alice.download(media) == b"the last picture" * 1000
    alice.say("still me")
    eventually(lambda: "still me" in bob.reads(), 60)
    bob.say("welcome back")
    eventually(lambda: "welcome back" in alice.reads(), 60)
