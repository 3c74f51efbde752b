"""11. The high-availability homeserver with the real CloudNativePG: its operator runs on the node, its instances are
PostgreSQL under its own instance manager, and its primary is killed while a client writes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from api import Object, documents, until
from joined import Homeserver, Joined, SomeTenants
from plane import encoded
from repository import TOP

from conftest import give, say
from fleetnode import overlays

TENANT, NAMESPACE = "eu1-matrix-ha", "matrix-ha"
CLUSTER = ("postgresql.cnpg.io/v1", "Cluster", NAMESPACE, "matrix-ha-postgresql")
DEBIAN = "ghcr.io/cloudnative-pg/postgresql:15.14"


def older(one: Object) -> Object:
    """The PostgreSQL that is installed, in the words by which the operator chooses its settings."""
    if one["kind"] == "Cluster":
        one["spec"]["imageName"] = DEBIAN
    return one


def unarchived(one: Object) -> Object | None:
    """Without the plugin that archives, and what is meant for it."""
    if one["kind"] == "Cluster":
        one["spec"].pop("plugins", None)
    return None if one["kind"] in ("ObjectStore", "ScheduledBackup") else one


OVERLAYS = (
    overlays.scaled("generic", 2, "each Synapse costs 80 MiB and 3 s to start; two show that a pool is one"),
    overlays.Overlay(f"Cluster: {DEBIAN}", "Debian's PostgreSQL is 15", older),
    overlays.Overlay("Cluster: no plugins", "the Barman Cloud plugin is a program of its own", unarchived),
)


@pytest.fixture(scope="module")
def ha(joined: Joined) -> Homeserver:
    """The homeserver, brought by a commit that adds it to the cluster."""
    files = joined.plane.certificates
    files.sign("webhook", ["cnpg-webhook-service.cnpg-system.svc"])
    where = {"name": "cnpg-webhook", "namespace": "cnpg-system"}
    data = {f"apiserver.{end}": encoded(files.folder / f"webhook.{end}") for end in ("crt", "key")}
    joined.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cnpg-system"}})
    joined.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": where, "data": data})
    joined.make("cloudnativepg.yaml")
    repository, start = joined.repository, time.monotonic()
    repository.kept, repository.overlays = (*SomeTenants.kept, NAMESPACE), (*SomeTenants.overlays, *OVERLAYS)
    say(f"otherwise only:\n{overlays.told(OVERLAYS)}")
    repository.put(TOP)
    revision = repository.commit("high availability")
    joined.argo.refresh("eu1-root")
    joined.settle("eu1-root", revision=revision)
    give(joined.api, documents(repository.work / f"compiled/eu1/{NAMESPACE}").values())
    joined.settle(TENANT, seconds=600)
    say(f"{TENANT} Synced and Healthy {time.monotonic() - start:.0f} s after the push")
    made = Homeserver(joined, NAMESPACE, "matrix.group.example.com")
    until("the homeserver answers", made.answers, 60)
    return made


def cluster(joined: Joined) -> Object:
    """As its operator says it is."""
    found = joined.api.get(*CLUSTER)
    assert found
    return found["status"]


def test_three_instances_are_ready_by_the_operator(joined: Joined, ha: Homeserver) -> None:
    status = cluster(joined)
    assert status["readyInstances"] == status["instances"] == 3
    assert status["phase"] == "Cluster in healthy state"
    pods = joined.api.list("v1", "Pod", NAMESPACE, f"cnpg.io/cluster={CLUSTER[3]},cnpg.io/podRole=instance")
    roles = sorted(pod["metadata"]["labels"]["cnpg.io/instanceRole"] for pod in pods)
    assert roles == ["primary", "replica", "replica"]


class Writer(threading.Thread):
    """Sends message after message. `accepted` has the events that the homeserver promised to keep, with their times."""

    def __init__(self, server: Homeserver, token: str, room: str) -> None:
        super().__init__(daemon=True)
        self.server, self.token, self.room = server, token, room
        self.accepted: list[tuple[float, str]] = []
        self.refused = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.1):
            try:
                event = self.server.send(self.token, self.room, f"number {len(self.accepted)}")
                self.accepted.append((time.monotonic(), event))
            except (AssertionError, OSError):
                self.refused += 1


@pytest.fixture
def writer(ha: Homeserver) -> Iterator[Writer]:
    """Writing already."""
    token = ha.log_in("alice")
    room = ha.client("POST", "createRoom", {"name": "Tea"}, token)["room_id"]
    made = Writer(ha, token, room)
    made.start()
    until("messages are accepted", lambda: len(made.accepted) > 10, 60)
    yield made
    made.ended.set()


def kept(ha: Homeserver, writer: Writer, event: str) -> bool:
    """Whether a message is read again. A worker's connection that was cut fails once (500); what is lost is not found."""
    status, said = ha.call("GET", f"/_matrix/client/v3/rooms/{writer.room}/event/{event}", token=writer.token)
    assert status != 404, said
    return status == 200


def test_a_killed_primary_is_replaced_and_nothing_accepted_is_lost(
    joined: Joined, ha: Homeserver, writer: Writer
) -> None:
    old = cluster(joined)["currentPrimary"]
    pod = joined.api.get("v1", "Pod", NAMESPACE, old)
    assert pod
    killed = time.monotonic()
    joined.api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]}, gracePeriodSeconds=0)
    until("a replica is promoted", lambda: (status := cluster(joined))["currentPrimary"] == status["targetPrimary"] != old, 180)  # fmt: skip
    promoted = time.monotonic() - killed
    until("messages are accepted again", lambda: writer.accepted[-1][0] > killed + promoted, 180)
    gap = max(later - earlier for (earlier, _), (later, _) in zip(writer.accepted, writer.accepted[1:], strict=False))
    until("three instances are ready", lambda: cluster(joined).get("readyInstances") == 3, 300)
    healed = time.monotonic() - killed
    writer.ended.set()
    writer.join()
    for _, event in writer.accepted:
        until(f"{event} is read again", lambda: kept(ha, writer, event), 30)  # noqa: B023
    joined.settle(TENANT)
    say(f"promoted after {promoted:.0f} s, no message accepted for {gap:.0f} s, three instances again after {healed:.0f} s; "
        f"{len(writer.accepted)} messages accepted and read again, {writer.refused} refused")  # fmt: skip
