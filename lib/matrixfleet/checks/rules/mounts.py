"""Every mounted path is used, and every path that a program is told of is mounted where it reads it.

A Secret that nothing reads is open to whoever breaks in; a path that is missing stops a program at start, or
has it write into the container, where data is lost. Of a mounted ConfigMap or Secret the file must be a key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from matrixfleet.checks.pods import maker, references, volume_references
from matrixfleet.checks.tree import Finding, Json, Pod, Tree

# Images hold nothing that is meant below these: what is named there comes from a volume.
ROOTS = (
    *("/secrets/", "/tls/", "/data/", "/run/turn/", "/usr/local/etc/haproxy/"),
    *(
        "/etc/synapse/",
        "/etc/postgresql/",
        "/etc/element/",
        "/etc/coturn/",
        "/etc/bootstrap/",
        "/etc/pgbouncer/",
        "/run/pgbouncer/",
    ),
)
COMMENT = re.compile(r"^\s*(#|--\s).*$", re.MULTILINE)
PATH = re.compile(r"(?<![\w.$})~/-])/[\w./-]+")


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume where a container sees it."""

    path: str
    inside: str
    """Where in the volume that is (subPath)."""
    files: frozenset[str] | None
    """What the volume holds; None where only those who write to it know."""
    maps: frozenset[str]
    """The files in compiled/ of its ConfigMaps."""
    scratch: bool

    @classmethod
    def of(cls, tree: Tree, pod: Pod, mount: Json, volume: Json) -> Mounted:
        """One of a container's volumeMounts."""
        files: set[str] = set()
        maps: set[str] = set()
        whole = "configMap" in volume or "secret" in volume
        for reference in volume_references(volume):
            found = maker(tree, pod.entry, reference)
            whole = whole and found is not None
            if found:
                files |= set(reference.files.values()) or found[1]
                maps |= {found[0].path} if reference.kind == "ConfigMap" else set()
        held = frozenset(files) if whole else None
        path, inside = mount["mountPath"].rstrip("/"), mount.get("subPath", "")
        return cls(path, inside, held, frozenset(maps), "emptyDir" in volume)

    def covers(self, path: str) -> bool:
        """Whether a path is this one or below it."""
        return f"{path}/".startswith(f"{self.path}/")

    def holds(self, path: str) -> bool:
        """Whether a path that it covers is a file of the volume, or a folder."""
        below = "/".join(filter(None, (self.inside, path[len(self.path) + 1 :])))
        if not below or self.files is None:
            return True
        return any(f"{file}/".startswith(f"{below}/") for file in self.files)


def check(tree: Tree) -> Iterator[Finding]:
    """Pods, then ConfigMaps against all that the containers which mount them have mounted."""
    named = {entry.path: paths(entry.doc.get("data")) for entry in tree.of_kind("ConfigMap")}
    readers: dict[str, set[Mounted]] = {}

    @cache
    def writes(target: str) -> dict[str, tuple[str, ...]]:
        if tree.fleet is None or target not in tree.fleet.names:
            return {}
        return {image.repository: image.writes for _, image in tree.fleet.target(target).release.images}

    for pod in tree.pods:
        volumes = pod.volumes
        for fault in unmounted(pod, volumes):
            yield tree.finding(pod.entry, "mounts", fault)
        made = [maker(tree, pod.entry, one) for one in references(pod) if one.kind == "ConfigMap"]
        told = {path for found in made if found for path in named[found[0].path]}
        for container in pod.containers:
            mounts = container.get("volumeMounts", [])
            places = {Mounted.of(tree, pod, mount, volumes.get(mount["name"], mount)) for mount in mounts}
            own = paths({**container, "volumeMounts": None})
            repository = container["image"].partition("@")[0].rpartition(":")[0]
            scratch = None if tree.fleet is None else writes(pod.entry.target).get(repository, ())
            for fault in (*unused(places, own | told, scratch), *missing(places, own)):
                yield tree.finding(pod.entry, "mounts", f"container {container['name']}: {fault}")
            for file in {file for place in places for file in place.maps}:
                readers.setdefault(file, set()).update(places)
    for file, places in readers.items():
        for fault in missing(places, named[file]):
            yield tree.finding(tree.entries[file], "mounts", fault)


def unmounted(pod: Pod, volumes: Collection[str]) -> Iterator[str]:
    """Volumes without mounts, and mounts without volumes."""
    mounts = [(one["name"], mount["name"]) for one in pod.containers for mount in one.get("volumeMounts", [])]
    for volume in sorted(set(volumes) - {name for _, name in mounts}):
        yield f"volume {volume}: expected a container that mounts it"
    for container, name in mounts:
        if name not in volumes:
            yield f"container {container}: mounts {name}, expected a volume of that name"


def unused(places: set[Mounted], told: set[str], scratch: tuple[str, ...] | None) -> Iterator[str]:
    """Mounts that nothing names. What an image writes by itself its release row lists, where one is known."""
    for place in sorted(places, key=lambda place: place.path):
        written = place.scratch and (scratch is None or place.path in scratch)
        if not written and not any(place.covers(path) for path in told):
            also = ", or its image's release row to list it in writes" if place.scratch else ""
            yield f"mounts {place.path}, expected its command, variables or a ConfigMap to name it{also}"


def missing(places: set[Mounted], told: set[str]) -> Iterator[str]:
    """Paths that are named and not there. Where volumes lie in one another the innermost counts."""
    for path in sorted(told):
        over = [place for place in places if place.covers(path)]
        inner = [place for place in over if len(place.path) == max(len(one.path) for one in over)]
        if not over and path.startswith(ROOTS):
            yield f"names {path}, expected a volume that is mounted there"
        elif over and not any(place.holds(path) for place in inner):
            files = ", ".join(sorted({file for place in inner for file in place.files or ()}))
            yield f"names {path}, expected one of the files in {inner[0].path}: {files}"


def paths(data: Any) -> set[str]:
    """Absolute paths in all texts below some data, comments left out; up to a variable where there is one."""
    found = set()
    for text in strings(data):
        for match in PATH.finditer(COMMENT.sub("", text)):
            path, after = match[0], match.string[match.end() : match.end() + 1]
            found.add((path[: path.rindex("/")] if after in tuple("$%{*") else path).rstrip("./"))
    return found - {""}


def strings(data: Any) -> Iterator[str]:
    """Every text in plain data, keys left out."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for value in data.values() if isinstance(data, dict) else data:
            yield from strings(value)
