"""What Prometheus scrapes, as prometheus-operator wants it. The other ways need no objects: annotations
are on the Pods themselves."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make, selector
from matrixfleet.model.choices import Metrics, Provision, State
from matrixfleet.plan import Plan, PlatformPlan, TenantPlan, waves


@component("workload/metrics")
def main(plan: Plan) -> Iterator[Object]:
    """One PodMonitor a workload that has metrics, and one an operator's Pods."""
    if plan.cluster.metrics is Metrics.PROMETHEUS_OPERATOR:
        for name, workload in plan.workloads.items():
            if workload.metrics_path:
                yield pod_monitor(plan, name, selector(plan, name), workload.metrics_path)
        for guest in plan.guests:
            if "metrics" in guest.ports:
                yield pod_monitor(plan, guest.name, dict(guest.selector), "/metrics")
        if isinstance(plan, PlatformPlan) and plan.cluster.operators.cert_manager is Provision.MANAGED:
            yield from certificates(plan)


def certificates(plan: PlatformPlan) -> Iterator[Object]:
    """cert-manager's own metrics, by which CertificateExpires fires. Where Prometheus is, and not in the chart: a
    cluster without prometheus-operator's CRDs could not install cert-manager then."""
    place = plan.cluster.network.monitoring
    if place is None or place.namespace is None:
        return
    thing = make(
        plan,
        "PodMonitor",
        "cert-manager",
        api="monitoring.coreos.com/v1",
        namespace=place.namespace,
        wave=waves.ALERTS,
        annotations={"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"},
        spec={
            "namespaceSelector": {"matchNames": ["cert-manager"]},
            "selector": {
                "matchLabels": {"app.kubernetes.io/name": "cert-manager", "app.kubernetes.io/component": "controller"}
            },
            "podMetricsEndpoints": [{"port": "http-metrics", "interval": "60s", "followRedirects": False}],
        },
    )
    thing["metadata"]["labels"] |= plan.cluster.monitoring.labels
    yield thing


def pod_monitor(plan: Plan, name: str, pods: dict[str, str], path: str) -> Object:
    """With the labels that Synapse's own rules and dashboards count by (contrib/prometheus,
    contrib/grafana): `job` and `index`; and the tenant's."""
    fixed = {"job": name, "tenant": plan.name}
    if isinstance(plan, TenantPlan):
        fixed["server_name"] = plan.tenant.server_name
        if plan.tenant.state is State.STOPPED:
            # What is meant to be down is no alert.
            fixed["stopped"] = "true"
        if plan.tenant.follows(plan.cluster.name):
            fixed["standby"] = "true"
    relabelings: list[Object] = [
        {"action": "replace", "targetLabel": label, "replacement": value} for label, value in fixed.items()
    ]
    # A StatefulSet's ordinal where there is one, else the Pod's name.
    for source in ("pod_name", "pod_label_apps_kubernetes_io_pod_index"):
        relabelings.append(
            {
                "action": "replace",
                "sourceLabels": [f"__meta_kubernetes_{source}"],
                "regex": "(.+)",
                "targetLabel": "index",
                "replacement": "$1",
            }
        )
    endpoint = {
        "port": "metrics",
        "path": path,
        "interval": "30s",
        # A Pod could lead Prometheus to another's numbers.
        "followRedirects": False,
        "relabelings": relabelings,
    }
    thing = make(
        plan,
        "PodMonitor",
        name,
        api="monitoring.coreos.com/v1",
        namespace=plan.place(name),
        wave=waves.FRONT,
        spec={"selector": {"matchLabels": pods}, "podMetricsEndpoints": [endpoint]},
    )
    thing["metadata"]["labels"] |= plan.cluster.monitoring.labels
    return thing
