"""CloudNativePG's operator with its Barman Cloud plugin, as Pods of the node; and the bucket that tenants name, in SeaweedFS."""

from __future__ import annotations

import json
import os
import re
import subprocess
import textwrap
from collections.abc import Iterable
from pathlib import Path

import build
import yaml
from api import Object, until
from joined import Joined
from plane import encoded

from conftest import GIVEN
from fleetnode import overlays

HOST, BUCKET = "s3.nbg.example.net", "matrix-backups-group"
FOLDERS = ("group.example.com", "pair.example.com", "club.example.com", "choir.example.com", "platform-eu1")
"""Of tenants in the bucket."""
AUTHORITY = "s3-authority"
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
    source = build.module("github.com/cloudnative-pg/cloudnative-pg", build.HERE / "cloudnativepg")
    (queries,) = filter(None, yaml.safe_load_all((source / "config/manager/default-monitoring.yaml").read_text()))
    queries["metadata"]["namespace"] = "cnpg-system"
    api.apply(queries)
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


def trusting(one: Object) -> Object:
    """The bucket's certificate is of this run's own authority."""
    if one["kind"] == "ObjectStore":
        one["spec"]["configuration"]["endpointCA"] = {"name": AUTHORITY, "key": "ca.crt"}
    return one


OVERLAYS = (
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


def archived(joined: Joined, namespace: str, primary: str) -> None:
    """All that was committed on a server is in its archive."""

    def sql(query: str) -> str:
        return shell(joined, namespace, primary, f"psql -XAtqc '{query}'").read_text()

    segment = sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
    sql("SELECT pg_switch_wal()")
    until("it is archived", lambda: sql("SELECT last_archived_wal FROM pg_stat_archiver") >= segment, 60)


def primary_of(joined: Joined, namespace: str, server: str) -> str:
    """A server's primary, by its operator."""
    found = joined.api.get("postgresql.cnpg.io/v1", "Cluster", namespace, server)
    assert found
    return str(found["status"]["currentPrimary"])


def by_page(joined: Joined, page: str, moment: str) -> None:
    """A tenant's page recovery.md, "The database, to a moment", from its second step to its fourth."""
    page = page[page.index("## The database, to a moment") : page.index("## The keys")]

    def said(pattern: str) -> tuple[str, ...]:
        (found,) = re.findall(pattern, page, re.DOTALL)
        return found if isinstance(found, tuple) else (found,)

    (aside,) = said(r"kubectl create namespace (\S+)\n")
    where, secret, server = said(r"kubectl -n (\S+) get -o json secret/(\S+) objectstore/(\S+) \|")
    beside(joined, where, aside, (("v1", "Secret", secret), ("barmancloud.cnpg.io/v1", "ObjectStore", server)),
           said(r"```yaml\n(.*?)```")[0], moment)  # fmt: skip
    primary = primary_of(joined, where, server)
    exec_primary, exec_aside = (
        rf"kubectl -n {where} exec \$primary -c postgres -- ",
        rf"kubectl -n {aside} exec restored-1 -c postgres -- ",
    )
    shell(joined, where, primary, said(rf"{exec_primary}(createdb [^\n]+)\n")[0])
    # What the page's pipe carries from one Pod to the other.
    dump = shell(joined, aside, "restored-1", said(rf"{exec_aside}(pg_dump [^\n]+) \|\n")[0])
    dump = dump.rename(joined.plane.folder / "synapse.dump")
    on_primary = exec_primary.replace("exec ", "exec -i ")
    (load,) = said(rf"{on_primary}(pg_restore [^\n]+)\n")
    shell(joined, where, primary, f"cat {dump} | {load}")
    command, exchange = said(rf"{on_primary}(psql [^\n]+) <<'END'\n(.*?)END\n")
    shell(joined, where, primary, f"{command} <<'END'\n{textwrap.dedent(exchange)}\nEND")


def beside(
    joined: Joined, where: str, aside: str, copied: Iterable[tuple[str, str, str]], server: str, moment: str
) -> None:
    """Another server, restored to a moment in a namespace of its own."""
    api = joined.api
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": aside}})
    for version, kind, name in copied:
        found = api.get(version, kind, where, name)
        assert found
        body = {key: value for key, value in found.items() if key not in ("metadata", "status")}
        api.create(body | {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": aside}})
    api.apply(authority(joined, aside))
    made = yaml.safe_load(textwrap.dedent(server))
    made["spec"]["bootstrap"]["recovery"]["recoveryTarget"]["targetTime"] = moment
    api.create(made)

    def healthy() -> bool:
        found = api.get("postgresql.cnpg.io/v1", "Cluster", aside, "restored")
        return bool(found and found.get("status", {}).get("readyInstances") == 1)

    try:
        until("the other server is there", healthy, 240)
    except AssertionError as error:
        reports = [run.report() for run in list(joined.node.runs.values()) if run.pod.namespace == aside]
        raise AssertionError("\n".join([str(error), *reports])) from None


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
