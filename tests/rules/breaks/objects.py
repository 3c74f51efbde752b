from matrixfleet.checks import Tree
from rules.breaking import MEDIA, POSTGRESQL, PROD, SYNAPSE, Break, put

SERVICE = f"{PROD}/workload/synapse/service-matrix-prod-synapse.yaml"
PROJECT = "eu1/argocd/appproject-eu1-matrix-prod.yaml"


def copied(path: str, to: str) -> Break:
    def change(tree: Tree) -> Tree:
        return tree.having(to, tree.entries[path].doc)

    return Break(f"{path.split('/')[-1]} in two files", change, f"is in compiled/{path} already; expected one file")


def unread(tree: Tree) -> Tree:
    return Tree(tree.entries, {**tree.texts, f"{PROD}/workload/synapse/secret-extra.yml": "kind: Secret\n"})


BREAKS = [
    Break(
        "a file that Argo CD reads and no rule does",
        unread,
        "secret-extra.yml: expected a name that ends with .yaml",
    ),
    Break(
        "a file that is called otherwise",
        put(MEDIA, "metadata", "name", to="media"),
        "expected in <cluster>/<target>/<bootstrap|fence|shared|workload>/.../persistentvolumeclaim-media",
    ),
    Break(
        "a Service whose name begins with a digit",
        put(SERVICE, "metadata", "name", to="1-synapse"),
        "expected a name that fits [a-z]([-a-z0-9]*[a-z0-9])?, got '1-synapse'",
    ),
    Break(
        "a workload with a dot in its name",
        put(SYNAPSE, "metadata", "name", to="matrix.prod"),
        "expected a name that fits [a-z0-9]([-a-z0-9]*[a-z0-9])?, got 'matrix.prod'",
    ),
    Break(
        "an object without a name",
        put(MEDIA, "metadata", "name", to=""),
        "got ''",
    ),
    Break(
        "a StatefulSet's name with no room for its revision",
        put(POSTGRESQL, "metadata", "name", to="a" * 53),
        "expected a name of 52 characters or fewer, got 53",
    ),
    Break(
        "a name that fits in no label",
        put(MEDIA, "metadata", "name", to="a" * 64),
        "expected a name of 63 characters or fewer, got 64",
    ),
    copied(MEDIA, f"{PROD}/workload/media/persistentvolumeclaim-matrix-prod-media.yaml"),
    copied(PROJECT, "us1/argocd/appproject-eu1-matrix-prod.yaml"),
]
