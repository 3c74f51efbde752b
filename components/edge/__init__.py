"""The way in: hosts, TLS, redirect to HTTPS, timeouts, and nothing else; paths are the router's."""

from collections.abc import Iterator

from matrixfleet.drawing import In, component
from matrixfleet.kubernetes.edges import edge_objects
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import Plan, TenantPlan


@component("workload/edge")
def main(plan: Plan) -> Iterator[Object | In]:
    """As the cluster's kind of edge spells it; nothing for a platform without hosts."""
    for thing in edge_objects(plan) if plan.public_hosts else ():
        # A tenant's project admits nothing into the edge's namespace: what must be there is a part of its own.
        beside_the_edge = isinstance(plan, TenantPlan) and thing["metadata"]["namespace"] != plan.namespace
        yield In("shared", thing) if beside_the_edge else thing
