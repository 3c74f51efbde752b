"""3, of what watches: the real prometheus-operator reads every monitor, rule and receiver. What it writes of them, the
programs' own checkers take; and it is what `make test-observability` runs with (lib/fleetnode/monitoring.py).
"""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import build
import pytest
import yaml
from api import Api, Object, until

from conftest import Fleet, say
from fleetnode import monitoring

WATCHED = ("eu1", "ap1")
"""Clusters of metrics: prometheus-operator."""
HERE = Path(__file__).parent
PLACE, NAME, PROGRAM = "monitoring", "fleet", "prometheus-operator"
OWN = {"action": "replace", "regex": "(.*)", "replacement": "$1", "separator": ";"}
"""What a relabeling is where it does not say."""


class Written(NamedTuple):
    """What the operator made of a cluster's objects."""

    objects: list[Object]
    prometheus: Object
    rules: dict[str, str]
    alertmanager: Object


def unpacked(api: Api, name: str, file: str) -> Any:
    """A file in YAML of one of the operator's Secrets; nothing until it is there."""
    secret = api.get("v1", "Secret", PLACE, name)
    return yaml.safe_load(gzip.decompress(base64.b64decode(secret["data"][file]))) if secret else {}


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [one for one in objects if one["kind"] in kinds]


def jobs(objects: list[Object]) -> dict[str, Object]:
    """What is to be scraped, by the name that the operator gives it."""
    found = {}
    for one in of_kind(objects, "PodMonitor", "Probe"):
        where = f"{one['metadata']['namespace']}/{one['metadata']['name']}"
        found[f"podMonitor/{where}/0" if one["kind"] == "PodMonitor" else f"probe/{where}"] = one
    return found


@pytest.fixture(scope="module", params=WATCHED)
def written(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[Written]:
    """Once everything has been read."""
    plane, api = fleet.planes[request.param], fleet.api(request.param)
    objects = list(fleet.compiled(request.param).values())
    files = plane.certificates
    files.sign(PROGRAM, ["localhost"], f"/O=system:masters/CN={PROGRAM}")
    plane.processes.start(PROGRAM, [
        build.operator("prometheusoperator"), f"--apiserver={api.server}", f"--ca-file={files.file('ca.crt')}",
        f"--cert-file={files.file(f'{PROGRAM}.crt')}", f"--key-file={files.file(f'{PROGRAM}.key')}",
        "--web.enable-tls=false", f"--web.listen-address={plane.address}:8082", "--log-level=warn",
    ])  # fmt: skip
    made = list(yaml.safe_load_all((HERE / "prometheusoperator.yaml").read_text()))
    for thing in made:
        api.apply(thing)
    names = {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in of_kind(objects, "AlertmanagerConfig")
    }

    def told() -> Written:
        rules = api.get("v1", "ConfigMap", PLACE, f"prometheus-{NAME}-rulefiles-0") or {}
        return Written(
            objects,
            unpacked(api, f"prometheus-{NAME}", "prometheus.yaml.gz"),
            rules.get("data", {}),
            unpacked(api, f"alertmanager-{NAME}-generated", "alertmanager.yaml.gz"),
        )

    def read() -> bool:
        found = told()
        receivers = {each["name"].rpartition("/")[0] for each in found.alertmanager.get("receivers", [])}
        return plane.processes.alive() and len(found.prometheus.get("scrape_configs") or []) == len(jobs(objects)) \
            and bool(found.rules) and names <= receivers  # fmt: skip

    try:
        until("everything is read", read, 60)
    except AssertionError:
        raise AssertionError(f"{told()}\n{plane.processes.log(PROGRAM)}") from None
    yield told()
    for thing in made:
        api.delete(thing)
    plane.processes.stop(PROGRAM)


def in_words(thing: Object) -> str:
    """To be sorted by."""
    return json.dumps(thing, sort_keys=True)


def meaning(rule: Object) -> Object:
    """A relabeling with what it leaves unsaid."""
    return OWN | rule


def test_prometheus_is_told_of_everything_once(written: Written) -> None:
    found = [each["job_name"] for each in written.prometheus["scrape_configs"]]
    assert sorted(found) == sorted(jobs(written.objects))
    say(f"prometheus-operator: {len(found)} jobs, {len(written.alertmanager['receivers'])} receivers")


def test_labels_are_those_of_the_observed_tenant(written: Written) -> None:
    """Whatever it does before, labels are set by the same rules and in the same order."""
    wanted = jobs(written.objects)
    for job in written.prometheus["scrape_configs"]:
        monitor = wanted[job["job_name"]]
        (own,) = monitoring.prometheus([monitor], "http://127.0.0.1", "127.0.0.1", "30s")["scrape_configs"]
        passed = f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"
        rules = [
            meaning(rule)
            for rule in job["relabel_configs"]
            if rule.get("action", "replace") == "replace"
            and not rule["target_label"].startswith("__tmp")
            and (rule["target_label"], rule.get("replacement")) != ("job", passed)
        ]
        assert rules == [meaning(rule) for rule in own["relabel_configs"]], job["job_name"]
        assert job.get("metrics_path") == own["metrics_path"] and job.get("params") == own.get("params")
        assert job.get("static_configs") == own.get("static_configs")


def test_every_rule_is_read_as_it_is(written: Written) -> None:
    compiled = [one["spec"]["groups"] for one in of_kind(written.objects, "PrometheusRule")]
    assert [yaml.safe_load(text)["groups"] for text in written.rules.values()] == compiled


def test_who_is_told_is_what_routes_were_proved_of(written: Written) -> None:
    """tests/test_receivers.py has Alertmanager's own tool go through them."""
    own = monitoring.alertmanager(of_kind(written.objects, "AlertmanagerConfig"), "http://127.0.0.1")
    found = written.alertmanager
    for theirs, ours in (
        (found["route"]["routes"], own["route"]["routes"]),
        (found["inhibit_rules"], own["inhibit_rules"]),
    ):
        assert sorted(theirs, key=in_words) == sorted(ours, key=in_words)
    assert {each["name"] for each in found["receivers"]} == {each["name"] for each in own["receivers"]}


@pytest.mark.skipif(not shutil.which("promtool") or not shutil.which("amtool"), reason="neither promtool nor amtool")
def test_the_programs_own_checkers_take_it(written: Written, tmp_path: Path) -> None:
    config = written.prometheus | {"rule_files": [str(tmp_path / "*.rules.yaml")]}
    # Debian's Prometheus is built without Kubernetes.
    for each in (*config["scrape_configs"], *config["alerting"]["alertmanagers"]):
        each.pop("kubernetes_sd_configs", None)
    for name, text in written.rules.items():
        (tmp_path / f"{name}.rules.yaml").write_text(text)
    files = {"prometheus.yaml": config, "alertmanager.yaml": written.alertmanager}
    for name, said in files.items():
        (tmp_path / name).write_text(yaml.safe_dump(said))
    checks = {"prometheus.yaml": ("promtool", "check", "config"), "alertmanager.yaml": ("amtool", "check-config")}
    for name, command in checks.items():
        done = subprocess.run([*command, str(tmp_path / name)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
