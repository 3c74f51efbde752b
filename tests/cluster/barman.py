"""CloudNativePG's operator with its Barman Cloud plugin, as Pods of the node; and the bucket that tenants name, in SeaweedFS."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import build
from api import Object, until
from joined import Joined
from plane import encoded

from conftest import GIVEN
from fleetnode import overlays

HOST, BUCKET = "s3.nbg.example.net", "matrix-backups-group"
FOLDERS = ("group.example.com", "pair.example.com")
"""Of tenants in the bucket."""
AUTHORITY, DEBIAN = "s3-authority", "ghcr.io/cloudnative-pg/postgresql:15.14"
OWNER = "owner"
ASK = """
import sys, boto3
s3 = boto3.client("s3", endpoint_url=f"https://{sys.argv[1]}", region_name="nbg", verify=sys.argv[2])
if sys.argv[4] == "create":
    s3.create_bucket(Bucket=sys.argv[3])
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=sys.argv[3]):
    print("\\n".join(one["Key"] for one in page.get("Contents", [])))
"""


def install(joined: Joined) -> None:
    """Both operators, and the bucket, with keys to the tenant's part of it."""
    api = joined.api
    for namespace in ("cnpg-system", "storage"):
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    webhook = "cnpg-webhook-service.cnpg-system.svc"
    certified(joined, "cnpg-system", "cnpg-webhook", "apiserver", webhook)
    certified(joined, "cnpg-system", "barman-cloud", "tls", "barman-cloud")
    joined.make("cloudnativepg.yaml")
    joined.make("barmancloud.yaml")
    service = until("the bucket has an address", lambda: (found := api.get("v1", "Service", "storage", "s3")) and found["status"].get("loadBalancer") and found)  # fmt: skip
    (address,) = (each["ip"] for each in service["status"]["loadBalancer"]["ingress"])
    # As the policy on the tenant's page, but that Barman's first question (HeadBucket) takes Read here and s3:ListBucket at S3.
    actions = [*(f"Write:{BUCKET}/{folder}/*" for folder in FOLDERS), f"Read:{BUCKET}", f"List:{BUCKET}"]
    identities = [identity(OWNER, ["Admin", "Read", "Write", "List"]), identity(GIVEN, actions)]
    certified(joined, "storage", "s3", "tls", HOST, {"s3.json": json.dumps({"identities": identities})})
    joined.node.network.outside[HOST] = address
    # This run's own.
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write(f"{address} {HOST}\n")
    until("the bucket is there", lambda: ask(joined, "create") is not None, 60)


def older(one: Object) -> Object:
    """The PostgreSQL that is installed, in the words by which the operator chooses its settings."""
    if one["kind"] == "Cluster":
        one["spec"]["imageName"] = DEBIAN
    return one


def trusting(one: Object) -> Object:
    """The bucket's certificate is of this run's own authority."""
    if one["kind"] == "ObjectStore":
        one["spec"]["configuration"]["endpointCA"] = {"name": AUTHORITY, "key": "ca.crt"}
    return one


OVERLAYS = (
    overlays.Overlay(f"Cluster: {DEBIAN}", "Debian's PostgreSQL is 15", older),
    overlays.Overlay("ObjectStore: endpointCA", "the bucket's certificate is of this run's own authority", trusting),
)


def authority(joined: Joined, namespace: str) -> Object:
    """What the bucket's certificate is of."""
    where = {"name": AUTHORITY, "namespace": namespace}
    data = {"ca.crt": encoded(joined.plane.certificates.folder / "ca.crt")}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": where, "data": data}


def base_backup(joined: Joined, namespace: str) -> list[str]:
    """See the base backup done that the compiled ScheduledBackup asks for at once; the names of those that are."""

    def asked(phase: str) -> list[Object]:
        every = joined.api.list("postgresql.cnpg.io/v1", "Backup", namespace)
        return [one for one in every if one.get("status", {}).get("phase") == phase]

    # The operator has it run by `exec` in the instance's Pod. This node's kubelet serves no exec: the same is run for it.
    (one,) = until(f"a base backup is asked for in {namespace}", lambda: asked("failed"), 120)
    assert "error dialing backend" in one["status"]["error"]
    said = joined.plane.folder / "backup.txt"
    pod = joined.node.runs[f"{namespace}/{one['status']['instanceID']['podName']}"]
    command = ["/controller/manager", "backup", one["metadata"]["name"]]
    assert pod.container("postgres").execute(command, 60, said) == 0, said.read_text()
    done = until(f"a base backup is done in {namespace}", lambda: asked("completed"), 180)
    return [one["metadata"]["name"] for one in done]


def shell(joined: Joined, namespace: str, name: str, command: str) -> Path:
    """What a command of a tenant's page said in an instance's Pod, as `kubectl exec` has it run there."""
    said = joined.plane.folder / f"{namespace}-{name}.txt"
    code = joined.node.runs[f"{namespace}/{name}"].container("postgres").execute(["bash", "-c", command], 120, said)
    assert code == 0, said.read_bytes()[-2000:].decode(errors="replace")
    return said


def identity(key: str, actions: list[str]) -> Object:
    """Who may do what, as SeaweedFS has it; the key is its own secret."""
    return {"name": key, "credentials": [{"accessKey": key, "secretKey": key}], "actions": actions}


def certified(
    joined: Joined, namespace: str, name: str, file: str, host: str, more: dict[str, str] | None = None
) -> None:
    """A Secret with a certificate for a host, as <file>.crt and <file>.key."""
    files = joined.plane.certificates
    files.sign(name, [host])
    data = {f"{file}.{end}": encoded(files.folder / f"{name}.{end}") for end in ("crt", "key")}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
    joined.api.apply({**secret, "data": data, "stringData": more or {}})


def ask(joined: Joined, what: str = "list") -> list[str] | None:
    """Everything in the bucket; nothing where it does not answer."""
    command = [build.CLUSTER / "bin/python", "-c", ASK, HOST, joined.plane.certificates.file("ca.crt"), BUCKET, what]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": OWNER, "AWS_SECRET_ACCESS_KEY": OWNER, "NO_PROXY": "*"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else None
