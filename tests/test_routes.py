"""The route table: every endpoint that upstream names is routed or on main on purpose, and what decides
which process answers stays the same on every router."""

from __future__ import annotations

import re

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.model import Fleet
from matrixfleet.plan import endpoints
from matrixfleet.plan.processes import Kind
from test_plan import PROD, WITH_WORKERS, changed, drawn, plan
from test_synapse import AGREED, PYTHON, parsed

DOCUMENTATION = TOP / ".cache/synapse/source/docs/workers.md"
GROUPS = (
    *("SYNC", "INITIAL_SYNC", "FEDERATION_READS", "FEDERATION_INBOUND"),
    *("CLIENT_READS", "SENDING", "MESSAGES", "GET_ONLY", "MEDIA", "MEDIA_ADMIN"),
)


@pytest.fixture(scope="module")
def fleet_with_workers(fleet: Fleet) -> Fleet:
    return changed(fleet, *WITH_WORKERS)


@pytest.fixture(scope="module")
def tree_with_workers(fleet_with_workers: Fleet) -> Tree:
    return drawn(fleet_with_workers)


@pytest.mark.skipif(not DOCUMENTATION.exists(), reason="make test fetches Synapse's documentation")
def test_every_endpoint_of_upstream_is_routed_or_on_main_on_purpose() -> None:
    text = DOCUMENTATION.read_text()
    named = set(
        re.findall(r"(?m)^ {4}(\^?/_(?:matrix|synapse)\S*)$", text[text.index("### `synapse.app.generic_worker`") :])
    )
    assert len(named) > 90, "the documentation is not read as it was"
    ours = {pattern for group in GROUPS for pattern in getattr(endpoints, group)}
    ours |= {pattern for patterns in endpoints.STREAMS.values() for pattern in patterns} | set(endpoints.ON_MAIN)
    missing = {pattern for pattern in named if "^" + pattern.lstrip("^") not in ours}
    assert not missing, f"neither routed nor on main on purpose: {sorted(missing)}"


# A request, and the component that answers it when every worker there can be is there.
REQUESTS = [
    ("GET", "/_matrix/client/v3/sync", "generic"),
    ("GET", "/_matrix/client/v3/rooms/!a:b/initialSync", "generic"),
    ("PUT", "/_matrix/client/v3/rooms/!a:b/send/m.room.message/1", "generic"),
    ("GET", "/_matrix/client/v3/rooms/!a:b/messages", "generic"),
    ("PUT", "/_matrix/federation/v1/send/1", "generic"),
    ("GET", "/_matrix/federation/v1/event/$x", "federation-reader"),
    ("GET", "/_matrix/client/v3/rooms/!a:b/members", "client-reader"),
    ("POST", "/_matrix/client/v3/keys/query", "client-reader"),
    ("POST", "/_matrix/client/v3/keys/upload", "writer-accounts"),
    ("PUT", "/_matrix/client/v3/user/@a:b/account_data/x", "writer-accounts"),
    ("POST", "/_matrix/client/v3/rooms/!a:b/receipt/m.read/$x", "writer-accounts"),
    ("PUT", "/_matrix/client/v3/rooms/!a:b/typing/@a:b", "writer-ephemeral"),
    ("PUT", "/_matrix/client/v3/sendToDevice/m.x/1", "writer-ephemeral"),
    ("POST", "/_matrix/media/v3/upload", "media-repository"),
    ("GET", "/_matrix/client/v1/media/download/b/x", "media-repository"),
    ("POST", "/_synapse/admin/v1/media/quarantine/b/x", "media-repository"),
    ("POST", "/_synapse/admin/v1/rooms/!a:b", "synapse"),
    ("GET", "/_matrix/client/v3/login/sso/redirect", "synapse"),
    ("GET", "/_matrix/key/v2/server", "synapse"),
]


@pytest.mark.parametrize(("method", "path", "component"), REQUESTS, ids=[path for _, path, _ in REQUESTS])
def test_a_request_reaches(method: str, path: str, component: str, fleet_with_workers: Fleet) -> None:
    routes, backends = plan(fleet_with_workers).routing
    leads = {backend.name: backend.process.component for backend in backends}
    reached = (
        leads[route.backend]
        for route in routes
        if any(re.search(pattern, path) for pattern in route.patterns) and (method == "GET" or not route.get_only)
    )
    assert next(reached, "synapse") == component


def test_previews_are_asked_where_they_are(fleet: Fleet) -> None:
    routes, backends = plan(fleet, "us1.newsroom").routing
    several = {backend.name for backend in backends if not backend.first}
    for path, first in [
        ("/_matrix/client/v1/media/preview_url", True),
        ("/_matrix/media/v3/download/newsroom.example.org/2026-11-24_abcdefghijklmnop", True),
        ("/_matrix/client/v1/media/thumbnail/newsroom.example.org/2026-11-24_abcdefghijklmnop", True),
        ("/_matrix/client/v1/media/download/newsroom.example.org/aBcDeFgHiJkLmNoPqRsTuVwX", False),
        ("/_matrix/media/v3/upload", False),
    ]:
        route = next(one for one in routes if any(re.search(pattern, path) for pattern in one.patterns))
        assert (route.backend not in several) is first, path
    router = (TOP / "compiled/us1/newsroom/workload/router/configmap-newsroom-router.yaml").read_text()
    servers = {
        name: re.findall(r"(?m)^      server (\S+)", body)
        for name, body in re.findall(r"(?s)\n    backend (\S+)\n(.*?)(?=\n    backend|\n  \S)", router)
    }
    assert servers["previews"] == ["newsroom-media-repository-0"]
    assert servers["media"] == ["newsroom-media-repository-0", "newsroom-media-repository-1"]


def test_without_workers_everything_is_mains(fleet: Fleet) -> None:
    assert plan(fleet).routing == ((), ())


def test_servers_of_a_hash_have_fixed_ids_and_names(tree_with_workers: Tree) -> None:
    router = tree_with_workers.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-router")
    assert router is not None
    text = router.doc["data"]["haproxy.cfg"]
    for backend in re.findall(r"(?s)\nbackend (\S+)\n(.*?)(?=\nbackend|\nfrontend)", text):
        name, body = backend
        servers = re.findall(r"(?m)^  server (\S+) \S+(.*)$", body)
        if "balance hash" in body:
            assert "hash-type consistent" in body
            assert [rest.split()[:2] for server, rest in servers if server != "main"] == [
                ["id", str(number)] for number in range(1, len(servers))
            ], name
    assert "server-template client-reader- 4 " in text


def test_only_stateless_workers_scale(tree_with_workers: Tree, fleet_with_workers: Fleet) -> None:
    scaled = {entry.spec["scaleTargetRef"]["name"] for entry in tree_with_workers.of_kind("HorizontalPodAutoscaler")}
    assert scaled == {"matrix-prod-client-reader"}
    deployed = tree_with_workers.find("eu1", "Deployment", "matrix-prod", "matrix-prod-client-reader")
    assert deployed is not None and "replicas" not in deployed.spec, "an autoscaler's number is not Argo CD's"
    kinds = {process.component: process.kind for process in plan(fleet_with_workers).processes}
    for entry in tree_with_workers.of_kind("StatefulSet"):
        component = entry.labels["app.kubernetes.io/component"]
        assert component == "postgresql" or kinds[component] is Kind.NAMED


@pytest.mark.skipif(not PYTHON.exists(), reason="make test installs Synapse's parser")
def test_synapse_reads_every_workers_configuration(tree_with_workers: Tree, tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    shared = tree_with_workers.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
    assert shared is not None
    found = [entry for entry in tree_with_workers.of_kind("ConfigMap") if "worker.yaml" in entry.doc["data"]]
    assert len(found) == 10
    for entry in [shared, *found]:
        own = folder / entry.name
        (own / "etc/synapse").mkdir(parents=True)
        (own / "etc/synapse-worker").mkdir()
        (own / "etc/synapse/log.yaml").write_text(shared.doc["data"]["log.yaml"])
        extra = {}
        if entry is not shared:
            (own / "etc/synapse-worker/log.yaml").write_text(entry.doc["data"]["log.yaml"])
            extra = {**yaml.safe_load(entry.doc["data"]["worker.yaml"]), "worker_name": f"{entry.name}-0"}
        # Later files win at the top level, and only there: the same as one file of both.
        merged = {**yaml.safe_load(shared.doc["data"]["homeserver.yaml"]), **extra}
        assert AGREED in parsed(own, yaml.safe_dump(merged)).splitlines(), str(entry)


def test_names_in_shared_configuration_are_pods(tree_with_workers: Tree) -> None:
    shared = tree_with_workers.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
    assert shared is not None
    config = yaml.safe_load(shared.doc["data"]["homeserver.yaml"])
    pods = {
        f"{entry.name}-{ordinal}"
        for entry in tree_with_workers.of_kind("StatefulSet")
        for ordinal in range(entry.spec["replicas"])
    }
    named = {*config["instance_map"], *config["federation_sender_instances"], *config["pusher_instances"]}
    assert named - {"main"} <= pods
    assert set(config["stream_writers"]["events"]) == {"matrix-prod-event-persister-0", "matrix-prod-event-persister-1"}
    assert PROD
