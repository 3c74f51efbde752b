from rules.breaking import MEDIA, POSTGRESQL, Break, put

BREAKS = [
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
]
