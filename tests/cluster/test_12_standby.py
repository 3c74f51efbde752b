"""12. A homeserver that two clusters have, with the real CloudNativePG and its Barman Cloud plugin: the standby's database
follows the active one's archive, takes over by one word, and is followed by what was active before.

Both clusters are this one: their targets have namespaces of their own, and what they share is the bucket alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import barman
import pytest
from api import Object, documents, until
from change import PullRequests
from joined import Homeserver, Joined, SomeTenants

from conftest import GIVEN, give, say
from fleetnode import overlays
from fleets import PAIR, with_standby

ACTIVE, STANDBY, HOST = "pair", "pair-standby", "matrix.pair.example.com"
CARRIED = ("synapse-1", "signing-key-1", "backup-key-1")
"""Secrets of the homeserver's, whichever cluster it runs on."""


class Pair:
    """The two, and the copy of the inventory in which they are one homeserver."""

    def __init__(self, joined: Joined) -> None:
        self.joined, self.edge = joined, ACTIVE
        joined.repository.kept = SomeTenants.kept
        joined.repository.overlays = (*SomeTenants.overlays, *barman.OVERLAYS, self.dns)
        self.pull = PullRequests(joined.plane.folder / "pull-pair", joined.repository)
        with_standby(self.pull.source)

    @property
    def dns(self) -> overlays.Overlay:
        """One edge stands for both clusters': it has the Ingresses of the one that DNS names."""

        def change(one: Object) -> Object | None:
            elsewhere = {ACTIVE, STANDBY} - {self.edge}
            return None if one["kind"] == "Ingress" and one["metadata"].get("namespace") in elsewhere else one

        return overlays.Overlay("Ingresses of one of the two", "one edge stands for two clusters'", change)

    def bring(self, cluster: str, namespace: str) -> None:
        """Have Argo CD bring one of them, with what a person gives it."""
        joined = self.joined
        joined.repository.kept = (*joined.repository.kept, f"{cluster}/{namespace}")
        self.pull.compile()
        joined.repository.commit(namespace)
        joined.plane.kubectl("apply", "-f", str(joined.repository.work / f"argocd/{cluster}.yaml"))
        joined.argo.refresh(f"{cluster}-root")
        until("the namespace is there", lambda: joined.api.get("v1", "Namespace", None, namespace), 120)
        joined.api.apply(barman.authority(joined, namespace))

    def carry(self) -> None:
        """What is the homeserver's goes from the active cluster to the standby, as its keys do: by the page recovery.md."""
        for name in CARRIED:
            found = self.joined.api.get("v1", "Secret", ACTIVE, f"{ACTIVE}-{name}")
            assert found
            where = {"name": f"{STANDBY}-{name}", "namespace": STANDBY}
            self.joined.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": where, "data": found["data"]})

    def change(self, message: str, old: str, new: str, *names: str) -> None:
        """One change of the class that both have, until Argo CD has it in these Applications and in the walls of both."""
        self.pull.source.edit(PAIR, old, new)
        self.pull.compile()
        self.joined.argo.push(message, f"eu1-{ACTIVE}-fence", f"eu2-{STANDBY}-fence", *names, seconds=300)

    def sql(self, namespace: str, query: str, database: str = "synapse") -> str:
        """An answer of one of the two servers."""
        primary = barman.primary_of(self.joined, namespace, f"{namespace}-postgresql")
        command = f"psql -XAtq -d {database} -c {query!r}"
        return barman.shell(self.joined, namespace, primary, command).read_text().strip()

    def server(self, namespace: str) -> Object:
        """One of the two, as the API server has it."""
        found = self.joined.api.get("postgresql.cnpg.io/v1", "Cluster", namespace, f"{namespace}-postgresql")
        assert found
        return found

    def has(self, namespace: str, event: str) -> bool:
        try:
            return self.sql(namespace, f"SELECT count(*) FROM events WHERE event_id = $${event}$$") == "1"
        except (AssertionError, KeyError):
            return False


def page(pair: Pair, cluster: str, namespace: str) -> str:
    return Path(pair.pull.source.top, f"compiled/{cluster}/{namespace}/docs/recovery.md").read_text()


@pytest.fixture(scope="module")
def pair(joined: Joined, operators: None) -> Iterator[Pair]:
    """A homeserver that runs on eu1, and its standby on eu2."""
    made, start = Pair(joined), time.monotonic()
    made.bring("eu1", ACTIVE)
    give(joined.api, documents(joined.repository.work / f"compiled/eu1/{ACTIVE}").values())
    joined.settle("eu1-pair", seconds=300)
    barman.base_backup(joined, ACTIVE)
    say(f"the active one is Healthy, and has a base backup, after {time.monotonic() - start:.0f} s")
    start = time.monotonic()
    made.bring("eu2", STANDBY)
    made.carry()
    for name in ("backup-1", "backup-second-1", "media-1"):
        keys = ("credentials", "access_key_id", "secret_access_key")
        where = {"name": f"{STANDBY}-{name}", "namespace": STANDBY}
        given = dict.fromkeys(keys, GIVEN)
        joined.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": where, "stringData": given})
    joined.settle("eu2-pair-standby", seconds=300)
    say(f"the standby is Healthy after {time.monotonic() - start:.0f} s")
    yield made
    # Its folder goes with the next tests' fleet, and theirs wait for every root.
    root = joined.argo.application("eu2-root")
    assert root
    joined.api.delete(root)


def test_a_standby_follows_and_takes_over(joined: Joined, pair: Pair) -> None:
    before = Homeserver(joined, ACTIVE, HOST)
    until("it answers", before.answers, 60)
    token = before.log_in("alice")
    room = before.client("POST", "createRoom", {"name": "Tea"}, token)["room_id"]
    first = before.send(token, room, "before")
    pair.sql(ACTIVE, "SELECT pg_switch_wal()")
    began = time.monotonic()
    until("the standby has it", lambda: pair.has(STANDBY, first), 120)
    say(f"the standby has a message {time.monotonic() - began:.0f} s after its log was archived")
    assert pair.sql(STANDBY, "SELECT pg_is_in_recovery()") == "t"
    running = [pod for pod in joined.api.list("v1", "Pod", STANDBY) if "-synapse" in pod["metadata"]["name"]]
    assert not running, "a standby runs no Synapse"
    key = before.call("GET", "/_matrix/key/v2/server")[1]["verify_keys"]

    # Planned, by the page: nothing is lost.
    last = before.send(token, room, "the last on eu1")
    told = page(pair, "eu1", ACTIVE)
    for command in ("SELECT pg_switch_wal()", "SELECT pg_last_wal_replay_lsn()"):
        assert f"-- psql -XAtc '{command}'" in told, command
    pair.change("stopped", "active: eu1\n", "active: eu1\n    state: stopped\n", "eu1-pair", "eu2-pair-standby")
    lsn = pair.sql(ACTIVE, "SELECT pg_switch_wal()")
    until(
        "all of it is replayed", lambda: pair.sql(STANDBY, f"SELECT pg_last_wal_replay_lsn() >= $${lsn}$$") == "t", 120
    )
    start, pair.edge = time.monotonic(), STANDBY
    pair.change("eu2 takes over", "active: eu1\n    state: stopped\n", "active: eu2\n", "eu2-pair-standby")
    # DNS: the one edge has two Ingresses for the host until the other cluster's Application has read the change as well.
    joined.argo.refresh("eu1-pair")
    after = Homeserver(joined, STANDBY, HOST)
    until("it answers on the other cluster", after.answers, 120)
    say(f"failed over {time.monotonic() - start:.0f} s after it was decided, pull request included")
    for event in (first, last):
        assert after.call("GET", f"/_matrix/client/v3/rooms/{room}/event/{event}", token=token)[0] == 200
    assert after.call("GET", "/_matrix/key/v2/server")[1]["verify_keys"] == key
    assert pair.sql(STANDBY, "SELECT pg_is_in_recovery()") == "f"
    second = after.send(token, room, "the first on eu2")
    active = [
        pod["metadata"]["namespace"]
        for pod in joined.api.list("v1", "Pod")
        if pod["metadata"]["name"].startswith(("pair-synapse", "pair-standby-synapse"))
    ]
    assert set(active) == {STANDBY}, "one server_name is active in one place"

    # What was active before is built anew, and follows.
    barman.base_backup(joined, STANDBY)
    start = time.monotonic()
    until("it is to follow", lambda: "replica" in pair.server(ACTIVE)["spec"], 120)
    old = pair.server(ACTIVE)
    # As the page has it after the fail-over: never what is active.
    assert old["spec"]["replica"]["enabled"]
    assert f"delete cluster.postgresql.cnpg.io {ACTIVE}-postgresql" in page(pair, "eu2", STANDBY)
    joined.api.delete(old)
    joined.argo.refresh("eu1-pair")
    joined.settle("eu1-pair", seconds=300)
    pair.sql(STANDBY, "SELECT pg_switch_wal()")
    until("it follows now", lambda: pair.has(ACTIVE, second), 180)
    assert pair.sql(ACTIVE, "SELECT pg_is_in_recovery()") == "t"
    say(f"what was active follows {time.monotonic() - start:.0f} s after its server was deleted")
