"""What stands around a compiled tenant's Pods on one machine; that they run is seen in tests/services."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetnode import certificates, edge, images, overlays, secrets
from fleetnode.tenant import Tenant
from fleets import TOP
from matrixfleet.model import Fleet
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


def test_programs_of_a_newer_debian_have_their_images_versions(fleet: Fleet) -> None:
    lines = [line.split() for line in (TOP / "tests/newer.apt").read_text().splitlines() if not line.startswith("#")]
    tags = {name: image.tag for name, image in fleet.target("eu1.matrix-prod").release.images}
    assert lines and all(tags[package].startswith(f"{version}.") for _, package, version in lines)
