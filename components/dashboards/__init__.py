"""Grafana's dashboards as its sidecar finds them: a ConfigMap each where Prometheus is. build.py makes them."""

import json
from collections.abc import Iterator
from pathlib import Path

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.model.choices import Metrics
from matrixfleet.plan import PlatformPlan, waves
from matrixfleet.templates import read

SIDECAR = {"grafana_dashboard": "1"}
"""What the sidecar of Grafana's chart selects by, unless it is told otherwise."""


@component("workload/dashboards")
def main(plan: PlatformPlan) -> Iterator[Object]:
    """One a dashboard; nothing where nobody scrapes."""
    place = plan.cluster.network.monitoring
    if plan.cluster.metrics is Metrics.NONE or place is None or place.namespace is None:
        return
    for path in sorted(Path(__file__).parent.glob("*.json")):
        # In one line: read by machines, and a ConfigMap ends at a megabyte.
        text = json.dumps(json.loads(read(__file__, path.name)), separators=(",", ":"))
        thing = make(
            plan,
            "ConfigMap",
            "dashboards",
            name=plan.called(f"dashboard-{path.stem}"),
            namespace=place.namespace,
            wave=waves.ALERTS,
            data={path.name: text + "\n"},
        )
        thing["metadata"]["labels"] |= SIDECAR
        yield thing
