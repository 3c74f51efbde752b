"""Who a client says it is: the compiled router's configuration in a real HAProxy, every spelling of X-Forwarded-For.

Behind it a server says which address it was given; tests/services/test_client_address.py has a live Synapse there. The
allow-list of the admin API holds the test's own network, which is the edge's here: whenever the router keeps the edge's
address for the client's, the admin API answers.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet

HAPROXY = shutil.which("haproxy")
pytestmark = pytest.mark.skipif(not HAPROXY, reason="HAProxy is not installed; .ci/run installs it")

NAME = "us1.research"
CLIENT, ADMIN = "192.0.2.7", "198.51.100.7"
HOPS = range(1, 6)
BRIDGED = 0
"""The router of a tenant with a bridge in the cluster."""


class Behind(BaseHTTPRequestHandler):
    """Answer with the request's headers, as often as each came."""

    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Router:
    """A tenant's router, with one server behind it."""

    def __init__(self, fleet: Fleet, folder: Path, server: int, hops: int) -> None:
        fleet = fleet.changed("us1.platform", ("cluster", "edge", "trusted_hops"), hops)
        files = draw_target(fleet, NAME, TOP)
        texts = Tree.of({f"us1/research/{path}": text for path, text in files.items()}, fleet)
        found = texts.find("us1", "ConfigMap", "research", "research-router")
        assert found is not None
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        for name, text in found.doc["data"].items():
            text = text.replace("/usr/local/etc/haproxy", str(folder))
            text = re.sub(r"^(\s*server main) \S+$", rf"\1 127.0.0.1:{server}", text, flags=re.M)
            text = re.sub(r"^\s*option httpchk\n|^\s*http-check .*\n", "", text, flags=re.M)
            text = re.sub(r"check port .*", "", text)
            text = text.replace("bind :8080", f"bind 127.0.0.1:{self.port}")
            text = re.sub(r"\nfrontend metrics\n.*", "\n", text, flags=re.S)
            text = text.replace("network_admin src", "network_admin src 127.0.0.0/8")
            (folder / name).write_text(text)
        self.log = (folder / "log").open("w")
        command = [str(HAPROXY), "-db", "-f", str(folder / "haproxy.cfg")]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 10
        while True:
            try:
                self.ask([f"X-Forwarded-For: {CLIENT}"] * 5)
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.05)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)
        self.log.close()

    def ask(self, lines: list[str], path: str = "/_synapse/admin/v1/server_version") -> tuple[int, list[list[str]]]:
        """Send header lines as they are; the status, and the headers that came to the server behind."""
        head = f"GET {path} HTTP/1.1\r\nHost: matrix.example.com\r\nConnection: close\r\n"
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            text = head + "".join(f"{line}\r\n" for line in lines) + "\r\n"
            connection.sendall(text.encode("latin-1"))
            answer = b""
            while got := connection.recv(65536):
                answer += got
        status = int(answer.split(b" ", 2)[1])
        body = answer.partition(b"\r\n\r\n")[2]
        return status, json.loads(body) if status == 200 else []

    def client(self, lines: list[str], path: str = "/_matrix/client/versions") -> str:
        """The address that the server behind is given, or "400"."""
        status, headers = self.ask(lines, path)
        if status != 200:
            return str(status)
        (address,) = (value for name, value in headers if name == "x-forwarded-for")
        return address


@pytest.fixture(scope="module")
def routers(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Router]]:
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Behind)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("routers")
    made = {hops: Router(fleet, folder / str(hops), behind.server_address[1], hops) for hops in HOPS}
    reach = {"namespace": "bots", "pods": {"app": "bot"}, "port": 80}
    bridged = fleet.changed(NAME, ("matrix", "appservices"), {"bot": {"reach": [reach]}})
    made[BRIDGED] = Router(bridged, folder / "bridged", behind.server_address[1], 1)
    yield made
    for router in made.values():
        router.close()
    behind.shutdown()


# What a client may have written before the edge appends.
WRITTEN = [
    '"',
    '"x',
    '"a, b',
    "\\",
    '"\\',
    '"\\"',
    "'",
    "unknown",
    "_hidden",
    "for=1.2.3.4",
    "[2001:db8::1]:443",
    "[2001:db8::1",
    "[",
    "]",
    "",
    ",",
    ",,",
    ", ,",
    "\t",
    "1.2.3.4,",
    ",1.2.3.4",
    "1.2.3.4:80",
    "::ffff:198.51.100.7",
    "fe80::1%eth0",
    "256.1.1.1",
    "0x7f.1",
    "0177.0.0.1",
    "2130706433",
    "127.0.0.1",
    "localhost",
    "é",
    "\x0b",
    "\x01",
    ";",
    "(comment",
    "<!--",
    "1.2.3.4\r\n ",
    "1.2.3.4,\r\n\t",
    '"\r\n ',
    ", ".join(["6.6.6.6"] * 1200),
    "," * 4000,
    "x" * 9000,
]


def appended(written: str, hops: int) -> Iterator[list[str]]:
    """What comes to the router when edges append to what a client wrote: to its line, or with a line of their own."""
    proxies = [CLIENT, *(f"10.9.9.{number}" for number in range(1, hops))]
    yield [f"X-Forwarded-For: {written}, " + ", ".join(proxies)]
    yield [f"X-Forwarded-For: {written}", *(f"X-Forwarded-For: {one}" for one in proxies)]
    yield [f"X-Forwarded-For: {written}", "x-forwarded-for:" + ",".join(proxies)]
    yield [f"X-Forwarded-For: {written},{proxies[0]}", *(f"X-FORWARDED-FOR:\t{one}\t" for one in proxies[1:])]


@pytest.mark.parametrize("hops", HOPS)
def test_what_a_client_writes_hides_nobody(routers: dict[int, Router], hops: int) -> None:
    """Either the client's own address, or 400; never the edge's, and never one that the client made up."""
    wrong = []
    for written in WRITTEN:
        for lines in appended(written, hops):
            status, _ = routers[hops].ask(lines)
            if status not in (400, 404):
                wrong.append(f"{lines!r:.80}: admin API {status}")
            if (told := routers[hops].client(lines)) not in (CLIENT, "400"):
                wrong.append(f"{lines!r:.80}: {told}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("hops", HOPS)
def test_no_made_up_header_hides_anybody(routers: dict[int, Router], hops: int) -> None:
    """The same of text that nobody chose: pieces of what address parsers stumble over, from a fixed seed."""
    chance = random.Random(18 + hops)
    pieces = ['"', "\\", ",", " ", "\t", "[", "]", ":", "::", "1", "127.0.0.1", "::1", ".", "%", "_", "unknown", "ffff"]
    for _ in range(150):
        written = "".join(chance.choices(pieces, k=chance.randint(1, 9)))
        lines = list(appended(written, hops))[chance.randrange(4)]
        assert routers[hops].client(lines) in (CLIENT, "400"), lines
        assert routers[hops].ask(lines)[0] in (400, 404), lines


# The edge's own entry, as edges write it: 400 or the client.
ENTRIES = {
    CLIENT: CLIENT,
    f"{CLIENT}:4711": CLIENT,
    "2001:db8::7": "2001:db8::7",
    "2001:DB8:0:0::7": "2001:db8::7",
    "[2001:db8::7]": "2001:db8::7",
    "[2001:db8::7]:4711": "2001:db8::7",
    f"::ffff:{CLIENT}": CLIENT,
    f"::FFFF:{CLIENT}": CLIENT,
    f"[::ffff:{CLIENT}]:1": CLIENT,
    "::ffff:c000:207": CLIENT,
    f"0:0:0:0:0:ffff:{CLIENT}": CLIENT,
    f"64:ff9b::{CLIENT}": "64:ff9b::c000:207",
    **dict.fromkeys(
        [
            *("", " ", "\t", "unknown", "_hidden", "-", "localhost", "client.example.com", '"', f'"{CLIENT}"'),
            *("256.1.1.1", "1.2.3", "1", "3221225991", "0xc0.0.2.7", "0300.0.2.7", "192.0.2.07", "1.2.3.4.5", "1..2.3"),
            *(f"{CLIENT}:", f"{CLIENT}:x", f"{CLIENT}:123456", f"{CLIENT} 10.0.0.1", f"{CLIENT};", f"{CLIENT}/32"),
            *("2001:db8::7%eth0", "[2001:db8::7", "2001:db8::7]", "[]", "[]:1", "2001:db8::7::1", "2001:db8:g::", ":"),
            *(
                "2001:db8::7]:1",
                f"[{CLIENT}]",
                "[[2001:db8::7]]",
                "2002:c000:207::1",
                f"::{CLIENT}",
                "::",
                "::1",
                "fe80",
            ),
            *(
                "2002:c633:6407::ffff:1.2.3.4",
                "::ffff:7",
                "::ffff:256.1.1.1",
                "::ffff:1.2.3",
                f"for={CLIENT}",
                "é",
                "\x00",
            ),
        ],
        "400",
    ),
}


@pytest.mark.parametrize("hops", HOPS)
def test_the_entry_is_an_address_or_refused(routers: dict[int, Router], hops: int) -> None:
    wrong = []
    for entry, expected in ENTRIES.items():
        later = [f"10.9.9.{number}" for number in range(1, hops)]
        for line in (", ".join([entry, *later]), ",".join(["1.2.3.4", entry, *later])):
            lines = [f"X-Forwarded-For: {line}"]
            if (told := routers[hops].client(lines)) != expected:
                wrong.append(f"{lines}: {told}, expected {expected}")
            if routers[hops].ask(lines)[0] not in (400, 404):
                wrong.append(f"{lines}: the admin API answers")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("hops", HOPS)
def test_fewer_entries_than_proxies_are_refused(routers: dict[int, Router], hops: int) -> None:
    """A request that came past a proxy: the entry that would count is none of the proxies'."""
    for count in range(hops):
        entries = [f"10.9.9.{number}" for number in range(count)]
        for lines in ([f"X-Forwarded-For: {', '.join(entries)}"], [f"X-Forwarded-For: {one}" for one in entries]):
            assert routers[hops].ask(lines)[0] == 400, lines
    for name in ("X_Forwarded_For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"):
        assert routers[hops].ask([f"{name}: {ADMIN}"])[0] == 400, name


@pytest.mark.parametrize("hops", HOPS)
def test_administrators_and_nobody_else_come_in(routers: dict[int, Router], hops: int) -> None:
    later = [f"10.9.9.{number}" for number in range(1, hops)]
    for entry, status in ((ADMIN, 200), (f"::ffff:{ADMIN}", 200), (f"{ADMIN}:1", 200), (CLIENT, 404)):
        assert routers[hops].ask([f"X-Forwarded-For: {', '.join([entry, *later])}"])[0] == status, entry
    # 6to4 of an administrator's address is somebody else's.
    assert routers[hops].ask([f"X-Forwarded-For: {', '.join(['2002:c633:6407::1', *later])}"])[0] == 400


def test_other_headers_that_name_a_client_end_at_the_router(routers: dict[int, Router]) -> None:
    names = [
        "Forwarded",
        "X-Forwarded",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Scheme",
        "X-Forwarded-Ssl",
        "X-Forwarded-Client-Cert",
        "X-Forwarded-Prefix",
        "X_Forwarded_For",
        "X-Real-IP",
        "X_Real_IP",
        "X-Client-IP",
        "Fastly-Client-IP",
        "Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CF-Connecting-IPv6",
        "WL-Proxy-Client-IP",
        "X-Original-Forwarded-For",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Envoy-External-Address",
        "X-Azure-ClientIP",
        "X-Azure-SocketIP",
        "X-Appengine-User-IP",
        "X-Remote-IP",
        "X-Remote-Addr",
        "X-ProxyUser-Ip",
        "X-Originating-IP",
        "X-HTTP-Host-Override",
    ]
    status, headers = routers[1].ask(
        [f"X-Forwarded-For: {ADMIN}", "X-Forwarded-Proto: http", *(f"{n}: x" for n in names)]
    )
    came = dict(headers)
    assert status == 200 and not came.keys() & {name.lower() for name in names}
    assert (came["x-forwarded-for"], came["x-forwarded-proto"]) == (ADMIN, "https")
    assert len(headers) == len(came)


def test_who_asks_without_a_proxy(routers: dict[int, Router]) -> None:
    """A load balancer's own question is answered, and nothing else."""
    head = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", routers[1].port), 10) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert routers[1].ask([], "/_matrix/client/versions")[0] == 400


def test_a_bridge_in_the_cluster_is_its_own_client(routers: dict[int, Router]) -> None:
    """It talks to the router without an edge: by its own address, and never to the admin API."""
    router = routers[BRIDGED]
    assert router.client([]) == "127.0.0.1"
    assert router.ask([])[0] == 404
    for lines in (["X-Real-IP: " + ADMIN], ["Forwarded: for=" + ADMIN], ["X_Forwarded_For: " + ADMIN]):
        assert router.client(lines) == "127.0.0.1" and router.ask(lines)[0] == 404
    for entry, expected in ENTRIES.items():
        lines = [f"X-Forwarded-For: {entry}"]
        assert router.client(lines) == expected, lines
        assert router.ask(lines)[0] in (400, 404), lines
    assert router.ask([f"X-Forwarded-For: {ADMIN}"])[0] == 200
