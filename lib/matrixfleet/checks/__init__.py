"""What must hold of compiled/, whoever made it: one rule a module under rules/.

A rule reads compiled objects and not the plan, so that it can prove the compiler wrong.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from matrixfleet.checks import rules
from matrixfleet.checks.tree import Entry, Finding, Pod, Rule, Tree

__all__ = ["Entry", "Finding", "Pod", "RuleInfo", "Tree", "all_rules", "run"]


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """One rule."""

    id: str
    """As findings name it: the module's name with hyphens."""
    demand: str
    """What it demands, in a line: the module's docstring."""
    check: Rule
    whole_fleet: bool
    """Whether it means something only for the whole tree."""


@cache
def all_rules() -> tuple[RuleInfo, ...]:
    """Every rule there is, sorted by id."""
    found = []
    for module_info in pkgutil.iter_modules(rules.__path__):
        module = importlib.import_module(f"{rules.__name__}.{module_info.name}")
        demand = (module.__doc__ or "").strip().splitlines()[0]
        whole = getattr(module, "WHOLE_FLEET", False)
        found.append(RuleInfo(module_info.name.replace("_", "-"), demand, module.check, whole))
    return tuple(sorted(found, key=lambda rule: rule.id))


def run(tree: Tree, *, whole_fleet: bool = True) -> Iterator[Finding]:
    """Findings of every rule; of those about single targets alone where the tree is not whole."""
    # Objects that are none, or lack what their kind requires, would trip rules that rely on it.
    malformed = [*tree.broken, *next(rule for rule in all_rules() if rule.id == "schemas").check(tree)]
    if malformed:
        yield from malformed
        return
    for rule in all_rules():
        if rule.id != "schemas" and (whole_fleet or not rule.whole_fleet):
            yield from rule.check(tree)
