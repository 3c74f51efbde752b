"""Networks that are nobody's public address, and so no goal for URL previews, federation or relays."""

from __future__ import annotations

import ipaddress

# IANA special-purpose address registries (RFC 6890 and its updates), multicast and reserved space.
SPECIAL = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)

# Not the Internet on any cluster: RFC 1918, 6598 (carrier NAT), 3927 (link-local, and with it the clouds'
# metadata address), 4193 and 4291.
NEVER_PUBLIC = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)


def public(private: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """The Internet: 0.0.0.0/0 and what is cut out of it, and ::/0 likewise where the cluster class names
    private IPv6 networks. Without those IPv6 stays closed: who does not know what is private there must
    not open everything."""
    networks = [ipaddress.ip_network(network) for network in (*NEVER_PUBLIC, *private)]
    four = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    six = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
    blocks = [("0.0.0.0/0", [str(network) for network in ipaddress.collapse_addresses(four)])]
    if any(":" in network for network in private):
        blocks.append(("::/0", [str(network) for network in ipaddress.collapse_addresses(six)]))
    return blocks


def denied(private: tuple[str, ...]) -> list[str]:
    """Special networks and the cluster's own private ones."""
    return [*SPECIAL, *(network for network in private if network not in SPECIAL)]


def address_range(network: str) -> str:
    """`first-last`, as Coturn wants it; one address alone where they are the same."""
    parsed = ipaddress.ip_network(network)
    first, last = parsed[0], parsed[-1]
    return str(first) if first == last else f"{first}-{last}"


def denied_ranges(private: tuple[str, ...]) -> list[str]:
    """`denied` for Coturn, without ::, which it refuses by itself (ioa_addr_is_zero): a range that ends there
    is one without an end to it (ioa_addr_in_range), and every peer would be denied."""
    return [address_range(network) for network in denied(private) if network != "::/128"]
