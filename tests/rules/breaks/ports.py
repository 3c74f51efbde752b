from typing import Any

from matrixfleet.checks import Tree
from rules.breaking import POSTGRESQL, PROD, SYNAPSE, Break, edit, put

ROUTER = f"{PROD}/workload/router/deployment-matrix-prod-router.yaml"
SERVICE = f"{PROD}/workload/synapse/service-matrix-prod-synapse.yaml"
MONITOR = f"{PROD}/workload/metrics/podmonitor-matrix-prod-synapse.yaml"
INGRESS = f"{PROD}/workload/edge/ingress-matrix-prod-matrix.yaml"
CONTAINER = ("spec", "template", "spec", "containers", 0)
PATH = ("spec", "rules", 0, "http", "paths", 0)


def added(what: str, kind: str, says: str, **spec: Any) -> Break:
    def change(tree: Tree) -> Tree:
        doc = {"kind": kind, "metadata": {"name": "it", "namespace": "matrix-prod"}, "spec": spec}
        return tree.having(f"{PROD}/workload/it/{kind.lower()}-it.yaml", doc)

    return Break(what, change, says)


BREAKS = [
    Break(
        "a port without a name",
        edit(SYNAPSE, lambda doc: doc["spec"]["template"]["spec"]["containers"][0]["ports"][0].pop("name")),
        "port 8008/TCP: expected a name of up to 15 of a-z 0-9 and single -, got ''",
    ),
    Break(
        "a port's name that the API server refuses",
        put(SYNAPSE, *CONTAINER, "ports", 1, "name", to="metrics-of-synapse"),
        "port 9092/TCP: expected a name of up to 15 of a-z 0-9 and single -, got 'metrics-of-synapse'",
    ),
    Break(
        "two ports of one name",
        put(SYNAPSE, *CONTAINER, "ports", 1, "name", to="http"),
        "port http 9092/TCP: is there twice, expected a name and a number of its own",
    ),
    Break(
        "two containers that listen on one port",
        put(
            POSTGRESQL,
            "spec",
            "template",
            "spec",
            "containers",
            1,
            "ports",
            to=[{"name": "x", "containerPort": 5432}],
        ),
        "port x 5432/TCP: is there twice, expected a name and a number of its own",
    ),
    Break(
        "a probe of a port that nobody has",
        put(ROUTER, *CONTAINER, "livenessProbe", "httpGet", "port", to="health"),
        "container haproxy: livenessProbe: expected a port health of its own",
    ),
    Break(
        "a container that listens and is not asked whether it is ready",
        edit(SYNAPSE, lambda doc: doc["spec"]["template"]["spec"]["containers"][0].pop("readinessProbe")),
        "container synapse: has ports, expected a readinessProbe",
    ),
    Break(
        "a server that is not ready because its exporter is not",
        edit(POSTGRESQL, lambda doc: doc["spec"]["template"]["spec"]["containers"][2].update(readinessProbe={})),
        "container exporter: has ports, expected no readinessProbe: its Pod would go with it",
    ),
    Break(
        "a Service that sends to no port",
        put(SERVICE, "spec", "ports", 0, "targetPort", to="client"),
        "targetPort: expected a TCP port client in the Pods of Deployment matrix-prod/matrix-prod-synapse",
    ),
    Break(
        "a Service that sends by another protocol",
        put(SERVICE, "spec", "ports", 0, "protocol", to="UDP"),
        "targetPort: expected a UDP port http in the Pods of Deployment matrix-prod/matrix-prod-synapse",
    ),
    Break(
        "a PodMonitor of no port",
        put(MONITOR, "spec", "podMetricsEndpoints", 0, "port", to="prometheus"),
        "endpoint: expected a port prometheus in the Pods of Deployment matrix-prod/matrix-prod-synapse",
    ),
    added(
        "a ServiceMonitor of no port",
        "ServiceMonitor",
        "endpoint: expected a port prometheus in Service matrix-prod/matrix-prod-synapse",
        selector={"matchLabels": {"app.kubernetes.io/component": "synapse"}},
        endpoints=[{"port": "prometheus"}],
    ),
    Break(
        "an Ingress to a Service that is not there",
        put(INGRESS, *PATH, "backend", "service", "name", to="matrix-prod-main"),
        "backend: expected a Service matrix-prod-main with a port http",
    ),
    Break(
        "an Ingress to a port that is not there",
        put(INGRESS, *PATH, "backend", "service", "port", to={"number": 8009}),
        "backend: expected a Service matrix-prod-router with a port 8009",
    ),
    added(
        "an HTTPRoute to a port that is not there",
        "HTTPRoute",
        "backend: expected a Service matrix-prod-router with a port 8009",
        rules=[{"backendRefs": [{"name": "matrix-prod-router", "port": 8009}]}],
    ),
    added(
        "an IngressRoute to a Service that is not there",
        "IngressRoute",
        "backend: expected a Service matrix-prod-main with a port http",
        routes=[{"services": [{"name": "matrix-prod-main", "port": "http"}]}],
    ),
]
