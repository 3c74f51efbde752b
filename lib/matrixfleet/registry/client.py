"""One question to a registry: which digest does this tag mean now?

The protocol is the OCI distribution specification (spec.md, "Pulling manifests") with the token authentication of
Distribution (docs: spec/auth/token, spec/auth/oauth). Credentials are those of `docker login`, by Docker's own library.
Only HTTPS is spoken; proxies and a private certificate authority are named in the environment (HTTPS_PROXY,
REQUESTS_CA_BUNDLE), as `requests` reads it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import warnings
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from docker import auth as docker_auth
from docker import errors as docker_errors
from requests.utils import parse_dict_header

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
"""Media types that list one manifest per platform."""
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
"""Media types of the image of one platform."""
LARGEST = 4 * 1024 * 1024
"""Bytes of a manifest: what the specification asks registries to accept at least. Nobody's are larger."""
TIMEOUT = 15
"""Seconds that a connection or the next piece of an answer may take."""
DEADLINE = 60
"""Seconds that the body of one answer may take."""
# A credential helper that is not installed is an error too, and told as one.
warnings.filterwarnings("ignore", module=r"docker\.credentials")
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, docker_errors.DockerException)
_OBJECT = re.compile(r"^<?[\w.]*Connection[^:]*: ")


class Unanswered(Exception):
    """A question without a usable answer. The text is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tag means."""

    digest: str
    """sha256 of the bytes that the registry sent."""
    index: bool
    """Whether it is an index of several platforms."""


class _Authorization(requests.auth.AuthBase):
    """The header as it was agreed on. Without an `auth` requests would take one from ~/.netrc."""

    def __init__(self, value: str = "") -> None:
        self.value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.value:
            request.headers["Authorization"] = self.value
        return request


class _Session(requests.Session):
    """A session that takes nothing from ~/.netrc where it is sent on, as requests would."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Leave the header out where a redirect leads to another host."""
        if self.should_strip_auth(str(response.request.url), str(prepared_request.url)):
            prepared_request.headers.pop("Authorization", None)


def ask(repository: str, tag: str) -> Answer:
    """Return what a tag (or a digest in its place) means. Raises Unanswered."""
    try:
        host, name = docker_auth.resolve_repository_name(repository)
    except docker_errors.DockerException as error:
        raise Unanswered(f"expected REGISTRY/PATH, got {repository}: {error}") from error
    if host == docker_auth.INDEX_NAME:
        # Docker Hub's registry has another name than its images, and its own images are below library/.
        host, name = "registry-1.docker.io", name if "/" in name else f"library/{name}"
    credentials = _credentials(repository)
    try:
        with _Session() as session:
            return _asked(session, host, name, tag, credentials)
    except requests.exceptions.SSLError as error:
        hint = "is its certificate authority in REQUESTS_CA_BUNDLE?"
        raise Unanswered(f"{host}: TLS failed: {_reason(error)}; {hint}") from error
    except requests.exceptions.Timeout as error:
        raise Unanswered(f"{host}: no answer in {TIMEOUT} s") from error
    except requests.RequestException as error:
        raise Unanswered(f"{host}: no connection: {_reason(error)}") from error
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Unanswered(f"{host}: expected a whole answer over HTTP, got {_reason(error)}") from error


def _credentials(repository: str) -> dict[str, str]:
    """What `docker login` keeps for a registry, with lower-case keys; empty without."""
    host = docker_auth.resolve_repository_name(repository)[0]
    try:
        kept = docker_auth.load_config().resolve_authconfig(host) or {}
        return {str(key).lower(): str(value) for key, value in kept.items() if value}
    except (OSError, *_BROKEN) as error:
        # The value may be in the message of a decoder: only the kind of error is told.
        message = f"{host}: expected credentials as docker login keeps them, got {type(error).__name__}"
        raise Unanswered(f"{message}; run docker login {host}") from error


def _asked(session: requests.Session, host: str, name: str, tag: str, credentials: dict[str, str]) -> Answer:
    url = f"https://{host}/v2/{name}/manifests/{tag}"
    headers = {"Accept": ", ".join((*INDEXES, *MANIFESTS)), "Accept-Encoding": "identity"}
    response = _get(session, url, headers, _Authorization())
    if response.status_code == 401:
        authorization = _authorization(session, host, name, response.headers.get("WWW-Authenticate", ""), credentials)
        response = _get(session, url, headers, authorization)
    _refuse(response, host, credentials)
    return _read(response, host)


def _get(
    session: requests.Session, url: str, headers: dict[str, str], authorization: _Authorization
) -> requests.Response:
    response = session.get(url, headers=headers, auth=authorization, timeout=TIMEOUT, stream=True)
    for hop in (*response.history, response):
        if not str(hop.url).startswith("https://"):
            raise Unanswered(f"expected https, was sent on to {str(hop.url).partition('?')[0]}")
    return response


def _authorization(
    session: requests.Session, host: str, name: str, challenge: str, credentials: dict[str, str]
) -> _Authorization:
    """The header that a challenge asks for."""
    user, password = credentials.get("username"), credentials.get("password")
    basic = ""
    if user and password:
        basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    _, bearer, asked = re.sub("(?i)bearer ", "Bearer ", challenge).partition("Bearer ")
    if bearer:
        return _Authorization("Bearer " + _token(session, host, name, parse_dict_header(asked), basic, credentials))
    if not challenge.lower().startswith("basic"):
        raise Unanswered(f"{host}: expected a challenge Bearer or Basic with 401, got {challenge[:80] or 'none'}")
    if not basic:
        raise Unanswered(f"{host}: 401, it wants a name and a password; run docker login {host}")
    return _Authorization(basic)


def _token(
    session: requests.Session,
    host: str,
    name: str,
    challenge: dict[str, Any],
    basic: str,
    credentials: dict[str, str],
) -> str:
    """A token to pull one repository."""
    realm = str(challenge.get("realm") or "")
    if not realm.startswith("https://"):
        # Credentials go there.
        raise Unanswered(f"{host}: expected a token service at https://, got {realm or 'none'}")
    wanted = {"scope": str(challenge.get("scope") or f"repository:{name}:pull")}
    if challenge.get("service"):
        wanted["service"] = str(challenge["service"])
    if "identitytoken" in credentials:
        form = {"grant_type": "refresh_token", "refresh_token": credentials["identitytoken"]}
        answer = session.post(
            realm, data={**wanted, **form, "client_id": "matrix-fleet"}, auth=_Authorization(), timeout=TIMEOUT
        )
    else:
        answer = session.get(realm, params=wanted, auth=_Authorization(basic), timeout=TIMEOUT)
    _refuse(answer, f"{host}'s token service", credentials)
    try:
        found = answer.json()
        token = found.get("token") or found["access_token"]
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ValueError
    except _BROKEN as error:
        kind = answer.headers.get("Content-Type", "no content type")
        raise Unanswered(f"{host}'s token service: expected a token in JSON, got {kind}") from error
    return token


def _refuse(response: requests.Response, host: str, credentials: dict[str, str]) -> None:
    """Raise Unanswered where a status is not 200."""
    status = response.status_code
    known = "its credentials of docker login are refused" if credentials else "it wants credentials; run docker login"
    words = {
        401: f"401, {known}",
        403: f"403, {known}, or they may not pull this",
        404: "404, no such repository or tag",
        429: f"429, too many requests; try again {_later(response)}",
    }
    if status != 200:
        raise Unanswered(f"{host}: {words.get(status) or (f'{status}, it fails' if status >= 500 else str(status))}")


def _later(response: requests.Response) -> str:
    after = response.headers.get("Retry-After", "")
    return f"in {after} s" if after.isdigit() else "later"


def _read(response: requests.Response, host: str) -> Answer:
    """The digest of an answer, if it is an image's."""
    body, end = b"", time.monotonic() + DEADLINE
    # read1 gives what has come; iter_content would wait for a whole piece, and its time-out is one of each byte.
    while piece := response.raw.read1(65536):
        body += piece
        if len(body) > LARGEST:
            raise Unanswered(f"{host}: expected a manifest of at most {LARGEST} bytes, got more")
        if time.monotonic() > end:
            raise Unanswered(f"{host}: no whole answer in {DEADLINE} s")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in INDEXES + MANIFESTS:
        raise Unanswered(f"{host}: expected an image index or manifest, got {kind or 'no content type'}")
    try:
        manifest = json.loads(body)
        said, parts = manifest.get("mediaType", kind), manifest["manifests" if kind in INDEXES else "layers"]
        if said != kind or not isinstance(parts, list):
            raise ValueError
    except _BROKEN as error:
        raise Unanswered(f"{host}: expected {kind}, got a body that is none") from error
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    told = response.headers.get("Docker-Content-Digest", digest)
    if told != digest:
        raise Unanswered(f"{host}: expected the digest of what it sent, {digest}, got {told[:80]}")
    return Answer(digest, kind in INDEXES)


def _reason(error: Exception) -> str:
    """The cause without the names of Python's objects."""
    cause = error.args[0] if error.args else error
    return _OBJECT.sub("", str(getattr(cause, "reason", cause)))
