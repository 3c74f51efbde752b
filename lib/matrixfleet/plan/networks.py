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


def denied(private: tuple[str, ...]) -> list[str]:
    """Special networks and the cluster's own private ones."""
    return [*SPECIAL, *(network for network in private if network not in SPECIAL)]


def address_range(network: str) -> str:
    """`first-last`, as Coturn wants it; one address alone where they are the same."""
    parsed = ipaddress.ip_network(network)
    first, last = parsed[0], parsed[-1]
    return str(first) if first == last else f"{first}-{last}"
