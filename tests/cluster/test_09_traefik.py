"""Point 9: the real Traefik reads the compiled edge from the real API server, and requests reach what the plan says.

Behind each Service's Pods stands a small server that says which Service it stands for. Which Pods those are is the real
EndpointSlice controller's word: it finds them by the compiled selectors and names the compiled ports.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import build
import pytest
from api import Api, Object, documents, until
from plane import PORT, TOKEN, Plane, encoded
from repository import TOP

from matrixfleet.model import Fleet
from matrixfleet.model.choices import Edge
from matrixfleet.plan import plan_of
from matrixfleet.plan.edge import PublicHost

TRAEFIK = build.CLUSTER / "bin/traefik"
ADDRESSES = {"eu1": "192.0.2.1", "us1": "192.0.2.2", "ap1": "192.0.2.3"}
"""Of each cluster's edge."""
SLICE = "discovery.k8s.io/v1", "EndpointSlice"
ROUTE = "gateway.networking.k8s.io/v1", "HTTPRoute"
GATEWAY = "gateway.networking.k8s.io/v1", "Gateway"
INGRESS = "networking.k8s.io/v1", "Ingress"
CONTROLLER = "traefik.io/gateway-controller"
# Folders whose objects are an edge and the Pods behind it; what Argo CD brought already stays as it is.
BEHIND = ("edge", "element", "router", "priority", "fence")


class Site(NamedTuple):
    """A public host, and the namespace and name of the Service that the plan gives it."""

    cluster: str
    edge_class: str
    public: PublicHost
    service: str


def sites() -> list[Site]:
    """Every host of the clusters whose edge is Traefik, by Ingress or by Gateway API."""
    fleet = Fleet.read(TOP / "inventory")
    found = []
    for plan in (plan_of(fleet, name) for name in fleet.names):
        if plan.cluster.edge.controller in (Edge.TRAEFIK, Edge.GATEWAY_API):
            for public in plan.public_hosts:
                service = f"{plan.namespace}/{plan.called(public.backend)}"
                found.append(Site(plan.cluster.name, plan.cluster.edge.class_name, public, service))
    return found


SITES = sites()


class StandIn(BaseHTTPRequestHandler):
    """Says for which Service it stands, and what it was asked."""

    service = ""

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"service": self.service, "path": self.path, "headers": headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Door:
    """Traefik at a cluster's edge."""

    def __init__(self, plane: Plane, address: str) -> None:
        self.plane, self.address = plane, address
        assert plane.api
        self.api: Api = plane.api
        self.ca = plane.certificates.file("ca.crt")

    def start(self) -> None:
        """With the settings that argocd/README.md asks for; every one of its providers."""
        assert TRAEFIK.exists(), f"{TRAEFIK.relative_to(TOP)} is missing: make test-cluster installs it"
        subprocess.run(["ip", "address", "replace", f"{self.address}/32", "dev", "lo"], check=True)
        flags = {
            "entrypoints.web.address": f"{self.address}:80",
            "entrypoints.websecure.address": f"{self.address}:443",
            "entrypoints.websecure.transport.respondingtimeouts.readtimeout": "300s",
            "entrypoints.traefik.address": f"{self.address}:8080",
            "api.insecure": "true",
            "providers.kubernetesingress.ingressendpoint.ip": "203.0.113.1",
            "global.checknewversion": "false",
            "log.level": "INFO",
        }
        for provider in ("kubernetesingress", "kubernetescrd", "kubernetesgateway"):
            flags |= {
                f"providers.{provider}.endpoint": f"https://{self.plane.address}:{PORT}",
                f"providers.{provider}.token": TOKEN,
                f"providers.{provider}.certauthfilepath": self.ca,
            }
        self.plane.processes.start("traefik", [TRAEFIK, *(f"--{name}={value}" for name, value in flags.items())])

    def says(self, what: str) -> list[Object]:
        """Its own word on its routers, services or middlewares."""
        connection = http.client.HTTPConnection(self.address, 8080, timeout=10)
        try:
            connection.request("GET", f"/api/http/{what}?per_page=1000")
            answer = connection.getresponse()
            # A moment after its start it does not know its own API yet.
            found: list[Object] = json.loads(answer.read()) if answer.status == 200 else []
            return found
        except OSError:
            self.plane.processes.alive()
            return []
        finally:
            connection.close()

    def get(self, host: str, path: str, *, secure: bool = True) -> tuple[int, Object, dict[str, str]]:
        """What it answers for a host: status, body where it is JSON, headers. The certificate must be the host's."""
        connection = http.client.HTTPConnection(host)
        raw = socket.create_connection((self.address, 443 if secure else 80), timeout=20)
        if secure:
            raw = ssl.create_default_context(cafile=self.ca).wrap_socket(raw, server_hostname=host)
        connection.sock = raw
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            said = json.loads(body) if answer.status == 200 else {}
            return answer.status, said, {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def status(self, host: str, path: str) -> int:
        """The answer's status alone; 0 without a certificate for the host."""
        try:
            return self.get(host, path)[0]
        except ssl.SSLCertVerificationError:
            return 0


def installed(name: str) -> Iterator[Object]:
    """What Traefik's own installation makes: its class, for Ingresses and for Gateways."""
    kinds = {
        "networking.k8s.io/v1": ("IngressClass", {"controller": "traefik.io/ingress-controller"}),
        "gateway.networking.k8s.io/v1": ("GatewayClass", {"controllerName": CONTROLLER}),
    }
    for group, (kind, spec) in kinds.items():
        yield {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec}


def owned(routes: list[Object], edge_class: str, certificate: Object) -> Iterator[Object]:
    """The Gateways that routes name and that are somebody else's: a listener for each that is named."""
    parents = {
        (ref["namespace"], ref["name"], ref["sectionName"]) for one in routes for ref in one["spec"]["parentRefs"]
    }
    for namespace, name in sorted({parent[:2] for parent in parents}):
        where = {"name": name, "namespace": namespace}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": where,
            "data": certificate,
        }
        listeners = []
        for listener in sorted(parent[2] for parent in parents if parent[:2] == (namespace, name)):
            made = {"name": listener, "protocol": listener.upper(), "port": {"http": 80, "https": 443}[listener]}
            if listener == "https":
                made["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": name}]}
            listeners.append(made | {"allowedRoutes": {"namespaces": {"from": "All"}}})
        spec = {"gatewayClassName": edge_class, "listeners": listeners}
        yield {"apiVersion": GATEWAY[0], "kind": GATEWAY[1], "metadata": where, "spec": spec}


def bring(plane: Plane, cluster: str) -> None:
    """What is compiled of a cluster's edge with the Pods behind it."""
    api = plane.api
    assert api
    wanted = [thing for path, thing in documents(TOP / "compiled" / cluster).items() if path.parent.name in BEHIND]
    here = [site for site in SITES if site.cluster == cluster]
    if here:
        plane.certificates.sign("edge", [site.public.host for site in here])
    for name in {site.edge_class for site in here}:
        world = {f"tls.{end}": encoded(plane.certificates.folder / f"edge.{end}") for end in ("crt", "key")}
        routes = [thing for thing in wanted if thing["kind"] == "HTTPRoute"]
        for thing in (*installed(name), *owned(routes, name, world)):
            api.apply(thing)
    wave = "argocd.argoproj.io/sync-wave"
    for thing in sorted(wanted, key=lambda each: int(each["metadata"]["annotations"][wave])):
        if not api.there(thing):
            api.apply(thing)


def ready(api: Api, service: str) -> list[tuple[str, int]]:
    """Address and port of each ready Pod behind a Service's port `http`."""
    namespace, _, name = service.partition("/")
    found = []
    for part in api.list(*SLICE, namespace, f"kubernetes.io/service-name={name}"):
        port = next((each["port"] for each in part.get("ports") or [] if each["name"] == "http"), None)
        for endpoint in part.get("endpoints") or []:
            if port and endpoint["conditions"].get("ready"):
                found.append((endpoint["addresses"][0], port))
    return found


@pytest.fixture(scope="module")
def doors(planes: dict[str, Plane]) -> Iterator[dict[str, Door]]:
    """Traefik on every cluster that has it, and a stand-in on each ready Pod's address."""
    servers, found = [], {}
    for cluster, address in ADDRESSES.items():
        door = found[cluster] = Door(planes[cluster], address)
        bring(planes[cluster], cluster)
        for service in sorted({site.service for site in SITES if site.cluster == cluster}):
            pods = until(f"{service} has ready Pods", lambda: ready(door.api, service), 120)  # noqa: B023
            for pod in pods:
                server = ThreadingHTTPServer(pod, type("Handler", (StandIn,), {"service": service}))
                threading.Thread(target=server.serve_forever, daemon=True).start()
                servers.append(server)
        door.start()
    for cluster, door in found.items():
        hosts = {site.public.host for site in SITES if site.cluster == cluster}
        until(
            f"Traefik of {cluster} has a router for every host",
            lambda: all(any(f'"{host}"' in each["rule"] for each in door.says("routers")) for host in hosts),  # noqa: B023
        )
    yield found
    for door in found.values():
        door.plane.processes.stop("traefik")
    for server in servers:
        server.shutdown()
        server.server_close()


def accepted(route: Object) -> bool:
    """Whether Traefik itself, and not a stand-in, took a route with all its backends."""
    mine = [each for each in route.get("status", {}).get("parents", []) if each["controllerName"] == CONTROLLER]
    states = {each["type"]: each["status"] for parent in mine for each in parent["conditions"]}
    return states.get("Accepted") == states.get("ResolvedRefs") == "True"


def programmed(gateway: Object) -> bool:
    """Whether Traefik serves every listener: a stand-in says nothing of listeners."""
    listeners = gateway.get("status", {}).get("listeners", [])
    states = [{each["type"]: each["status"] for each in listener["conditions"]} for listener in listeners]
    return len(states) == len(gateway["spec"]["listeners"]) and all(
        each.get("Programmed") == each.get("ResolvedRefs") == "True" for each in states
    )


@pytest.mark.parametrize("cluster", ADDRESSES)
@pytest.mark.parametrize("what", ["routers", "services", "middlewares"])
def test_nothing_that_traefik_made_of_the_objects_is_in_error(doors: dict[str, Door], cluster: str, what: str) -> None:
    """Once all of its providers have spoken: until then a router may name what another has not read yet."""

    def faults() -> list[Object]:
        found = doors[cluster].says(what)
        assert found
        return [each for each in found if each.get("status", "enabled") != "enabled" or each.get("error")]

    until("none is in error", lambda: not faults(), 20)


def test_traefik_accepts_every_route_and_serves_every_listener(doors: dict[str, Door]) -> None:
    api = doors["ap1"].api
    assert api.list(*ROUTE) and api.list(*GATEWAY)
    until("every HTTPRoute is accepted", lambda: all(map(accepted, api.list(*ROUTE))), 30)
    until("every Gateway's listeners are programmed", lambda: all(map(programmed, api.list(*GATEWAY))), 30)


@pytest.mark.parametrize("site", SITES, ids=lambda site: f"{site.cluster}-{site.public.host}{site.public.path}")
def test_a_host_reaches_what_the_plan_says(doors: dict[str, Door], site: Site) -> None:
    """By HTTPS, with its own certificate and the client's address told, below its path alone; by HTTP it is sent to
    HTTPS."""
    door, host = doors[site.cluster], site.public.host
    path = site.public.path.rstrip("/") + "/client"
    until(f"https://{host}{path}", lambda: door.status(host, path) == 200, 30)
    status, said, _ = door.get(host, f"{path}?a=b%2Fc")
    assert (status, said["service"]) == (200, site.service)
    assert said["path"] == f"{path}?a=b%2Fc"
    headers = said["headers"]
    assert (headers["host"], headers["x-forwarded-proto"]) == (host, "https")
    assert headers["x-forwarded-for"] == door.address
    status, _, answered = door.get(host, path, secure=False)
    assert (status, answered["location"]) == (301, f"https://{host}{path}")
    if "/" not in [each.public.path for each in SITES if each.public.host == host]:
        assert door.status(host, "/_matrix/client/versions") == 404


@pytest.mark.parametrize("cluster", ADDRESSES)
def test_an_unknown_host_reaches_nobody(doors: dict[str, Door], cluster: str) -> None:
    assert doors[cluster].get("nobody.example.net", "/_matrix/client/versions", secure=False)[0] == 404


def test_the_edge_follows_its_ingress(doors: dict[str, Door]) -> None:
    """Without it the host is nobody's: it is the compiled object that Traefik obeys."""
    door = doors["eu1"]
    ingress = next(each for each in door.api.list(*INGRESS) if each["metadata"]["name"].endswith("club-matrix"))
    host = ingress["spec"]["rules"][0]["host"]
    until(f"{host} answers", lambda: door.status(host, "/") == 200, 30)
    with unhealed(door.plane):
        try:
            door.api.delete(ingress)
            until(f"{host} is nobody's", lambda: door.status(host, "/") in (0, 404), 30)
        finally:
            door.api.apply(clean(ingress))
    until(f"{host} answers again", lambda: door.status(host, "/") == 200, 30)


@contextlib.contextmanager
def unhealed(plane: Plane) -> Iterator[None]:
    """Argo CD, where it runs, would bring an object back before Traefik has seen that it was gone."""
    controller = plane.processes.running.get("argocd-application-controller")
    try:
        if controller:
            controller.send_signal(signal.SIGSTOP)
        yield
    finally:
        if controller:
            controller.send_signal(signal.SIGCONT)


def clean(thing: Object) -> Object:
    """An object as a manifest gives it."""
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {name: value for name, value in thing["metadata"].items() if name in kept}
    return {**{name: value for name, value in thing.items() if name != "status"}, "metadata": metadata}
