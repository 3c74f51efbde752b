from rules.breaking import PROD, SYNAPSE, Break, edit, put

CONFIG = f"{PROD}/workload/synapse/configmap-matrix-prod-synapse.yaml"
ANNOTATION = "its Pods' annotation matrix-fleet/configuration: expected c"

BREAKS = [
    Break(
        "a configuration that changes and rolls nothing",
        edit(CONFIG, lambda doc: doc["data"].update({"log.yaml": "version: 1\n"})),
        f"Deployment matrix-prod/matrix-prod-synapse: {ANNOTATION}",
    ),
    Break(
        "Pods without a hash",
        edit(SYNAPSE, lambda doc: doc["spec"]["template"]["metadata"].pop("annotations")),
        "the hash of matrix-prod-synapse, got None",
    ),
    Break(
        "a second ConfigMap that the hash leaves out",
        put(
            SYNAPSE,
            *("spec", "template", "spec", "containers", 0, "envFrom"),
            to=[{"configMapRef": {"name": "matrix-prod-router"}}],
        ),
        "the hash of matrix-prod-router, matrix-prod-synapse, got c",
    ),
]
