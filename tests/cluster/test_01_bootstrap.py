"""3. Bootstrap: on empty clusters, `kubectl apply` of what argocd/README.md says, and then nothing by hand.

One API server a cluster; a hub's Argo CD syncs eu1 and us1, ap1 has its own. Pods are kwok's: they become ready by
themselves. The scheduler, quotas, Pod Security, admission policies, volumes that bind on their first consumer, and the
script that makes Secrets are real.
"""

from __future__ import annotations

import pytest
from api import documents, named
from order import in_order
from repository import TOP

from conftest import Fleet, say

TARGETS = sorted(
    (path.parent.name, path.name) for path in (TOP / "compiled").glob("*/*") if (path / "workload").is_dir()
)
TENANTS = [pair for pair in TARGETS if pair[1] != "platform"]


def test_every_application_is_synced_and_healthy(fleet: Fleet) -> None:
    compiled = [thing for thing in fleet.compiled().values() if thing["kind"] == "Application"]
    there = {**fleet.hub.applications(), **fleet.own.applications()}
    wanted = {thing["metadata"]["name"] for thing in compiled if not thing["spec"]["source"].get("chart")}
    assert set(there) == wanted
    assert fleet.hub.unsettled() | fleet.own.unsettled() == {}


def test_every_compiled_object_is_there(fleet: Fleet) -> None:
    for cluster in fleet.planes:
        hub = fleet.api("ap1" if cluster == "ap1" else "eu1")
        for path, thing in fleet.compiled(cluster).items():
            api = hub if thing["apiVersion"].startswith("argoproj.io") else fleet.api(cluster)
            assert api.there(thing), f"{path.relative_to(TOP)}: {named(thing)} is not on {cluster}"


@pytest.mark.parametrize(("cluster", "tenant"), TENANTS, ids=lambda part: part)
def test_waves_come_one_after_the_other(fleet: Fleet, cluster: str, tenant: str) -> None:
    """The last of a wave is well before the first of the next is made: secrets, database, main, workers, router, edge.

    Certificates are not waited for by name: who mounts one waits for its Secret."""
    say(f"{cluster}: {in_order(fleet.recorders[cluster], tenant, fleet.began)}")


@pytest.mark.parametrize(("cluster", "target"), TARGETS, ids=lambda part: part)
def test_secrets_were_made_by_the_script_that_is_compiled(fleet: Fleet, cluster: str, target: str) -> None:
    lists = [
        thing["data"]["secrets.json"]
        for thing in documents(TOP / "compiled" / cluster / target).values()
        if thing["kind"] == "ConfigMap" and "secrets.json" in thing["data"]
    ]
    if not lists:
        pytest.skip("it has none of its own")
    import json

    for secret in json.loads(lists[0]):
        for namespace in secret["namespaces"]:
            live = fleet.api(cluster).get("v1", "Secret", namespace, secret["name"])
            assert live, f"{namespace}/{secret['name']}: {fleet.bootstrapping[cluster].said}"
            assert set(secret["keys"]) <= set(live["data"])


def test_the_script_waited_for_what_others_make(fleet: Fleet) -> None:
    """tenant-a copies what the platform's own Job makes: whichever came first, both ended well."""
    said = {pod: runs for pod, runs in fleet.bootstrapping["ap1"].said.items() if "tenant-a-bootstrap" in pod}
    assert said
    for runs in said.values():
        for each in runs[:-1]:
            # Its Role comes with another Application.
            assert "not there yet" in each or "forbidden" in each, each


def test_volumes_are_bound(fleet: Fleet) -> None:
    for cluster in fleet.planes:
        claims = fleet.api(cluster).list("v1", "PersistentVolumeClaim")
        assert {named(each): each["status"]["phase"] for each in claims if each["status"]["phase"] != "Bound"} == {}
