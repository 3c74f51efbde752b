"""No secret of any shape gets through, neither in the inventory, before anything is rendered, nor in compiled/."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from attacks.secret_shapes import HARMLESS, KEYED, PASSWORD, VALUES
from fleets import TOP, Repository
from matrixfleet import leaks
from matrixfleet.checks import Tree
from matrixfleet.checks.rules import secret_material
from matrixfleet.errors import Fault
from matrixfleet.kubernetes.emit import to_yaml
from matrixfleet.leaks import inventory_faults
from matrixfleet.model import Fleet

TENANT = "inventory/targets/eu1/acme.yml"
BIN = Path(sys.executable).parent


def faults(top: Path, text: str, path: str = TENANT) -> list[Fault]:
    """What is found in an inventory of one file."""
    (top / path).parent.mkdir(parents=True)
    (top / path).write_text(text, encoding="utf-8")
    return inventory_faults(top / "inventory")


def placed(value: str, position: str) -> str:
    """A value in a file of the inventory, under a key that tells nothing."""
    if position == "value":
        return yaml.safe_dump({"parameters": {"matrix": {"anything": value}}})
    if position == "folded":
        return yaml.safe_dump({"parameters": {"matrix": {"anything": value}}}, width=20, default_style='"')
    if position == "deep in lists":
        return yaml.safe_dump({"parameters": {"a": [{"b": [[{"c": [value]}]]}]}})
    if position == "a key":
        return yaml.safe_dump({"parameters": {value: 1}})
    lines = "\n".join(f"# {line}" for line in value.split("\n"))
    return f"parameters: {{}}\n{lines}\n"


def shapes(*positions: str) -> list[object]:
    return [
        pytest.param(value, position, id=f"{name} as {position}")
        for name, value in VALUES.items()
        for position in positions
    ]


def never_shown(message: str, value: str) -> bool:
    """Whether no line of a value is in a message."""
    return not any(line in message for line in value.split("\n") if len(line) > 20 and "BEGIN" not in line)


@pytest.mark.parametrize(("value", "position"), shapes("value", "folded", "deep in lists", "comment"))
def test_a_value_is_found_in_the_inventory(tmp_path: Path, value: str, position: str) -> None:
    found = faults(tmp_path, placed(value, position))
    assert found, f"nothing found in {position}"
    for fault in found:
        assert fault.file == TENANT and fault.line
        assert "expected no secret in git" in fault.message
        assert never_shown(str(fault), value)


def test_a_key_may_be_a_secret_and_is_not_shown(tmp_path: Path) -> None:
    token = VALUES["GitHub"]
    (fault,) = faults(tmp_path, placed(token, "a key"))
    assert (fault.line, fault.key) == (2, "parameters") and token not in str(fault)


@pytest.mark.parametrize("text", KEYED.values(), ids=KEYED.keys())
def test_a_key_tells_in_the_inventory(tmp_path: Path, text: str) -> None:
    found = faults(tmp_path, text)
    assert found and all(PASSWORD not in str(fault) for fault in found)


@pytest.mark.parametrize("name", ["README.md", "notes", "values.json", "x.yml.bak", ".hidden"])
def test_every_file_of_the_inventory_is_read(tmp_path: Path, name: str) -> None:
    text = f'{{"a": {{"password": "{PASSWORD}"}}}}' if name.endswith("json") else f"smtp_pass: {PASSWORD}\n"
    assert faults(tmp_path, text, f"inventory/classes/{name}")


def compiled(doc: dict[str, object], text: str = "") -> list[str]:
    """What the rule finds in one compiled file."""
    tree = Tree.of({"eu1/acme/workload/configmap-acme.yaml": text or to_yaml(doc)})
    return [str(finding) for finding in secret_material.check(tree)]


def config_map(text: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "acme"}, "data": {"file": text}}


@pytest.mark.parametrize(("value", "position"), shapes("annotation", "argument", "text"))
def test_a_value_is_found_in_compiled(value: str, position: str) -> None:
    container = {"name": "x", "image": "x", "args": ["run", value]}
    docs: dict[str, dict[str, object]] = {
        "annotation": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "annotations": {"x/y": value}}},
        "argument": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [container]}},
        "text": config_map(f"first\n{value}\nlast\n"),
    }
    found = compiled(docs[position])
    assert found and all(never_shown(line, value) for line in found)


@pytest.mark.parametrize("text", KEYED.values(), ids=KEYED.keys())
def test_a_key_tells_in_compiled(text: str) -> None:
    assert compiled(config_map(text + "\n")), "in a ConfigMap"
    if "#" not in text:
        assert compiled({}, text + "\n"), "in the object itself"


def test_a_secret_is_found_among_tenants_that_are_alike(tree: Tree) -> None:
    """Lines that other tenants have too are looked at once: one that differs is looked at."""
    texts = dict(tree.texts)
    path = "eu1/matrix-prod/workload/synapse/deployment-matrix-prod-synapse.yaml"
    assert list(secret_material.check(Tree({}, texts))) == []
    texts[path] = tree.texts[path] + f"password:\n  value:\n    {PASSWORD}\n"
    (only,) = [str(finding) for finding in secret_material.check(Tree({}, texts))]
    assert path in only and PASSWORD not in only


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_looks_alike_passes(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) == []
    assert compiled({}, text + "\n") == []
    assert compiled(config_map(text + "\n")) == []


def test_the_reference_fleet_passes_without_a_mark(tree: Tree) -> None:
    assert inventory_faults(TOP / "inventory") == []
    assert list(secret_material.check(tree)) == []
    marked = [path for path in (TOP / "inventory").rglob("*.yml") if "not-a-secret" in path.read_text()]
    assert marked == []


# Marks.


@pytest.mark.parametrize(
    "text",
    [
        f"password: {PASSWORD}  # not-a-secret: the demo's, which everybody reads",
        f"password: |  # not-a-secret: the demo's, which everybody reads\n  {PASSWORD}\n",
        f"x: 1  # password: {PASSWORD}  # not-a-secret: the demo's, which everybody reads",
    ],
)
def test_a_mark_with_a_reason_covers_its_line(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) == []


@pytest.mark.parametrize("mark", ["# not-a-secret", "# not-a-secret:", "# not-a-secret: no"])
def test_a_mark_without_a_reason_covers_nothing(tmp_path: Path, mark: str) -> None:
    said = [fault.message for fault in faults(tmp_path, f"password: {PASSWORD}  {mark}\n")]
    assert "expected # not-a-secret: <reason>, got no reason" in said
    assert len(said) == 2


def test_a_mark_covers_no_other_line(tmp_path: Path) -> None:
    mark = "# not-a-secret: the demo's, which everybody reads"
    (fault,) = faults(tmp_path, f"a: {{password: {PASSWORD}}}  {mark}\npassword: another{PASSWORD}\n")
    assert fault.line == 2


def test_a_mark_covers_what_is_compiled_from_its_line(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    shutil.copytree(TOP / "inventory", inventory)
    page = {"x.yaml": to_yaml(config_map(f"smtp_pass: {PASSWORD}\n"))}
    assert list(secret_material.check(Tree.of(page, Fleet.read(inventory))))
    target = inventory / "targets/eu1/chess-club.yml"
    brand = "      branding: {brand: Chess Club, "
    text = target.read_text(encoding="utf-8")
    assert text.count(brand) == 1
    marked = f"      branding:\n        brand: {PASSWORD}  # not-a-secret: the demo's word\n        "
    target.write_text(text.replace(brand, marked).replace('"#4b6eaf"}', '"#4b6eaf"'), encoding="utf-8")
    leaks._files.cache_clear()
    assert list(secret_material.check(Tree.of(page, Fleet.read(inventory)))) == []


# By the command line: before anything is rendered.


@pytest.mark.parametrize("command", ["compile", "check"])
def test_the_command_stops_before_anything_is_rendered(tmp_path: Path, command: str) -> None:
    repository = Repository(tmp_path)
    path = "inventory/targets/eu1/chess-club.yml"
    # A key that nobody knows and a class that does not exist: what reads them would say so, and show the value.
    repository.write(path, repository.read(path) + f"    smtp: {{password: {PASSWORD}}}\n")
    repository.edit(path, "pattern.single-tenant", "pattern.nobodys")
    done = subprocess.run([BIN / "matrix-fleet", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    line = repository.read(path).count("\n")
    assert done.stderr.startswith(
        f"{path}:{line}: parameters.matrix.smtp.password: a literal where a password belongs;"
    )
    assert done.stderr.count("\n") == 1 and PASSWORD not in done.stderr
    assert not (tmp_path / "compiled").exists() and not (tmp_path / "argocd").exists()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 100_000,
        "-   " * 100_000,
        "{a: " * 100_000,
        "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(5000)),
    ],
    ids=["flow", "block", "block, wide", "mappings", "aliases"],
)
def test_nesting_and_aliases_are_read_to_the_end(tmp_path: Path, text: str) -> None:
    """What is nested deeper than anybody writes is refused, before a parser that builds a tree sees it."""
    found = faults(tmp_path, text)
    assert [fault.message for fault in found] == (
        [] if "&" in text else ["nested deeper than 100 levels; expected fewer"]
    )


def test_nesting_ends_the_command_with_a_message(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write("inventory/targets/eu1/deep.yml", "parameters: " + "[" * 100_000)
    done = subprocess.run([BIN / "matrix-fleet", "compile"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "inventory/targets/eu1/deep.yml:1: nested deeper than 100 levels; expected fewer\n",
    )


def test_bytes_that_are_no_text_are_no_end(tmp_path: Path) -> None:
    (tmp_path / TENANT).parent.mkdir(parents=True)
    (tmp_path / TENANT).write_bytes(f"a: '\xff'\npassword: {PASSWORD}\n".encode("latin-1"))
    assert [fault.line for fault in inventory_faults(tmp_path / "inventory")] == [2]
