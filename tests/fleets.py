"""Fleets for tests: a copy of the reference inventory, changed."""

from __future__ import annotations

import shutil
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LINTED = ".cache/yamllint"  # as in matrixfleet.cli.compile, which not every environment here can import


class Repository:
    """A copy of the repository that a test may change: inventory copied, the rest linked, and what yamllint
    found clean."""

    def __init__(self, top: Path) -> None:
        self.top = top
        shutil.copytree(TOP / "inventory", top / "inventory")
        for name in ("components", "lib", ".kapitan"):
            (top / name).symlink_to(TOP / name)
        (top / LINTED).parent.mkdir()
        (top / LINTED).symlink_to(TOP / LINTED)

    def read(self, path: str) -> str:
        """A file's text."""
        return (self.top / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """A file, new or in another's place."""
        (self.top / path).parent.mkdir(parents=True, exist_ok=True)
        (self.top / path).write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """One piece of text for another; it must be there once."""
        text = self.read(path)
        assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
        self.write(path, text.replace(old, new))
