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

HOST, BUCKET, FOLDER = "s3.nbg.example.net", "matrix-backups-group", "group.example.com"
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
    actions = [f"Write:{BUCKET}/{FOLDER}/*", f"Read:{BUCKET}", f"List:{BUCKET}"]
    identities = [identity(OWNER, ["Admin", "Read", "Write", "List"]), identity(GIVEN, actions)]
    certified(joined, "storage", "s3", "tls", HOST, {"s3.json": json.dumps({"identities": identities})})
    joined.node.network.outside[HOST] = address
    # This run's own.
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write(f"{address} {HOST}\n")
    until("the bucket is there", lambda: ask(joined, "create") is not None, 60)


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
