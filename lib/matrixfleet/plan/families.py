"""Addresses to listen on, by the cluster's IP family. Programs differ in what `::` means, so each way is here once."""

from __future__ import annotations

from matrixfleet.model.choices import IpFamily
from matrixfleet.model.cluster import Network


def any_address(network: Network) -> str:
    """Address on which a socket without IPV6_V6ONLY hears everybody: `::` takes IPv4 too on Linux (ipv6(7))."""
    return "0.0.0.0" if network.ip_family is IpFamily.IPV4 else "::"


def any_addresses(network: Network) -> tuple[str, ...]:
    """Addresses for programs that set IPV6_V6ONLY themselves: Redis (anet.c), nginx (ipv6only=on)."""
    return {
        IpFamily.IPV4: ("0.0.0.0",),
        IpFamily.IPV6: ("::",),
        IpFamily.DUAL: ("0.0.0.0", "::"),
    }[network.ip_family]


def endpoint(network: Network, port: int) -> str:
    """`address:port`, with brackets where the address is IPv6 (RFC 3986)."""
    address = any_address(network)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def haproxy_bind(network: Network, port: int) -> str:
    """Address of a `bind` line: without one HAProxy listens on IPv4 alone (its manual, bind)."""
    return {
        IpFamily.IPV4: f":{port}",
        IpFamily.IPV6: f"[::]:{port} v6only",
        IpFamily.DUAL: f"[::]:{port} v4v6",
    }[network.ip_family]


def nginx_listen(network: Network, port: int) -> tuple[str, ...]:
    """Addresses of `listen` lines: a port alone is IPv4 alone (ngx_http_core_module)."""
    return tuple(f"[{one}]:{port}" if ":" in one else str(port) for one in any_addresses(network))


def probed_first(network: Network) -> str:
    """blackbox_exporter's preferred_ip_protocol, whose default is ip6: a host with an AAAA record would be asked by a
    way that is not there. Of a dual-stack cluster IPv4: Pods with an IPv6 address often have no route to the world."""
    return "ip6" if network.ip_family is IpFamily.IPV6 else "ip4"
