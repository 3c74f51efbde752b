from matrixfleet.checks import Tree
from rules.breaking import PROD, Break


def without_target(tree):
    """A target that was never compiled."""
    entries = {path: entry for path, entry in tree.entries.items() if not path.startswith(f"{PROD}/")}
    texts = {path: text for path, text in tree.texts.items() if not path.startswith(f"{PROD}/")}
    return Tree(entries, texts, tree.fleet)


def left_behind(tree):
    """A folder whose target is gone."""
    return Tree(tree.entries, {**tree.texts, "eu1/gone/docs/README.md": "# gone\n"}, tree.fleet)


BREAKS = [
    Break(
        "a target without a folder",
        without_target,
        "compiled/eu1/matrix-prod: target eu1.matrix-prod is in the inventory and was not compiled; run make compile",
    ),
    Break(
        "a folder without a target",
        left_behind,
        "compiled/eu1/gone: no target eu1.gone is in the inventory, its folder was left behind; run make compile",
    ),
]
