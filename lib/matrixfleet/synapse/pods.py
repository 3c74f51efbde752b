"""What the Pods of all Synapse processes share: secrets, certificates, environment, probes."""

from __future__ import annotations

from collections.abc import Sequence

from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.pods import (
    Mount,
    claimed,
    configuration,
    container,
    probe,
    scratch,
    secret_files,
    tls_files,
)
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.processes import Process

CONFIGURATION = "/etc/synapse"


def mounts_of(plan: TenantPlan, process: Process) -> list[Mount]:
    """What a process sees beside its image. All read one configuration, and so all secrets it names."""
    return [
        configuration(plan, "synapse", CONFIGURATION),
        *(
            secret_files(secret)
            for secret in plan.secrets
            if _mounted_as_files(process, secret.purpose, secret.readers)
        ),
        tls_files("database", plan.called("postgresql-tls"), ("ca.crt",)),
        *(claimed(volume) for volume in plan.volumes_for(process.component)),
        # Uploads and fetched previews pass through here before they are media.
        scratch("tmp", "/tmp", "1Gi"),
    ]


def _mounted_as_files(process: Process, purpose: str, readers: Sequence[str]) -> bool:
    """The database's password has no `_path` option: libpq reads it from the environment."""
    return purpose != "database" and process.component in readers


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


def synapse_container(
    plan: TenantPlan,
    process: Process,
    command: Sequence[str],
    mounts: Sequence[Mount],
    *,
    startup: int,
    env: Sequence[Object] = (),
) -> Object:
    """A process in its container.

    startup: seconds it may take until it listens
    """
    health = {"httpGet": {"path": "/health", "port": "health"}}
    return container(
        plan,
        process.component,
        "synapse",
        command,
        mounts,
        env=[*environment(plan), *env],
        ports=plan.workloads[process.component].ports,
        startupProbe=probe(5, startup // 5, 5, **health),
        readinessProbe=probe(5, 3, 5, **health),
        livenessProbe=probe(15, 4, 5, **health),
    )
