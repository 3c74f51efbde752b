"""A small client of the Kubernetes API: what a test needs, in the API's own words.

Objects are plain dictionaries, as in the manifests. Kinds are found by discovery, as kubectl finds them.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
MERGE, APPLY, JSON = "application/merge-patch+json", "application/apply-patch+yaml", "application/json"


class Refused(Exception):
    """The API server said no: its status code, reason and message."""

    def __init__(self, code: int, answer: Object) -> None:
        self.code, self.reason, self.message = code, answer.get("reason", ""), answer.get("message", "")
        super().__init__(f"{code} {self.reason}: {self.message}")


class Api:
    """One API server, as one user."""

    def __init__(self, server: str, ca: str, token: str = "", certificate: tuple[str, str] | None = None) -> None:
        """ca: a file; certificate: files of a client's certificate and key, in a token's place."""
        self.server, self.ca, self.token = server, ca, token
        self.host = urllib.parse.urlsplit(server).netloc
        self.context = ssl.create_default_context(cafile=ca)
        if certificate:
            self.context.load_cert_chain(*certificate)
        self.local = threading.local()
        self.kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def as_user(self, token: str) -> Api:
        """The same server, as somebody else."""
        return Api(self.server, self.ca, token)

    def request(
        self, method: str, path: str, body: Object | list[Any] | None = None, content: str = JSON, **query: Any
    ) -> Any:
        """One call. Raises Refused."""
        if query:
            path += "?" + urllib.parse.urlencode({key: value for key, value in query.items() if value})
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": content, "Accept": JSON}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        for again in (True, False):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=90)
                self.local.connection = connection
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, ConnectionError, ssl.SSLEOFError):
                # A kept connection may have been closed meanwhile.
                connection.close()
                self.local.connection = None
                if not again:
                    raise
        try:
            said = json.loads(text)
        except ValueError:
            said = text.decode(errors="replace")
        if answer.status >= 400:
            raise Refused(answer.status, said if isinstance(said, dict) else {"message": str(said)})
        return said

    def path(self, api: str, kind: str, namespace: str | None = None, name: str = "") -> str:
        """Where a kind, or one object of it, is."""
        if (api, kind) not in self.kinds:
            found = self.request("GET", f"/api/{api}" if "/" not in api else f"/apis/{api}")
            for resource in found["resources"]:
                if "/" not in resource["name"]:
                    self.kinds[api, resource["kind"]] = (resource["name"], resource["namespaced"])
        plural, namespaced = self.kinds[api, kind]
        path = f"/api/{api}" if "/" not in api else f"/apis/{api}"
        if namespaced and namespace:
            path += f"/namespaces/{namespace}"
        return f"{path}/{plural}" + (f"/{name}" if name else "")

    def path_of(self, thing: Object) -> str:
        """Where an object is."""
        metadata = thing["metadata"]
        return self.path(thing["apiVersion"], thing["kind"], metadata.get("namespace"), metadata["name"])

    def apply(self, thing: Object, *, dry: bool = False, manager: str = "test") -> Object:
        """Server-side apply, with strict validation of fields. Raises Refused."""
        return self.request(
            "PATCH",
            self.path_of(thing),
            thing,
            APPLY,
            fieldManager=manager,
            fieldValidation="Strict",
            force="true",
            dryRun="All" if dry else "",
        )

    def create(self, thing: Object, *, dry: bool = False) -> Object:
        """A new object. Raises Refused."""
        metadata = thing["metadata"]
        path = self.path(thing["apiVersion"], thing["kind"], metadata.get("namespace"))
        return self.request("POST", path, thing, fieldValidation="Strict", dryRun="All" if dry else "")

    def get(self, api: str, kind: str, namespace: str | None, name: str) -> Object | None:
        """An object, or None."""
        try:
            return self.request("GET", self.path(api, kind, namespace, name))
        except Refused as refused:
            if refused.code == 404:
                return None
            raise

    def there(self, thing: Object) -> Object | None:
        """The live object of a manifest, or None."""
        return self.get(
            thing["apiVersion"], thing["kind"], thing["metadata"].get("namespace"), thing["metadata"]["name"]
        )

    def list(self, api: str, kind: str, namespace: str | None = None, labels: str = "") -> list[Object]:
        """Objects of a kind, of one namespace or of all. They lack apiVersion and kind in the API's lists; here not."""
        found = self.request("GET", self.path(api, kind, namespace), labelSelector=labels)["items"]
        return [{**thing, "apiVersion": api, "kind": kind} for thing in found]

    def patch(self, thing: Object, change: Object, part: str = "", content: str = MERGE) -> Object:
        """Change an object, or a part of it (status, scale), by a merge patch."""
        return self.request("PATCH", self.path_of(thing) + (f"/{part}" if part else ""), change, content)

    def delete(self, thing: Object, **options: Any) -> None:
        """Delete an object; in the background, whatever its kind's own default is."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", **options}
        self.request("DELETE", self.path_of(thing), body)

    def watch(self, api: str, kind: str, stop: threading.Event, namespace: str | None = None) -> Iterator[Object]:
        """Events of a kind from now on, those of what is there first, until `stop`."""
        path, version = self.path(api, kind, namespace), ""
        while not stop.is_set():
            connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=20)
            query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": "15", "resourceVersion": version}
            headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            try:
                connection.request("GET", path + "?" + urllib.parse.urlencode(query), headers=headers)
                answer = connection.getresponse()
                if answer.status != 200:
                    # A server that has just begun says 429 (its storage is being initialized), and 410 to a version too old.
                    version = ""
                    raise http.client.HTTPException(answer.reason)
                for line in answer:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        version = ""
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event
                    if stop.is_set():
                        return
            except (OSError, http.client.HTTPException):
                time.sleep(0.2)
            finally:
                connection.close()


def from_kubeconfig(path: str) -> Api:
    """The current context of a kubeconfig that has a token or a client's certificate."""
    from base64 import b64decode

    told = yaml.safe_load(Path(path).read_text())
    context = next(each["context"] for each in told["contexts"] if each["name"] == told["current-context"])
    cluster = next(each["cluster"] for each in told["clusters"] if each["name"] == context["cluster"])
    user = next(each["user"] for each in told["users"] if each["name"] == context["user"])

    def file(where: Object, key: str) -> str:
        if key in where:
            return str(where[key])
        # The ssl module reads these from files alone.
        kept = Path(os.environ.get("TMPDIR", "/tmp")) / f"matrix-fleet-{os.getpid()}-{key}"
        kept.touch(mode=0o600)
        kept.write_bytes(b64decode(where[f"{key}-data"]))
        return str(kept)

    pair = None
    if not user.get("token"):
        pair = (file(user, "client-certificate"), file(user, "client-key"))
    return Api(cluster["server"], file(cluster, "certificate-authority"), user.get("token", ""), pair)


def until(what: str, true: Callable[[], Any], seconds: float = 60, every: float = 0.3) -> Any:
    """Wait until something is so, and hand it back. Fails with what was awaited and how it stood."""
    end, said = time.monotonic() + seconds, None
    while True:
        try:
            said = true()
        except Refused as refused:
            said = None
            last: Any = refused
        else:
            last = said
        if said:
            return said
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what} (last: {last!r})")
        time.sleep(every)


def documents(folder: Path) -> dict[Path, Object]:
    """Every object below a folder of manifests, by file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {path: yaml.load(path.read_text(), Loader=loader) for path in sorted(folder.rglob("*.yaml"))}


def named(thing: Object) -> str:
    """How a person would call an object."""
    metadata = thing["metadata"]
    return f"{thing['kind']} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")
