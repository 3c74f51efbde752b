"""Every Pod keeps to Pod Security `restricted`, on a root that it cannot write.

Kubernetes refuses a Pod that does not, but only when it is to start. A namespace that enforces less says
why, and is given host network and host ports for it, or the folders of its node that it names, nothing else.
Where it names some a Pod may be root, without any capability: such files are root's alone. The controls are
those of the Pod Security Standards, each with the values that they list.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.tree import Finding, Json, Pod, Tree

ENFORCE = "pod-security.kubernetes.io/enforce"
REASON = "matrix-fleet/reason"
HOST_PATHS = "matrix-fleet/host-paths"
WRITABLE = "/var/lib/matrix-fleet-"
"""What folders of a node begin with that a Pod may write."""
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
CAPABILITIES = {"NET_BIND_SERVICE"}
PROFILES = {"RuntimeDefault", "Localhost"}
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
HANDLERS = ("startupProbe", "readinessProbe", "livenessProbe")


def check(tree: Tree) -> Iterator[Finding]:
    """Namespaces, then Pods against their namespace."""
    for entry in tree.of_kind("Namespace"):
        level = entry.labels.get(ENFORCE)
        if level is None:
            yield tree.finding(entry, "pod-security", f"expected label {ENFORCE}: restricted, got none")
        elif level != "restricted" and not entry.annotations.get(REASON):
            yield tree.finding(entry, "pod-security", f"enforces {level}; expected restricted, or annotation {REASON}")
    for pod in tree.pods:
        home = tree.find(pod.entry.cluster, "Namespace", "", pod.entry.namespace)
        if home is None:
            message = f"expected a compiled Namespace {pod.entry.namespace}, got none: what it enforces is unknown"
            yield tree.finding(pod.entry, "pod-security", message)
        lent = set(str(home.annotations.get(HOST_PATHS, "")).split(",")) - {""} if home else set()
        faults = [
            *pod_faults(pod, lent),
            *(fault for one in pod.containers for fault in container_faults(pod, one, lent)),
        ]
        if home is None or home.labels.get(ENFORCE) == "restricted":
            faults += host_faults(pod)
        yield from (tree.finding(pod.entry, "pod-security", fault) for fault in faults)


def host_faults(pod: Pod) -> Iterator[str]:
    """What a namespace with a reason may have."""
    if pod.host_network:
        yield "hostNetwork: expected none in a namespace that enforces restricted"
    for one in pod.containers:
        for port in one.get("ports", []):
            if port.get("hostPort"):
                yield f"container {one['name']}: hostPort {port['hostPort']}: expected none"


def pod_faults(pod: Pod, lent: set[str]) -> Iterator[str]:
    """Controls of the whole Pod.

    lent: folders of its node
    """
    yield from (f"{key}: expected none" for key in ("hostPID", "hostIPC") if pod.spec.get(key))
    for volume in pod.spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - VOLUMES:
            path = volume[kind].get("path") if kind == "hostPath" else None
            if path in lent:
                yield from (fault for one in pod.containers for fault in written_faults(one, volume["name"], path))
                continue
            yield f"volume {volume['name']}: {kind}: expected one of {', '.join(sorted(VOLUMES))}"
    context = pod.spec.get("securityContext") or {}
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}: expected one of the safe ones"
    yield from (f"Pod: {fault}" for fault in forbidden(context, bool(lent)))


def written_faults(one: Json, name: str, path: str) -> Iterator[str]:
    """A folder of the node that is not the fleet's own is not written."""
    for mount in one.get("volumeMounts", []):
        if mount["name"] == name and not mount.get("readOnly") and not path.startswith(WRITABLE):
            yield f"container {one['name']}: {path}: expected readOnly, since it is the node's own"


def container_faults(pod: Pod, one: Json, lent: set[str]) -> Iterator[str]:
    """Controls of one container, with what it takes over from the Pod."""
    own = one.get("securityContext") or {}
    context = {**(pod.spec.get("securityContext") or {}), **own}
    capabilities = own.get("capabilities") or {}
    demands = {
        "runAsNonRoot: true": context.get("runAsNonRoot") is True or bool(lent),
        "a seccompProfile": "seccompProfile" in context,
        "allowPrivilegeEscalation: false": own.get("allowPrivilegeEscalation") is False,
        "readOnlyRootFilesystem: true": own.get("readOnlyRootFilesystem") is True,
        "capabilities.drop: [ALL]": "ALL" in capabilities.get("drop", []),
        "capabilities.add of NET_BIND_SERVICE at most": CAPABILITIES.issuperset(capabilities.get("add", []))
        and not (lent and capabilities.get("add")),
        "no privileged": not own.get("privileged"),
        "procMount: Default": own.get("procMount", "Default") == "Default",
        "no host in a probe or hook": not any(names_host(one.get(key)) for key in HANDLERS)
        and not any(map(names_host, (one.get("lifecycle") or {}).values())),
    }
    yield from (f"container {one['name']}: expected {demand}" for demand, kept in demands.items() if not kept)
    yield from (f"container {one['name']}: {fault}" for fault in forbidden(own, bool(lent)))


def forbidden(context: Json, may_be_root: bool) -> Iterator[str]:
    """Values that neither a Pod nor a container may set."""
    if not may_be_root and (context.get("runAsNonRoot") is False or context.get("runAsUser") == 0):
        yield "runs as root; expected runAsNonRoot: true and another runAsUser"
    for key in ("seccompProfile", "appArmorProfile"):
        if key in context and context[key].get("type") not in PROFILES:
            yield f"{key} {context[key].get('type')}: expected RuntimeDefault or Localhost"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions: expected a container's type, and neither user nor role"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess: expected none"


def names_host(handler: Json | None) -> bool:
    """Whether a probe or hook goes to some other host."""
    return any((handler or {}).get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket"))
