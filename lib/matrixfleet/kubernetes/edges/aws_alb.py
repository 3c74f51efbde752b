"""AWS Load Balancer Controller: an Ingress is rules of an Application Load Balancer, which sends to Pods'
addresses itself, asks them for their health, and has its certificates from AWS Certificate Manager.

It has no body limit for targets that are no Lambda, so the router's is the only one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from matrixfleet.kubernetes.edges.group import Group, ingress
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import Plan
from matrixfleet.plan.edge import FEDERATION_PORT, HEALTH_PATHS, REQUEST_TIMEOUT

OURS = "alb.ingress.kubernetes.io"


def backend(plan: Plan, component: str) -> dict[str, str]:
    """What a healthy target answers."""
    return {f"{OURS}/healthcheck-path": HEALTH_PATHS[component]}


def objects(plan: Plan, groups: Sequence[Group]) -> Iterator[Object]:
    """An Ingress a group. All of a tenant, or of the cluster, are rules of one load balancer, so annotations
    that mean the load balancer are the same on each."""
    edge = plan.cluster.edge
    ports = [{"HTTP": 80}, {"HTTPS": 443}] + [{"HTTPS": FEDERATION_PORT}] * edge.federation_on_8448
    attributes = {
        "idle_timeout.timeout_seconds": str(REQUEST_TIMEOUT),
        "routing.http.xff_header_processing.mode": "append",
    }
    annotations = {
        f"{OURS}/group.name": edge.load_balancer_group or plan.application,
        f"{OURS}/scheme": "internet-facing",
        f"{OURS}/target-type": "ip",
        f"{OURS}/listen-ports": json.dumps(ports),
        f"{OURS}/ssl-redirect": "443",
        f"{OURS}/load-balancer-attributes": ",".join(f"{key}={value}" for key, value in attributes.items()),
    }
    if edge.certificate_arns:
        annotations[f"{OURS}/certificate-arn"] = ",".join(edge.certificate_arns)
    if edge.source_ranges:
        annotations[f"{OURS}/inbound-cidrs"] = ",".join(edge.source_ranges)
    for group in groups:
        yield ingress(plan, plan.called(group.purpose), group.hosts, annotations)
