"""3, of secrets: the real external-secrets reads the compiled store and every ExternalSecret, and makes each Secret."""

from __future__ import annotations

import base64

import pytest
from api import Object, until
from externalsecrets import GROUP, NAMESPACE

from conftest import Fleet

CLUSTER = "us1"
EXTERNAL = f"{GROUP}/v1", "ExternalSecret"


@pytest.fixture(scope="module")
def compiled(fleet: Fleet) -> list[Object]:
    """Every ExternalSecret of the cluster."""
    return [one for one in fleet.compiled(CLUSTER).values() if one["kind"] == EXTERNAL[1]]


def ready(thing: Object | None) -> Object:
    """What it says of itself."""
    said = (thing or {}).get("status", {}).get("conditions", [])
    return next((each for each in said if each["type"] == "Ready"), {})


def test_every_secret_is_made_as_it_lies_in_the_store(fleet: Fleet, compiled: list[Object]) -> None:
    api, stored = fleet.api(CLUSTER), fleet.stored
    assert {one["spec"]["target"]["name"] for one in compiled} == stored.keys()
    for one in compiled:
        place, name = one["metadata"]["namespace"], one["spec"]["target"]["name"]
        assert ready(api.get(*EXTERNAL, place, one["metadata"]["name"]))["reason"] == "SecretSynced", name
        secret = api.get("v1", "Secret", place, name)
        assert secret and secret["immutable"], name
        # Nobody's: it outlives the ExternalSecret.
        assert "ownerReferences" not in secret["metadata"], name
        assert {key: base64.b64decode(value).decode() for key, value in secret["data"].items()} == stored[name]


def test_the_store_is_valid(fleet: Fleet) -> None:
    for one in fleet.compiled(CLUSTER).values():
        if one["kind"] == "ClusterSecretStore":
            found = fleet.api(CLUSTER).get(one["apiVersion"], one["kind"], None, one["metadata"]["name"])
            assert ready(found)["reason"] == "Valid"


def test_what_is_not_in_the_store_is_told(fleet: Fleet, compiled: list[Object]) -> None:
    """The same ExternalSecret, of a Secret that nobody filled in."""
    api, one = fleet.api(CLUSTER), compiled[0]
    thing = {
        **one,
        "metadata": {"name": "absent", "namespace": NAMESPACE},
        "spec": {**one["spec"], "target": {**one["spec"]["target"], "name": "absent"}},
    }
    thing["spec"]["data"] = [{**each, "remoteRef": {**each["remoteRef"], "key": "matrix-fleet/absent"}}
                             for each in one["spec"]["data"]]  # fmt: skip
    api.create(thing)
    try:
        until(
            "it is told",
            lambda: ready(api.get(*EXTERNAL, NAMESPACE, "absent")).get("reason") == "SecretSyncedError",
            30,
        )
        assert api.get("v1", "Secret", NAMESPACE, "absent") is None
    finally:
        api.delete(thing)
