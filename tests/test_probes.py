"""What is tried from outside is what each tenant offers, in ways that the exporter knows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet


def asked(tree: Tree, target: str) -> dict[str, list[str]]:
    found = [entry for entry in tree.of_kind("Probe") if entry.target == target]
    for entry in found:
        labels = entry.spec["targets"]["staticConfig"]["labels"]
        assert labels["tenant"] == target.partition(".")[2] and entry.name.endswith(f"-probe-{labels['check']}")
    return {entry.name.partition("-probe-")[2]: entry.spec["targets"]["staticConfig"]["static"] for entry in found}


def test_every_public_thing_of_a_tenant_is_tried(tree: Tree) -> None:
    assert asked(tree, "eu1.matrix-prod") == {
        "client": ["https://matrix.example.com/_matrix/client/versions"],
        "federation": [
            "https://matrix.example.com/_matrix/key/v2/server",
            "https://matrix.example.com/_matrix/federation/v1/version",
        ],
        "well-known": [
            "https://example.com/.well-known/matrix/client",
            "https://example.com/.well-known/matrix/server",
        ],
        "element": ["https://chat.example.com/"],
        "turn-tcp": ["turn.example.com:3478"],
        "turns-tcp": ["turn.example.com:5349"],
    }
    assert not asked(tree, "us1.research"), "where no prometheus-operator is nobody reads Probes"


def test_a_closed_homeserver_is_not_asked_for_federation(fleet: Fleet) -> None:
    changed = fleet.changed("eu1.chess-club", ("matrix", "synapse", "federation"), {"enabled": False})
    paths = [path for path in draw_target(changed, "eu1.chess-club", TOP) if "/probes/" in path]
    assert paths and not [path for path in paths if "federation" in path]


def test_a_stopped_tenant_is_silent(fleet: Fleet) -> None:
    changed = fleet.changed("eu1.chess-club", ("matrix", "state"), "stopped")
    files = draw_target(changed, "eu1.chess-club", TOP)
    probe = yaml.safe_load(files["workload/probes/probe-chess-club-probe-client.yaml"])
    assert probe["spec"]["targets"]["staticConfig"]["labels"]["stopped"] == "true"


def test_they_ask_the_platforms_exporter_in_ways_that_it_knows(tree: Tree) -> None:
    for entry in tree.of_kind("Probe"):
        config = tree.find(entry.cluster, "ConfigMap", "fleet", "platform-probes")
        service = tree.find(entry.cluster, "Service", "fleet", "platform-probes")
        assert config and service
        assert entry.spec["module"] in yaml.safe_load(config.doc["data"]["blackbox.yml"])["modules"]
        host, _, port = entry.spec["prober"]["url"].partition(":")
        assert host.startswith("platform-probes.fleet.svc.") and int(port) == service.spec["ports"][0]["port"]


@pytest.mark.skipif(not shutil.which("prometheus-blackbox-exporter"), reason="blackbox_exporter is not installed")
def test_the_exporter_takes_its_configuration(tree: Tree, tmp_path: Path) -> None:
    config = tree.find("eu1", "ConfigMap", "fleet", "platform-probes")
    assert config
    (tmp_path / "blackbox.yml").write_text(config.doc["data"]["blackbox.yml"])
    command = ["prometheus-blackbox-exporter", f"--config.file={tmp_path / 'blackbox.yml'}", "--config.check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
