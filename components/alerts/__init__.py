"""Recording rules and alerts of all tenants, as prometheus-operator wants them: rules.yml with a runbook for each."""

from collections.abc import Iterator
from functools import cache

import yaml

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.model.choices import Metrics
from matrixfleet.plan import PlatformPlan, waves
from matrixfleet.templates import read


@component("workload/alerts")
def main(plan: PlatformPlan) -> Iterator[Object]:
    """One object where Prometheus is; nothing where no operator reads it, or nobody scrapes."""
    place = plan.cluster.network.monitoring
    if plan.cluster.metrics is not Metrics.PROMETHEUS_OPERATOR or place is None or place.namespace is None:
        return
    thing = make(
        plan,
        "PrometheusRule",
        "alerts",
        api="monitoring.coreos.com/v1",
        namespace=place.namespace,
        wave=waves.ALERTS,
        # Its CRD comes with an operator that may still be on its way.
        annotations={"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"},
        spec={"groups": [with_runbooks(group, plan.cluster.monitoring.runbooks) for group in groups()]},
    )
    thing["metadata"]["labels"] |= plan.cluster.monitoring.labels
    yield thing


@cache
def groups() -> list[Object]:
    """rules.yml."""
    return list(yaml.safe_load(read(__file__, "rules.yml"))["groups"])


def with_runbooks(group: Object, runbooks: str) -> Object:
    """Each alert with the address of its runbook."""
    return {**group, "rules": [with_runbook(rule, runbooks) if "alert" in rule else rule for rule in group["rules"]]}


def with_runbook(rule: Object, runbooks: str) -> Object:
    """An alert of one component, with the address of its runbook."""
    return {**rule, "annotations": {**rule["annotations"], "runbook_url": f"{runbooks}{rule['alert']}.md"}}
