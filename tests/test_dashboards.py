"""Every dashboard is what its source makes, and asks for what there is."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Tree
from test_alerts import unseen

FOLDER = TOP / "components/dashboards"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}


def source() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboards", FOLDER / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in panels(dashboard):
        yield from (target["expr"] for target in panel["targets"])


def test_what_is_committed_is_what_the_source_makes() -> None:
    made = source().texts()
    assert {path.name for path in FOLDER.glob("*.json")} == made.keys()
    for name, text in made.items():
        assert (FOLDER / name).read_text() == text, f"{name}: run make dashboards"


def test_compiling_does_not_import_the_builder() -> None:
    """It takes longer to import than a tenant to compile."""
    code = "import sys; from matrixfleet.cli.compile import read_fleet; from matrixfleet.drawing import draw_target;"
    code += " from pathlib import Path; top = Path(sys.argv[1]); draw_target(read_fleet(top), 'eu1.platform', top);"
    code += " sys.exit(any(name.startswith('grafana') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, str(TOP)], cwd=TOP / "lib", check=False, timeout=120)
    assert done.returncode == 0


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_metric_was_seen_or_is_documented(name: str) -> None:
    for query in queries(DASHBOARDS[name]):
        found = unseen(query.replace("$__rate_interval", "5m")) - {"ALERTS"}
        assert not found, f"{query}: nobody has seen {found}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_choose_cluster_and_tenant(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["cluster", "tenant"]
    for panel in panels(dashboard):
        assert panel["datasource"]["uid"] == "${cluster}" and panel["title"] and panel["targets"]
    assert all("$tenant" in query for query in queries(dashboard))


def test_ids_are_their_own() -> None:
    assert {dashboard["uid"] for dashboard in DASHBOARDS.values()} == {f"matrix-fleet-{name}" for name in DASHBOARDS}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed; .ci/run installs it")
def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    plain = [
        query.replace("$__rate_interval", "5m").replace("$tenant", "t")
        for dashboard in DASHBOARDS.values()
        for query in queries(dashboard)
    ]
    rules = [{"record": f"query:number{number}", "expr": query} for number, query in enumerate(plain)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafanas_sidecar_finds_them(tree: Tree) -> None:
    found = [entry for entry in tree.of_kind("ConfigMap") if entry.labels.get("grafana_dashboard") == "1"]
    for cluster, place in (("eu1", "monitoring"), ("us1", "observability")):
        mine = [entry for entry in found if entry.cluster == cluster]
        assert {key for entry in mine for key in entry.doc["data"]} == {f"{name}.json" for name in DASHBOARDS}
        assert {entry.namespace for entry in mine} == {place}
        for entry in mine:
            (text,) = entry.doc["data"].values()
            assert json.loads(text) == DASHBOARDS[re.sub(".*dashboard-", "", entry.name)]
