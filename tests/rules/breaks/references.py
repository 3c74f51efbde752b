from typing import Any

from matrixfleet.checks import Tree
from rules.breaking import MEDIA, POSTGRESQL, PROD, SYNAPSE, Break, drop, put

BOOTSTRAP = f"{PROD}/workload/bootstrap/configmap-matrix-prod-bootstrap.yaml"
CONFIG = f"{PROD}/workload/synapse/configmap-matrix-prod-synapse.yaml"
TLS = f"{PROD}/workload/postgresql/certificate-matrix-prod-postgresql-tls.yaml"
EDGE_TLS = f"{PROD}/workload/edge/certificate-matrix-prod-matrix.yaml"
POD = ("spec", "template", "spec")
RECEIVERS = f"{PROD}/workload/receivers/alertmanagerconfig-matrix-prod-alerts.yaml"
WAVE = ("metadata", "annotations", "argocd.argoproj.io/sync-wave")
CLUSTER = "eu1/matrix-ha/workload/cnpg/cluster-matrix-ha-postgresql.yaml"


def volume(what: str, source: dict[str, Any], says: str) -> Break:
    return Break(what, put(SYNAPSE, *POD, "volumes", 0, to={"name": "configuration", **source}), says)


def variable(what: str, key: str, named: dict[str, str], says: str) -> Break:
    said = {"name": "TOKEN", "valueFrom": {key: named}}
    return Break(what, put(SYNAPSE, *POD, "containers", 0, "env", 0, to=said), says)


def late_job(tree: Tree) -> Tree:
    """The Job that makes Secrets in the wave of those who read them."""
    (job,) = [entry.path for entry in tree.of_kind("Job") if entry.path.startswith(f"{PROD}/workload/bootstrap/")]
    return put(job, *WAVE, to="1")(tree)


BREAKS = [
    Break(
        "a Secret that nobody reads",
        drop("eu1/matrix-ha/workload/edge/ingress-matrix-ha-element.yaml"),
        "Secret matrix-ha/matrix-ha-element-tls: expected a reader, nothing names it",
    ),
    Break(
        "no ServiceAccount",
        drop(f"{PROD}/fence/serviceaccount-matrix-prod-synapse.yaml"),
        "serviceAccountName: ServiceAccount matrix-prod-synapse: expected it in namespace matrix-prod",
    ),
    Break(
        "no Secret to pull images with",
        put(SYNAPSE, *POD, "imagePullSecrets", to=[{"name": "registry"}]),
        "imagePullSecrets: Secret registry: expected it in namespace matrix-prod, nothing makes it",
    ),
    Break(
        "no claim",
        drop(MEDIA),
        "volume media: PersistentVolumeClaim matrix-prod-media: expected it in namespace",
    ),
    Break("no ConfigMap", drop(CONFIG), "volume configuration: ConfigMap matrix-prod-synapse: expected it in"),
    Break(
        "no Secret",
        drop(TLS),
        "volume tls-database: Secret matrix-prod-postgresql-tls: expected it in namespace",
    ),
    volume(
        "a ConfigMap's key that is not there",
        {"configMap": {"name": "matrix-prod-synapse", "items": [{"key": "main.yaml", "path": "main.yaml"}]}},
        "ConfigMap matrix-prod-synapse: expected a key main.yaml, its keys are homeserver.yaml, log.yaml",
    ),
    volume(
        "a Secret's key that is not there, among others",
        {
            "projected": {
                "sources": [
                    {"configMap": {"name": "matrix-prod-synapse"}},
                    {"secret": {"name": "matrix-prod-turn-1", "items": [{"key": "secret", "path": "turn"}]}},
                ]
            }
        },
        "volume configuration: Secret matrix-prod-turn-1: expected a key secret, its keys are shared_secret",
    ),
    variable(
        "a variable from a Secret's key that is not there",
        "secretKeyRef",
        {"name": "matrix-prod-database-1", "key": "token"},
        "env TOKEN: Secret matrix-prod-database-1: expected a key token, its keys are password",
    ),
    variable(
        "a variable from no ConfigMap",
        "configMapKeyRef",
        {"name": "settings", "key": "token"},
        "container synapse: env TOKEN: ConfigMap settings: expected it in namespace matrix-prod",
    ),
    Break(
        "an environment from no Secret",
        put(SYNAPSE, *POD, "containers", 0, "envFrom", to=[{"secretRef": {"name": "s3"}}]),
        "container synapse: envFrom: Secret s3: expected it in namespace matrix-prod, nothing makes it",
    ),
    Break(
        "a ConfigMap after its Pods",
        put(CONFIG, *WAVE, to="3"),
        "volume configuration: ConfigMap matrix-prod-synapse: expected ConfigMap"
        " matrix-prod/matrix-prod-synapse in wave 2 or earlier, got 3",
    ),
    Break(
        "Secrets with their Pods, not before",
        late_job,
        "volume secret-database: Secret matrix-prod-database-1: expected Job matrix-prod/matrix-prod-bootstrap",
    ),
    Break(
        "a certificate after its Pods",
        put(POSTGRESQL, *WAVE, to="0"),
        "expected Certificate matrix-prod/matrix-prod-postgresql-tls in wave -1 or earlier, got 0",
    ),
    Break(
        "an Ingress without its certificate",
        drop(EDGE_TLS),
        "tls: Secret matrix-prod-matrix-tls: expected it in",
    ),
    Break(
        "a certificate after its Ingress",
        put(EDGE_TLS, *WAVE, to="6"),
        "matrix-prod-matrix-tls: expected Certificate matrix-prod/matrix-prod-matrix in wave 5 or earlier",
    ),
    Break(
        "a certificate that nobody issues",
        drop(f"{PROD}/workload/postgresql/issuer-matrix-prod-postgresql-ca.yaml"),
        "issuerRef: Issuer matrix-prod-postgresql-ca: expected it in namespace matrix-prod, nothing makes it",
    ),
    Break(
        "an issuer without its authority",
        drop(f"{PROD}/workload/postgresql/certificate-matrix-prod-postgresql-ca.yaml"),
        "ca: Secret matrix-prod-postgresql-authority: expected it in namespace matrix-prod, nothing makes it",
    ),
    Break(
        "a role whose password nobody makes",
        put(CLUSTER, "spec", "managed", "roles", 2, "passwordSecret", "name", to="other"),
        "role synapse_odd: Secret other: expected it in namespace matrix-ha, nothing makes it",
    ),
    Break(
        "a server without its certificate",
        put(CLUSTER, "spec", "certificates", "serverTLSSecret", to="other"),
        "serverTLSSecret: Secret other: expected it in namespace matrix-ha, nothing makes it",
    ),
    Break(
        "a pooler before nothing",
        drop(CLUSTER),
        "Pooler matrix-ha/matrix-ha-pgbouncer: cluster: Cluster matrix-ha-postgresql: expected it in namespace",
    ),
    Break(
        "an address of a receiver that nobody makes",
        put(RECEIVERS, "spec", "receivers", 0, "webhookConfigs", to=[{"urlSecret": {"name": "pager", "key": "url"}}]),
        "urlSecret: Secret pager: expected it in namespace matrix-prod",
    ),
]
