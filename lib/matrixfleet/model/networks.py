"""Networks that are nobody's public address, and networks that no tenant may name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from matrixfleet.model.types import Cidr, expected

AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

METADATA = (
    # Link-local: Amazon's, Google's, Azure's, Hetzner's, DigitalOcean's and OpenStack's instance metadata
    # (169.254.169.254), Amazon's container credentials (169.254.170.2) and EKS Pod Identity (169.254.170.23).
    "169.254.0.0/16",
    # Azure's WireServer: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    "168.63.129.16/32",
    # Alibaba Cloud's metadata address.
    "100.100.100.200/32",
    # Oracle Cloud's older metadata address.
    "192.0.0.192/32",
    # Amazon's over IPv6, and EKS Pod Identity's.
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
    # Google's over IPv6: https://cloud.google.com/compute/docs/metadata/querying-metadata
    "fd20:ce::254/128",
    "fe80::/10",
)
"""Where clouds hand out credentials to whoever asks from a node."""

SPECIAL = (
    # https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast (RFC 5771).
    "0.0.0.0/8",  # this network: RFC 791
    "10.0.0.0/8",  # private: RFC 1918
    "100.64.0.0/10",  # shared address space of carriers: RFC 6598
    "127.0.0.0/8",  # loopback: RFC 1122
    "169.254.0.0/16",  # link-local: RFC 3927
    "172.16.0.0/12",  # private: RFC 1918
    "192.0.0.0/24",  # IETF protocol assignments: RFC 6890, 7335, 7600, 7723, 8155, 8880
    "192.0.2.0/24",  # documentation: RFC 5737
    "192.31.196.0/24",  # AS112: RFC 7535
    "192.52.193.0/24",  # AMT: RFC 7450
    "192.88.99.0/24",  # 6to4 relays: RFC 7526
    "192.168.0.0/16",  # private: RFC 1918
    "192.175.48.0/24",  # AS112: RFC 7534
    "198.18.0.0/15",  # benchmarks: RFC 2544
    "198.51.100.0/24",  # documentation: RFC 5737
    "203.0.113.0/24",  # documentation: RFC 5737
    "224.0.0.0/4",  # multicast: RFC 5771
    "240.0.0.0/4",  # reserved, and broadcast: RFC 1112, 919
    # https://www.iana.org/assignments/iana-ipv6-special-registry, and site-local, IPv4 inside IPv6, and multicast.
    "::/96",  # unspecified, loopback, IPv4-compatible: RFC 4291
    "::ffff:0:0/96",  # IPv4-mapped: RFC 4291
    "::ffff:0:0:0/96",  # IPv4-translated: RFC 2765
    "64:ff9b::/96",  # IPv4 behind a NAT64: RFC 6052
    "64:ff9b:1::/48",  # IPv4 behind a local NAT64: RFC 8215
    "100::/64",  # discard: RFC 6666
    "100:0:0:1::/64",  # dummy prefix: RFC 9780
    "2001::/23",  # IETF protocol assignments, Teredo and ORCHID among them: RFC 2928, 4380, 7343, 9374
    "2001:db8::/32",  # documentation: RFC 3849
    "2002::/16",  # IPv4 by 6to4: RFC 3056
    "2620:4f:8000::/48",  # AS112: RFC 7534
    "3fff::/20",  # documentation: RFC 9637
    "5f00::/16",  # segment routing: RFC 9602
    "fc00::/7",  # unique local: RFC 4193
    "fe80::/10",  # link-local: RFC 4291
    "fec0::/10",  # site-local: RFC 3879
    "ff00::/8",  # multicast: RFC 4291
    # Global unicast addresses begin with 001; the rest is IETF's own: RFC 4291, section 2.4, and
    # https://www.iana.org/assignments/ipv6-address-space
    "::/3",
    "4000::/2",
    "8000::/1",
)
"""Networks that are nobody's public address. They are no destination of URL previews, federation, relays or whatever
else goes "to the Internet"."""

LOOPBACK = ("127.0.0.0/8", "::1/128")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_PRIVATE = tuple(ipaddress.ip_network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_MOST = {4: 2 ** (32 - 8), 6: 2 ** (128 - 16)}
"""Addresses of the Internet that an allow-list may hold, by version of IP: those of a /8 and of a /16. No operator has
more, and lists that are cut into pieces add up to the Internet as well."""


def overlaps(one: str, other: str) -> bool:
    """Whether two networks have an address in common; an IPv4-mapped IPv6 address is the IPv4 address."""
    return holds(one, other) or holds(other, one)


def holds(one: str, other: str) -> bool:
    """Whether the first network has every address of the second."""
    return within(_unmapped(other), _unmapped(one))


def is_internet(networks: Iterable[str]) -> bool:
    """Whether networks together are the Internet, or so much of it that they restrict nobody."""
    parsed = [_unmapped(network) for network in networks]
    if any(within(_MAPPED, one) for one in parsed):
        return True
    public = [one for one in parsed if not any(within(one, private) for private in _PRIVATE)]
    for version, most in _MOST.items():
        held = ipaddress.collapse_addresses([one for one in public if one.version == version])  # type: ignore[type-var]
        if sum(int(one.num_addresses) for one in held) > most:
            return True
    return False


def within(one: AnyNetwork, other: AnyNetwork) -> bool:
    """Whether a network lies in another one, or is it."""
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]


def _unmapped(network: str) -> AnyNetwork:
    """A network, as IPv4 where it is IPv4-mapped: routers and load balancers compare it as such."""
    parsed = ipaddress.ip_network(network)
    if isinstance(parsed, ipaddress.IPv6Network) and parsed.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((int(parsed.network_address) & 0xFFFFFFFF, parsed.prefixlen - 96))
    return parsed


def _restricts(networks: tuple[str, ...]) -> tuple[str, ...]:
    if is_internet(networks):
        raise expected("networks that restrict: a /8 of IPv4 and a /16 of IPv6 at most", ", ".join(networks), INTERNET)
    for network in networks:
        if _unmapped(network).version != ipaddress.ip_network(network).version:
            raise expected("IPv4 networks as IPv4", network, f"did you mean {_unmapped(network)}?")
    return networks


INTERNET = "that is the Internet; name the networks of those who may, or leave the list out"
ClientNetworks = Annotated[tuple[Cidr, ...], AfterValidator(_restricts)]
"""An allow-list: networks of clients who may. A list that holds the Internet would restrict nobody."""
