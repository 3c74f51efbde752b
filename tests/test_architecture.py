"""docs/architecture.md answers every point of the architecture, and what its answers name is there."""

from __future__ import annotations

import re

import pytest

from fleets import TOP

TEXT = (TOP / "docs/architecture.md").read_text()
POINTS = TOP / "tests/architecture.txt"
"""Headings of the architecture, and below each its points."""


def tables() -> dict[str, dict[str, str]]:
    """Each heading's points and answers."""
    found: dict[str, dict[str, str]] = {}
    for section in TEXT.partition("## Point by point")[2].split("\n### ")[1:]:
        heading, _, body = section.partition("\n")
        rows = re.findall(r"^\| (.+?) \| (.+) \|$", body, re.MULTILINE)
        found[heading] = {point: answer for point, answer in rows if point != "point"}
    return found


def test_every_point_has_an_answer() -> None:
    wanted: dict[str, set[str]] = {}
    for line in POINTS.read_text().splitlines():
        if line.startswith("  "):
            wanted[next(reversed(wanted))].add(line.strip())
        else:
            wanted[line] = set()
    assert {heading: set(points) for heading, points in tables().items()} == wanted


@pytest.mark.parametrize("heading", tables())
def test_what_an_answer_names_is_there(heading: str) -> None:
    for point, answer in tables()[heading].items():
        for named in re.findall(r"`([\w./-]+/[\w./-]*)`", answer):
            if not named.startswith("/"):
                assert (TOP / named).exists(), f"{point}: no {named}"
        for linked in re.findall(r"\]\(([\w.-]+)\)", answer):
            assert (TOP / "docs" / linked).exists(), f"{point}: no docs/{linked}"
