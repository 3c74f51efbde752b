"""Synapse's workers: named ones as StatefulSets, since others know them by name; stateless ones as
Deployments, the only ones that may scale by themselves."""

from collections.abc import Iterator

from matrixfleet.backup import files as backup_files
from matrixfleet.backup import sidecar
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
from matrixfleet.synapse.homeserver import logging_of, worker
from matrixfleet.synapse.pods import cleaner, read_by, shared_files, synapse_container

FOLDER = "/etc/synapse-worker"
# Seconds. A worker waits for nothing but the schema, which main has migrated by then.
STARTUP = 300
# Its name is its Pod's, and comes last: of several configurations the last wins.
START = 'printf \'worker_name: %s\\n\' "$POD_NAME" >/tmp/name.yaml; exec python -B -m "$0" "$@"'


@component("workload/workers")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Each pool's configuration, Service and workload; nothing for a tenant of one process."""
    workers = plan.processes[1:]
    if not workers:
        return
    shared = shared_files(plan)
    for process in workers:
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
    shared = read_by(plan, process)
    mounts = [*shared.mounts, own]
    keeper, kept = sidecar(plan, process.component, mounts)
    configurations = [*shared.arguments, "--config-path", f"{FOLDER}/worker.yaml", "--config-path", "/tmp/name.yaml"]
    command = ["sh", "-c", START, process.app, *configurations, "--no-secrets-in-config"]
    name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
    return pod_template(
        plan,
        process.component,
        [
            synapse_container(plan, process, command, mounts, startup=STARTUP, env=[name]),
            *cleaner(plan, process, mounts),
            *keeper,
        ],
        [*mounts, *shared.others, *kept],
        init=shared.init,
        reads=reads | ({plan.called("backup"): backup_files(plan)} if keeper else {}),
        terminationGracePeriodSeconds=60,
    )
