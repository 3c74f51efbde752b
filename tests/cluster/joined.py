"""One cluster whose one node really runs its Pods, and a homeserver that Argo CD brings there.

Ready is what the compiled probes answered. The compiled NetworkPolicies are enforced, Traefik reads the compiled edge
from the API server, and the bootstrap Job reaches that by the addresses that its policy opens. Not real: images
(programs of this machine stand for them), and the stand-ins that the run prints.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import build
import yaml
from api import Object, documents
from argo import ArgoCD
from certmanager import CertManager
from kubelet import Kubelet
from plane import FAKE, Plane, Recorder, node
from repository import TOP, Repository

from conftest import FOLDER, give, groups
from fleetnode import images, overlays
from fleetnode.certificates import Authority
from fleetnode.tenant import register
from metrics import Metrics
from podrunner.images import Image
from podrunner.runner import PodRun

VENV = TOP / ".cache/services/venv"
API_SERVER = "10.20.0.10"
"""One of the addresses that the inventory gives eu1's API servers: the policies of those who ask them open it."""
RECORDED = (
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("cert-manager.io/v1", "Certificate"),
    ("networking.k8s.io/v1", "Ingress"),
)
REAL = ("certificate", "cluster", "ingress", "service", "pod-complete", "pod-delete")
"""Stand-ins of kwok that nobody needs here."""


class SomeTenants(Repository):
    """compiled/ with some of its targets, and what must differ on one machine. Another cluster than eu1 is the same one."""

    kept = ("eu1/platform", "eu1/matrix-prod")
    overlays: Sequence[overlays.Overlay] = (
        overlays.without("DaemonSet", "logs", "no program of this machine stands for Vector"),
    )

    def put(self, top: Path) -> None:
        super().put(top)
        for folder in (self.work / "compiled").glob("*/*"):
            if folder.is_dir() and f"{folder.parent.name}/{folder.name}" not in self.kept:
                shutil.rmtree(folder)
        for name in self.kept:
            for path, thing in documents(self.work / f"compiled/{name}").items():
                changed = overlays.laid([thing], self.overlays)
                if changed != [thing]:
                    path.unlink()
                    for one in changed:
                        path.write_text(yaml.safe_dump(one))


class Joined:
    """The cluster with its one real node."""

    def __init__(self) -> None:
        network()
        self.plane = Plane(build.folder(), FOLDER / "joined", bind="0.0.0.0")
        self.api = self.plane.start()
        self.plane.define(groups("eu1"))
        self.plane.nodes(scripts=False, count=0, real=REAL)
        self.api.apply(reached_at(API_SERVER))
        self.world = Authority("the world")
        self.authority = self.plane.folder / "world.pem"
        self.authority.write_bytes(self.world.pem)
        self.certmanager = CertManager(self.api, self.world)
        self.certmanager.start()
        programs = (
            images.debian(VENV.resolve(), TOP / ".cache/services/programs", TOP / "tests/services/element")
            | operator_image()
        )
        self.node = Kubelet(self.plane.folder / "node", programs, self.api, "real")
        self.node.join(real_node("real"))
        files = self.plane.certificates
        Metrics(self.api, files.file("server.crt"), files.file("server.key"), 4443)
        self.make("traefik.yaml")
        self.recorder = Recorder(self.api, *RECORDED)
        self.recorder.start()
        self.repository = SomeTenants(self.plane.folder / "repository", files.folder / "ca.crt")
        self.argo = ArgoCD(self.plane, self.repository)

    def make(self, file: str) -> None:
        """The objects of a file beside this one."""
        for thing in yaml.safe_load_all((Path(__file__).parent / file).read_text()):
            self.api.apply(thing)

    def bootstrap(self) -> float:
        """By argocd/README.md; the seconds that it took."""
        self.argo.start()
        start = time.monotonic()
        self.plane.kubectl("apply", "-f", str(TOP / "argocd/eu1.yaml"))
        give(self.api, documents(self.repository.work / "compiled/eu1").values())
        self.settle(least=5)
        return time.monotonic() - start

    def settle(self, *names: str, revision: str = "", seconds: float = 300, least: int = 1) -> None:
        """As Argo CD's; a failure says how the Pods stand."""
        try:
            self.argo.settle(*names, revision=revision, seconds=seconds, least=least)
        except AssertionError as error:
            bad = [run.report() for run in list(self.node.runs.values()) if not run.settled]
            raise AssertionError("\n".join([str(error), *bad, *self.node.refused.values()])) from None

    def stop(self) -> None:
        """Pods first."""
        self.node.leave()
        self.certmanager.ended.set()
        self.recorder.stop()
        self.plane.stop()


class Homeserver:
    """A tenant there, as the world sees it."""

    def __init__(self, joined: Joined, namespace: str, host: str) -> None:
        self.joined, self.namespace, self.host = joined, namespace, host

    def run(self, component: str) -> PodRun:
        """The one Pod of a component."""
        return self.joined.node.run_of(self.namespace, component=component)

    def uids(self) -> dict[str, str]:
        """Component of each Pod that lives, Jobs' apart, by uid."""
        return {
            pod["metadata"]["uid"]: pod["metadata"]["labels"]["app.kubernetes.io/component"]
            for pod in self.joined.api.list("v1", "Pod", self.namespace)
            if "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["ownerReferences"][0]["kind"] != "Job"
        }

    def call(self, method: str, path: str, body: Object | None = None, token: str = "") -> tuple[int, Any]:
        """A request of the world's, by Traefik's address; the certificate must be the host's."""
        traefik = self.joined.api.get("v1", "Service", "traefik", "traefik")
        assert traefik
        (address,) = (each["ip"] for each in traefik["status"]["loadBalancer"]["ingress"])
        connection = http.client.HTTPConnection(self.host)
        raw = socket.create_connection((address, 443), timeout=20)
        context = ssl.create_default_context(cafile=str(self.joined.authority))
        connection.sock = context.wrap_socket(raw, server_hostname=self.host)
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

    def send(self, token: str, room: str, text: str) -> str:
        """A message; its event."""
        body, number = {"msgtype": "m.text", "body": text}, secrets.token_hex(8)
        return str(self.client("PUT", f"rooms/{room}/send/m.room.message/{number}", body, token)["event_id"])

    def answers(self) -> bool:
        """Whether the homeserver does."""
        try:
            return self.call("GET", "/_matrix/client/versions")[0] == 200
        except OSError:
            return False

    def log_in(self, name: str) -> str:
        """A user, registered in Synapse's Pod as the documentation says, and logged in; the token."""
        password, output = secrets.token_urlsafe(12), self.joined.plane.folder / "register.txt"
        register(self.run("synapse"), name, password, output)
        who = {"type": "m.id.user", "user": name}
        said = self.client("POST", "login", {"type": "m.login.password", "identifier": who, "password": password})
        return str(said["access_token"])


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


def operator_image() -> dict[str, Image]:
    """CloudNativePG's operator and its plugin: Pods of theirs run the same programs."""
    program, plugin = build.operator("cloudnativepg"), {"/manager": build.operator("barmancloud")}
    binds = {"/manager": program, "/operator/manager_amd64": program}
    barman = "Barman Cloud's plugin, built from its module"
    tools = (str(build.CLUSTER / "bin"),)
    return {
        "ghcr.io/cloudnative-pg/cloudnative-pg": Image("CloudNativePG, built from its module", binds=binds),
        "ghcr.io/cloudnative-pg/plugin-barman-cloud": Image(barman, binds=plugin, command=("/manager",)),
        "ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar": Image(
            f"{barman}, and Barman 3.15 of PyPI", tools, plugin, {26: "postgres"}, ("/manager",)
        ),
    }
