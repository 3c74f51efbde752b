"""What buckets do to backups: one that somebody empties, and one that has the media."""

import json
import os
import subprocess
import time

import boto3
import pytest
from botocore.exceptions import ClientError
from harness import eventually, secret
from s3 import credentials
from test_restore import CLAIMS, Alice, archived, now

from conftest import FIRST_BUCKET, KEYS, LOCKED, MEDIA, OF_MEDIA, OWNER, TABLE, TENANT

BACKUP = f"{{lock: 1, bucket: {{bucket: {LOCKED}}}}}"
WHOLE = f"{{lock: 1, bucket: {{bucket: {LOCKED}, prefix: example.com-whole}}}}"


@pytest.fixture
def with_lock(tenant):
    """The tenant's backups go to a bucket with object lock; to its own again afterwards."""
    client = tenant.store.client
    client.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=LOCKED, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    tenant.synced(tenant.compiled(state="stopped", backup=BACKUP))
    tenant.runs(tenant.compiled(backup=BACKUP))
    yield tenant
    tenant.synced(tenant.compiled(state="stopped"))
    tenant.runs(tenant.compiled())


def emptied(tenant):
    """All that somebody can do who has the tenant's own keys: nothing is left to be seen, and every version is kept."""
    thief = boto3.client(
        "s3",
        endpoint_url=tenant.store.client.meta.endpoint_url,
        region_name="nbg",
        aws_access_key_id=KEYS[0],
        aws_secret_access_key=KEYS[1],
        verify=tenant.home.authority,
    )
    pages = tenant.store.client.get_paginator("list_object_versions").paginate(Bucket=LOCKED)
    versions = [one for page in pages for one in page.get("Versions", [])]
    kept = 0
    for one in versions:
        thief.delete_object(Bucket=LOCKED, Key=one["Key"])
        try:
            thief.delete_object(Bucket=LOCKED, Key=one["Key"], VersionId=one["VersionId"])
        except ClientError:
            kept += 1
    assert kept == len(versions) > 0


def taken_out(tenant, moment):
    """What was in the bucket at a moment is in a folder beside: by the tenant's page."""
    page = (tenant.compiled(backup=BACKUP) / "docs/recovery.md").read_text()
    page = page[page.index("## Somebody emptied the bucket") : page.index("The bucket's owner makes it so")]
    lines = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    script = "\n".join(["set -eu", *lines]).replace("2026-03-01T14:05:00Z", moment)
    # Names of the world are the Pods'.
    script = script.replace("https://s3.nbg.example.net", tenant.store.client.meta.endpoint_url)
    script = script.replace("AWS_ACCESS_KEY_ID=...", f"AWS_ACCESS_KEY_ID={OWNER[0]}")
    script = script.replace("AWS_SECRET_ACCESS_KEY=...", f"AWS_SECRET_ACCESS_KEY={OWNER[1]}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    done = subprocess.run(
        ["bash", "-c", script],
        env={**kept, "SSL_CERT_FILE": tenant.home.authority, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_somebody_empties_a_locked_bucket(with_lock):
    """Its owner takes out what was there, and the tenant restores from that to a moment."""
    tenant, alice = with_lock, Alice(with_lock.home)
    eventually(lambda: "base: a full backup is done" in tenant.log("postgresql", "backup"), 90)
    phase, log = tenant.job("dump")
    assert phase == "Succeeded", log
    alice.say("kept")
    time.sleep(1.1)
    until = now()
    time.sleep(1.1)
    alice.say("after that")
    archived(tenant)
    eventually(lambda: tenant.job("verify", 240)[0] == "Succeeded", 180)
    tenant.synced(tenant.compiled(state="stopped", backup=BACKUP))
    tenant.lost(CLAIMS["database"])
    time.sleep(1.1)
    moment = now()
    time.sleep(1.1)
    emptied(tenant)
    assert tenant.store.keys(LOCKED) == []
    begun = time.monotonic()
    taken_out(tenant, moment)
    restore = f'{{name: emptied, until: "{until}"}}'
    tenant.synced(tenant.compiled(state="stopped", backup=WHOLE, restore=restore), 240)
    tenant.runs(tenant.compiled(backup=WHOLE))
    eventually(lambda: alice.reads() == ["kept"], 60)
    TABLE.append(("everything, from an emptied bucket", "as asked", time.monotonic() - begun))


def bucketed(tenant):
    """matrix.media: a bucket, whose certificate Synapse is told to trust."""
    where = {"endpoint": "https://s3.nbg.example.net", "region": "nbg", "bucket": MEDIA}
    return json.dumps({"kind": "s3", "s3": {**where, "ca": tenant.world.pem.decode()}})


@pytest.fixture
def in_a_bucket(tenant):
    """The tenant's media is in a bucket; on its volume again afterwards."""
    tenant.node.objects.add(secret(TENANT, f"{TENANT}-media-1", {"credentials": credentials(OF_MEDIA)}))
    tenant.synced(tenant.compiled(state="stopped", media=bucketed(tenant)))
    tenant.runs(tenant.compiled(media=bucketed(tenant)))
    yield tenant
    tenant.synced(tenant.compiled(state="stopped"))
    tenant.runs(tenant.compiled())


def test_media_of_a_bucket_that_is_lost(in_a_bucket):
    """It was copied to another one, where nobody reads it."""
    tenant, alice = in_a_bucket, Alice(in_a_bucket.home)
    media = alice.upload(b"a picture in a bucket" * 1000)
    phase, log = tenant.job("media-copy")
    assert phase == "Succeeded", log
    client = tenant.store.client
    copied = [key for key in tenant.store.keys(FIRST_BUCKET) if "/media-copy/" in key]
    assert len(copied) >= 2
    for key in copied:
        assert "local_content" not in key
        assert b"a picture" not in client.get_object(Bucket=FIRST_BUCKET, Key=key)["Body"].read(), key
    archived(tenant)
    tenant.synced(tenant.compiled(state="stopped", media=bucketed(tenant)))
    tenant.lost()
    for key in tenant.store.keys(MEDIA):
        client.delete_object(Bucket=MEDIA, Key=key)
    begun = time.monotonic()
    tenant.synced(tenant.compiled(state="stopped", media=bucketed(tenant), restore="{name: bucket}"), 240)
    (job,) = tenant.node.pods(namespace=tenant.namespace, component="restore")
    log = job.container("restore").log.read_text()
    tenant.runs(tenant.compiled(media=bucketed(tenant)))
    assert alice.download(media) == b"a picture in a bucket" * 1000, log
    # What was on the volume before is not in the bucket.
    assert f"media {media.partition('/')[2]} is in the database and not stored" not in log
    TABLE.append(("media of a bucket", "since its copy", time.monotonic() - begun))
