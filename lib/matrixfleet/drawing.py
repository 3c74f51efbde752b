"""Between Kapitan and the components: which plan a component draws, and what becomes of what it yields.

A component is a folder under components/ with one generator:

    @component("workload/router")
    def main(plan):
        yield config_map(...)

Kapitan calls main() and writes each path and text that it hands back.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from matrixfleet.errors import Fault, FleetError
from matrixfleet.kubernetes.emit import Object, to_yaml
from matrixfleet.model import Fleet
from matrixfleet.plan import Plan, plan_of


@dataclass(frozen=True, slots=True)
class Text:
    """A file that is no Kubernetes object."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class In:
    """An object in another folder than the component's own."""

    folder: str
    object: Object


Yielded = Object | Text | In
Draw = Callable[[Any], Iterable[Yielded]]


def _file_name(thing: Object) -> str:
    return f"{thing['kind'].lower()}-{thing['metadata']['name']}.yaml"


@cache
def _plans_of(draw: Draw) -> Any:
    """The kinds of plans that a component draws: what its parameter is annotated with."""
    return inspect.get_annotations(draw, eval_str=True)["plan"]


def drawn(draw: Draw, folder: str, plan: Plan) -> Iterator[tuple[str, str]]:
    """Path below the target's folder and text of every file that a component yields; none where it does not draw
    this kind of target."""
    if not isinstance(plan, _plans_of(draw)):
        return
    paths: set[str] = set()
    for thing in draw(plan):
        if isinstance(thing, Text):
            path, text = f"{folder}/{thing.name}", thing.content
        else:
            where, thing = (thing.folder, thing.object) if isinstance(thing, In) else (folder, thing)
            path, text = f"{where}/{_file_name(thing)}", to_yaml(thing)
            group = thing["apiVersion"].rpartition("/")[0]
            part, place = where.partition("/")[0], thing["metadata"].get("namespace")
            name = "" if "namespace" in thing["metadata"] else thing["metadata"]["name"]
            plan.drawn.setdefault(part, set()).add((group, thing["kind"], name))
            plan.places.setdefault(part, set()).update([place] if place else [])
        if path in paths:
            raise ValueError(f"two objects for one file {path}")
        paths.add(path)
        yield path, text


class _Drawing:
    """What Kapitan's kadet gets from main(): a mapping that draws when it is walked.

    kadet wraps whatever main() raises into "Could not load Kadet module" and walks the result outside of
    that wrapper (kapitan/inputs/kadet.py, compile_file): drawing late keeps our message the last line.
    """

    def __init__(self, draw: Draw, folder: str) -> None:
        self._draw = draw
        self._folder = folder

    def __bool__(self) -> bool:
        return True

    def items(self) -> Iterator[tuple[str, str]]:
        from kapitan.topics import current_target

        target = current_target.get()
        try:
            yield from drawn(self._draw, self._folder, _plan(target))
        except (FleetError, GeneratorExit):
            raise
        except Exception as error:
            raise FleetError([_component_fault(self._draw, target, error)]) from error


def _component_fault(draw: Draw, target: str, error: Exception) -> Fault:
    """A bug of ours, told as the line of the component where it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if "/components/" in frame.filename] or frames
    file = Path(mine[-1].filename)
    shown = "/".join(file.parts[file.parts.index("components") :]) if "components" in file.parts else file.name
    said = f"{type(error).__name__}: {error}"
    return Fault(
        shown,
        mine[-1].lineno or 0,
        "",
        f"drawing {target} failed with {said}; this is a bug of the component",
    )


_fleet: Fleet | None = None
_current: tuple[str, Plan] | None = None


def _plan(target: str) -> Plan:
    """The plan of Kapitan's current target: read once a process, planned once a target."""
    global _fleet, _current
    if _fleet is None:
        from kapitan import cached

        fleet = Fleet.from_kapitan(cached.global_inv, Path(cached.args.inventory_path))
        if fleet.clashes:
            raise FleetError(fleet.clashes)
        _fleet = fleet
    if _current is None or _current[0] != target:
        faults = tuple(_fleet.source.target_faults(target))
        if faults:
            raise FleetError(faults)
        _current = (target, plan_of(_fleet, target))
    return _current[1]


def component(folder: str) -> Callable[[Draw], Callable[[], _Drawing]]:
    """Make a generator of objects a kadet component whose files lie in a folder of the target's."""

    def wrap(draw: Draw) -> Callable[[], _Drawing]:
        def main() -> _Drawing:
            return _Drawing(draw, folder)

        main.__doc__ = draw.__doc__
        main.draw = draw  # type: ignore[attr-defined]
        main.folder = folder  # type: ignore[attr-defined]
        return main

    return wrap


@cache
def _load(folder: Path) -> Callable[[], _Drawing]:
    """A component's main(), loaded as kadet loads it but once."""
    name = f"kadet_component_{folder.name}"
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None and spec.loader is not None, folder
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.main  # type: ignore[no-any-return]


def draw_target(fleet: Fleet, name: str, top: Path) -> dict[str, str]:
    """Every file of a target, by path below its folder, without Kapitan: the same components in the same
    order. Raises FleetError."""
    plan = plan_of(fleet, name)
    files: dict[str, str] = {}
    for folder in fleet.components(name):
        main = _load(top / folder)
        try:
            files |= drawn(main.draw, main.folder, plan)  # type: ignore[attr-defined]
        except FleetError:
            raise
        except Exception as error:
            raise FleetError([_component_fault(main.draw, name, error)]) from error  # type: ignore[attr-defined]
    return files
