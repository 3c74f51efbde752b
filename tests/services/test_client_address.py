"""Whom Synapse takes a client for: the compiled router in its image's version of HAProxy, before a live Synapse, asked
as the edge's Pods ask it and as the world asks the edge.

tests/attacks/test_client_address.py tries many more spellings, at every number of proxies.
"""

import json
import re
import socket
import ssl
import uuid
from pathlib import Path

import pytest
from harness import bring_up, eventually, variant

from fleetnode import overlays
from podrunner.network import EXTERNAL

NAME = "walled"
CLIENT, ADMIN = "203.0.113.77", "198.51.100.7"
PATH = "/_synapse/admin/v2/users/%40alice%3Awalled.example.org"
TENANT = f"""\
classes:
  - pattern.single-tenant
parameters:
  matrix:
    size: small
    server_name: {NAME}.example.org
    hosts:
      matrix: matrix.{NAME}.example.org
    synapse:
      admin_api: {{allow: [198.51.100.0/24]}}
"""


@pytest.fixture(scope="module")
def walled(node, world, tmp_path_factory):
    """A tenant whose allow-list also holds the edge's own networks: the model refuses that, so it is written into the
    compiled file here. Whenever the router takes the edge for the client, the admin API answers."""
    folder = variant(tmp_path_factory.mktemp("fleet"), NAME, TENANT)
    old = "network_admin src 198.51.100.0/24"
    hole = overlays.replaced("router", "haproxy.cfg", old, f"{old} 10.0.0.0/8 {EXTERNAL}", "an attack must be seen")
    return bring_up(node, world, folder, (*overlays.SINGLE_TENANT, overlays.trusting(world.pem), hole))


@pytest.fixture(scope="module")
def people(walled):
    """Tokens: an administrator's and a user's."""
    walled.person("alice")
    return {"root": walled.person("root", admin=True).token, "alice": walled.person("alice").token}


def test_the_router_runs_the_version_of_its_image(walled):
    labels = walled.pod("router").pod.labels
    output = Path(walled.node.directory, "version.txt")
    assert walled.pod("router").container("haproxy").execute(["haproxy", "-v"], 20, output) == 0
    wanted = labels["app.kubernetes.io/version"].rpartition(".")[0]
    assert f"HAProxy version {wanted}." in output.read_text(), output.read_text()


def raw(connection, lines, path, host, token):
    """Send header lines as they are; status, body and the User-Agent that the request was known by."""
    mark = f"address-{uuid.uuid4().hex}"
    head = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", f"User-Agent: {mark}"]
    head.append(f"Authorization: Bearer {token}")
    connection.sendall(("\r\n".join([*head, *lines]) + "\r\n\r\n").encode("latin-1"))
    answer = b""
    while got := connection.recv(65536):
        answer += got
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2], mark


def from_the_edge(walled, lines, token, path=PATH):
    """Ask the router as the edge's Pods do."""
    router = walled.pod("router").address
    edge = walled.node.pods(namespace="traefik")[0]

    def ask():
        with socket.create_connection((router, 8080), 10) as connection:
            return raw(connection, lines, path, walled.hosts[0], token)

    return walled.node.inside(edge, ask)


def logged(walled, mark):
    """The address that Synapse logged for a request."""
    found = []

    def there():
        for line in walled.pod("synapse").container("synapse").log.read_text().splitlines():
            if mark in line and '"namespace":"synapse.access' in line:
                found.append(json.loads(line)["ip_address"])
        return found

    eventually(there, 10)
    return found[0]


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        (CLIENT, CLIENT),
        (f"made, up, {CLIENT}", CLIENT),
        (f"{ADMIN}, {CLIENT}", CLIENT),
        (f"{CLIENT}:4711", CLIENT),
        (f"::ffff:{CLIENT}", CLIENT),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
    ],
)
def test_synapse_logs_the_clients_address(walled, people, entry, address):
    path = "/_matrix/client/v3/account/whoami"
    status, body, mark = from_the_edge(
        walled, [f"X-Forwarded-For: {entry}", "X-Real-IP: 1.2.3.4"], people["alice"], path
    )
    assert status == 200, body
    assert logged(walled, mark) == address


@pytest.mark.parametrize(("who", "status"), [("root", 200), ("alice", 403)])
@pytest.mark.parametrize("entry", [ADMIN, f"1.2.3.4, {ADMIN}", f"::ffff:{ADMIN}", f"{ADMIN}:1"])
def test_the_admin_api_answers_its_networks(walled, people, who, status, entry):
    """And Synapse decides there who is an administrator."""
    told, body, mark = from_the_edge(walled, [f"X-Forwarded-For: {entry}"], people[who])
    assert told == status, body
    assert logged(walled, mark) == ADMIN


REFUSED = [
    ['X-Forwarded-For: "'],
    [f'X-Forwarded-For: ", {CLIENT}'],
    ["X-Forwarded-For: unknown"],
    ["X-Forwarded-For: _hidden"],
    ["X-Forwarded-For: [2001:db8::7"],
    [f"X-Forwarded-For: {CLIENT},"],
    ["X-Forwarded-For:"],
    ["X-Forwarded-For: 256.1.1.1"],
    ["X-Forwarded-For: 0xcb.0.113.77"],
    ["X-Forwarded-For: fe80::1%eth0"],
    [f"X-Forwarded-For: {CLIENT}", "X-Forwarded-For:"],
    [f"X-Forwarded-For: {CLIENT}", 'X-Forwarded-For: "'],
    ["X-Forwarded-For: 2002:c633:6407::1"],
    ["X-Real-IP: 198.51.100.7"],
    ["Forwarded: for=198.51.100.7"],
    [],
]


@pytest.mark.parametrize("lines", REFUSED, ids=lambda lines: "; ".join(lines) or "no header")
def test_what_names_no_client_is_refused(walled, people, lines):
    status, body, _ = from_the_edge(walled, lines, people["root"])
    assert (status, json.loads(body)["errcode"]) == (400, "M_UNKNOWN")


def test_another_client_is_told_that_there_is_nothing(walled, people):
    status, body, _ = from_the_edge(walled, [f"X-Forwarded-For: {ADMIN}, {CLIENT}"], people["root"])
    assert (status, json.loads(body)["errcode"]) == (404, "M_UNRECOGNIZED")


@pytest.mark.parametrize(
    "line",
    [
        'X-Forwarded-For: "',
        "X-Forwarded-For: unknown",
        f"X-Forwarded-For: {ADMIN}",
        "Connection: close, X-Forwarded-For",
        f"X-Real-IP: {ADMIN}",
        f"Forwarded: for={ADMIN}",
        f"X_Forwarded_For: {ADMIN}",
    ],
)
def test_through_the_edge(walled, people, line):
    """A real Traefik before the router: whatever a client writes, Synapse is told an address, never one of these."""
    host = walled.hosts[0]
    context = ssl.create_default_context(cafile=walled.authority)
    path = "/_matrix/client/v3/account/whoami"
    with context.wrap_socket(socket.create_connection((host, 443), 10), server_hostname=host) as connection:
        status, body, mark = raw(connection, [line], path, host, people["alice"])
    assert status in (200, 400), body
    if status == 200:
        edges = {run.address for run in walled.node.pods(namespace="traefik")}
        address = logged(walled, mark)
        assert address not in (ADMIN, "unknown", "") and address not in edges
        assert re.fullmatch(r"[0-9.]+", address)
