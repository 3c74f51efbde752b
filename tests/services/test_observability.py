"""A tenant that is watched: every target answers, each part that goes away is told to the right people and to nobody
else, and told again when it is back; what the log agent would hand on holds no secret.

A real Prometheus and a real Alertmanager, with the compiled monitors, rules and receivers; rules wait PACE times
shorter. At the end the compiled dashboards are drawn of what Prometheus then knows.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pictures
import pytest
import requests
import yaml
from harness import TOP, eventually
from load import Load
from vrl_python import VRLRuntime

from fleetnode import monitoring
from podrunner.objects import read

PACE = 30
SCRAPED = 2
"""Seconds between two scrapes of a target, and what one may take."""
HOST = "10.244.0.1"
"""This machine, as Pods reach it."""
# Whose what is taken away, and the alert that must come; the rules name it, not the other way round.
PARTS = {
    "single/Deployment/synapse": "SynapseMainDown",
    "single/Deployment/router": "RouterDown",
    "single/StatefulSet/postgresql": "PostgresqlDown",
    "single/Deployment/element": "ElementDown",
    "ha/Deployment/redis": "RedisDown",
    "ha/StatefulSet/generic": "SynapseWorkerDown",
    "ha/StatefulSet/event-persister": "SynapseWorkerDown",
}
TENANTS = {"matrix-prod": "example.com", "matrix-ha": "group.example.com"}
"""Whose processes are watched, and what the world calls them."""
# What CloudNativePG's own programs tell, and the relay's, which Debian builds without.
UNSEEN = {"turn", "pgbouncer"}

PICTURES = TOP / ".cache/services/pictures"
USED = 60
"""Seconds that people write and read before pictures are drawn."""
NO_OPERATOR = "CloudNativePG does not run here"
NO_METRICS = "Debian's Coturn is built without metrics"
NO_PEER = "no other server runs here"
# Panels that can have no data here, and why.
EMPTY = {
    "coturn": dict.fromkeys(
        (
            "Allocations",
            "To and from clients, of sessions that ended",
            "To and from peers, of sessions that ended",
            "Bindings",
        ),
        NO_METRICS,
    ),
    "edge": {"Days left": "cert-manager does not run here"},
    "postgresql": {
        "Replica behind (CloudNativePG)": NO_OPERATOR,
        "Replicas that stream (CloudNativePG)": NO_OPERATOR,
        "Since the last archived segment": "backups are left out here",
    },
    "synapse": {"Other servers refused for a limit": NO_PEER, "Events that came": NO_PEER},
}


class People(ThreadingHTTPServer):
    """Whoever is told, and the API server whom Prometheus asks for Pods."""

    daemon_threads = True

    def __init__(self, node, monitors):
        super().__init__((HOST, 0), Answer)
        self.node, self.monitors, self.told = node, monitors, []

    def since(self, begun, status):
        """Receiver and name of each alert that came after a moment."""
        return {(receiver, name) for when, receiver, name, said, _ in self.told if when > begun and said == status}


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        monitor = self.server.monitors[self.path.rpartition("/")[2]]
        body = json.dumps(monitoring.targets(monitor, list(self.server.node.runs.values()))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in said["alerts"]:
            labels, receiver = alert["labels"], self.path.removeprefix("/told/")
            told = time.monotonic(), receiver, labels["alertname"], alert["status"], labels["tenant"]
            self.server.told.append(told)
        self.send_response(200)
        self.end_headers()


def compiled(kind, folder):
    return [one for one in read(TOP / "compiled" / folder) if one["kind"] == kind]


def prober(node):
    """The platform's exporter and its walls. It trusts the world that these names have here."""
    wanted = ("Namespace", "NetworkPolicy", "ConfigMap", "Service", "Deployment")
    objects = read(TOP / "compiled/eu1/platform/fence", TOP / "compiled/eu1/platform/workload/probes")
    objects = [one for one in objects if one["kind"] in wanted and "logs" not in one["metadata"]["name"]]
    (exporter,) = (one for one in objects if one["kind"] == "Deployment")
    world = Path(node.directory, "world-of-probes.pem")
    world.write_bytes(Path(node.directory, "world.pem").read_bytes())
    world.chmod(0o444)
    (container,) = exporter["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "SSL_CERT_FILE", "value": str(world)}]
    return objects


class Watch:
    """Prometheus, Alertmanager and who is told."""

    def __init__(self, node, people, watcher):
        self.node, self.people = node, people
        self.url, self.begun = f"http://{watcher.address}:9090/api/v1", time.time()

    def ask(self, query):
        answer = requests.get(f"{self.url}/query", params={"query": query}, timeout=10).json()
        return answer["data"]["result"]

    def firing(self):
        return {one["metric"]["alertname"] for one in self.ask('ALERTS{alertstate="firing"}')}


@pytest.fixture(scope="module")
def watch(node, single, ha):
    folders = [f"eu1/{tenant}/workload" for tenant in TENANTS]
    monitors = {one["metadata"]["name"]: one for folder in folders for one in compiled("PodMonitor", folder)}
    # No address of the world leads to Coturn here.
    probes = [one for folder in folders for one in compiled("Probe", folder) if "turn" not in one["metadata"]["name"]]
    (exporter,) = node.apply(prober(node))
    node.wait_ready(30, [exporter])
    people = People(node, monitors)
    threading.Thread(target=people.serve_forever, daemon=True).start()
    here = f"http://{HOST}:{people.server_port}"
    # Everybody's receivers, as in a cluster: who is told must be told by labels alone.
    receivers = compiled("AlertmanagerConfig", "eu1")
    said = yaml.safe_dump(monitoring.alertmanager(receivers, f"{here}/told", PACE))
    command = ["prometheus-alertmanager", "--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/data"]
    command += ["--web.listen-address=0.0.0.0:9093", "--cluster.listen-address="]
    (teller,) = node.apply(monitoring.pod("alertmanager", command, 9093, {"alertmanager.yml": said}))
    node.wait_ready(30, [teller])
    config = monitoring.prometheus(
        [*monitors.values(), *probes], f"{here}/targets", f"{teller.address}:9093", f"{SCRAPED}s"
    )
    files = {
        "prometheus.yml": yaml.safe_dump(config),
        "rules.yml": yaml.safe_dump(monitoring.rules(compiled("PrometheusRule", "eu1/platform"), PACE)),
    }
    command = ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/data"]
    (watcher,) = node.apply(monitoring.pod("prometheus", [*command, "--web.listen-address=0.0.0.0:9090"], 9090, files))
    node.wait_ready(60, [watcher])
    yield Watch(node, people, watcher)
    for name in ("prometheus", "alertmanager"):
        node.remove("Pod", monitoring.NAMESPACE, name)
    node.remove("Deployment", "fleet", "platform-probes")
    people.shutdown()


def test_every_target_answers(watch):
    monitored = {
        (tenant, one["metadata"]["name"].removeprefix(f"{tenant}-"))
        for tenant in TENANTS
        for one in compiled("PodMonitor", f"eu1/{tenant}/workload")
    }
    expected = {(tenant, job) for tenant, job in monitored if job not in UNSEEN} - {("matrix-ha", "postgresql")}
    expected |= {(tenant, "probe") for tenant in TENANTS}

    def answering():
        return {(one["metric"]["tenant"], one["metric"]["job"]) for one in watch.ask("up == 1")}

    eventually(lambda: answering() == expected, 60)
    assert not watch.ask('up{job!="turn"} == 0')
    for one in watch.ask('up{job!="probe"}'):
        assert one["metric"]["server_name"] == TENANTS[one["metric"]["tenant"]]


def test_the_world_finds_the_tenant(watch):
    asked = {"client", "federation", "well-known", "element"}
    eventually(lambda: {one["metric"]["check"] for one in watch.ask("probe_success == 1")} == asked, 60)
    assert not watch.ask("probe_success == 0")


def test_nothing_is_told_of_what_is_well(watch):
    eventually(lambda: not watch.firing(), 90)


@pytest.mark.parametrize("part", PARTS)
def test_what_goes_away_is_told_to_its_people_alone(watch, node, request, part):
    tenant, kind, component = part.split("/")
    namespace = request.getfixturevalue(tenant).namespace
    name, alert = f"{namespace}-{component}", PARTS[part]
    (rule,) = (
        rule
        for one in compiled("PrometheusRule", "eu1/platform")
        for group in one["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert") == alert
    )
    waits = int(monitoring.hurried(rule["for"], PACE)[:-1])
    taken = node.objects.need(kind, namespace, name)
    # Not even pending; budgets of errors burn on for an hour after what broke before is mended.
    eventually(lambda: not watch.ask(f'ALERTS{{alertname="{alert}"}}'), 60)
    begun = time.monotonic()
    node.remove(kind, namespace, name)
    try:
        mine = (f"{namespace}/{namespace}-alerts/people", alert)
        eventually(lambda: mine in watch.people.since(begun, "firing"), 60)
        # From the order to go, which takes a Pod its grace; a scrape that fails is one of the moment when it began.
        assert time.monotonic() - begun >= waits - SCRAPED, "told before the rule allows it"
        # What burns on of another tenant's goes to its own people.
        assert not [one for one in watch.people.told if one[1] != f"{one[4]}/{one[4]}-alerts/people"]
    finally:
        node.wait_ready(120, node.apply([taken]))
    eventually(lambda: mine in watch.people.since(begun, "resolved"), 120)


def test_a_cause_silences_its_symptoms(watch):
    """Nobody answers at Element Web's address while it is down: that ElementDown says already."""
    told = {name for _, _, name, _, _ in watch.people.told}
    assert "ElementDown" in told and "ProbeElementFails" not in told


def test_what_the_log_agent_would_hand_on_holds_no_secret(watch, node, single):
    """Its compiled program over every line that these processes have written."""
    token = "syt_b2JzZXJ2ZXI_AbCdEfGhIjKlMnOpQrSt_0aB1cD"
    single.http().get(f"{single.url}/_matrix/client/v3/sync?access_token={token}", timeout=10)
    (config,) = (
        one for one in compiled("ConfigMap", "eu1/platform/workload/logs") if "clean.vrl" in one.get("data", {})
    )
    runtime, program, lines = VRLRuntime(), config["data"]["clean.vrl"], 0
    for run in node.pods(namespace=single.namespace):
        for container in run.containers:
            for line in container.log.read_text(errors="replace").splitlines() if container.log.exists() else ():
                about = {"pod_name": run.pod.name, "container_name": container.name, "pod_node_name": "here"}
                event = {"message": line, "kubernetes": {"pod_labels": dict(run.pod.labels), **about}, "timestamp": "t"}
                clean = runtime.execute(program, event).processed_event
                assert clean["tenant"] == "matrix-prod" and clean["component"] and clean["level"]
                assert "syt_" not in clean["message"] and "10.244.0.1 " not in clean["message"]
                lines += 1
    assert lines > 100


def used(single):
    """Two people write and read for a while, begin anew, and have a phone that cannot be reached."""
    people = [single.person(name) for name in ("alice", "bob")]
    for person in people:
        single.unlimited(person)
    rooms = [people[0].room(preset="public_chat") for _ in range(2)]
    for room in rooms:
        people[1].ask("POST", f"join/{quote(room)}")
    phone = {"url": "https://push.example.net/_matrix/push/v1/notify", "format": "event_id_only"}
    about = {"app_id": "scenario", "app_display_name": "scenario", "device_display_name": "phone", "lang": "en"}
    people[1].ask("POST", "pushers/set", {"kind": "http", "pushkey": "phone", "data": phone, **about})
    with Load(single, people, rooms):
        for second in range(0, USED, 3):
            # Each other than the one before, or it would be answered from a cache.
            people[0].ask("GET", f"sync?timeout={second}")
            time.sleep(3)


def test_every_dashboard_shows_what_runs(watch, single):
    """Drawn of the time since Prometheus came up. A panel without data is broken, or named with its reason."""
    used(single)
    boards = pictures.boards(compiled("ConfigMap", "eu1/platform/workload/dashboards"))
    source = pictures.Source(watch.url, watch.begun, time.time(), SCRAPED, single.namespace)
    made = {name: source.drawn(board, EMPTY.get(name, {})) for name, board in boards.items()}
    pictures.draw(made, PICTURES)
    for name, board in made.items():
        shown = {panel["title"]: panel["series"] for panel in board["panels"] if panel["type"] != "row"}
        named = EMPTY.get(name, {}).keys()
        assert named <= shown.keys(), f"{name} has no such panels"
        assert not [title for title, data in shown.items() if not data and title not in named], name
        assert (PICTURES / f"{name}.png").stat().st_size < 250_000
