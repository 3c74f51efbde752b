"""Media in a bucket: two media workers before an S3 server, which lets the tenant at its own part and no other."""

import asyncio
import base64
import json
import os
from pathlib import Path

import pytest
from harness import bring_up, eventually, reaches, secret, variant
from s3 import credentials, identity
from s3 import served as s3_served

from fleetnode import overlays

NAME = "gallery"
SERVER_NAME = "gallery.example.org"
ENDPOINT, ADDRESS, PORT = "s3.storage.svc.cluster.local", "10.96.7.7", 8333
BUCKET = "matrix-media"
TENANT = f"""\
classes:
  - pattern.single-tenant
parameters:
  matrix:
    size: small
    server_name: {SERVER_NAME}
    hosts:
      matrix: matrix.{SERVER_NAME}
      element: chat.{SERVER_NAME}
    workers:
      media_repository: {{replicas: 2}}
    media:
      kind: s3
      s3:
        endpoint: https://{ENDPOINT}:{PORT}
        region: us-east-1
        bucket: {BUCKET}
        ca: %s
        reach: [{{namespace: storage, pods: {{app: seaweedfs}}, port: {PORT}}}]
"""
OWNER, KEYS = ("owner", "all-of-it"), ("gallery", "its-own-part")
# What docs/media.md tells to allow.
ALLOWED = [f"{action}:{BUCKET}/{SERVER_NAME}/*" for action in ("Read", "Write", "List")]
# A picture of one pixel, which Synapse can make a thumbnail of.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def store(node, world, tmp_path_factory):
    """A server where a platform has its own, which its Pods reach by its Service's name."""
    identities = [identity(OWNER, ["Admin", "Read", "Write", "List"]), identity(KEYS, ALLOWED)]
    data = tmp_path_factory.mktemp("seaweedfs")
    with s3_served(node, world, data, [ENDPOINT], PORT, identities, OWNER, [BUCKET], clusterIP=ADDRESS) as made:
        yield made


@pytest.fixture(scope="module")
def gallery(node, world, store, tmp_path_factory):
    """A tenant of the reference fleet's cluster that has its media there."""
    folder = variant(tmp_path_factory.mktemp("fleet"), NAME, TENANT % json.dumps(world.pem.decode()))
    node.objects.add(secret(NAME, f"{NAME}-media-1", {"credentials": credentials(KEYS)}))
    return bring_up(node, world, folder, overlays.SINGLE_TENANT)


def forget(gallery):
    """Empty the caches on the nodes' disks."""
    for run in gallery.pods("media-repository"):
        output = Path(gallery.node.directory, "forget.txt")
        command = ["sh", "-c", "rm -rf /data/media/local_* /data/media/remote_*"]
        assert run.container("synapse").execute(command, 20, output) == 0, output.read_text()


@pytest.fixture(scope="module")
def token(gallery):
    """Alice's, as a header."""

    async def scenario():
        alice = await gallery.client("alice")
        await alice.close()
        return alice.access_token

    return {"Authorization": f"Bearer {asyncio.run(scenario())}"}


def upload(gallery, token, content, kind="application/octet-stream"):
    """The answer of one upload."""
    url = f"{gallery.url}/_matrix/media/v3/upload"
    return gallery.http().post(url, headers={**token, "Content-Type": kind}, data=content, timeout=60)


def download(gallery, token, uri, what="download", **query):
    url = uri.replace("mxc://", f"{gallery.url}/_matrix/client/v1/media/{what}/")
    return gallery.http().get(url, headers=token, params=query, timeout=30)


def served(gallery):
    """How many requests for media each worker answered."""
    logs = [run.container("synapse").log.read_text() for run in gallery.pods("media-repository")]
    return [log.count("/media/download/") for log in logs]


def test_what_was_answered_is_in_the_bucket(gallery, store, token):
    content = os.urandom(3 * 2**20)
    answer = upload(gallery, token, content)
    assert answer.status_code == 200, answer.text
    uri = answer.json()["content_uri"]
    name = uri.rpartition("/")[2]
    key = f"{SERVER_NAME}/local_content/{name[:2]}/{name[2:4]}/{name[4:]}"
    assert store.client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content
    before = served(gallery)
    for _ in range(8):
        forget(gallery)
        assert download(gallery, token, uri).content == content
    assert all(after > count for after, count in zip(served(gallery), before, strict=True)), "both workers serve it"


def test_thumbnails_are_there_too(gallery, store, token):
    uri = upload(gallery, token, PICTURE, "image/png").json()["content_uri"]
    sizes = {"width": 32, "height": 32, "method": "crop"}
    assert download(gallery, token, uri, "thumbnail", **sizes).headers["Content-Type"] == "image/png"
    eventually(lambda: any("/local_thumbnails/" in key for key in store.keys(BUCKET)))
    forget(gallery)
    assert download(gallery, token, uri, "thumbnail", **sizes).status_code == 200


def test_nothing_is_lost_with_the_pods(gallery, node, token):
    content = os.urandom(2**20)
    uri = upload(gallery, token, content).json()["content_uri"]
    node.wait_ready(120, [node.delete(run) for run in gallery.pods("media-repository")])
    eventually(lambda: download(gallery, token, uri).content == content, 60)


def test_media_that_is_nowhere_is_not_found(gallery, token):
    assert download(gallery, token, f"mxc://{SERVER_NAME}/{'x' * 24}").status_code == 404


def test_an_upload_fails_in_whole_while_the_bucket_is_away(gallery, node, store, token):
    before = store.keys(BUCKET)
    with store.away():
        answer = upload(gallery, token, b"lost")
        assert answer.status_code == 500, answer.text
    eventually(lambda: store.keys(BUCKET) == before, 60)
    eventually(lambda: upload(gallery, token, b"kept").status_code == 200, 60)


def test_who_reaches_the_bucket(gallery, node, store):
    reached = {
        kind for kind in ("synapse", "media-repository", "router") if reaches(node, gallery.pod(kind), ADDRESS, PORT)
    }
    assert reached == {"media-repository"}


def test_its_part_and_no_other(gallery, store):
    keys = store.keys(BUCKET)
    assert keys and all(key.startswith(f"{SERVER_NAME}/") for key in keys)
