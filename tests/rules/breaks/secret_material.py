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


LITERAL = "a literal where a password, secret or key belongs"

# Put together here, so that no scanner takes this file for a leak.
BREAKS = [
    Break("a Secret with data", secret, "Secret matrix-prod/matrix-prod-x: expected no data in git"),
    holding("a private key", "-----BEGIN EC " + "PRIVATE KEY-----", "a private key"),
    holding("a token of GitHub", "gh" + "p_" + "a1B2" * 9, "a token of GitHub"),
    holding("a key of AWS", "AK" + "IA" + "ABCD" * 4, "an access key of AWS"),
    holding("a token of Slack", "xo" + "xb-" + "1234567890-abc", "a token of Slack"),
    holding("a JSON Web Token", "ey" + "JhbGciOiJIUzI1" + ".ey" + "JzdWIiOiIxMjM0.x", "a JSON Web Token"),
    holding("a token of Synapse", "sy" + "t_YWxpY2U_" + "abcdEFGH" * 2 + "abcd_0aB1cD", "an access token of Synapse"),
    holding("a signing key of Synapse", "ed25519 " + "a_AbCd " + "A" * 43, "a signing key of Synapse"),
    holding("a reference of Kapitan", "key: ?{" + "plain:targets/x}", "a reference of Kapitan"),
    holding("a database's address", "postgresql://synapse:" + "hunter2@db/synapse", "credentials in an address"),
    holding("a password in YAML", "  password: " + "hunter2", LITERAL),
    holding("a password in JSON", '{"api_key": ' + '"hunter2"}', LITERAL),
    holding("a password in a program's configuration", "static-auth-secret=" + "hunter2", LITERAL),
    holding("a password in camel case", "- clientSecret: " + "hunter2", LITERAL),
    Break("an option of Synapse", option("registration_shared_secret: " + "hunter2\n"), LITERAL),
    Break(
        "a password in a Pod's environment",
        edit(
            SYNAPSE,
            lambda doc: doc["spec"]["template"]["spec"]["containers"][0]["env"].append(
                {"name": "PGPASSWORD", "value": "hunter2"}
            ),
        ),
        "a literal in an environment variable for a secret",
    ),
]
