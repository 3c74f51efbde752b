"""PostgreSQL's next major version: the tenant goes there by a dump, and back by the archive of the version before."""

import contextlib
import dataclasses
import time

import pytest
from harness import eventually
from test_restore import CLAIMS, Alice

from conftest import TABLE
from fleetnode.images import POSTGRESQL

IMAGES = ("docker.io/library/postgres", "registry.example.com/matrix-fleet/backup")


def next_major(before):
    """An image as it is, with the server and the clients of the next major version."""
    return dataclasses.replace(before, program="postgresql-19", path=(str(POSTGRESQL).replace("18", "19"),))


@contextlib.contextmanager
def release_with_the_next(tenant):
    """What another release does: other images of the same names. Pods that are made from now on have them."""
    images, before = tenant.node.images, {name: tenant.node.images[name] for name in IMAGES}
    images |= {name: next_major(image) for name, image in before.items()}
    try:
        yield
    finally:
        images |= before


def test_the_next_major_version_and_back(tenant):
    alice = Alice(tenant.home)
    alice.say("on the version before")
    phase, log = tenant.job("dump")
    assert phase == "Succeeded", log
    version = "SELECT current_setting('server_version_num')::int / 10000"
    assert tenant.sql(version) == "18"
    begun = time.monotonic()
    tenant.synced(tenant.compiled(state="stopped"))
    with release_with_the_next(tenant):
        tenant.lost()
        with pytest.raises(Exception, match="data directory is of PostgreSQL 18 and this is 19, expected 18"):
            tenant.synced(tenant.compiled(state="stopped"), 45)
        tenant.lost()
        tenant.synced(tenant.compiled(state="stopped", restore="{name: to-19, source: dump}"), 240)
        # pgBackRest is older than PostgreSQL 19, and archives nothing of it.
        tenant.runs(tenant.compiled())
        eventually(lambda: alice.reads() == ["on the version before"], 60)
        TABLE.append(("PostgreSQL's next major version", "none", time.monotonic() - begun))
        assert tenant.sql(version) == "19"
        assert (tenant.claim(CLAIMS["database"]) / "before-to-19/PG_VERSION").read_text().strip() == "18"
        alice.say("on the next one")
        eventually(lambda: "on the next one" in alice.reads(), 30)
        tenant.synced(tenant.compiled(state="stopped"))
        # Another image is no change that this node would see.
        tenant.lost()
    # Back: the archive of the version before is as it was, and what is there goes aside.
    tenant.synced(tenant.compiled(state="stopped", restore="{name: back}"), 240)
    tenant.runs(tenant.compiled())
    assert (tenant.claim(CLAIMS["database"]) / "before-back/PG_VERSION").read_text().strip() == "19"
    assert tenant.sql(version) == "18"
    eventually(lambda: alice.reads() == ["on the version before"], 60)
