"""Recording rules and alerts of all tenants, rules.yml with a runbook for each: a PrometheusRule for
prometheus-operator; a ConfigMap for a Prometheus that scrapes by annotations, with the job that labels its targets."""

from collections.abc import Iterator
from functools import cache

import yaml

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import PART_OF, make
from matrixfleet.model.choices import Metrics
from matrixfleet.plan import PlatformPlan, waves
from matrixfleet.templates import read


@component("workload/alerts")
def main(plan: PlatformPlan) -> Iterator[Object]:
    """One object where Prometheus is; nothing where nobody scrapes, or Prometheus has no namespace here."""
    place = plan.cluster.network.monitoring
    if place is None or place.namespace is None:
        return
    rules: Object = {"groups": [with_runbooks(group, plan.cluster.monitoring.runbooks) for group in groups()]}
    if plan.cluster.metrics is Metrics.ANNOTATIONS:
        scrape: Object = {"scrape_configs": [job()]}
        yield make(
            plan,
            "ConfigMap",
            "alerts",
            name=plan.called("prometheus"),
            namespace=place.namespace,
            wave=waves.ALERTS,
            data={
                name: yaml.safe_dump(text, sort_keys=False)
                for name, text in (("rules.yml", rules), ("scrape.yml", scrape))
            },
        )
    if plan.cluster.metrics is not Metrics.PROMETHEUS_OPERATOR:
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
        spec=rules,
    )
    thing["metadata"]["labels"] |= plan.cluster.monitoring.labels
    yield thing


def job() -> Object:
    """The job of Pods with annotations, which gives each series the labels that rules and dashboards count by, as
    PodMonitors do (components/metrics): `job`, `index`, `tenant`, `standby`. CloudNativePG labels Pods by the names of
    its own objects."""

    def copied(target: str, source: str, regex: str = "(.+)", replacement: str = "$1") -> Object:
        return {
            "source_labels": [f"__meta_kubernetes_{source}"],
            "regex": regex,
            "target_label": target,
            "replacement": replacement,
        }

    annotation = "pod_annotation_prometheus_io"
    return {
        "job_name": PART_OF,
        "scrape_interval": "30s",
        # A Pod could lead Prometheus to another's numbers.
        "follow_redirects": False,
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            {
                "action": "keep",
                "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_part_of"],
                "regex": PART_OF,
            },
            {"action": "keep", "source_labels": [f"__meta_kubernetes_{annotation}_scrape"], "regex": "true"},
            # A Pod has one target for each of its ports: the one that its annotation names.
            {
                "action": "keepequal",
                "source_labels": ["__meta_kubernetes_pod_container_port_number"],
                "target_label": f"__meta_kubernetes_{annotation}_port",
            },
            copied("__metrics_path__", f"{annotation}_path"),
            copied("namespace", "namespace"),
            copied("pod", "pod_name"),
            copied("index", "pod_name"),
            copied("index", "pod_label_apps_kubernetes_io_pod_index"),
            copied("tenant", "pod_label_app_kubernetes_io_instance"),
            copied("job", "pod_label_app_kubernetes_io_component"),
            copied("tenant", "pod_label_cnpg_io_cluster", "(.+)-postgresql"),
            copied("job", "pod_label_cnpg_io_cluster", ".+", "postgresql"),
            copied("job", "pod_label_cnpg_io_poolerName", ".+", "pgbouncer"),
            copied("standby", "pod_annotation_matrix_fleet_standby", "true", "true"),
        ],
    }


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
