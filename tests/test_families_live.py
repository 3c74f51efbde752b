"""Programs of a cluster whose Pods have IPv6 addresses, or both kinds: started by their compiled configurations in a
network of their own, and connected to by each address."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from matrixfleet.checks import Tree
from matrixfleet.model import Fleet
from test_plan import PROD, WITH_WORKERS, changed, drawn
from test_synapse import PYTHON, supplied

FAMILIES = {"ipv4": ["127.0.0.1"], "ipv6": ["::1"], "dual": ["127.0.0.1", "::1"]}
OWN = ("unshare", "--user", "--map-root-user", "--net")
"""A network with a loopback alone, which an ordinary user may make where the kernel lets him."""
CONNECT = """
import json, socket, subprocess, sys, time
port, addresses, *command = json.loads(sys.argv[1])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
process = subprocess.Popen(command, stdout=sys.stderr, stderr=subprocess.STDOUT)
found, end = {}, time.monotonic() + 60
while time.monotonic() < end and process.poll() is None and not set(addresses) <= found.keys():
    for address in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((address, port), 1).close()
            found[address] = True
        except OSError:
            pass
    time.sleep(0.2)
process.terminate()
print(json.dumps(sorted(found)))
"""


def may_have_a_network() -> bool:
    return bool(shutil.which("unshare")) and not subprocess.run([*OWN, "true"], capture_output=True).returncode


pytestmark = pytest.mark.skipif(not may_have_a_network(), reason="nobody may make a network of his own here")


def compiled(fleet: Fleet, family: str) -> Tree:
    private = list(fleet.raw(fleet.platform_name(PROD), ("cluster", "network", "private")))
    return drawn(
        changed(
            fleet,
            # Synapse finds Redis by IPv4 alone, so a cluster of IPv6 has no workers.
            *(() if family == "ipv6" else WITH_WORKERS),
            (("cluster", "network", "ip_family"), family),
            (("cluster", "network", "private"), ["fd00:10::/32", *private]),
        )
    )


def config(tree: Tree, component: str, folder: Path, was: str) -> Path:
    """The files of a component's ConfigMap, in a folder that stands for its own."""
    found = tree.find("eu1", "ConfigMap", "matrix-prod", f"matrix-prod-{component}")
    assert found is not None
    for name, text in found.doc["data"].items():
        (folder / name).write_text(text.replace(was, str(folder)))
    return folder


def heard(port: int, addresses: list[str], command: list[str]) -> list[str]:
    """The loopback addresses on which a program answers."""
    words = json.dumps([port, addresses, *command])
    ran = subprocess.run([*OWN, sys.executable, "-c", CONNECT, words], capture_output=True, text=True, timeout=120)
    assert ran.stdout, ran.stderr
    found: list[str] = json.loads(ran.stdout)
    assert found, ran.stderr[-3000:]
    return found


@pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed; .ci/run installs it")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_router(family: str, fleet: Fleet, tmp_path: Path) -> None:
    folder = config(compiled(fleet, family), "router", tmp_path, "/usr/local/etc/haproxy")
    command = ["haproxy", "-db", "-f", f"{folder}/haproxy.cfg"]
    assert heard(8080, FAMILIES[family], command) == FAMILIES[family]


@pytest.mark.skipif(not shutil.which("redis-server"), reason="Redis is not installed; .ci/run installs it")
@pytest.mark.parametrize("family", ["ipv4", "dual"])
def test_redis(family: str, fleet: Fleet, tmp_path: Path) -> None:
    folder = config(compiled(fleet, family), "redis", tmp_path, "/run/redis")
    assert heard(6379, FAMILIES[family], ["redis-server", f"{folder}/redis.conf"]) == FAMILIES[family]


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed; .ci/run installs it")
@pytest.mark.parametrize("family", FAMILIES)
def test_element_web(family: str, fleet: Fleet, tmp_path: Path) -> None:
    folder = config(compiled(fleet, family), "element", tmp_path, "/etc/element")
    text = (folder / "nginx.conf").read_text()
    text = re.sub(r"/tmp/(?!pytest)", f"{folder}/", text).replace("include /etc/nginx/mime.types;", "")
    # Root of that network is the only user there is in it.
    (folder / "nginx.conf").write_text(f"user root root;\n{text}")
    (port,) = {int(one) for one in re.findall(r"listen (?:\[::\]:)?(\d+);", text)}
    command = ["nginx", "-c", f"{folder}/nginx.conf", "-e", "/dev/stderr", "-g", "daemon off;"]
    assert heard(port, FAMILIES[family], command) == FAMILIES[family]


@pytest.mark.skipif(not PYTHON.exists(), reason="make test installs Synapse")
@pytest.mark.parametrize("family", FAMILIES)
def test_synapse(family: str, fleet: Fleet, tmp_path: Path) -> None:
    """By its own main process, with SQLite in PostgreSQL's place and without its workers."""
    found = compiled(fleet, family).find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
    assert found is not None
    home, beside = supplied(tmp_path, found.doc["data"]["homeserver.yaml"]), tmp_path / "beside.yaml"
    (tmp_path / "etc/synapse").mkdir(parents=True, exist_ok=True)
    (tmp_path / "etc/synapse/log.yaml").write_text("version: 1\n")
    database = {"name": "sqlite3", "args": {"database": str(tmp_path / "homeserver.db")}}
    beside.write_text(json.dumps({"database": database, "redis": {"enabled": False}}))
    (port,) = re.findall(r"port: (8008)\b", home.read_text())
    command = [str(PYTHON), "-m", "synapse.app.homeserver", "-c", str(home), "-c", str(beside)]
    # On `::` it hears IPv4 too.
    wanted = FAMILIES["dual" if family == "ipv6" else family]
    assert heard(int(port), FAMILIES[family], command) == wanted
