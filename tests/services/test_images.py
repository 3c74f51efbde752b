"""`matrix-fleet images` asks the real registry (Debian's Distribution) with TLS, by password and by tokens."""

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import bcrypt
import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from registries import INDEX, MANIFEST, PASSWORD, USER, certificate  # noqa: E402

STABLE = "inventory/classes/release/stable.yml"
NAME, TAG = "library/redis", "8.2.3"


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Tokens:
    """A token service as in Distribution's docs/spec/auth/jwt.md: whoever knows the password gets what is asked."""

    def __init__(self, crt: Path, key: Path) -> None:
        self.key = serialization.load_pem_private_key(key.read_bytes(), None)
        self.chain = "".join(crt.read_text().splitlines()[1:-1])
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                known = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                status = 200 if self.headers.get("Authorization") == known else 401
                body = b"{}"
                if status == 200:
                    (scope,) = parse_qs(urlsplit(self.path).query)["scope"]
                    body = json.dumps({"access_token": tokens.token(scope)}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(crt, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, scope: str) -> str:
        kind, name, actions = scope.split(":")
        now = int(time.time())
        header = {"typ": "JWT", "alg": "ES256", "x5c": [self.chain]}
        payload = {
            "iss": "tokens", "sub": USER, "aud": "registry", "jti": str(now),
            "iat": now, "nbf": now - 10, "exp": now + 300,
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }  # fmt: skip
        text = ".".join(coded(json.dumps(part).encode()) for part in (header, payload))
        pair = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{coded(b''.join(number.to_bytes(32, 'big') for number in pair))}"


class Distribution:
    """Debian's docker-registry."""

    def __init__(self, folder: Path, kind: str) -> None:
        crt, key = certificate(folder)
        self.ca, port = crt, free()
        self.host = f"127.0.0.1:{port}"
        self.tokens = Tokens(crt, key) if kind == "token" else None
        if self.tokens:
            realm = f"https://127.0.0.1:{self.tokens.server.server_port}/token"
            auth = {"realm": realm, "service": "registry", "issuer": "tokens", "rootcertbundle": str(crt)}
        else:
            hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, b"2a")).decode()
            (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
            auth = {"realm": "registry", "path": str(folder / "htpasswd")}
        config = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host, "secret": "one", "tls": {"certificate": str(crt), "key": str(key)}},
            "auth": {kind: auth},
        }
        (folder / "config.yml").write_text(json.dumps(config))
        log = (folder / "log").open("w")
        command = ["docker-registry", "serve", str(folder / "config.yml")]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(100):
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        pytest.fail(f"docker-registry does not listen: {(folder / 'log').read_text()}")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        if self.tokens:
            self.tokens.server.shutdown()

    def request(self, method: str, url: str, **more) -> requests.Response:
        kind = {"auth": (USER, PASSWORD)}
        if self.tokens:
            token = self.tokens.token(f"repository:{NAME}:pull,push,delete")
            more["headers"] = {**more.get("headers", {}), "Authorization": f"Bearer {token}"}
            kind = {}
        answer = requests.request(method, url, verify=str(self.ca), timeout=10, **kind, **more)
        assert answer.ok, f"{method} {url}: {answer.status_code} {answer.text}"
        return answer

    def blob(self, data: bytes) -> dict:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begun = self.request("POST", f"https://{self.host}/v2/{NAME}/blobs/uploads/")
        self.request("PUT", f"{begun.headers['Location']}&digest={digest}", data=data)
        return {"mediaType": "application/octet-stream", "size": len(data), "digest": digest}

    def manifest(self, kind: str, content: dict, tag: str = "") -> tuple[str, int]:
        """Push a manifest, under a tag or its digest. Returns the digest that the registry says, and its size."""
        body = json.dumps({"schemaVersion": 2, "mediaType": kind, **content}).encode()
        place = tag or f"sha256:{hashlib.sha256(body).hexdigest()}"
        url = f"https://{self.host}/v2/{NAME}/manifests/{place}"
        answer = self.request("PUT", url, data=body, headers={"Content-Type": kind})
        return answer.headers["Docker-Content-Digest"], len(body)

    def push(self, what: str) -> str:
        """An index of two platforms under the tag. Returns its digest."""
        platforms = []
        for arch in ("amd64", "arm64"):
            part = self.blob(f"{what} {arch}".encode())
            digest, size = self.manifest(MANIFEST, {"config": part, "layers": [part]})
            platform = {"os": "linux", "architecture": arch}
            platforms.append({"mediaType": MANIFEST, "size": size, "digest": digest, "platform": platform})
        return self.manifest(INDEX, {"manifests": platforms}, TAG)[0]


@pytest.fixture(params=["htpasswd", "token"])
def registry(request, tmp_path):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    started = Distribution(tmp_path, request.param)
    yield started
    started.close()


def test_digests_of_a_private_registry(registry, tmp_path):
    top = tmp_path / "fleet"
    shutil.copytree(TOP / "inventory", top / "inventory")
    (top / ".kapitan").write_text((TOP / ".kapitan").read_text())
    stable = top / STABLE
    before = stable.read_text().replace(f"docker.io/{NAME}", f"{registry.host}/{NAME}")
    stable.write_text(before)
    docker = tmp_path / "docker"
    docker.mkdir()

    def run(*words: str) -> tuple[int, list[str]]:
        environment = {**os.environ, "DOCKER_CONFIG": str(docker), "REQUESTS_CA_BUNDLE": str(registry.ca)}
        command = [str(TOP / ".venv/bin/matrix-fleet"), "images", *words]
        done = subprocess.run(command, cwd=top, env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    first = registry.push("first")
    code, lines = run("--renew", "redis")
    assert code == 1 and len(lines) == 2 and "run docker login" in lines[1], "nobody is let in without a password"
    assert stable.read_text() == before
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (docker / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    code, lines = run("--renew", "redis")
    assert code == 0 and lines[-1] == "1 tags asked, 1 places changed; run make compile", lines
    assert stable.read_text() == re.sub(rf"( +)tag: {TAG}\n", rf"\g<0>\1digest: {first}\n", before)
    assert run("--check", "redis") == (0, ["1 tags mean what they did"])

    second = registry.push("second")
    assert second != first
    code, lines = run("--check")
    place = rf"{STABLE}:\d+: releases\.stable\.images\.redis: {registry.host}/{NAME}:{TAG}"
    said = rf"{place} moved: expected {first}, got {second}; what is pinned can still be pulled"
    assert code == 1 and len(lines) == 1 and re.fullmatch(said, lines[0]), lines
    registry.request("DELETE", f"https://{registry.host}/v2/{NAME}/manifests/{first}")
    code, lines = run("--check")
    assert code == 1 and lines[0].endswith(
        f"and what is pinned cannot be pulled any more ({registry.host}: 404, no such repository or tag)"
    )
    code, lines = run("--renew", "redis")
    assert code == 0 and re.fullmatch(f"{place}: {first} -> {second}", lines[0])
    assert run("--check") == (0, ["1 tags mean what they did; 15 places have no digest to compare"])
