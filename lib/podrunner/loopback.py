"""The same Pods without root: no namespaces, one loopback address for each Pod, mount paths rewritten.

Linux routes all of 127.0.0.0/8 to loopback, so each Pod has an address of its own and keeps its ports. What programs
would find at a mountPath lies elsewhere, and a Service's name is its first Pod's address: both are rewritten in
commands, in environments and in the files of ConfigMaps. Not here, for want of namespaces: policies, balancing, users,
read-only roots. For trying a tenant out, not for proving it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from podrunner.images import Image
from podrunner.network import DOMAIN
from podrunner.node import Node
from podrunner.objects import CONTROLLERS, Object, Objects, Pod, identity, matches, pods_of
from podrunner.process import Program, hostname
from podrunner.runner import PodRun

ANY_ADDRESS = re.compile(r"(?<![\d.])0\.0\.0\.0(?![\d./])")
FIRST = 2


class LocalProcess:
    """A container's process, the leader of a session of its own."""

    def __init__(
        self, started: subprocess.Popen[bytes], pod: LocalPod, program: Program, paths: Mapping[str, Path]
    ) -> None:
        self.started, self.pod, self.program, self.paths = started, pod, program, paths

    def poll(self) -> int | None:
        return self.started.poll()

    def signal(self, number: signal.Signals) -> None:
        try:
            if number == signal.SIGKILL:
                os.killpg(self.started.pid, number)
            else:
                self.started.send_signal(number)
        except ProcessLookupError:
            pass

    def execute(self, command: list[str], timeout: float, output: Path | None = None) -> int:
        said = [self.pod.rewrite(word, self.paths) for word in command]
        done = _started(said, self.pod.environment(self.program, self.paths), output or Path(os.devnull))
        try:
            return done.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(done.pid, signal.SIGKILL)
            done.wait()
            return 124


class LocalPod:
    """Where a Pod's containers run: an address, and what its mount paths are here."""

    host = "127.0.0.1"

    def __init__(self, pod: Pod, address: str) -> None:
        self.pod, self.address = pod, address

    def enter(self) -> None:
        """Nothing to enter: all is this machine's own network."""

    def start(
        self, container: Object, program: Program, image: Image, volumes: Mapping[str, Path], log: Path
    ) -> LocalProcess:
        paths = mounted(container, volumes)
        command = [self.rewrite(word, paths) for word in program.command]
        return LocalProcess(_started(command, self.environment(program, paths), log), self, program, paths)

    def environment(self, program: Program, paths: Mapping[str, Path]) -> dict[str, str]:
        path = program.environment["PATH"]
        said = {name: self.rewrite(value, paths) for name, value in program.environment.items()}
        return {**said, "PATH": path, "HOSTNAME": hostname(self.pod), "LANG": "C.UTF-8"}

    def rewrite(self, text: str, paths: Mapping[str, Path]) -> str:
        """Mount paths become what they are here, and every interface becomes the Pod's address."""
        if paths:
            longest_first = sorted(paths, key=len, reverse=True)
            pattern = r"(?<![\w./-])(" + "|".join(map(re.escape, longest_first)) + r")(?![\w.-])"
            text = re.sub(pattern, lambda match: str(paths[match.group(1)]), text)
        return ANY_ADDRESS.sub(self.address, text)

    def close(self) -> None:
        """Nothing of it is left."""


class LoopbackNode(Node):
    """Runs Pods as an ordinary user's processes. `network` are the first two numbers of the Pods' addresses."""

    def __init__(self, directory: Path, images: Mapping[str, Image], network: str = "127.77") -> None:
        super().__init__(directory, images)
        self.network = network
        self._addresses: dict[str, str] = {}
        self.volumes.rewrite = self._file

    def apply(self, objects: Iterable[Object]) -> list[PodRun]:
        return super().apply(self.named(list(objects)))

    def named(self, objects: list[Object]) -> list[Object]:
        """The objects with the names of Services and their Pods as addresses."""
        wanted = [
            pod for one in (*self.objects, *objects) if one["kind"] in ("Pod", *CONTROLLERS) for pod in pods_of(one)
        ]
        names: dict[str, str] = {}
        for service in Objects([*self.objects, *objects]).of_kind("Service"):
            _, namespace, name = identity(service)
            selector = {"matchLabels": service["spec"].get("selector") or {"": ""}}
            for pod in wanted:
                if pod.namespace == namespace and matches(selector, pod.labels):
                    names.setdefault(f"{name}.{namespace}.{DOMAIN}", self.address(pod))
                    if pod.spec.get("subdomain") == name:
                        names[f"{pod.spec['hostname']}.{name}.{namespace}.{DOMAIN}"] = self.address(pod)
        return [_replaced(one, names) for one in objects]

    def address(self, pod: Pod) -> str:
        number = len(self._addresses) + FIRST
        return self._addresses.setdefault(pod.key, f"{self.network}.{number // 250}.{number % 250}")

    def sandbox(self, pod: Pod) -> LocalPod:
        return LocalPod(pod, self.address(pod))

    def _file(self, pod: Pod, content: bytes) -> bytes:
        """A ConfigMap's file as this Pod reads it."""
        paths: dict[str, Path] = {}
        for container in (*pod.init_containers, *pod.containers):
            paths |= mounted(
                container, {volume["name"]: self.volumes.place(pod, volume) for volume in pod.spec["volumes"]}
            )
        return LocalPod(pod, self.address(pod)).rewrite(content.decode(), paths).encode()


def mounted(container: Object, volumes: Mapping[str, Path]) -> dict[str, Path]:
    """A container's mount paths and what they are here."""
    mounts = container.get("volumeMounts", [])
    return {one["mountPath"].rstrip("/"): volumes[one["name"]] / one.get("subPath", "") for one in mounts}


def _started(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as stream:
        return subprocess.Popen(
            # As in a container: a shell's background job, for one, ignores SIGINT, and so would all that it starts.
            ["/usr/bin/env", "--default-signal", *command],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def _replaced(one: Object, names: Mapping[str, str]) -> Object:
    """An object with names replaced in every text of it. Its own name and labels hold no such text."""

    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner) for inner in value]
        if isinstance(value, str) and DOMAIN in value:
            for name in sorted(names, key=len, reverse=True):
                value = value.replace(name, names[name])
        return value

    replaced = walk(one)
    assert isinstance(replaced, dict)
    return replaced
