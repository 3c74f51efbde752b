"""What the router takes and refuses by itself, in a real HAProxy: bodies by route, and what a browser asks first.

A limit of uploads on all paths would refuse transactions of federation; a preflight that is answered 503 makes a
browser hide an outage. Both were seen with other deployments.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from http.server import ThreadingHTTPServer
from itertools import product
from pathlib import Path

import pytest

from attacks.test_client_address import CLIENT, HAPROXY, NAME, Behind, Router
from fleets import TOP
from matrixfleet.model import Fleet

pytestmark = pytest.mark.skipif(not HAPROXY, reason="HAProxy is not installed; .ci/run installs it")

SYNAPSE = TOP / ".cache/synapse/venv/bin/python"
MIB = 1024**2
UPLOADS = {"1Mi": MIB, "1536Ki": 1536 * 1024, "50Mi": 50 * MIB, "2Gi": 2048 * MIB}
DOWN = "down"
LIMITED = [
    ("POST", "/_matrix/media/v3/upload"),
    ("POST", "/_matrix/media/r0/upload?filename=a"),
    ("PUT", "/_matrix/media/v3/upload/example.org/abc"),
    ("POST", "/_matrix/client/v1/media/upload"),
]
OTHERS = [
    ("PUT", "/_matrix/federation/v1/send/1"),
    ("PUT", "/_matrix/federation/v2/send_join/!a%3Ab/$x"),
    ("PUT", "/_matrix/client/v3/room_keys/keys?version=1"),
    ("PUT", "/_matrix/client/v3/user/@a:b/account_data/media"),
    ("PUT", "/_matrix/client/v3/rooms/!a%2F_matrix%2Fmedia%2F/send/m.room.message/1"),
    ("POST", "/_matrix/client/v3/keys/upload"),
    ("POST", "/_synapse/client/oidc/callback"),
    ("POST", "/_synapse/admin/v1/server_version"),
]


class Any(Behind):
    """Answer before the body has come."""

    protocol_version = "HTTP/1.0"
    do_POST = do_PUT = do_DELETE = do_OPTIONS = Behind.do_GET


def answer(
    router: Router, method: str, path: str, *lines: str, client: str = CLIENT
) -> tuple[int, dict[str, str], str]:
    """The status, the headers and the body."""
    head = [f"{method} {path} HTTP/1.1", "Host: matrix.example.com", "Connection: close", f"X-Forwarded-For: {client}"]
    with socket.create_connection(("127.0.0.1", router.port), 10) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in [*head, *lines, ""]).encode())
        # The body is never sent: who answers before it keeps the connection open and waits for it.
        response = HTTPResponse(connection)
        response.begin()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode()


@pytest.fixture(scope="module")
def routers(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Router]]:
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Any)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("routers")
    made = {}
    for size in UPLOADS:
        limited = fleet.changed(NAME, ("matrix", "synapse", "max_upload_size"), size)
        limited = limited.changed(NAME, ("matrix", "media", "storage"), "20Gi")
        made[size] = Router(limited, folder / size, behind.server_address[1], 1)
    made[DOWN] = Router(fleet, folder / DOWN, nobody, 1)
    yield made
    for router in made.values():
        router.close()
    behind.shutdown()


@pytest.mark.parametrize("size", UPLOADS)
def test_each_route_has_its_own_limit(routers: dict[str, Router], size: str) -> None:
    wrong = []
    for limit, requests in ((UPLOADS[size], LIMITED), (200 * 65536, OTHERS)):
        # HAProxy's hdr_val has 32 bits, and would read most of these as less.
        refused = [limit + 1, 2**31 + 1, 2**32 - 1, 2**32, 2**32 + 1, 2**33 + 1, 2**40, 2**62]
        lengths = [(0, 200), (limit, 200), *((length, 413) for length in refused)]
        for (method, path), (length, status) in product(requests, lengths):
            admin = "198.51.100.7" if "/admin/" in path else CLIENT
            got, headers, body = answer(routers[size], method, path, f"Content-Length: {length}", client=admin)
            if got != status:
                wrong.append(f"{method} {path} of {length} bytes: {got}, expected {status}")
            elif got == 413 and (json.loads(body)["errcode"], headers["access-control-allow-origin"]) != (
                "M_TOO_LARGE",
                "*",
            ):
                wrong.append(f"{method} {path}: {headers} {body}")
    assert not wrong, "\n".join(wrong)


PREFLIGHTS = [
    "/_matrix/client/versions",
    "/_matrix/client/v3/sync?since=1",
    "/_matrix/client/v3/rooms/!a%2Fb%3Ac/send/m.room.message/1",
    "/_matrix/media/v3/upload",
    "/_matrix/federation/v1/version",
    "/_matrix/key/v2/server",
    "/_synapse/client/password_reset/email/submit_token",
    "/_synapse/client/rendezvous/abc",
    "/_matrix/client/unstable/org.matrix.msc4108/rendezvous",
]
ASKED = ("Origin: https://chat.example.com", "Access-Control-Request-Method: PUT")


@pytest.mark.parametrize("path", PREFLIGHTS)
def test_an_outage_can_be_read(routers: dict[str, Router], path: str) -> None:
    """The preflight passes, so that the browser asks; and what it then gets is an error that it may show to its page."""
    status, headers, _ = answer(routers[DOWN], "OPTIONS", path, *ASKED)
    assert status == 204 and headers["access-control-allow-origin"] == "*"
    assert "PUT" in headers["access-control-allow-methods"].split(", ")
    status, headers, body = answer(routers[DOWN], "PUT", path, *ASKED, "Content-Length: 0")
    assert (status, headers["access-control-allow-origin"]) == (503, "*")
    assert json.loads(body)["errcode"] == "M_UNKNOWN"


def test_a_preflight_opens_nothing(routers: dict[str, Router]) -> None:
    for path in (
        "/",
        "/_synapse/metrics",
        "/_synapse/admin/v1/users",
        "/_matrix/../_synapse/admin/v1/users",
        "/metrics",
    ):
        assert answer(routers[DOWN], "OPTIONS", path, *ASKED)[0] == 404, path
    assert answer(routers[DOWN], "OPTIONS", "/_synapse/admin/v1/users", *ASKED, client="198.51.100.7")[0] == 204


@pytest.mark.skipif(not SYNAPSE.exists(), reason="make test installs Synapse")
def test_preflights_are_answered_as_synapse_does(routers: dict[str, Router], tmp_path: Path) -> None:
    """set_cors_headers of the pinned version writes the same headers, and MAX_REQUEST_SIZE is the limit of the rest."""
    script = (
        "import json, sys\n"
        "from synapse.api.constants import MAX_REQUEST_SIZE\n"
        "from synapse.http.server import set_cors_headers\n"
        "class Request:\n"
        "    def __init__(self, path): self.path, self.headers = path.encode(), {}\n"
        "    def setHeader(self, name, value): self.headers[name.decode().lower()] = value.decode()\n"
        "found = {}\n"
        "for path in sys.argv[1:]:\n"
        "    request = Request(path.partition('?')[0])\n"
        "    set_cors_headers(request)\n"
        "    found[path] = request.headers\n"
        "print(json.dumps([MAX_REQUEST_SIZE, found]))\n"
    )
    ran = subprocess.run([SYNAPSE, "-c", script, *PREFLIGHTS], capture_output=True, text=True, check=True, cwd=tmp_path)
    limit, expected = json.loads(ran.stdout)
    config = Path(routers[DOWN].log.name).with_name("haproxy.cfg")
    assert re.findall(r"!path_upload .* gt (\d+) ", config.read_text()) == [str(limit)]
    for path, headers in expected.items():
        _, got, _ = answer(routers[DOWN], "OPTIONS", path, *ASKED)
        assert {name: value for name, value in got.items() if name.startswith("access-control")} == headers, path
