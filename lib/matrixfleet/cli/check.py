"""`matrix-fleet check`: compiled/ and argocd/ against the inventory, every rule, and a base commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from matrixfleet.checks import Finding, Tree, all_rules, run
from matrixfleet.checks.base import changes
from matrixfleet.checks.drift import drift, readable, summarised
from matrixfleet.checks.rules.yamllint import remember
from matrixfleet.checks.there import There, printable
from matrixfleet.checks.tree import ARGOCD
from matrixfleet.checks.wanted import Wanted
from matrixfleet.cli.codeowners import ELSEWHERE, codeowners
from matrixfleet.cli.codeowners import FILE as CODEOWNERS
from matrixfleet.cli.compile import (
    BOOTSTRAP,
    COMPILED,
    LINTED,
    bootstrap_files,
    read_fleet,
    refuse,
    refuse_secrets,
    warn,
)
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet

BY_HAND = (f"{ARGOCD}/README.md",)
"""What nobody compiles in these folders."""


def check_fleet(top: Path, base: str) -> str:
    """Raise FleetError with every finding, or return a line that says what was checked."""
    refuse_secrets(top)
    remember(top / LINTED)
    fleet = read_fleet(top)
    wanted = Wanted(fleet, top, BOOTSTRAP, bootstrap_files)
    there = There.read(top, (COMPILED, ARGOCD))
    digests = wanted.digests()
    different = drift(there, digests, wanted.text, BY_HAND)
    tree = Tree.of(readable(there, digests), fleet)
    findings = [*summarised(different), *_told(tree, whole=not different), *_codeowners(top, fleet)]
    if base:
        # Where compiled/ is older than the inventory, what the next compile would change is told as well.
        after = Tree.of(wanted.objects(), fleet) if different else tree
        findings += map(_printable, changes(top, base, after))
    refuse(findings)
    warn(fleet)
    told = f", nothing lost since {base}" if base else ""
    count = len(tree.entries)
    return f"{count} objects are what the inventory compiles to, and hold against {len(all_rules())} rules{told}"


def _told(tree: Tree, *, whole: bool) -> Iterator[Finding]:
    """What rules find; over what nobody compiled a rule may stumble, which is told and no more."""
    try:
        yield from map(_printable, run(tree))
    except FleetError:
        raise
    except Exception as error:
        if whole:
            raise
        yield Finding(
            COMPILED, "drift", f"rules stopped ({type(error).__name__}) at what differs; run make compile first"
        )


def _printable(found: Finding) -> Finding:
    return replace(found, message=printable(found.message))


def _codeowners(top: Path, fleet: Fleet) -> Iterator[Finding]:
    """CODEOWNERS is what the clusters' owners make it; GitHub and GitLab read it at other places before or instead."""
    path = top / CODEOWNERS
    there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if there != codeowners(fleet):
        yield Finding(CODEOWNERS, "codeowners", "differs from what cluster.owners say; run make compile")
    for other in ELSEWHERE if codeowners(fleet) else ():
        if (top / other).exists():
            yield Finding(other, "codeowners", f"expected none beside {CODEOWNERS}: it would be read in its place")
