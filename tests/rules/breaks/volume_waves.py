from rules.breaking import MEDIA, POSTGRESQL, PROD, SYNAPSE, Break, edit, put

ELEMENT = f"{PROD}/workload/element/deployment-matrix-prod-element.yaml"
CLAIM = {"name": "media", "persistentVolumeClaim": {"claimName": "matrix-prod-media"}}

BREAKS = [
    Break(
        "a claim before its Pod",
        put(MEDIA, "metadata", "annotations", "argocd.argoproj.io/sync-wave", to="1"),
        "expected wave 2, that of Deployment matrix-prod/matrix-prod-synapse, which mounts it first, got 1",
    ),
    Break(
        "a claim that nobody mounts",
        put(MEDIA, "metadata", "name", to="matrix-prod-more"),
        "PersistentVolumeClaim matrix-prod/matrix-prod-more: expected a Pod that mounts it, there is none",
    ),
    Break(
        "a claim of the cluster's default class",
        edit(MEDIA, lambda doc: doc["spec"].pop("storageClassName")),
        "matrix-prod-media: expected storageClassName, got none",
    ),
    Break(
        "a claim template without an access mode",
        put(POSTGRESQL, "spec", "volumeClaimTemplates", 0, "spec", "accessModes", to=[]),
        "claim template data: expected accessModes, got none",
    ),
    Break(
        "a second workload on a volume for one Pod",
        edit(ELEMENT, lambda doc: doc["spec"]["template"]["spec"]["volumes"].append(CLAIM)),
        "expected one workload that mounts it, got Deployment matrix-prod/matrix-prod-element, Deployment",
    ),
    Break(
        "a second replica on a volume for one Pod",
        put(SYNAPSE, "spec", "replicas", to=2),
        "expected Deployment matrix-prod/matrix-prod-synapse to say 0 or 1 replicas, got 2",
    ),
    Break(
        "a second replica on a volume for one node",
        lambda tree: put(SYNAPSE, "spec", "replicas", to=2)(
            put(MEDIA, "spec", "accessModes", to=["ReadWriteOnce"])(tree)
        ),
        "is ReadWriteOnce, expected Deployment matrix-prod/matrix-prod-synapse to say 0 or 1 replicas, got 2",
    ),
    Break(
        "replicas left to an autoscaler on a volume for one Pod",
        edit(SYNAPSE, lambda doc: doc["spec"].pop("replicas")),
        "expected Deployment matrix-prod/matrix-prod-synapse to say 0 or 1 replicas, got None",
    ),
]
