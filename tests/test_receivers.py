"""Who is told: the compiled receivers of a cluster as Alertmanager reads them, asked by its own amtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fleetnode.monitoring import alertmanager
from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet

INHIBITIONS = yaml.safe_load((TOP / "components/receivers/inhibitions.yml").read_text())
RULES = yaml.safe_load((TOP / "components/alerts/rules.yml").read_text())
ALERTS = {rule["alert"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
AMTOOL = pytest.mark.skipif(not shutil.which("amtool"), reason="amtool is not installed; .ci/run installs it")


@pytest.fixture(scope="module")
def config(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    said = [entry.doc for entry in tree.of_kind("AlertmanagerConfig")]
    path = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yml"
    path.write_text(yaml.safe_dump(alertmanager(said, "http://127.0.0.1:9")))
    return path


def told(config: Path, **labels: str) -> set[str]:
    command = ["amtool", "config", "routes", "test", f"--config.file={config}"]
    done = subprocess.run(
        [*command, *(f"{name}={value}" for name, value in labels.items())], capture_output=True, text=True, check=True
    )
    return set(done.stdout.strip().split(","))


@AMTOOL
def test_alertmanager_takes_it(config: Path) -> None:
    done = subprocess.run(["amtool", "check-config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@AMTOOL
@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_each_tenants_alerts_reach_its_own_people_alone(config: Path, severity: str) -> None:
    for tenant, place in (("matrix-prod", "matrix-prod"), ("matrix-ha", "matrix-ha"), ("platform", "fleet")):
        found = told(config, tenant=tenant, alertname="PostgresqlDown", severity=severity, namespace="elsewhere")
        assert found == {f"{place}/{tenant}-alerts/people"}
    # Nobody is named: Alertmanager's own route. A label that only looks like a tenant's is nobody's either.
    for labels in ({"tenant": "chess-club"}, {"tenant": "matrix-prod-2"}, {"tenant": "matrix"}, {}):
        assert told(config, alertname="PostgresqlDown", severity=severity, **labels) == {"nobody"}


def test_every_route_and_inhibition_is_its_targets(tree: Tree) -> None:
    for entry in tree.of_kind("AlertmanagerConfig"):
        mine = {"name": "tenant", "value": entry.target.rpartition(".")[2], "matchType": "="}
        assert mine in entry.spec["route"]["matchers"]
        for rule in entry.spec["inhibitRules"]:
            assert mine in rule["sourceMatch"] and mine in rule["targetMatch"] and rule["equal"] == ["tenant"]


def test_inhibitions_name_alerts_that_there_are() -> None:
    for rule in INHIBITIONS:
        assert rule["cause"] in ALERTS
        for symptom in rule["symptoms"]:
            named = {alert for alert in ALERTS if re.fullmatch(symptom, alert)}
            assert named and rule["cause"] not in named, symptom


def test_a_cause_is_no_symptom_of_its_symptom() -> None:
    """Or both would fall silent."""
    follows = {
        (rule["cause"], alert)
        for rule in INHIBITIONS
        for alert in ALERTS
        if any(re.fullmatch(symptom, alert) for symptom in rule["symptoms"])
    }
    assert not [pair for pair in follows if (pair[1], pair[0]) in follows]


def test_addresses_that_are_secret_are_named(fleet: Fleet) -> None:
    ways = {"slack": {"channel": "#ops", "generation": 2}, "webhook": {}}
    changed = fleet.changed("eu1.chess-club", ("matrix", "alerts"), ways)
    files = draw_target(changed, "eu1.chess-club", TOP)
    receiver = yaml.safe_load(files["workload/receivers/alertmanagerconfig-chess-club-alerts.yaml"])["spec"][
        "receivers"
    ]
    assert receiver[0]["slackConfigs"][0]["apiURL"] == {"name": "chess-club-alerts-slack-2", "key": "url"}
    assert receiver[0]["webhookConfigs"][0]["urlSecret"] == {"name": "chess-club-alerts-webhook-1", "key": "url"}
    wanted = files["workload/bootstrap/configmap-chess-club-bootstrap.yaml"]
    assert "chess-club-alerts-slack-2" in wanted and "chess-club-alerts-webhook-1" in wanted
