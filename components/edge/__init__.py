"""The way in: hosts, TLS, redirect to HTTPS, timeouts, and nothing else; paths are the router's."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.edges import edge_objects
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import Plan


@component("workload/edge")
def main(plan: Plan) -> Iterator[Object]:
    """As the cluster's kind of edge spells it; nothing for a platform without hosts."""
    if plan.public_hosts:
        yield from edge_objects(plan)
