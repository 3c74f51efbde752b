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
import posixpath
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
            raise FleetError([_component_fault(target, error)]) from error


_OURS = ("components", "lib")
"""Folders of the repository whose modules decide and draw."""


def _component_fault(target: str, error: Exception) -> Fault:
    """A bug of ours, told as the line of the module that decided: the innermost one, a component's or the plan's."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [(frame, place) for frame in frames if (place := _place(Path(frame.filename)))]
    frame, file = mine[-1] if mine else (frames[-1], Path(frames[-1].filename).name)
    said = f"{type(error).__name__}: {error}"
    return Fault(file, frame.lineno or 0, "", f"drawing {target} failed with {said}; this is a bug of {file}")


def _place(file: Path) -> str:
    """The path of a module of ours from the repository's top, or "" of anything else."""
    top = Path(__file__).resolve().parents[2]
    parts = file.parts
    if file.is_relative_to(top) and file.relative_to(top).parts[0] in _OURS:
        return str(file.relative_to(top))
    # A checkout's components may lie elsewhere than this library.
    found = [number for number, part in enumerate(parts) if part == "components"]
    return "/".join(parts[found[-1] :]) if found else ""


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


def draw_targets(fleet: Fleet, names: Iterable[str], top: Path) -> dict[str, str]:
    """Every file of several targets, by path below compiled/. Raises FleetError."""
    return {
        posixpath.normpath(f"{name.replace('.', '/')}/{path}"): text
        for name in names
        for path, text in draw_target(fleet, name, top).items()
    }


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
            raise FleetError([_component_fault(name, error)]) from error
    return files
