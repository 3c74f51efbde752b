from matrixfleet.checks import Tree
from rules.breaking import PROD, SYNAPSE, Break, drop, edit, put

MONITOR = f"{PROD}/workload/metrics/podmonitor-matrix-prod-synapse.yaml"
POLICY = f"{PROD}/fence/networkpolicy-matrix-prod-synapse.yaml"
US = "us1/research/workload/synapse/deployment-research-synapse.yaml"
ANNOTATIONS = ("spec", "template", "metadata", "annotations")
NAME = "Deployment matrix-prod/matrix-prod-synapse"


def second(tree):
    """A ServiceMonitor beside the PodMonitor."""
    service = tree.entries[f"{PROD}/workload/synapse/service-matrix-prod-synapse.yaml"]
    doc = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "again", "namespace": "matrix-prod"},
        "spec": {"selector": {"matchLabels": service.labels}, "endpoints": [{"port": "metrics"}]},
    }
    return tree.having(f"{PROD}/workload/metrics/servicemonitor-again.yaml", doc)


def unwatched(tree):
    """A cluster in which nothing is to be scraped."""
    assert tree.fleet is not None
    return Tree(tree.entries, tree.texts, tree.fleet.changed("eu1.platform", ("cluster", "metrics"), "none"))


BREAKS = [
    Break("scraped by nobody", drop(MONITOR), f"{NAME}: cluster.metrics is prometheus-operator: expected 1 endpoints"),
    Break("scraped by two", second, "got PodMonitor matrix-prod/matrix-prod-synapse, ServiceMonitor matrix-prod/again"),
    Break(
        "scraped in both ways",
        put(SYNAPSE, *ANNOTATIONS, "prometheus.io/scrape", to="true"),
        f"{NAME}: cluster.metrics is prometheus-operator: expected prometheus.io/scrape missing",
    ),
    Break("scraped where nothing is", unwatched, f"{NAME}: cluster.metrics is none: expected 0 endpoints of monitors"),
    Break(
        "not annotated",
        edit(US, lambda doc: doc["spec"]["template"]["metadata"]["annotations"].pop("prometheus.io/scrape")),
        "Deployment research/research-synapse: cluster.metrics is annotations: expected prometheus.io/scrape true",
    ),
    Break(
        "another port",
        put(US, *ANNOTATIONS, "prometheus.io/port", to="8008"),
        "prometheus.io/port: expected 9092, got 8008",
    ),
    Break(
        "a port that nobody may reach",
        edit(POLICY, lambda doc: doc["spec"]["ingress"].pop()),
        f"{NAME}: expected a NetworkPolicy that admits cluster.network.monitoring on TCP 9092, got none",
    ),
    Break(
        "a port that somebody else may reach",
        put(POLICY, "spec", "ingress", 1, "from", to=[{"ipBlock": {"cidr": "10.0.0.0/24"}}]),
        f"{NAME}: expected a NetworkPolicy that admits cluster.network.monitoring on TCP 9092, got none",
    ),
]
