"""The router: HAProxy before Synapse. Path rules, .well-known, body size and the closed admin API are
here once, whatever edge stands before it."""

import json
from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.edges import backend_annotations
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map, service
from matrixfleet.kubernetes.pods import (
    ROLLING,
    configuration,
    container,
    deployment,
    pod_template,
    probe,
)
from matrixfleet.model.types import bytes_of
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.edge import (
    PUBLIC_PATHS,
    REQUEST_LIMIT,
    REQUEST_TIMEOUT,
    UPLOAD_PATHS,
    keep_alive_of,
    leave_after,
)
from matrixfleet.plan.families import haproxy_bind
from matrixfleet.plan.processes import Kind, Process
from matrixfleet.templates import render

FOLDER = "/usr/local/etc/haproxy"
HARD_STOP = 50
"""Seconds that a router which leaves waits for its last requests."""


@component("workload/router")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Configuration, Service, Deployment."""
    files = {
        "haproxy.cfg": haproxy(plan),
        "too-large.json": body(errcode="M_TOO_LARGE", error="The body is larger than this server accepts"),
        "bad-address.json": body(errcode="M_UNKNOWN", error="X-Forwarded-For names no client address"),
        "not-found.json": body(errcode="M_UNRECOGNIZED", error="Unrecognized request"),
        "unavailable.json": body(errcode="M_UNKNOWN", error="The homeserver is not available, try again"),
    }
    for route in plan.routing[0]:
        files[f"route-{route.name}.lst"] = "\n".join(route.patterns) + "\n"
    for name, content in plan.well_known.items():
        files[f"well-known-{name}.json"] = body(**content)
    yield config_map(plan, "router", files)
    yield service(plan, "router", annotations=backend_annotations(plan, "router"))
    yield deployment(plan, "router", template(plan, files), strategy=ROLLING)


def body(**content: object) -> str:
    """A JSON answer."""
    return json.dumps(content) + "\n"


def haproxy(plan: TenantPlan) -> str:
    """haproxy.cfg."""
    return render(
        __file__,
        "haproxy.cfg.j2",
        folder=FOLDER,
        binds={name: haproxy_bind(plan.cluster.network, port) for name, port in plan.workloads["router"].ports.items()},
        limits=plan.router_limits,
        hard_stop=HARD_STOP,
        timeout=REQUEST_TIMEOUT,
        keep_alive=keep_alive_of(plan.cluster.edge.controller),
        trusted_hops=plan.cluster.edge.trusted_hops,
        max_upload=bytes_of(plan.tenant.synapse.max_upload_size),
        max_body=REQUEST_LIMIT,
        upload_paths=UPLOAD_PATHS,
        direct_clients=plan.direct_clients,
        admin_networks=plan.tenant.synapse.admin_api.allow,
        public_paths=PUBLIC_PATHS,
        serves_well_known=plan.tenant.well_known.serve,
        main=f"{plan.address('synapse')}:{plan.workloads['synapse'].ports['http']}",
        health=plan.workloads["synapse"].ports["health"],
        routes=plan.routing[0],
        backends=[
            {
                "name": backend.name,
                "affinity": backend.affinity,
                "fallback": backend.fallback,
                "servers": servers(plan, backend.process)[: 1 if backend.first else None],
            }
            for backend in plan.routing[1]
        ],
    )


def servers(plan: TenantPlan, process: Process) -> list[str]:
    """The `server` lines of a pool. Named ones are written out with an id each: a consistent hash goes by
    ids, and every router must have the same. Those that come and go are found by DNS."""
    port = plan.workloads[process.component].ports["http"]
    if process.kind is Kind.STATELESS:
        return [f"server-template {process.component}- {process.most} {plan.address(process.component)}:{port}"]
    return [
        f"server {member} {plan.member_address(process, member)}:{port} id {number}"
        for number, member in enumerate(plan.members(process), 1)
    ]


def template(plan: TenantPlan, files: dict[str, str]) -> Object:
    """A router's Pod. It is ready when it listens, whether or not Synapse answers: while Synapse restarts
    clients get a 503 that they retry, with CORS headers, and not a refused connection."""
    mounts = [configuration(plan, "router", FOLDER)]
    leave = leave_after(plan.cluster.edge.controller)
    alive = {"httpGet": {"path": "/healthz", "port": "metrics"}}
    haproxy_container = container(
        plan,
        "router",
        "haproxy",
        ["haproxy", "-W", "-db", "-f", f"{FOLDER}/haproxy.cfg"],
        mounts,
        ports=plan.workloads["router"].ports,
        startupProbe=probe(2, 30, 2, **alive),
        readinessProbe=probe(5, 2, 2, **alive),
        livenessProbe=probe(10, 3, 2, **alive),
        # Endpoints are taken away while it still serves; then SIGUSR1 lets long polls end.
        lifecycle={"preStop": {"sleep": {"seconds": leave}}},
    )
    grace = {"terminationGracePeriodSeconds": leave + HARD_STOP + 5}
    return pod_template(plan, "router", [haproxy_container], mounts, reads=files, **grace)
