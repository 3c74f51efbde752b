"""A Kubernetes control plane of real programs: etcd, API server, controller-manager, scheduler; kwok stands for nodes.

Everything listens inside a network namespace of its own (run.py makes it), and ends with its process namespace.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import build
import yaml
from api import Api, Object, Refused, until

HERE = Path(__file__).resolve().parent
STANDINS = HERE / "standins"
TOKEN = "administrator"  # in a network that nobody else reaches
PORT = 6443
NODES, ZONES = 6, 3
FAKE = "kwok.x-k8s.io/node"
"""The annotation of nodes that kwok plays."""
CLUSTERS = ("eu1", "us1", "ap1")
"""Of the fleet; each has a control plane, at an address of its own."""
HOSTS = {"localhost": "127.0.0.1", "git.example.com": "127.0.0.1", "us1.k8s.example.com": "127.0.0.2"}
"""Names as they are compiled, and where they lead here: the repository's, and an API server's as a hub knows it."""
# What clusters are said to have already: classes of storage, of the edge.
EXISTING_STORAGE = ("standard", "fast", "standard-encrypted", "gp3", "io2", "gp3-encrypted")

EXISTING_NAMESPACES = ("monitoring", "observability")


class Failed(Exception):
    """A program that did not come up, with the end of its log."""


class Programs:
    """Programs that were started, with their logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start one; it is killed with its parent."""
        with (self.folder / f"logs/{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.folder,
                env={**os.environ, "TMPDIR": str(self.folder), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log(self, name: str, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join((self.folder / f"logs/{name}.log").read_text(errors="replace").splitlines()[-lines:])

    def alive(self) -> bool:
        """Whether all still run. Raises Failed."""
        for name, process in self.running.items():
            if process.poll() is not None:
                raise Failed(f"{name} ended with {process.returncode}:\n{self.log(name)}")
        return True

    def stop(self, name: str) -> None:
        """End one at once: nothing that it keeps is wanted again."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def memory(self) -> dict[str, int]:
        """Resident MiB of each."""
        found = {}
        for name, process in self.running.items():
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    found[name] = int(line.split()[1]) // 1024
        return found


class Certificates:
    """An authority, and certificates that it signs, in files of PEM."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                 "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip
        self.run("genrsa", "-out", "accounts.key", "2048")

    def run(self, *words: str) -> None:
        """openssl, in the folder."""
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def sign(self, name: str, hosts: Sequence[str], subject: str = "/CN=test") -> None:
        """name.crt and name.key, for these names and addresses."""
        self.run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        names = ",".join(f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}" for host in hosts)
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n" if names else "")
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                 "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.crt")  # fmt: skip

    def file(self, name: str) -> str:
        """Where one is."""
        return str(self.folder / name)


class Plane:
    """The control plane. `start` brings up the API, then `nodes` what runs Pods."""

    def __init__(self, programs: Path, folder: Path, number: int = 0, bind: str = "") -> None:
        """programs: where build.py put them; folder: for state, emptied; number: which of several it is; bind: where
        the API server listens, if Pods with a network of their own call it"""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.programs, self.folder = programs, folder
        self.address, self.pods = f"127.0.0.{number + 1}", f"10.{244 + number}.0.0/16"
        self.bind = bind or self.address
        self.processes = Programs(folder)
        self.certificates = Certificates(folder / "certificates")
        self.kubeconfig = folder / "kubeconfig"
        self.api: Api | None = None
        self.metrics: Any = None
        self.secrets: Any = None
        self.groups: set[str] = set()

    def start(self) -> Api:
        """etcd, the API server and its controllers; the API once it answers and namespaces are made."""
        files = self.certificates
        files.sign("server", [*HOSTS, self.address, "10.96.0.1"])
        start, kube = self.processes.start, self.programs / "kube"
        etcd, peer = (f"http://{self.address}:{port}" for port in (2379, 2380))
        start("etcd", [
            self.programs / "etcd", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--log-level", "error",
            "--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}", "--quota-backend-bytes", "4294967296",
        ])  # fmt: skip
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f'{TOKEN},administrator,1,"system:masters"\n')
        start("kube-apiserver", [
            kube, "kube-apiserver", f"--etcd-servers={etcd}", f"--bind-address={self.bind}",
            "--advertise-address=192.0.2.1", f"--secure-port={PORT}", f"--tls-cert-file={files.file('server.crt')}",
            f"--tls-private-key-file={files.file('server.key')}", f"--client-ca-file={files.file('ca.crt')}",
            f"--token-auth-file={tokens}", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={files.file('accounts.key')}",
            f"--service-account-signing-key-file={files.file('accounts.key')}",
            "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            "--endpoint-reconciler-type=none", "--enable-aggregator-routing=true",
            f"--requestheader-client-ca-file={files.file('ca.crt')}", "--requestheader-allowed-names=nobody", "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ])  # fmt: skip
        self.write_kubeconfig()
        self.api = Api(f"https://{self.address}:{PORT}", files.file("ca.crt"), TOKEN)
        until("the API server is ready", lambda: self.processes.alive() and self.ready(), 120)
        start("kube-controller-manager", [
            kube, "kube-controller-manager", *(f"--{each}kubeconfig={self.kubeconfig}" for each in ("", "authentication-", "authorization-")),
            f"--service-account-private-key-file={files.file('accounts.key')}",
            f"--root-ca-file={files.file('ca.crt')}", "--leader-elect=false", "--use-service-account-credentials=true",
            f"--cluster-signing-cert-file={files.file('ca.crt')}", f"--cluster-signing-key-file={files.file('ca.key')}",
            f"--bind-address={self.address}", "--horizontal-pod-autoscaler-sync-period=3s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=0s",
            "--horizontal-pod-autoscaler-downscale-stabilization=5s",
            "--kube-api-qps=200", "--kube-api-burst=400",
            # Its own is five minutes, in which a quota may count one Pod too few.
            "--resource-quota-sync-period=10s",
        ])  # fmt: skip
        start("kube-scheduler", [
            kube, "kube-scheduler", f"--kubeconfig={self.kubeconfig}", f"--authentication-kubeconfig={self.kubeconfig}",
            f"--authorization-kubeconfig={self.kubeconfig}", "--leader-elect=false", f"--bind-address={self.address}",
            "--kube-api-qps=200", "--kube-api-burst=400",
        ])  # fmt: skip
        until("namespaces get their ServiceAccount", lambda: self.processes.alive()
              and self.api.get("v1", "ServiceAccount", "default", "default"), 120)  # fmt: skip
        return self.api

    def ready(self) -> bool:
        """Whether the API server says so."""
        try:
            return bool(self.api.request("GET", "/readyz") == "ok")
        except (OSError, Refused):
            return False

    def write_kubeconfig(self) -> None:
        """For programs; its namespace is Argo CD's."""
        ca = self.certificates.file("ca.crt")
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "argocd"}}],
            "clusters": [
                {"name": "test", "cluster": {"server": f"https://{self.address}:{PORT}", "certificate-authority": ca}}
            ],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(told))

    def kubectl(self, *words: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command as the documentation gives it."""
        command = [str(self.programs / "kube"), "kubectl", "--kubeconfig", str(self.kubeconfig), *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr}")
        return done

    def nodes(self, scripts: bool = True, count: int = NODES, real: Sequence[str] = ()) -> None:
        """kwok, its nodes, and what every cluster of the fleet is said to have already.

        scripts: whether something really runs the bootstrap Jobs (bootstrapping.py); real: stand-ins that are not
        needed, by their file's name
        """
        for number in range(count):
            self.api.create(node(f"node-{number}", f"zone-{number % ZONES}"))
        for name in EXISTING_STORAGE:
            self.api.create(storage_class(name))
        for name in EXISTING_NAMESPACES:
            self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.played = self.stages(scripts, real)
        self.kwok("kwok", "fake")
        until(
            "every node is ready",
            lambda: self.processes.alive() and all(map(is_ready, self.api.list("v1", "Node"))),
            60,
        )

    def kwok(self, name: str, which: str) -> None:
        """A process that plays the nodes with an annotation's value."""
        self.processes.start(name, [
            self.programs / "kwok", "--kubeconfig", self.kubeconfig, f"--manage-nodes-with-annotation-selector={FAKE}={which}",
            "--node-lease-duration-seconds=40", f"--cidr={self.pods}", f"--node-ip={self.address}",
            *(word for file in self.played for word in ("-c", file)),
        ])  # fmt: skip

    def stages(self, scripts: bool, real: Sequence[str]) -> list[Path]:
        """What kwok does: its own for nodes and for Pods that start, and ours, one file a kind, for the rest."""
        own = self.programs / "stages"
        hosts = sorted({host for thing in self.hosts() for host in thing})
        self.certificates.sign("world", hosts or ["localhost"])
        filled = self.folder / "standins"
        filled.mkdir(exist_ok=True)
        values = {"@CERTIFICATE@": "world.crt", "@KEY@": "world.key", "@AUTHORITY@": "ca.crt"}
        for file in STANDINS.glob("*.yaml"):
            if file.stem in real:
                continue
            text = file.read_text()
            for mark, value in values.items():
                text = text.replace(mark, encoded(self.certificates.folder / value))
            if not scripts:
                text = text.replace("values: [bootstrap]", "values: [none]")
            group = yaml.safe_load(file.read_text())["spec"]["resourceRef"]["apiGroup"].rpartition("/")[0]
            # kwok takes no stage of a kind that the API server does not have.
            if group in self.groups or "." not in group or (group.endswith("k8s.io") and "gateway" not in group):
                (filled / file.name).write_text(text)
        return [
            own / "node/fast/node-initialize.yaml",
            own / "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
            own / "pod/fast/pod-ready.yaml",
            *sorted(filled.iterdir()),
        ]

    def hosts(self) -> list[list[str]]:
        """Names that certificates of the compiled fleet are for."""
        found = []
        for file in (HERE.parent.parent / "compiled").rglob("certificate-*.yaml"):
            found.append(yaml.safe_load(file.read_text())["spec"].get("dnsNames", []))
        return found

    def define(self, groups: set[str]) -> int:
        """Every custom resource of these API groups; how many."""
        every = json.loads(build.crds().read_text())
        found = [crd for crd in every if crd["spec"]["group"] in groups]
        self.groups |= groups

        def apply(crd: Object) -> None:
            # The largest take the API server's own limit of half a minute on a busy machine.
            until(f"{crd['metadata']['name']} is applied", lambda: self.api.apply(crd), 180)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(apply, found))
        crds = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
        until("every custom resource is served", lambda: all(
            any(each["type"] == "Established" and each["status"] == "True" for each in crd.get("status", {}).get("conditions") or [])
            for crd in self.api.list(*crds)), 180)  # fmt: skip
        # Put together when it is first asked for: Argo CD waits 32 s for it, on a busy machine in vain.
        until("the schema is served", lambda: self.api.request("GET", "/openapi/v2"), 120)
        return len(found)

    def stop(self) -> None:
        """End everything, servers last."""
        for name in reversed(list(self.processes.running)):
            self.processes.stop(name)


def encoded(file: Path) -> str:
    """A file in base64."""
    from base64 import b64encode

    return b64encode(file.read_bytes()).decode()


def is_ready(thing: Object) -> bool:
    """Whether a Node or a Pod says that it is ready."""
    conditions = thing.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def node(name: str, zone: str, which: str = "fake") -> Object:
    """A node with room for the fleet, that also admits Coturn."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": zone,
        "matrix-fleet/turn": "shared" if name.endswith(("0", "1")) else "none",
    }
    room = {"cpu": "500", "memory": "4Ti", "pods": "1000", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {FAKE: which}},
        "status": {"allocatable": room, "capacity": room},
    }


def storage_class(name: str) -> Object:
    """One that a cluster has: it binds on the first consumer, as the clouds' do."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "example.com/driver",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


class Recorder(threading.Thread):
    """Every event of some kinds, with its time: what happened in which order, and what never did."""

    def __init__(self, api: Api, *kinds: tuple[str, str]) -> None:
        super().__init__(daemon=True)
        self.api, self.kinds = api, kinds
        self.events: list[tuple[float, str, Object]] = []
        self.ended = threading.Event()

    def run(self) -> None:
        threads = [threading.Thread(target=self.follow, args=kind, daemon=True) for kind in self.kinds]
        for thread in threads:
            thread.start()

    def follow(self, api: str, kind: str) -> None:
        """One kind."""
        for event in self.api.watch(api, kind, self.ended):
            self.events.append((time.time(), event["type"], {**event["object"], "apiVersion": api, "kind": kind}))

    def stop(self) -> None:
        """No more."""
        self.ended.set()
