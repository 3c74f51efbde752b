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
from matrixfleet.plan.edge import DRAIN, FEDERATION_PORT, HEALTH_PATHS, REQUEST_TIMEOUT

OURS = "alb.ingress.kubernetes.io"
SSL_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3. Without one the API's default speaks TLS 1.0 (AWS, "Security policies for your Application Load
Balancer")."""
READINESS = {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}
"""Label of a namespace: a Pod there is ready when its load balancer finds it healthy, so that a rollout does not take
away the last that it knows (AWS Load Balancer Controller, "Pod readiness gate")."""


def backend(plan: Plan, component: str) -> dict[str, str]:
    """What a healthy target answers, and how long one that leaves may end what it has begun."""
    attributes = f"deregistration_delay.timeout_seconds={DRAIN}"
    return {f"{OURS}/healthcheck-path": HEALTH_PATHS[component], f"{OURS}/target-group-attributes": attributes}


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
        f"{OURS}/ssl-policy": SSL_POLICY,
        f"{OURS}/load-balancer-attributes": ",".join(f"{key}={value}" for key, value in attributes.items()),
    }
    if edge.certificate_arns:
        annotations[f"{OURS}/certificate-arn"] = ",".join(edge.certificate_arns)
    if edge.source_ranges:
        annotations[f"{OURS}/inbound-cidrs"] = ",".join(edge.source_ranges)
    for group in groups:
        yield ingress(plan, plan.called(group.purpose), [group], annotations)
