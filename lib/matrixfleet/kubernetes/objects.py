"""How Kubernetes spells what every object has: labels, annotations, Services, configuration, claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import Plan, waves
from matrixfleet.plan.backup import RESTORED
from matrixfleet.plan.mesh import is_meshed
from matrixfleet.plan.storage import Volume

PART_OF = "matrix-fleet"
PREFIX = "matrix-fleet/"
"""Of our own annotations."""
SEVERAL = PREFIX + "several-tenants"
"""On a namespace that several tenants share."""
HOSTS = PREFIX + "hosts"
"""On a namespace: the public names of its target, which admission holds what is in it against."""
HOST_PATHS = PREFIX + "host-paths"
"""On a namespace: folders of its node that Pods in it may mount, and may be root for, which admission and a rule hold
them against."""

# Argo CD reads these from the live object too; they must be there from the first render, since a
# StatefulSet's template is copied to its claims only when those are made.
KEEP = {"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"}
CONFIRM = {"argocd.argoproj.io/sync-options": "Prune=confirm,Delete=confirm"}


def selector(plan: Plan, component: str) -> dict[str, str]:
    """The labels that find a component's Pods; they never change in an object's life."""
    return {
        "app.kubernetes.io/name": plan.workloads[component].software,
        "app.kubernetes.io/instance": plan.name,
        "app.kubernetes.io/component": component,
    }


def labels(plan: Plan, component: str) -> dict[str, str]:
    """The recommended labels of an object of a component."""
    workload = plan.workloads.get(component)
    return {
        "app.kubernetes.io/name": workload.software if workload else "matrix",
        "app.kubernetes.io/instance": plan.name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/version": workload.image.tag if workload else plan.target.release_name,
        "app.kubernetes.io/managed-by": "matrix-fleet",
    }


def make(
    plan: Plan,
    kind: str,
    component: str,
    *,
    wave: int,
    name: str | None = None,
    namespace: str | None = "",
    api: str = "v1",
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> Object:
    """An object of a component: in the tenant's namespace unless another is given, in none where
    namespace is None."""
    metadata: Object = {"name": name or plan.called(component)}
    if namespace is not None:
        metadata["namespace"] = namespace or plan.namespace
    metadata["labels"] = labels(plan, component)
    metadata["annotations"] = {"argocd.argoproj.io/sync-wave": str(wave), **(annotations or {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def config_map(plan: Plan, component: str, files: Mapping[str, str], namespace: str = "") -> Object:
    """A component's files."""
    return make(
        plan,
        "ConfigMap",
        component,
        wave=plan.workloads[component].wave,
        namespace=namespace,
        data=dict(files),
    )


def service(
    plan: Plan,
    component: str,
    *,
    headless: bool = False,
    unready: bool = False,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """A component's Service, one port for each that the plan names.

    unready: whether Pods are found before they are ready
    """
    workload = plan.workloads[component]
    ports = [
        {"name": name, "protocol": "TCP", "port": port, "targetPort": name} for name, port in workload.ports.items()
    ]
    if is_meshed(plan.istio, component):
        # Sidecars carry bytes, whatever the port carries; but to a port that is not HTTP an edge of Istio's has no
        # HTTP route (istio#28993).
        served = {host.backend for host in plan.public_hosts}
        for port in ports:
            port["appProtocol"] = "http" if component in served and port["name"] == "http" else "tcp"
    cluster_ip: Object = {"clusterIP": "None"} if headless else {"type": "ClusterIP"}
    if unready:
        cluster_ip["publishNotReadyAddresses"] = True
    return make(
        plan,
        "Service",
        component,
        wave=workload.wave,
        annotations=annotations,
        spec={**cluster_ip, "selector": selector(plan, component), "ports": ports},
    )


def _claim_spec(volume: Volume) -> Object:
    return {
        "accessModes": [volume.access_mode],
        "storageClassName": volume.storage_class,
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": volume.size}},
    }


def claim(plan: Plan, volume: Volume) -> Object:
    """A volume's claim, in the wave of the Pod that mounts it: with WaitForFirstConsumer an earlier one
    would stay Pending, and the sync would wait for it for ever (argo-cd#12840). Where no Pod mounts it now, it is
    the last, and may stay Pending: the Application is Healthy without it."""
    owner, annotations = plan.workloads[volume.owner], KEEP
    if volume.purpose in RESTORED and "restore" in plan.workloads:
        wave = plan.workloads["restore"].wave
    elif owner.replicas:
        wave = owner.wave
    else:
        wave, annotations = waves.ALERTS, {**KEEP, "argocd.argoproj.io/ignore-healthcheck": "true"}
    return make(
        plan,
        "PersistentVolumeClaim",
        volume.owner,
        name=volume.name,
        wave=wave,
        annotations=annotations,
        spec=_claim_spec(volume),
    )


def claim_template(plan: Plan, volume: Volume) -> Object:
    """A StatefulSet's claim. Fields that the API server would fill in are written out: left to it, Argo
    CD under server-side apply reports the StatefulSet as OutOfSync for ever."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": volume.name,
            "labels": selector(plan, volume.owner),
            "annotations": dict(KEEP),
        },
        "spec": _claim_spec(volume),
    }


def budget(plan: Plan, name: str, component: str, wave: int, selected: Mapping[str, str]) -> Object:
    """A PodDisruptionBudget of a pool of two or more.

    name: of the pool
    """
    return make(
        plan,
        "PodDisruptionBudget",
        component,
        api="policy/v1",
        name=plan.called(name),
        wave=wave,
        spec={
            "maxUnavailable": 1,
            # A Pod that is not ready protects nothing: it may always go.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": dict(selected)},
        },
    )
