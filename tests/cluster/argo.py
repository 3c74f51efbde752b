"""Argo CD's own programs beside the API server, and what a test asks of it."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterable
from http.server import ThreadingHTTPServer

import build
import yaml
from api import Api, Object, Refused, until
from plane import TOKEN, Plane
from repository import Repository, serve

APPLICATION = "argoproj.io/v1alpha1", "Application"
# Rendered from charts that nobody serves here; their custom resources are applied instead.
OPERATORS = ("barman-cloud", "cert-manager", "cloudnative-pg")
AGAIN = 30
"""Seconds after which what could not be compared is looked at again; by itself Argo CD does within three minutes, but
not here, where nothing may hide behind its timer."""


class ArgoCD:
    """Controller and repo-server with Debian's Redis. The repository is cloned over HTTPS, from the very address that
    is compiled: nothing in compiled/ or argocd/ is changed for this."""

    def __init__(self, plane: Plane, repository: Repository, number: int = 0) -> None:
        """number: which of several; those after the first share its repo-server"""
        self.plane, self.repository, self.number = plane, repository, number
        assert plane.api
        self.api: Api = plane.api
        self.server: ThreadingHTTPServer | None = None

    def start(self, **controller: str) -> None:
        """controller: further flags of the application-controller, without dashes."""
        plane, files = self.plane, self.plane.certificates
        if not self.server and not self.number:
            self.server = serve(self.repository.root, files.file("server.crt"), files.file("server.key"))
        if not self.api.get("v1", "Namespace", None, "argocd"):
            self.configure()
        folder = plane.folder / "argocd"
        for name in ("tls", "ssh", "gnupg", "gpg", "plugins", "home"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "ssh/ssh_known_hosts").touch()
        (folder / "tls/git.example.com").write_text(self.repository.authority.read_text())
        env = {
            "KUBECONFIG": str(plane.kubeconfig),
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
            "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
            "ARGOCD_GNUPGHOME": str(folder / "gnupg"),
            "ARGOCD_GPG_DATA_PATH": str(folder / "gpg"),
            "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
            "ARGOCD_GPG_ENABLED": "false",
            "NO_PROXY": "*",
            "HOME": str(folder / "home"),
            "PATH": f"{plane.programs}:{os.environ['PATH']}",
        }
        start, program = plane.processes.start, plane.programs / "argocd"
        if "redis" not in plane.processes.running:
            start(
                "redis",
                [
                    "redis-server",
                    "--bind",
                    "127.0.0.1",
                    "--port",
                    f"{6379 + self.number}",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ],
            )
        if "argocd-repo-server" not in plane.processes.running and not self.number:
            start("argocd-repo-server", [program, "--redis", "127.0.0.1:6379", "--address", "127.0.0.1",
                  "--port", "8081", "--metrics-port", "8084", "--loglevel", "warn"],
                  {**env, "ARGOCD_BINARY_NAME": "argocd-repo-server"})  # fmt: skip
        flags = {
            "redis": f"127.0.0.1:{6379 + self.number}",
            "repo-server": "127.0.0.1:8081",
            "metrics-port": f"{8090 + self.number}",
            "app-resync": "3600",
            "self-heal-timeout-seconds": "1",
            "loglevel": "warn",
            **controller,
        }
        start(
            "argocd-application-controller",
            [program, *(f"--{name}={value}" for name, value in flags.items())],
            {**env, "ARGOCD_BINARY_NAME": "argocd-application-controller"},
        )
        time.sleep(1)
        plane.processes.alive()

    def stop(self) -> None:
        """The controller alone: its state is in the cluster."""
        self.plane.processes.stop("argocd-application-controller")

    def configure(self) -> None:
        """Argo CD's namespace and settings."""
        make = self.api.apply
        make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})
        # The one that signed for the repository's name.
        ca = (self.repository.authority).read_text()
        settings = {
            "argocd-cm": yaml.safe_load(build.settings().read_text())["data"] | {"timeout.reconciliation": "3600s"},
            "argocd-rbac-cm": {},
            "argocd-cmd-params-cm": {},
            "argocd-tls-certs-cm": {"git.example.com": ca},
            "argocd-ssh-known-hosts-cm": {"ssh_known_hosts": ""},
            "argocd-gpg-keys-cm": {},
        }
        for name, data in settings.items():
            make(part("ConfigMap", name, data=data))
        secret = {"server.secretkey": "key", "admin.password": "none", "admin.passwordMtime": "2026-01-01T00:00:00Z"}
        make(part("Secret", "argocd-secret", stringData=secret))

    def know(self, name: str, server: str, ca: str) -> None:
        """Another cluster, as `argocd cluster add` makes it known."""
        access = {"bearerToken": TOKEN, "tlsClientConfig": {"caData": base64.b64encode(ca.encode()).decode()}}
        thing = part("Secret", name, stringData={"name": name, "server": server, "config": json.dumps(access)})
        thing["metadata"]["labels"]["argocd.argoproj.io/secret-type"] = "cluster"
        self.api.apply(thing)

    def application(self, name: str) -> Object | None:
        """An Application as it is."""
        return self.api.get(*APPLICATION, "argocd", name)

    def applications(self) -> dict[str, Object]:
        """Every Application but those of the operators."""
        found = {thing["metadata"]["name"]: thing for thing in self.api.list(*APPLICATION, "argocd")}
        return {name: thing for name, thing in found.items() if not name.endswith(OPERATORS)}

    def refresh(self, *names: str) -> None:
        """Have Argo CD look at git now, as its webhook would."""
        for name in names or tuple(self.applications()):
            thing = {**dict(zip(("apiVersion", "kind"), APPLICATION, strict=True)),
                     "metadata": {"name": name, "namespace": "argocd"}}  # fmt: skip
            try:
                self.api.patch(thing, {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}})
            except Refused as refused:
                if refused.code != 404:
                    raise

    def terminate(self, name: str) -> None:
        """End a running sync, as `argocd app terminate-op` does."""
        thing = self.application(name)
        assert thing
        if thing.get("status", {}).get("operationState", {}).get("phase") == "Running":
            self.api.patch(thing, {"status": {"operationState": {"phase": "Terminating"}}})

    def unsettled(self, names: Iterable[str] = (), revision: str = "") -> dict[str, str]:
        """Applications that are not Synced and Healthy, at this revision where one is given, with their reason."""
        found = {}
        every = self.applications()
        for name in names or every:
            if said := why_not(every.get(name), revision):
                found[name] = said
        return found

    def settle(self, *names: str, revision: str = "", seconds: float = 300, least: int = 1) -> float:
        """Wait until Applications (all, and at least so many) are Synced and Healthy; seconds that it took."""
        start, stood = time.monotonic(), {}
        again = start + AGAIN

        def done() -> bool:
            nonlocal stood, again
            self.plane.processes.alive()
            stood = self.unsettled(names, revision)
            unknown = [name for name, said in stood.items() if said.startswith("Unknown")]
            if unknown and time.monotonic() > again:
                self.refresh(*unknown)
                again = time.monotonic() + AGAIN
            return not stood and len(self.applications()) >= least

        try:
            until("Synced and Healthy", done, seconds, 0.5)
        except AssertionError:
            told = "\n".join(f"  {name}: {said}" for name, said in stood.items())
            raise AssertionError(f"not Synced and Healthy within {seconds:g} s:\n{told}") from None
        return time.monotonic() - start

    def push(self, message: str, *names: str, seconds: float = 300) -> float:
        """Commit, tell Argo CD, and wait until the Applications (all, unless named) have it; seconds."""
        start = time.monotonic()
        revision = self.repository.commit(message)
        roots = [name for name in self.applications() if name.endswith("-root")]
        self.refresh(*roots)
        self.settle(*roots, revision=revision, seconds=seconds)
        names = names or tuple(self.applications())
        self.refresh(*names)
        self.settle(*names, revision=revision, seconds=seconds)
        return time.monotonic() - start


def part(kind: str, name: str, **body: object) -> Object:
    """An object of Argo CD's own."""
    labels = {"app.kubernetes.io/part-of": "argocd", "app.kubernetes.io/name": name}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "argocd", "labels": labels},
        **body,
    }


def why_not(thing: Object | None, revision: str = "") -> str:
    """Why an Application is not Synced and Healthy; nothing if it is."""
    if thing is None:
        return "is not there"
    status = thing.get("status", {})
    sync, health = status.get("sync", {}), status.get("health", {}).get("status", "")
    operation = status.get("operationState", {})
    if sync.get("status") == "Synced" and health == "Healthy" and operation.get("phase") != "Running":
        if not revision or sync.get("revision") == revision:
            return ""
        return f"at {sync.get('revision', '')[:8]}, not {revision[:8]}"
    said = [f"{sync.get('status')} {health} {operation.get('phase', '')} {operation.get('message', '')[:600]}"]
    said += [f"{each['type']}: {each['message'][:400]}" for each in status.get("conditions", [])]
    for resource in status.get("resources", []):
        state = resource.get("health", {}).get("status", "Healthy")
        if resource.get("status") != "Synced" or state != "Healthy":
            reason = resource.get("health", {}).get("message", "")
            said.append(f"{resource['kind']} {resource['name']} {resource.get('status')} {state} {reason[:200]}")
    return "; ".join(said[:12])
