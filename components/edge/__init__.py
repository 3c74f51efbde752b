"""The way in: hosts, TLS, redirect to HTTPS, timeouts, and nothing else; paths are the router's."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.edges import edge_objects
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import TenantPlan


@component("workload/edge")
def main(plan: TenantPlan) -> Iterator[Object]:
    """As the cluster's kind of edge spells it."""
    yield from edge_objects(plan)
