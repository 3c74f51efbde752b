"""The canary as it compiles; that it works, tests/services/test_canary.py proves with real programs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.checks.tree import Pod
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet
from matrixfleet.model.tenant import ProbesSpec
from test_docs import blocks
from test_plan import PROD, changed, drawn

CANARY = (("matrix", "probes", "canary"), True)


def test_whoever_allows_it_has_it_and_nobody_else(tree: Tree, fleet: Fleet) -> None:
    there = {entry.target for entry in tree.of_kind("CronJob") if entry.name.endswith("-canary")}
    allowed = {name for name in fleet.names if (tenant := fleet.target(name).tenant) and tenant.probes.canary}
    assert there == allowed == {"ap1.tenant-b"}


def test_it_asks_the_router_with_the_password_of_its_secret(fleet: Fleet) -> None:
    tree = drawn(changed(fleet, CANARY))
    (entry,) = (one for one in tree.of_kind("CronJob") if one.target == PROD and one.name.endswith("-canary"))
    assert re.fullmatch(r"[0-4]-59/5 \* \* \* \*", entry.spec["schedule"]) and entry.spec["suspend"] is False
    assert entry.spec["concurrencyPolicy"] == "Forbid"
    (container,) = Pod(entry).spec["containers"]
    _, _, script, router, user, password = container["command"]
    assert router == "http://matrix-prod-router.matrix-prod.svc.cluster.local:8080" and user == "canary"
    (files,) = (one for one in tree.of_kind("ConfigMap") if one.target == PROD and one.name == entry.name)
    assert script.rpartition("/")[2] in files.doc["data"] and password == "/secrets/canary/password"
    (recipes,) = (
        one.doc["data"]["secrets.json"]
        for one in tree.of_kind("ConfigMap")
        if one.target == PROD and "secrets.json" in one.doc["data"]
    )
    (recipe,) = (one for one in json.loads(recipes) if one["name"] == "matrix-prod-canary-1")
    assert recipe["keys"] == {"password": "random"}


def test_with_a_store_its_password_comes_from_there(fleet: Fleet) -> None:
    files = draw_target(fleet.changed("us1.newsroom", *CANARY), "us1.newsroom", TOP)
    assert "workload/secrets/externalsecret-newsroom-canary-1.yaml" in files


def test_it_is_said_as_told() -> None:
    (said,) = (block for block in blocks(TOP / "docs/monitoring.md", "yaml") if "canary" in block)
    assert ProbesSpec.model_validate(yaml.safe_load(said)["parameters"]["matrix"]["probes"]).canary


def test_while_its_tenant_is_stopped_it_rests(fleet: Fleet) -> None:
    tree = drawn(changed(fleet, CANARY, (("matrix", "state"), "stopped")))
    (entry,) = (one for one in tree.of_kind("CronJob") if one.target == PROD and one.name.endswith("-canary"))
    assert entry.spec["suspend"] is True


HERE = "no answer of http://127.0.0.1:PORT: "
LIMITED = b'{"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests"}'
ANSWERS = {
    "nobody": (None, HERE + "[Errno 111] Connection refused"),
    "no HTTP": (b"nonsense\r\n\r\n", HERE + "nonsense"),
    "cut off": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        HERE + "IncompleteRead(1 bytes read, 49 more expected)",
    ),
    "a page": (b"HTTP/1.1 200 OK\r\n\r\n<html>", HERE + "Expecting value: line 1 column 1 (char 0)"),
    "a proxy's error": (b"HTTP/1.1 502 Bad\r\n\r\n<html>\nbad", "502 <html> bad"),
    "Synapse's error": (b"HTTP/1.1 429 No\r\n\r\n" + LIMITED, "429 M_LIMIT_EXCEEDED: Too Many Requests"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_fails_is_one_line(case: str, tmp_path: Path) -> None:
    answer, said = ANSWERS[case]
    (tmp_path / "password").write_text("secret")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]

        def serve(content: bytes) -> None:
            with listening.accept()[0] as client:
                client.sendall(content)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass

        if answer:
            listening.listen()
            threading.Thread(target=serve, args=(answer,), daemon=True).start()
        command = [sys.executable, TOP / "components/canary/canary.py", f"http://127.0.0.1:{port}", "canary"]
        done = subprocess.run(
            [*command, tmp_path / "password"], env={}, capture_output=True, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"canary: log in: {said.replace('PORT', str(port))}\n"
