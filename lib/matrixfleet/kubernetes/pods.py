"""Pods: the security context that all share, volumes that stay together with their mounts, probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matrixfleet.kubernetes.emit import Object, content_hash
from matrixfleet.kubernetes.objects import PREFIX, labels, make, selector
from matrixfleet.model.choices import Metrics
from matrixfleet.model.types import bytes_of
from matrixfleet.plan import Plan, TenantPlan
from matrixfleet.plan.mesh import OUT, STORES, is_meshed
from matrixfleet.plan.processes import Process
from matrixfleet.plan.secrets import Secret
from matrixfleet.plan.storage import Volume

LOGS = 64
"""MiB of its node's disk that the log of a container may take: the kubelet keeps five files of 10Mi, the defaults of
its `containerLogMaxFiles` and `containerLogMaxSize`."""
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
EVICTABLE = {SAFE_TO_EVICT: "true"}
STANDBY = PREFIX + "standby"
"""Annotation of a database's Pods that follow another cluster's."""
NEVER = 2**31 - 1
"""The largest backoffLimit (int32)."""
LOST_NODE = 30
"""Seconds that a stateless Pod stays bound to a node that does not answer. Kubernetes' own default is 300
(--default-unreachable-toleration-seconds)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A Pod's volume and where containers see it: one thing, so that neither exists alone."""

    name: str
    path: str
    source: Object
    read_only: bool = True
    sub_path: str | None = None

    def volume(self) -> Object:
        """The entry in spec.volumes."""
        return {"name": self.name, **self.source}

    def mount(self) -> Object:
        """The entry in volumeMounts."""
        entry: Object = {"name": self.name, "mountPath": self.path}
        if self.read_only:
            entry["readOnly"] = True
        if self.sub_path:
            entry["subPath"] = self.sub_path
        return entry


def configuration(plan: Plan, component: str, path: str) -> Mount:
    """A component's ConfigMap as a folder."""
    return Mount("configuration", path, {"configMap": {"name": plan.called(component)}})


def secret_files(secret: Secret) -> Mount:
    """A secret's keys as files below /secrets, readable by the Pod's group."""
    folder = f"/secrets/{secret.purpose}"
    return Mount(f"secret-{secret.purpose}", folder, {"secret": {"secretName": secret.name, "defaultMode": 0o440}})


def tls_files(purpose: str, secret_name: str, keys: Sequence[str]) -> Mount:
    """Some keys of a certificate's Secret as files below /tls. cert-manager renews it in place, and the
    kubelet follows: a reader must reload."""
    items = [{"key": key, "path": key} for key in keys]
    return Mount(
        f"tls-{purpose}",
        f"/tls/{purpose}",
        {"secret": {"secretName": secret_name, "defaultMode": 0o440, "items": items}},
    )


def scratch(name: str, path: str, size: str, *, memory: bool = False) -> Mount:
    """Room to write under a read-only root."""
    medium: Object = {"medium": "Memory"} if memory else {}
    return Mount(name, path, {"emptyDir": {**medium, "sizeLimit": size}}, read_only=False)


def disk(name: str, path: str, size: str, storage_class: str | None) -> Mount:
    """A volume that lives as long as its Pod (generic ephemeral volume): on a disk of its own, where an emptyDir would
    fill the node's and have its neighbours evicted.

    storage_class: the cluster's default one where it is None
    """
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        **({"storageClassName": storage_class} if storage_class else {}),
        "resources": {"requests": {"storage": size}},
    }
    return Mount(name, path, {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}}, read_only=False)


def claimed(volume: Volume) -> Mount:
    """A claim as a folder."""
    source = {"persistentVolumeClaim": {"claimName": volume.name}}
    return Mount(volume.purpose, volume.mount, source, read_only=False)


def probe(period: int, failures: int, timeout: int, **how: Any) -> Object:
    """A probe: seconds between tries, failures that count, seconds a try may take."""
    return {**how, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}


def recent(file: str, *, minutes: int) -> Object:
    """A probe of a loop that serves nobody: it touches a file each time that it goes round.

    minutes: how old the file may be
    """
    young = f"find {file} -mmin -{minutes} | grep -q ."
    return probe(60, 3, 5, exec={"command": ["sh", "-c", young]}) | {"initialDelaySeconds": 60}


def container(
    plan: Plan,
    component: str,
    name: str,
    command: Sequence[str],
    mounts: Sequence[Mount],
    *,
    env: Sequence[Object] = (),
    ports: Mapping[str, int] | None = None,
    **rest: Any,
) -> Object:
    """A container of a component's image, with the resources that the plan gives it by name."""
    workload = plan.workloads[component]
    resources, image = workload.containers[name], workload.sidecars.get(name, workload.image)
    capabilities: Object = {"drop": ["ALL"]}
    if image.capabilities:
        capabilities["add"] = list(image.capabilities)
    spec: Object = {
        "name": name,
        "image": image.reference,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
    }
    if env:
        spec["env"] = list(env)
    if ports:
        spec["ports"] = [
            {"name": port_name, "containerPort": port, "protocol": "TCP"} for port_name, port in ports.items()
        ]
    spec.update(rest)
    spec["resources"] = {
        "requests": {"cpu": resources.cpu, "memory": resources.memory, "ephemeral-storage": f"{LOGS}Mi"},
        "limits": {"memory": resources.memory},
    }
    # The Pod says whom its other containers run as.
    user = {"runAsUser": image.uid, "runAsGroup": image.gid} if name in workload.sidecars else {}
    spec["securityContext"] = {
        **user,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": capabilities,
    }
    spec["volumeMounts"] = [mount.mount() for mount in mounts]
    return spec


def scraped_by_annotations(port: int, path: str) -> dict[str, str]:
    """What a Prometheus without an operator finds a Pod by."""
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(port), "prometheus.io/path": path}


INHERITED = (SAFE_TO_EVICT, STANDBY, *scraped_by_annotations(0, ""))
"""Annotations that an operator's Pods have by their order. None is read by anybody who grants something by it."""


def pod_template(
    plan: Plan,
    component: str,
    containers: Sequence[Object],
    mounts: Sequence[Mount],
    *,
    init: Sequence[Object] = (),
    reads: Any = None,
    token: bool = False,
    **spec: Any,
) -> Object:
    """A Pod template.

    reads: the content that its programs read at start; its hash is an annotation, so that a change of
    configuration rolls the Pods and nothing else does
    token: whether it gets its ServiceAccount's token
    """
    workload = plan.workloads[component]
    image = workload.image
    annotations: dict[str, str] = {}
    if reads is not None:
        annotations[PREFIX + "configuration"] = content_hash(reads)
    if workload.metrics_path and plan.cluster.metrics is Metrics.ANNOTATIONS:
        annotations |= scraped_by_annotations(workload.ports["metrics"], workload.metrics_path)
    metadata: Object = {"labels": labels(plan, component)}
    if is_meshed(plan.istio, component):
        metadata["labels"] |= injection(plan)
        annotations |= sidecar(plan, component)
    elif plan.istio:
        metadata["labels"] |= {"sidecar.istio.io/inject": "false"}
        annotations |= {PREFIX + "outside": OUT[component]}
    ends = "restartPolicy" in spec
    # cluster-autoscaler removes no node with a Pod that has an emptyDir, unless told that nothing in it is lost. What
    # runs to its end would begin again elsewhere.
    annotations |= {SAFE_TO_EVICT: "false"} if ends else EVICTABLE
    metadata["annotations"] = annotations
    if plan.priority_class and not ends:
        # A Job can wait for room; with a priority it would preempt other tenants' homeservers.
        spec = {"priorityClassName": plan.priority_class, **spec}
    if workload.replicas > 1 or workload.autoscaled:
        spec = {"topologySpreadConstraints": spread(selector(plan, component)), **spec}
    used = disk_use(mounts)
    if used:
        # Counted once a Pod, by its first container: the scheduler adds them up.
        requests = containers[0]["resources"]["requests"]
        requests["ephemeral-storage"] = f"{LOGS + used}Mi"
    pod: Object = {
        "serviceAccountName": plan.called(component),
        "automountServiceAccountToken": token,
        "enableServiceLinks": False,
        # Names of the cluster have two dots or more here. By default (5) each name of the Internet is first looked for
        # below every search domain.
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        **spec,
        "securityContext": {
            "runAsNonRoot": image.uid != 0,
            "runAsUser": image.uid,
            "runAsGroup": image.gid,
            "fsGroup": image.gid,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if init:
        pod["initContainers"] = list(init)
    pod["containers"] = list(containers)
    volumes = {mount.name: mount.volume() for mount in mounts if mount.source}
    if volumes:
        pod["volumes"] = list(volumes.values())
    return {"metadata": metadata, "spec": pod}


def disk_use(mounts: Sequence[Mount]) -> int:
    """MiB of a node's disk that a Pod's emptyDirs may take."""
    sources = {mount.name: mount.source.get("emptyDir", {}) for mount in mounts}
    sizes = [one["sizeLimit"] for one in sources.values() if "sizeLimit" in one and one.get("medium") != "Memory"]
    return sum(-(-bytes_of(size) // 1024**2) for size in sizes)


def injection(plan: Plan) -> dict[str, str]:
    """A Pod's labels that Istio's injector selects by: Pods that operators make in the namespace have none."""
    assert plan.istio is not None
    revision = plan.istio.revision
    return {"sidecar.istio.io/inject": "true"} | ({"istio.io/rev": revision} if revision else {})


def sidecar(plan: Plan, component: str) -> dict[str, str]:
    """How its sidecar is. Native: it starts before init containers, and a Job ends without it. Unmerged
    metrics: else Istio moves scrapes to a port of its own."""
    assert plan.istio is not None
    proxy = plan.istio.proxy
    # What comes in; the way out is its clients' DestinationRule (networking/v1alpha3/destination_rule.proto).
    kept_open = {"proxy.istio.io/config": "proxyMetadata:\n  ISTIO_META_IDLE_TIMEOUT: 0s\n"}
    return (kept_open if component in STORES else {}) | {
        "sidecar.istio.io/nativeSidecar": "true",
        "sidecar.istio.io/proxyCPU": proxy.cpu,
        "sidecar.istio.io/proxyMemory": proxy.memory,
        "sidecar.istio.io/proxyMemoryLimit": proxy.memory,
        "prometheus.istio.io/merge-metrics": "false",
    }


def spread(selected: Mapping[str, str]) -> list[Object]:
    """One a node and evenly over zones, as far as it goes: a drain must never wait for a node that is
    not there."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(selected)},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def lost_node() -> list[Object]:
    """Tolerations of a Pod that may run twice: it is replaced soon after its node stops answering."""
    return [
        {
            "key": f"node.kubernetes.io/{key}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": LOST_NODE,
        }
        for key in ("not-ready", "unreachable")
    ]


def deployment(plan: Plan, component: str, template: Object, *, strategy: Object, deadline: int = 600) -> Object:
    """A component's Deployment.

    deadline: seconds until a rollout that is not Ready counts as failed; Argo CD calls it Degraded then
    """
    workload = plan.workloads[component]
    spec = template["spec"]
    if not any("persistentVolumeClaim" in volume for volume in spec.get("volumes", [])):
        # Nothing forbids two of it, so it need not wait until somebody is sure that the node is off.
        spec["tolerations"] = [*spec.get("tolerations", []), *lost_node()]
    return make(
        plan,
        "Deployment",
        component,
        api="apps/v1",
        wave=workload.wave,
        spec={
            # Whose number an autoscaler sets says none: Argo CD would set it back.
            **({} if workload.autoscaled else {"replicas": workload.replicas}),
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": deadline,
            "strategy": strategy,
            "selector": {"matchLabels": selector(plan, component)},
            "template": template,
        },
    )


def job(plan: Plan, component: str, template: Object) -> Object:
    """A component's Job. Its template cannot change, so its name carries its content: a change makes a new
    one. No ttlSecondsAfterFinished: Argo CD would make a vanished Job again, for ever. What it needs may
    come days later than it does, such as a Secret that a person makes: it never gives up, since nothing would make
    another Job of its name. The kubelet waits five minutes at most between two tries."""
    spec = {"backoffLimit": NEVER, "template": template}
    return make(
        plan,
        "Job",
        component,
        api="batch/v1",
        name=f"{plan.called(component)}-{content_hash(spec)}",
        wave=plan.workloads[component].wave,
        spec=spec,
    )


def cron_job(
    plan: Plan, component: str, template: Object, schedule: str, *, suspend: bool = False, kept: int | None = None
) -> Object:
    """A component's CronJob, in UTC. One at a time; what was missed is made up for within an hour. Fields that the
    API server would fill in are written out.

    kept: seconds that a Job stays when it is done; by default until later ones push it out of the history
    """
    end = {} if kept is None else {"ttlSecondsAfterFinished": kept}
    spec = {
        "schedule": schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3600,
        "suspend": suspend,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": {"backoffLimit": 2, **end, "template": template}},
    }
    return make(plan, "CronJob", component, api="batch/v1", wave=plan.workloads[component].wave, spec=spec)


def stateful_set(
    plan: TenantPlan,
    component: str,
    template: Object,
    *,
    parallel: bool = False,
    claims: Sequence[Object] = (),
) -> Object:
    """A component's StatefulSet; the Service of its name gives its Pods theirs.

    parallel: whether Pods start and stop without waiting for each other
    """
    workload = plan.workloads[component]
    spec: Object = {
        "replicas": workload.replicas,
        "serviceName": plan.called(component),
        "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
        "revisionHistoryLimit": 3,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "selector": {"matchLabels": selector(plan, component)},
        "template": template,
    }
    if claims:
        spec["volumeClaimTemplates"] = list(claims)
    return make(plan, "StatefulSet", component, api="apps/v1", wave=workload.wave, spec=spec)


def autoscaler(plan: TenantPlan, process: Process) -> Object:
    """A HorizontalPodAutoscaler by CPU; while the tenant is stopped it would start what was stopped, so
    nobody draws one then."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.called(process.component)}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": process.autoscale_cpu}}
    return make(
        plan,
        "HorizontalPodAutoscaler",
        process.component,
        api="autoscaling/v2",
        wave=plan.workloads[process.component].wave,
        spec={
            "scaleTargetRef": target,
            "minReplicas": max(process.count, 1),
            "maxReplicas": process.most,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    )


# A new Pod is Ready before an old one goes: with one replica there is no gap.
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
