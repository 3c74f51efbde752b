"""How files of a target override each other: lists, null, and another kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml
from pydantic import BaseModel

from fleets import Repository
from matrixfleet.cli.compile import read_fleet
from matrixfleet.cli.explain import explain_key
from matrixfleet.drawing import draw_target
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet, Tenant
from matrixfleet.model.fleet import PlatformTarget
from test_plan import EXTERNAL

HA = "inventory/targets/eu1/matrix-ha.yml"
CHESS = "inventory/targets/eu1/chess-club.yml"
OWN = "age1r23clxd5mzfsh79vn6pg0kaytjeq8w4ur23clxd5mzfsh79vn6pqv03vfc"


def with_parameters(repository: Repository, path: str, **said: Any) -> None:
    """A file, with more below `matrix` (its own keys merged; those of kind none replaced)."""
    document = yaml.safe_load(repository.read(path))
    matrix = document.setdefault("parameters", {}).setdefault("matrix", {})
    for key, value in said.items():
        merged = isinstance(matrix.get(key), dict) and value and value.get("kind") != "none"
        matrix[key] = {**matrix[key], **value} if merged else value
    repository.write(path, yaml.safe_dump(document, sort_keys=False))


def tenant(top: Path, name: str = "eu1.matrix-ha") -> Tenant:
    found = read_fleet(top).target(name).tenant
    assert found
    return found


def test_a_tenants_recipients_are_all_who_read_its_backups(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    platform = tenant(tmp_path).backup.recipients
    assert len(platform) == 2
    with_parameters(repository, HA, backup={"recipients": [OWN, platform[0]]})
    assert tenant(tmp_path).backup.recipients == (OWN, platform[0])
    texts = draw_target(Fleet.read(tmp_path / "inventory"), "eu1.matrix-ha", tmp_path)
    assert any(OWN in text for text in texts.values())
    assert not [path for path, text in texts.items() if platform[1] in text]
    told = explain_key(tmp_path, "eu1.matrix-ha", "matrix.backup.recipients")
    value, places = told.split("set", 1)[0].split("said by")[0], told
    assert OWN in value and platform[1] not in value
    assert places.index("feature/backups.yml") < places.index(HA)


def lists(model: type[BaseModel], key: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every key that holds a list, blocks that are always there followed."""
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is tuple:
            yield (*key, name)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from lists(field.annotation, (*key, name))


@pytest.mark.parametrize("key", [*lists(Tenant, ("matrix",)), *lists(PlatformTarget, ())], ids=".".join)
def test_the_last_list_wins(key: tuple[str, ...], tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    target = "inventory/targets/eu1/" + ("chess-club.yml" if key[0] == "matrix" else "platform.yml")

    def block(value: list[str]) -> dict[str, Any]:
        found: Any = value
        for part in reversed(key):
            found = {part: found}
        return dict(found)

    for number, name in enumerate(("one", "two")):
        repository.write(
            f"inventory/classes/feature/{name}.yml",
            yaml.safe_dump({"parameters": block([f"{number}-a", f"{number}-b"])}),
        )
    document = yaml.safe_load(repository.read(target))
    document["classes"] += ["feature.one", "feature.two"]
    repository.write(target, yaml.safe_dump(document))
    name = "eu1." + ("chess-club" if key[0] == "matrix" else "platform")
    fleet = Fleet.read(tmp_path / "inventory")
    assert list(fleet.raw(name, key))[-4:] == ["0-a", "0-b", "1-a", "1-b"], "reclass-rs appends"
    here: Any = fleet._own(name)
    for part in key:
        here = here[part]
    assert here == ["1-a", "1-b"]


def test_a_list_by_reference_over_a_class_is_refused(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    with_parameters(repository, HA, backup={"recipients": "${matrix:alerts:email}"})
    with pytest.raises(FleetError, match="expected a list written out"):
        read_fleet(tmp_path)


MANAGED = {"kind": "external", "external": {"host": "postgres.example.net", "ca": EXTERNAL["external"]["ca"]}}  # type: ignore[index]
OVERRIDES: dict[str, dict[str, Any]] = {
    "high availability on a managed PostgreSQL": {"database": MANAGED, "backup": {"kind": "dumps"}},
    "without a pooler": {"database": MANAGED | {"pooling": "none"}, "backup": {"kind": "dumps"}},
    "CloudNativePG without a pooler": {"database": {"pooling": "none"}},
    "a bundled PostgreSQL": {"database": {"kind": "statefulset"}},
    "no backups": {"backup": {"kind": "none"}},
    "no backups, by null": {"backup": None},
    "dumps": {"backup": {"kind": "dumps"}},
    "no relay": {"turn": {"kind": "none"}},
    "another stream writer": {
        "workers": {"stream_writers": {"ephemeral": None, "accounts": None, "mine": {"streams": ["typing"]}}}
    },
    "streams moved to another writer": {
        "workers": {"stream_writers": {"ephemeral": {"streams": ["presence"]}, "mine": {"streams": ["typing"]}}}
    },
    "no autoscaling": {"workers": {"client_reader": {"autoscale": None}}},
    "no priority": {"priority_class": None},
    "the size's connections back": {"database": {"max_connections": 600}},
}


@pytest.mark.parametrize("kind", OVERRIDES)
def test_what_a_class_sets_is_taken_back(kind: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    with_parameters(repository, HA, **OVERRIDES[kind])
    found = tenant(tmp_path)
    assert draw_target(read_fleet(tmp_path), "eu1.matrix-ha", tmp_path)
    if kind.startswith("another stream"):
        assert set(found.workers.stream_writers) == {"mine"}
    if kind == "high availability on a managed PostgreSQL":
        assert found.database.external and found.database.pgbouncer.replicas == 2


def test_a_key_of_another_kind_in_the_same_file_is_still_refused(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    with_parameters(repository, HA, database=MANAGED | {"instances": 3}, backup={"kind": "dumps"})
    with pytest.raises(FleetError, match="expected kind: cnpg, since instances is said"):
        read_fleet(tmp_path)


@pytest.mark.parametrize("said", ["alerts:", "alerts: null"])
def test_null_that_takes_nothing_back_is_refused(said: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write(CHESS, repository.read(CHESS) + f"    {said}\n")
    with pytest.raises(FleetError, match=r"chess-club.yml:15: matrix.alerts: expected a value, got null"):
        read_fleet(tmp_path)
