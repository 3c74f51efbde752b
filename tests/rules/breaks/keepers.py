from collections.abc import Callable

from matrixfleet.checks import Tree
from rules.breaking import MEDIA, POSTGRESQL, PROD, Break, put

ORDER = f"{PROD}/workload/secrets/externalsecret-matrix-prod-turn-1.yaml"
CLUSTER = "eu1/matrix-ha/workload/cnpg/cluster-matrix-ha-postgresql.yaml"
DATABASE = "ap1/tenant-a/shared/database-tenant-a-postgresql.yaml"


def order(kind: str, **spec: object) -> Callable[[Tree], Tree]:
    """An order to a store, which nobody keeps."""
    doc = {"kind": kind, "metadata": {"name": "matrix-prod-turn-1", "namespace": "matrix-prod"}, "spec": spec}
    return lambda tree: tree.having(ORDER, doc)


BREAKS = [
    Break("an order may be pruned", order("VaultStaticSecret"), "argocd.argoproj.io/sync-options lacks Prune=false"),
    Break("an order may be deleted", order("ExternalSecret"), "argocd.argoproj.io/sync-options lacks Delete=false"),
    Break(
        "a Secret goes with its order",
        order("ExternalSecret", target={"creationPolicy": "Owner", "deletionPolicy": "Retain"}),
        "expected target.creationPolicy: Orphan, got Owner",
    ),
    Break(
        "a Secret goes with what is in the store",
        order("ExternalSecret", target={"creationPolicy": "Orphan", "deletionPolicy": "Delete"}),
        "expected target.deletionPolicy: Retain, got Delete",
    ),
    Break(
        "a claim may be pruned",
        put(MEDIA, "metadata", "annotations", to={}),
        "PersistentVolumeClaim matrix-prod/matrix-prod-media: argocd.argoproj.io/sync-options lacks Prune",
    ),
    Break(
        "a claim template may be pruned",
        put(POSTGRESQL, "spec", "volumeClaimTemplates", 0, "metadata", "annotations", to={}),
        "claim template data: argocd.argoproj.io/sync-options lacks Delete=false",
    ),
    Break(
        "claims go with their StatefulSet",
        put(POSTGRESQL, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted", to="Delete"),
        "expected persistentVolumeClaimRetentionPolicy whenDeleted and whenScaled: Retain",
    ),
    Break(
        "volumes go with their claims",
        put("eu1/platform/workload/storage/storageclass-matrix-media.yaml", "reclaimPolicy", to="Delete"),
        "StorageClass matrix-media: expected reclaimPolicy: Retain, got Delete",
    ),
    Break(
        "a Cluster may be pruned, and its volumes with it",
        put(CLUSTER, "metadata", "annotations", to={}),
        "Cluster matrix-ha/matrix-ha-postgresql: argocd.argoproj.io/sync-options lacks Prune=false",
    ),
    Break(
        "a database goes with its object",
        put(DATABASE, "spec", "databaseReclaimPolicy", to="delete"),
        "Database fleet/tenant-a-postgresql: expected databaseReclaimPolicy: retain, got delete",
    ),
]
