"""`matrix-fleet check`: compiled/ as it lies there against every rule, and against a base commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matrixfleet.checks import Finding, Tree, all_rules, run
from matrixfleet.checks.base import changes
from matrixfleet.checks.rules.yamllint import remember
from matrixfleet.cli.codeowners import ELSEWHERE, codeowners
from matrixfleet.cli.codeowners import FILE as CODEOWNERS
from matrixfleet.cli.compile import COMPILED, LINTED, bootstrap_files, read_fleet, refuse
from matrixfleet.model import Fleet


def check_fleet(top: Path, base: str) -> str:
    """Raise FleetError with every finding, or return a line that says what was checked."""
    remember(top / LINTED)
    fleet = read_fleet(top)
    tree = Tree.read(top / COMPILED, fleet)
    findings = [*run(tree), *_bootstrap(top), *_codeowners(top, fleet)]
    if base:
        findings.extend(changes(top, base, tree))
    refuse(findings)
    told = f", nothing lost since {base}" if base else ""
    return f"{len(tree.entries)} objects hold against {len(all_rules())} rules{told}"


def _codeowners(top: Path, fleet: Fleet) -> Iterator[Finding]:
    """CODEOWNERS is what the clusters' owners make it; GitHub and GitLab read it at other places before or instead."""
    path = top / CODEOWNERS
    there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if there != codeowners(fleet):
        yield Finding(CODEOWNERS, "codeowners", "differs from what cluster.owners say; run make compile")
    for other in ELSEWHERE if codeowners(fleet) else ():
        if (top / other).exists():
            yield Finding(other, "codeowners", f"expected none beside {CODEOWNERS}: it would be read in its place")


def _bootstrap(top: Path) -> Iterator[Finding]:
    """argocd/ is what was compiled."""
    wanted = bootstrap_files(top / COMPILED)
    there = {path.name: path.read_text(encoding="utf-8") for path in (top / "argocd").glob("*.yaml")}
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) != there.get(name):
            yield Finding(
                f"argocd/{name}",
                "bootstrap",
                "differs from the platform target's bootstrap objects; run make compile",
            )
