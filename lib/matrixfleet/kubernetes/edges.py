"""How each kind of edge spells hosts, TLS, redirect to HTTPS and timeouts."""

from __future__ import annotations

from matrixfleet.plan import TenantPlan


def backend_annotations(plan: TenantPlan) -> dict[str, str]:
    """Annotations of a Service that stands behind the edge: Traefik takes a backend's timeouts from
    there."""
    transport = f"{plan.namespace}-{plan.called('edge')}@kubernetescrd"
    return {"traefik.ingress.kubernetes.io/service.serverstransport": transport}
