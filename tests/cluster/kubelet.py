"""The Pod runner as a node of the API server: it watches the Pods that the scheduler bound to it, runs them as
processes, and reports how they are. What it says of a Pod is what its probes answered.

Services lead where the EndpointSlices of the real controller say. Their addresses are translated in each Pod's own
namespace and not by kube-proxy: on one bridge an answer goes back past the node, which could not translate it back
unless it hid the client's address from the policies that are to be tried.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api import Api, Object, Refused

from podrunner.images import Image
from podrunner.network import NODE
from podrunner.node import NamespacedNode
from podrunner.objects import Pod, Unsupported, identity, pods_of
from podrunner.runner import ContainerRun, PodRun

STRATEGIC = "application/strategic-merge-patch+json"
LEASE = "coordination.k8s.io/v1", "Lease"
FOLLOWED = (
    ("v1", "Namespace"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
)
HEARTBEAT = 10.0
"""Seconds, as the kubelet's; after 40 without the node is taken for lost."""


class Kubelet(NamespacedNode):
    """A node. `join` lets Pods come."""

    def __init__(self, directory: Path, images: Mapping[str, Image], api: Api, name: str) -> None:
        super().__init__(directory, images)
        self.api, self.name = api, name
        self.node: Object = {}
        self.bound: dict[str, Object] = {}
        """Pods of this node as the API server has them, by key."""
        self.refused: dict[str, str] = {}
        """Why a Pod cannot run here, by its uid."""
        self._told: dict[str, Object] = {}
        self._since: dict[tuple[str, str], tuple[str, str]] = {}
        self._ending: set[str] = set()
        self._due = threading.Event()
        self._left = threading.Event()
        # A container's thread is in its Pod's network, and so is whatever it starts: this one was started before.
        self._outside = ThreadPoolExecutor(1)
        self._outside.submit(int).result()
        self.volumes.token = lambda pod, spec: self._outside.submit(self._token, pod, spec).result()

    def join(self, node: Object) -> None:
        """Become a node of the cluster. `node` has its labels and its room."""
        addresses = [{"type": "InternalIP", "address": str(NODE)}, {"type": "Hostname", "address": self.name}]
        conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": now()}]
        self.node = self.api.create(node)
        for kind in FOLLOWED:
            self._thread_of(self._follow, *kind)
        self._thread_of(self._follow_pods)
        self._thread_of(self._beat)
        self._thread_of(self._work)
        self.api.patch(node, {"status": {"addresses": addresses, "conditions": conditions}}, "status", STRATEGIC)

    def leave(self) -> None:
        """End every Pod; the API server is not told."""
        self._left.set()
        self.stop(grace=5)

    def run_of(self, namespace: str, **labels: str) -> PodRun:
        """The one Pod that runs with these labels (their keys' last part)."""
        (found,) = [run for run in self.pods(namespace, **labels) if run.key not in self._ending]
        return found

    def changed(self) -> None:
        super().changed()
        if hasattr(self, "_due"):
            self._due.set()

    def endpoints(self) -> dict[tuple[str, str], list[tuple[Pod, str]]]:
        """What the EndpointSlices say; of a Service that the API server does not know (the DNS), its ready Pods."""
        found = {key: ready for key, ready in super().endpoints().items() if key[0] == "kube-system"}
        runs = {run.pod.key: run.pod for run in list(self.runs.values())}
        for part in self.objects.of_kind("EndpointSlice"):
            namespace = part["metadata"]["namespace"]
            service = part["metadata"]["labels"].get("kubernetes.io/service-name", "")
            for endpoint in part.get("endpoints") or []:
                if endpoint.get("conditions", {}).get("ready") is False:
                    continue
                name = endpoint.get("targetRef", {}).get("name", "")
                pod = runs.get(f"{namespace}/{name}") or Pod(namespace, name, ("", ""), {}, {}, {"containers": []})
                found.setdefault((namespace, service), []).append((pod, endpoint["addresses"][0]))
        return found

    def _thread_of(self, work: Callable[..., None], *words: Any) -> None:
        threading.Thread(target=work, args=words, name=f"{work.__name__}{words}", daemon=True).start()

    def _follow(self, api: str, kind: str) -> None:
        """Keep the objects of a kind as the API server has them."""
        for event in self.api.watch(api, kind, self._left):
            thing = {**event["object"], "apiVersion": api, "kind": kind}
            with self._lock:
                if event["type"] == "DELETED":
                    self.objects.remove(*identity(thing))
                else:
                    self.objects.add(thing)
            self.changed()

    def _follow_pods(self) -> None:
        for event in self.api.watch("v1", "Pod", self._left):
            pod = {**event["object"], "apiVersion": "v1", "kind": "Pod"}
            if pod["spec"].get("nodeName") == self.name:
                with self._lock:
                    if event["type"] == "DELETED":
                        self.bound.pop(key_of(pod), None)
                    else:
                        self.bound[key_of(pod)] = pod
                self._due.set()

    def _beat(self) -> None:
        """Say that the node lives."""
        owner = {"apiVersion": "v1", "kind": "Node", "name": self.name, "uid": self.node["metadata"]["uid"]}
        metadata = {"name": self.name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
        while not self._left.is_set():
            spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now(micro=True)}
            try:
                self.api.apply({"apiVersion": LEASE[0], "kind": LEASE[1], "metadata": metadata, "spec": spec})
            except (Refused, OSError) as error:
                print(f"node {self.name}: {error}", flush=True)
            self._left.wait(HEARTBEAT)

    def _work(self) -> None:
        """Make the Pods that run those that are bound, and tell how they are."""
        while not self._left.is_set():
            self._due.wait(1)
            self._due.clear()
            try:
                self._begin_and_end()
                self._give_addresses()
                self._report()
            except (Refused, OSError) as error:
                if not self._left.is_set():
                    print(f"node {self.name}: {error}", flush=True)

    def _begin_and_end(self) -> None:
        fresh = []
        with self._lock:
            bound = dict(self.bound)
            for key, one in bound.items():
                uid = one["metadata"]["uid"]
                ended = one["status"].get("phase") in ("Succeeded", "Failed")
                if key in self.runs or key in self._ending or uid in self.refused or ended:
                    continue
                if "deletionTimestamp" in one["metadata"]:
                    self._thread_of(self._gone, one)
                    continue
                try:
                    fresh.append(self._make(self._pod(one)))
                except Unsupported as error:
                    self.refused[uid] = str(error)
            if fresh:
                self.prepare()
        for run in fresh:
            run.begin()
        for key, run in list(self.runs.items()):
            one = bound.get(key)
            over = one is None or one["metadata"]["uid"] != run.pod.uid or "deletionTimestamp" in one["metadata"]
            if run.pod.uid and over and key not in self._ending:
                self._ending.add(key)
                self._thread_of(self._finish, run, one)

    def _finish(self, run: PodRun, one: Object | None) -> None:
        """End a Pod in its own terms, in a thread of its own: another need not wait for it."""
        grace = one["metadata"].get("deletionGracePeriodSeconds") if one else 0
        self._end(run, grace)
        self._ending.discard(run.key)
        if one and one["metadata"]["uid"] == run.pod.uid:
            self._gone(one)
        self._due.set()

    def _gone(self, one: Object) -> None:
        """Nothing of a deleted Pod runs any more."""
        try:
            self.api.delete(one, gracePeriodSeconds=0, preconditions={"uid": one["metadata"]["uid"]})
        except Refused as refused:
            if refused.code not in (404, 409):
                raise

    def _pod(self, one: Object) -> Pod:
        """A Pod to run, with what the kubelet adds to its environment."""
        made = copy.deepcopy(one)
        known = self.objects.get("Service", "default", "kubernetes")
        if known:
            told = {"KUBERNETES_SERVICE_HOST": known["spec"]["clusterIP"], "KUBERNETES_SERVICE_PORT": "443"}
            added = [{"name": name, "value": value} for name, value in told.items()]
            for container in (*made["spec"].get("initContainers", []), *made["spec"]["containers"]):
                container["env"] = [*added, *container.get("env", [])]
        (pod,) = pods_of(made)
        return pod

    def _token(self, pod: Pod, spec: Object) -> bytes:
        """A token that ends with the Pod."""
        account = self.api.path("v1", "ServiceAccount", pod.namespace, pod.spec["serviceAccountName"]) + "/token"
        reference = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        asked = {"expirationSeconds": spec.get("expirationSeconds", 3600), "boundObjectRef": reference}
        if "audience" in spec:
            asked["audiences"] = [spec["audience"]]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": asked}
        try:
            return str(self.api.request("POST", account, body)["status"]["token"]).encode()
        except (Refused, OSError) as error:
            raise LookupError(str(error)) from None

    def _give_addresses(self) -> None:
        """As a cloud does: a Service of type LoadBalancer gets the address that the network gave it."""
        with self._lock:
            services = list(self.objects.of_kind("Service"))
        for service in services:
            address = self.network.external_address(service)
            if address and service.get("status") == {"loadBalancer": {}}:
                self.api.patch(service, {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}, "status")

    def _report(self) -> None:
        for key, one in list(self.bound.items()):
            uid, run = one["metadata"]["uid"], self.runs.get(key)
            if uid in self.refused:
                status: Object = {"phase": "Pending", "reason": "Unsupported", "message": self.refused[uid]}
            elif run is None or run.pod.uid != uid or run.phase == "Stopped":
                continue
            else:
                status = self._status(run)
            if self._told.get(uid) != status:
                try:
                    self.api.patch(one, {"metadata": {"uid": uid}, "status": status}, "status", STRATEGIC)
                    self._told[uid] = status
                except Refused as refused:
                    # Gone, or another of that name already.
                    if refused.code not in (404, 409):
                        raise

    def _status(self, run: PodRun) -> Object:
        """A Pod's status in the API's words."""
        phase = run.phase if run.phase in ("Running", "Succeeded", "Failed") else "Pending"
        states = {
            "PodReadyToStartContainers": True,
            "Initialized": phase != "Pending",
            "ContainersReady": run.ready,
            "Ready": run.ready,
        }
        conditions = [self._condition(run, name, "True" if well else "False") for name, well in states.items()]
        return {
            "phase": phase,
            "conditions": conditions,
            "hostIP": run.sandbox.host,
            "hostIPs": [{"ip": run.sandbox.host}],
            "podIP": run.address,
            "podIPs": [{"ip": run.address}],
            "startTime": self._when(run, "start", "")[1],
            "containerStatuses": [self._container(run, one) for one in run.main],
            "initContainerStatuses": [self._container(run, one) for one in run.init],
        }

    def _condition(self, run: PodRun, name: str, value: str) -> Object:
        return {"type": name, "status": value, "lastTransitionTime": self._when(run, name, value)[1]}

    def _when(self, run: PodRun, what: str, value: str) -> tuple[str, str]:
        """A value with the time since which it has been so."""
        key = (run.pod.uid, what)
        if self._since.get(key, ("", ""))[0] != value or key not in self._since:
            self._since[key] = (value, now())
        return self._since[key]

    def _container(self, run: PodRun, one: ContainerRun) -> Object:
        if one.process is not None:
            value, state = "running", {"running": {"startedAt": ""}}
        elif one.finished.is_set() and one.code is not None:
            value = f"terminated {one.code}"
            reason = "Error" if one.code else "Completed"
            state = {"terminated": {"exitCode": one.code, "reason": reason, "message": one.state}}
        else:
            value, reason = "waiting", "CrashLoopBackOff" if one.restarted else "ContainerCreating"
            state = {"waiting": {"reason": reason, "message": one.state}}
        since = self._when(run, f"container {one.name}", f"{value} {one.restarted}")[1]
        for name, field in (("running", "startedAt"), ("terminated", "finishedAt")):
            if name in state:
                state[name][field] = since
        return {
            "name": one.name,
            "image": one.spec["image"],
            "imageID": one.spec["image"],
            "ready": one.ready or (one in run.init and one.finished.is_set() and one.code == 0),
            "started": one.started,
            "restartCount": one.restarted,
            "state": state,
        }


def key_of(pod: Object) -> str:
    """Namespace and name."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def now(micro: bool = False) -> str:
    """In the API's spelling."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")
