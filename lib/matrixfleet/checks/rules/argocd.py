"""Each part of a target is one Application in a project that admits exactly what is compiled there.

A project that admits more lets a folder that was tampered with reach further; one that admits less stops the
sync. The root reads `<cluster>/argocd` and no folder below it; Argo CD objects lie nowhere else but in the
platform's `bootstrap`, and no target has a folder of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from matrixfleet.checks.tree import ARGOCD, Entry, Finding, Tree
from matrixfleet.model.fleet import PLATFORM

WAVE = "argocd.argoproj.io/sync-wave"
OPTIONS = "argocd.argoproj.io/sync-options"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
OWN = (ARGOCD, "bootstrap")
OPERATORS = ("barman-cloud", "cert-manager", "cloudnative-pg")
ROOT_KINDS = {("argoproj.io", "AppProject"), ("argoproj.io", "Application")}
COMPARE = "argocd.argoproj.io/compare-options"
WANTED = {"ServerSideApply=true", "FailOnSharedResource=true"}
DESTRUCTIVE = {"Replace=true", "Force=true"}
VERSION = re.compile(r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
Parts = dict[str, list[Entry]]
"""Objects of a target by the folder that holds them."""


def check(tree: Tree) -> Iterator[Finding]:
    """Every object and path, then target by target."""
    targets: dict[str, Parts] = {}
    for entry in tree.objects:
        targets.setdefault(entry.target, {}).setdefault(entry.part, []).append(entry)
        faults = (*annotation_faults(entry), *folder_faults(entry))
        yield from (tree.finding(entry, "argocd", fault) for fault in faults)
    for path in tree.texts:
        if ARGOCD in path.split("/")[2:-1]:
            fault = "expected no folder argocd in a target's or below another: nobody reads it"
            yield Finding(f"{tree.root}/{path}", "argocd", fault)
    for target, parts in sorted(targets.items()):
        folder = f"{tree.root}/{target.replace('.', '/')}"
        yield from (tree.finding(one, "argocd", fault) for one, fault in target_faults(tree, folder, parts))
        synced = [source_of(one).get("path") for one in parts.get("argocd", [])]
        for part in sorted(parts.keys() - OWN):
            if synced.count(f"{folder}/{part}") != 1:
                fault = f"expected one Application for {folder}/{part}, got {synced.count(f'{folder}/{part}')}"
                yield Finding(folder, "argocd", fault)


def folder_faults(entry: Entry) -> Iterator[str]:
    """Where Argo CD objects lie, and whose they are: the name says it, and so must the label."""
    there = (entry.group, entry.kind) in ROOT_KINDS
    if there != (entry.part in OWN):
        yield "expected Applications and AppProjects in <cluster>/argocd or bootstrap, and nothing else there"
    elif entry.part == ARGOCD:
        name = entry.target.replace(".", "-")
        platforms = entry.target.endswith(f".{PLATFORM}")
        wanted = {name, f"{name}-fence", f"{name}-shared"}
        if platforms:
            wanted |= {f"{entry.cluster}-{operator}" for operator in OPERATORS}
        if entry.name not in wanted:
            yield f"expected a name of {', '.join(sorted(wanted))}, since its instance is {entry.target}"


def annotation_faults(entry: Entry) -> Iterator[str]:
    """What Argo CD reads on every object."""
    wave = entry.annotations.get(WAVE, "0")
    if not isinstance(wave, str) or not re.fullmatch(r"-?\d+", wave):
        yield f"{WAVE}: expected an integer as a string, got {wave!r}"
    options = set(str(entry.annotations.get(OPTIONS, "")).split(","))
    if entry.kind == "Application":
        options |= set((entry.spec.get("syncPolicy") or {}).get("syncOptions", []))
    for option in sorted(options & DESTRUCTIVE):
        yield f"{option}: expected none; it deletes what it cannot change"


def source_of(application: Entry) -> dict[str, object]:
    """Where an Application's objects come from."""
    return application.spec.get("source") or {}


def target_faults(tree: Tree, folder: str, parts: Parts) -> Iterator[tuple[Entry, str]]:
    """The projects and Applications of one target, and the root's."""
    own = [entry for part in OWN for entry in parts.get(part, [])]
    projects = {entry.name: entry for entry in own if entry.kind == "AppProject"}
    for entry in projects.values():
        yield from ((entry, fault) for fault in open_faults(entry))
    for one in own:
        if one.kind != "Application":
            continue
        yield from ((one, fault) for fault in policy_faults(one))
        project = projects.get(one.name)
        if one.spec.get("project") != one.name or project is None:
            yield one, f"project: expected {one.name}, in the same folder, got {one.spec.get('project')}"
            continue
        yield from ((one, fault) for fault in source_faults(one, project))
        part = str(source_of(one).get("path", "")).removeprefix(f"{folder}/")
        if one.part == "bootstrap":
            yield from root_faults(tree, one, project)
        elif part in parts and part not in OWN:
            yield from ((project, fault) for fault in admission_faults(project, parts[part]))
        elif "chart" not in source_of(one):
            # What a chart renders is not compiled: its project says what may come of it.
            yield one, f"path: expected a folder of {folder}, got {source_of(one).get('path')}"


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
            yield f"syncPolicy.automated.{key}: expected true, got {automated.get(key)}"
    if "allowEmpty" in automated:
        yield "allowEmpty: expected none; with it an empty folder deletes everything"
    for option in sorted(WANTED - set(policy.get("syncOptions", []))):
        yield f"syncOptions: expected {option}"
    if one.annotations.get(COMPARE) != "ServerSideDiff=true":
        yield f"{COMPARE}: expected ServerSideDiff=true; without it defaults of a schema are differences for ever"
    owns = FINALIZER in one.metadata.get("finalizers", [])
    walls = str(source_of(one).get("path", "")).endswith("/fence")
    if one.part == "bootstrap" and owns:
        yield "finalizers: expected none; with one, a root deleted by mistake takes every tenant with it"
    if walls and owns:
        yield "finalizers: expected none; with one, the root waits until a person has deleted the namespace"
    if one.part != "bootstrap" and not walls and not owns:
        yield f"finalizers: expected {FINALIZER}; without it, what it made outlives it"


def source_faults(one: Entry, project: Entry) -> Iterator[str]:
    """What it syncs and where to, against its project."""
    destination = {key: one.spec["destination"].get(key) for key in ("server", "namespace")}
    if destination not in project.spec.get("destinations", []):
        yield f"destination: expected one of its project's, got {destination}"
    source = source_of(one)
    if source.get("repoURL") not in project.spec.get("sourceRepos", []):
        yield f"repoURL: expected one of its project's, got {source.get('repoURL')}"
    revision = str(source.get("targetRevision"))
    if "chart" in source and not VERSION.fullmatch(revision):
        yield f"targetRevision: expected an exact version, got {revision}"
    if "chart" not in source and not revision.startswith("refs/"):
        yield f"targetRevision: expected a full name, refs/heads/..., got {revision}"


def admission_faults(project: Entry, compiled: list[Entry]) -> Iterator[str]:
    """What a project admits against what is compiled."""
    spec = project.spec
    yield from differences(
        "namespaceResourceWhitelist",
        (f"{one['group']}/{one['kind']}" for one in spec.get("namespaceResourceWhitelist") or []),
        (f"{entry.group}/{entry.kind}" for entry in compiled if entry.namespace),
    )
    yield from differences(
        "clusterResourceWhitelist",
        (f"{one['group']}/{one['kind']}/{one.get('name')}" for one in spec.get("clusterResourceWhitelist") or []),
        (f"{entry.group}/{entry.kind}/{entry.name}" for entry in compiled if not entry.namespace),
    )
    # Objects that live in no namespace still need a destination.
    places = {entry.namespace for entry in compiled} - {""} or {project.namespace}
    yield from differences("destinations", (one["namespace"] for one in spec["destinations"]), places)
    if len({one.get("server") for one in spec["destinations"]}) != 1:
        yield "destinations: expected one server"


def differences(what: str, admitted: Iterable[str], compiled: Iterable[str]) -> Iterator[str]:
    """Both sides of a difference."""
    one, other = set(admitted), set(compiled)
    for name in sorted(one ^ other):
        fault = "admits {}, which is not compiled" if name in one else "lacks {}, which is compiled"
        yield f"{what}: {fault.format(name)}"


def root_faults(tree: Tree, one: Entry, project: Entry) -> Iterator[tuple[Entry, str]]:
    """The root finds targets, and makes nothing but projects and Applications."""
    spec = project.spec
    kinds = {(kind["group"], kind["kind"]) for kind in spec.get("namespaceResourceWhitelist") or []}
    if kinds != ROOT_KINDS or spec.get("clusterResourceWhitelist"):
        yield project, "expected to admit AppProject and Application, nothing more or less"
    if {place["namespace"] for place in spec["destinations"]} != {project.namespace}:
        yield project, f"destinations: expected Argo CD's namespace {project.namespace} alone"
    path, directory = one.spec["source"].get("path"), one.spec["source"].get("directory")
    if (path, directory) != (f"{tree.root}/{one.cluster}/{ARGOCD}", {"recurse": False}):
        yield one, f"expected {tree.root}/{one.cluster}/{ARGOCD} with recurse: false, got {path} with {directory}"
