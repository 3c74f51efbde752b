from rules.breaking import PROD, SYNAPSE, Break, drop, edit, put

NAMESPACE = f"{PROD}/fence/namespace-matrix-prod.yaml"
TURN_NAMESPACE = f"{PROD}/fence/namespace-matrix-prod-turn.yaml"
TURN = f"{PROD}/workload/turn/daemonset-matrix-prod-turn.yaml"
LOGS = "eu1/platform/workload/logs/daemonset-platform-logs.yaml"
LOGS_NAMESPACE = "eu1/platform/fence/namespace-fleet-logs.yaml"
ENFORCE = "pod-security.kubernetes.io/enforce"
POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
CONTEXT = (*CONTAINER, "securityContext")


def pod(what, *keys, to, says):
    return Break(what, put(SYNAPSE, *POD, *keys, to=to), says)


def own(what, *keys, to, says):
    return Break(what, put(SYNAPSE, *CONTEXT, *keys, to=to), f"container synapse: {says}")


BREAKS = [
    Break(
        "a namespace enforces nothing",
        edit(NAMESPACE, lambda doc: doc["metadata"]["labels"].pop(ENFORCE)),
        f"Namespace matrix-prod: expected label {ENFORCE}: restricted, got none",
    ),
    Break(
        "a namespace enforces less and says not why",
        edit(TURN_NAMESPACE, lambda doc: doc["metadata"]["annotations"].pop("matrix-fleet/reason")),
        "enforces privileged; expected restricted, or annotation matrix-fleet/reason",
    ),
    Break("a namespace that is not compiled", drop(NAMESPACE), "expected a compiled Namespace matrix-prod, got none"),
    Break(
        "the host's network in a namespace that enforces restricted",
        put(TURN_NAMESPACE, "metadata", "labels", ENFORCE, to="restricted"),
        "DaemonSet matrix-prod-turn/matrix-prod-turn: hostNetwork: expected none",
    ),
    Break(
        "a host's port in a namespace that enforces restricted",
        put(SYNAPSE, *CONTAINER, "ports", 0, "hostPort", to=8008),
        "container synapse: hostPort 8008: expected none",
    ),
    Break(
        "more than host network and ports, whatever the reason",
        put(TURN, *POD, "hostPID", to=True),
        "DaemonSet matrix-prod-turn/matrix-prod-turn: hostPID: expected none",
    ),
    pod("the node's processes", "hostIPC", to=True, says="hostIPC: expected none"),
    pod(
        "a folder of the node",
        "volumes",
        0,
        to={"name": "configuration", "hostPath": {"path": "/etc"}},
        says="volume configuration: hostPath: expected one of configMap",
    ),
    pod(
        "a sysctl of the node",
        "securityContext",
        "sysctls",
        to=[{"name": "kernel.msgmax", "value": "1"}],
        says="sysctl kernel.msgmax: expected one of the safe ones",
    ),
    pod("root, said of the Pod", "securityContext", "runAsUser", to=0, says="Pod: runs as root"),
    pod(
        "no word that it is not root",
        "securityContext",
        to={"seccompProfile": {"type": "RuntimeDefault"}},
        says="container synapse: expected runAsNonRoot: true",
    ),
    pod(
        "no seccomp profile",
        "securityContext",
        to={"runAsNonRoot": True},
        says="container synapse: expected a seccompProfile",
    ),
    own("root, said of the container", "runAsUser", to=0, says="runs as root"),
    own(
        "unconfined",
        "seccompProfile",
        to={"type": "Unconfined"},
        says="seccompProfile Unconfined: expected RuntimeDefault",
    ),
    own("no AppArmor", "appArmorProfile", to={"type": "Unconfined"}, says="appArmorProfile Unconfined: expected"),
    own(
        "another SELinux type",
        "seLinuxOptions",
        to={"type": "spc_t"},
        says="seLinuxOptions: expected a container's type",
    ),
    own("a process of the host", "windowsOptions", to={"hostProcess": True}, says="hostProcess: expected none"),
    own("privileged", "privileged", to=True, says="expected no privileged"),
    own("may gain privileges", "allowPrivilegeEscalation", to=True, says="expected allowPrivilegeEscalation: false"),
    own("a writable root", "readOnlyRootFilesystem", to=False, says="expected readOnlyRootFilesystem: true"),
    own("keeps capabilities", "capabilities", to={}, says="expected capabilities.drop: [ALL]"),
    own(
        "takes capabilities",
        "capabilities",
        "add",
        to=["NET_ADMIN"],
        says="expected capabilities.add of NET_BIND_SERVICE at most",
    ),
    own("another /proc", "procMount", to="Unmasked", says="expected procMount: Default"),
    Break(
        "a probe of another host",
        put(SYNAPSE, *CONTAINER, "livenessProbe", "httpGet", "host", to="10.0.0.1"),
        "container synapse: expected no host in a probe or hook",
    ),
    Break(
        "another folder of the node than those that its namespace names",
        put(LOGS, *POD, "volumes", 1, to={"name": "pods", "hostPath": {"path": "/etc"}}),
        "volume pods: hostPath: expected one of configMap",
    ),
    Break(
        "writes a folder of the node that is not the fleet's",
        put(LOGS, *CONTAINER, "volumeMounts", 1, to={"name": "pods", "mountPath": "/var/log/pods"}),
        "container vector: /var/log/pods: expected readOnly",
    ),
    Break(
        "root with a capability",
        put(LOGS, *CONTEXT, "capabilities", "add", to=["NET_BIND_SERVICE"]),
        "container vector: expected capabilities.add of NET_BIND_SERVICE at most",
    ),
    Break(
        "root where the namespace names no folders",
        edit(LOGS_NAMESPACE, lambda doc: doc["metadata"]["annotations"].pop("matrix-fleet/host-paths")),
        "DaemonSet fleet-logs/platform-logs: Pod: runs as root",
    ),
    Break(
        "a hook to another host",
        put(SYNAPSE, *CONTAINER, "lifecycle", to={"preStop": {"tcpSocket": {"host": "10.0.0.1", "port": 1}}}),
        "container synapse: expected no host in a probe or hook",
    ),
]
