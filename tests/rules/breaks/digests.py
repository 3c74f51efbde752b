from matrixfleet.checks import Tree
from matrixfleet.model import Fleet
from rules.breaking import SYNAPSE, Break, edit

REQUIRES = "since cluster.require_digests is true; run matrix-fleet images --renew"
DIGEST = "@sha256:" + "0" * 64


def required(tree: Tree, *, but: tuple[str, ...] = ()) -> Tree:
    """The tree on a cluster that requires digests, with one for every image but some."""
    assert tree.fleet is not None
    fleet: Fleet = tree.fleet.changed("eu1.platform", ("cluster", "require_digests"), True)

    def pin(node: object, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("image", "imageName") and isinstance(value, str):
                    if not (path.rpartition("/")[2].startswith(but) if but else False):
                        node[key] = value + DIGEST
                else:
                    pin(value, path)
        elif isinstance(node, list):
            for value in node:
                pin(value, path)

    for path in [path for path in tree.entries if path.startswith("eu1/")]:
        tree = tree.edited(path, lambda doc, path=path: pin(doc, path))
    return Tree(tree.entries, tree.texts, fleet)


def of_kind(kind: str, name: str) -> Break:
    return Break(f"a {kind} that names a tag", lambda tree: required(tree, but=(f"{kind}-",)), f"expected {name}")


BREAKS = [
    of_kind("deployment", "docker.io/library/haproxy:"),
    of_kind("statefulset", "docker.io/library/postgres:"),
    of_kind("daemonset", "docker.io/coturn/coturn:"),
    of_kind("job", "ghcr.io/element-hq/synapse:"),
    of_kind("cronjob", "registry.example.com/matrix-fleet/backup:"),
    of_kind("cluster", "ghcr.io/cloudnative-pg/postgresql:"),
    of_kind("pooler", "ghcr.io/cloudnative-pg/pgbouncer:"),
    Break(
        "a digest that is none",
        lambda tree: edit(
            SYNAPSE,
            lambda doc: doc["spec"]["template"]["spec"]["containers"][0].update(image="a.example/synapse:v1@sha256:1"),
        )(required(tree)),
        f"expected a.example/synapse:v1@sha256:1 with its digest, {REQUIRES}",
    ),
]
