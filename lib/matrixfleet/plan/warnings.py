"""What compiles and should not stay: told each time, and never a reason to stop."""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.errors import Fault
from matrixfleet.model import Fleet
from matrixfleet.model.choices import Edge


def warnings_of(fleet: Fleet) -> Iterator[Fault]:
    """Warnings of a fleet that can be read, by cluster."""
    for name in fleet.names:
        if name != fleet.platform_name(name):
            continue
        if fleet.platform(name).cluster.edge.controller is Edge.INGRESS_NGINX:
            yield fleet.fault(
                name,
                ("cluster", "edge", "controller"),
                "ingress-nginx was archived upstream in March 2026 and gets no security fixes;"
                " docs/edges.md compares the others",
            )
