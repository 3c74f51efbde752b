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
from matrixfleet.templates import read

from .homeserver import homeserver, logging_of
from .policy import policy_folder, policy_pages

# Not rolling: a new main process beside an old one is what must never be. Recreate orders rollouts only,
# so the ReadWriteOncePod volume is the lock that holds when a node is lost too.
RECREATE = {"type": "Recreate"}
# Seconds: the first start after an upgrade migrates the schema before it listens.
MIGRATION = 1800
JOINED_EMAIL = "/data/email/email.yaml"


@component("workload/synapse")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Configuration, volumes, Service, Deployment."""
    files = {
        "homeserver.yaml": to_yaml(homeserver(plan)),
        "log.yaml": to_yaml(logging_of(plan)),
        **policy_pages(plan.tenant.consent),
    }
    if plan.joins_email:
        files["join_email.py"] = read(__file__, "join_email.py")
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
        *policy_folder(plan),
        *(secret_files(secret) for secret in plan.secrets if mounted_as_files(plan, secret.purpose)),
        tls_files("database", plan.called("postgresql-tls"), ("ca.crt",)),
        *(claimed(volume) for volume in volumes),
        # Uploads and fetched previews pass through here before they are media.
        scratch("tmp", "/tmp", "1Gi"),
    ]
    init = [generate_key(plan, volume, mounts) for volume in volumes if volume.purpose == "signing-key"]
    password: list[Mount] = []
    configurations = ["/etc/synapse/homeserver.yaml"]
    if plan.joins_email:
        mounts.append(scratch("email", "/data/email", "1Mi", memory=True))
        password = [secret_files(plan.secret("email"))]
        init.append(join_email(plan, [*mounts, *password]))
        configurations.append(JOINED_EMAIL)
    health = {"httpGet": {"path": "/health", "port": "http"}}
    (process,) = plan.processes
    synapse = container(
        plan,
        "synapse",
        "synapse",
        [
            *("python", "-B", "-m", process.app),
            *(word for path in configurations for word in ("--config-path", path)),
            "--no-secrets-in-config",
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
        [*mounts, *password],
        init=init,
        reads=files,
        terminationGracePeriodSeconds=60,
    )


def mounted_as_files(plan: TenantPlan, purpose: str) -> bool:
    """Two passwords have no `_path` option: the database's libpq reads from the environment, and the mail
    server's is joined to the configuration before Synapse starts."""
    return purpose not in ("database", "email") and "synapse" in plan.secret(purpose).readers


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


def join_email(plan: TenantPlan, mounts: list[Mount]) -> Object:
    """Write the mail server's block with its password where only memory holds it."""
    mine = [mount for mount in mounts if mount.name in ("configuration", "email", "secret-email")]
    arguments = ["/etc/synapse/homeserver.yaml", plan.secret("email").path("password"), JOINED_EMAIL]
    return container(plan, "synapse", "email", ["python", "-B", "/etc/synapse/join_email.py", *arguments], mine)
