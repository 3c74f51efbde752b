"""Ports have names of their own, and whatever sends to a port by name or number finds it there.

Whoever listens is asked whether it is ready and alive: a container without these probes gets traffic before
it answers, and keeps it when it hangs. An exporter is asked whether it is alive alone: a server must not lose its
traffic because its numbers are late.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrixfleet.checks.pods import Selection
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree

# A longer one no schema refuses; the API server does.
NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
GATEWAY_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
TRAEFIK_ROUTES = ("IngressRoute", "IngressRouteTCP", "IngressRouteUDP")


def check(tree: Tree) -> Iterator[Finding]:
    """Pods, then whatever sends to them."""
    for pod in tree.pods:
        for fault in (*of_ports(pod), *of_probes(pod)):
            yield tree.finding(pod.entry, "ports", fault)
    for entry, fault in (*of_senders(tree), *of_edge(tree)):
        yield tree.finding(entry, "ports", fault)


def of_ports(pod: Pod) -> Iterator[str]:
    """Names, and numbers that are taken: containers of a Pod share its address."""
    names, numbers = set(), set()
    for port in ports_of(pod):
        name, number = port.get("name", ""), f"{port['containerPort']}/{port.get('protocol', 'TCP')}"
        if not NAME.fullmatch(name):
            yield f"port {number}: expected a name of up to 15 of a-z 0-9 and single -, got {name!r}"
        if name in names or number in numbers:
            yield f"port {name} {number}: is there twice, expected a name and a number of its own"
        names.add(name)
        numbers.add(number)


def of_probes(pod: Pod) -> Iterator[str]:
    """Probes that ask a port that is there, for each container that listens."""
    for container in pod.containers:
        for probe in PROBES:
            for how in (container.get(probe) or {}).values():
                wanted = how.get("port") if isinstance(how, dict) else None
                if wanted is not None and not has(container.get("ports", []), wanted):
                    yield f"container {container['name']}: {probe}: expected a port {wanted} of its own"
    beside = len(pod.spec["containers"]) > 1
    for container in pod.spec["containers"]:
        exports = beside and [port.get("name") for port in container.get("ports", [])] == ["metrics"]
        for probe in PROBES[1:]:
            if container.get("ports") and (probe in container) == (exports and probe == "readinessProbe"):
                what = f"no {probe}: its Pod would go with it" if exports and probe in container else f"a {probe}"
                yield f"container {container['name']}: has ports, expected {what}"


def of_senders(tree: Tree) -> Iterator[tuple[Entry, str]]:
    """Services and monitors: each Pod or Service that they select has the port."""
    pods, services = Selection.of_pods(tree), Selection.of_services(tree)
    for entry in tree.of_kind("Service"):
        for port in entry.spec.get("ports", []):
            wanted, protocol = port.get("targetPort", port["port"]), port.get("protocol", "TCP")
            for pod in pods.by(entry):
                if not has(ports_of(pod), wanted, protocol):
                    yield entry, f"targetPort: expected a {protocol} port {wanted} in the Pods of {pod.entry}"
    for entry in tree.of_kind("PodMonitor"):
        for wanted in (one.get("port") for one in entry.spec.get("podMetricsEndpoints", [])):
            for pod in pods.by(entry):
                if not has(ports_of(pod), wanted):
                    yield entry, f"endpoint: expected a port {wanted} in the Pods of {pod.entry}"
    for entry in tree.of_kind("ServiceMonitor"):
        for wanted in (one.get("port") for one in entry.spec.get("endpoints", [])):
            for service in services.by(entry):
                if not has(service.spec.get("ports", []), wanted):
                    yield entry, f"endpoint: expected a port {wanted} in {service}"


def of_edge(tree: Tree) -> Iterator[tuple[Entry, str]]:
    """What stands at the edge names Services that are there."""
    for entry in tree.of_kind("Ingress", *GATEWAY_ROUTES, *TRAEFIK_ROUTES, "VirtualService"):
        for name, port in backends(entry):
            found = tree.find(entry.cluster, "Service", entry.namespace, name)
            if found is None or not has(found.spec.get("ports", []), port):
                yield entry, f"backend: expected a Service {name} with a port {port}"


def backends(entry: Entry) -> Iterator[tuple[str, str | int | None]]:
    """Services of its namespace that an object at the edge sends to, each with the port that it names."""
    if entry.kind == "Ingress":
        rules = [rule.get("http") or {} for rule in entry.spec.get("rules", [])]
        said = [path["backend"] for rule in rules for path in rule.get("paths", [])]
        for backend in [*said, entry.spec.get("defaultBackend") or {}]:
            if "service" in backend:
                port = backend["service"].get("port") or {}
                yield backend["service"]["name"], port.get("name", port.get("number"))
        return
    if entry.kind == "VirtualService":
        for route in (route for rule in entry.spec.get("http", []) for route in rule.get("route", [])):
            name, _, rest = route["destination"]["host"].partition(".")
            # The name of a Service elsewhere is none here.
            here = rest.startswith(f"{entry.namespace}.svc.")
            yield name if here else f"{name}.{rest}", (route["destination"].get("port") or {}).get("number")
        return
    outer, inner = ("routes", "services") if entry.kind in TRAEFIK_ROUTES else ("rules", "backendRefs")
    for backend in (backend for rule in entry.spec.get(outer, []) for backend in rule.get(inner, [])):
        if backend.get("kind", "Service") == "Service" and "namespace" not in backend:
            yield backend["name"], backend.get("port")


def ports_of(pod: Pod) -> list[Json]:
    """The ports of all containers that run together."""
    return [port for container in pod.spec["containers"] for port in container.get("ports", [])]


def has(ports: list[Json], wanted: str | int | None, protocol: str = "") -> bool:
    """Whether a port of that name or number is among a container's or a Service's."""
    return wanted is not None and any(
        wanted in (port.get("name"), port.get("containerPort"), port.get("port"))
        and protocol in ("", port.get("protocol", "TCP"))
        for port in ports
    )
