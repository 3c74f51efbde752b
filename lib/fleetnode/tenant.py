"""A compiled tenant: its objects, and how it comes up on a node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleetnode import certificates, cnpg, secrets
from fleetnode.certificates import Authority
from fleetnode.overlays import Overlay, laid
from podrunner.node import Node, NotReady
from podrunner.objects import CONTROLLERS, Object, read
from podrunner.runner import PodRun

WAVE = "argocd.argoproj.io/sync-wave"
SKIPPED = ("PodMonitor", "PodDisruptionBudget", "HorizontalPodAutoscaler", "ServiceAccount", "Role", "RoleBinding")


@dataclass
class Tenant:
    """A tenant that runs, or is about to."""

    folder: Path
    overlays: Sequence[Overlay]
    objects: list[Object] = field(default_factory=list)
    namespace: str = ""

    def __post_init__(self) -> None:
        compiled = read(self.folder / "fence", self.folder / "workload")
        self.objects = cnpg.expanded(laid(compiled, self.overlays))
        walled = (one["metadata"]["namespace"] for one in self.objects if one["kind"] == "NetworkPolicy")
        self.namespace = next(walled, "")

    @property
    def name(self) -> str:
        """As the inventory calls it, e.g. eu1.acme."""
        return f"{self.folder.parent.name}.{self.folder.name}"

    def waves(self) -> list[tuple[int, list[Object]]]:
        """The objects in the order in which Argo CD applies them: all walls, then wave by wave."""
        found: dict[int, list[Object]] = {}
        for one in self.objects:
            if one["kind"] in SKIPPED:
                continue
            fence = one["kind"] in ("Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange")
            wave = -1 if fence else int(one["metadata"].get("annotations", {}).get(WAVE, 0))
            found.setdefault(wave, []).append(one)
        return sorted(found.items())


def boot(node: Node, tenant: Tenant, world: Authority, python: Path, timeout: float = 120) -> dict[str, float]:
    """Bring a tenant up; returns the seconds that each wave took until it was ready. `python` has Synapse. Raises
    NotReady, with the tenant, the Pods and what they logged last."""
    secrets.bootstrap(tenant.objects, node.objects, python)
    certificates.issue(tenant.objects, node.objects, world)
    cnpg.secrets(tenant.objects, node.objects)
    took = {}
    for wave, objects in tenant.waves():
        begun = time.monotonic()
        started = node.apply(objects)
        try:
            node.wait_ready(timeout, started)
        except NotReady as error:
            raise NotReady(f"tenant {tenant.name}, wave {wave}: {error}") from None
        if any(one["kind"] in CONTROLLERS for one in objects):
            took[f"wave {wave}"] = round(time.monotonic() - begun, 1)
    return took


def pods(node: Node, tenant: Tenant, component: str) -> list[PodRun]:
    """A tenant's Pods of one component, e.g. router."""
    instance = tenant.folder.name
    return [
        run for run in node.pods(component=component) if run.pod.labels.get("app.kubernetes.io/instance") == instance
    ]


def register(
    synapse: PodRun, name: str, password: str, output: Path, *, admin: bool = False, url: str = "http://localhost:8008"
) -> None:
    """Register a user inside Synapse's Pod, as the docs tell an operator. What it says goes to `output`. Raises
    RuntimeError with that."""
    # The program of that name is a script with an absolute path of its virtual environment.
    command = ["python", "-m", "synapse._scripts.register_new_matrix_user", "--config", "/etc/synapse/homeserver.yaml"]
    command += ["--user", name, "--password", password, "--admin" if admin else "--no-admin", url]
    if synapse.container("synapse").execute(command, 60, output) != 0:
        raise RuntimeError(f"no user {name}: {output.read_text()}")
