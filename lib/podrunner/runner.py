"""One Pod, from its first init container to its last signal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from podrunner.images import Image, image_of
from podrunner.objects import Object, Pod, Unsupported
from podrunner.probes import Probe
from podrunner.process import Program, program_of
from podrunner.volumes import Volumes

TICK = 0.1
# The kubelet's: a first crash is restarted at once, then after 10 s, twice as long each time, 5 min at most; ten
# quiet minutes forgive.
BACKOFF, LONGEST_BACKOFF, FORGIVEN = 10.0, 300.0, 600.0


class Process(Protocol):
    """A started container."""

    def poll(self) -> int | None: ...
    def signal(self, number: signal.Signals) -> None: ...
    def execute(self, command: list[str], timeout: float, output: Path | None = None) -> int: ...


class Sandbox(Protocol):
    """Where a Pod runs."""

    address: str
    host: str
    """The node's own address."""

    def enter(self) -> None:
        """Move this thread to where the Pod's address can be reached as from inside."""

    def start(
        self, container: Object, program: Program, image: Image, volumes: Mapping[str, Path], log: Path
    ) -> Process: ...

    def close(self) -> None: ...


class ContainerRun:
    """One container and its restarts, in a thread of its own."""

    def __init__(self, pod: PodRun, spec: Object, restarts: str) -> None:
        self.pod = pod
        self.spec = spec
        self.name: str = spec["name"]
        self.restarts = restarts
        """Always, OnFailure or Never."""
        self.restarted = 0
        self.code: int | None = None
        self.ready = False
        self.started = False
        self.state = "waiting"
        self.process: Process | None = None
        self.log = pod.logs / f"{self.name}.log"
        self.finished = threading.Event()
        self._stop = threading.Event()
        self._probes: dict[str, Probe] = {}
        self._image = image_of(pod.images, spec["image"])
        self._thread = threading.Thread(target=self._run, name=f"{pod.pod.key}/{self.name}", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Ask for the end; `finished` is set once it is there."""
        self._stop.set()

    @property
    def told(self) -> str:
        """The last answers of probes, for people."""
        return "; ".join(f"{name}: {probe.told}" for name, probe in self._probes.items() if probe.told)

    def execute(self, command: list[str], timeout: float, output: Path | None = None) -> int:
        process = self.process
        return process.execute(command, timeout, output) if process else 1

    def _run(self) -> None:
        try:
            self.pod.sandbox.enter()
            self._restart_until_done()
        except Exception as error:
            self.state = f"{type(error).__name__}: {error}"
            self.pod.say(f"{self.name}: {self.state}")
            self.code = self.code or 1
        finally:
            self.ready = self.started = False
            self.process = None
            self.finished.set()
            self.pod.changed()

    def _restart_until_done(self) -> None:
        wait = 0.0
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                self._once()
            except LookupError as error:
                # As the kubelet: a Pod whose Secret is not there yet waits for it.
                self.state = f"waiting: {error.args[0]}"
                self._stop.wait(1)
                continue
            if self._stop.is_set() or self.restarts == "Never" or (self.restarts == "OnFailure" and self.code == 0):
                return
            if time.monotonic() - begun > FORGIVEN:
                wait = 0.0
            self.state = f"crashed with {self.code}, again in {wait:.0f} s"
            self.restarted += 1
            self._stop.wait(wait)
            wait = min(max(wait * 2, BACKOFF), LONGEST_BACKOFF)

    def _once(self) -> None:
        """Start it and stay until its process ends."""
        pod = self.pod
        volumes = pod.volumes.publish(pod.pod)
        program = program_of(pod.pod, self.spec, self._image, pod.volumes)
        self.process = pod.sandbox.start(self.spec, program, self._image, volumes, self.log)
        self.state, self.code = "running", None
        pod.say(f"{self.name}: started")
        self._probes = {
            kind: Probe(self.spec[kind], self.spec, pod.sandbox.address, self.execute)
            for kind in ("startupProbe", "readinessProbe", "livenessProbe")
            if kind in self.spec
        }
        for probe in self._probes.values():
            probe.begin()
        self.started = "startupProbe" not in self._probes
        if self.started and "readinessProbe" not in self._probes:
            self._set_ready(True)
        pod.changed()
        while (code := self.process.poll()) is None:
            if self._stop.is_set():
                self._set_ready(False)
                self._terminate(self.process)
                continue
            for kind, probe in self._probes.items():
                if probe.due() and self._asked(kind) and not self._stop.is_set():
                    self._answered(kind, probe)
            self._stop.wait(TICK)
        self.code, self.process = code, None
        self.state = f"ended with {code}"
        pod.say(f"{self.name}: {self.state}")
        self.started = False
        self._set_ready(False)

    def _asked(self, kind: str) -> bool:
        """Until it has started only the startup probe is sent, afterwards only the others."""
        return (kind == "startupProbe") != self.started

    def _answered(self, kind: str, probe: Probe) -> None:
        answer = probe.ask()
        if answer is None:
            return
        if kind == "readinessProbe":
            self._set_ready(answer)
        elif kind == "startupProbe" and answer:
            self.started = True
            for other in self._probes.values():
                other.last = 0.0
            if "readinessProbe" not in self._probes:
                self._set_ready(True)
            self.pod.changed()
        elif not answer and self.process is not None:
            self.pod.say(f"{self.name}: {kind} failed: {probe.told}")
            self._terminate(self.process)

    def _set_ready(self, ready: bool) -> None:
        if self.ready != ready:
            self.ready = ready
            self.pod.say(f"{self.name}: {'ready' if ready else 'not ready'}")
            self.pod.changed()

    def _terminate(self, process: Process) -> None:
        """preStop, the image's stop signal, and SIGKILL once the grace period is over; it counts from the start."""
        end = time.monotonic() + self.pod.grace
        before = self.spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in before:
            time.sleep(min(before["sleep"]["seconds"], self.pod.grace))
        elif "exec" in before:
            process.execute(before["exec"]["command"], max(end - time.monotonic(), 0.1))
        elif before:
            raise Unsupported(f"preStop of {self.name}: {', '.join(before)}")
        process.signal(self._image.stop)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(TICK / 2)
        if process.poll() is None:
            self.pod.say(f"{self.name}: killed after {self.pod.grace:.0f} s")
            process.signal(signal.SIGKILL)
        while process.poll() is None:
            time.sleep(TICK / 2)


class PodRun:
    """A Pod that runs here. `changed` is called whenever its readiness may have changed."""

    def __init__(
        self,
        pod: Pod,
        sandbox: Sandbox,
        images: Mapping[str, Image],
        volumes: Volumes,
        logs: Path,
        changed: Callable[[], None],
    ) -> None:
        self.pod = pod
        self.sandbox = sandbox
        self.images = images
        self.volumes = volumes
        self.logs = logs
        self.changed = changed
        self.grace = pod.grace
        self.phase = "Pending"
        self.events: list[str] = []
        self.logs.mkdir(parents=True, exist_ok=True)
        self.init = [ContainerRun(self, spec, _init_restarts(pod, spec)) for spec in pod.init_containers]
        self.main = [ContainerRun(self, spec, pod.restart_policy) for spec in pod.containers]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=pod.key, daemon=True)

    @property
    def key(self) -> str:
        return self.pod.key

    @property
    def address(self) -> str:
        return self.sandbox.address

    @property
    def containers(self) -> list[ContainerRun]:
        return [*self.init, *self.main]

    @property
    def sidecars(self) -> list[ContainerRun]:
        return [one for one in self.init if one.spec.get("restartPolicy") == "Always"]

    @property
    def ready(self) -> bool:
        running = [*self.sidecars, *self.main]
        return self.phase == "Running" and not self._stopping.is_set() and all(one.ready for one in running)

    @property
    def done(self) -> bool:
        """Whether it did what it was for, and nothing more is to come."""
        return self.phase == "Succeeded"

    @property
    def settled(self) -> bool:
        """Whether it is what it should become: ready, or done where it runs to an end."""
        return self.ready if self.pod.restart_policy == "Always" else self.done

    def begin(self) -> None:
        self._thread.start()

    def stop(self, grace: float | None = None) -> None:
        """End it in its own terms; `grace` in seconds shortens them."""
        self.grace = self.grace if grace is None else grace
        self._stopping.set()
        for one in self.main:
            one.end()
        for one in self.main:
            if one._thread.ident is not None:
                one.finished.wait()
        for one in reversed(self.init):
            one.end()
            if one._thread.ident is not None:
                one.finished.wait()
        if self._thread.ident is not None:
            self._thread.join()
        self.phase = "Stopped"

    def kill(self, container: str | None = None) -> None:
        """SIGKILL to the first process of one container, or of all: a crash. The Pod restarts them."""
        for one in self.main:
            if container in (None, one.name) and one.process is not None:
                one.process.signal(signal.SIGKILL)

    def container(self, name: str) -> ContainerRun:
        return next(one for one in self.containers if one.name == name)

    def say(self, text: str) -> None:
        self.events.append(f"{datetime.now():%H:%M:%S.%f} {text}"[:200])

    def _run(self) -> None:
        for one in self.init:
            self.phase = f"Init:{one.name}"
            one.begin()
            while not (one.finished.is_set() or (one in self.sidecars and one.started)):
                if self._stopping.wait(TICK / 4):
                    return
            if self._stopping.is_set():
                return
            if one.finished.is_set() and one.code != 0:
                self.phase = "Failed"
                return
        self.phase = "Running"
        for one in self.main:
            one.begin()
        self.changed()
        for one in self.main:
            one.finished.wait()
        if not self._stopping.is_set():
            self.phase = "Succeeded" if all(one.code == 0 for one in self.main) else "Failed"
            for one in self.sidecars:
                one.end()
            self.changed()

    def report(self, lines: int = 15) -> str:
        """How it stands, with the last lines of its logs."""
        told = [f"Pod {self.key} ({self.address}): {self.phase}{', ready' if self.ready else ''}"]
        for one in self.containers:
            told.append(f"  container {one.name}: {one.state}, {one.restarted} restarts; {one.told}")
            if one.log.exists():
                last = one.log.read_text(errors="replace").splitlines()[-lines:]
                told += [f"    {line[:400]}" for line in last]
        return "\n".join(told)


def _init_restarts(pod: Pod, spec: Object) -> str:
    if spec.get("restartPolicy") == "Always":
        return "Always"
    return "Never" if pod.restart_policy == "Never" else "OnFailure"
