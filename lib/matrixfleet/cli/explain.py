"""`matrix-fleet explain`: a value, the chain of files that set it, the objects that carry it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from matrixfleet.drawing import draw_targets
from matrixfleet.errors import Fault, FleetError, did_you_mean
from matrixfleet.inventory import Key
from matrixfleet.inventory.source import dotted
from matrixfleet.kubernetes.emit import to_yaml
from matrixfleet.model import BUILT, Fleet
from matrixfleet.model.base import descriptions
from matrixfleet.model.faults import model_at
from matrixfleet.model.fleet import PLATFORM, NamespaceTarget, PlatformTarget, TenantTarget
from matrixfleet.plan import TenantPlan, plan_of

_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def explain_key(top: Path, name: str, written: str) -> str:
    """The whole answer. Raises FleetError for a target or key that there is not."""
    fleet = Fleet.read(top / "inventory")
    if name not in fleet.names:
        raise FleetError([Fault("inventory/targets", 0, "", f"no target {name!r}{did_you_mean(name, fleet.names)}")])
    key = _parse(written)
    value = _value(fleet, name, key)
    lines = [f"{dotted(key)} of {name}", "", *_indented(_shown(value)), ""]
    places = fleet.said(name, key)
    lines.append(
        f"said by (the last one wins{', and its list is the whole list' if isinstance(value, tuple) else ''}):"
    )
    lines += [f"  {place.file}:{place.line}" + (f": {place.text}" if place.text else "") for place in places]
    if not places:
        lines.append(f"  nobody: it is the default of {_owner(fleet, name, key)}")
    described = _description(fleet, name, key)
    if described:
        lines += ["", "meaning:", f"  {described}"]
    if key[:3] == ("matrix", "database", "max_connections"):
        lines += ["", "connection budget:", *_budget(fleet, name)]
    lines += ["", "carried by (these change when it changes):"]
    carried, untried = _carriers(fleet, name, key, value, top)
    lines += [f"  compiled/{path}" for path in sorted(carried)]
    if untried:
        lines.append(f"  unknown for {', '.join(map(dotted, untried))}: no other value was found that compiles")
        lines.append("  say another one, and read git diff compiled/ after make compile")
    elif not carried:
        lines.append("  nothing")
    return "\n".join(lines)


def _parse(written: str) -> Key:
    return tuple(int(index) if index else word for word, index in _PART.findall(written))


def _model(fleet: Fleet, name: str) -> type[BaseModel]:
    if fleet.is_namespace(name):
        return NamespaceTarget
    return PlatformTarget if name.rpartition(".")[2] == PLATFORM else TenantTarget


def _value(fleet: Fleet, name: str, key: Key) -> Any:
    """What the model holds, defaults included."""
    platform, target = fleet.platform(name), fleet.target(name)
    shared = {field: getattr(platform, field) for field in PlatformTarget.model_fields}
    here: Any = shared if target.tenant is None else {"matrix": target.tenant}
    if target.namespace:
        here = {"namespace": target.namespace}
    if target.tenant is not None and key and key[0] in shared:
        asked = f"matrix-fleet explain {fleet.platform_name(name)} {dotted(key)}"
        raise FleetError([fleet.fault(name, (), f"{key[0]} is said by the cluster's platform target; ask {asked}")])
    for index, part in enumerate(key):
        if isinstance(here, BaseModel):
            known = list(type(here).model_fields)
            found = str(part) in known
            here = getattr(here, str(part), None)
        elif isinstance(here, dict):
            known, found = [str(word) for word in here], part in here
            here = here.get(str(part))
        else:
            known, found = [], isinstance(here, tuple | list) and isinstance(part, int) and part < len(here)
            here = here[part] if found and isinstance(part, int) else None
        if not found:
            what = dotted(key[: index + 1])
            raise FleetError([fleet.fault(name, key[:index], f"no key {what}{did_you_mean(str(part), known)}")])
    return here


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        return to_yaml(value.model_dump(mode="json"))
    if isinstance(value, tuple):
        return to_yaml([one.model_dump(mode="json") if isinstance(one, BaseModel) else one for one in value])
    return to_yaml({"value": str(value) if isinstance(value, StrEnum) else value}).removeprefix("value:").strip()


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.rstrip("\n").splitlines()]


def _owner(fleet: Fleet, name: str, key: Key) -> str:
    block = model_at(_model(fleet, name), key[:-1])
    return f"{block.__name__} ({block.__module__})" if block else "the model"


def _description(fleet: Fleet, name: str, key: Key) -> str:
    block = model_at(_model(fleet, name), key[:-1])
    return descriptions(block).get(str(key[-1]), "") if block else ""


def _budget(fleet: Fleet, name: str) -> Iterator[str]:
    plan = plan_of(fleet, name)
    assert isinstance(plan, TenantPlan)
    for part, count in plan.budget.parts:
        yield f"  {part}: {count}"
    yield f"  {plan.budget.total} of {plan.budget.limit}"


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _leaves(getattr(value, field), (*key, field))
    elif isinstance(value, dict):
        for word, inner in value.items():
            yield from _leaves(inner, (*key, word))
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*key, index))
    else:
        yield key, value


def _drawn(fleet: Fleet, name: str, top: Path) -> dict[str, str]:
    """Every file that a target's values may reach: its own, and for a platform all of its cluster's."""
    reached = [name]
    if name == fleet.platform_name(name):
        reached = [other for other in fleet.names if fleet.platform_name(other) == name]
    return draw_targets(fleet, reached, top)


def _carriers(fleet: Fleet, name: str, key: Key, value: Any, top: Path) -> tuple[set[str], list[Key]]:
    """Files that differ when the value does, drawn again with another one; and the keys for which no other value
    compiled. No search for text, which would find every 10Gi for one 10Gi."""
    before = _drawn(fleet, name, top)
    carried: set[str] = set()
    untried: list[Key] = []
    for leaf, held in _leaves(value, key):
        tried = False
        for other in (*_named(fleet, name, held), *_default(fleet, name, leaf, held), *_others(held)):
            try:
                after = _drawn(fleet.changed(name, leaf, other), name, top)
            except FleetError:
                continue
            tried = True
            differ = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
            carried |= differ
            if differ:
                break
        if not tried:
            untried.append(leaf)
    return carried, untried


def _default(fleet: Fleet, name: str, leaf: Key, value: Any) -> Iterator[Any]:
    """What holds where nobody says the key, if that is another value."""
    block = model_at(_model(fleet, name), leaf[:-1])
    field = block.model_fields.get(str(leaf[-1])) if block else None
    if field and not field.is_required() and field.default != value and isinstance(field.default, str | int | None):
        yield field.default


def _named(fleet: Fleet, name: str, value: Any) -> Iterator[str]:
    """The other names of a list that a value is a name of: sizes, releases, clusters."""
    platform = fleet.platform(name)
    clusters = {other.partition(".")[0] for other in fleet.names}
    for names in (platform.sizes, platform.releases, clusters):
        if isinstance(value, str) and value in names:
            yield from (other for other in names if other != value)


def _others(value: Any) -> Iterator[Any]:
    """Values that may be said instead, the likeliest first."""
    if isinstance(value, StrEnum):
        yield from (str(other) for other in sorted(BUILT[type(value)]) if other != value)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1, value / 2)
    elif isinstance(value, str):
        number = re.match(r"\d+", value)
        if number:
            yield str(int(number[0]) * 2) + value[number.end() :]
        yield from (f"x{value}", "https://x.example.com/x", "10.99.0.0/16", "example.invalid")
    elif value is None:
        yield from ("explain.example.invalid", "1Gi", "30d", "https://explain.example.invalid/x", ["10.99.0.0/16"])
    elif isinstance(value, tuple):
        yield from (["10.99.0.0/16"], ["explain.example.invalid"], [])
