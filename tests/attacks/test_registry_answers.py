"""A registry, or who stands between, answers something else than the digest of a tag: one clear line, and no digest."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from matrixfleet.registry import client
from matrixfleet.registry.client import Answer, Unanswered, ask
from registries import INDEX, MANIFEST, PASSWORD, USER, Registry, digest_of, index, send

BODY = index("an image")
HTML = b"<html><title>Sign in to the hotel's network</title></html>"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    started = Registry(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(started.ca))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(client, "TIMEOUT", 2)
    yield started
    started.close()


def said(registry: Registry) -> str:
    with pytest.raises(Unanswered) as error:
        ask(f"{registry.host}/a/b", "1")
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    return message


def test_an_honest_answer_passes(registry: Registry) -> None:
    registry.push("a/b:1", BODY)
    assert ask(f"{registry.host}/a/b", "1") == Answer(digest_of(BODY), index=True)
    registry.answers["a/b:2"] = send(200, BODY, Content_Type=f"{INDEX}; charset=utf-8")
    assert ask(f"{registry.host}/a/b", "2").digest == digest_of(BODY), "without the header its bytes say it"
    plain = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    registry.push("a/b:3", plain)
    assert ask(f"{registry.host}/a/b", "3").index, "an OCI index need not repeat its media type"


ANSWERS = {
    "a wrong page": (send(200, HTML, Content_Type="text/html"), "expected an image index or manifest, got text/html"),
    "a page that says it is an index": (send(200, HTML, Content_Type=INDEX), "got a body that is none"),
    "no content type": (send(200, BODY), "expected an image index or manifest, got no content type"),
    "schema 1, whose digest is of other bytes": (
        send(200, b"{}", Content_Type="application/vnd.docker.distribution.manifest.v1+prettyjws"),
        "expected an image index or manifest, got application/vnd.docker.distribution.manifest.v1+prettyjws",
    ),
    "an index that is an array": (send(200, b"[]", Content_Type=INDEX), "got a body that is none"),
    "a manifest under an index's type": (send(200, b'{"layers": []}', Content_Type=INDEX), "got a body that is none"),
    "two types": (send(200, BODY, Content_Type=MANIFEST), "got a body that is none"),
    "no text": (send(200, b"\xff\xfe", Content_Type=INDEX), "got a body that is none"),
    "another digest than its bytes'": (
        send(200, BODY, Content_Type=INDEX, Docker_Content_Digest="sha256:" + "0" * 64),
        f"expected the digest of what it sent, {digest_of(BODY)}, got sha256:{'0' * 64}",
    ),
    "a digest of another kind": (
        send(200, BODY, Content_Type=INDEX, Docker_Content_Digest="md5:d41d8cd98f00b204e9800998ecf8427e"),
        "got md5:d41d8cd98f00b204e9800998ecf8427e",
    ),
    "too much": (
        send(200, b" " * (client.LARGEST + 1), Content_Type=INDEX),
        f"expected a manifest of at most {client.LARGEST} bytes, got more",
    ),
    "less than it said": (
        send(200, BODY[:50], Content_Type=INDEX, Content_Length="999", Connection="close"),
        "expected a whole answer over HTTP, got ",
    ),
    "sent on to no address": (send(307, b"", Location="https://[\xff"), ": "),
    "nothing": (send(204, b""), ": 204"),
    "forbidden": (send(403, b"{}"), "403, it wants credentials; run docker login, or they may not pull this"),
    "not there": (send(404, HTML, Content_Type="text/html"), "404, no such repository or tag"),
    "too often": (send(429, b"", Retry_After="60"), "429, too many requests; try again in 60 s"),
    "too often, until a day": (send(429, b"", Retry_After="Fri, 31 Dec"), "429, too many requests; try again later"),
    "broken": (send(500, HTML), "500, it fails"),
    "its gateway": (send(502, HTML), "502, it fails"),
    "sent on to plain http": (send(307, b"", Location="http://127.0.0.1:9/"), "no connection: "),
    "sent on in a ring": (send(307, b"", Location="1"), "no connection: Exceeded 30 redirects."),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_another_answer_is_one_line(what: str, registry: Registry) -> None:
    registry.answers["a/b:1"], words = ANSWERS[what]
    message = said(registry)
    assert message.startswith(f"{registry.host}: ") and words in message, message


def test_plain_http_is_not_followed(registry: Registry) -> None:
    """A redirect to http that answers well: anybody on the way could have written it."""
    from http.server import HTTPServer

    class Plain(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        do_GET = send(200, BODY, Content_Type=INDEX)  # type: ignore[assignment]

    server = HTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    registry.answers["a/b:1"] = send(307, b"", Location=f"http://127.0.0.1:{server.server_port}/a")
    assert said(registry) == f"expected https, was sent on to http://127.0.0.1:{server.server_port}/a"
    server.shutdown()


CHALLENGES = {
    "none": ({}, "expected a challenge Bearer or Basic with 401, got none"),
    "Digest": ({"WWW_Authenticate": 'Digest realm="x"'}, "got Digest realm="),
    "no realm": ({"WWW_Authenticate": "Bearer service=x"}, "expected a token service at https://, got none"),
    "credentials over plain http": (
        {"WWW_Authenticate": 'Bearer realm="http://127.0.0.1:9/token"'},
        "expected a token service at https://, got http://127.0.0.1:9/token",
    ),
    "a realm that is none": ({"WWW_Authenticate": 'Bearer realm="https://["'}, "no connection: "),
}


@pytest.mark.parametrize("what", CHALLENGES)
def test_a_wrong_challenge_gets_no_credentials(what: str, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    headers, words = CHALLENGES[what]
    monkeypatch.setattr(registry, "answer", send(401, b"", **headers))
    assert words in said(registry)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (send(200, HTML, Content_Type="text/html"), "token service: expected a token in JSON, got text/html"),
        (send(200, b"{}", Content_Type="application/json"), "expected a token in JSON, got application/json"),
        (send(200, b'{"token": 1}'), "expected a token in JSON, got no content type"),
        (send(200, b'{"token": "a\\r\\nHost: b"}'), "expected a token in JSON"),
        (send(200, b"[]"), "expected a token in JSON"),
        (send(503, b""), "token service: 503, it fails"),
        (send(200, b'{"token": "another"}'), "401, it wants credentials; run docker login"),
    ],
)
def test_a_wrong_token_is_one_line(answer: object, words: str, registry: Registry) -> None:
    registry.answers["token"] = answer  # type: ignore[assignment]
    assert words in said(registry)


def test_an_unknown_certificate_is_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.push("a/b:1", BODY)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    message = said(registry)
    assert f"{registry.host}: TLS failed: " in message and "certificate verify failed" in message
    assert message.endswith("is its certificate authority in REQUESTS_CA_BUNDLE?")


def test_a_registry_without_tls_is_refused(registry: Registry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            peer, _ = plain.accept()
            peer.recv(100)
            peer.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            peer.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(Unanswered, match="TLS failed"):
            ask(f"127.0.0.1:{plain.getsockname()[1]}/a/b", "1")


@pytest.mark.parametrize("how", ["silent", "drips"])
def test_a_registry_that_holds_the_line_is_left(how: str, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        if how == "drips":
            request.send_response(200)
            request.send_header("Content-Type", INDEX)
            request.end_headers()
            while not done.wait(0.2):
                request.wfile.write(b" ")
        done.wait(20)

    monkeypatch.setattr(client, "DEADLINE", 1)
    registry.answers["a/b:1"] = answer
    start = time.monotonic()
    assert said(registry) == f"{registry.host}: no " + ("whole answer in 1 s" if how == "drips" else "answer in 2 s")
    assert time.monotonic() - start < 10
    done.set()


def test_nobody_there_and_no_such_name(registry: Registry) -> None:
    registry.close()
    assert said(registry).startswith(f"{registry.host}: no connection: ")
    with pytest.raises(Unanswered, match=r"^registry\.invalid: no connection: Failed to resolve"):
        ask("registry.invalid/a", "1")
    with pytest.raises(Unanswered, match=r"^expected REGISTRY/PATH, got https://a/b: "):
        ask("https://a/b", "1")


def test_credentials_go_to_their_registry_alone(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither another registry's of docker login, nor ~/.netrc's; and never to where a manifest is sent on."""
    (tmp_path / "other").mkdir()
    other = Registry(tmp_path / "other")
    (tmp_path / "both.crt").write_bytes(registry.ca.read_bytes() + other.ca.read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "both.crt"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("default login stranger password secret\n")
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {other.host: {"auth": auth}}}))
    registry.push("a/b:1", BODY)
    ask(f"{registry.host}/a/b", "1")
    headers = [sent.get("Authorization", "") for _, sent in registry.asked]
    assert headers == ["", "", "Bearer for-repository:a/b:pull"]
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    registry.answers["a/b:1"] = send(307, b"", Location=f"https://localhost:{other.server.server_port}/blob")
    seen: list[str | None] = []

    def note(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers.get("Authorization"))
        send(200, BODY, Content_Type=INDEX)(request)

    other.answer = note  # type: ignore[method-assign,assignment]
    assert ask(f"{registry.host}/a/b", "1").digest == digest_of(BODY)
    assert seen == [None]
    other.close()


@pytest.mark.parametrize(
    "config",
    [
        '{"auths": {"HOST": {"auth": "%%%"}}}',
        '{"auths": {"HOST": {"auth": "bm9jb2xvbg=="}}}',
        '{"auths": {"HOST": []}}',
        '{"auths": []}',
        '{"credHelpers": {"HOST": "is-not-installed"}}',
        "[]",
    ],
)
def test_broken_credentials_are_one_line(config: str, registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config.replace("HOST", registry.host))
    registry.push("a/b:1", BODY)
    registry.private = True
    message = said(registry)
    assert "run docker login" in message and "%%%" not in message and "bm9j" not in message
