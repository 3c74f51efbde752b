"""What every test stands on: the reference fleet, read and compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrixfleet.checks import Tree
from matrixfleet.model import Fleet

TOP = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """The reference fleet's inventory."""
    return Fleet.read(TOP / "inventory")


@pytest.fixture(scope="session")
def tree(fleet: Fleet) -> Tree:
    """compiled/ as it is committed; test_compile.py proves that the inventory compiles to it."""
    return Tree.read(TOP / "compiled", fleet)
