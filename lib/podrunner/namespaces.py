"""Pods in namespaces: network, mount, process, host name. Needs root and a network namespace of the node's own."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from podrunner.images import Image
from podrunner.network import NODE, Network, enter
from podrunner.objects import Object, Pod
from podrunner.process import Program, as_user, hostname, root_script

UNSHARE = ("unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--propagation", "private")


class NamespacedProcess:
    """The first process of a container, seen from outside."""

    def __init__(self, outer: subprocess.Popen[bytes], program: Program, laid: Path) -> None:
        self.outer = outer
        self.program = program
        self.laid = laid

    def poll(self) -> int | None:
        return self.outer.poll()

    @property
    def inner(self) -> int | None:
        """The number of the container's process 1 on this node."""
        return _first_child(self.outer.pid)

    def signal(self, number: signal.Signals) -> None:
        if (inner := self.inner) is not None:
            _kill(inner, number)

    def execute(self, command: list[str], timeout: float, output: Path | None = None) -> int:
        """Run a command in the container's namespaces, as its user."""
        # Before its root is whole there is no container yet, only this machine's root in its place.
        end = time.monotonic() + timeout
        while self.outer.poll() is None and not self.laid.stat().st_size and time.monotonic() < end:
            time.sleep(0.02)
        if (inner := self.inner) is None:
            return 1
        enter_it = ["nsenter", f"--target={inner}", "--mount", "--pid", "--net", "--uts", "--ipc", "--wdns=/"]
        into = output.open("wb") if output else subprocess.DEVNULL
        started = subprocess.Popen(
            [*enter_it, *as_user(self.program, tuple(command))],
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=into,
            start_new_session=True,
        )
        try:
            return started.wait(timeout)
        except subprocess.TimeoutExpired:
            # The command itself, not nsenter: as an orphan nobody would reap it, and a PID namespace does not end
            # before all of its processes are reaped.
            _kill(_first_child(started.pid) or started.pid, signal.SIGKILL)
            started.wait()
            return 124
        finally:
            if output:
                into.close()  # type: ignore[union-attr]


class NamespacedPod:
    """A Pod's address, its network namespace, and the place of its containers' roots."""

    def __init__(self, pod: Pod, network: Network, directory: Path) -> None:
        self.pod = pod
        self.network = network
        self.directory = directory
        self.host = str(NODE)
        self.address, self.namespace = network.attach(pod)
        self.directory.mkdir(parents=True, exist_ok=True)

    def enter(self) -> None:
        if self.namespace is not None:
            enter(self.namespace)

    def start(
        self, container: Object, program: Program, image: Image, volumes: Mapping[str, Path], log: Path
    ) -> NamespacedProcess:
        root = self.directory / container["name"]
        root.mkdir(exist_ok=True)
        files = self._files(container, program, image)
        script, laid = (self.directory / f"{container['name']}.{what}" for what in ("sh", "laid"))
        laid.write_text("")
        name = f"hostname {shlex.quote(hostname(self.pod))}\n" if not self.pod.host_network else ""
        script.write_text(name + root_script(root, container, volumes, image, program, files, laid))
        script.chmod(0o600)
        with log.open("ab") as stream:
            # /dev/stderr is opened by name by some programs: the log must be theirs.
            os.fchown(stream.fileno(), program.user, program.group)
            uts = [] if self.pod.host_network else ["--uts"]
            outer = subprocess.Popen(
                [*UNSHARE, *uts, "sh", str(script)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        return NamespacedProcess(outer, program, laid)

    def _files(self, container: Object, program: Program, image: Image) -> dict[str, Path]:
        """The files that a node writes for each container."""
        name = hostname(self.pod)
        names = f"127.0.0.1 localhost\n::1 localhost\n{self.address} {name}\n"
        users = {0: "root", program.user: "user", 65534: "nobody", **image.users}
        lines = [
            f"{user}:x:{number}:{program.group if number == program.user else number}::/tmp:/bin/sh"
            for number, user in users.items()
        ]
        content = {
            "/etc/hosts": names,
            "/etc/hostname": f"{name}\n",
            "/etc/resolv.conf": self.network.resolv_conf(self.pod),
            "/etc/passwd": "\n".join(lines) + "\n",
            "/etc/group": "".join(f"{user}:x:{number}:\n" for number, user in users.items()),
        }
        made = {}
        for where, text in content.items():
            # Its own for each container: a neighbour that starts must not find half a file.
            path = self.directory / f"{container['name']}.{where.rpartition('/')[2]}"
            path.write_text(text)
            path.chmod(0o644)
            made[where] = path
        return made

    def close(self) -> None:
        self.network.detach(self.namespace)


def _first_child(pid: int) -> int | None:
    try:
        first, *_ = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, ValueError):
        return None
    return int(first)


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
