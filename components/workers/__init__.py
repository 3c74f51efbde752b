"""Synapse's workers: named ones as StatefulSets, since others know them by name; stateless ones as
Deployments, the only ones that may scale by themselves."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object, to_yaml
from matrixfleet.kubernetes.objects import claim, config_map, service
from matrixfleet.kubernetes.pods import (
    ROLLING,
    Mount,
    autoscaler,
    configuration,
    deployment,
    pod_template,
    stateful_set,
)
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.processes import Kind, Process
from matrixfleet.synapse.homeserver import homeserver, logging_of, worker
from matrixfleet.synapse.pods import CONFIGURATION, mounts_of, synapse_container

FOLDER = "/etc/synapse-worker"
# Seconds. A worker waits for nothing but the schema, which main has migrated by then.
STARTUP = 300
# Its name is its Pod's, and comes last: a later file wins.
START = (
    'printf \'worker_name: %s\\n\' "$POD_NAME" >/tmp/name.yaml; exec python -B -m "$0"'
    f" -c {CONFIGURATION}/homeserver.yaml -c {FOLDER}/worker.yaml -c /tmp/name.yaml --no-secrets-in-config"
)


@component("workload/workers")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Each pool's configuration, Service and workload."""
    shared = {"homeserver.yaml": to_yaml(homeserver(plan)), "log.yaml": to_yaml(logging_of(plan, plan.processes[0]))}
    for process in plan.processes[1:]:
        files = {
            "worker.yaml": to_yaml(worker(plan, process)),
            "log.yaml": to_yaml(logging_of(plan, process)),
        }
        yield config_map(plan, process.component, files)
        for volume in plan.volumes_for(process.component):
            yield claim(plan, volume)
        # Headless and before they are ready: peers know each by name, and connect as soon as it listens.
        yield service(plan, process.component, headless=True, unready=True)
        reads = {plan.called("synapse"): shared, plan.called(process.component): files}
        if process.kind is Kind.STATELESS:
            yield deployment(plan, process.component, template(plan, process, reads), strategy=ROLLING)
        else:
            yield stateful_set(plan, process.component, template(plan, process, reads), parallel=True)
        if plan.workloads[process.component].autoscaled:
            yield autoscaler(plan, process)


def template(plan: TenantPlan, process: Process, reads: dict[str, dict[str, str]]) -> Object:
    """A worker's Pod."""
    own = Mount("worker", FOLDER, configuration(plan, process.component, FOLDER).source)
    mounts = [*mounts_of(plan, process), own]
    name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
    synapse = synapse_container(plan, process, ["sh", "-c", START, process.app], mounts, startup=STARTUP, env=[name])
    return pod_template(plan, process.component, [synapse], mounts, reads=reads, terminationGracePeriodSeconds=60)
