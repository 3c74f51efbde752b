from rules.breaking import PROD, SYNAPSE, Break, drop, edit, put

ACCOUNT = f"{PROD}/fence/serviceaccount-matrix-prod-synapse.yaml"
BOOTSTRAP = f"{PROD}/fence/serviceaccount-matrix-prod-bootstrap.yaml"
ROLE = f"{PROD}/fence/role-matrix-prod-bootstrap.yaml"
BINDING = f"{PROD}/fence/rolebinding-matrix-prod-bootstrap.yaml"
POD = ("spec", "template", "spec")


def granting(what, rule, says):
    return Break(what, edit(ROLE, lambda doc: doc["rules"].append({"apiGroups": [""], **rule})), says)


def cluster_role(tree):
    doc = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "matrix-prod"},
        "rules": [],
    }
    return tree.having(f"{PROD}/fence/clusterrole-matrix-prod.yaml", doc)


BREAKS = [
    Break(
        "an account whose token is mounted unasked",
        edit(ACCOUNT, lambda doc: doc.pop("automountServiceAccountToken")),
        "ServiceAccount matrix-prod/matrix-prod-synapse: expected automountServiceAccountToken: false",
    ),
    Break(
        "a Pod that names no account",
        edit(SYNAPSE, lambda doc: doc["spec"]["template"]["spec"].pop("serviceAccountName")),
        "Deployment matrix-prod/matrix-prod-synapse: runs as the default ServiceAccount",
    ),
    Break("an account that is not there", drop(ACCOUNT), "no ServiceAccount matrix-prod-synapse is compiled"),
    Break(
        "a token without a use",
        put(SYNAPSE, *POD, "automountServiceAccountToken", to=True),
        "automountServiceAccountToken: expected false, since no binding names matrix-prod-synapse",
    ),
    Break(
        "a binding of no role",
        drop(ROLE),
        "RoleBinding matrix-prod/matrix-prod-bootstrap: no Role matrix-prod-bootstrap",
    ),
    Break(
        "a binding of no account", drop(BOOTSTRAP), "no ServiceAccount matrix-prod/matrix-prod-bootstrap is compiled"
    ),
    Break(
        "a binding of people",
        put(BINDING, "subjects", 0, to={"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}),
        "names User alice; expected ServiceAccounts alone",
    ),
    granting("every verb", {"resources": ["pods"], "verbs": ["*"]}, "verbs: expected names, got *"),
    granting(
        "secrets by the dozen",
        {"resources": ["secrets"], "verbs": ["list"]},
        "list of secrets reaches all of them; expected none",
    ),
    granting(
        "every secret by its name",
        {"resources": ["secrets"], "verbs": ["get", "patch"]},
        "get, patch of secrets: expected resourceNames, got none",
    ),
    Break("a role of the cluster", cluster_role, "ClusterRole matrix-prod: expected none in a tenant's target"),
]
