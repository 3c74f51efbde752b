"""`matrix-fleet explain`: the value, the chain of lines that set it, the objects that carry it."""

from __future__ import annotations

import pytest

from fleets import TOP
from matrixfleet.cli.explain import explain_key
from matrixfleet.errors import FleetError


def test_a_value_that_is_overridden() -> None:
    said = explain_key(TOP, "eu1.matrix-prod", "matrix.media.storage")
    assert (
        said
        == """\
matrix.media.storage of eu1.matrix-prod

  10Gi

said by (the last one wins):
  inventory/targets/eu1/matrix-prod.yml:14: 10Gi

meaning:
  Of kind pvc: its volume.

carried by (these change when it changes):
  compiled/eu1/matrix-prod/docs/README.md
  compiled/eu1/matrix-prod/fence/resourcequota-matrix-prod-fence.yaml
  compiled/eu1/matrix-prod/workload/synapse/persistentvolumeclaim-matrix-prod-media.yaml"""
    )


def test_a_default() -> None:
    said = explain_key(TOP, "eu1.chess-club", "matrix.synapse.presence")
    assert "nobody: it is the default of Synapse (matrixfleet.model.tenant)" in said
    assert "workload/synapse/configmap-chess-club-synapse.yaml" in said
    assert "workload/synapse/deployment-chess-club-synapse.yaml" in said, "its content hash changes too"
    assert "router" not in said


def test_a_choice_and_a_block() -> None:
    assert "networkpolicy" in explain_key(TOP, "us1.research", "matrix.synapse.federation")
    assert "daemonset-matrix-prod-turn.yaml" in explain_key(TOP, "eu1.matrix-prod", "matrix.turn.kind")


def test_a_name_of_a_list_is_tried_with_another() -> None:
    said = explain_key(TOP, "eu1.matrix-prod", "matrix.size")
    assert "workload/synapse/configmap-matrix-prod-synapse.yaml" in said


def test_what_could_not_be_tried_is_unknown() -> None:
    """There is one release: nothing else that may be said compiles."""
    said = explain_key(TOP, "eu1.matrix-prod", "matrix.release")
    assert "unknown for matrix.release: no other value was found that compiles" in said and "nothing" not in said


def test_the_connection_budget() -> None:
    said = explain_key(TOP, "us1.research", "matrix.database.max_connections")
    assert "connection budget:\n  main: 20\n  reserved: 11\n  31 of 150\n" in said


@pytest.mark.parametrize(
    ("target", "key", "says"),
    [
        (
            "eu1.matrix-prd",
            "matrix",
            "inventory/targets: no target 'eu1.matrix-prd', did you mean eu1.matrix-prod?",
        ),
        (
            "eu1.chess-club",
            "matrix.synapse.presense",
            "inventory/targets/eu1/chess-club.yml:12: matrix.synapse: no key matrix.synapse.presense,"
            " did you mean presence?",
        ),
    ],
)
def test_what_there_is_not(target: str, key: str, says: str) -> None:
    with pytest.raises(FleetError) as caught:
        explain_key(TOP, target, key)
    assert str(caught.value) == says
