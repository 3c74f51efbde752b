"""11. The high-availability homeserver with the real CloudNativePG: its operator runs on the node, its instances are
PostgreSQL under its own instance manager, and its primary is killed while a client writes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import barman
import pytest
from api import Object, documents, until
from change import PullRequests
from joined import Homeserver, Joined, SomeTenants
from repository import TOP

from conftest import give, say
from fleetnode import overlays

TENANT, NAMESPACE = "eu1-matrix-ha", "matrix-ha"
CLUSTER = ("postgresql.cnpg.io/v1", "Cluster", NAMESPACE, "matrix-ha-postgresql")
HA, PAGE = "inventory/targets/eu1/matrix-ha.yml", TOP / f"compiled/eu1/{NAMESPACE}/docs/recovery.md"
OVERLAYS = (
    overlays.scaled("generic", 2, "each Synapse costs 80 MiB and 3 s to start; two show that a pool is one"),
    *barman.OVERLAYS,
)


@pytest.fixture(scope="module")
def ha(joined: Joined, operators: None) -> Homeserver:
    """The homeserver, brought by a commit that adds it to the cluster."""
    repository, start = joined.repository, time.monotonic()
    repository.kept, repository.overlays = (*SomeTenants.kept, f"eu1/{NAMESPACE}"), (*SomeTenants.overlays, *OVERLAYS)
    say(f"otherwise only:\n{overlays.told(OVERLAYS)}")
    repository.put(TOP)
    revision = repository.commit("high availability")
    joined.argo.refresh("eu1-root")
    joined.settle("eu1-root", revision=revision)
    until("the namespace is there", lambda: joined.api.get("v1", "Namespace", None, NAMESPACE))
    joined.api.apply(barman.authority(joined, NAMESPACE))
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
    # Argo CD takes a Cluster for healthy whose replicas are still to come.
    until("three instances are ready", lambda: cluster(joined).get("readyInstances") == 3, 180)
    assert cluster(joined)["phase"] == "Cluster in healthy state"
    pods = joined.api.list("v1", "Pod", NAMESPACE, f"cnpg.io/cluster={CLUSTER[3]},cnpg.io/podRole=instance")
    roles = sorted(pod["metadata"]["labels"]["cnpg.io/instanceRole"] for pod in pods)
    assert roles == ["primary", "replica", "replica"]


def conditions(joined: Joined) -> dict[str, str]:
    """Of the Cluster."""
    return {each["type"]: each["status"] for each in cluster(joined).get("conditions", [])}


def test_its_log_is_archived_and_a_base_backup_is_made(joined: Joined, ha: Homeserver) -> None:
    """The compiled ScheduledBackup asks for the first at once. The keys are for the tenant's folder alone."""
    until("the log is archived", lambda: conditions(joined).get("ContinuousArchiving") == "True", 120)
    done = barman.base_backup(joined, NAMESPACE)
    kept = barman.ask(joined) or []
    folder = f"{barman.FOLDERS[0]}/postgresql/{CLUSTER[3]}/"
    assert {key.partition("/")[0] for key in kept} <= set(barman.FOLDERS)
    assert {"base", "wals"} <= {key.removeprefix(folder).partition("/")[0] for key in kept}
    say(f"base backups: {done}, {len(kept)} objects in the bucket")


METRICS = "exec 3<>/dev/tcp/127.0.0.1/9187 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
ASKED_FOR = (
    "cnpg_pg_replication_lag",
    "cnpg_pg_stat_archiver_seconds_since_last_archival",
    "cnpg_pg_stat_archiver_failed_count",
    "cnpg_pg_stat_archiver_archived_count",
    "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp",
)


def test_an_instance_says_what_alerts_ask_for(joined: Joined, ha: Homeserver) -> None:
    def told() -> dict[str, list[float]]:
        said = barman.shell(joined, NAMESPACE, cluster(joined)["currentPrimary"], METRICS).read_text().splitlines()
        return {name: [float(line.split()[-1]) for line in said if line.startswith(name)] for name in ASKED_FOR}

    assert all(told().values()), told()
    # The plugin looks again by and by.
    until("the base backup is known", lambda: told()[ASKED_FOR[-1]][0] > time.time() - 3600, 120)


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


def test_it_comes_back_to_a_moment_by_the_tenants_page(joined: Joined, ha: Homeserver) -> None:
    token = ha.log_in("bob")
    room = ha.client("POST", "createRoom", {"name": "Tea"}, token)["room_id"]
    first = ha.send(token, room, "the first")
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime())
    time.sleep(1.1)
    second = ha.send(token, room, "the second")
    primary = cluster(joined)["currentPrimary"]
    barman.archived(joined, NAMESPACE, primary)
    start = time.monotonic()
    pull = PullRequests(joined.plane.folder / "pull-ha", joined.repository)
    pull.source.edit(HA, "  matrix:\n", "  matrix:\n    state: stopped\n")
    pull.compile()
    joined.argo.push("stopped")
    barman.by_page(joined, PAGE.read_text(), moment)
    pull.source.edit(HA, "    state: stopped\n", "")
    pull.compile()
    joined.argo.push("running", seconds=600)
    until("the first message is read again", lambda: ha.call("GET", f"/_matrix/client/v3/rooms/{room}/event/{first}", token=token)[0] == 200, 60)  # fmt: skip
    assert ha.call("GET", f"/_matrix/client/v3/rooms/{room}/event/{second}", token=token)[0] == 404
    say(f"restored to a moment {time.monotonic() - start:.0f} s after it was decided, three pull requests included")
