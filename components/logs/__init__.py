"""The agent that reads logs: Vector, one a node, for every Pod of the fleet there. It tells whose a line is, takes out
what nobody may read, holds each Pod to its share, and hands on."""

from collections.abc import Iterator
from typing import Any

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object, to_yaml
from matrixfleet.kubernetes.objects import PART_OF, make, selector
from matrixfleet.kubernetes.pods import Mount, configuration, container, pod_template, probe, secret_files
from matrixfleet.model.choices import Logs
from matrixfleet.model.logs import LogStore
from matrixfleet.plan import PlatformPlan
from matrixfleet.plan.families import endpoint
from matrixfleet.plan.logs import PLACE, PODS
from matrixfleet.templates import read

FOLDER = "/etc/vector"
NAME = "matrix-fleet-logs"
NODE_NAME = "VECTOR_SELF_NODE_NAME"
"""Variable that the source reads its node's name from (sources/kubernetes_logs, self_node_name)."""
WINDOW = 10
"""Seconds over which lines are counted: a start or a traceback is no flood."""


@component("workload/logs")
def main(plan: PlatformPlan) -> Iterator[Object]:
    """Configuration, DaemonSet, and the right to know whose Pods are on a node; nothing where lines end on stdout."""
    if "logs" not in plan.workloads:
        return
    files = {"vector.yaml": to_yaml(vector(plan)), "clean.vrl": read(__file__, "clean.vrl")}
    store = plan.cluster.logs.store
    if store and store.ca:
        files["store-ca.crt"] = store.ca
    place, wave = plan.logs_namespace, plan.workloads["logs"].wave
    yield make(plan, "ConfigMap", "logs", wave=wave, namespace=place, data=files)
    yield cluster_role(plan)
    yield cluster_role_binding(plan)
    yield make(
        plan,
        "DaemonSet",
        "logs",
        api="apps/v1",
        wave=wave,
        namespace=place,
        spec={
            "revisionHistoryLimit": 3,
            # Two on one node would write one place in the files.
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "selector": {"matchLabels": selector(plan, "logs")},
            "template": template(plan, files),
        },
    )


def vector(plan: PlatformPlan) -> Object:
    """vector.yaml. A line that cannot be cleaned is not handed on; the store's acknowledgement moves the place in the
    file, so what it did not take is read again."""
    logs = plan.cluster.logs
    assert logs.store is not None
    made: Object = {"data_dir": PLACE}
    if logs.store.user:
        made["secret"] = {"files": {"type": "directory", "path": plan.secret("logs").path("").rstrip("/")}}
    made["sources"] = {
        "pods": {
            "type": "kubernetes_logs",
            # self_node_name is left out: its default is the variable NODE_NAME (below). Vector 0.57 no longer replaces
            # ${VAR} in configuration (vector.dev, upgrade guide), and a name that stays as it is matches no Pod.
            "include_paths_glob_patterns": [f"{PODS}/**/*"],
            "extra_label_selector": f"app.kubernetes.io/part-of={PART_OF}",
            # A Pod's label is its writer's; namespaces are the fence's.
            "extra_namespace_label_selector": f"app.kubernetes.io/part-of={PART_OF}",
            # Asks the API server's cache and not etcd, on every node at once.
            "use_apiserver_cache": True,
        },
        "own": {"type": "internal_metrics"},
    }
    made["transforms"] = {
        "clean": {
            "type": "remap",
            "inputs": ["pods"],
            "file": f"{FOLDER}/clean.vrl",
            "drop_on_error": True,
            "drop_on_abort": True,
        },
        "limit": {
            "type": "throttle",
            "inputs": ["clean"],
            "key_field": "{{ namespace }}/{{ pod }}",
            "threshold": logs.lines_per_second * WINDOW,
            "window_secs": WINDOW,
        },
    }
    made["sinks"] = {
        "store": {
            "inputs": ["limit"],
            **SINKS[logs.kind](plan.cluster.name, logs.store),
            **authentication(logs.store),
            **({"tls": {"ca_file": f"{FOLDER}/store-ca.crt"}} if logs.store.ca else {}),
            "acknowledgements": {"enabled": True},
            # 256 MiB is the least that Vector takes. Full, the files are read later, and the kubelet rotates them.
            "buffer": {"type": "disk", "max_size": 268435488, "when_full": "block"},
        }
    }
    if "metrics" in plan.workloads["logs"].ports:
        port = plan.workloads["logs"].ports["metrics"]
        address = endpoint(plan.cluster.network, port)
        made["sinks"]["metrics"] = {"type": "prometheus_exporter", "inputs": ["own"], "address": address}
    return made


def loki(cluster: str, store: LogStore) -> Object:
    """Few labels: each set of them is a stream of its own. The rest is beside the line."""
    labels = {"cluster": cluster, **{name: f"{{{{ {name} }}}}" for name in ("tenant", "component", "level")}}
    return {
        "type": "loki",
        "endpoint": store.address,
        "labels": labels,
        "structured_metadata": {name: f"{{{{ {name} }}}}" for name in ("namespace", "pod", "container", "node")},
        "encoding": {"codec": "text"},
    }


def elasticsearch(cluster: str, store: LogStore) -> Object:
    """A data stream per namespace, `logs-matrix.<cluster>-<namespace>` with _ for -, and per tenant where a namespace
    has several: each with a lifetime and readers of its own."""
    dataset = f"matrix.{cluster.replace('-', '_')}"
    return {
        "type": "elasticsearch",
        "endpoints": [store.address],
        "mode": "data_stream",
        "data_stream": {"type": "logs", "dataset": dataset, "namespace": "{{ stream }}", "auto_routing": False},
        "encoding": {"except_fields": ["stream"]},
    }


SINKS = {Logs.LOKI: loki, Logs.ELASTICSEARCH: elasticsearch}


def authentication(store: LogStore) -> dict[str, Any]:
    """Its password is read from its file."""
    if store.user is None:
        return {}
    return {"auth": {"strategy": "basic", "user": store.user, "password": "SECRET[files.password]"}}


def node_folder(name: str, path: str, kind: str, read_only: bool) -> Mount:
    """A folder of the node."""
    return Mount(name, path, {"hostPath": {"path": path, "type": kind}}, read_only=read_only)


def template(plan: PlatformPlan, files: dict[str, str]) -> Object:
    """Root, since the files are root's, and without any capability."""
    mounts = [
        configuration(plan, "logs", FOLDER),
        node_folder("pods", PODS, "Directory", True),
        node_folder("place", PLACE, "DirectoryOrCreate", False),
        *(secret_files(secret) for secret in plan.secrets if "logs" in secret.readers),
    ]
    node = {"name": NODE_NAME, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}
    ports = plan.workloads["logs"].ports
    answers = {"httpGet": {"path": "/metrics", "port": "metrics"}} if ports else {}
    agent = container(
        plan,
        "logs",
        "vector",
        ["/usr/bin/vector", "--config", f"{FOLDER}/vector.yaml"],
        mounts,
        env=[node],
        ports=ports,
        **({"readinessProbe": probe(10, 3, 5, **answers)} if answers else {}),
        **({"livenessProbe": probe(30, 3, 5, **answers)} if answers else {}),
    )
    made = pod_template(plan, "logs", [agent], mounts, reads=files, token=True, terminationGracePeriodSeconds=60)
    # It does not read itself: each failure to hand on would be a line to hand on.
    made["metadata"]["labels"]["vector.dev/exclude"] = "true"
    return made


def cluster_role(plan: PlatformPlan) -> Object:
    """What the source needs of the API: Pods of its node and the labels of their namespaces."""
    rules = [{"apiGroups": [""], "resources": ["pods", "namespaces", "nodes"], "verbs": ["list", "watch"]}]
    wave = plan.workloads["logs"].wave
    api = "rbac.authorization.k8s.io/v1"
    return make(plan, "ClusterRole", "logs", api=api, name=NAME, namespace=None, wave=wave, rules=rules)


def cluster_role_binding(plan: PlatformPlan) -> Object:
    """The agent's ServiceAccount alone has it."""
    subject = {"kind": "ServiceAccount", "name": plan.called("logs"), "namespace": plan.logs_namespace}
    return make(
        plan,
        "ClusterRoleBinding",
        "logs",
        api="rbac.authorization.k8s.io/v1",
        name=NAME,
        namespace=None,
        wave=plan.workloads["logs"].wave,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        subjects=[subject],
    )
