"""A node: what Pods there should be, and the Pods that run."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from podrunner import policy
from podrunner.images import Image
from podrunner.namespaces import NamespacedPod
from podrunner.network import DOMAIN, Network, Refused, nft
from podrunner.objects import CONTROLLERS, Object, Objects, Pod, identity, matches, pods_of
from podrunner.runner import PodRun, Sandbox
from podrunner.volumes import Volumes

T = TypeVar("T")
NAMESERVER = "10.96.0.10"
DNS_IMAGE = "podrunner/dns"


class NotReady(Exception):
    """Pods that did not become ready, with how each stands and what it logged last."""


class Node:
    """Runs Pods below one directory. This one knows nothing of networks: see NamespacedNode."""

    owned = False

    def __init__(self, directory: Path, images: Mapping[str, Image]) -> None:
        self.directory = directory.resolve()
        self.images = dict(images)
        self.objects = Objects()
        self.runs: dict[str, PodRun] = {}
        self.status: dict[str, dict[str, str]] = {}
        self.volumes = Volumes(self.directory, self.objects, self.status, self.owned)
        self._lock = threading.RLock()
        self.directory.mkdir(parents=True, exist_ok=True)

    def sandbox(self, pod: Pod) -> Sandbox:
        raise NotImplementedError

    def changed(self) -> None:
        """A Pod's readiness may have changed."""

    def apply(self, objects: Iterable[Object]) -> list[PodRun]:
        """Take objects over and start the Pods that are wanted and missing. Pods of a workload that was applied
        before keep running unless their template changed, when they are replaced. Returns those it started."""
        with self._lock:
            for one in objects:
                self.objects.add(one)
        return self._reconcile()

    def _reconcile(self) -> list[PodRun]:
        """Make the Pods that run those that should be. Pods end outside of the lock: it may take their grace."""
        with self._lock:
            wanted = {pod.key: pod for one in self.objects.of_kind("Pod", *CONTROLLERS) for pod in pods_of(one)}
        for key, run in list(self.runs.items()):
            if key not in wanted or wanted[key].spec != run.pod.spec:
                self._end(run, None)
        with self._lock:
            fresh = [self._make(pod) for key, pod in wanted.items() if key not in self.runs]
            self.prepare()
        for run in fresh:
            run.begin()
        return fresh

    def prepare(self) -> None:
        """What must stand before the first process of a new Pod."""

    def _make(self, pod: Pod) -> PodRun:
        sandbox = self.sandbox(pod)
        self.status[pod.key] = {"status.podIP": sandbox.address, "status.hostIP": sandbox.host}
        logs = self.directory / "logs" / pod.namespace / pod.name
        run = PodRun(pod, sandbox, self.images, self.volumes, logs, self.changed)
        self.runs[pod.key] = run
        return run

    def _end(self, run: PodRun, grace: float | None) -> None:
        run.stop(grace)
        with self._lock:
            self.before_close(run)
            # Before its network goes: another thread may be about to load policies there.
            self.runs.pop(run.key, None)
        run.sandbox.close()
        own = self.directory / "pods" / run.pod.namespace / run.pod.name
        for mounted in sorted(own.glob("volumes/*")):
            if mounted.is_mount():
                subprocess.run(["umount", str(mounted)], check=False)
        shutil.rmtree(own, ignore_errors=True)

    def before_close(self, run: PodRun) -> None:
        """A Pod has ended, its sandbox is still there."""

    def delete(self, run: PodRun, grace: float | None = None) -> PodRun | None:
        """Delete a Pod; its controller makes another: the same name in a StatefulSet, always another address.
        Returns the new one."""
        self._end(run, grace)
        fresh = self._reconcile()
        return next((one for one in fresh if one.pod.owner == run.pod.owner), None)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Take an object away, and the Pods that it wanted."""
        with self._lock:
            self.objects.remove(kind, namespace, name)
        self._reconcile()

    def pods(self, namespace: str | None = None, owner: str | None = None, **labels: str) -> list[PodRun]:
        """Pods by namespace, by their workload's name, and by the last part of label keys (component="router")."""
        found = []
        for run in self.runs.values():
            short = {key.rpartition("/")[2]: value for key, value in run.pod.labels.items()}
            if namespace not in (None, run.pod.namespace) or owner not in (None, run.pod.owner[1]):
                continue
            if all(short.get(key) == value for key, value in labels.items()):
                found.append(run)
        return sorted(found, key=lambda run: run.key)

    def wait_ready(self, timeout: float, pods: Collection[PodRun] | None = None) -> float:
        """Wait until Pods are ready, and those that run to an end have done so. Returns the seconds it took. Raises
        NotReady."""
        begun = time.monotonic()
        while True:
            # None of them is not all of them: a wave without Pods is ready.
            asked = list(self.runs.values()) if pods is None else pods
            waiting = [run for run in asked if not run.settled]
            if not waiting:
                return time.monotonic() - begun
            failed = [run for run in waiting if run.phase == "Failed"]
            if failed or time.monotonic() - begun > timeout:
                reason = "failed" if failed else f"not ready after {timeout:.0f} s"
                raise NotReady(f"{reason}:\n" + "\n".join(run.report() for run in failed or waiting))
            time.sleep(0.05)

    def stop(self, grace: float | None = None) -> None:
        """End all Pods, each in its own terms or within `grace` seconds."""
        with self._lock:
            self.objects = Objects(one for one in self.objects if one["kind"] not in ("Pod", *CONTROLLERS))
        threads = [threading.Thread(target=self._end, args=(run, grace)) for run in list(self.runs.values())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def endpoints(self) -> dict[tuple[str, str], list[tuple[Pod, str]]]:
        """The ready Pods of each Service."""
        found: dict[tuple[str, str], list[tuple[Pod, str]]] = {}
        runs = sorted(self.runs.copy().values(), key=lambda run: run.key)
        for service in self.objects.of_kind("Service"):
            selector = service["spec"].get("selector")
            if not selector:
                continue
            _, namespace, name = identity(service)
            early = bool(service["spec"].get("publishNotReadyAddresses"))
            found[(namespace, name)] = [
                (run.pod, run.address)
                for run in runs
                if run.pod.namespace == namespace
                and matches({"matchLabels": selector}, run.pod.labels)
                and (run.ready or (early and not run.done))
            ]
        return found


class NamespacedNode(Node):
    """Each Pod in namespaces of its own, Services and NetworkPolicies by nftables, names by a cluster DNS."""

    owned = True

    def __init__(self, directory: Path, images: Mapping[str, Image]) -> None:
        super().__init__(directory, {**images, DNS_IMAGE: Image("dnsmasq")})
        names = self.directory / "names"
        names.mkdir(exist_ok=True)
        self.network = Network(names / "hosts", NAMESERVER)
        self.network._write_names([], {})
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._loaded: dict[str, tuple[str, str]] = {}
        self._retired: dict[str, dict[str, int]] = {}
        self._thread = threading.Thread(target=self._keep_network, name="network", daemon=True)
        self.network.start()
        self._thread.start()
        self.wait_ready(30, self.apply(_dns(names)))

    def sandbox(self, pod: Pod) -> NamespacedPod:
        return NamespacedPod(pod, self.network, self.directory / "pods" / pod.namespace / pod.name)

    def changed(self) -> None:
        self._dirty.set()

    def prepare(self) -> None:
        self.sync()

    def _keep_network(self) -> None:
        while not self._closing.is_set():
            if self._dirty.wait(0.5):
                self._dirty.clear()
                try:
                    self.sync()
                except (Refused, OSError) as error:
                    if not self._closing.is_set():
                        print(f"network: {error}", flush=True)

    def sync(self) -> None:
        """Bring Services, names and policies up to date now."""
        with self._lock:
            before = self.network.names.read_text()
            namespaces = {key: run.sandbox.namespace for key, run in list(self.runs.items())}  # type: ignore[attr-defined]
            self.network.sync(self.objects, self.endpoints(), namespaces)
            if self.network.names.read_text() != before:
                for run in self.pods(namespace="kube-system", owner="dns"):
                    for one in run.main:
                        if one.process is not None:
                            one.process.signal(signal.SIGHUP)
            self._load_policies()

    def _load_policies(self) -> None:
        runs = list(self.runs.values())
        pods = [(run.pod, run.address) for run in runs]
        for run in runs:
            name = run.sandbox.namespace  # type: ignore[attr-defined]
            # What has ended is about to lose its namespace.
            if name is None or run.phase == "Stopped":
                continue
            rules, listed = policy.ruleset(run.pod, self.objects)
            members = policy.addresses(listed, pods, self.objects)
            loaded = self._loaded.get(name, ("", ""))
            if loaded == (rules, members):
                continue
            if loaded[0] != rules:
                self._retire(name, run.pod)
                rules_now = rules or f"table ip {policy.TABLE} {{}}\ndelete table ip {policy.TABLE}"
                nft(name, f"{rules_now}\n{members}")
            else:
                nft(name, members)
            self._loaded[name] = (rules, members)

    def before_close(self, run: PodRun) -> None:
        name = run.sandbox.namespace  # type: ignore[attr-defined]
        if name is not None:
            with self._lock:
                self._retire(name, run.pod)
                self._loaded.pop(name, None)

    def _retire(self, name: str, pod: Pod) -> None:
        kept = self._retired.setdefault(pod.key, {})
        for comment, packets in policy.counted(name).items():
            kept[comment] = kept.get(comment, 0) + packets

    def counters(self) -> dict[str, dict[str, int]]:
        """Packets that opened a connection, by Pod and by "NAMESPACE/POLICY ingress N" or "denied egress"; those of
        Pods that are gone among them."""
        found = {key: dict(counts) for key, counts in self._retired.items()}
        for key, run in list(self.runs.items()):
            name = run.sandbox.namespace  # type: ignore[attr-defined]
            for comment, packets in (policy.counted(name) if name else {}).items():
                own = found.setdefault(key, {})
                own[comment] = own.get(comment, 0) + packets
        return found

    def inside(self, run: PodRun, do: Callable[[], T]) -> T:
        """Do something with the Pod's network: its address, its policies, its Services."""
        return self.network.inside(run.sandbox.namespace, do)  # type: ignore[attr-defined]

    def stop(self, grace: float | None = None) -> None:
        self._closing.set()
        super().stop(grace)


def memory() -> int:
    """Bytes that this process' descendants use, shared pages shared out (PSS)."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    own = {_self()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in own} - own
        own |= more
        grown = bool(more)
    total = 0
    for pid in own - {_self()}:
        try:
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        total += int(found.group(1)) * 1024 if found else 0
    return total


def _self() -> int:
    return int(Path("/proc/self").readlink().name)


def _dns(names: Path) -> list[Object]:
    """The cluster's DNS as a Pod where every NetworkPolicy looks for it."""
    labels = {"k8s-app": "kube-dns"}
    command = ["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--no-resolv", "--no-hosts", "--no-poll"]
    command += ["--addn-hosts=/names/hosts", f"--local=/{DOMAIN.partition('.')[2]}/", "--port=53", "--user=root"]
    command += ["--cache-size=0", "--pid-file=/tmp/pid", "--local-ttl=1"]
    container = {
        "name": "dns",
        "image": DNS_IMAGE,
        "command": command,
        "readinessProbe": {"tcpSocket": {"port": 53}, "periodSeconds": 1},
        "volumeMounts": [{"name": "names", "mountPath": "/names", "readOnly": True}],
    }
    spec = {"containers": [container], "volumes": [{"name": "names", "hostPath": {"path": str(names)}}]}
    where = {"name": "dns", "namespace": "kube-system"}
    ports = [{"name": kind.lower(), "protocol": kind, "port": 53} for kind in ("UDP", "TCP")]
    return [
        {"kind": "Namespace", "metadata": {"name": "kube-system"}},
        {
            "kind": "Deployment",
            "metadata": where,
            "spec": {"replicas": 1, "template": {"metadata": {"labels": labels}, "spec": spec}},
        },
        {
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": NAMESERVER, "selector": labels, "ports": ports},
        },
    ]
