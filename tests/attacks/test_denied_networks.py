"""Where previews, federation, relays and outward flows must not lead: held against what others deny."""

from __future__ import annotations

import ast
import ipaddress
import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet
from matrixfleet.plan.networks import address_range

SOURCE = TOP / ".cache/synapse/source"
NAME = "eu1.matrix-prod"
NODES = ("198.18.255.7/32", "11.22.33.0/28", "2a00:1234::/64")
AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_of_synapse() -> list[str]:
    """DEFAULT_IP_RANGE_BLOCKLIST of the pinned version."""
    for statement in ast.parse((SOURCE / "synapse/config/server.py").read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "DEFAULT_IP_RANGE_BLOCKLIST":
            return list(ast.literal_eval(statement.value))
    raise LookupError("DEFAULT_IP_RANGE_BLOCKLIST")


def networks_of_coturn() -> list[str]:
    """What Synapse's documentation has Coturn deny."""
    text = (SOURCE / "docs/setup/turn/coturn.md").read_text()
    found = []
    for line in re.findall(r"^\s*denied-peer-ip=(\S+)", text, re.M):
        first, _, last = line.partition("-")
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
        found += [str(one) for one in ipaddress.summarize_address_range(*ends)]
    return found


def networks_of_python() -> list[str]:
    """What Python's ipaddress calls private, reserved, multicast or special otherwise, but for what it calls global."""
    found = []
    for constants in (ipaddress._IPv4Constants, ipaddress._IPv6Constants):  # type: ignore[attr-defined]
        for name in vars(constants):
            networks = getattr(constants, name)
            if name.startswith("__") or "exception" in name:
                continue
            found += [str(one) for one in (networks if isinstance(networks, list) else [networks])]
    return found


# https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry, with what lies in them.
REGISTRIES = [
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "::1/128",
    "::/128",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
]
# Where clouds hand out credentials.
CLOUDS = [
    "169.254.169.254/32",
    "169.254.170.2/32",
    "169.254.170.23/32",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
    "fd20:ce::254/128",
]
# Neighbours of what is denied, and well-known servers.
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "168.63.129.15",
    "172.32.0.1",
    "192.0.1.1",
    "192.31.195.1",
    "192.88.98.1",
    "198.17.0.1",
    "198.20.0.1",
    "223.255.255.255",
    "11.22.33.16",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700::1111",
    "2a00:1234:0:1::1",
    "3ffe::1",
    "2620:fe::fe",
]
SOURCES = {
    "Synapse": networks_of_synapse,
    "Coturn": networks_of_coturn,
    "Python": networks_of_python,
    "IANA": lambda: REGISTRIES,
    "clouds": lambda: CLOUDS,
    "nodes": lambda: list(NODES),
    "private": lambda: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00:1::/48"],
}


@pytest.fixture(scope="module")
def tree(fleet: Fleet) -> Tree:
    """A tenant on a cluster whose nodes have public addresses, and whose Pods have IPv6 too."""
    network = ("cluster", "network")
    private = [*fleet.raw("eu1.platform", (*network, "private")), "fd00:1::/48"]
    fleet = fleet.changed("eu1.platform", (*network, "private"), private)
    fleet = fleet.changed("eu1.platform", (*network, "nodes"), list(NODES))
    # A Coturn in the Pods' network has policies of its own.
    texts = {f"eu1/matrix-prod/{path}": text for path, text in draw_target(fleet, NAME, TOP).items()}
    return Tree.of(texts, fleet)


def data(tree: Tree, name: str, key: str) -> str:
    (found,) = (one.doc["data"][key] for one in tree.of_kind("ConfigMap") if key in one.doc["data"])
    return str(found)


def previews(tree: Tree) -> list[AnyNetwork]:
    options = yaml.safe_load(data(tree, "synapse", "homeserver.yaml"))
    return [ipaddress.ip_network(one) for one in options["url_preview_ip_range_blacklist"]]


def federation(tree: Tree) -> list[AnyNetwork]:
    options = yaml.safe_load(data(tree, "synapse", "homeserver.yaml"))
    return [ipaddress.ip_network(one) for one in options["ip_range_blacklist"]]


def relays(tree: Tree) -> list[AnyNetwork]:
    found: list[AnyNetwork] = [ipaddress.ip_network("::/128")]  # by itself: ioa_addr_is_zero
    for line in re.findall(r"^denied-peer-ip=(\S+)$", data(tree, "turn", "turnserver.conf"), re.M):
        first, _, last = line.partition("-")
        # A range from :: has no beginning for Coturn, and would hold all of IPv4.
        assert first != "::" and last != "::", line
        ends: Any = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
        found += ipaddress.summarize_address_range(*ends)
    return found


def policies(tree: Tree) -> list[AnyNetwork]:
    """What every rule to "the Internet" leaves out: of several rules, what all of them do."""
    rules: dict[str, list[set[str]]] = {"0.0.0.0/0": [], "::/0": []}
    for policy in tree.of_kind("NetworkPolicy"):
        for rule in policy.spec.get("egress", []):
            for peer in rule.get("to", []):
                block = peer.get("ipBlock") or {}
                if block.get("cidr") in rules:
                    rules[block["cidr"]].append(set(block.get("except", [])))
    assert all(rules.values()), "no rule to the Internet"
    kept = [network for some in rules.values() for network in set.intersection(*some)]
    return [ipaddress.ip_network(one) for one in kept]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("where", [previews, federation, relays, policies], ids=lambda one: one.__name__)
def test_nothing_is_left_out(tree: Tree, where: Any, source: str) -> None:
    denied = where(tree)
    held = {
        version: list(ipaddress.collapse_addresses(n for n in denied if n.version == version)) for version in (4, 6)
    }
    wanted = [ipaddress.ip_network(one) for one in SOURCES[source]()]
    assert wanted
    open_ = [str(one) for one in wanted if not any(one.subnet_of(other) for other in held[one.version])]
    assert not open_, f"{where.__name__} lets through {open_} of {source}"


@pytest.mark.parametrize("where", [previews, federation, relays, policies], ids=lambda one: one.__name__)
@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_is_reached(tree: Tree, where: Any, address: str) -> None:
    """The positive: what is somebody's public address."""
    assert not any(ipaddress.ip_address(address) in network for network in where(tree))


def test_synapse_reads_the_list_as_it_is_meant(tree: Tree) -> None:
    """In Synapse's own code, of the pinned version: IPv4 that is mapped into IPv6 is not all of IPv4."""
    script = (
        "import json, sys\n"
        "from netaddr import IPAddress\n"
        "from synapse.config.server import generate_ip_set\n"
        "from synapse.http.client import _is_ip_blocked\n"
        "denied, asked = json.load(sys.stdin)\n"
        "held = generate_ip_set(denied)\n"
        "print(json.dumps([_is_ip_blocked(IPAddress(one), None, held) for one in asked]))\n"
    )
    no = ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "168.63.129.16", "11.22.33.1", "::1", "::"]
    yes = ["1.1.1.1", "11.22.33.16", "2606:4700::1111"]
    asked = json.dumps([[str(one) for one in previews(tree)], [*no, *yes]])
    command = [str(TOP / ".cache/synapse/venv/bin/python"), "-c", script]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True] * len(no) + [False] * len(yes)


def test_ranges() -> None:
    assert address_range("10.0.0.0/8") == "10.0.0.0-10.255.255.255"
    assert address_range("::/96") == "::1-::ffff:ffff"
    assert address_range("::/128") == "::1" and address_range("fd00::1/128") == "fd00::1"
