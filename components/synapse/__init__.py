"""Synapse's main process: the one and only, held to that by a volume that one Pod alone can mount."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object, to_yaml
from matrixfleet.kubernetes.objects import claim, config_map, service
from matrixfleet.kubernetes.pods import (
    Mount,
    claimed,
    configuration,
    container,
    deployment,
    pod_template,
    probe,
    scratch,
    secret_files,
    tls_files,
)
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.storage import Volume

from .homeserver import homeserver, logging_of

# Not rolling: a new main process beside an old one is what must never be. Recreate orders rollouts only,
# so the ReadWriteOncePod volume is the lock that holds when a node is lost too.
RECREATE = {"type": "Recreate"}
# Seconds: the first start after an upgrade migrates the schema before it listens.
MIGRATION = 1800


@component("workload/synapse")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Configuration, volumes, Service, Deployment."""
    files = {"homeserver.yaml": to_yaml(homeserver(plan)), "log.yaml": to_yaml(logging_of(plan))}
    yield config_map(plan, "synapse", files)
    for volume in plan.volumes_for("synapse"):
        yield claim(plan, volume)
    yield service(plan, "synapse")
    yield deployment(plan, "synapse", template(plan, files), strategy=RECREATE, deadline=MIGRATION + 300)


def template(plan: TenantPlan, files: dict[str, str]) -> Object:
    """The Pod of the main process."""
    volumes = plan.volumes_for("synapse")
    mounts = [
        configuration(plan, "synapse", "/etc/synapse"),
        *(secret_files(secret) for secret in plan.secrets if mounted_as_files(plan, secret.purpose)),
        tls_files("database", plan.called("postgresql-tls"), ("ca.crt",)),
        *(claimed(volume) for volume in volumes),
        # Uploads and fetched previews pass through here before they are media.
        scratch("tmp", "/tmp", "1Gi"),
    ]
    health = {"httpGet": {"path": "/health", "port": "http"}}
    (process,) = plan.processes
    synapse = container(
        plan,
        "synapse",
        "synapse",
        [
            *("python", "-B", "-m", process.app),
            *("--config-path", "/etc/synapse/homeserver.yaml", "--no-secrets-in-config"),
        ],
        mounts,
        env=environment(plan),
        ports=plan.workloads["synapse"].ports,
        startupProbe=probe(5, MIGRATION // 5, 5, **health),
        readinessProbe=probe(5, 3, 5, **health),
        livenessProbe=probe(15, 4, 5, **health),
    )
    return pod_template(
        plan,
        "synapse",
        [synapse],
        mounts,
        init=[generate_key(plan, volume, mounts) for volume in volumes if volume.purpose == "signing-key"],
        reads=files,
        terminationGracePeriodSeconds=60,
    )


def mounted_as_files(plan: TenantPlan, purpose: str) -> bool:
    """The database's password has no `_path` option: libpq reads it from the environment."""
    return purpose != "database" and "synapse" in plan.secret(purpose).readers


def environment(plan: TenantPlan) -> list[Object]:
    """jemalloc, which the image's entrypoint would preload and we start without; PYTHONMALLOC sends
    Python's own arenas through it, or cache_autotuning may never see its threshold reached (Synapse,
    docs/usage/administration/admin_faq.md)."""
    password = {"name": plan.secret("database").name, "key": "password"}
    return [
        {"name": "LD_PRELOAD", "value": "libjemalloc.so.2"},
        {"name": "PYTHONMALLOC", "value": "malloc"},
        {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": password}},
    ]


def generate_key(plan: TenantPlan, volume: Volume, mounts: list[Mount]) -> Object:
    """Make the signing key on its volume where there is none, by Synapse's own generator; renamed into
    place, so that a start that is cut off leaves no half of a key."""
    script = (
        "set -eu; umask 077; key=$1/signing.key; [ -s $key ] || "
        '{ python -B -m synapse._scripts.generate_signing_key -o "$key.new"; mv "$key.new" "$key"; }'
    )
    mine = [mount for mount in mounts if mount.name in (volume.purpose, "tmp")]
    return container(plan, "synapse", "signing-key", ["sh", "-c", script, "sh", volume.mount], mine)
