"""Lists of networks that let somebody in: none may hold the edge, the router, a node or the Internet."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fleets import Repository
from matrixfleet.cli.compile import read_fleet
from matrixfleet.errors import FleetError

US1 = "inventory/classes/cluster/us1.yml"
EU1 = "inventory/classes/cluster/eu1.yml"
RESEARCH = "inventory/targets/us1/research.yml"
CHESS = "inventory/targets/eu1/chess-club.yml"
PEERS = "[10.40.0.0/24, 10.40.1.0/24]"
Change = Callable[[Repository], None]


def halves(bits: int, of: str = "{}.0.0.0/{}") -> str:
    """All of IPv4 in pieces."""
    return ", ".join(of.format(number << (8 - bits), bits) for number in range(1 << bits))


INTERNET = {
    "IPv4": "0.0.0.0/0",
    "IPv6": "'::/0'",
    "both": "0.0.0.0/0, '::/0'",
    "two halves": halves(1),
    "four quarters": halves(2),
    "sixteen parts": halves(4),
    "all of /8": halves(8),
    "all but one /8": halves(8).rpartition(", ")[0],
    "half": "128.0.0.0/1",
    "its public half": "2000::/3",
    "halves of IPv6": "'::/1', '8000::/1'",
    "IPv4 in IPv6": "'::ffff:0:0/96'",
    "more than IPv4 in IPv6": "'::/64'",
    "halves of IPv4 in IPv6": "'::ffff:0:0/97', '::ffff:128.0.0.0/97'",
    "hidden behind a narrow one": "198.51.100.0/24, 0.0.0.0/1, 128.0.0.0/1",
}


def admin(repository: Repository, networks: str) -> None:
    repository.edit(RESEARCH, "[198.51.100.0/24]", f"[{networks}]")


def source_ranges(repository: Repository, networks: str) -> None:
    repository.edit(US1, "      load_balancer_group", f"      source_ranges: [{networks}]\n      load_balancer_group")


def peers(repository: Repository, networks: str) -> None:
    repository.edit(US1, PEERS, f"[{networks}]")


def monitoring(repository: Repository, networks: str) -> None:
    repository.edit(
        US1,
        "      monitoring:\n        namespace: observability\n        pods: {app.kubernetes.io/name: prometheus}\n",
        f"      monitoring: {{cidrs: [{networks}]}}\n",
    )


LISTS: dict[Callable[[Repository, str], None], tuple[str, str]] = {
    admin: (RESEARCH, "matrix.synapse.admin_api.allow"),
    source_ranges: (US1, "cluster.edge.source_ranges"),
    peers: (US1, "cluster.edge.peers"),
    monitoring: (US1, "cluster.network.monitoring"),
}


def faults(repository: Repository) -> str:
    with pytest.raises(FleetError) as caught:
        read_fleet(repository.top)
    return str(caught.value)


@pytest.mark.parametrize("kind", INTERNET)
@pytest.mark.parametrize("where", LISTS, ids=lambda one: one.__name__)
def test_the_internet_is_no_restriction(tmp_path: Path, where: Callable[[Repository, str], None], kind: str) -> None:
    repository = Repository(tmp_path)
    where(repository, INTERNET[kind])
    file, key = LISTS[where]
    told = faults(repository)
    assert re.search(rf"^{re.escape(file)}:\d+: {re.escape(key)}[^ ]*: expected .*, got ", told, re.M), told


def chess(networks: str, *changes: Change) -> Change:
    """A tenant of a cluster whose edge is Pods."""

    def change(repository: Repository) -> None:
        repository.edit(CHESS, "{url_previews: false}", f"{{url_previews: false, admin_api: {{allow: [{networks}]}}}}")
        for one in changes:
            one(repository)

    return change


def research(networks: str, *changes: Change) -> Change:
    """A tenant of a cluster whose edge is a cloud's load balancer."""

    def change(repository: Repository) -> None:
        admin(repository, networks)
        for one in changes:
            one(repository)

    return change


def private(cluster: str, old: str, new: str) -> Change:
    return lambda repository: repository.edit(cluster, old, new)


NODES = private(US1, "      private: [10", "      nodes: [203.0.113.64/28, '2001:db8:5::/64']\n      private: [10")
HIDDEN = {
    "the load balancer's network": research("10.40.0.0/24"),
    "one of two": research("198.51.100.0/24, 10.40.1.0/24"),
    "a part of it": research("10.40.0.128/25"),
    "one address of it": research("10.40.0.9/32"),
    "what holds it": research("10.40.0.0/16"),
    "all private networks": research("10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"),
    "it, mapped into IPv6": research("'::ffff:10.40.0.0/120'"),
    "a whole private network": research("172.16.0.0/12"),
    "the router's loopback": research("127.0.0.0/8"),
    "an address of it": research("127.0.0.1/32"),
    "IPv6's loopback": research("'::1/128'"),
    "the nodes": research("203.0.113.64/28", NODES),
    "one node": research("203.0.113.70/32", NODES),
    "what holds the nodes": research("203.0.113.0/24", NODES),
    "nodes of IPv6": research("'2001:db8:5::/48'", NODES),
    "Pods of the edge": chess("10.42.0.0/16"),
    "all of the Pods' network": chess("10.0.0.0/8"),
    "carriers' addresses": chess("100.64.0.0/10"),
    "link-local addresses": chess("169.254.0.0/16"),
    "one Pod": chess("10.42.3.4/32"),
    "Pods of IPv6": chess("'fd00:42::/64'", private(EU1, "private: [10", "private: ['fd00:42::/48', 10")),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_administrators_are_not_whom_the_edge_hides(tmp_path: Path, kind: str) -> None:
    repository = Repository(tmp_path)
    HIDDEN[kind](repository)
    told = faults(repository)
    wanted = r":\d+: matrix\.synapse\.admin_api\.allow(\[\d\])?: expected .*, got .*(; name |; did you mean )"
    assert re.search(wanted, told), told


def test_the_message(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    admin(repository, "198.51.100.0/24, 10.0.0.0/8")
    assert faults(repository).splitlines() == [
        f"{RESEARCH}:14: matrix.synapse.admin_api.allow[1]: expected a network of administrators alone, got"
        " '10.0.0.0/8', which has addresses of 10.40.0.0/24 (cluster.edge.peers); name the public network that they"
        " come from, or leave it out and use kubectl port-forward"
    ]


@pytest.mark.parametrize(
    "networks",
    ["198.51.100.0/24", "198.51.100.7/32, '2001:db8:7::/48'", "10.50.0.0/16", "192.168.7.0/24", "203.0.0.0/8"],
)
def test_administrators_networks_are_taken(tmp_path: Path, networks: str) -> None:
    """The positive, also in a private network that is not the edge's."""
    repository = Repository(tmp_path)
    research(networks, NODES if networks != "203.0.0.0/8" else lambda _: None)(repository)
    read_fleet(repository.top)


def test_lists_of_the_cluster_are_taken(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    source_ranges(repository, "198.51.100.0/24, '2001:db8::/32'")
    peers(repository, "130.211.0.0/22, 35.191.0.0/16, 10.40.0.0/24")
    monitoring(repository, "10.70.0.0/24")
    read_fleet(repository.top)
