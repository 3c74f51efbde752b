"""Who answers which request, read from the workers' own logs; and that it stays with one worker where it must."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from harness import eventually, waited

C, F = "/_matrix/client", "/_matrix/federation"
R = f"{C}/v3/rooms/{{room}}"
# Every endpoint that the routers' table tells of, as clients and servers ask it, and whose it is: upstream's
# docs/workers.md with the components of docs/high-availability.md.
ANSWERED = {
    "generic": f"""
        GET {C}/v3/sync?timeout=0
        GET {C}/v3/events?timeout=0
        POST {C}/unstable/org.matrix.simplified_msc3575/sync
        GET {C}/api/v1/initialSync
        GET {R}/initialSync
        PUT {F}/v1/send/1
        GET {R}/messages?dir=b
        PUT {R}/redact/{{event}}/{{new}}
        PUT {R}/send/m.room.message/{{new}}
        PUT {R}/state/m.room.topic/
        POST {R}/join
        POST {R}/invite
        POST {C}/v3/rooms/!nowhere:{{server}}/leave
        POST {R}/ban
        POST {R}/unban
        POST {R}/kick
        POST {C}/v3/join/{{room}}
        POST {C}/v3/knock/{{room}}
        GET {C}/v3/profile/{{user}}/displayname
        PUT {C}/v3/profile/{{user}}/displayname""",
    "federation-reader": f"""
        GET {F}/v1/version
        GET {F}/v1/event/{{event}}
        GET {F}/v1/state/{{room}}
        GET {F}/v1/state_ids/{{room}}
        GET {F}/v1/backfill/{{room}}
        POST {F}/v1/get_missing_events/{{room}}
        GET {F}/v1/publicRooms
        GET {F}/v1/query/profile
        GET {F}/v1/make_join/{{room}}/{{user}}
        GET {F}/v1/make_leave/{{room}}/{{user}}
        PUT {F}/v1/send_join/{{room}}/{{event}}
        PUT {F}/v2/send_join/{{room}}/{{event}}
        PUT {F}/v1/send_leave/{{room}}/{{event}}
        PUT {F}/v2/send_leave/{{room}}/{{event}}
        GET {F}/v1/make_knock/{{room}}/{{user}}
        PUT {F}/v1/send_knock/{{room}}/{{event}}
        PUT {F}/v1/invite/{{room}}/{{event}}
        PUT {F}/v2/invite/{{room}}/{{event}}
        GET {F}/v1/event_auth/{{room}}/{{event}}
        GET {F}/v1/timestamp_to_event/{{room}}
        PUT {F}/v1/exchange_third_party_invite/{{room}}
        GET {F}/v1/user/devices/{{user}}
        POST /_matrix/key/v2/query
        GET {F}/v1/hierarchy/{{room}}""",
    "client-reader": f"""
        POST {C}/v3/createRoom
        GET {C}/v3/publicRooms
        GET {R}/joined_members
        GET {R}/context/{{event}}
        GET {R}/members
        GET {R}/state
        GET {C}/v1/rooms/{{room}}/hierarchy
        GET {C}/v1/rooms/{{room}}/relations/{{event}}
        GET {C}/v1/rooms/{{room}}/threads
        GET {C}/unstable/im.nheko.summary/summary/{{room}}
        GET {C}/v1/room_summary/{{room}}
        GET {C}/v3/account/3pid
        GET {C}/v3/account/whoami
        POST {C}/v3/account/deactivate
        GET {C}/versions
        GET {C}/v3/voip/turnServer
        GET {R}/event/{{event}}
        GET {C}/v3/joined_rooms
        GET {C}/v1/rooms/{{room}}/timestamp_to_event?ts=0&dir=f
        GET {R}/aliases
        POST {C}/v3/search
        POST {C}/v3/user/{{user}}/filter
        GET {C}/v3/directory/room/%23none:{{server}}
        GET {C}/v3/capabilities
        GET {C}/v3/notifications
        POST {C}/v3/keys/query
        GET {C}/v3/keys/changes?from=s1_1_1_1_1_1_1_1_1&to=s1_1_1_1_1_1_1_1_1
        POST {C}/v3/keys/claim
        GET {C}/v3/room_keys/version
        GET {C}/v3/login
        POST {C}/v3/login
        POST {C}/v3/register
        GET {C}/v3/register/available?username=x
        GET {C}/v1/register/m.login.registration_token/validity?token=x
        GET {C}/v3/password_policy
        POST {C}/v3/user_directory/search
        GET {C}/unstable/org.matrix.msc4140/delayed_events
        POST {C}/unstable/org.matrix.msc4140/delayed_events/none/restart""",
    "writer-accounts": f"""
        GET {C}/v3/user/{{user}}/rooms/{{room}}/tags
        PUT {C}/v3/user/{{user}}/rooms/{{room}}/tags/x
        GET {C}/v3/user/{{user}}/account_data/x
        PUT {C}/v3/user/{{user}}/account_data/x
        PUT {C}/v3/user/{{user}}/rooms/{{room}}/account_data/x
        POST {R}/receipt/m.read/{{event}}
        POST {R}/read_markers
        GET {C}/v3/pushrules/
        PUT {C}/v3/pushrules/global/override/.m.rule.master/enabled
        POST {C}/v3/delete_devices
        GET {C}/v3/devices
        PUT {C}/v3/devices/{{device}}
        POST {C}/v3/keys/upload
        POST {C}/v3/keys/device_signing/upload
        POST {C}/v3/keys/signatures/upload""",
    "writer-ephemeral": f"""
        PUT {R}/typing/{{user}}
        PUT {C}/v3/sendToDevice/m.x/{{new}}
        GET {C}/v3/presence/{{user}}/status
        PUT {C}/v3/presence/{{user}}/status""",
    "media-repository": f"""
        POST /_matrix/media/v3/upload
        GET /_matrix/media/v3/config
        GET {C}/v1/media/config
        GET {C}/v1/media/download/{{server}}/none
        GET {F}/v1/media/download/none""",
    "synapse": f"""
        GET {C}/v3/login/sso/redirect
        GET {C}/v3/login/cas/ticket
        GET {C}/v3/thirdparty/protocols
        POST {C}/v3/account/password
        GET /_synapse/client/pick_idp
        GET /_matrix/key/v2/server""",
}
ENDPOINTS = [(line.split(), component) for component, lines in ANSWERED.items() for line in lines.strip().splitlines()]
# Administrators' paths end at the router; where an administrator reaches the media workers they answer.
CLOSED = """
    POST /_synapse/admin/v1/purge_media_cache?before_ts=1
    GET /_synapse/admin/v1/room/{room}/media
    DELETE /_synapse/admin/v1/media/{server}/none
    POST /_synapse/admin/v1/quarantine_media/{room}
    GET /_synapse/admin/v1/users/{user}/media
    POST /_synapse/admin/v1/room/{room}/media/quarantine
    POST /_synapse/admin/v1/user/{user}/media/quarantine
    POST /_synapse/admin/v1/media/quarantine/{server}/none
    POST /_synapse/admin/v1/media/unquarantine/{server}/none"""
CLOSED = [line.split() for line in CLOSED.strip().splitlines()]
# Single sign-on is off here: nobody has these.
ABSENT = {f"{C}/v3/login/sso/redirect", f"{C}/v3/login/cas/ticket"}


@pytest.fixture(scope="module")
def alice(ha):
    return ha.person("alice")


@pytest.fixture(scope="module")
def names(ha, alice):
    """What stands in the endpoints' braces."""
    room = alice.room()
    event = alice.send(room, "routed")
    return {"room": room, "event": event, "user": alice.id, "device": alice.device, "server": ha.server_name}


def filled(path, names):
    quoted = {key: urllib.parse.quote(value, safe="") for key, value in names.items()}
    return path.format(**quoted, new=uuid.uuid4().hex)


class Asked:
    """A request that its User-Agent names, so that the logs tell where it came to."""

    def __init__(self, ha, method, url, token="", session=requests, origin="", **more):
        self.ha, self.mark = ha, f"routed-{uuid.uuid4().hex}"
        headers = {"User-Agent": self.mark, **more.pop("headers", {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if origin:
            # Without a signature: it is refused, by whom it came to.
            headers["Authorization"] = f"X-Matrix origin={origin},key=ed25519:1"
        body = {} if method in ("PUT", "POST") else None
        self.answer = session.request(
            method, url, headers=headers, json=body, timeout=30, allow_redirects=False, **more
        )

    @property
    def unknown(self):
        """Whether who was asked has no such endpoint, or not by that method."""
        said = self.answer.headers.get("Content-Type", "").startswith("application/json") and self.answer.json()
        return isinstance(said, dict) and said.get("errcode") == "M_UNRECOGNIZED"


def answerers(ha, asked):
    """The names of the Pods that have each request in their log, once for each time."""
    wanted = {one.mark: [] for one in asked}
    for run in ha.synapses():
        for line in run.container("synapse").log.read_text().splitlines():
            found = re.search(r'"namespace":"synapse.access.http.8008".*"user_agent":"(routed-\w+)"', line)
            if found and found.group(1) in wanted:
                wanted[found.group(1)].append(run.pod.name)
    return [wanted[one.mark] for one in asked]


def logged(ha, asked):
    """Those that answered, each request by exactly one; waits until all logs have it."""
    eventually(lambda: all(answerers(ha, asked)), 10)
    found = answerers(ha, asked)
    assert all(len(one) == 1 for one in found), found
    return [one[0] for one in found]


def component(ha, pod):
    return next(run.pod.labels["app.kubernetes.io/component"] for run in ha.synapses() if run.pod.name == pod)


def test_every_endpoint_is_answered_by_whom_the_table_names(ha, alice, names):
    http = ha.http()
    asked = []
    for (method, path), expected in ENDPOINTS:
        token = "" if path.startswith(F) or "deactivate" in path or "register" in path else alice.token
        url = ha.url + filled(path, names)
        asked.append((path, expected, Asked(ha, method, url, token, http)))
    pods = logged(ha, [one for *_, one in asked])
    wrong = []
    for (path, expected, one), pod in zip(asked, pods, strict=True):
        if component(ha, pod) != expected:
            wrong.append(f"{path}: {expected} should, {pod} did")
        if one.unknown != (path in ABSENT):
            wrong.append(f"{path}: {pod} says {one.answer.status_code} {one.answer.text[:100]}")
    assert not wrong, "\n".join(wrong)


def test_every_line_of_the_table_is_asked(ha, names):
    """The compiled lists have no line that the endpoints here leave out; those of GET alone come after others."""
    paths = [urllib.parse.urlsplit(filled(path, names)).path for (_, path), _ in ENDPOINTS]
    paths += [urllib.parse.urlsplit(filled(path, names)).path for _, path in CLOSED]
    lists = ha.files("router", "route-")
    assert len(lists) > 8
    unasked = []
    for name, text in lists.items():
        unasked += [f"{name}: {one}" for one in text.split() if not any(re.search(one, path) for path in paths)]
    assert not unasked


def test_administrators_media_is_closed_and_there(node, ha, names):
    """Closed in the world; beyond the router the media worker has all of it."""
    admin = ha.person("root", admin=True)
    http = ha.http()
    target = ha.pod("media-repository").address
    behind = []
    for method, path in CLOSED:
        there = filled(path, names)
        assert Asked(ha, method, ha.url + there, admin.token, http).answer.status_code == 404
        url = f"http://{target}:8008{there}"
        behind.append(node.inside(ha.pod("router"), lambda m=method, u=url: Asked(ha, m, u, admin.token)))
    unknown = [path for (_, path), one in zip(CLOSED, behind, strict=True) if one.unknown]
    assert not unknown
    assert set(logged(ha, behind)) == {ha.pod("media-repository").pod.name}


class Doors:
    """Each router of its own, as the edge's Pods reach it."""

    def __init__(self, node, ha):
        self.node, self.ha = node, ha
        self.edge = node.pods(namespace="traefik")[0]

    def ask(self, requests_):
        """The answerers of each (method, path, token, origin), at every router: one list for each."""

        def at(router):
            session = requests.Session()
            session.trust_env = False
            headers = {"Host": self.ha.hosts[-1], "X-Forwarded-For": "11.0.0.77"}
            url = f"http://{router.address}:8080"
            return [
                Asked(self.ha, method, url + path, token, session, origin, headers=dict(headers))
                for method, path, token, origin in requests_
            ]

        routers = self.ha.pods("router")
        assert len(routers) >= 2
        with ThreadPoolExecutor(len(routers)) as pool:
            asked = list(pool.map(lambda router: self.node.inside(self.edge, lambda: at(router)), routers))
        pods = logged(self.ha, [one for some in asked for one in some])
        size = len(requests_)
        return [pods[number * size : (number + 1) * size] for number in range(len(routers))]


@pytest.fixture(scope="module")
def doors(node, ha):
    return Doors(node, ha)


def of_users():
    """Two devices of each of twelve people, with tokens as Synapse makes them: a refused one is routed all the same."""
    return [
        ("GET", f"{C}/v3/sync", f"syt_{user:x}dXNlcg_{device}", "") for user in range(12) for device in ("one", "two")
    ]


def of_rooms():
    """What is sent to a room, and what is read of it, however its name is written."""
    found = []
    for number in range(12):
        room = f"!room{number}:elsewhere.example"
        quoted = urllib.parse.quote(room, safe="")
        found.append(("PUT", f"{C}/v3/rooms/{room}/send/m.x/1", "none", ""))
        found.append(("GET", f"{C}/v3/rooms/{quoted}/messages", "none", ""))
        found.append(("PUT", f"{C}/v3/rooms/{quoted}/state/m.x/", "none", ""))
        found.append(("POST", f"{C}/v3/join/{quoted}", "none", ""))
    return found


def of_origins():
    """Transactions of a server, however it writes its header."""
    written = [f"server{number}.example" for number in range(12)]
    return [
        ("PUT", f"{F}/v1/send/{uuid.uuid4().hex}", "", form)
        for origin in written
        for form in (origin, f'"{origin}"', f'"{origin}",destination="x"')
    ]


@pytest.mark.parametrize(("kind", "each"), [(of_users, 2), (of_rooms, 4), (of_origins, 3)])
def test_one_worker_for_each(doors, kind, each):
    """By user, room and origin: the same worker at every router, and the pool has its share."""
    first, *others = doors.ask(kind())
    assert all(other == first for other in others)
    groups = [set(first[start : start + each]) for start in range(0, len(first), each)]
    assert all(len(group) == 1 for group in groups), groups
    share = Counter(first)
    assert set(share) == {run.pod.name for run in doors.ha.pods("generic")}, share


def test_what_one_has_the_least_to_do_for_is_shared(ha, alice):
    http = ha.http()
    asked = [Asked(ha, "GET", f"{ha.url}{F}/v1/version", "", http) for _ in range(8)]
    assert set(logged(ha, asked)) == {run.pod.name for run in ha.pods("federation-reader")}


def test_affinity_comes_back_with_the_pod(node, ha, doors):
    """While a Pod of the pool is away its part goes to the others and theirs stays; afterwards all is as before."""
    everything = [*of_users()[::2], *of_rooms()[::4], *of_origins()[::3]]
    before = doors.ask(everything)[0]
    *rest, away = ha.pods("generic")
    kept = away.pod.name
    pool = node.objects.need("StatefulSet", ha.namespace, away.pod.owner[1])
    smaller = {**pool, "spec": {**pool["spec"], "replicas": len(rest)}}
    node.apply([smaller])
    try:
        for meanwhile in doors.ask(everything):
            assert set(meanwhile) == {run.pod.name for run in rest}
            assert all(now == then for now, then in zip(meanwhile, before, strict=True) if then != kept)
    finally:
        (fresh,) = node.apply([pool])
    assert (fresh.pod.name, fresh.address == away.address) == (kept, False)
    node.wait_ready(60, [fresh])
    # A router looks the name up again within ten seconds.
    took = waited(lambda: all(one == before for one in doors.ask(everything)), 40)
    print(f"the part of {kept} came back within {took:.0f} s of its readiness")


def test_each_replica_has_a_name_of_its_own(node, ha):
    """Synapse says its name as it starts: the Pod's. Of two replicas each counts its own, where Prometheus asks."""
    said = {}
    for run in ha.synapses():
        log = run.container("synapse").log.read_text()
        said[run.pod.name] = re.findall(r'"log":"Instance name: ([^"]+)"', log)[-1]
    assert len(set(said.values())) == len(said)
    assert all(name == ("master" if component(ha, pod) == "synapse" else pod) for pod, name in said.items()), said
    path = next(one for one in ha.tenant.folder.glob("workload/metrics/*-generic.yaml")).read_text()
    assert "path: /_synapse/metrics" in path and "port: metrics" in path

    def requests_of(run):
        def read():
            with urllib.request.urlopen(f"http://{run.address}:9092/_synapse/metrics", timeout=10) as answer:
                return answer.read().decode()

        found = re.findall(
            r"^synapse_http_server_response_count_total\{[^}]*\} ([\d.e+]+)", node.inside(run, read), re.M
        )
        return sum(map(float, found))

    pods = ha.pods("generic")
    before = [requests_of(run) for run in pods]
    target = pods[0]

    def ask():
        for _ in range(20):
            request = urllib.request.Request(f"http://{target.address}:8008{C}/v3/capabilities")
            try:
                urllib.request.urlopen(request, timeout=10).close()
            except urllib.error.HTTPError as error:
                json.load(error)

    node.inside(ha.pod("router"), ask)
    after = [requests_of(run) for run in pods]
    assert after[0] - before[0] >= 20 > after[1] - before[1]
