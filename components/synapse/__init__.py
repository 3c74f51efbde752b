"""Synapse's main process: the one and only, held to that by a volume that one Pod alone can mount."""

from collections.abc import Iterator

from matrixfleet.backup import files as backup_files
from matrixfleet.backup import sidecar
from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import claim, config_map, service
from matrixfleet.kubernetes.pods import Mount, container, deployment, pod_template
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.storage import Volume
from matrixfleet.synapse.pods import cleaner, read_by, shared_files, synapse_container

# Not rolling: a new main process beside an old one is what must never be. Recreate orders rollouts only,
# so the ReadWriteOncePod volume is the lock that holds when a node is lost too.
RECREATE = {"type": "Recreate"}
# Seconds: the first start after an upgrade migrates the schema before it listens.
MIGRATION = 1800


@component("workload/synapse")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Configuration, volumes, Service, Deployment."""
    files = shared_files(plan)
    yield config_map(plan, "synapse", files)
    for volume in plan.volumes_for("synapse"):
        yield claim(plan, volume)
    yield service(plan, "synapse")
    yield deployment(plan, "synapse", template(plan, files), strategy=RECREATE, deadline=MIGRATION + 300)


def template(plan: TenantPlan, files: dict[str, str]) -> Object:
    """The Pod of the main process."""
    process = plan.processes[0]
    reads = read_by(plan, process)
    command = ["python", "-B", "-m", process.app, *reads.arguments, "--no-secrets-in-config"]
    keys = [volume for volume in plan.volumes_for("synapse") if volume.purpose == "signing-key"]
    keeper, kept = sidecar(plan, "synapse", reads.mounts)
    return pod_template(
        plan,
        "synapse",
        [
            synapse_container(plan, process, command, reads.mounts, startup=MIGRATION),
            *cleaner(plan, process, reads.mounts),
            *keeper,
        ],
        [*reads.mounts, *reads.others, *kept],
        init=[*(generate_key(plan, volume, reads.mounts) for volume in keys), *reads.init],
        reads={plan.called("synapse"): files, plan.called("backup"): backup_files(plan)} if keeper else files,
        terminationGracePeriodSeconds=60,
    )


def generate_key(plan: TenantPlan, volume: Volume, mounts: list[Mount]) -> Object:
    """Make the signing key on its volume where there is none, by Synapse's own generator; renamed into
    place, so that a start that is cut off leaves no half of a key."""
    # The container of its backup is of the Pod's group.
    script = (
        "set -eu; umask 077; key=$1/signing.key; [ -s $key ] || "
        '{ python -B -m synapse._scripts.generate_signing_key -o "$key.new"; chmod 440 "$key.new"; '
        'mv "$key.new" "$key"; }'
    )
    mine = [mount for mount in mounts if mount.name in (volume.purpose, "tmp")]
    return container(plan, "synapse", "signing-key", ["sh", "-c", script, "sh", volume.mount], mine)
