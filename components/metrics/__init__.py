"""What Prometheus scrapes, as prometheus-operator wants it. The other ways need no objects: annotations
are on the Pods themselves."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make, selector
from matrixfleet.model.choices import Metrics
from matrixfleet.plan import Plan, TenantPlan, waves


@component("workload/metrics")
def main(plan: Plan) -> Iterator[Object]:
    """One PodMonitor a workload that has metrics."""
    if plan.cluster.metrics is Metrics.PROMETHEUS_OPERATOR:
        for name, workload in plan.workloads.items():
            if workload.metrics_path:
                yield pod_monitor(plan, name)


def pod_monitor(plan: Plan, name: str) -> Object:
    """With the labels that Synapse's own rules and dashboards count by (contrib/prometheus,
    contrib/grafana): `job` and `index`; and the tenant's."""
    fixed = {"job": name, "tenant": plan.name}
    if isinstance(plan, TenantPlan):
        fixed["server_name"] = plan.tenant.server_name
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
        "path": plan.workloads[name].metrics_path,
        "interval": "30s",
        "relabelings": relabelings,
    }
    return make(
        plan,
        "PodMonitor",
        name,
        api="monitoring.coreos.com/v1",
        wave=waves.FRONT,
        spec={"selector": {"matchLabels": selector(plan, name)}, "podMetricsEndpoints": [endpoint]},
    )
