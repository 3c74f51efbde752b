"""A registry of the OCI distribution specification on loopback, with TLS and tokens, and every way in which one fails.

The real one, Debian's docker-registry, is asked in tests/services/test_images.py.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
USER, PASSWORD = "reader", "correct horse"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"registry {x509.random_serial_number()}")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    crt, secret = folder / "tls.crt", folder / "tls.key"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return crt, secret


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def index(what: str) -> bytes:
    """An index of two platforms; the text makes its digest its own."""
    parts = [
        {
            "mediaType": MANIFEST,
            "size": 2,
            "digest": digest_of(f"{what} {arch}".encode()),
            "platform": {"architecture": arch},
        }
        for arch in ("amd64", "arm64")
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": parts}).encode()


Answer = Callable[[BaseHTTPRequestHandler], None]


def send(status: int, body: bytes, **headers: str) -> Answer:
    """A fixed answer."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


class Registry:
    """Manifests by `name:tag`, each pulled with a token for exactly that repository."""

    def __init__(self, folder: Path, *, private: bool = False, scheme: str = "Bearer") -> None:
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.answers: dict[str, Answer] = {}
        """Other answers than the registry's, by `name:tag`, or `token`."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.private, self.scheme = private, scheme
        crt, key = certificate(folder)
        self.ca = crt
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                registry.answer(self)

            def do_POST(self) -> None:
                registry.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def push(self, reference: str, body: bytes, kind: str = INDEX) -> str:
        """Put a manifest under a tag and under its digest."""
        digest = digest_of(body)
        self.manifests[reference] = self.manifests[f"{reference.rpartition(':')[0]}:{digest}"] = (kind, body)
        return digest

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def answer(self, request: Any) -> None:
        self.asked.append((request.path, dict(request.headers)))
        path = urlsplit(request.path)
        if path.path == "/token":
            if "token" in self.answers:
                return self.answers["token"](request)
            query = parse_qs(path.query)
            allowed = request.headers.get("Authorization") == self.basic or not self.private
            if request.command == "POST":
                query = parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
                allowed = query["refresh_token"] == ["a-long-token"]
            if not allowed:
                return send(401, b"{}")(request)
            (scope,) = query["scope"]
            return send(200, json.dumps({"token": f"for-{scope}"}).encode(), Content_Type="application/json")(request)
        _, _, name_and_tag = path.path.partition("/v2/")
        name, _, tag = name_and_tag.partition("/manifests/")
        wanted = self.basic if self.scheme == "Basic" else f"Bearer for-repository:{name}:pull"
        if request.headers.get("Authorization") != wanted:
            realm = f'realm="https://{self.host}/token",service="a registry",scope="repository:{name}:pull"'
            challenge = f"{self.scheme} " + (realm if self.scheme == "Bearer" else 'realm="a registry"')
            return send(401, b'{"errors": []}', WWW_Authenticate=challenge)(request)
        if f"{name}:{tag}" in self.answers:
            return self.answers[f"{name}:{tag}"](request)
        if f"{name}:{tag}" not in self.manifests:
            return send(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', Content_Type="application/json")(request)
        kind, body = self.manifests[f"{name}:{tag}"]
        if kind == INDEX and INDEX not in request.headers["Accept"]:
            # As registries do for clients that know no index: one platform's manifest, with another digest.
            kind, body = MANIFEST, b'{"layers": []}'
        return send(200, body, Content_Type=kind, Docker_Content_Digest=digest_of(body))(request)
