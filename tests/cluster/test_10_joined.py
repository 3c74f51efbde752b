"""10. Both proofs joined: Argo CD brings a homeserver from an empty cluster to Synced and Healthy on a node that really
runs its Pods, and a client talks to it.

Ready is what the compiled probes answered. The compiled NetworkPolicies are enforced, Traefik reads the compiled edge
from the API server, and the bootstrap Job reaches that by the addresses that its policy opens. Not real: images
(programs of this machine stand for them), CloudNativePG, and the stand-ins that the run prints.
"""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import build
import pytest
import yaml
from api import Object, documents, until
from argo import ArgoCD
from certmanager import CertManager
from change import PullRequests
from kubelet import Kubelet
from order import in_order
from plane import FAKE, Plane, Recorder, is_ready, node
from repository import TOP, Repository

from conftest import FOLDER, give, groups, say
from fleetnode import images, overlays
from fleetnode.certificates import Authority
from podrunner.runner import PodRun

VENV = TOP / ".cache/services/venv"
TENANT, NAMESPACE, HOST = "eu1-matrix-prod", "matrix-prod", "matrix.example.com"
PROD = "inventory/targets/eu1/matrix-prod.yml"
KEPT = ("platform", "matrix-prod")
API_SERVER = "10.20.0.10"
"""One of the addresses that the inventory gives eu1's API servers: the bootstrap Job's policy opens it."""
APPLIED = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Certificate", "Ingress")
OVERLAYS = (overlays.EXPORTER,)


class OneTenant(Repository):
    """compiled/ with one tenant of one cluster, and what must differ on one machine."""

    def put(self, top: Path) -> None:
        super().put(top)
        for folder in (self.work / "compiled").glob("*/*"):
            if folder.is_dir() and (folder.parent.name != "eu1" or folder.name not in KEPT):
                shutil.rmtree(folder)
        for path, thing in documents(self.work / "compiled/eu1/matrix-prod/workload").items():
            (changed,) = overlays.laid([thing], OVERLAYS)
            if changed != thing:
                path.write_text(yaml.safe_dump(changed))


class Joined:
    """The cluster with its one real node."""

    def __init__(self) -> None:
        network()
        self.plane = Plane(build.folder(), FOLDER / "joined", bind="0.0.0.0")
        self.api = self.plane.start()
        self.plane.define(groups("eu1"))
        self.plane.nodes(
            scripts=False, count=0, real=("certificate", "ingress", "service", "pod-complete", "pod-delete")
        )
        self.api.apply(reached_at(API_SERVER))
        self.world = Authority("the world")
        self.authority = self.plane.folder / "world.pem"
        self.authority.write_bytes(self.world.pem)
        self.certmanager = CertManager(self.api, self.world)
        self.certmanager.start()
        programs = images.debian(VENV.resolve(), TOP / "tests/services/element")
        self.node = Kubelet(self.plane.folder / "node", programs, self.api, "real")
        self.node.join(real_node("real"))
        for thing in yaml.safe_load_all((Path(__file__).parent / "traefik.yaml").read_text()):
            self.api.apply(thing)
        self.recorder = Recorder(self.api, ("v1", "Pod"), *(kind for kind in RECORDED if kind[1] in APPLIED))
        self.recorder.start()
        self.repository = OneTenant(self.plane.folder / "repository", self.plane.certificates.folder / "ca.crt")
        self.argo = ArgoCD(self.plane, self.repository)
        self.tokens: dict[str, str] = {}

    def bootstrap(self) -> float:
        """By argocd/README.md; the seconds that it took."""
        self.argo.start()
        start = time.monotonic()
        self.plane.kubectl("apply", "-f", str(TOP / "argocd/eu1.yaml"))
        give(self.api, documents(self.repository.work / "compiled/eu1").values())
        try:
            self.argo.settle(seconds=300, least=5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told()}") from None
        return time.monotonic() - start

    def told(self) -> str:
        """How the Pods stand that are not well."""
        bad = [run.report() for run in list(self.node.runs.values()) if not run.settled]
        return "\n".join([*bad, *self.node.refused.values()])

    def run(self, component: str) -> PodRun:
        """The one Pod of a component."""
        return self.node.run_of(NAMESPACE, component=component)

    def uids(self) -> dict[str, str]:
        """Component of each Pod that lives, Jobs' apart, by uid."""
        return {
            pod["metadata"]["uid"]: pod["metadata"]["labels"]["app.kubernetes.io/component"]
            for pod in self.api.list("v1", "Pod", NAMESPACE)
            if "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["ownerReferences"][0]["kind"] != "Job"
        }

    def call(self, method: str, path: str, body: Object | None = None, token: str = "") -> tuple[int, Any]:
        """A request of the world's, by Traefik's address; the certificate must be the host's."""
        traefik = self.api.get("v1", "Service", "traefik", "traefik")
        assert traefik
        (address,) = (each["ip"] for each in traefik["status"]["loadBalancer"]["ingress"])
        connection = http.client.HTTPConnection(HOST)
        raw = socket.create_connection((address, 443), timeout=20)
        connection.sock = ssl.create_default_context(cafile=str(self.authority)).wrap_socket(raw, server_hostname=HOST)
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else text
        finally:
            connection.close()

    def client(self, method: str, path: str, body: Object | None = None, token: str = "") -> Any:
        """A request of the client API that must succeed."""
        status, said = self.call(method, f"/_matrix/client/v3/{path}", body, token)
        assert status == 200, (status, said)
        return said

    def answers(self) -> bool:
        """Whether the homeserver does."""
        try:
            return self.call("GET", "/_matrix/client/versions")[0] == 200
        except OSError:
            return False

    def log_in(self, name: str) -> str:
        """A user, registered in Synapse's Pod as the documentation says, and logged in; the token."""
        password, output = secrets.token_urlsafe(12), self.plane.folder / "register.txt"
        command = [
            "python",
            "-m",
            "synapse._scripts.register_new_matrix_user",
            "--config",
            "/etc/synapse/homeserver.yaml",
        ]
        command += ["--user", name, "--password", password, "--no-admin", "http://localhost:8008"]
        code = self.run("synapse").container("synapse").execute(command, 60, output)
        assert code == 0, output.read_text()
        who = {"type": "m.id.user", "user": name}
        said = self.client("POST", "login", {"type": "m.login.password", "identifier": who, "password": password})
        return str(said["access_token"])


RECORDED = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("cert-manager.io/v1", "Certificate"),
    ("networking.k8s.io/v1", "Ingress"),
)


def network() -> None:
    """Of this run's own namespaces: Pods get a bridge in the place of loopback, the API server an address of eu1's."""
    subprocess.run(["ip", "route", "del", "local", "10.244.0.0/14", "dev", "lo"], capture_output=True)
    subprocess.run(["ip", "address", "add", f"{API_SERVER}/32", "dev", "lo"], check=True)
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)


def reached_at(address: str) -> Object:
    """The API server behind the Service of its name."""
    labels = {"kubernetes.io/service-name": "kubernetes"}
    metadata = {"name": "kubernetes", "namespace": "default", "labels": labels}
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }  # fmt: skip


def real_node(name: str) -> Object:
    """A node that kwok leaves alone."""
    made = node(name, "zone-0")
    del made["metadata"]["annotations"][FAKE]
    return made


@pytest.fixture(scope="module")
def joined() -> Iterator[Joined]:
    """The cluster, settled."""
    made = Joined()
    say(f"programs stand for images, by lib/fleetnode/images.py; otherwise only:\n{overlays.told(OVERLAYS)}")
    took = made.bootstrap()
    say(f"from an empty cluster to Synced and Healthy, with Pods that run: {took:.0f} s")
    yield made
    made.node.leave()
    made.certmanager.ended.set()
    made.recorder.stop()
    made.plane.stop()


@pytest.fixture(scope="module")
def room(joined: Joined) -> tuple[str, str, str]:
    """A client's token, a room of its own, and the event of a message in it."""
    until("the homeserver answers", joined.answers, 30)
    token = joined.log_in("alice")
    room = joined.client("POST", "createRoom", {"name": "Tea"}, token)["room_id"]
    body = {"msgtype": "m.text", "body": "milk?"}
    event = joined.client("PUT", f"rooms/{room}/send/m.room.message/1", body, token)["event_id"]
    return token, room, event


def still_there(joined: Joined, room: tuple[str, str, str]) -> None:
    """The message is read again, with the token from before."""
    token, where, event = room
    said = joined.client("GET", f"rooms/{where}/event/{event}", token=token)
    assert said["content"]["body"] == "milk?"


def readable(joined: Joined, room: tuple[str, str, str]) -> bool:
    """Whether it is just now."""
    try:
        still_there(joined, room)
    except (AssertionError, OSError):
        return False
    return True


def test_waves_come_one_after_the_other(joined: Joined) -> None:
    say(in_order(joined.recorder, NAMESPACE))


def test_every_pod_runs_and_is_ready_by_its_own_probes(joined: Joined) -> None:
    pods = [pod for pod in joined.api.list("v1", "Pod") if pod["metadata"]["namespace"].startswith(NAMESPACE)]
    for pod in pods:
        run = joined.node.runs[f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"]
        assert pod["spec"]["nodeName"] == "real"
        if run.pod.restart_policy == "Always":
            assert is_ready(pod) and all(one.process and one.process.poll() is None for one in run.main)
            probed = [one for one in run.main if "readinessProbe" in one.spec]
            assert probed and all(one.told for one in probed)
        else:
            assert pod["status"]["phase"] == "Succeeded"
    assert {"synapse", "postgresql", "router", "element", "bootstrap", "roles", "turn"} <= {
        pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods
    }


def test_the_policies_were_in_the_way(joined: Joined) -> None:
    """The Job's one way out is its policy's; nothing that was needed was denied."""
    counted = joined.node.counters()
    bootstrap = next(counts for key, counts in counted.items() if f"{NAMESPACE}-bootstrap" in key)
    assert bootstrap[f"{NAMESPACE}/{NAMESPACE}-bootstrap egress 0"] > 0
    denied = {key: counts for key, counts in counted.items() if counts.get("denied ingress")}
    assert denied == {}


def test_a_client_logs_in_and_sends_a_message(joined: Joined, room: tuple[str, str, str]) -> None:
    still_there(joined, room)


def test_a_changed_setting_rolls_the_pod_and_the_message_is_still_there(
    joined: Joined, room: tuple[str, str, str]
) -> None:
    pull, before = PullRequests(FOLDER / "pull-joined", joined.repository), joined.uids()
    pull.source.edit(PROD, "      signing_key: volume\n", "      signing_key: volume\n      presence: false\n")
    pull.compile()
    took = joined.argo.push("no presence")
    after = joined.uids()
    assert {component for uid, component in (before | after).items() if (uid in before) != (uid in after)} == {
        "synapse"
    }
    until("the homeserver answers", joined.answers, 30)
    still_there(joined, room)
    token, _, _ = room
    # Its new setting is in force.
    status = joined.client("GET", "presence/%40alice%3Aexample.com/status", token=token)
    assert status["presence"] == "offline"
    say(f"a changed setting was Synced and Healthy {took:.0f} s after the push")


@pytest.mark.parametrize("component", ["synapse", "postgresql"])
def test_a_deleted_pod_heals(joined: Joined, room: tuple[str, str, str], component: str) -> None:
    """Argo CD says meanwhile that the tenant is not well, and no second one runs beside it."""
    run, start = joined.run(component), time.monotonic()
    pod = joined.node.bound[run.key]
    joined.api.delete(pod)
    until("Argo CD takes it for unwell", lambda: joined.argo.application(TENANT)["status"]["health"]["status"] != "Healthy", 60, 0.1)  # type: ignore[index]  # fmt: skip
    joined.argo.settle(TENANT)
    assert joined.run(component).pod.uid != run.pod.uid
    # A database connection that was cut is noticed by the first request that uses it: that one alone fails.
    until("the message is read again", lambda: readable(joined, room), 60)
    say(f"a deleted Pod of {component} was healed in {time.monotonic() - start:.0f} s")
