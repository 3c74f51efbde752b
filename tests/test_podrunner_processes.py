"""The Pod runner by itself: real processes of small Pods on its layer without root.

Namespaces, mounts, balancing and policies are tried by tests/services, which needs root.
"""

from __future__ import annotations

import base64
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from podrunner.images import Image
from podrunner.loopback import LoopbackNode
from podrunner.node import NotReady
from podrunner.objects import Object
from podrunner.runner import PodRun

SHELL = "example.org/tools/shell"
# Its own, so that two runs on one machine do not take each other's ports.
NETWORK = f"127.{100 + os.getpid() % 100}"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LoopbackNode]:
    made = LoopbackNode(tmp_path, {SHELL: Image("the system's shell")}, NETWORK)
    yield made
    made.stop(grace=1)


def container(name: str, script: str, **more: object) -> Object:
    return {"name": name, "image": f"{SHELL}:1@sha256:0", "command": ["sh", "-c", script], **more}


def pod(*containers: Object, name: str = "one", labels: dict[str, str] | None = None, **spec: object) -> Object:
    metadata = {"name": name, "namespace": "lab", "labels": labels or {}}
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": list(containers), "volumes": [], **spec}}


def started(node: LoopbackNode, *objects: Object) -> PodRun:
    (run,) = node.apply(objects)
    return run


def waited(true: object, seconds: float = 10) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def log(run: PodRun, name: str) -> str:
    return run.container(name).log.read_text()


def test_init_containers_run_in_order_and_a_sidecar_stays(node: LoopbackNode) -> None:
    shared = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    wait = "trap 'echo ended >>/shared/order; exit 0' TERM; touch /shared/up; while :; do sleep 0.05; done"
    up = {"exec": {"command": ["test", "-e", "/shared/up"]}, "periodSeconds": 0.1}
    run = started(
        node,
        pod(
            container("main", "echo main >>/shared/order; cat /shared/order", **shared),
            restartPolicy="Never",
            initContainers=[
                container("first", "sleep 0.3; echo first >>/shared/order", **shared),
                container("beside", wait, restartPolicy="Always", startupProbe=up, **shared),
                container("second", "echo second >>/shared/order", **shared),
            ],
            volumes=[{"name": "shared", "emptyDir": {}}],
        ),
    )
    node.wait_ready(15)
    assert run.done
    assert log(run, "main").split() == ["first", "second", "main"]
    waited(lambda: run.container("beside").code == 0)


def test_a_failed_init_container_is_told_with_its_log(node: LoopbackNode) -> None:
    node.apply(
        [pod(container("main", "true"), restartPolicy="Never", initContainers=[container("first", "echo no; exit 3")])]
    )
    with pytest.raises(NotReady, match=r"(?s)Pod lab/one .*Failed.*first: ended with 3.*no"):
        node.wait_ready(10)


def test_signals_are_the_usual_whatever_the_runner_ignores(node: LoopbackNode) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = started(node, pod(container("main", "kill -INT $$$$; echo ignored"), restartPolicy="Never"))
        waited(lambda: run.main[0].finished.is_set())
    finally:
        signal.signal(signal.SIGINT, before)
    assert log(run, "main") == "" and run.main[0].code != 0


def test_environment_and_files(node: LoopbackNode) -> None:
    secret = {"kind": "Secret", "metadata": {"name": "s", "namespace": "lab"}}
    secret["data"] = {"password": base64.b64encode(b"hunter2").decode()}
    settings = {"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "lab"}}
    settings["data"] = {"a.conf": "data = /data/x\nlisten = 0.0.0.0\n", "B": "from the map"}
    env = [
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "AT", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "BOTH", "value": "$(ME)/$(PASSWORD)/$(NOT)/$$(ME)"},
    ]
    volumes = [
        {
            "name": "files",
            "projected": {"sources": [{"configMap": {"name": "c", "items": [{"key": "a.conf", "path": "d/a"}]}}]},
        },
        {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o400}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ]
    mounts = [
        {"name": "files", "mountPath": "/files"},
        {"name": "secret", "mountPath": "/secret", "readOnly": True},
        {"name": "data", "mountPath": "/data"},
    ]
    script = (
        'echo "$BOTH $B $(cat /secret/password) $AT $0"; cat /files/d/a; stat -c %a /secret/password; touch /data/x'
    )
    one = container("main", script, env=env, envFrom=[{"configMapRef": {"name": "c"}}], volumeMounts=mounts)
    one["args"] = ["$(ME)"]
    run = started(node, secret, settings, pod(one, restartPolicy="Never", volumes=volumes))
    node.wait_ready(10)
    first, data, listen, mode = log(run, "main").splitlines()
    assert first == f"one/hunter2/$(NOT)/$(ME) from the map hunter2 {run.address} one"
    # Without namespaces a path lies elsewhere, and every interface is the Pod's own address.
    assert (data, listen, mode) == (f"data = {node.directory}/claims/lab/data/x", f"listen = {run.address}", "400")
    assert (node.directory / "claims/lab/data/x").exists()


def test_a_pod_waits_for_a_secret_that_is_not_there(node: LoopbackNode) -> None:
    env = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "late", "key": "p"}}}]
    run = started(node, pod(container("main", "echo $P", env=env), restartPolicy="Never"))
    waited(lambda: "Secret lab/late has no p" in run.container("main").state)
    node.apply([{"kind": "Secret", "metadata": {"name": "late", "namespace": "lab"}, "data": {"p": "eA=="}}])
    node.wait_ready(10)
    assert log(run, "main") == "x\n"


SERVER = "exec python3 -m http.server --bind 0.0.0.0 --directory /www 8000"
WWW = {"volumeMounts": [{"name": "www", "mountPath": "/www"}], "ports": [{"name": "http", "containerPort": 8000}]}


def test_probes_gate_each_other_and_the_endpoints(node: LoopbackNode) -> None:
    """Startup before the others; readiness for the Service's endpoints; liveness restarts."""
    for name in ("index.html", "ready", "alive"):
        path = node.directory / "claims/lab/www" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (node.directory / "claims/lab/www/ready").unlink()
    probes = {
        "startupProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 0.1, "failureThreshold": 100},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 0.1, "failureThreshold": 2},
        "livenessProbe": {"httpGet": {"path": "/alive", "port": 8000}, "periodSeconds": 0.1, "failureThreshold": 2},
    }
    www = [{"name": "www", "persistentVolumeClaim": {"claimName": "www"}}]
    service = {"kind": "Service", "metadata": {"name": "web", "namespace": "lab"}}
    service["spec"] = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    one = pod(
        container("main", SERVER, **WWW, **probes), labels={"app": "web"}, volumes=www, terminationGracePeriodSeconds=2
    )
    (run,) = node.apply([service, one])
    waited(lambda: run.container("main").started)
    assert not run.ready and node.endpoints() == {("lab", "web"): []}
    ready = node.directory / "claims/lab/www/ready"
    ready.write_text("yes")
    node.wait_ready(10)
    assert [address for _, address in node.endpoints()[("lab", "web")]] == [run.address]
    with urllib.request.urlopen(f"http://{run.address}:8000/index.html", timeout=5) as answer:
        assert answer.read() == b"index.html"
    ready.unlink()
    waited(lambda: not run.ready)
    ready.write_text("yes")
    (node.directory / "claims/lab/www/alive").rename(node.directory / "claims/lab/www/dead")
    waited(lambda: run.container("main").restarted == 1)
    (node.directory / "claims/lab/www/dead").rename(node.directory / "claims/lab/www/alive")
    node.wait_ready(10)


def test_a_crash_is_restarted_and_told(node: LoopbackNode) -> None:
    run = started(node, pod(container("main", "echo begun; exec sleep 60")))
    node.wait_ready(10)
    run.kill()
    waited(lambda: log(run, "main") == "begun\nbegun\n" and run.ready)
    assert run.container("main").restarted == 1


def test_the_end_is_asked_for_and_then_made(node: LoopbackNode) -> None:
    """SIGTERM after preStop; SIGKILL once the grace period is over."""
    kind = "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"
    deaf = "trap '' TERM; while :; do sleep 0.05; done"
    before = {"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "sleep 0.2"]}}}}
    spec = {"terminationGracePeriodSeconds": 1}
    node.apply([pod(container("main", kind, **before), **spec), pod(container("main", deaf), name="deaf", **spec)])
    node.wait_ready(10)
    time.sleep(0.3)  # Until the traps are set.
    polite, stubborn = node.runs["lab/one"], node.runs["lab/deaf"]
    node.stop()
    assert log(polite, "main") == "bye\n" and polite.container("main").code == 0
    assert stubborn.container("main").code == -9
    assert any("killed after 1 s" in event for event in stubborn.events)


def test_a_changed_template_replaces_its_pods_alone(node: LoopbackNode) -> None:
    def deployment(name: str, script: str) -> Object:
        template = {"metadata": {"labels": {"app": name}}, "spec": pod(container("main", script))["spec"]}
        spec = {"replicas": 1, "template": template}
        return {"kind": "Deployment", "metadata": {"name": name, "namespace": "lab"}, "spec": spec}

    one, other = node.apply([deployment("one", "exec sleep 60"), deployment("other", "exec sleep 60")])
    node.wait_ready(10)
    (fresh,) = node.apply([deployment("one", "exec sleep 61")])
    assert fresh.pod.owner == one.pod.owner
    assert node.runs["lab/other-0"] is other
    node.remove("Deployment", "lab", "one")
    assert list(node.runs) == ["lab/other-0"]


def test_what_is_meant_to_end_is_waited_for_until_it_has(node: LoopbackNode) -> None:
    """A Job's Pod is ready as soon as it runs; what comes after the Job wants its work."""
    template = {"spec": pod(container("main", "sleep 1; echo done"), restartPolicy="OnFailure")["spec"]}
    job = {"kind": "Job", "metadata": {"name": "job", "namespace": "lab"}, "spec": {"template": template}}
    run = started(node, job)
    node.wait_ready(10)
    assert run.done
    assert log(run, "main") == "done\n"
