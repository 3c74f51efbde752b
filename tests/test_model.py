"""The vocabulary: everything said is explained, every choice is built or refused, the schema is current."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from pydantic import BaseModel

from fleets import TOP
from matrixfleet.cli.schema import SCHEMA_FILE, inventory_schema
from matrixfleet.model import BUILT, Fleet, choices
from matrixfleet.model.base import descriptions
from matrixfleet.model.faults import models_below
from matrixfleet.model.fleet import PlatformTarget, TenantTarget
from matrixfleet.model.types import bytes_of, millicores_of, seconds_of

ALL_MODELS = sorted({*models_below(TenantTarget), *models_below(PlatformTarget)}, key=lambda model: model.__name__)
ENUMS = [
    thing
    for thing in vars(choices).values()
    if isinstance(thing, type) and issubclass(thing, StrEnum) and thing is not StrEnum
]


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_every_field_says_what_it_is(model: type[BaseModel]) -> None:
    assert model.__doc__, model
    assert model.model_config["extra"] == "forbid" and model.model_config["frozen"]
    for name in model.model_fields:
        assert descriptions(model).get(name), f"{model.__name__}.{name} has no docstring"


@pytest.mark.parametrize("choice", ENUMS, ids=lambda choice: choice.__name__)
def test_every_choice_is_built_or_refused(choice: type[StrEnum]) -> None:
    assert choice.__doc__, f"{choice.__name__} has no docstring"
    assert BUILT[choice] and set(choice) >= BUILT[choice]


def said(value: Any) -> Iterator[StrEnum]:
    """Every choice in a model's values."""
    if isinstance(value, StrEnum):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from said(getattr(value, name))
    elif isinstance(value, tuple | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from said(inner)


# No target of the reference fleet is stopped or blind, its clusters have one kind of edge and make their own
# secrets, one provider is enough, and so is one relay: these are compiled by tests alone.
# StrEnums of one text are equal: a pair for each, and no mapping.
ELSEWHERE: list[tuple[StrEnum, str]] = [
    (choices.State.STOPPED, "test_plan.py"),
    *((choice, "test_backups.py") for choice in (*choices.RestoreFrom, choices.Archiver.WAL_G, choices.Backup.DUMPS)),
    (choices.Metrics.NONE, "test_plan.py"),
    (choices.Tracing.JAEGER, "test_plan.py"),
    *((choice, "test_cni.py") for choice in (*choices.Cni, *choices.IpFamily)),
    *((choice, "test_plan.py") for choice in (*choices.Provider, *choices.MailSecurity)),
    *((choice, "test_plan.py") for choice in (choices.Turn.DEPLOYMENT, choices.Turn.SHARED, choices.Turn.EXTERNAL)),
    *((choice, "test_edges.py") for choice in choices.Edge if choice is not choices.Edge.TRAEFIK),
    *((choice, "test_secrets.py") for choice in (*choices.Secrets, *choices.Store)),
]


def test_every_built_choice_has_an_example(fleet: Fleet) -> None:
    shown = set()
    for name in fleet.names:
        target = fleet.target(name)
        for part in (target.cluster, target.release, target.tenant):
            shown.update(said(part))
    shown |= {choice for choice, _ in ELSEWHERE}
    missing = {choice for built in BUILT.values() for choice in built} - shown
    assert not missing, f"no target of the inventory shows {missing}"
    for choice, file in ELSEWHERE:
        assert choice.name in (TOP / "tests" / file).read_text(), f"{file} does not compile {choice}"


def test_the_schema_is_current() -> None:
    assert (TOP / SCHEMA_FILE).read_text() == inventory_schema(), "run make schema"


def test_the_schema_admits_the_inventory_and_refuses_a_typo() -> None:
    validator = jsonschema_rs.validator_for(json.loads((TOP / SCHEMA_FILE).read_text()))
    files = sorted((TOP / "inventory").glob("*/**/*.yml"))
    assert files
    for file in files:
        errors = [error.message for error in validator.iter_errors(yaml.safe_load(file.read_text()))]
        assert not errors, f"{file}: {errors}"
    assert not validator.is_valid({"parameters": {"matrix": {"server_nam": "example.com"}}})


def test_a_target_is_twenty_lines_or_fewer() -> None:
    for file in (TOP / "inventory/targets").rglob("*.yml"):
        assert len(file.read_text().splitlines()) <= 20, file


@pytest.mark.parametrize(
    ("convert", "text", "number"),
    [
        (bytes_of, "1Mi", 1048576),
        (bytes_of, "1.5Gi", 1610612736),
        (millicores_of, "250m", 250),
        (millicores_of, "0.5", 500),
        (millicores_of, "2", 2000),
        (seconds_of, "5m", 300),
        (seconds_of, "90d", 7776000),
    ],
)
def test_units(convert: Any, text: str, number: float) -> None:
    assert convert(text) == number


def test_paths_are_not_of_this_machine(fleet: Fleet) -> None:
    assert isinstance(fleet.source.inventory, Path)
    assert fleet.source.shown("eu1.chess-club") == "inventory/targets/eu1/chess-club.yml"
