"""8. Scale: so many generated tenants as $SCALE says, on one cluster, from nothing to Synced, by the settings of
docs/scaling.md.

    make test-cluster SCALE=200 ONLY=tests/cluster/test_08_scale.py
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import build
import pytest
from api import Api, Refused
from argo import ArgoCD
from plane import Plane
from repository import Repository

import bench
from conftest import FOLDER, groups, say

SCALE = int(os.environ.get("SCALE") or 0)
CAP = 10 * 1024**2
"""Bytes of manifests of one directory Application that the repo-server takes (reposerver.max.combined.directory.manifests.size)."""
SETTINGS = {"status-processors": "50", "operation-processors": "25"}


def calls(api: Api) -> dict[str, int]:
    """Requests that the API server answered since it started, by verb."""
    found: dict[str, int] = {}
    for line in str(api.request("GET", "/metrics")).splitlines():
        if line.startswith("apiserver_request_total{"):
            verb = re.search(r'verb="(\w+)"', line)
            if verb:
                found[verb[1]] = found.get(verb[1], 0) + int(float(line.rpartition(" ")[2]))
    return found


@pytest.mark.skipif(not SCALE, reason="takes long: SCALE=<tenants>")
def test_so_many_tenants(tmp_path: Path) -> None:
    bench.generate(tmp_path, SCALE)
    measured = bench.measure(tmp_path)
    say(f"{SCALE} tenants compiled in {measured.wall:.0f} s")
    manifests = sum(path.stat().st_size for path in (tmp_path / "compiled/eu1/argocd").glob("*.yaml"))
    say(
        f"the root's manifests: {manifests:,} bytes, {manifests / SCALE:,.0f} a tenant: {CAP // (manifests // SCALE):,} tenants a root"
    )
    assert manifests < CAP
    plane = Plane(build.folder(), FOLDER / "scale", 3)
    api = plane.start()
    plane.define(groups("eu1"))
    plane.nodes(scripts=False)
    repository = Repository(FOLDER, plane.certificates.folder / "ca.crt")
    repository.put(tmp_path)
    repository.commit("many")
    argo = ArgoCD(plane, repository)
    argo.start(**SETTINGS)
    before, start = calls(api), time.monotonic()
    plane.kubectl("apply", "-f", str(tmp_path / "compiled/eu1/platform/bootstrap"))
    shown, left = 0.0, {"": "none yet"}
    while True:
        plane.processes.alive()
        took = time.monotonic() - start
        try:
            left = argo.unsettled()
            if not left and len(argo.applications()) > 2 * SCALE:
                break
        except Refused as refused:
            say(f"{took:.0f} s: {refused}")
        if took - shown > 60:
            shown = took
            say(f"{took:.0f} s: {len(left)} Applications not settled; MiB: {plane.processes.memory()}")
            say("such as " + "; ".join(f"{name}: {why}" for name, why in list(left.items())[:1])[:600])
        assert took < 40 * SCALE, "\n".join(f"{name}: {why}" for name, why in list(left.items())[:10])
        time.sleep(5)
    after = calls(api)
    say(f"{SCALE} tenants Synced and Healthy in {took:.0f} s, {took / SCALE:.1f} s a tenant")
    say(f"resident MiB: {plane.processes.memory()}")
    say(f"API calls: { {verb: after[verb] - before.get(verb, 0) for verb in sorted(after)} }")
    plane.stop()
