from matrixfleet.checks import Tree
from rules.breaking import POSTGRESQL, PROD, SYNAPSE, Break, drop, put

ROUTER = f"{PROD}/workload/router/deployment-matrix-prod-router.yaml"
SERVICE = f"{PROD}/workload/synapse/service-matrix-prod-synapse.yaml"
HEADLESS = f"{PROD}/workload/postgresql/service-matrix-prod-postgresql.yaml"
MONITOR = f"{PROD}/workload/metrics/podmonitor-matrix-prod-synapse.yaml"
COMPONENT = "app.kubernetes.io/component"
INSTANCE = {"app.kubernetes.io/instance": "matrix-prod"}


def finder(kind: str, labels: dict[str, str]) -> Break:
    def change(tree: Tree) -> Tree:
        doc = {
            "kind": kind,
            "metadata": {"name": "it", "namespace": "matrix-prod"},
            "spec": {"selector": {"matchLabels": labels}},
        }
        return tree.having(f"{PROD}/workload/it/{kind.lower()}-it.yaml", doc)

    what = "a Service" if kind == "ServiceMonitor" else "Pods"
    labels_said = ", ".join(f"{key}={value}" for key, value in labels.items())
    return Break(f"a {kind} that finds nothing", change, f"selects {labels_said}, expected {what} with these labels")


def expression(tree: Tree) -> Tree:
    said = {"matchExpressions": [{"key": COMPONENT, "operator": "NotIn", "values": ["synapse", "router"]}]}
    return put(SYNAPSE, "spec", "selector", to=said)(tree)


BREAKS = [
    Break(
        "a workload whose selector follows its version",
        put(SYNAPSE, "spec", "selector", "matchLabels", "app.kubernetes.io/version", to="v1.163.2"),
        "Deployment matrix-prod/matrix-prod-synapse: selects by app.kubernetes.io/version",
    ),
    Break(
        "a Service that loses the old Pods in a rollout",
        put(SERVICE, "spec", "selector", "app.kubernetes.io/version", to="v1.163.2"),
        "Service matrix-prod/matrix-prod-synapse: selects by app.kubernetes.io/version",
    ),
    Break(
        "a workload that does not find its own Pods",
        put(SYNAPSE, "spec", "template", "metadata", "labels", COMPONENT, to="main"),
        "app.kubernetes.io/component=synapse, expected its Pods to have these labels",
    ),
    Break(
        "a workload that excludes its own Pods",
        expression,
        "expected its Pods to have these labels",
    ),
    Break(
        "two workloads that find each other's Pods",
        put(ROUTER, "spec", "selector", "matchLabels", to=INSTANCE),
        "selects the Pods of Deployment matrix-prod/matrix-prod-synapse, expected its own alone",
    ),
    Break(
        "a StatefulSet without its Service",
        drop(HEADLESS),
        "serviceName: expected a headless Service, got 'matrix-prod-postgresql'",
    ),
    Break(
        "a StatefulSet whose Service has an address",
        put(HEADLESS, "spec", "clusterIP", to="10.96.0.1"),
        "serviceName: expected a headless Service, got 'matrix-prod-postgresql'",
    ),
    Break(
        "a StatefulSet whose Service is another's",
        put(HEADLESS, "spec", "selector", COMPONENT, to="synapse"),
        f"{POSTGRESQL}: StatefulSet matrix-prod/matrix-prod-postgresql: serviceName: Service"
        " matrix-prod/matrix-prod-postgresql selects other Pods, expected it to select these",
    ),
    Break(
        "a Service that finds nothing",
        put(SERVICE, "spec", "selector", COMPONENT, to="main"),
        "app.kubernetes.io/component=main, expected Pods with these labels",
    ),
    Break(
        "a monitor that looks elsewhere",
        put(MONITOR, "spec", "namespaceSelector", to={"matchNames": ["matrix-prod-turn"]}),
        "app.kubernetes.io/component=synapse, expected Pods with these labels",
    ),
    finder("PodDisruptionBudget", {COMPONENT: "nobody"}),
    finder("ServiceMonitor", {COMPONENT: "bootstrap"}),
    finder("PodMonitor", {"cnpg.io/cluster": "nobody"}),
]
