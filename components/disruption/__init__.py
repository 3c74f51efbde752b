"""PodDisruptionBudgets: a drain takes one Pod of a pool at a time, and is never blocked."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import budget, selector
from matrixfleet.plan import Plan


@component("workload/disruption")
def main(plan: Plan) -> Iterator[Object]:
    """One for every pool of two or more: with a single Pod a budget could only forbid the drain."""
    for name, workload in plan.workloads.items():
        if workload.replicas > 1 or workload.autoscaled:
            yield budget(plan, name, name, workload.wave, selector(plan, name))
