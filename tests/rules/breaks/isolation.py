from collections.abc import Callable

from matrixfleet.checks import Tree
from rules.breaking import PROD, Break, edit, put

CLUB = "eu1/chess-club"
A = "ap1/tenant-a"
DATABASE = f"{A}/shared/database-tenant-a-postgresql.yaml"
CLUSTER = "ap1/platform/workload/cnpg/cluster-platform-postgresql.yaml"
INSTANCE = "app.kubernetes.io/instance"
EVERYBODYS = {"app.kubernetes.io/name": "synapse"}
FROM = ("spec", "ingress", 0, "from", 0, "podSelector")
INGRESS = f"{CLUB}/workload/edge/ingress-chess-club-element.yaml"
POLICY = f"{CLUB}/fence/networkpolicy-chess-club-synapse.yaml"
BINDING = f"{CLUB}/fence/rolebinding-chess-club-bootstrap.yaml"
BOOTSTRAP = f"{CLUB}/workload/bootstrap/configmap-chess-club-bootstrap.yaml"
CONFIG = f"{CLUB}/workload/synapse/configmap-chess-club-synapse.yaml"
TURN = f"{PROD}/workload/turn/daemonset-matrix-prod-turn.yaml"
TURN_CONFIG = f"{PROD}/workload/turn/configmap-matrix-prod-turn.yaml"
RECEIVERS = f"{PROD}/workload/receivers/alertmanagerconfig-matrix-prod-alerts.yaml"


def replaced(path, key, old, new):
    """A file of a ConfigMap with one text for another."""

    def change(doc):
        assert old in doc["data"][key], old
        doc["data"][key] = doc["data"][key].replace(old, new)

    return edit(path, change)


def second_turn(change):
    """Another tenant's Coturn on the same cluster, which differs as given."""

    def how(tree):
        config = tree.entries[TURN_CONFIG].doc
        config = {**config, "metadata": {**config["metadata"], "namespace": "chess-club-turn"}}
        tree = tree.having(f"{CLUB}/workload/turn/configmap.yaml", config)
        tree = tree.having(f"{CLUB}/workload/turn/daemonset.yaml", tree.entries[TURN].doc)

        def move(doc):
            doc["metadata"]["namespace"] = "chess-club-turn"
            change(doc)

        return tree.edited(f"{CLUB}/workload/turn/daemonset.yaml", move)

    return how


def other_ports(doc):
    for port in doc["spec"]["template"]["spec"]["containers"][0]["ports"]:
        port["containerPort"] = port["hostPort"] = port["containerPort"] + 1000


def orders(*kinds: str) -> Callable[[Tree], Tree]:
    """Two tenants' orders of the same."""

    def change(tree: Tree) -> Tree:
        for kind, target in zip(kinds, (CLUB, "us1/research"), strict=True):
            name = target.partition("/")[2]
            asked = [{"secretKey": "a", "remoteRef": {"key": "fleet/one", "property": "a"}}]
            spec = {"path": "fleet/one", "destination": {"name": "one"}, "data": asked, "target": {"name": "one"}}
            doc = {"kind": kind, "metadata": {"name": "one", "namespace": name}, "spec": spec}
            tree = tree.having(f"{target}/secrets/one.yaml", doc)
        return tree

    return change


def same_bucket(tree):
    """Two tenants' media in one place, whose server is written in two ways."""
    options = tree.entries["us1/newsroom/workload/synapse/configmap-newsroom-synapse.yaml"].doc["data"][
        "homeserver.yaml"
    ]
    block = options[options.index("media_storage_providers:") : options.index("max_upload_size:")]
    block = block.replace("prefix:", "endpoint_url: https://s3.us-east-1.amazonaws.com\n    prefix:")
    return replaced(CONFIG, "homeserver.yaml", "max_upload_size:", f"{block}max_upload_size:")(tree)


BREAKS = [
    Break(
        "one part of a bucket",
        same_bucket,
        "media Amazon/matrix-fleet-media/newsroom.example.org/ is eu1.chess-club's already (ConfigMap chess-club/chess-club-synapse",
    ),
    Break(
        "one host of two tenants",
        put(INGRESS, "spec", "rules", 0, "host", to="chat.example.com"),
        "host chat.example.com is eu1.chess-club's already (Ingress chess-club/chess-club-element, eu1/chess-club/",
    ),
    Break(
        "one name of two servers, on two clusters",
        replaced(CONFIG, "homeserver.yaml", "server_name: chess.example.org", "server_name: matrix.lab.example.net"),
        "server_name matrix.lab.example.net is eu1.chess-club's already (ConfigMap chess-club/chess-club-synapse",
    ),
    Break(
        "one namespace of two tenants",
        put(f"{CLUB}/fence/namespace-chess-club.yaml", "metadata", "name", to="matrix-prod"),
        "namespace matrix-prod of cluster eu1 is eu1.chess-club's already (Namespace matrix-prod",
    ),
    Break(
        "one Secret of two tenants",
        replaced(
            BOOTSTRAP,
            "secrets.json",
            '"name": "chess-club-database-1",\n    "namespaces": [\n      "chess-club"',
            '"name": "matrix-prod-database-1",\n    "namespaces": [\n      "matrix-prod"',
        ),
        "Secret matrix-prod/matrix-prod-database-1 of cluster eu1 is eu1.chess-club's already",
    ),
    Break(
        "one secret of a store for two tenants, on two clusters",
        orders("ExternalSecret", "VaultStaticSecret"),
        "store's secret fleet/one is eu1.chess-club's already (ExternalSecret chess-club/one",
    ),
    Break(
        "a Secret in another's namespace",
        replaced(BOOTSTRAP, "secrets.json", '      "chess-club"\n', '      "matrix-prod"\n'),
        "ConfigMap chess-club/chess-club-bootstrap: reaches into matrix-prod, eu1.matrix-prod's (eu1/matrix-prod/fence/",
    ),
    Break(
        "an object in another's namespace",
        put(INGRESS, "metadata", "namespace", to="matrix-prod"),
        "Ingress matrix-prod/chess-club-element: reaches into matrix-prod, eu1.matrix-prod's",
    ),
    Break(
        "traffic from another's Pods",
        put(
            POLICY,
            "spec",
            "ingress",
            0,
            "from",
            0,
            "namespaceSelector",
            to={"matchLabels": {"kubernetes.io/metadata.name": "matrix-prod"}},
        ),
        "NetworkPolicy chess-club/chess-club-synapse: reaches into matrix-prod, eu1.matrix-prod's",
    ),
    Break(
        "another's account may read Secrets",
        put(BINDING, "subjects", 0, "namespace", to="matrix-prod"),
        "RoleBinding chess-club/chess-club-bootstrap: reaches into matrix-prod, eu1.matrix-prod's",
    ),
    Break(
        "another's database",
        replaced(CONFIG, "homeserver.yaml", "postgresql.chess-club.svc", "postgresql.matrix-prod.svc"),
        "ConfigMap chess-club/chess-club-synapse: reaches into matrix-prod, eu1.matrix-prod's",
    ),
    Break(
        "two relays on one node, with the same ports",
        second_turn(lambda doc: None),
        "UDP 3478-3478 of a node: DaemonSet",
    ),
    Break(
        "two relays on one node, with the same range",
        second_turn(other_ports),
        "UDP 49152-65535 of a node: DaemonSet",
    ),
    Break(
        "a policy of a shared namespace that is for everybody's Pods",
        put(f"{A}/fence/networkpolicy-tenant-a-synapse.yaml", "spec", "podSelector", "matchLabels", to=EVERYBODYS),
        "podSelector: expected app.kubernetes.io/instance: tenant-a, since several tenants share matrix-tenants",
    ),
    Break(
        "traffic from a neighbour's Pods",
        put(f"{A}/fence/networkpolicy-tenant-a-synapse.yaml", *FROM, to={"matchLabels": EVERYBODYS}),
        "ingress rule 1: expected app.kubernetes.io/instance: tenant-a, since several tenants share matrix-tenants",
    ),
    Break(
        "a Service of a neighbour's Pods",
        put(f"{A}/workload/router/service-tenant-a-router.yaml", "spec", "selector", INSTANCE, to="tenant-b"),
        "spec.selector: expected app.kubernetes.io/instance: tenant-a",
    ),
    Break(
        "an object that a neighbour has",
        put(f"{A}/workload/router/service-tenant-a-router.yaml", "metadata", "name", to="tenant-b-router"),
        "Service matrix-tenants/tenant-b-router of cluster ap1 is ap1.tenant-a's already",
    ),
    Break(
        "one database of two tenants",
        lambda tree: tree.having("ap1/tenant-b/shared/database.yaml", tree.entries[DATABASE].doc),
        "database synapse_tenant_a of fleet/platform-postgresql of cluster ap1 is ap1.tenant-a's already",
    ),
    Break(
        "one role of two tenants",
        lambda tree: tree.having("ap1/tenant-b/cluster.yaml", tree.entries[CLUSTER].doc).having(
            "ap1/tenant-a/cluster.yaml", tree.entries[CLUSTER].doc
        ),
        "role synapse_tenant_a of fleet/platform-postgresql of cluster ap1 is ap1.tenant-",
    ),
    Break(
        "a DestinationRule that every tenant's sidecars follow",
        edit("ap1/tenant-b/fence/destinationrule-tenant-b-postgresql.yaml", lambda doc: doc["spec"].pop("exportTo")),
        "exportTo: expected namespaces by name, or `.`; sidecars of every tenant hear of it, got ['*']",
    ),
    Break(
        "receivers of every tenant's alerts",
        put(RECEIVERS, "spec", "route", "matchers", to=[]),
        "route: expected a matcher tenant=matrix-prod",
    ),
    Break(
        "a cause that silences every tenant's alerts",
        put(RECEIVERS, "spec", "inhibitRules", 1, "targetMatch", 0, "value", to="matrix-ha"),
        "inhibitRules 2: expected a matcher tenant=matrix-prod",
    ),
]
