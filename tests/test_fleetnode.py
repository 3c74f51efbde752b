"""What stands around a compiled tenant's Pods on one machine; that they run is seen in tests/services."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from fleetnode import certificates, demo, edge, images, overlays, secrets
from fleetnode.tenant import Tenant
from fleets import TOP
from matrixfleet.checks.schemas.fetch import SOURCES
from matrixfleet.model import Fleet
from matrixfleet.model.release import numbers
from podrunner.images import image_of
from podrunner.objects import Object, Objects, Unsupported, pods_of

BOOTED = [("eu1/matrix-prod", overlays.SINGLE_TENANT), ("eu1/matrix-ha", overlays.REDUCED)]


def component(name: str, **more: Object) -> Object:
    labels = {"app.kubernetes.io/component": name}
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "a", "labels": labels}, **more}


def test_an_overlay_changes_a_copy_and_says_when_it_no_longer_fits() -> None:
    one = component("web", data={"a.conf": "on"})
    (changed,) = overlays.laid([one], [overlays.replaced("web", "a.conf", "on", "off", "")])
    assert (changed["data"]["a.conf"], one["data"]["a.conf"]) == ("off", "on")
    with pytest.raises(LookupError, match=r"ConfigMap web: a\.conf has no 'yes': the overlay is out of date"):
        overlays.laid([one], [overlays.replaced("web", "a.conf", "yes", "off", "")])


@pytest.mark.parametrize(("folder", "laid"), BOOTED)
def test_every_image_of_a_booted_tenant_has_a_program(folder: str, laid: tuple[overlays.Overlay, ...]) -> None:
    table = images.debian(Path("venv"), Path("newer"), Path("element"))
    for one in Tenant(TOP / "compiled" / folder, laid).objects:
        for pod in pods_of(one):
            for container in (*pod.init_containers, *pod.containers):
                image_of(table, container["image"])


def test_the_demo_fits_what_is_compiled() -> None:
    table = images.wheels(next((TOP / ".cache/synapse").glob("venv")))
    tenant = Tenant(TOP / "compiled/eu1/matrix-prod", overlays.DEMO)
    assert {image_of(table, c["image"]).program for one in tenant.objects for p in pods_of(one) for c in p.containers}


DEMOS = {
    "ap1/tenant-a": ["its database is elsewhere, at platform-postgresql-rw.fleet.svc.cluster.local"],
    "ap1/tenant-b": ["no Python package has pgbouncer, pgbouncer-exporter"],
    "eu1/chess-club": [],
    "eu1/matrix-ha": ["no Python package has coturn, pgbouncer, postgresql, redis, redis_exporter"],
    "eu1/matrix-prod": [],
    "us1/newsroom": [
        "its Secrets come from a store",
        "no Python package has redis, redis_exporter, synapse-s3",
    ],
    "us1/research": [
        "its Secrets come from a store",
        "Synapse asks https://sso.lab.example.net/realms/lab before it starts",
    ],
}
"""What of each tenant cannot run on one machine; nothing where `make demo` boots it."""


def test_the_demo_says_at_once_what_it_cannot_run() -> None:
    table = images.wheels(next((TOP / ".cache/synapse").glob("venv")))
    folders = [path.parent for path in (TOP / "compiled").glob("*/*/workload")]
    tenants = [path for path in folders if any(path.glob("workload/synapse/deployment-*"))]
    assert {f"{path.parent.name}/{path.name}" for path in tenants} == DEMOS.keys()
    for path in tenants:
        found = demo.missing(Tenant(path, overlays.DEMO).objects, table)
        assert found == DEMOS[f"{path.parent.name}/{path.name}"], path
    for path in set(folders) - set(tenants):
        assert demo.missing(Tenant(path, overlays.DEMO).objects, table) == ["it has no Synapse"]


def test_the_demo_of_a_stopped_tenant_or_one_that_a_person_makes_secrets_for() -> None:
    table = images.wheels(next((TOP / ".cache/synapse").glob("venv")))
    objects = Tenant(TOP / "compiled/eu1/chess-club", overlays.DEMO).objects
    without = [one for one in objects if one["metadata"]["name"] != "chess-club-synapse" or one["kind"] != "Deployment"]
    assert demo.missing(without, table) == ["it is stopped"]
    told = [copy.deepcopy(one) for one in objects]
    (script,) = [one for one in told if "secrets.json" in (one.get("data") or {})]
    orders = json.loads(script["data"]["secrets.json"])
    orders.append({**orders[0], "name": "chess-club-email-1", "keys": {"password": "given"}})
    script["data"]["secrets.json"] = json.dumps(orders)
    assert demo.missing(told, table) == ["a person makes its chess-club-email-1"]


@pytest.mark.parametrize(("folder", "laid"), BOOTED)
def test_every_secret_that_pods_mount_is_made(folder: str, laid: tuple[overlays.Overlay, ...]) -> None:
    """By the Job's own script and by the Certificates: nothing is made up here."""
    tenant, store = Tenant(TOP / "compiled" / folder, laid), Objects()
    secrets.bootstrap(tenant.objects, store, TOP / ".cache/synapse/venv/bin/python")
    certificates.issue(tenant.objects, store, certificates.Authority("the world"))
    made = {one["metadata"]["name"] for one in store}
    compiled = [pod for one in tenant.objects for pod in pods_of(one) if "cnpg.io/podRole" not in pod.labels]
    wanted = {v["secret"]["secretName"] for pod in compiled for v in pod.spec.get("volumes", []) if "secret" in v}
    assert wanted and wanted <= made


def test_an_edge_annotation_that_is_not_told_on() -> None:
    annotations = {"traefik.ingress.kubernetes.io/router.priority": "1"}
    ingress: Object = {"kind": "Ingress", "metadata": {"name": "web", "namespace": "a", "annotations": annotations}}
    ingress["spec"] = {"ingressClassName": "traefik", "rules": []}
    with pytest.raises(Unsupported, match=r"Ingress web: annotation traefik\.ingress\.kubernetes\.io/router\.priority"):
        edge.edge([ingress], Objects())


LISTED = [
    line.split(maxsplit=4) for line in (TOP / "tests/programs.apt").read_text().splitlines() if line and line[0] != "#"
]
STANDING = [line for line in LISTED if line[2] != "-"]


@pytest.mark.parametrize("line", STANDING, ids=[line[0] for line in STANDING])
def test_a_program_has_its_images_minor_version_or_a_reason(fleet: Fleet, line: list[str]) -> None:
    _, version, image, *excused = line
    tag = dict(fleet.target("eu1.matrix-prod").release.images)[image].tag.lstrip("v")
    runs = version.rpartition(":")[2]
    if excused:
        assert f"{tag}.".startswith(f"{excused[0].lstrip('v')}.") or tag == excused[0].lstrip("v"), (tag, excused)
        assert len(excused) > 1 and not f"{tag}.".startswith(f"{runs}."), "a reason that is needed"
    else:
        assert f"{tag}.".startswith(f"{runs}.") and "." in runs, (tag, runs)


def test_every_image_that_pods_run_is_listed_or_no_registry_has_it(fleet: Fleet) -> None:
    images = {name for name, _ in fleet.target("eu1.matrix-prod").release.images}
    by_pip = {"synapse", "synapse_s3"}
    same_program = {"cloudnative_pg"}
    assert images - {line[2] for line in STANDING} - by_pip - same_program == {"vector"}


def test_operators_and_argo_cd_are_built_in_the_versions_that_schemas_are_of(fleet: Fleet) -> None:
    built = {
        words[0]: words[1]
        for module in (TOP / "tests/cluster").glob("*/go.mod")
        for line in module.read_text().splitlines()
        if len(words := line.removeprefix("require ").split()) == 2
    }
    there = {one.module: one.version for one in SOURCES if one.module in built}
    assert there == {module: built[module] for module in there} and len(there) == 5
    release = fleet.target("eu1.matrix-prod").release
    assert built["github.com/cloudnative-pg/cloudnative-pg"] == f"v{release.charts.cloudnative_pg.installs}"
    assert built["github.com/cloudnative-pg/plugin-barman-cloud"] == release.charts.barman_cloud.installs
    minor = numbers(built["k8s.io/kubernetes"])[:2]
    assert numbers(release.kubernetes.first) <= minor <= numbers(release.kubernetes.last)
