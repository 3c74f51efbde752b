"""The compiled router in a real HAProxy: it starts while the cluster's DNS is away, finds Synapse when DNS is back, and
compresses what is text."""

from __future__ import annotations

import gzip
import http.client
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from attacks.test_client_address import CLIENT, HAPROXY, NAME
from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet

pytestmark = pytest.mark.skipif(not HAPROXY, reason="HAProxy is not installed; .ci/run installs it")

ROOMS = b'{"rooms": [' + b'"!abcdefgh:example.com", ' * 1000 + b'""]}'


class Synapse(BaseHTTPRequestHandler):
    """Health, a list, and a picture."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png" if "media" in self.path else "application/json")
        self.send_header("Content-Length", str(len(ROOMS)))
        self.end_headers()
        self.wfile.write(ROOMS)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Dns(threading.Thread):
    """Says 127.0.0.1 to every question about an A record, once it is back."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port, self.back = self.socket.getsockname()[1], False
        self.start()

    def run(self) -> None:
        while True:
            asked, who = self.socket.recvfrom(4096)
            if self.back:
                end = asked.index(b"\0", 12) + 5
                (kind,) = struct.unpack(">H", asked[end - 4 : end - 2])
                record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1" * (kind == 1)
                head = asked[:2] + b"\x81\x80\0\1" + struct.pack(">H", kind == 1) + b"\0" * 4
                self.socket.sendto(head + asked[12:end] + record, who)


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def router(fleet: Fleet, folder: Path, synapse: int, dns: int) -> Iterator[int]:
    """The port of a router as compiled, but for addresses."""
    files = draw_target(fleet, NAME, TOP)
    tree = Tree.of({f"us1/research/{path}": text for path, text in files.items()}, fleet)
    found = tree.find("us1", "ConfigMap", "research", "research-router")
    assert found is not None
    port = free()
    for name, text in found.doc["data"].items():
        text = text.replace("/usr/local/etc/haproxy", str(folder))
        text = text.replace("parse-resolv-conf", f"nameserver here 127.0.0.1:{dns}")
        text = re.sub(r"(?<=svc\.cluster\.local):\d+", f":{synapse}", text)
        text = re.sub(r"check port \d+", f"check port {synapse}", text)
        text = re.sub(r"bind :\d+", lambda _: f"bind 127.0.0.1:{port}", text, count=1)
        text = re.sub(r"bind :\d+", lambda _: f"bind 127.0.0.1:{free()}", text)
        (folder / name).write_text(text)
    with (folder / "log").open("w") as log:
        command = [str(HAPROXY), "-W", "-db", "-f", str(folder / "haproxy.cfg")]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield port
        finally:
            process.terminate()
            process.wait(10)


def ask(port: int, path: str = "/_matrix/client/versions") -> tuple[int, str | None, bytes]:
    """The status, the encoding and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers={"X-Forwarded-For": CLIENT, "Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Encoding"), answer.read()


def within(seconds: float, port: int, status: int) -> float:
    """Seconds until it answers with a status."""
    start, got = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        try:
            got = ask(port)[0]
        except OSError:
            got = 0
        if got == status:
            return time.monotonic() - start
        time.sleep(0.05)
    raise AssertionError(f"{got} after {seconds} s, expected {status}")


def test_it_starts_without_dns_and_compresses_text(fleet: Fleet, tmp_path: Path) -> None:
    dns = Dns()
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Synapse)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    with router(fleet, tmp_path, behind.server_address[1], dns.port) as port:
        # A name that libc had to find would hold the start up for tens of seconds.
        within(10, port, 503)
        dns.back = True
        within(20, port, 200)
        status, encoding, body = ask(port)
        assert (status, encoding) == (200, "gzip") and gzip.decompress(body) == ROOMS and len(body) < len(ROOMS) / 5
        assert ask(port, "/_matrix/client/v1/media/download/example.com/a") == (200, None, ROOMS)
    behind.shutdown()
