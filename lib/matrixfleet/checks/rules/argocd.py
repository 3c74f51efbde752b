"""Each part of a target is one Application in a project that admits exactly what is compiled there.

A project that admits more lets a folder that was tampered with reach further; one that admits less stops the
sync. The root reads every `*/argocd/*.yaml` below its cluster, and its `*` matches slashes too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrixfleet.checks.tree import Entry, Finding, Tree

WAVE = "argocd.argoproj.io/sync-wave"
OPTIONS = "argocd.argoproj.io/sync-options"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
OWN = ("argocd", "bootstrap")
ROOT_KINDS = {("argoproj.io", "AppProject"), ("argoproj.io", "Application")}
WANTED = {"ServerSideApply=true", "FailOnSharedResource=true"}
DESTRUCTIVE = {"Replace=true", "Force=true"}
VERSION = re.compile(r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
Fault = tuple[Entry, str]


def check(tree: Tree) -> Iterator[Finding]:
    """Every object, every path, then target by target."""
    parts: dict[str, dict[str, list[Entry]]] = {}
    for entry in tree.objects:
        parts.setdefault(entry.target, {}).setdefault(entry.part, []).append(entry)
        yield from (tree.finding(entry, "argocd", fault) for fault in annotation_faults(entry))
    for path in tree.texts:
        if "argocd" in path.split("/")[3:-1]:
            message = "a folder called argocd below a part is read by the root Application; expected another name"
            yield Finding(f"{tree.root}/{path}", "argocd", message)
    for target, found in sorted(parts.items()):
        yield from (tree.finding(entry, "argocd", fault) for entry, fault in target_faults(tree, found))
        for part in sorted(found.keys() - OWN):
            count = sum(source_path(one) == part_path(tree, one, part) for one in applications(found))
            if count != 1:
                folder = f"{tree.root}/{target.replace('.', '/')}"
                yield Finding(f"{folder}/argocd", "argocd", f"expected one Application for {folder}/{part}, got {count}")


def annotation_faults(entry: Entry) -> Iterator[str]:
    """What Argo CD reads on every object."""
    wave = entry.annotations.get(WAVE, "0")
    if not isinstance(wave, str) or not re.fullmatch(r"-?\d+", wave):
        yield f"{WAVE}: expected an integer as a string, got {wave!r}"
    options = str(entry.annotations.get(OPTIONS, "")).split(",")
    options += (entry.spec.get("syncPolicy") or {}).get("syncOptions", []) if entry.kind == "Application" else []
    for option in sorted(DESTRUCTIVE.intersection(options)):
        yield f"{option}: expected none; it deletes what it cannot change"


def applications(parts: dict[str, list[Entry]]) -> list[Entry]:
    """The Applications of a target."""
    return [entry for entry in parts.get("argocd", []) if entry.kind == "Application"]


def source_path(application: Entry) -> str:
    """The folder that it syncs; "" for a chart."""
    return str((application.spec.get("source") or {}).get("path", ""))


def part_path(tree: Tree, entry: Entry, part: str) -> str:
    """A part of the target that an object belongs to, as the repository names it."""
    return f"{tree.root}/{entry.target.replace('.', '/')}/{part}"


def target_faults(tree: Tree, parts: dict[str, list[Entry]]) -> Iterator[Fault]:
    """The projects and Applications of one target, and the root's."""
    own = [entry for part in OWN for entry in parts.get(part, [])]
    projects = {entry.name: entry for entry in own if entry.kind == "AppProject"}
    for project in projects.values():
        yield from ((project, fault) for fault in open_faults(project))
    for one in (entry for entry in own if entry.kind == "Application"):
        yield from ((one, fault) for fault in policy_faults(one))
        project = projects.get(one.name)
        if one.spec.get("project") != one.name or project is None:
            yield one, f"project {one.spec.get('project')}: expected {one.name}, of this target's argocd folder"
            continue
        here = one.spec["destination"]
        if {"server": here.get("server"), "namespace": here.get("namespace")} not in project.spec.get("destinations", []):
            yield one, f"its destination is none of project {project.name}'s"
        source = one.spec.get("source") or {}
        if source.get("repoURL") not in project.spec.get("sourceRepos", []):
            yield one, f"repoURL {source.get('repoURL')}: expected one of project {project.name}'s"
        revision = str(source.get("targetRevision"))
        if "chart" in source:
            # What a chart renders is not compiled: its project says what may come of it.
            if not VERSION.fullmatch(revision):
                yield one, f"targetRevision {revision}: expected an exact version"
            continue
        if not revision.startswith("refs/"):
            yield one, f"targetRevision {revision}: expected a full name, refs/heads/..."
        if one.part == "bootstrap":
            yield from root_faults(tree, one, project)
            continue
        mine = {part_path(tree, one, part): part for part in parts.keys() - OWN}
        if source.get("path") not in mine:
            yield one, f"path {source.get('path')}: expected one of {', '.join(sorted(mine)) or 'no path at all'}"
        else:
            yield from ((project, fault) for fault in admission_faults(project, parts[mine[source["path"]]]))


def open_faults(project: Entry) -> Iterator[str]:
    """Wildcards in a project."""
    for key in ("sourceRepos", "destinations"):
        if not project.spec.get(key) or "*" in repr(project.spec[key]):
            yield f"{key}: expected each one by name, got {project.spec.get(key)}"


def policy_faults(one: Entry) -> Iterator[str]:
    """How it syncs."""
    policy = one.spec.get("syncPolicy") or {}
    automated = policy.get("automated") or {}
    for key in ("prune", "selfHeal"):
        if automated.get(key) is not True:
            yield f"expected syncPolicy.automated.{key}: true, got {automated.get(key)}"
    if automated.get("allowEmpty"):
        yield "allowEmpty: expected none; an empty folder would delete everything"
    for option in sorted(WANTED - set(policy.get("syncOptions", []))):
        yield f"expected sync option {option}"
    if FINALIZER not in one.metadata.get("finalizers", []):
        yield f"expected finalizer {FINALIZER}: without it, what it made outlives it"


def admission_faults(project: Entry, compiled: list[Entry]) -> Iterator[str]:
    """What a project admits against what is compiled."""
    namespaced = {(entry.group, entry.kind) for entry in compiled if entry.namespace}
    alone = {(entry.group, entry.kind, entry.name) for entry in compiled if not entry.namespace}
    # Objects that live in no namespace still need a destination.
    places = {entry.namespace for entry in compiled if entry.namespace} or {project.namespace}
    spec = project.spec
    admitted = {(one["group"], one["kind"]) for one in spec.get("namespaceResourceWhitelist") or []}
    admitted_alone = {
        (one["group"], one["kind"], one.get("name", "*")) for one in spec.get("clusterResourceWhitelist") or []
    }
    yield from differ("namespaceResourceWhitelist", admitted, namespaced)
    yield from differ("clusterResourceWhitelist", admitted_alone, alone)
    yield from differ("destinations", {(one["namespace"],) for one in spec["destinations"]}, {(one,) for one in places})
    if len({one.get("server") for one in spec["destinations"]}) != 1:
        yield "destinations: expected one server"


def differ(what: str, got: set[tuple[str, ...]], wanted: set[tuple[str, ...]]) -> Iterator[str]:
    """Both sides of a difference."""
    for names, fault in ((got - wanted, "admits what is not compiled"), (wanted - got, "lacks")):
        if names:
            yield f"{what}: {fault}: {', '.join(sorted('/'.join(filter(None, name)) for name in names))}"


def root_faults(tree: Tree, one: Entry, project: Entry) -> Iterator[Fault]:
    """The root finds targets, and makes nothing but projects and Applications."""
    spec = project.spec
    kinds = {(kind["group"], kind["kind"]) for kind in spec.get("namespaceResourceWhitelist") or []}
    if kinds != ROOT_KINDS or spec.get("clusterResourceWhitelist"):
        yield project, "admits more or less than the kinds AppProject and Application"
    if {place["namespace"] for place in spec["destinations"]} != {project.namespace}:
        yield project, f"destinations: expected Argo CD's namespace {project.namespace} alone"
    source = one.spec["source"]
    wanted = (f"{tree.root}/{one.cluster}", "*/argocd/*.yaml")
    if (source.get("path"), (source.get("directory") or {}).get("include")) != wanted:
        yield one, f"expected path {wanted[0]} and directory.include {wanted[1]}"
