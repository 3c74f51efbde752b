from matrixfleet.checks import Tree
from rules.breaking import PROD, Break

PATH = f"{PROD}/workload/router/service-matrix-prod-router.yaml"


def text(change):
    """One file with another text."""
    return lambda tree: Tree(tree.entries, {**tree.texts, PATH: change(tree.texts[PATH])}, tree.fleet)


BREAKS = [
    Break(
        "a key twice",
        text(lambda old: old + "kind: Service\n"),
        f"compiled/{PATH}: line ",
    ),
    Break("another indentation", text(lambda old: old.replace("\n  name:", "\n   name:", 1)), "(indentation)"),
    Break("no YAML", text(lambda old: old + "a: [\n"), "(syntax)"),
]
