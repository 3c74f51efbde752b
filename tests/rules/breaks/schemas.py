from rules.breaking import SYNAPSE, Break, edit

BREAKS = [
    Break(
        "a field that Kubernetes does not know",
        edit(SYNAPSE, lambda doc: doc["spec"].update(replcas=1)),
        "Deployment matrix-prod/matrix-prod-synapse: spec.replcas: unknown field, did you mean replicas?",
    ),
]
