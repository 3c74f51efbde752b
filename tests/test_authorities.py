"""A private authority, as Synapse's own HTTP client takes it: by the two variables that its Pods have."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import registries
from fleets import TOP

PYTHON = TOP / ".cache/synapse/venv/bin/python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="Synapse is not installed; .ci/run installs it")
# Synapse's clients are Twisted's Agent with this policy, unless federation is meant (synapse/http/client.py).
ASK = """
import sys
from twisted.internet import reactor
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS
asked = Agent(reactor, BrowserLikePolicyForHTTPS()).request(b"GET", sys.argv[1].encode())
asked.addBoth(lambda found: (print(getattr(found, "code", "refused")), reactor.stop()))
reactor.run()
"""


class Here(BaseHTTPRequestHandler):
    """Says yes."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def serve(folder: Path) -> tuple[Path, str]:
    """A server with a certificate that nobody trusts by himself: the certificate, and the address."""
    certificate, key = registries.certificate(folder)
    server = HTTPServer(("127.0.0.1", 0), Here)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return certificate, f"https://localhost:{server.server_address[1]}/"


def ask(address: str, **env: str) -> str:
    return subprocess.run(
        [PYTHON, "-c", ASK, address], env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, timeout=60
    ).stdout.strip()


@pytest.mark.skipif(not shutil.which("openssl"), reason="OpenSSL names the files of a folder of authorities")
def test_a_private_authority_is_trusted_beside_everybodys(tmp_path: Path) -> None:
    for name in ("private", "public", "stranger"):
        (tmp_path / name).mkdir()
    private, at_private = serve(tmp_path / "private")
    public, at_public = serve(tmp_path / "public")
    _, at_stranger = serve(tmp_path / "stranger")
    # As the image has everybody's: a folder of files by their subjects' hashes.
    hashed = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", public], capture_output=True, text=True, check=True
    ).stdout.strip()
    everybody = tmp_path / "certs"
    everybody.mkdir()
    shutil.copy(public, everybody / f"{hashed}.0")
    env = {"SSL_CERT_FILE": str(private), "SSL_CERT_DIR": str(everybody)}
    assert ask(at_private) == "refused"
    answers = {"private": ask(at_private, **env), "public": ask(at_public, **env), "stranger": ask(at_stranger, **env)}
    assert answers == {"private": "200", "public": "200", "stranger": "refused"}
