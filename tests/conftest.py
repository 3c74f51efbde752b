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
    """compiled/ as it is committed; tests/test_compile.py proves that it is what the inventory compiles to."""
    return Tree.read(TOP / "compiled", fleet)
