"""Nothing secret is in compiled/: no Secret with data, no key, no token, no password.

What was once committed is known to everybody who ever reads the repository. Findings say where, never what.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.tree import Finding, Tree
from matrixfleet.leaks import HINT, leaks_of, vouched


def check(tree: Tree) -> Iterator[Finding]:
    """Objects by kind, then every text by what it holds."""
    for entry in tree.of_kind("Secret"):
        if entry.doc.get("data") or entry.doc.get("stringData"):
            yield tree.finding(entry, "secret-material", "expected no data in git; it is made in the cluster")
    harmless = vouched(tree.fleet.source.inventory) if tree.fleet else frozenset[str]()
    for path, leak in leaks_of(tree.texts, harmless):
        where = f"line {leak.line}: " + (f"{leak.shown_key}: " if leak.shown_key else "")
        yield Finding(f"{tree.root}/{path}", "secret-material", f"{where}{leak.kind}; {HINT}")
