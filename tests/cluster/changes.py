"""Pull requests: the inventory changed, its targets drawn anew, the compiled files in the repository's place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repository import TOP, Repository

import fleets
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet


class Change:
    """A copy of the inventory that a test edits, for the repository that Argo CD reads."""

    def __init__(self, top: Path, repository: Repository) -> None:
        self.inventory, self.repository = fleets.Repository(top), repository

    def edit(self, path: str, old: str, new: str) -> None:
        """One piece of text for another; path below inventory/targets/."""
        self.inventory.edit(f"inventory/targets/{path}", old, new)

    def write(self, path: str, text: str) -> None:
        """A file of inventory/targets/."""
        self.inventory.write(f"inventory/targets/{path}", text)

    def compile(self, *targets: str) -> None:
        """Draw targets (`eu1.matrix-ha`) with the very components, in the place of what was compiled of them."""
        fleet = Fleet.read(self.inventory.top / "inventory")
        for target in targets:
            folder = self.repository.path("compiled", *target.split("."))
            shutil.rmtree(folder, ignore_errors=True)
            for path, text in draw_target(fleet, target, TOP).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)


@contextmanager
def change(repository: Repository) -> Iterator[Change]:
    """A change, and the tree as it was put back after it (not yet committed)."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Change(Path(folder) / "repository", repository)
        finally:
            repository.put(TOP)
