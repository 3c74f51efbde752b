"""What the Pods of all Synapse processes share: secrets, certificates, environment, probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matrixfleet.kubernetes.emit import Object, to_yaml
from matrixfleet.kubernetes.pods import (
    Mount,
    claimed,
    configuration,
    container,
    probe,
    recent,
    scratch,
    secret_files,
    tls_files,
)
from matrixfleet.model import Tenant
from matrixfleet.model.types import bytes_of
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.backup import SECRETS
from matrixfleet.plan.processes import Process
from matrixfleet.plan.secrets import Secret
from matrixfleet.plan.storage import MEDIA
from matrixfleet.synapse.homeserver import homeserver, logging_of
from matrixfleet.synapse.policy import policy_folder, policy_pages
from matrixfleet.templates import read

CONFIGURATION = "/etc/synapse"


AUTHORITIES = "authorities.crt"
JOINED_EMAIL = "/data/email/email.yaml"


@dataclass(frozen=True, slots=True)
class Read:
    """What a process reads at start, and the init containers that prepare it."""

    mounts: list[Mount]
    """Of Synapse's container."""
    others: list[Mount]
    """Of init containers alone."""
    init: list[Object]
    arguments: list[str]
    """`--config-path` for each configuration that every process reads."""


def read_by(plan: TenantPlan, process: Process) -> Read:
    """All processes read one configuration, and so every file that it names."""
    mounts = [
        configuration(plan, "synapse", CONFIGURATION),
        *policy_folder(plan),
        *(secret_files(secret) for secret in plan.secrets if _mounted_as_files(process, secret)),
        *([tls_files("database", plan.database.authority, ("ca.crt",))] if plan.database.authority else []),
        *(claimed(volume) for volume in plan.volumes_for(process.component)),
        *([media_cache(plan)] if plan.caches_media(process.component) else []),
        scratch("tmp", "/tmp", plan.temporary_files(process.component)),
    ]
    arguments = ["--config-path", f"{CONFIGURATION}/homeserver.yaml"]
    if not plan.joins_email:
        return Read(mounts, [], [], arguments)
    mounts.append(scratch("email", "/data/email", "1Mi", memory=True))
    password = [secret_files(plan.secret("email"))]
    joined = [*arguments, "--config-path", JOINED_EMAIL]
    return Read(mounts, password, [_join_email(plan, process, [*mounts, *password])], joined)


def _mounted_as_files(process: Process, secret: Secret) -> bool:
    """Two passwords have no `_path` option: the database's libpq reads from the environment, and the mail
    server's is joined to the configuration before Synapse starts."""
    elsewhere = ("database", "database-ca", "email", *SECRETS)
    return secret.purpose not in elsewhere and process.component in secret.readers


def _join_email(plan: TenantPlan, process: Process, mounts: list[Mount]) -> Object:
    """Write the mail server's block with its password where only memory holds it."""
    mine = [mount for mount in mounts if mount.name in ("configuration", "email", "secret-email")]
    arguments = [f"{CONFIGURATION}/homeserver.yaml", plan.secret("email").path("password"), JOINED_EMAIL]
    command = ["python", "-B", f"{CONFIGURATION}/join_email.py", *arguments]
    return container(plan, process.component, "email", command, mine)


def shared_files(plan: TenantPlan) -> dict[str, str]:
    """The ConfigMap that every process mounts."""
    files = {
        "homeserver.yaml": to_yaml(homeserver(plan)),
        "log.yaml": to_yaml(logging_of(plan, plan.processes[0])),
        **policy_pages(plan.tenant.consent),
    }
    if external := plan.tenant.database.external:
        files["database-ca.crt"] = external.ca
    if bucket := plan.tenant.media.s3:
        files["clean_cache.py"] = read(__file__, "clean_cache.py")
        if bucket.ca:
            files["media-ca.crt"] = bucket.ca
    if authorities := authorities_of(plan.tenant):
        files[AUTHORITIES] = "".join(authorities)
    if plan.joins_email:
        files["join_email.py"] = read(__file__, "join_email.py")
    return files


def authorities_of(tenant: Tenant) -> list[str]:
    """Certificates of private authorities that Synapse must trust beside those that everybody trusts, each once."""
    found = [one.ca for one in tenant.auth.providers.values()]
    found += [one.ca for one in tenant.appservices.values()]
    found += [one.ca for one in tenant.modules]
    found += [tenant.email.ca] if tenant.email else []
    return list(dict.fromkeys(one for one in found if one))


def trust(plan: TenantPlan) -> list[Object]:
    """What OpenSSL reads: the folder with everybody's authorities stays, the file is the tenant's. pyOpenSSL looks
    where the image has them only while neither variable is set (OpenSSL.SSL, Context.set_default_verify_paths)."""
    if not authorities_of(plan.tenant):
        return []
    return [
        {"name": "SSL_CERT_FILE", "value": f"{CONFIGURATION}/{AUTHORITIES}"},
        {"name": "SSL_CERT_DIR", "value": "/etc/ssl/certs"},
    ]


def media_cache(plan: TenantPlan) -> Mount:
    """Media of a bucket on the node's disk."""
    return scratch("media", MEDIA, plan.tenant.media.cache)


def cleaner(plan: TenantPlan, process: Process, mounts: Sequence[Mount]) -> list[Object]:
    """Keep the cache below its limit, where there is one: the kubelet evicts a Pod that goes beyond."""
    if not plan.caches_media(process.component):
        return []
    mine = [mount for mount in mounts if mount.name in ("configuration", "media", "tmp")]
    limit = bytes_of(plan.tenant.media.cache) * 4 // 5
    alive = "/tmp/clean_cache"
    command = ["python", "-B", f"{CONFIGURATION}/clean_cache.py", MEDIA, str(limit), alive]
    # A walk over a full disk takes minutes.
    return [container(plan, process.component, "cache", command, mine, livenessProbe=recent(alive, minutes=15))]


def bucket_access(plan: TenantPlan, process: Process) -> list[Object]:
    """What boto3 reads: the keys, and the authority where it is not one that everybody trusts."""
    bucket = plan.tenant.media.s3
    if bucket is None or not plan.caches_media(process.component):
        return []
    found = [{"name": "AWS_SHARED_CREDENTIALS_FILE", "value": plan.secret("media").path("credentials")}]
    found += [{"name": name, "value": value} for name, value in bucket.checksum_environment.items()]
    if bucket.ca:
        found.append({"name": "AWS_CA_BUNDLE", "value": f"{CONFIGURATION}/media-ca.crt"})
    return found


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
        env=[*environment(plan), *trust(plan), *bucket_access(plan, process), *env],
        ports=plan.workloads[process.component].ports,
        startupProbe=probe(5, startup // 5, 5, **health),
        readinessProbe=probe(5, 3, 5, **health),
        livenessProbe=probe(15, 4, 5, **health),
    )
