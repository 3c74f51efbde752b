"""`make demo`: a compiled tenant as this user's processes, until Ctrl-C. Needs no root, no cluster, no container."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import yaml

from fleetnode import images, overlays
from fleetnode import secrets as secrets_of
from fleetnode.certificates import Authority
from fleetnode.tenant import Tenant, boot, pods, register
from podrunner.images import Image, repository
from podrunner.loopback import LoopbackNode
from podrunner.node import NotReady
from podrunner.objects import CONTROLLERS, Object, pods_of
from podrunner.runner import PodRun

TOP = Path(__file__).resolve().parents[2]
VENV = Path(sys.prefix)
USER = "alice"
FIRST_NETWORK = 77


def main() -> int:
    """Exit code 0 after Ctrl-C, 1 where the tenant does not come up, 2 where it cannot be tried."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "tenant", nargs="?", default="eu1/matrix-prod", help="a folder of compiled/, e.g. eu1/matrix-prod"
    )
    parser.add_argument("--seconds", type=float, default=0, help="end after so long instead of at Ctrl-C")
    asked = parser.parse_args()
    if os.geteuid() == 0:
        print("make demo: PostgreSQL refuses to run as root; run it as an ordinary user", file=sys.stderr)
        return 2
    folder = TOP / "compiled" / asked.tenant
    if not (folder / "workload").is_dir():
        print(f"make demo: no tenant {asked.tenant} in compiled/; expected CLUSTER/TENANT", file=sys.stderr)
        return 2
    table = images.wheels(VENV)
    tenant = Tenant(folder, overlays.DEMO)
    if reasons := missing(tenant.objects, table):
        print(f"make demo: {asked.tenant} cannot run on one machine: {'; '.join(reasons)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        network, held = _free_network(_ports(tenant))
    except RuntimeError as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 2
    # Short, since a socket's path may have 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="fleet-"))
    node = LoopbackNode(directory, table, network)
    try:
        _show(node, folder, asked.seconds)
        return 0
    except (NotReady, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("\nending the processes, removing their data", flush=True)
        node.stop(grace=10)
        shutil.rmtree(directory, ignore_errors=True)
        for one in held:
            one.close()


def missing(objects: list[Object], table: Mapping[str, Image]) -> list[str]:
    """What a tenant needs and this machine does not have, told before anything starts; nothing where it can boot."""
    configurations = [one["data"]["homeserver.yaml"] for one in objects if "homeserver.yaml" in (one.get("data") or {})]
    if not configurations:
        return ["it has no Synapse"]
    pods = [pod for one in objects if one["kind"] in ("Pod", *CONTROLLERS) for pod in pods_of(one)]
    if not any(pod.labels.get("app.kubernetes.io/component") == "synapse" for pod in pods):
        return ["it is stopped"]
    found = []
    if any(one["kind"] == "ExternalSecret" for one in objects):
        found.append("its Secrets come from a store")
    given = [one["name"] for one in secrets_of.wanted(objects) if "given" in one["keys"].values()]
    if given:
        found.append(f"a person makes its {', '.join(sorted(given))}")
    images_of = {repository(one["image"]) for pod in pods for one in (*pod.init_containers, *pod.containers)}
    if unknown := sorted(one.rpartition("/")[2] for one in images_of - table.keys()):
        found.append(f"no Python package has {', '.join(unknown)}")
    settings = yaml.safe_load(configurations[0])
    host = settings["database"]["args"]["host"]
    if host.partition(".")[0] not in {one["metadata"]["name"] for one in objects if one["kind"] == "Service"}:
        found.append(f"its database is elsewhere, at {host}")
    asked = [one["issuer"] for one in settings.get("oidc_providers", ())]
    if asked:
        found.append(f"Synapse asks {', '.join(asked)} before it starts")
    return found


def _ports(tenant: Tenant) -> list[int]:
    """The TCP ports of a tenant's Pods."""
    pods = [pod for one in tenant.objects if one["kind"] in ("Pod", *CONTROLLERS) for pod in pods_of(one)]
    ports = (port for pod in pods for container in pod.containers for port in container.get("ports", []))
    return sorted({port["containerPort"] for port in ports if port.get("protocol", "TCP") == "TCP"})


def _free_network(ports: list[int]) -> tuple[str, list[socket.socket]]:
    """The first two numbers of addresses on which every port is free, and what keeps other demos off them: the ports of
    the first address, which no Pod has. Raises RuntimeError where a port is taken on all of them."""
    taken = 0
    for number in range(FIRST_NETWORK, FIRST_NETWORK + 20):
        held: list[socket.socket] = []
        for port in ports:
            one = socket.socket()
            held.append(one)
            try:
                one.bind((f"127.{number}.0.1", port))
            except OSError:
                taken = port
                break
        else:
            return f"127.{number}", held
        for one in held:
            one.close()
    raise RuntimeError(f"port {taken} is taken on every address of this machine; end the program that listens there")


def _show(node: LoopbackNode, folder: Path, seconds: float) -> None:
    begun = time.monotonic()
    print(f"What differs from a cluster, beside that nothing walls these processes in:\n{overlays.told(overlays.DEMO)}")
    print(f"Logs and data are in {node.directory} until it ends.", flush=True)
    tenant = Tenant(folder, overlays.DEMO)
    boot(node, tenant, Authority("demo"), VENV / "bin/python", timeout=120)
    synapse = pods(node, tenant, "synapse")[0]
    url = f"http://{synapse.address}:8008"
    password = _register(node, synapse, url)
    server = _server_name(tenant)
    print(
        f"""
{tenant.name} is up after {time.monotonic() - begun:.0f} s: {url}
  user       @{USER}:{server}
  password   {password}
Try
  curl {url}/_matrix/client/versions
  curl {url}/_matrix/client/v3/login -d '{{"type":"m.login.password","user":"{USER}","password":"{password}"}}'
  any Matrix client that lets you name the homeserver: {url}
Ctrl-C ends it.
""",
        flush=True,
    )
    _watch(node, begun + seconds if seconds else None)


def _watch(node: LoopbackNode, until: float | None) -> None:
    """Say how each process stands, and say it again when that changes."""
    told: dict[str, str] = {}
    while until is None or time.monotonic() < until:
        for run in node.pods():
            for one in run.main:
                restarts = f", {one.restarted} restarts" if one.restarted else ""
                state = f"{one.state}{', ready' if one.ready else ''}{restarts}"
                name = f"{run.pod.name}/{one.name}"
                if told.get(name) != state:
                    told[name] = state
                    print(f"{time.strftime('%H:%M:%S')}  {name:<45} {run.address:<12} {state}", flush=True)
        time.sleep(0.5)


def _register(node: LoopbackNode, synapse: PodRun, url: str) -> str:
    password = secrets.token_urlsafe(9)
    register(synapse, USER, password, node.directory / "register.txt", url=url)
    return password


def _server_name(tenant: Tenant) -> str:
    for one in tenant.objects:
        text = (one.get("data") or {}).get("homeserver.yaml", "") if one["kind"] == "ConfigMap" else ""
        if text.startswith("server_name: "):
            return str(text.partition("\n")[0].removeprefix("server_name: "))
    raise LookupError(f"{tenant.name}: no homeserver.yaml")


if __name__ == "__main__":
    sys.exit(main())
