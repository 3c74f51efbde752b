"""Media in a bucket: two media workers before an S3 server, which lets the tenant at its own part and no other."""

import asyncio
import base64
import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from harness import bring_up, eventually, reaches, secret, variant

from fleetnode import certificates, overlays

NAME = "gallery"
SERVER_NAME = "gallery.example.org"
ENDPOINT, ADDRESS, PORT = "s3.storage.svc.cluster.local", "10.96.7.7", 8333
BUCKET = "matrix-media"
LABELS = {"app": "seaweedfs"}
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


def identity(keys, actions):
    key, hidden = keys
    return {"name": key, "credentials": [{"accessKey": key, "secretKey": hidden}], "actions": actions}


@dataclass
class Store:
    """An S3 server."""

    node: object
    pod: dict
    client: object
    """Its owner's."""

    @property
    def keys(self):
        """All in the bucket, without the folders that a server of folders makes of them."""
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return sorted(one["Key"] for one in found if not one["Key"].endswith("/"))

    @contextlib.contextmanager
    def away(self):
        self.node.remove("Pod", "storage", "s3")
        yield
        self.node.apply([self.pod])


@pytest.fixture(scope="module")
def store(node, world, tmp_path_factory):
    """SeaweedFS, where a platform has its own."""
    data = tmp_path_factory.mktemp("seaweedfs")
    # The balancer's address is for its owner, here.
    service = {
        "kind": "Service",
        "metadata": {"namespace": "storage", "name": "s3"},
        "spec": {"type": "LoadBalancer", "clusterIP": ADDRESS, "selector": LABELS, "ports": [{"port": PORT}]},
    }
    outside = node.network.external_address(service)
    certificate = {
        "kind": "Certificate",
        "metadata": {"namespace": "storage", "name": "s3"},
        "spec": {
            "secretName": "s3-tls",
            "dnsNames": [ENDPOINT],
            "ipAddresses": [outside],
            "usages": ["server auth"],
            "issuerRef": {"kind": "ClusterIssuer", "name": "world"},
        },
    }
    certificates.issue([certificate], node.objects, world)
    identities = [identity(OWNER, ["Admin", "Read", "Write", "List"]), identity(KEYS, ALLOWED)]
    node.objects.add(secret("storage", "s3-keys", {"s3.json": json.dumps({"identities": identities})}))
    command = "weed server -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.volumeSizeLimitMB=64 -volume.max=8 -s3"
    command += f" -s3.ip.bind=0.0.0.0 -s3.port=8332 -s3.port.https={PORT} -s3.config=/keys/s3.json"
    command += " -s3.cert.file=/tls/tls.crt -s3.key.file=/tls/tls.key -s3.port.iceberg=0 -s3.port.lance=0"
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("data", "keys", "tls")]
    container = {"name": "weed", "image": "fleetnode/shell", "command": command.split(), "volumeMounts": mounts}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [
            # What it has outlives its Pod.
            {"name": "data", "hostPath": {"path": str(data)}},
            {"name": "keys", "secret": {"secretName": "s3-keys"}},
            {"name": "tls", "secret": {"secretName": "s3-tls"}},
        ],
    }
    pod = {"kind": "Pod", "metadata": {"namespace": "storage", "name": "s3", "labels": LABELS}, "spec": spec}
    node.apply([service, pod])
    Path(node.directory, "world.pem").write_bytes(world.pem)
    owner = boto3.client(
        "s3",
        endpoint_url=f"https://{outside}:{PORT}",
        region_name="us-east-1",
        aws_access_key_id=OWNER[0],
        aws_secret_access_key=OWNER[1],
        verify=str(Path(node.directory, "world.pem")),
        config=Config(retries={"max_attempts": 1}, connect_timeout=2, proxies={}),
    )
    eventually(lambda: owner.create_bucket(Bucket=BUCKET), 60)
    yield Store(node, pod, owner)
    for kind in ("Pod", "Service"):
        node.remove(kind, "storage", "s3")


@pytest.fixture(scope="module")
def gallery(node, world, store, tmp_path_factory):
    """A tenant of the reference fleet's cluster that has its media there."""
    folder = variant(tmp_path_factory.mktemp("fleet"), NAME, TENANT % json.dumps(world.pem.decode()))
    keys = f"[default]\naws_access_key_id = {KEYS[0]}\naws_secret_access_key = {KEYS[1]}\n"
    node.objects.add(secret(NAME, f"{NAME}-media-1", {"credentials": keys}))
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
    eventually(lambda: any("/local_thumbnails/" in key for key in store.keys))
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
    before = store.keys
    with store.away():
        answer = upload(gallery, token, b"lost")
        assert answer.status_code == 500, answer.text
    eventually(lambda: store.keys == before, 60)
    eventually(lambda: upload(gallery, token, b"kept").status_code == 200, 60)


def test_who_reaches_the_bucket(gallery, node, store):
    reached = {
        kind for kind in ("synapse", "media-repository", "router") if reaches(node, gallery.pod(kind), ADDRESS, PORT)
    }
    assert reached == {"media-repository"}


def test_its_part_and_no_other(gallery, store):
    keys = store.keys
    assert keys and all(key.startswith(f"{SERVER_NAME}/") for key in keys)
