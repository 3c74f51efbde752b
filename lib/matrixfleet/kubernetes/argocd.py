"""AppProjects and Applications: what may be synced where, and how.

One project for each Application: its destinations and kinds are exactly those of the folder it syncs, so
that a folder that was tampered with is refused by Argo CD itself. All targets of a cluster write theirs into
one folder beside the targets': what a tenant's folder holds is never read as an Application or a project.
Applications are generated and no
ApplicationSet: when a generator's element vanishes, an ApplicationSet deletes the Application and all it
owns, even with prune off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.model.cluster import IN_CLUSTER
from matrixfleet.plan import Plan

API = "argoproj.io/v1alpha1"
FOLDER = "../argocd"
"""Below a target's folder: the one folder of all Argo CD objects of its cluster."""
FINALIZER = "resources-finalizer.argocd.argoproj.io"
PROJECT_WAVE, APPLICATION_WAVE = 0, 1
HUB = IN_CLUSTER
"""The API server as an Argo CD knows the cluster that it runs in itself."""

ANY_NAME = "*"

Kinds = Iterable[tuple[str, str, str]]
"""Group, kind, and for what lives in no namespace its name (or ANY_NAME); "" for what lives in one."""


def project(
    plan: Plan,
    name: str,
    description: str,
    *,
    kinds: Kinds,
    namespaces: Iterable[str],
    server: str = "",
    sources: Iterable[str] = (),
    wave: int = PROJECT_WAVE,
) -> Object:
    """An AppProject that admits these kinds into these namespaces, from this repository alone."""
    server = server or plan.cluster.argocd.server
    cluster_wide: list[Object] = []
    namespaced: list[Object] = []
    for group, kind, alone in sorted(kinds):
        entry = {"group": group, "kind": kind}
        if alone:
            cluster_wide.append(entry if alone == ANY_NAME else entry | {"name": alone})
        else:
            namespaced.append(entry)
    spec: Object = {
        "description": description,
        "sourceRepos": list(sources) or [plan.cluster.argocd.repository],
        "destinations": [{"server": server, "namespace": namespace} for namespace in namespaces],
        "clusterResourceWhitelist": cluster_wide,
        "namespaceResourceWhitelist": namespaced,
    }
    return make(
        plan,
        "AppProject",
        "argocd",
        api=API,
        name=name,
        namespace=plan.cluster.argocd.namespace,
        wave=wave,
        spec=spec,
    )


def application(
    plan: Plan,
    name: str,
    source: Mapping[str, Any],
    *,
    project_name: str,
    namespace: str,
    server: str = "",
    options: Iterable[str] = (),
    owns: bool = True,
) -> Object:
    """An Application that syncs by itself, heals and prunes.

    owns: whether what it synced is deleted with it (but for what is kept)
    """
    # Argo CD compares with what the API server would make of a manifest, so that no default of a schema, of whatever
    # version its operator is, is a difference ("Server-Side Diff" of its documentation).
    annotations = {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}
    if "path" in source:
        # A commit that touches nothing below the folder renders nothing anew.
        annotations["argocd.argoproj.io/manifest-generate-paths"] = "."
    spec: Object = {
        "project": project_name,
        "source": dict(source),
        "destination": {"server": server or plan.cluster.argocd.server, "namespace": namespace},
        "syncPolicy": {
            "automated": {"prune": True, "selfHeal": True},
            "syncOptions": ["ServerSideApply=true", "FailOnSharedResource=true", *options],
            # What it waits for may come with another Application, or with a controller that is still
            # being installed: try for an hour. Each time from the newest commit: else the one that mends
            # a sync would wait for that hour.
            "retry": {
                "limit": 20,
                "refresh": True,
                "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"},
            },
        },
        "revisionHistoryLimit": 3,
    }
    thing = make(
        plan,
        "Application",
        "argocd",
        api=API,
        name=name,
        namespace=plan.cluster.argocd.namespace,
        wave=APPLICATION_WAVE,
        annotations=annotations,
        spec=spec,
    )
    if owns:
        thing["metadata"]["finalizers"] = [FINALIZER]
    return thing


def folder(plan: Plan, path: str, *, recurse: bool = True) -> Object:
    """A folder of plain manifests in this repository."""
    argocd = plan.cluster.argocd
    return {
        "repoURL": argocd.repository,
        "targetRevision": argocd.revision,
        "path": path,
        "directory": {"recurse": recurse},
    }
