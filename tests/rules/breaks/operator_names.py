from rules.breaking import Break, put

AUTHORITY = "eu1/matrix-ha/workload/cnpg/certificate-matrix-ha-postgresql-ca.yaml"

BREAKS = [
    Break(
        "an authority in the Secret of the operator's own",
        put(AUTHORITY, "spec", "secretName", to="matrix-ha-postgresql-ca"),
        "Certificate matrix-ha/matrix-ha-postgresql-ca: expected another name than matrix-ha-postgresql-ca, which "
        "CloudNativePG gives a Secret of Cluster matrix-ha/matrix-ha-postgresql",
    ),
]
