"""What watches a tenant: a real Prometheus, Alertmanager and prober, told by compiled monitors, rules and receivers.

prometheus-operator makes their configuration of those objects in a cluster; here the same is made in few lines, as its
documentation and code have it (pkg/prometheus/promcfg.go, pkg/alertmanager/amcfg.go, v0.85.0). `make test-cluster` has
the real operator read them, and holds what is made here against what it writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from podrunner.objects import Object, matches, number_of
from podrunner.runner import PodRun

NAMESPACE = "monitoring"
LABELS = {"app.kubernetes.io/name": "prometheus"}
"""Whom eu1's NetworkPolicies admit."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def snake(key: str) -> str:
    """`sourceLabels` as Prometheus spells it."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", key).lower()


def hurried(duration: str, pace: int) -> str:
    """A duration, so many times shorter; a second at least."""
    if pace == 1:
        return duration
    return f"{max(1, int(duration[:-1]) * UNITS[duration[-1]] // pace)}s"


def targets(monitor: Object, runs: Iterable[PodRun]) -> list[Object]:
    """What a PodMonitor finds, as Prometheus's discovery of Pods tells it."""
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    found = []
    for run in runs:
        pod = run.pod
        here = pod.namespace == monitor["metadata"]["namespace"]
        if not here or not run.address or not matches(monitor["spec"]["selector"], pod.labels):
            continue
        number = number_of(endpoint["port"], pod.containers)
        if number is None:
            continue
        ports = {port["name"]: one["name"] for one in pod.containers for port in one.get("ports", [])}
        told = {"namespace": pod.namespace, "pod_name": pod.name, "pod_container_name": ports[endpoint["port"]]}
        ordinal = pod.name.rpartition("-")[2]
        if pod.owner[0] == "StatefulSet":
            told["pod_label_apps_kubernetes_io_pod_index"] = ordinal
        labels = {f"__meta_kubernetes_{name}": value for name, value in told.items()}
        found.append({"targets": [f"{run.address}:{number}"], "labels": labels})
    return found


def prometheus(objects: Iterable[Object], discovery: str, alertmanager: str, interval: str) -> Object:
    """prometheus.yml.

    discovery: an address below which each monitor's targets are
    """
    jobs = []
    for one in objects:
        spec, name = one["spec"], one["metadata"]["name"]
        job: dict[str, Any] = {"scrape_interval": interval, "scrape_timeout": interval}
        if one["kind"] == "PodMonitor":
            (endpoint,) = spec["podMetricsEndpoints"]
            meta = (("namespace", "namespace"), ("pod_container_name", "container"), ("pod_name", "pod"))
            relabelings = [
                {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": label} for source, label in meta
            ]
            relabelings.append({"target_label": "endpoint", "replacement": endpoint["port"]})
            relabelings += [{snake(key): value for key, value in said.items()} for said in endpoint["relabelings"]]
            job |= {
                "job_name": f"podMonitor/{name}",
                "metrics_path": endpoint["path"],
                "follow_redirects": endpoint["followRedirects"],
                "http_sd_configs": [{"url": f"{discovery}/{name}", "refresh_interval": "1s"}],
                "relabel_configs": relabelings,
            }
        else:
            static = spec["targets"]["staticConfig"]
            labels = static["labels"] | {"namespace": one["metadata"]["namespace"]}
            job |= {
                "job_name": f"probe/{name}",
                "scrape_timeout": "5s",
                "scrape_interval": "5s",
                "metrics_path": spec["prober"]["path"],
                "params": {"module": [spec["module"]]},
                "static_configs": [{"targets": static["static"], "labels": labels}],
                "relabel_configs": [
                    {"target_label": "job", "replacement": spec["jobName"]},
                    {"source_labels": ["__address__"], "target_label": "__param_target"},
                    {"source_labels": ["__param_target"], "target_label": "instance"},
                    {"target_label": "__address__", "replacement": spec["prober"]["url"]},
                ],
            }
        jobs.append(job)
    return {
        "global": {"evaluation_interval": interval},
        "rule_files": ["/etc/prometheus/rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": jobs,
    }


def rules(objects: Iterable[Object], pace: int) -> Object:
    """The rule file, whose alerts wait so many times shorter than they say."""
    groups = []
    for one in objects:
        for group in one["spec"]["groups"]:
            said = [rule | ({"for": hurried(rule["for"], pace)} if "for" in rule else {}) for rule in group["rules"]]
            groups.append({"name": group["name"], "rules": said})
    return {"groups": groups}


def matchers(said: Iterable[Object]) -> list[str]:
    """Conditions in Alertmanager's own words."""
    return [f'{one["name"]}{one["matchType"]}"{one["value"]}"' for one in said]


def alertmanager(objects: Iterable[Object], webhook: str, pace: int = 1) -> Object:
    """alertmanager.yml of AlertmanagerConfigs with `alertmanagerConfigMatcherStrategy: None`: names with namespace and
    object before them, and each route goes on to the next.

    webhook: what stands for addresses that are secret, and for mail: below it each receiver's name
    """
    routes, inhibitions = [], []
    receivers: list[Object] = [{"name": "nobody"}]
    for one in objects:
        prefix = f"{one['metadata']['namespace']}/{one['metadata']['name']}/"

        def route(said: Object, prefix: str = prefix) -> Object:
            made = {snake(key): value for key, value in said.items() if key != "routes"}
            made |= {key: hurried(value, pace) for key, value in made.items() if key.endswith(("wait", "interval"))}
            made |= {"receiver": prefix + said["receiver"], "matchers": matchers(said["matchers"])}
            return made | ({"routes": [route(inner) for inner in said["routes"]]} if "routes" in said else {})

        routes.append(route(one["spec"]["route"]) | {"continue": True})
        for rule in one["spec"]["inhibitRules"]:
            sides = {f"{side}_matchers": matchers(rule[f"{side}Match"]) for side in ("source", "target")}
            inhibitions.append(sides | {"equal": rule["equal"]})
        for receiver in one["spec"]["receivers"]:
            name = prefix + receiver["name"]
            ways = sum(len(found) for key, found in receiver.items() if key.endswith("Configs"))
            told: list[Object] = [{"url": f"{webhook}/{name}", "send_resolved": True}] * ways
            receivers.append({"name": name, "webhook_configs": told})
    return {
        "route": {"receiver": "nobody", "group_wait": "1s", "group_interval": "1s", "routes": routes},
        "inhibit_rules": inhibitions,
        "receivers": receivers,
    }


def pod(name: str, command: list[str], port: int, files: dict[str, str]) -> list[Object]:
    """One of the two, with its files at /etc/<name>."""
    container = {
        "name": name,
        "image": f"fleetnode/{name}",
        "command": command,
        "ports": [{"name": "web", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": "web"}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "configuration", "mountPath": f"/etc/{name}", "readOnly": True},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    spec = {
        "securityContext": {"runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534},
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": name}}, {"name": "data", "emptyDir": {}}],
    }
    labels = LABELS if name == "prometheus" else {"app.kubernetes.io/name": name}
    place = {"name": name, "namespace": NAMESPACE}
    return [
        {"kind": "ConfigMap", "metadata": place, "data": files},
        {"kind": "Pod", "metadata": {**place, "labels": labels}, "spec": spec},
    ]
