"""9. The edge: the real Traefik reads the compiled objects from the API server, and requests arrive where the plan says.

Its Ingress provider on eu1, its Gateway API provider on ap1. What answers stands in for routers and Element Web at
their Pods' addresses, which EndpointSlices of the real controller-manager name.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from api import Api, until
from backends import answer
from plane import TOKEN, Plane
from repository import TOP

from conftest import Fleet
from matrixfleet.model import Fleet as Inventory
from matrixfleet.plan import plan_of

TRAEFIK = TOP / ".cache/cluster/venv/bin/traefik"
CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "traefik"},
    "spec": {"controllerName": "traefik.io/gateway-controller"},
}


class Edge(NamedTuple):
    """A Traefik: where it listens, the cluster that it reads, and how."""

    cluster: str
    address: str
    api: Api


def providers(kind: str, plane: Plane) -> list[str]:
    """Flags that lead a provider to an API server from outside the cluster."""
    assert plane.api
    name = f"--providers.{kind}"
    flags = {"endpoint": plane.api.server, "token": TOKEN, "certauthfilepath": plane.api.ca}
    return [name, *(f"{name}.{key}={value}" for key, value in flags.items())]


def serve(fleet: Fleet, cluster: str, address: str, kinds: list[str]) -> Edge:
    """Start one; it is there once it answers."""
    plane = fleet.planes[cluster]
    plane.processes.start(f"traefik-{kinds[0]}", [
        TRAEFIK, "--log.level=INFO", f"--entrypoints.web.address={address}:80", f"--entrypoints.websecure.address={address}:443",
        "--global.checknewversion=false", "--global.sendanonymoususage=false",
        *(flag for kind in kinds for flag in providers(kind, plane)),
    ])  # fmt: skip
    until("Traefik listens", lambda: plane.processes.alive() and listens(address), 30)
    return Edge(cluster, address, fleet.api(cluster))


def listens(address: str) -> bool:
    """Whether its HTTPS port is open."""
    try:
        socket.create_connection((address, 443), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def edges(fleet: Fleet) -> Iterator[dict[str, Edge]]:
    """One on the cluster with Ingresses, one on the cluster with Gateways."""
    servers = [answer(8080)]
    fleet.api("ap1").apply(CLASS)
    yield {
        "eu1": serve(fleet, "eu1", "127.0.1.1", ["kubernetesingress", "kubernetescrd"]),
        "ap1": serve(fleet, "ap1", "127.0.1.2", ["kubernetesgateway"]),
    }
    for server in servers:
        server.shutdown()
    fleet.planes["eu1"].processes.stop("traefik-kubernetesingress")
    fleet.planes["ap1"].processes.stop("traefik-kubernetesgateway")


def ask(edge: Edge, host: str, path: str, tls: bool = True, **headers: str) -> tuple[int, Any, str]:
    """Status, body and Location; the certificate must be one for the host."""
    if tls:
        context = ssl.create_default_context(cafile=edge.api.ca)
        raw = socket.create_connection((edge.address, 443), 10)
        connection = http.client.HTTPSConnection(host, timeout=10)
        connection.sock = context.wrap_socket(raw, server_hostname=host)
    else:
        connection = http.client.HTTPConnection(edge.address, 80, timeout=10)
    connection.request("GET", path, headers={"Host": host, **headers})
    reply = connection.getresponse()
    text = reply.read()
    try:
        body = json.loads(text)
    except ValueError:
        body = text.decode(errors="replace")
    connection.close()
    return reply.status, body, reply.getheader("Location", "")


def public_hosts() -> list[Any]:
    """Every public host of the two clusters: target, cluster, and what the plan says of it."""
    inventory = Inventory.read(TOP / "inventory")
    return [
        pytest.param(name, host, id=f"{name}-{host.host}{host.path}")
        for name in inventory.names
        if name.partition(".")[0] in ("eu1", "ap1")
        for host in plan_of(inventory, name).public_hosts
    ]


@pytest.mark.parametrize(("target", "host"), public_hosts())
def test_requests_arrive(edges: dict[str, Edge], target: str, host: Any) -> None:
    cluster, _, tenant = target.partition(".")
    edge = edges[cluster]
    path = host.path.rstrip("/") + "/some/%23room%2Fwith:example.com?a=b"
    status, body, _ = until(f"{host.host} is served", lambda: served(edge, host.host, path), 60)
    assert status == 200
    pods = edge.api.list(
        "v1", "Pod", None, f"app.kubernetes.io/instance={tenant},app.kubernetes.io/component={host.backend}"
    )
    assert body["pod"] in {pod["status"]["podIP"] for pod in pods}
    assert body["path"] == path
    assert body["headers"]["Host"] == host.host
    if host.path != "/":
        assert ask(edge, host.host, "/elsewhere")[0] == 404


def served(edge: Edge, host: str, path: str) -> tuple[int, Any, str] | None:
    """The answer, once Traefik has read the objects and the certificate."""
    try:
        answered = ask(edge, host, path)
    except (OSError, http.client.HTTPException):
        return None
    return answered if answered[0] == 200 else None


@pytest.mark.parametrize(("target", "host"), public_hosts())
def test_plain_http_is_sent_to_https(edges: dict[str, Edge], target: str, host: Any) -> None:
    edge = edges[target.partition(".")[0]]
    status, _, location = ask(edge, host.host, host.path, tls=False)
    assert (status, location) == (301, f"https://{host.host}{host.path}")


def test_what_a_client_says_of_its_address_is_not_believed(edges: dict[str, Edge]) -> None:
    _, body, _ = ask(edges["eu1"], "matrix.example.com", "/", **{"X-Forwarded-For": "203.0.113.66"})
    assert body["headers"]["X-Forwarded-For"] == "127.0.0.1"


def test_nobody_answers_for_other_hosts(edges: dict[str, Edge]) -> None:
    for edge in edges.values():
        assert ask(edge, "nobody.example.com", "/", tls=False)[0] == 404


def test_the_real_controller_says_what_it_made_of_gateways(edges: dict[str, Edge], fleet: Fleet) -> None:
    """Traefik accepted each Gateway and each route, and resolved what they name."""
    api = fleet.api("ap1")
    for path in sorted((TOP / "compiled/ap1").rglob("httproute-*.yaml")):
        name, place = path.stem.removeprefix("httproute-"), yaml_namespace(path)
        route = api.get("gateway.networking.k8s.io/v1", "HTTPRoute", place, name)
        assert route
        said = [
            each for each in route["status"]["parents"] if each["controllerName"] == "traefik.io/gateway-controller"
        ]
        assert said, name
        for parent in said:
            assert {each["type"]: each["status"] for each in parent["conditions"]} >= {
                "Accepted": "True",
                "ResolvedRefs": "True",
            }


def yaml_namespace(path: Path) -> str:
    """The namespace of a compiled object."""
    import yaml

    return str(yaml.safe_load(path.read_text())["metadata"]["namespace"])
