"""Every rule holds on the reference fleet, and every rule has a change that it refuses."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from matrixfleet.checks import RuleInfo, Tree, all_rules
from matrixfleet.checks.rules import yamllint
from rules.breaking import Break

HERE = Path(__file__).parent / "breaks"
BREAKS: dict[str, list[Break]] = {
    file.stem.replace("_", "-"): importlib.import_module(f"rules.breaks.{file.stem}").BREAKS
    for file in sorted(HERE.glob("*.py"))
}
CASES = [pytest.param(rule, one, id=f"{rule}: {one.what}") for rule, ones in BREAKS.items() for one in ones]


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_holds(rule: RuleInfo, tree: Tree) -> None:
    assert [str(finding) for finding in rule.check(tree)] == []


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_has_an_example_that_breaks_it(rule: RuleInfo) -> None:
    assert BREAKS.get(rule.id), f"tests/rules/breaks/ has no Break for rule {rule.id}"
    assert rule.demand.endswith((".", ":")), f"rule {rule.id}: its docstring's first line is no sentence"


@pytest.mark.parametrize(("rule", "broken"), CASES)
def test_refuses(rule: str, broken: Break, tree: Tree) -> None:
    check = next(known.check for known in all_rules() if known.id == rule)
    said = [str(finding) for finding in check(broken.how(tree))]
    assert any(broken.says in line for line in said), f"{rule} said {said}, expected {broken.says!r}"
    assert all(f"[{rule}]" in line for line in said)


def test_breaks_name_rules_that_exist() -> None:
    assert set(BREAKS) == {rule.id for rule in all_rules()}


def test_what_yamllint_found_clean_is_remembered_and_nothing_else(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = next(path for path in tree.texts if path.endswith(".yaml"))
    one = Tree({}, {path: tree.texts[path]})
    memory = tmp_path / "yamllint"
    memory.write_bytes(b"\xff damaged\n")
    for lints in (True, False):
        monkeypatch.setattr(yamllint, "_memory", [])
        monkeypatch.setattr(yamllint, "_clean", set())
        yamllint.remember(memory)
        if not lints:
            monkeypatch.setattr(yamllint.linter, "run", lambda *_: pytest.fail("linted again"))
        assert list(yamllint.check(one)) == []
    monkeypatch.undo()
    monkeypatch.setattr(yamllint, "_memory", [])
    monkeypatch.setattr(yamllint, "_clean", set(memory.read_text(errors="replace").split()))
    (found,) = yamllint.check(Tree({}, {path: tree.texts[path] + "kind: Twice\n"}))
    assert "key-duplicates" in found.message
