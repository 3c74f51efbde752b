"""What was learned of Argo CD by running it (tests/cluster), in the objects that are compiled for it."""

from __future__ import annotations

from matrixfleet.checks import Tree


def test_a_commit_that_mends_a_sync_is_taken_at_the_next_try(tree: Tree) -> None:
    """A failed sync is tried again for an hour; without `refresh` always from the commit that failed."""
    applications = tree.of_kind("Application")
    assert applications
    for entry in applications:
        assert entry.spec["syncPolicy"]["retry"]["refresh"] is True, entry.path
