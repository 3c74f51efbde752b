"""A namespace for several tenants, one of which has a Coturn of its own: it compiles, whole and a target at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleets import Repository
from matrixfleet.cli.compile import compile_fleet, read_fleet
from matrixfleet.errors import FleetError

GUEST = "inventory/targets/ap1/tenant-b.yml"
PLATFORM, CLUSTER = "inventory/targets/ap1/platform.yml", "inventory/classes/cluster/ap1.yml"
NAMESPACE = "inventory/targets/ap1/matrix-tenants.yml"
QUOTA = ("claims: 12,", "claims: 12, balancers: 1, node_ports: 44,")


def with_relay(repository: Repository, said: str) -> None:
    """A tenant of the namespace with a Coturn of its own."""
    name = "element: chat.b.matrix.example.com"
    repository.edit(GUEST, name, f"{name}, turn: turn.b.matrix.example.com")
    repository.write(GUEST, repository.read(GUEST) + f"    turn: {said}\n")


def on_nodes(repository: Repository) -> None:
    """On nodes, apart from the platform's."""
    ports = "      node_labels: [example.com/turn]\n      node_ports: [{first: 40000, last: 41000}]\n"
    repository.edit(CLUSTER, "    tenants:\n", f"    tenants:\n{ports}")
    own = "port: 40000, relay_ports: {first: 40001, last: 41000}, node_selector: {example.com/turn: own}"
    with_relay(repository, f"{{kind: daemonset, tls: false, {own}}}")


def behind_a_balancer(repository: Repository) -> None:
    """Behind a balancer that the namespace's quota has room for."""
    repository.edit(NAMESPACE, *QUOTA)
    with_relay(repository, "{kind: deployment, external_address: 203.0.113.9}")


@pytest.mark.parametrize("change", [on_nodes, behind_a_balancer])
def test_a_guest_with_a_relay_of_its_own(change: object, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    assert callable(change)
    change(repository)
    compile_fleet(tmp_path, [])

    def texts() -> dict[str, str]:
        return {str(path): path.read_text() for path in (tmp_path / "compiled").rglob("*") if path.is_file()}

    whole = texts()
    for target in ("ap1.tenant-b", "ap1.tenant-a", "ap1.matrix-tenants"):
        compile_fleet(tmp_path, [target])
        assert texts() == whole, f"-t {target} gives other bytes"


def test_a_balancer_that_the_quota_has_no_room_for(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    behind_a_balancer(repository)
    repository.edit(NAMESPACE, QUOTA[1], QUOTA[0])
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    wanted = (
        f"{NAMESPACE}:4: namespace.quota: expected balancers: 1 and node_ports: 44 or more, which Coturn of tenant-b"
        " takes, got 0 and 0"
    )
    assert str(caught.value).splitlines() == [wanted]
