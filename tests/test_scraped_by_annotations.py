"""A Prometheus without an operator gets the same rules, and labels what it scrapes as PodMonitors do."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fleets import TOP, Repository
from matrixfleet.checks import Tree
from matrixfleet.cli.compile import read_fleet
from matrixfleet.drawing import draw_target
from matrixfleet.model.choices import Metrics
from matrixfleet.plan import plan_of
from podrunner.objects import CONTROLLERS, pods_of

RULES = yaml.safe_load((TOP / "components/alerts/rules.yml").read_text())
PROMTOOL = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed; .ci/run installs it")
FILES = ("rules.yml", "scrape.yml")


def files_of(tree: Tree, cluster: str) -> dict[str, str]:
    found = [one for one in tree.of_kind("ConfigMap") if one.cluster == cluster and "scrape.yml" in one.doc["data"]]
    assert [one.namespace for one in found] == ["observability"]
    return dict(found[0].doc["data"])


@pytest.mark.parametrize("cluster", ["ap1", "eu1", "us1"])
def test_every_cluster_that_scrapes_has_every_rule(tree: Tree, cluster: str) -> None:
    """Whoever scrapes, and however: no cluster is without alerts."""
    of_operator = [one for one in tree.of_kind("PrometheusRule") if one.cluster == cluster]
    groups = (
        of_operator[0].spec["groups"] if of_operator else yaml.safe_load(files_of(tree, cluster)["rules.yml"])["groups"]
    )
    names = [[rule.get("alert", rule.get("record")) for rule in group["rules"]] for group in groups]
    assert names == [[rule.get("alert", rule.get("record")) for rule in group["rules"]] for group in RULES["groups"]]
    assert all("runbook_url" in rule["annotations"] for group in groups for rule in group["rules"] if "alert" in rule)


def us1_with_cloudnative_pg(tmp_path: Path) -> dict[str, str]:
    repository = Repository(tmp_path)
    repository.edit(
        "inventory/classes/cluster/us1.yml",
        "    metrics: annotations\n",
        "    metrics: annotations\n    operators: {cloudnative_pg: {version: 1.30.0, barman_cloud: true}}\n",
    )
    repository.edit(
        "inventory/targets/us1/newsroom.yml",
        "    workers:\n",
        "    database: {kind: cnpg, pooling: pgbouncer}\n    workers:\n",
    )
    return draw_target(read_fleet(tmp_path), "us1.newsroom", TOP)


def meta(labels: dict[str, str], annotations: dict[str, str], name: str, port: int) -> dict[str, str]:
    """A Pod's port as Prometheus discovers it (discovery/kubernetes/pod.go)."""
    found = {"__address__": f"10.0.0.1:{port}", "__meta_kubernetes_namespace": "newsroom"}
    found |= {"__meta_kubernetes_pod_name": name, "__meta_kubernetes_pod_container_port_number": str(port)}
    for kind, given in (("label", labels), ("annotation", annotations)):
        for key, value in given.items():
            bare = "".join(one if one.isalnum() else "_" for one in key)
            found[f"__meta_kubernetes_pod_{kind}_{bare}"] = value
    return found


def scraped(scrape: str, targets: list[dict[str, str]], tmp_path: Path) -> list[dict[str, str]]:
    """What promtool makes of discovered targets by the compiled job."""
    (job,) = yaml.safe_load(scrape)["scrape_configs"]
    del job["kubernetes_sd_configs"]
    given = [
        {"targets": [one["__address__"]], "labels": {k: v for k, v in one.items() if k != "__address__"}}
        for one in targets
    ]
    (tmp_path / "targets.json").write_text(json.dumps(given))
    job["file_sd_configs"] = [{"files": [str(tmp_path / "targets.json")]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}))
    command = [
        "promtool",
        "check",
        "service-discovery",
        str(tmp_path / "prometheus.yml"),
        job["job_name"],
        "--timeout=2s",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return [one["labels"] for one in json.loads(done.stdout) if one.get("labels")]


@PROMTOOL
def test_prometheus_takes_both_files(tree: Tree, tmp_path: Path) -> None:
    for name, text in files_of(tree, "us1").items():
        assert name in FILES
        (tmp_path / name).write_text(text)
    said = {"rule_files": ["rules.yml"], "scrape_config_files": ["scrape.yml"]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(said))
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@PROMTOOL
def test_each_pod_is_scraped_once_with_the_labels_that_rules_count_by(tree: Tree, tmp_path: Path) -> None:
    targets, wanted = [], set()
    for entry in tree.objects:
        if entry.cluster != "us1" or entry.kind not in CONTROLLERS:
            continue
        for pod in pods_of(entry.doc):
            ports = [port["containerPort"] for one in pod.containers for port in one.get("ports", [])]
            targets += [meta(pod.labels, pod.annotations, pod.name, port) for port in ports]
            if "prometheus.io/scrape" in pod.annotations:
                wanted.add(
                    (pod.labels["app.kubernetes.io/instance"], pod.labels["app.kubernetes.io/component"], pod.name)
                )
    # Somebody else's Pod with the same annotations is not ours to scrape.
    targets.append(meta({"app": "other"}, {"prometheus.io/scrape": "true", "prometheus.io/port": "80"}, "other", 80))
    found = scraped(files_of(tree, "us1")["scrape.yml"], targets, tmp_path)
    assert sorted((one["tenant"], one["job"], one["pod"]) for one in found) == sorted(wanted)
    assert {"synapse", "router", "media-repository", "redis", "postgresql"} <= {one["job"] for one in found}
    assert all(one["index"] for one in found)


@PROMTOOL
def test_cloudnative_pgs_pods_are_scraped_too(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    files = us1_with_cloudnative_pg(tmp_path / "fleet")
    made = [yaml.safe_load(text) for path, text in files.items() if path.startswith("workload/cnpg/")]
    (cluster,) = [one for one in made if one["kind"] == "Cluster"]
    (pooler,) = [one for one in made if one["kind"] == "Pooler"]
    instance, pods = cluster["spec"]["inheritedMetadata"], pooler["spec"]["template"]["metadata"]
    # Labels that the operator adds (pkg/utils/labels_annotations.go; pkg/specs/pods.go): its instance is the Cluster.
    of_instance = instance["labels"] | {
        "cnpg.io/cluster": "newsroom-postgresql",
        "app.kubernetes.io/instance": "newsroom-postgresql",
    }
    of_pooler = pods["labels"] | {"cnpg.io/cluster": "newsroom-postgresql", "cnpg.io/poolerName": "newsroom-pgbouncer"}
    standby = instance["annotations"] | {"matrix-fleet/standby": "true"}
    targets = [
        *(meta(of_instance, instance["annotations"], "newsroom-postgresql-1", port) for port in (5432, 8000, 9187)),
        meta(of_instance, standby, "newsroom-postgresql-2", 9187),
        *(meta(of_pooler, pods["annotations"], "newsroom-pgbouncer-x", port) for port in (5432, 9127)),
    ]
    found = scraped(files_of(tree, "us1")["scrape.yml"], targets, tmp_path)
    # promtool asks its targets in no order.
    assert {(one["tenant"], one["job"], one["index"], one.get("standby")) for one in found} == {
        ("newsroom", "postgresql", "newsroom-postgresql-1", None),
        ("newsroom", "postgresql", "newsroom-postgresql-2", "true"),
        ("newsroom", "pgbouncer", "newsroom-pgbouncer-x", None),
    }
    assert len(found) == 3
    assert {one["__metrics_path__"] for one in found} == {"/metrics"}


def test_receivers_without_an_operator_ask_for_no_secret(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    said = '    alerts: {slack: {channel: "#a"}, webhook: {}}\n'
    repository.edit("inventory/targets/us1/newsroom.yml", "    workers:\n", said + "    workers:\n")
    repository.edit(
        "inventory/targets/us1/platform.yml",
        "  - release.stable\n",
        f"  - release.stable\nparameters:\n  platform:\n{said}",
    )
    repository.edit("inventory/targets/eu1/chess-club.yml", "    synapse:", said + "    synapse:")
    fleet = read_fleet(tmp_path)
    assert fleet.target("us1.newsroom").cluster.metrics is Metrics.ANNOTATIONS

    def asked(target: str) -> set[str]:
        return {one.purpose for one in plan_of(fleet, target).secrets if one.purpose.startswith("alerts")}

    assert asked("us1.newsroom") == asked("us1.platform") == set()
    assert asked("eu1.chess-club") == {"alerts-slack", "alerts-webhook"}
