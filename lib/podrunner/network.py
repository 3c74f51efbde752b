"""A network namespace and an address for each Pod on one bridge, Services by nftables, names by a hosts file.

Needs root, Debian's iproute2 and nftables, and a network namespace that is the node's own: whatever it sets up
goes with that namespace. A Service's address is translated in the client's own namespace, before the client's
policies look at the packet, so that policies see Pods as they do in a cluster.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from podrunner.objects import Object, Objects, Pod, identity, number_of

BRIDGE = "pods"
NODE = ipaddress.ip_address("10.244.0.1")
PODS = ipaddress.ip_network("10.244.0.0/16")
SERVICES = ipaddress.ip_network("10.96.0.0/16")
# What a LoadBalancer hands out: addresses that policies and address filters take for the Internet's. Nothing that
# is sent to them leaves the node's own namespace.
EXTERNAL = ipaddress.ip_network("11.0.0.0/24")
DOMAIN = "svc.cluster.local"
NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000

T = TypeVar("T")
Endpoints = Mapping[tuple[str, str], Sequence[tuple[Pod, str]]]
"""The ready Pods of each Service with their addresses, by the Service's namespace and name."""


class Refused(Exception):
    """The kernel or its tools did not take a setting."""


class Network:
    """The node's network. `names` is where the hosts file of all Services is written."""

    def __init__(self, names: Path, nameserver: str) -> None:
        self.names = names
        self.nameserver = nameserver
        self.outside: dict[str, str] = {}
        """Names of the world with their addresses: what a public DNS would say."""
        self._lock = threading.RLock()
        self._pods: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._free = (str(address) for address in itertools.islice(PODS.hosts(), 255, None))
        self._service_addresses: dict[tuple[str, str], str] = {}
        self._external: dict[tuple[str, str], str] = {}
        self._written: dict[str, str] = {}
        self._exposed: dict[tuple[str, str], str] = {}

    def start(self) -> None:
        """Lay the bridge. Raises Refused where this namespace is not the node's to change."""
        NAMESPACES.mkdir(parents=True, exist_ok=True)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{NODE}/{PODS.prefixlen}", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        run("ip", "route", "add", str(EXTERNAL), "dev", BRIDGE)
        # A node reaches Services too; their addresses are translated on the way out.
        run("ip", "route", "add", str(SERVICES), "dev", BRIDGE)
        _unprivileged_ports()

    def attach(self, pod: Pod) -> tuple[str, str | None]:
        """A Pod's address and the name of its namespace (None on the host's network)."""
        if pod.host_network:
            return str(NODE), None
        with self._lock:
            number, address = next(self._numbers), next(self._free)
        name, link = f"pod{number}", f"veth{number}"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", link, "master", BRIDGE, "up")
        commands = (
            "link set lo up",
            f"address add {address}/{PODS.prefixlen} dev eth0",
            "link set eth0 up",
            f"route add {EXTERNAL} dev eth0",
            f"route add default via {NODE}",
        )
        run("ip", "-netns", name, "-batch", "-", said="\n".join(commands))
        self.inside(name, _unprivileged_ports)
        with self._lock:
            self._pods[name] = address
        return address, name

    def detach(self, name: str | None) -> None:
        if name is None:
            return
        with self._lock:
            self._pods.pop(name, None)
            self._written.pop(name, None)
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def inside(self, name: str | None, do: Callable[[], T]) -> T:
        """Do something in a Pod's namespace, in a thread of its own."""
        if name is None:
            return do()
        found: list[T] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                enter(name)
                found.append(do())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work, name=f"in-{name}")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def service_address(self, service: Object) -> str | None:
        """A Service's own address; None for a headless one."""
        asked = service["spec"].get("clusterIP")
        if asked == "None":
            return None
        with self._lock:
            key = identity(service)[1:]
            if key not in self._service_addresses:
                number = len(self._service_addresses) + 256
                self._service_addresses[key] = str(asked or SERVICES[number])
            return self._service_addresses[key]

    def external_address(self, service: Object) -> str | None:
        """What a load balancer in front of the cluster would have for it."""
        if service["spec"].get("type") != "LoadBalancer":
            return None
        with self._lock:
            key = identity(service)[1:]
            return self._external.setdefault(key, str(EXTERNAL[len(self._external) + 1]))

    def sync(self, objects: Objects, endpoints: Endpoints, namespaces: Mapping[str, str | None]) -> None:
        """Bring Services and names up to date everywhere. `namespaces` has each Pod's namespace by its key."""
        services = list(objects.of_kind("Service"))
        with self._lock:
            rules = self._rules(services, endpoints)
            for name in (None, *self._pods):
                if self._written.get(name or "") != rules:
                    with contextlib.suppress(Refused):
                        nft(name, rules)
                        self._written[name or ""] = rules
            for service in services:
                self._expose(service, endpoints.get(identity(service)[1:], ()), namespaces)
            self._write_names(services, endpoints)

    def _rules(self, services: Sequence[Object], endpoints: Endpoints) -> str:
        lines = ["table ip services {}", "delete table ip services", "table ip services {", "  chain output {"]
        lines.append("    type nat hook output priority -100;")
        refused = []
        for service in services:
            address = self.service_address(service)
            if address is None:
                continue
            ready = endpoints.get(identity(service)[1:], ())
            for port in service["spec"].get("ports", []):
                protocol = port.get("protocol", "TCP").lower()
                match = f"ip daddr {address} {protocol} dport {port['port']}"
                targets = list(_targets(port, ready))
                if targets:
                    choices = ", ".join(f"{number} : {one}" for number, one in enumerate(targets))
                    lines.append(f"    {match} dnat to numgen random mod {len(targets)} map {{ {choices} }}")
                else:
                    refused.append(f"    {match} reject")
        lines += ["  }", "  chain refused {", "    type filter hook output priority -10;", *refused, "  }", "}"]
        return "\n".join(lines)

    def _expose(self, service: Object, ready: Sequence[tuple[Pod, str]], namespaces: Mapping[str, str | None]) -> None:
        """Give a load balancer's address to the first ready Pod, and translate its ports there."""
        address = self.external_address(service)
        if address is None or not ready:
            return
        pod, at = ready[0]
        key = identity(service)[1:]
        if self._exposed.get(key) == at:
            return
        name = namespaces.get(pod.key)
        for other in (None, *self._pods):
            # Nobody else has it, and nobody remembers who had.
            subprocess.run(
                [*_ip(other), "address", "delete", f"{address}/32", "dev", _link(other)], capture_output=True
            )
            subprocess.run([*_ip(other), "neighbour", "flush", "to", address], capture_output=True)
        run(*_ip(name), "address", "add", f"{address}/32", "dev", _link(name))
        table = f"exposed-{service['metadata']['name']}"
        lines = [f"table ip {table} {{}}", f"delete table ip {table}", f"table ip {table} {{", "  chain prerouting {"]
        lines.append("    type nat hook prerouting priority -100;")
        for port in service["spec"].get("ports", []):
            protocol = port.get("protocol", "TCP")
            number = _target(port, pod)
            if number and number != port["port"]:
                lines.append(f"    ip daddr {address} {protocol.lower()} dport {port['port']} redirect to :{number}")
        nft(name, "\n".join([*lines, "  }", "}"]))
        self._exposed[key] = at

    def _write_names(self, services: Sequence[Object], endpoints: Endpoints) -> None:
        lines = [f"{address} {name}" for name, address in sorted(self.outside.items())]
        for service in services:
            _, namespace, name = identity(service)
            own = f"{name}.{namespace}.{DOMAIN}"
            address = self.service_address(service)
            ready = endpoints.get((namespace, name), ())
            lines += [f"{address} {own}"] if address else [f"{at} {own}" for _, at in ready]
            for pod, at in ready:
                if pod.spec.get("subdomain") == name and pod.spec.get("hostname"):
                    lines.append(f"{at} {pod.spec['hostname']}.{own}")
        text = "".join(f"{line}\n" for line in lines)
        if not self.names.exists() or self.names.read_text() != text:
            fresh = self.names.with_name(".new")
            fresh.write_text(text)
            fresh.chmod(0o644)
            fresh.rename(self.names)

    def resolv_conf(self, pod: Pod) -> str:
        search = f"{pod.namespace}.{DOMAIN} {DOMAIN} cluster.local"
        return f"nameserver {self.nameserver}\nsearch {search}\noptions ndots:5\n"


def _targets(port: Object, ready: Sequence[tuple[Pod, str]]) -> Iterator[str]:
    """Address and port of each Pod that serves a Service's port."""
    for pod, address in ready:
        number = _target(port, pod)
        if number is not None:
            yield f"{address} . {number}"


def _target(port: Object, pod: Pod) -> int | None:
    """The number of a Pod's own port behind a Service's; None where it names one that the Pod has not."""
    return number_of(port.get("targetPort") or port["port"], pod.containers, port.get("protocol", "TCP"))


def _ip(name: str | None) -> list[str]:
    return ["ip", "-netns", name] if name else ["ip"]


def _link(name: str | None) -> str:
    return "eth0" if name else BRIDGE


def enter(name: str) -> None:
    """Move this thread, and what it starts, into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (NAMESPACES / name).open() as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")


def _unprivileged_ports() -> None:
    # As containerd does: a container without capabilities may still listen on 80.
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


def run(*command: str, said: str | None = None) -> str:
    """Run a command; raises Refused with what it said."""
    done = subprocess.run(command, input=said, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def nft(name: str | None, rules: str) -> None:
    """Load rules in a Pod's namespace, or in the node's own, all or none."""
    where = ["nsenter", f"--net={NAMESPACES / name}"] if name else []
    done = subprocess.run([*where, "nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        numbered = "\n".join(f"{number:4} {line}" for number, line in enumerate(rules.splitlines(), 1))
        raise Refused(f"nft: {done.stderr}\n{numbered}")


def own_namespace() -> bool:
    """Whether this process has a network namespace to itself: nothing in it but loopback."""
    return os.geteuid() == 0 and {name for _, name in socket.if_nameindex()} <= {"lo"}
