"""7. Rolling: a change rolls exactly the Pods that read it, and what the autoscaler owns is left to it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from api import until
from change import PullRequests
from mains import most_mains
from repository import TOP

from conftest import FOLDER, Fleet, say

PROD = "inventory/targets/eu1/matrix-prod.yml"
COMPONENT = "app.kubernetes.io/component"


@pytest.fixture(scope="module")
def pull(fleet: Fleet) -> PullRequests:
    """Pull requests against the fleet."""
    return PullRequests(FOLDER / "pull-rolling", fleet.repository)


@pytest.fixture(scope="module", autouse=True)
def as_it_was(fleet: Fleet) -> Iterator[None]:
    """The fleet as it is compiled, for whoever comes next."""
    yield
    fleet.repository.put(TOP)
    fleet.hub.push("as it was")


def living(fleet: Fleet) -> dict[str, tuple[str, str]]:
    """Tenant and component of every Pod that lives, Jobs' apart, by uid."""
    return {
        pod["metadata"]["uid"]: (
            pod["metadata"]["labels"]["app.kubernetes.io/instance"],
            pod["metadata"]["labels"][COMPONENT],
        )
        for pod in fleet.api("eu1").list("v1", "Pod", None, "app.kubernetes.io/part-of=matrix-fleet")
        if "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["ownerReferences"][0]["kind"] != "Job"
    }


def rolled(before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]) -> set[tuple[str, str]]:
    """Whose Pods are others."""
    return {after[uid] for uid in after.keys() - before.keys()} | {before[uid] for uid in before.keys() - after.keys()}


@pytest.mark.parametrize(
    ("old", "new", "components"),
    [
        ("    media:\n", "    element: {branding: {brand: Company}}\n    media:\n", {"element"}),
        ("      signing_key: volume\n", "      signing_key: volume\n      presence: false\n", {"synapse"}),
        ("    media:\n", "    turn: {kind: daemonset, secret: 2}\n    media:\n", {"synapse", "turn"}),
    ],
    ids=["Element's configuration", "Synapse's configuration", "rotated: the secret of TURN"],
)
def test_exactly_its_readers_roll(fleet: Fleet, pull: PullRequests, old: str, new: str, components: set[str]) -> None:
    before, start = living(fleet), time.time()
    pull.source.edit(PROD, old, new)
    pull.compile()
    assert pull.check() == ""
    fleet.hub.push("a change of one thing")
    assert rolled(before, living(fleet)) == {("matrix-prod", component) for component in components}
    assert all(count <= 1 for count in most_mains(fleet.recorders["eu1"], start).values())
    pull.merge()


def test_a_rotated_secret_is_made_and_the_old_one_stays(fleet: Fleet) -> None:
    for generation in (1, 2):
        assert fleet.api("eu1").get("v1", "Secret", "matrix-prod", f"matrix-prod-turn-{generation}")


def test_the_autoscaler_is_not_fought_over(fleet: Fleet) -> None:
    """It adds Pods under load; Argo CD stays Synced and takes none away; they go when the load does."""
    api, metrics = fleet.api("eu1"), fleet.planes["eu1"].metrics
    where = ("apps/v1", "Deployment", "matrix-ha", "matrix-ha-client-reader")
    assert api.get(*where)["spec"]["replicas"] == 2  # type: ignore[index]
    metrics.load["matrix-ha", "client-reader"] = 4000
    try:
        start = time.monotonic()
        until("the autoscaler adds Pods", lambda: api.get(*where)["spec"]["replicas"] == 4, 90)  # type: ignore[index]
        say(f"4 replicas instead of 2 after {time.monotonic() - start:.0f} s of load")
        fleet.hub.refresh("eu1-matrix-ha")
        end = time.monotonic() + 15
        while time.monotonic() < end:
            assert api.get(*where)["spec"]["replicas"] == 4  # type: ignore[index]
            assert fleet.hub.application("eu1-matrix-ha")["status"]["sync"]["status"] == "Synced"  # type: ignore[index]
            time.sleep(1)
    finally:
        metrics.load.clear()
    until("they go again", lambda: api.get(*where)["spec"]["replicas"] == 2, 120)  # type: ignore[index]
    fleet.hub.settle("eu1-matrix-ha")
