"""`matrix-fleet status`: what is said of each tenant, of answers as Prometheus and the API server give them. The real
Prometheus answers it in tests/services/test_observability.py."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from fleets import TOP, Repository, with_standby
from matrixfleet.cli.status import QUERIES, as_json, as_table, status_of
from matrixfleet.errors import FleetError

PROD, HA = {"tenant": "matrix-prod"}, {"tenant": "matrix-ha"}
ANSWERS = {
    "up": [(PROD, 4), (HA, 20)],
    "targets": [(PROD, 4), (HA, 22)],
    "version": [(PROD | {"version": "1.163.2"}, 1), (HA | {"version": "1.163.1"}, 1), (HA | {"version": "1.163.2"}, 9)],
    "alerts": [],
    "database": [(PROD, 5 * 1024**3)],
    "archived": [(PROD, 300)],
    "dumped": [(PROD, 9 * 3600), (HA, 9 * 3600)],
    "certificate": [(PROD, 40 * 86400)],
}


class Prometheus(BaseHTTPRequestHandler):
    answers = ANSWERS

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        (query,) = parse_qs(urlsplit(self.path).query)["query"]
        (name,) = [name for name, asked in QUERIES.items() if asked == query]
        result = [{"metric": labels, "value": [time.time(), str(value)]} for labels, value in self.answers[name]]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "data": {"result": result}}).encode())


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    server = HTTPServer(("127.0.0.1", 0), Prometheus)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_line_a_tenant(prometheus: str) -> None:
    lines = [line.split("  ") for line in as_table(status_of(TOP, "eu1", prometheus)).splitlines()]
    told = {words[0]: [word.strip() for word in words[1:] if word.strip()] for words in lines[1:]}
    assert told == {
        "chess-club": ["unseen", "-", "-", "- of 20Gi", "-", "-"],
        "matrix-ha": ["2 of 22 targets down", "1.163.1 and 1.163.2", "-", "- of 200Gi", "9 h", "-"],
        "matrix-prod": ["well", "1.163.2", "-", "5.0Gi of 20Gi", "5 min", "40 days"],
    }


def test_the_same_for_programs(prometheus: str) -> None:
    found = {one["tenant"]: one for one in json.loads(as_json(status_of(TOP, "eu1", prometheus)))}
    assert found["matrix-prod"]["database_bytes"] == 5 * 1024**3 and found["matrix-prod"]["certificate_days"] == 40.0
    assert found["chess-club"]["version"] is None


def test_a_standby_is_told_from_what_is_stopped(prometheus: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    with_standby(repository)
    (standby,) = [one for one in status_of(tmp_path, "eu2", prometheus) if one.tenant == "pair-standby"]
    assert standby.health == "standby of eu1"


def test_what_is_critical_is_the_health(prometheus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alert = [(PROD | {"alertname": "SynapseMainDown"}, 1)]
    monkeypatch.setattr(Prometheus, "answers", ANSWERS | {"alerts": alert})
    (prod,) = [one for one in status_of(TOP, "eu1", prometheus) if one.tenant == "matrix-prod"]
    assert prod.health == "SynapseMainDown"


def test_pods_as_the_api_server_knows_them(prometheus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pod(ready: str, phase: str = "Running") -> dict[str, object]:
        labels = {"app.kubernetes.io/instance": "matrix-prod"}
        status = {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}
        return {"metadata": {"labels": labels}, "status": status}

    items = [pod("True"), pod("False"), pod("False", "Succeeded")]
    (tmp_path / "pods.json").write_text(json.dumps({"items": items}))
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\ncat {tmp_path / 'pods.json'}\n")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (prod,) = [one for one in status_of(TOP, "eu1", prometheus, "eu1") if one.tenant == "matrix-prod"]
    assert (prod.pods_ready, prod.pods) == (1, 2)


def test_who_does_not_answer_is_named() -> None:
    with pytest.raises(FleetError, match="--prometheus: expected Prometheus's API"):
        status_of(TOP, "eu1", "http://127.0.0.1:9")
    with pytest.raises(FleetError, match="no cluster 'eu2', did you mean eu1"):
        status_of(TOP, "eu2", "http://127.0.0.1:9")
