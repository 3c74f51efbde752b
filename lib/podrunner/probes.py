"""Startup, readiness and liveness, sent as the kubelet sends them."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from podrunner.objects import Object, Unsupported, number_of

Execute = Callable[[list[str], float], int]
"""Runs a command inside the container; its exit code, or 124 where it took longer than the seconds given."""


@dataclass
class Probe:
    """One probe of a container: when it is due, and what its answers come to."""

    spec: Object
    container: Object
    address: str
    execute: Execute
    started: float = 0.0
    last: float = 0.0
    in_a_row: int = 0
    """Successes (above 0) or failures (below)."""
    told: str = ""
    """The last answer, for people."""

    def begin(self) -> None:
        self.started, self.last, self.in_a_row = time.monotonic(), 0.0, 0

    def due(self) -> bool:
        now = time.monotonic()
        if now < self.started + self.spec.get("initialDelaySeconds", 0):
            return False
        return now >= self.last + float(self.spec.get("periodSeconds", 10))

    def ask(self) -> bool | None:
        """Send it. True and False once the thresholds are reached, None before."""
        self.last = time.monotonic()
        try:
            succeeded, self.told = self._send(float(self.spec.get("timeoutSeconds", 1)))
        except (OSError, http.client.HTTPException) as error:
            succeeded, self.told = False, f"{type(error).__name__}: {error}"
        self.in_a_row = max(self.in_a_row, 0) + 1 if succeeded else min(self.in_a_row, 0) - 1
        if self.in_a_row >= self.spec.get("successThreshold", 1):
            return True
        return False if -self.in_a_row >= self.spec.get("failureThreshold", 3) else None

    def _send(self, timeout: float) -> tuple[bool, str]:
        if "exec" in self.spec:
            code = self.execute(list(self.spec["exec"]["command"]), timeout)
            return code == 0, f"exit code {code}"
        if "httpGet" in self.spec:
            return self._get(self.spec["httpGet"], timeout)
        if "tcpSocket" in self.spec:
            with socket.create_connection((self.address, self._port(self.spec["tcpSocket"])), timeout):
                return True, "connected"
        raise Unsupported(f"probe of {self.container['name']}: {', '.join(self.spec)}")

    def _get(self, get: Object, timeout: float) -> tuple[bool, str]:
        host, port = get.get("host", self.address), self._port(get)
        connection: http.client.HTTPConnection
        if get.get("scheme") == "HTTPS":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            headers = {one["name"]: one["value"] for one in get.get("httpHeaders", [])}
            connection.request("GET", get.get("path", "/"), headers=headers)
            status = connection.getresponse().status
            return 200 <= status < 400, f"HTTP {status}"
        finally:
            connection.close()

    def _port(self, action: Object) -> int:
        number = number_of(action["port"], [self.container])
        if number is None:
            raise Unsupported(f"probe of {self.container['name']}: no port named {action['port']!r}")
        return number
