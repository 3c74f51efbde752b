"""Each provider's class in a cluster: everything holds, and no volume is smaller than the provider makes one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleets import TOP, Repository
from matrixfleet.checks import run
from matrixfleet.cli.compile import read_fleet
from matrixfleet.model.types import bytes_of
from test_edges import drawn
from test_plan import PROD

PROVIDERS = sorted(path.stem for path in (TOP / "inventory/classes/provider").glob("*.yml"))
# Of the smallest disk, as the class's comment says with its source.
LEAST = {"hetzner": "10Gi", "gke": "10Gi", "azure": "4Gi", "aws": "1Gi", "bare-metal": "1Mi"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_cluster_of_each_provider(provider: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.edit("inventory/classes/cluster/eu1.yml", "provider.bare-metal", f"provider.{provider}")
    fleet = read_fleet(tmp_path)
    tree = drawn(fleet)
    assert [str(finding) for finding in run(tree, whole_fleet=False)] == []
    made = {entry.name: entry.doc["reclaimPolicy"] for entry in tree.of_kind("StorageClass")}
    assert made.pop("matrix-scratch") == "Delete" and set(made.values()) == {"Retain"} and len(made) == 4
    claims = [entry.spec for entry in tree.of_kind("PersistentVolumeClaim")]
    claims += [one["spec"] for entry in tree.of_kind("StatefulSet") for one in entry.spec["volumeClaimTemplates"]]
    small = [one for one in claims if bytes_of(one["resources"]["requests"]["storage"]) < bytes_of(LEAST[provider])]
    assert claims and not small, f"{PROD}: smaller than {LEAST[provider]}"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_fact_has_its_source(provider: str) -> None:
    text = (TOP / f"inventory/classes/provider/{provider}.yml").read_text()
    facts = re.split(r"^# - ", text.partition("parameters:")[0], flags=re.MULTILINE)[1:]
    assert any("UDP" in fact for fact in facts) and any("client's address" in fact for fact in facts)
    assert any("InternalIP" in fact for fact in facts)
    # In brackets the page's title, or a page of ours.
    assert sum('"' in fact or "docs/" in fact for fact in facts) >= len(facts) - 1, facts
