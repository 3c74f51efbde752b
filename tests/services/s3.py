"""An S3 server as a Pod: SeaweedFS, which lets each key do what it may and no more."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from harness import eventually, secret

from fleetnode import certificates

INSIDE = 8333
"""Where its Pod listens."""


def identity(keys, actions):
    """Who may do what, as SeaweedFS has it (Read:bucket/prefix/*)."""
    key, hidden = keys
    return {"name": key, "credentials": [{"accessKey": key, "secretKey": hidden}], "actions": actions}


def credentials(keys):
    """A file as the AWS tools read it."""
    return f"[default]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n"


@dataclass
class Store:
    """A server that runs."""

    node: object
    pod: dict
    client: object
    """Its owner's, of boto3."""
    data: Path
    """What is on its disk."""
    address: str
    """Of its balancer."""

    def keys(self, bucket):
        """All in a bucket, without the folders that a server of folders makes of them."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        found = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return sorted(key for key in found if not key.endswith("/"))

    @contextlib.contextmanager
    def away(self):
        """Gone for a while; what it has stays."""
        self.node.remove("Pod", "storage", self.pod["metadata"]["name"])
        try:
            yield
        finally:
            self.back()

    def back(self):
        """There again, and answering."""
        self.node.apply([self.pod])
        eventually(lambda: self.client.list_buckets(), 60)


@contextlib.contextmanager
def served(node, world, data, names, port, identities, owner, buckets, called="s3", **spec):
    """Serve buckets under some names until the end. `owner` has keys that may do everything."""
    labels = {"app": "seaweedfs", "server": called}
    service = {
        "kind": "Service",
        "metadata": {"namespace": "storage", "name": called},
        "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"port": port, "targetPort": INSIDE}], **spec},
    }
    outside = node.network.external_address(service)
    certificate = {
        "kind": "Certificate",
        "metadata": {"namespace": "storage", "name": called},
        "spec": {
            "secretName": f"{called}-tls",
            "dnsNames": names,
            "ipAddresses": [outside],
            "usages": ["server auth"],
            "issuerRef": {"kind": "ClusterIssuer", "name": "world"},
        },
    }
    certificates.issue([certificate], node.objects, world)
    node.objects.add(secret("storage", f"{called}-keys", {"s3.json": json.dumps({"identities": identities})}))
    command = "weed server -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.volumeSizeLimitMB=64 -volume.max=64 -s3"
    command += f" -s3.ip.bind=0.0.0.0 -s3.port=8332 -s3.port.https={INSIDE} -s3.config=/keys/s3.json"
    command += " -s3.cert.file=/tls/tls.crt -s3.key.file=/tls/tls.key -s3.port.iceberg=0 -s3.port.lance=0"
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("data", "keys", "tls")]
    container = {"name": "weed", "image": "fleetnode/shell", "command": command.split(), "volumeMounts": mounts}
    pod_spec = {
        # Killed at once it forgets what it has said that it keeps.
        "terminationGracePeriodSeconds": 10,
        "containers": [container],
        "volumes": [
            # What it has outlives its Pod.
            {"name": "data", "hostPath": {"path": str(data)}},
            {"name": "keys", "secret": {"secretName": f"{called}-keys"}},
            {"name": "tls", "secret": {"secretName": f"{called}-tls"}},
        ],
    }
    pod = {"kind": "Pod", "metadata": {"namespace": "storage", "name": called, "labels": labels}, "spec": pod_spec}
    node.apply([service, pod])
    Path(node.directory, "world.pem").write_bytes(world.pem)
    client = boto3.client(
        "s3",
        endpoint_url=f"https://{outside}:{port}",
        region_name="us-east-1",
        aws_access_key_id=owner[0],
        aws_secret_access_key=owner[1],
        verify=str(Path(node.directory, "world.pem")),
        config=Config(retries={"max_attempts": 1}, connect_timeout=2, proxies={}),
    )
    for bucket in buckets:
        eventually(lambda bucket=bucket: client.create_bucket(Bucket=bucket), 60)
    yield Store(node, pod, client, data, outside)
    for kind in ("Pod", "Service"):
        node.remove(kind, "storage", called)
