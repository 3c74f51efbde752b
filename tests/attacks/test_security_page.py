"""Each line of docs/security.md names tests that attack it, and they are there."""

from __future__ import annotations

import re

import pytest

from fleets import TOP

LINES = [line for line in (TOP / "docs/security.md").read_text().splitlines() if re.match(r"\| [a-z]", line)]
ATTACKS = [line for line in LINES if not line.startswith(("| who |", "| tries to |"))]


@pytest.mark.parametrize("line", ATTACKS, ids=[line.split("|")[1].strip() for line in ATTACKS])
def test_a_line_is_attacked(line: str) -> None:
    tests = re.findall(r"`(tests/[\w/.]+)`", line.split("|")[3])
    assert tests, f"no test is named: {line}"
    for name in tests:
        assert (TOP / name).is_file(), f"no {name}"


@pytest.mark.parametrize("path", sorted((TOP / "tests/attacks").glob("test_*.py")), ids=lambda path: path.name)
def test_every_attack_is_on_the_page(path) -> None:
    if path.name != "test_security_page.py":
        assert f"tests/attacks/{path.name}" in (TOP / "docs/security.md").read_text()
