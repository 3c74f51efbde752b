from matrixfleet.checks import Tree
from rules.breaking import PROD, SYNAPSE, Break, edit

README = f"{PROD}/docs/README.md"
CONFIG = f"{PROD}/workload/synapse/configmap-matrix-prod-synapse.yaml"


def holding(what, line, says):
    """A text of compiled/ with a line more."""

    def change(tree):
        texts = {**tree.texts, README: f"first\n{line}\n"}
        return Tree(tree.entries, texts, tree.fleet)

    return Break(what, change, f"compiled/{README}: line 2: {says}; expected no secret in git")


def secret(tree):
    doc = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "matrix-prod-x", "namespace": "matrix-prod"},
        "stringData": {"x": "y"},
    }
    return tree.having(f"{PROD}/workload/secret-matrix-prod-x.yaml", doc)


def option(line):
    return edit(CONFIG, lambda doc: doc["data"].update({"homeserver.yaml": doc["data"]["homeserver.yaml"] + line}))


# tests/attacks/test_secret_detection.py has every shape. Put together here, so that no scanner takes this file for a leak.
BREAKS = [
    Break("a Secret with data", secret, "Secret matrix-prod/matrix-prod-x: expected no data in git"),
    holding("a private key", "-----BEGIN EC " + "PRIVATE KEY-----", "a private key"),
    holding("a database's address", "postgresql://synapse:" + "hunter2@db/synapse", "credentials in an address"),
    Break(
        "an option of Synapse",
        option("registration_shared_secret: " + "hunter2\n"),
        "data.homeserver.yaml.registration_shared_secret: a literal where a secret belongs",
    ),
    Break(
        "a password in a Pod's environment",
        edit(
            SYNAPSE,
            lambda doc: doc["spec"]["template"]["spec"]["containers"][0]["env"].append(
                {"name": "PGPASSWORD", "value": "hunter2"}
            ),
        ),
        "value: a literal where a password belongs",
    ),
]
