"""WAL-G beside pgBackRest: what is compiled for it is run with a stand-in of its command line (standin_wal_g.py), since
scenarios cannot install the program itself."""

import dataclasses
import time
from pathlib import Path

import pytest
from harness import eventually
from test_restore import CLAIMS, Alice, archived, backed_up, now

from conftest import FIRST_BUCKET, TABLE

IMAGE = "registry.example.com/matrix-fleet/backup"
BACKUP = "{archiver: wal-g}"


@pytest.fixture
def by_wal_g(tenant):
    """The tenant with another archiver; with its own one again afterwards."""
    images, before = tenant.node.images, tenant.node.images[IMAGE]
    program = Path(__file__).parent / "standin_wal_g.py"
    images[IMAGE] = dataclasses.replace(before, binds={**before.binds, "/usr/local/bin/wal-g": program})
    # A connection that ends while PostgreSQL starts anew is a scenario of its own.
    tenant.synced(tenant.compiled(state="stopped", backup=BACKUP))
    tenant.runs(tenant.compiled(backup=BACKUP))
    yield tenant
    images[IMAGE] = before
    tenant.synced(tenant.compiled(state="stopped"))
    tenant.runs(tenant.compiled())


def stored(tenant):
    return [key for key in tenant.store.keys(FIRST_BUCKET) if "/wal-g/" in key]


def timeline(tenant):
    return tenant.sql("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")


def refused(tenant):
    """An empty volume begins no new server where there is an archive of one."""
    tenant.lost(CLAIMS["database"])
    with pytest.raises(Exception, match="the volume is empty and there is an archive of this tenant's server"):
        tenant.synced(tenant.compiled(backup=BACKUP), 45)


def test_a_moment_between_two_messages(by_wal_g):
    tenant, alice = by_wal_g, Alice(by_wal_g.home)
    backed_up(tenant, alice)
    alice.say("the first")
    archived(tenant)
    eventually(lambda: "base: a diff backup is done" in tenant.log("postgresql", "backup"), 90)
    time.sleep(1.1)
    moment = now()
    time.sleep(1.1)
    alice.say("the second")
    archived(tenant)
    for name in ("dump", "verify", "drill"):
        phase, log = tenant.job(name, 240)
        assert phase == "Succeeded", log
    kept = [tenant.store.client.get_object(Bucket=FIRST_BUCKET, Key=key)["Body"].read() for key in stored(tenant)]
    assert kept and not [one for one in kept if b"the first" in one or b"m.room.message" in one]
    before = timeline(tenant)
    refused(tenant)
    begun = time.monotonic()
    folder = tenant.compiled(state="stopped", backup=BACKUP, restore=f'{{name: by-wal-g, until: "{moment}"}}')
    tenant.synced(folder, 240)
    tenant.runs(tenant.compiled(backup=BACKUP))
    eventually(lambda: alice.reads() == ["the first"], 60)
    TABLE.append(("database to a moment, a stand-in for WAL-G", "as asked", time.monotonic() - begun))
    # It goes on: the new timeline is archived beside the old one.
    alice.say("the third")
    archived(tenant)
    assert timeline(tenant) > before and any(f"/wal_005/{timeline(tenant)}" in key for key in stored(tenant))
