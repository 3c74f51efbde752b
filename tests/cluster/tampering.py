"""Changes to compiled objects, and whose folder an object comes from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from api import Object
from repository import TOP

TRACKING = "argocd.argoproj.io/tracking-id"


class Broken(NamedTuple):
    """A change to a compiled object, and what the API server answers."""

    what: str
    file: str
    change: Callable[[Object], Any]
    says: str


def put(*keys: str | int, to: object) -> Callable[[Object], None]:
    """Set one value deep in an object."""

    def change(thing: Object) -> None:
        here: Any = thing
        for key in keys[:-1]:
            here = here[key]
        here[keys[-1]] = to

    return change


def another(*keys: str | int, to: object) -> Callable[[Object], None]:
    """The same in an object of another name: what is there would be refused for its own sake."""

    def change(thing: Object) -> None:
        put("metadata", "name", to="another")(thing)
        put(*keys, to=to)(thing)

    return change


def remove(*keys: str | int) -> Callable[[Object], None]:
    """Take one value away."""

    def change(thing: Object) -> None:
        here: Any = thing
        for key in keys[:-1]:
            here = here[key]
        del here[keys[-1]]

    return change


def application_of(path: Path) -> str:
    """The Application that syncs a compiled file; none for what is applied by hand."""
    cluster, target, *rest = path.relative_to(TOP / "compiled").parts
    if target == "argocd":
        return f"{cluster}-root"
    part = rest[0]
    return "" if part == "bootstrap" else f"{cluster}-{target}" + (f"-{part}" if part != "workload" else "")


def tracked(thing: Object, application: str) -> Object:
    """An object as Argo CD applies it: with what it says over what a manifest says."""
    thing = copy.deepcopy(thing)
    if application:
        group, metadata = thing["apiVersion"].rpartition("/")[0], thing["metadata"]
        said = f"{application}:{group}/{thing['kind']}:{metadata.get('namespace', 'argocd')}/{metadata['name']}"
        metadata.setdefault("annotations", {})[TRACKING] = said
    return thing
