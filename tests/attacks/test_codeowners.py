"""Who must agree: every file that is equivalent to root has an owner, also one that nobody has thought of."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from fleets import TOP, Repository
from matrixfleet.cli.check import _codeowners
from matrixfleet.cli.codeowners import codeowners
from matrixfleet.cli.compile import publish_codeowners
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet
from matrixfleet.plan import plan_of

TEAM = ["@example/platform"]


def matcher(pattern: str) -> re.Pattern[str]:
    """A pattern of CODEOWNERS as GitHub reads it: gitignore's, where `*` ends at a slash."""
    body = re.escape(pattern.strip("/")).replace(r"\*", "[^/]*")
    return re.compile(
        ("" if pattern.startswith("/") else "(.*/)?") + body + ("/.*" if pattern.endswith("/") else "(/.*)?")
    )


def owners(text: str, path: str) -> list[str]:
    """The last line that matches says who."""
    found: list[str] = []
    for line in text.splitlines():
        pattern, *who = line.split() if line and not line.startswith("#") else [""]
        if pattern and matcher(pattern).fullmatch(path):
            found = who
    return found


def is_tenants(fleet: Fleet, path: str) -> bool:
    """What a tenant's people may change by themselves: their target, and what reaches nothing beyond them."""
    parts = path.split("/")
    names = {name for name in fleet.names if fleet.target(name).tenant}
    if parts[:2] == ["inventory", "targets"]:
        return f"{parts[2]}.{parts[3].removesuffix('.yml')}" in names
    name = ".".join(parts[1:3])
    if parts[0] != "compiled" or name not in names or parts[3] not in ("workload", "docs"):
        return False
    turn = fleet.target(name).tenant.turn
    return parts[3] == "docs" or not (turn and turn.kind == "daemonset")


def test_every_file_of_the_repository_has_an_owner_but_tenants_own(fleet: Fleet) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, check=True).stdout.split("\n")
    text, free = codeowners(fleet), []
    for path in filter(None, listed):
        if owners(text, path) != TEAM:
            assert owners(text, path) == [] and is_tenants(fleet, path), path
            free.append(path)
    assert any(path.startswith("inventory/targets/") for path in free)
    assert any("/workload/" in path for path in free)


@pytest.mark.parametrize(
    "path",
    [
        "CODEOWNERS", ".github/workflows/x.yml", ".github/CODEOWNERS", ".gitlab-ci.yml", ".gitmodules", ".gitattributes", "conftest.py",
        "sitecustomize.py", "components/synapse/__init__.py", "lib/matrixfleet/x.py", "inventory/classes/x/y.yml", "inventory/targets/x.yml",
        "inventory/targets/eu1/sub/x.yml", "inventory/targets/eu1/platform.yml", "inventory/targets/ap1/matrix-tenants.yml", ".kapitan",
        "compiled/eu1/argocd/application-eu1-x.yaml", "compiled/eu1/chess-club/fence/x.yaml", "compiled/ap1/tenant-a/shared/fleet/x.yaml",
        "compiled/eu1/platform/workload/x/y.yaml", "compiled/ap1/matrix-tenants/workload/x.yaml", "compiled/eu1/workload/x.yaml",
        "compiled/eu1/platform/bootstrap/x.yaml", "argocd/eu1.yaml", "argocd/new.yaml", "refs/x", "images/x/Dockerfile", "tests/x.py",
    ],
)  # fmt: skip
def test_what_is_equivalent_to_root_is_owned(fleet: Fleet, path: str) -> None:
    assert owners(codeowners(fleet), path) == TEAM


@pytest.mark.parametrize(
    "path", ["inventory/targets/eu1/chess-club.yml", "compiled/eu1/chess-club/workload/a/b/c.yaml"]
)
def test_what_is_a_tenants_is_not(fleet: Fleet, path: str) -> None:
    assert owners(codeowners(fleet), path) == []


def test_a_coturn_on_nodes_makes_its_workload_the_platforms(fleet: Fleet) -> None:
    path = "compiled/eu1/chess-club/workload/coturn/configmap-chess-club-coturn.yaml"
    assert owners(codeowners(fleet), path) == []
    changed = fleet.changed("eu1.chess-club", ("matrix", "turn"), {"kind": "daemonset"})
    assert owners(codeowners(changed), path) == TEAM
    assert owners(codeowners(changed), path.replace("/workload/", "/docs/")) == []


def said(fleet: Fleet, **by: tuple[str, ...]) -> Fleet:
    """A fleet whose clusters have these owners."""
    for cluster in ("eu1", "us1", "ap1"):
        fleet = fleet.changed(f"{cluster}.platform", ("cluster", "owners"), list(by.get(cluster, ())))
    return fleet


def test_each_cluster_has_its_own_and_what_is_common_all(fleet: Fleet) -> None:
    text = codeowners(said(fleet, eu1=("@a/eu", "@b"), us1=("ops@example.com",)))
    assert owners(text, "lib/x.py") == ["@a/eu", "@b", "ops@example.com"]
    assert owners(text, "compiled/eu1/argocd/x.yaml") == ["@a/eu", "@b"]
    assert owners(text, "inventory/targets/us1/platform.yml") == ["ops@example.com"]
    assert owners(text, "argocd/eu1.yaml") == ["@a/eu", "@b"]
    assert "/ap1/" not in text


def test_no_owners_no_file(fleet: Fleet, tmp_path: Path) -> None:
    assert codeowners(said(fleet)) == ""
    publish_codeowners(tmp_path, fleet)
    assert (tmp_path / "CODEOWNERS").read_text() == codeowners(fleet)
    publish_codeowners(tmp_path, said(fleet))
    assert not (tmp_path / "CODEOWNERS").exists() and not list(_codeowners(tmp_path, said(fleet)))


def test_check_says_when_it_is_not_what_is_generated(fleet: Fleet, tmp_path: Path) -> None:
    publish_codeowners(tmp_path, fleet)
    assert not list(_codeowners(tmp_path, fleet))
    path = tmp_path / "CODEOWNERS"
    for change in (
        lambda: path.write_text(path.read_text() + "* @eve\n"),
        path.unlink,
        lambda: path.write_bytes(b"\xff"),
    ):
        publish_codeowners(tmp_path, fleet)
        change()
        (found,) = _codeowners(tmp_path, fleet)
        assert str(found) == "CODEOWNERS: differs from what cluster.owners say; run make compile [codeowners]"


@pytest.mark.parametrize("other", [".github/CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"])
def test_one_that_would_be_read_in_its_place_is_refused(fleet: Fleet, tmp_path: Path, other: str) -> None:
    publish_codeowners(tmp_path, fleet)
    (tmp_path / other).parent.mkdir()
    (tmp_path / other).write_text("* @eve\n")
    (found,) = _codeowners(tmp_path, fleet)
    assert str(found).startswith(f"{other}: expected none beside CODEOWNERS")


@pytest.mark.parametrize("owner", ["platform", "@", "@a b", "@a\n* @eve", "@a/", "a@b", "# @a", "@a #"])
def test_what_is_no_owner_is_refused_at_its_line(tmp_path: Path, owner: str) -> None:
    repository = Repository(tmp_path)
    path = "inventory/classes/cluster/eu1.yml"
    text = repository.read(path)
    repository.write(path, text.replace('owners: ["@example/platform"]', f"owners: [{owner!r}]".replace("'", '"')))
    with pytest.raises(FleetError) as error:
        plan_of(Fleet.read(tmp_path / "inventory"), "eu1.platform")
    (fault,) = error.value.faults
    assert (fault.file, fault.line) == (path, text.split("owners: [")[0].count("\n") + 1)
    assert "expected a name as CODEOWNERS has it" in fault.message


@pytest.mark.parametrize("owner", ["@eve", "@example/platform", "@group/sub/team", "ops@example.com"])
def test_owners_of_each_form_pass(fleet: Fleet, owner: str) -> None:
    assert owner in codeowners(said(fleet, eu1=(owner,))).splitlines()[2]
