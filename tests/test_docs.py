"""What docs/ tells people to do, done: the YAML in it compiles, the commands in it run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleets import TOP, Repository
from matrixfleet.checks import run as held
from matrixfleet.cli.compile import compile_fleet, read_fleet
from matrixfleet.cli.secrets import told as secrets_told
from matrixfleet.model import Fleet
from matrixfleet.model.auth import NO_LOGOUT, AuthSpec
from matrixfleet.plan import TenantPlan, plan_of
from matrixfleet.plan.oidc import PRESETS
from test_compile import files, run
from test_plan import changed, drawn

DOCS = sorted((TOP / "docs").glob("*.md"))


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", path.read_text())


def test_a_tenant_is_added_by_one_file(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    for name in ("compiled", "argocd"):
        shutil.copytree(TOP / name, tmp_path / name)
    shutil.copy(TOP / "CODEOWNERS", tmp_path)
    before = {path: text for path, text in files(tmp_path).items() if not path.startswith(".cache/")}
    (tenant,) = blocks(TOP / "docs/add-a-tenant.md", "yaml")
    repository.write("inventory/targets/eu1/acme.yml", tenant)
    done = run(tmp_path, "matrix-fleet", "compile")
    assert done.returncode == 0, done.stderr
    after = {path: text for path, text in files(tmp_path).items() if not re.search("__pycache__|^[.]cache/", path)}
    fresh = {path for path in after if after[path] != before.get(path)}
    mine = re.compile(r"compiled/eu1/(acme/.+|argocd/[a-z]+-eu1-acme(-fence)?[.]yaml)|inventory/targets/eu1/acme[.]yml")
    assert [path for path in fresh if not mine.fullmatch(path)] == []
    assert before.items() <= files(tmp_path).items(), "a file of another target changed"
    assert "compiled/eu1/argocd/application-eu1-acme-fence.yaml" in fresh


def test_a_secret_is_rotated_as_told(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    (change,) = blocks(TOP / "docs/rotate-a-secret.md", "yaml")
    assert change == "parameters:\n  matrix:\n    turn:\n      secret: 2\n"
    path = "inventory/targets/eu1/matrix-prod.yml"
    repository.write(path, repository.read(path) + "    turn:\n      secret: 2\n")
    tenant = read_fleet(tmp_path).target("eu1.matrix-prod").tenant
    assert tenant is not None and tenant.turn.secret == 2


def generations(schema: dict[str, Any], node: dict[str, Any], key: str = "") -> Iterator[str]:
    """Keys of the inventory that raise a secret: whole numbers from 1 to 9999, as no other key has."""
    node = {**node, **schema["$defs"].get(str(node.get("$ref", "")).rpartition("/")[2], {})}
    if (node.get("minimum"), node.get("maximum")) == (1, 9999):
        yield key
    for name, inner in node.get("properties", {}).items():
        yield from generations(schema, inner, f"{key}.{name}".lstrip("."))
    for inner in (*node.get("patternProperties", {}).values(), node.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from generations(schema, inner, f"{key}.<id>")
    for inner in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
        yield from generations(schema, inner, key)


def test_every_key_that_rotates_a_secret_is_in_the_table(fleet: Fleet) -> None:
    schema = json.loads((TOP / "inventory/schema.json").read_text())
    page = (TOP / "docs/rotate-a-secret.md").read_text()
    rows = set(re.findall(r"`((?:matrix|platform)\.[a-z_.<>0-9]+)`", page))
    parameters = schema["properties"]["parameters"]
    keys = {key for key in generations(schema, parameters) if key.startswith(("matrix.", "platform."))}
    assert {"matrix.secrets", "matrix.media.s3.generation", "platform.turn.secret"} <= keys
    assert rows == keys
    planned = {
        ".".join(map(str, one.rotate)) for name in fleet.names for one in plan_of(fleet, name).secrets if one.rotate
    }
    assert {re.sub(r"(providers|appservices)\.[a-z-]+", r"\1.<id>", one) for one in planned} <= rows


def test_a_release_is_tried_as_told(tmp_path: Path) -> None:
    """Step 2 of docs/upgrade.md."""
    repository = Repository(tmp_path)
    stable = repository.read("inventory/classes/release/stable.yml")
    newer = stable.replace("    stable:\n", "    next:\n", 1).replace("tag: v1.12.27", "tag: v1.12.28", 1)
    repository.write("inventory/classes/release/next.yml", newer)
    repository.edit(
        "inventory/targets/eu1/platform.yml", "  - release.stable\n", "  - release.stable\n  - release.next\n"
    )
    repository.edit("inventory/targets/eu1/chess-club.yml", "    size: small\n", "    size: small\n    release: next\n")
    fleet = read_fleet(tmp_path)
    tags = {name: plan_of(fleet, name).release.images.element_web.tag for name in ("eu1.chess-club", "eu1.matrix-prod")}
    assert tags == {"eu1.chess-club": "v1.12.28", "eu1.matrix-prod": "v1.12.27"}


def test_workers_are_said_as_told(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    (workers,) = blocks(TOP / "docs/scaling.md", "yaml")
    path = "inventory/targets/eu1/chess-club.yml"
    added = workers.removeprefix("parameters:\n  matrix:\n") + "    database: {max_connections: 200}\n"
    repository.write(path, repository.read(path) + added)
    tenant = read_fleet(tmp_path).target("eu1.chess-club").tenant
    assert tenant is not None and tenant.workers.generic.replicas == 3


def test_openid_is_said_as_told(fleet: Fleet) -> None:
    (said,) = blocks(TOP / "docs/log-in-with-oidc.md", "yaml")
    plan = plan_of(fleet, "us1.research")
    assert isinstance(plan, TenantPlan)
    told = yaml.safe_load(said)["parameters"]["matrix"]["auth"]
    assert plan.tenant.auth == AuthSpec.model_validate(told), "the reference fleet is the example"
    (create,) = blocks(TOP / "docs/log-in-with-oidc.md", "text")
    assert create in secrets_told(TOP, "us1.research").replace("  fill      ", "")
    text = (TOP / "docs/log-in-with-oidc.md").read_text()
    rows = {
        words[1].strip(): words[4].strip()
        for words in (line.split("|") for line in text.splitlines())
        if len(words) == 6
    }
    presets = {preset.value: "no" if preset in NO_LOGOUT else "yes" for preset in PRESETS}
    assert {name: rows[name] for name in presets} == presets


@pytest.mark.parametrize("block", blocks(TOP / "docs/secrets.md", "yaml")[1:], ids=["external-secrets", "vault"])
def test_secrets_come_from_a_store_as_told(block: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    path = "inventory/classes/cluster/eu1.yml"
    repository.write(path, repository.read(path) + block.removeprefix("parameters:\n  cluster:\n"))
    done = run(tmp_path, "matrix-fleet", "compile")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "compiled/eu1/chess-club/workload/secrets").is_dir()
    assert not (tmp_path / "compiled/eu1/chess-club/workload/bootstrap").exists()


def test_a_cluster_is_added_as_told(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    (target,) = blocks(TOP / "docs/add-a-cluster.md", "yaml")
    copied = repository.read("inventory/classes/cluster/eu1.yml").replace("name: eu1", "name: eu2")
    repository.write("inventory/classes/cluster/eu2.yml", copied)
    repository.write("inventory/targets/eu2/platform.yml", target.replace("cluster.eu1", "cluster.eu2"))
    done = run(tmp_path, "matrix-fleet", "compile")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "argocd/eu2.yaml").exists()


@pytest.mark.parametrize("path", [TOP / "README.md", *DOCS], ids=lambda path: path.name)
def test_explain_commands_say_something(path: Path) -> None:
    for command in re.findall(r"\.venv/bin/matrix-fleet (explain \S+ \S+)", path.read_text()):
        done = run(TOP, "matrix-fleet", *command.split())
        assert done.returncode == 0, done.stderr


def test_the_readme_shows_what_explain_says() -> None:
    pattern = r"(?m)^    \$ \.venv/bin/matrix-fleet (.*)\n((?:(?:    .*)?\n)+)"
    shown = re.search(pattern, (TOP / "README.md").read_text())
    assert shown
    expected = "\n".join(line.removeprefix("    ") for line in shown[2].splitlines()).strip()
    assert run(TOP, "matrix-fleet", *shown[1].split()).stdout.strip() == expected


def test_the_readme_shows_an_error_as_it_is(tmp_path: Path) -> None:
    line = re.search(r"(?m)^    (inventory/targets/eu1/chess-club\.yml:.*)$", (TOP / "README.md").read_text())
    assert line
    repository = Repository(tmp_path)
    repository.edit("inventory/targets/eu1/chess-club.yml", "url_previews: false", "presense: false")
    assert run(tmp_path, "matrix-fleet", "compile").stderr.strip() == line[1]


def test_make_lists_its_targets() -> None:
    said = subprocess.run(["make", "--no-print-directory"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"(?m)^([a-z-]+):.*## ", (TOP / "Makefile").read_text())
    assert [line.split()[1] for line in said.splitlines()] == targets


@pytest.mark.parametrize("block", blocks(TOP / "docs/databases.md", "yaml"), ids=["cnpg", "external"])
def test_a_database_is_chosen_as_told(block: str, fleet: Fleet) -> None:
    said = yaml.safe_load(block)["parameters"]["matrix"]["database"]
    tree = drawn(changed(fleet, (("matrix", "database"), said)))
    assert [str(finding) for finding in held(tree, whole_fleet=False)] == []


def test_many_tenants_are_said_as_told(tmp_path: Path) -> None:
    tenant, platform, namespace = blocks(TOP / "docs/multi-tenancy.md", "yaml")
    repository = Repository(tmp_path)
    repository.write("inventory/targets/ap1/club.yml", tenant)
    head = repository.read("inventory/targets/ap1/platform.yml").partition("parameters:")[0]
    repository.write("inventory/targets/ap1/platform.yml", head + platform)
    repository.write("inventory/targets/ap1/matrix-tenants.yml", namespace)
    compile_fleet(tmp_path, [])
    database = yaml.safe_load(repository.read("compiled/ap1/club/shared/database-club-postgresql.yaml"))
    assert database["spec"]["name"] == "synapse_club"


def test_media_is_in_a_bucket_as_told(fleet: Fleet) -> None:
    (said,) = blocks(TOP / "docs/media.md", "yaml")
    changes = [(("matrix", key), value) for key, value in yaml.safe_load(said)["parameters"]["matrix"].items()]
    tree = drawn(changed(fleet, *changes, (("matrix", "synapse", "signing_key"), "secret")))
    assert not list(held(tree, whole_fleet=False))
    (pod,) = (pod for pod in tree.pods if pod.entry.name == "matrix-prod-media-repository")
    assert pod.entry.spec["replicas"] == 2


def test_a_cluster_moves_into_the_mesh_as_told(tmp_path: Path) -> None:
    """Naming Istio moves nobody; a tenant that says so is alone in it."""
    cluster, tenant = blocks(TOP / "docs/mesh.md", "yaml")
    repository = Repository(tmp_path)
    path = "inventory/classes/cluster/eu1.yml"
    repository.write(path, repository.read(path) + cluster.removeprefix("parameters:\n  cluster:\n"))
    compile_fleet(tmp_path, [])
    for target in ("chess-club", "matrix-prod"):
        assert files(tmp_path / f"compiled/eu1/{target}") == files(TOP / f"compiled/eu1/{target}")
    path = "inventory/targets/eu1/chess-club.yml"
    repository.write(path, repository.read(path) + tenant.removeprefix("parameters:\n  matrix:\n"))
    compile_fleet(tmp_path, [])
    assert (tmp_path / "compiled/eu1/chess-club/fence/peerauthentication-chess-club-mesh.yaml").exists()
    assert files(tmp_path / "compiled/eu1/matrix-prod") == files(TOP / "compiled/eu1/matrix-prod")


def test_the_demo_is_of_the_tenant_that_is_named() -> None:
    command = ["make", "--dry-run", "--no-print-directory", "demo", "TENANT=eu1/chess-club"]
    said = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1].endswith("-m fleetnode.demo eu1/chess-club")
