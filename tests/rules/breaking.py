"""How the examples under breaks/ break a rule: a change to one object, and what the rule then says.

breaks/<rule>.py holds BREAKS, a list of Break; test_rules.py runs them all, and fails for a rule without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matrixfleet.checks.tree import Json, Tree

PROD = "eu1/matrix-prod"
SYNAPSE = f"{PROD}/workload/synapse/deployment-matrix-prod-synapse.yaml"
POSTGRESQL = f"{PROD}/workload/postgresql/statefulset-matrix-prod-postgresql.yaml"
MEDIA = f"{PROD}/workload/synapse/persistentvolumeclaim-matrix-prod-media.yaml"


@dataclass(frozen=True)
class Break:
    """A change that a rule must refuse."""

    what: str
    how: Callable[[Tree], Tree]
    says: str


def edit(path: str, change: Callable[[Json], object]) -> Callable[[Tree], Tree]:
    """Change one object in place."""
    return lambda tree: tree.edited(path, lambda doc: (change(doc), None)[1])


def put(path: str, *keys: str | int, to: object) -> Callable[[Tree], Tree]:
    """Set one value deep in an object."""

    def change(doc: Json) -> None:
        here = doc
        for key in keys[:-1]:
            here = here[key]
        here[keys[-1]] = to

    return lambda tree: tree.edited(path, change)


def drop(path: str) -> Callable[[Tree], Tree]:
    """Take a file away."""
    return lambda tree: tree.without(path)
