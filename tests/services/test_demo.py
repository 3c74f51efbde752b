"""`make demo` as an ordinary user on a machine that has Python alone."""

import re
import signal

import pytest
from harness import TOP, eventually, waited


@pytest.fixture
def demo(node):
    container = {
        "name": "demo",
        "image": "fleetnode/shell",
        "command": ["python", "-B", "-m", "fleetnode.demo"],
        "env": [{"name": "PYTHONPATH", "value": "/repository/lib"}, {"name": "PYTHONUNBUFFERED", "value": "1"}],
        "volumeMounts": [{"name": "repository", "mountPath": "/repository", "readOnly": True}],
    }
    spec = {
        "restartPolicy": "Never",
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000},
        "containers": [container],
        "volumes": [{"name": "repository", "hostPath": {"path": str(TOP)}}],
    }
    pod = {"kind": "Pod", "metadata": {"name": "demo", "namespace": "laptop"}, "spec": spec}
    (run,) = node.apply([pod])
    yield run
    node.remove("Pod", "laptop", "demo")


def test_a_newcomer_gets_a_homeserver_within_a_minute(demo):
    container = demo.main[0]
    took = waited(lambda: "is up after" in container.log.read_text(), 100)
    said = container.log.read_text()
    print(f"up after {took:.0f} s")
    # The password works.
    command = re.search(r"curl (\S+/login) -d '(.*)'", said)
    script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], sys.argv[2].encode()).read())"
    assert container.execute(["python", "-c", script, command.group(1), command.group(2)], 20) == 0
    for program in ("postgresql", "synapse"):
        eventually(lambda p=program: re.search(rf"/{p} .*running, ready", container.log.read_text()), 5)
    directory = re.search(r"Logs and data are in (\S+) until", said).group(1)
    assert container.execute(["test", "-d", directory], 5) == 0
    container.process.signal(signal.SIGINT)
    assert container.finished.wait(30)
    assert container.code == 0, container.log.read_text()[-2000:]


def test_root_is_refused_in_a_line(node):
    container = {
        "name": "demo",
        "image": "fleetnode/shell",
        "command": ["python", "-B", "-m", "fleetnode.demo"],
        "env": [{"name": "PYTHONPATH", "value": "/repository/lib"}],
        "volumeMounts": [{"name": "repository", "mountPath": "/repository", "readOnly": True}],
    }
    volumes = [{"name": "repository", "hostPath": {"path": str(TOP)}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    (run,) = node.apply([{"kind": "Pod", "metadata": {"name": "root", "namespace": "laptop"}, "spec": spec}])
    assert run.main[0].finished.wait(20)
    assert run.main[0].code == 2
    assert "make demo: PostgreSQL refuses to run as root" in run.main[0].log.read_text()
    node.remove("Pod", "laptop", "root")
