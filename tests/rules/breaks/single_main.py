from rules.breaking import MEDIA, POSTGRESQL, PROD, SYNAPSE, Break, drop, edit, put

CLUB = "eu1/chess-club/workload/synapse/configmap-chess-club-synapse.yaml"
KEY = f"{PROD}/workload/synapse/persistentvolumeclaim-matrix-prod-signing-key.yaml"
COMMAND = ("spec", "template", "spec", "containers", 0, "command")
NAME = "Deployment matrix-prod/matrix-prod-synapse"


def scaler(tree):
    doc = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "matrix-prod-synapse", "namespace": "matrix-prod"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "matrix-prod-synapse"},
            "maxReplicas": 3,
        },
    }
    return tree.having(f"{PROD}/workload/synapse/horizontalpodautoscaler-matrix-prod-synapse.yaml", doc)


def shared(tree):
    """Two volumes, neither of which locks."""
    for path in (MEDIA, KEY):
        tree = put(path, "spec", "accessModes", to=["ReadWriteMany"])(tree)
    return tree


def other_database(doc):
    doc["data"]["homeserver.yaml"] = doc["data"]["homeserver.yaml"].replace("chess-club-postgresql.chess-club", "db.x")


def same_database(tree):
    tree = edit(CLUB, other_database)(tree)
    path = f"{PROD}/workload/synapse/configmap-matrix-prod-synapse.yaml"
    return edit(
        path,
        lambda doc: doc["data"].update(
            {"homeserver.yaml": doc["data"]["homeserver.yaml"].replace("matrix-prod-postgresql.matrix-prod", "db.x")}
        ),
    )(tree)


BREAKS = [
    Break(
        "no main process", drop(SYNAPSE), "expected one workload of its target to run synapse.app.homeserver, got none"
    ),
    Break(
        "two main processes",
        put(POSTGRESQL, *COMMAND, to=["python", "-m", "synapse.app.homeserver"]),
        f"to run synapse.app.homeserver, got {NAME}, StatefulSet matrix-prod/matrix-prod-postgresql",
    ),
    Break(
        "one on every node",
        put(SYNAPSE, "kind", to="DaemonSet"),
        "expected a Deployment or StatefulSet for it, got a DaemonSet",
    ),
    Break("more replicas", put(SYNAPSE, "spec", "replicas", to=2), f"{NAME}: replicas: expected 1 or 0, got 2"),
    Break(
        "a second one while the first ends",
        put(SYNAPSE, "spec", "strategy", to={"type": "RollingUpdate"}),
        f"{NAME}: strategy: expected Recreate, got RollingUpdate",
    ),
    Break("no lock", shared, f"{NAME}: expected its container to mount a claim with accessModes ['ReadWriteOncePod']"),
    Break("a scaler", scaler, "HorizontalPodAutoscaler matrix-prod/matrix-prod-synapse: scales the main process"),
    Break(
        "one database of two tenants",
        same_database,
        "ConfigMap matrix-prod/matrix-prod-synapse: database synapse on db.x.svc.cluster.local is eu1.chess-club's",
    ),
]
