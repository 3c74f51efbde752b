"""Parts die under load: nothing that was answered is lost or there twice, no client is sent away, and it comes back."""

import re
import time
from collections import Counter
from urllib.parse import quote

import pytest
from harness import STATE, eventually
from load import Load

ROOMS = 6
# The container that is killed, with SIGKILL, as the kernel does it to one that takes too much memory.
PARTS = {
    "generic": "synapse",
    "event-persister": "synapse",
    "federation-sender": "synapse",
    "media-repository": "synapse",
    "router": "haproxy",
    "synapse": "synapse",
    "redis": "redis",
    "pgbouncer": "pgbouncer",
    "postgresql": "postgres",
}
LIMIT = 90
"""Seconds within which all is well again: the kubelet restarts a first crash at once, and Synapse takes 4 s to start
on a machine of its own, 25 s on a crowded one. While it is away its peers try again after 1, 2, 4, 8 and 16 s."""
# What is measured: the columns of the table. Failed tries of a path; messages that readers saw late.
PATHS = ("send", "sync", "arrival", "federation", "media", "main", "reads")
HEADING = "Seconds from the kill until the Pod is ready, and to the last failure of each path (empty: none)"
QUIET = 3
"""Seconds without a failure that count as well again."""


@pytest.fixture(scope="module")
def crowd(ha, single):
    """Three people in rooms of every writer of events, with somebody of another server in each."""
    writers = [ha.person(name) for name in ("alice", "bob", "carol")]
    for person in writers:
        ha.unlimited(person)
    far = single.person("far")
    first, *others = writers
    rooms = []

    def writers_of_events():
        rows = ha.sql("SELECT DISTINCT room_id, instance_name FROM events")
        return Counter(name for room, name in rows if room in rooms)

    while len(rooms) < ROOMS or min(writers_of_events().values()) < 2 or len(writers_of_events()) < 2:
        # Joined and not invited: how many invites a user gets is limited.
        room = first.room(preset="public_chat")
        rooms.append(room)
        for person in others:
            person.ask("POST", f"join/{quote(room)}")
        far.ask("POST", f"join/{quote(room)}?server_name={ha.server_name}")
    return writers, rooms, far


@pytest.mark.parametrize("part", PARTS)
def test_what_was_accepted_outlives(ha, crowd, part):
    container = PARTS[part]
    writers, rooms, far = crowd
    with Load(ha, writers, rooms, far) as load:
        eventually(lambda: len(load.messages) > 12 and load.media and all(load.seen[one.id] for one in writers), 30)
        run = chosen(ha, part, rooms, far)
        restarts = run.container(container).restarted
        killed = time.monotonic()
        run.kill(container)
        eventually(lambda: run.container(container).restarted > restarts and run.ready, LIMIT)
        ready = time.monotonic()
        eventually(lambda: well_since(load, killed, ready) > QUIET, LIMIT)
    took = times(load, killed)
    STATE.tables.setdefault(HEADING, {})[part] = {"Pod ready": ready - killed, **took}
    assert not load.final, f"no client would try again: {load.final[:3]}"
    told = "\n".join(f"{one.at - killed:6.1f} {one.path} {one.said}" for one in load.failures[-20:])
    assert max(took.values(), default=0) < LIMIT, told
    complete(load, writers[0])
    unseen = {person.id: load.unseen(person.id) for person in (*writers, far)}
    assert not any(unseen.values()), f"never read: {unseen}"


def chosen(ha, part, rooms, far):
    """The Pod that has most to do with the load."""
    if part in ("postgresql", "pgbouncer"):
        return ha.pod_of(PARTS[part])
    pods = ha.pods(part)
    if part == "event-persister":
        rows = ha.sql("SELECT DISTINCT room_id, instance_name FROM events")
        most = Counter(name for room, name in rows if room in rooms).most_common(1)[0][0]
        return next(run for run in pods if run.pod.name == most)
    patterns = {
        "generic": r'"method":"PUT".*/send/m.room.message/',
        "federation-sender": rf"\{{PUT-O-\d+\}} \[{re.escape(far.homeserver.server_name)}\]",
        "router": r'"method":"PUT"',
    }
    if part in patterns:
        return max(pods, key=lambda run: len(re.findall(patterns[part], run.main[0].log.read_text()[-300_000:])))
    return pods[0]


def times(load, killed):
    """Seconds from the kill to the end of each path's trouble; only those that had some."""
    found = {path: load.last_failure(path, killed) for path in PATHS}
    found["arrival"] = max(load.late(person.id, killed) for person in load.writers)
    found["federation"] = load.late(load.far.id, killed)
    return {path: end - killed for path, end in found.items() if end}


def well_since(load, killed, ready):
    """Seconds since the last trouble of any path."""
    return time.monotonic() - max([ready, *(killed + took for took in times(load, killed).values())])


def complete(load, reader):
    """Each message that was accepted is there, once; one that was not, once at most; media as they were."""
    wanted = {one.event for one in load.messages}
    bodies, events = Counter(), set()
    for room in load.rooms:
        start = ""
        while start is not None:
            answer = reader.ask("GET", f"rooms/{quote(room)}/messages?dir=b&limit=100{start}").json()
            for event in answer["chunk"]:
                events.add(event["event_id"])
                if event["type"] == "m.room.message":
                    bodies[event["content"]["body"]] += 1
            start = f"&from={answer['end']}" if answer.get("end") else None
    assert wanted and not wanted - events, f"lost: {wanted - events}"
    assert not [body for body, count in bodies.items() if count > 1]
    for uri, content in load.media.items():
        url = uri.replace("mxc://", f"{load.homeserver.url}/_matrix/client/v1/media/download/")
        assert reader.http.get(url, timeout=20).content == content
