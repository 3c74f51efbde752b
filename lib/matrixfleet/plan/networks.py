"""What is not the Internet on a cluster: no destination of URL previews, federation, relays and outward flows."""

from __future__ import annotations

import ipaddress
from functools import cache

from matrixfleet.model.cluster import Network
from matrixfleet.model.networks import METADATA, SPECIAL, AnyNetwork, within


def denied(network: Network) -> list[str]:
    """Special networks, metadata addresses, the cluster's private networks and its nodes: each that no other holds."""
    return [str(one) for one in _outermost((*SPECIAL, *METADATA, *network.private, *network.nodes))]


def public(network: Network) -> list[tuple[str, list[str]]]:
    """The Internet: 0.0.0.0/0 and what is cut out of it, and ::/0 likewise where the cluster class names
    private IPv6 networks. Without those IPv6 stays closed: who does not know what is private there must
    not open everything."""
    cut = _outermost((*SPECIAL, *METADATA, *network.private, *network.nodes))
    four = [one for one in cut if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in cut if isinstance(one, ipaddress.IPv6Network)]
    blocks = [("0.0.0.0/0", [str(one) for one in ipaddress.collapse_addresses(four)])]
    if any(":" in one for one in network.private):
        blocks.append(("::/0", [str(one) for one in ipaddress.collapse_addresses(six)]))
    return blocks


def denied_ranges(network: Network) -> list[str]:
    """`denied` for Coturn."""
    return [address_range(one) for one in denied(network)]


def address_range(network: str) -> str:
    """`first-last`, as Coturn wants it; one address alone where they are the same.

    A range from :: would begin at ::1: Coturn refuses :: by itself (ioa_addr_is_zero), and takes a range from there
    for one without a beginning, which would hold every IPv4 address (ioa_addr_in_range, addr_less_eq)."""
    parsed = ipaddress.ip_network(network)
    first, last = str(parsed[0]), str(parsed[-1])
    if first == "::":
        first = "::1"
    return first if first == last or parsed.num_addresses == 1 else f"{first}-{last}"


@cache
def _outermost(networks: tuple[str, ...]) -> tuple[AnyNetwork, ...]:
    """Networks in their order, without those that lie in another."""
    parsed = list(dict.fromkeys(ipaddress.ip_network(one) for one in networks))
    return tuple(one for one in parsed if not any(one != other and within(one, other) for other in parsed))
