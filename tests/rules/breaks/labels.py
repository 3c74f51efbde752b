from rules.breaking import MEDIA, PROD, SYNAPSE, Break, edit, put

VERSION = ("labels", "app.kubernetes.io/version")

BREAKS = [
    Break(
        "an object without a version",
        edit(MEDIA, lambda doc: doc["metadata"]["labels"].pop("app.kubernetes.io/version")),
        "matrix-prod-media: expected a label app.kubernetes.io/version",
    ),
    Break(
        "Pods without a version",
        edit(
            SYNAPSE,
            lambda doc: doc["spec"]["template"]["metadata"]["labels"].pop("app.kubernetes.io/version"),
        ),
        "matrix-prod-synapse: its Pods: expected a label app.kubernetes.io/version",
    ),
    Break(
        "a version that YAML reads as a number",
        put(MEDIA, "metadata", *VERSION, to=18.6),
        "label app.kubernetes.io/version: expected a string of up to 63 of A-Z a-z 0-9 - _ . in it, got 18.6",
    ),
    Break(
        "a value with characters that no label has",
        put(SYNAPSE, "spec", "template", "metadata", *VERSION, to="v1+dirty"),
        "got 'v1+dirty'",
    ),
    Break(
        "a value of 64 characters",
        put(MEDIA, "metadata", *VERSION, to="a" * 64),
        f"got '{'a' * 64}'",
    ),
    Break(
        "an object of another tenant",
        put(
            f"{PROD}/fence/namespace-matrix-prod.yaml",
            "metadata",
            "labels",
            "app.kubernetes.io/instance",
            to="acme",
        ),
        "Namespace matrix-prod: label app.kubernetes.io/instance: expected matrix-prod, the target, got acme",
    ),
]
