"""8. Scale: so many generated tenants on one cluster, synced by one Argo CD with the settings of docs/scaling.md.

    make test-cluster SCALE=200

It runs alone, on a control plane of its own. All Jobs are kwok's here: nobody reads the Secrets that they would make.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import build
import plane as planes_of
import pytest
from api import documents
from argo import ArgoCD
from plane import Plane
from repository import TOP, Repository

import bench
from conftest import FOLDER, say
from metrics import Metrics

TENANTS = int(os.environ.get("SCALE") or 0)
TENANTS_A_NODE = 5
"""Of the sizes in turn: a node has 64 cores and 512 GiB (plane.py)."""
SETTINGS = {"status_processors": "50", "operation_processors": "25"}
LARGEST = 10 * 1000**2
"""Bytes of one directory's manifests (repo-server, --max-combined-directory-manifests-size)."""
PATIENCE = 60 + 10 * TENANTS
"""Seconds."""
pytestmark = pytest.mark.skipif(not TENANTS, reason="make test-cluster SCALE=<tenants>")


class Busy(Plane):
    """A control plane with nodes enough, where every Job's Pod ends by itself."""

    def stages(self) -> list[Path]:
        """As everywhere else, but for the Pods of the bootstrap Job."""
        files = super().stages()
        (complete,) = (
            file for file in files if file.name == "pod-complete.yaml" and file.parent == self.folder / "standins"
        )
        text = complete.read_text()
        assert text.count("values: [bootstrap]") == 1
        complete.write_text(text.replace("values: [bootstrap]", "values: [none]"))
        return files


def compiled(folder: Path) -> Path:
    """A repository of so many tenants, compiled."""
    bench.generate(folder, TENANTS)
    subprocess.run([sys.executable, "-m", "kapitan", "compile"], cwd=folder, check=True, capture_output=True)
    (folder / "argocd").mkdir()
    parts = sorted((folder / "compiled/eu1/platform/bootstrap").glob("*.yaml"))
    (folder / "argocd/eu1.yaml").write_text("---\n".join(part.read_text() for part in parts))
    return folder


@pytest.fixture(scope="module")
def argo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArgoCD]:
    """Argo CD on an empty cluster, with the tenants as its repository; nothing is applied yet."""
    start = time.monotonic()
    top = compiled(tmp_path_factory.mktemp("scale") / "repository")
    say(f"{TENANTS} tenants compiled in {time.monotonic() - start:.0f} s: {len(documents(top / 'compiled'))} objects")
    planes_of.NODES = planes_of.ZONES + -(-TENANTS // TENANTS_A_NODE)
    plane = Busy(build.folder(), FOLDER / "scale")
    api = plane.start()
    plane.define()
    plane.nodes()
    files = plane.certificates
    Metrics(api, files.file("server.crt"), files.file("server.key"), 4443)
    repository = Repository(FOLDER / "scale", files.folder / "ca.crt")
    repository.put(top)
    repository.commit(f"{TENANTS} tenants")
    made = ArgoCD(plane, repository)
    made.start(**SETTINGS)
    yield made
    plane.stop()


def calls(argo: ArgoCD) -> Counter[str]:
    """Requests that the API server has answered so far, by verb; watches are counted when they end."""
    found: Counter[str] = Counter()
    for line in argo.api.request("GET", "/metrics").splitlines():
        if line.startswith("apiserver_request_total{"):
            verb = re.search(r'verb="([A-Z]+)"', line)
            assert verb
            found[verb[1]] += int(float(line.rpartition(" ")[2]))
    return found


def peaks(argo: ArgoCD) -> dict[str, int]:
    """The most that each program held, in MiB."""
    found = {}
    for name, process in argo.plane.processes.running.items():
        status = Path(f"/proc/{process.pid}/status").read_text()
        found[name] = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return found


def operations(argo: ArgoCD) -> dict[str, str]:
    """When each Application's last sync ended."""
    return {name: thing["status"]["operationState"]["finishedAt"] for name, thing in argo.applications().items()}


def told(counts: Counter[str]) -> str:
    """Requests, most frequent first."""
    return f"{counts.total():,} ({', '.join(f'{verb} {count:,}' for verb, count in counts.most_common())})"


def test_the_roots_manifests_fit(argo: ArgoCD) -> None:
    """They are read as one directory; what a thousand tenants take fits as well."""
    size = sum(file.stat().st_size for file in argo.repository.path("compiled/eu1").glob("*/argocd/*.yaml"))
    a_tenant = size / TENANTS
    say(
        f"the root's manifests: {size:,} bytes of {LARGEST:,}; {a_tenant:,.0f} a tenant, so {LARGEST / a_tenant:,.0f} tenants fit"
    )
    assert size < LARGEST
    assert 1000 * a_tenant < LARGEST


def test_every_tenant_is_synced(argo: ArgoCD) -> None:
    """From kubectl apply, and then nothing by hand."""
    before, start = calls(argo), time.monotonic()
    argo.plane.kubectl("apply", "-f", str(argo.repository.path("argocd/eu1.yaml")))
    argo.settle(seconds=PATIENCE, least=2 * TENANTS)
    took = time.monotonic() - start
    count = len(argo.applications())
    say(
        f"{count} Applications of {TENANTS} tenants Synced and Healthy in {took:.0f} s, {took / TENANTS:.1f} s a tenant"
    )
    say(f"requests of the API meanwhile, everybody's: {told(calls(argo) - before)}")
    say(f"most memory, MiB: {peaks(argo)}")


def test_nothing_is_synced_again(argo: ArgoCD) -> None:
    """Asked to look again, Argo CD finds nothing to do in any of them."""
    before = operations(argo)
    started, requests = time.monotonic(), calls(argo)
    argo.refresh()
    argo.settle(seconds=PATIENCE, least=2 * TENANTS)
    time.sleep(30)
    assert operations(argo) == before
    say(f"requests in {time.monotonic() - started:.0f} s after a refresh of all: {told(calls(argo) - requests)}")


def test_a_change_of_one_tenant_is_its_alone(argo: ArgoCD) -> None:
    """A commit that touches one folder syncs one Application."""
    before, name = operations(argo), "tenant-0000"
    (file,) = argo.repository.path("compiled/eu1", name, "workload/router").glob("configmap-*.yaml")
    file.write_text(file.read_text().replace("annotations:\n", "annotations:\n    example.com/changed: 'yes'\n", 1))
    took = argo.push("one of many", f"eu1-{name}")
    argo.refresh()
    argo.settle(seconds=PATIENCE, revision="")
    after = operations(argo)
    assert {each for each in before if before[each] != after[each]} == {f"eu1-{name}"}
    say(f"from a commit to a synced tenant among {TENANTS}: {took:.0f} s")


def test_docs_say_these_settings() -> None:
    """What was tried is what is recommended."""
    text = (TOP / "docs/scaling.md").read_text()
    for name, value in SETTINGS.items():
        assert re.search(rf"controller\.{name.replace('_', '.')}`? *\| *{value}\b", text), name
