"""A control plane for each cluster of the fleet, and Argo CD with the compiled tree as its repository.

Run by `make test-cluster` alone: everything here listens, and only a network namespace of its own keeps it in.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import build
import plane as planes_of
import pytest
from api import Api, Object, documents, until
from argo import ArgoCD
from bootstrapping import Bootstrapping
from externalsecrets import GROUP, ExternalSecrets
from plane import CLUSTERS, PORT, Plane, Recorder
from repository import TOP, Repository

from fleetnode.overlays import told
from metrics import Metrics

if TYPE_CHECKING:
    from joined import Joined

FOLDER = build.CACHE / "run"
RECORDED = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("cert-manager.io/v1", "Certificate"),
    ("networking.k8s.io/v1", "Ingress"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("postgresql.cnpg.io/v1", "Cluster"),
    ("postgresql.cnpg.io/v1", "Pooler"),
    ("argoproj.io/v1alpha1", "Application"),
)
STOOD_IN: list[str] = []
GIVEN = "given-by-a-person"
ADDRESS = "https://hooks.example.com/given-by-a-person"


def say(text: str) -> None:
    """A line for whoever waits."""
    print(f"  {text}", flush=True)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A run takes minutes: what failed is said at once."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if report.failed and crash:
        say(f"FAILED {report.nodeid}: {crash.message[:1500]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not real."""
    if STOOD_IN:
        terminalreporter.section("stand-ins")
        for line in STOOD_IN:
            terminalreporter.write_line(line)


def groups(cluster: str) -> set[str]:
    """API groups of what is compiled for a cluster, and of what its Argo CD and its edge read."""
    found = {thing["apiVersion"].rpartition("/")[0] for thing in documents(TOP / "compiled" / cluster).values()}
    # One controller reads both.
    found |= {"generators.external-secrets.io"} if GROUP in found else set()
    return found | {"argoproj.io", "gateway.networking.k8s.io", "traefik.io"}


@pytest.fixture(scope="session")
def planes() -> Iterator[dict[str, Plane]]:
    """A control plane for each cluster, with its custom resources and nodes."""
    if os.environ.get("KUBECONFIG"):
        pytest.skip("changes what is not its own: needs a control plane of this run")
    programs = build.folder()

    def begin(number: int, name: str) -> tuple[str, Plane]:
        made, start = Plane(programs, FOLDER / name, number), time.monotonic()
        made.start()
        up = time.monotonic() - start
        count = made.define(groups(name))
        defined = time.monotonic() - start
        made.nodes()
        assert made.api
        if GROUP in made.groups:
            made.secrets = ExternalSecrets(made)
            made.secrets.start()
        made.metrics = Metrics(
            made.api, made.certificates.file("server.crt"), made.certificates.file("server.key"), 4443 + number
        )
        say(f"{name}: API and controllers {up:.0f} s, {count} custom resources {defined - up:.0f} s, "
            f"{planes_of.NODES} nodes {time.monotonic() - start - defined:.0f} s")  # fmt: skip
        return name, made

    with ThreadPoolExecutor(len(CLUSTERS)) as pool:
        found = dict(pool.map(begin, range(len(CLUSTERS)), CLUSTERS))
    for file in sorted(planes_of.STANDINS.glob("*.yaml")):
        STOOD_IN.append(f"{file.stem}: {file.read_text().splitlines()[0].removeprefix('# ')}")
    STOOD_IN.append("pod-ready (kwok's own): Pods are ready without being run, whatever their probes say")
    yield found
    for made in found.values():
        made.stop()


class Fleet:
    """What the tests share: clusters, Argo CDs, the repository, everything that happened."""

    def __init__(self, planes: dict[str, Plane]) -> None:
        self.planes = planes
        ca = planes["eu1"].certificates.folder / "ca.crt"
        self.repository = Repository(FOLDER, ca)
        self.hub = ArgoCD(planes["eu1"], self.repository)
        self.own = ArgoCD(planes["ap1"], self.repository, 1)
        self.recorders = {name: Recorder(self.api(name), *self.recorded(name)) for name in planes}
        self.bootstrapping = {name: Bootstrapping(self.api(name), FOLDER / "jobs" / name) for name in planes}
        self.took: dict[str, float] = {}
        self.stored: dict[str, dict[str, str]] = {}
        """What was put into a store, by Secret and key."""

    def recorded(self, cluster: str) -> list[tuple[str, str]]:
        """What is watched there: kinds that it has."""
        have = self.planes[cluster].groups
        return [
            (api, kind)
            for api, kind in RECORDED
            if "." not in api or api.partition("/")[0] in have | {"networking.k8s.io"}
        ]

    def api(self, cluster: str) -> Api:
        """A cluster's API."""
        api = self.planes[cluster].api
        assert api
        return api

    def compiled(self, *parts: str) -> dict[Path, Object]:
        """Objects below a folder of compiled/, as they were bootstrapped."""
        return documents(TOP.joinpath("compiled", *parts))

    def tenants(self, cluster: str) -> list[str]:
        """Targets of a cluster but its platform."""
        return [
            f"{cluster}.{one.name}"
            for one in (TOP / "compiled" / cluster).iterdir()
            if one.name not in ("platform", "argocd")
        ]

    def by_hand(self, top: Path = TOP) -> None:
        """What a person applies of a tree: each cluster's root."""
        for cluster, argo in (("eu1", self.hub), ("us1", self.hub), ("ap1", self.own)):
            argo.plane.kubectl("apply", "-f", str(top / f"argocd/{cluster}.yaml"))

    def bootstrap(self) -> None:
        """By argocd/README.md: Argo CD that reaches the repository, clusters that a hub knows, and one command each."""
        for thread in (*self.recorders.values(), *self.bootstrapping.values()):
            thread.start()
        self.hub.start()
        self.own.start()
        ca = (self.planes["us1"].certificates.folder / "ca.crt").read_text()
        self.hub.know("us1", f"https://us1.k8s.example.com:{PORT}", ca)
        start = time.monotonic()
        self.by_hand()
        self.began = time.time()
        for cluster, plane in self.planes.items():
            give(self.api(cluster), self.compiled(cluster).values())
            for target in self.tenants(cluster) if plane.secrets else ():
                self.stored |= plane.secrets.fill(target)
        for argo in (self.hub, self.own):
            argo.settle(seconds=600, least=5)
        self.took["bootstrap"] = time.monotonic() - start


def give(api: Api, compiled: Iterable[Object]) -> None:
    """What only a person can create, once its namespace is there: docs/secrets.md."""
    for thing in compiled:
        for secret in json.loads((thing.get("data") or {}).get("secrets.json", "[]")):
            if "given" in secret["keys"].values():
                (place,) = secret["namespaces"]
                until(f"namespace {place}", lambda: api.get("v1", "Namespace", None, place), 120)  # noqa: B023
                given = {key: ADDRESS if key == "url" else GIVEN for key in secret["keys"]}
                api.create({
                    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret["name"], "namespace": place},
                    "stringData": given,
                })  # fmt: skip
                say(f"given by a person: Secret {place}/{secret['name']}")


@pytest.fixture(scope="session")
def fleet(planes: dict[str, Plane]) -> Iterator[Fleet]:
    """The fleet, brought to empty clusters and settled."""
    made = Fleet(planes)
    made.bootstrap()
    say(f"from kubectl apply to every Application Synced and Healthy: {made.took['bootstrap']:.0f} s")
    yield made
    for thread in (*made.recorders.values(), *made.bootstrapping.values()):
        thread.ended.set()
    for name, plane in planes.items():
        say(f"{name}, resident MiB: {plane.processes.memory()}")


@pytest.fixture(scope="session")
def joined() -> Iterator[Joined]:
    """A cluster whose node runs its Pods, settled."""
    from joined import Joined

    made = Joined()
    say(f"programs stand for images, by lib/fleetnode/images.py; otherwise only:\n{told(made.repository.overlays)}")
    say(f"from an empty cluster to Synced and Healthy, with Pods that run: {made.bootstrap():.0f} s")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def operators(joined: Joined) -> None:
    """CloudNativePG with its plugin, and a bucket."""
    import barman

    barman.install(joined)
