"""Who makes backups, who tries them, and who brings them back.

What only one Pod may mount is backed up from within that Pod: media and a signing key's volume beside the Synapse
process that has them, the database's files beside PostgreSQL. Everything else is a CronJob or a Job of its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from matrixfleet.model import Tenant
from matrixfleet.model.backup import BackupSpec
from matrixfleet.model.choices import Archiver, Backup, Database, Media, RestoreFrom
from matrixfleet.model.cron import longest_gap
from matrixfleet.model.fleet import PLATFORM, Platform, platform_folder
from matrixfleet.model.media import S3Bucket
from matrixfleet.model.resources import Resources
from matrixfleet.plan.names import secret_name
from matrixfleet.plan.storage import media_keeper

CONNECTIONS = 2
"""To the database: a dump's, and a restore's."""
SECRETS = ("backup-key", "backup", "backup-second")
"""What their secrets are for: no program but theirs reads them."""
ARCHIVE, SIDECAR = "archive", "backup"
"""Containers: the one that lets no empty volume begin anew, and the one that backs up what its Pod mounts."""
FOLDERS = {Archiver.PGBACKREST: "postgresql", Archiver.WAL_G: "wal-g"}
"""Where in the tenant's part of the bucket each archiver has what it stores."""
COPY = "media-copy"
"""What copies media from its bucket."""
RESTORED = ("media", "signing-key")
"""Volumes that a restore's Job mounts."""
CLIENTS = {"dump": "reads the whole database", "restore": "looks at what was restored"}
"""Who connects to PostgreSQL for it, and why."""


DAY = 86400
"""Seconds."""


def spread(name: str, what: str, over: int) -> int:
    """A number below `over` for a tenant, the same for ever: tenants of a cluster do not begin in the same minute."""
    return int.from_bytes(hashlib.sha256(f"{name}/{what}".encode()).digest()[:8]) % over


def schedule_of(name: str, spec: BackupSpec) -> str:
    """When dumps and base backups are made."""
    at = spread(name, "dump", 240)
    return spec.schedule or f"{at % 60} {1 + at // 60} * * *"


def drill_of(name: str, spec: BackupSpec) -> str:
    """When a restore is tried: on Sundays, so that a week lies between two whatever the tenant's name is."""
    at = spread(name, "drill", 960)
    return spec.drill or f"{at % 60} {4 + at // 60} * * 0"


def verify_of(name: str) -> str:
    """When backups are verified."""
    return f"{spread(name, 'verify', 60)} 7 * * *"


def oldest(schedule: str) -> int:
    """Seconds after which a backup of a schedule is too old: a run and a day more."""
    gap = longest_gap(schedule)
    return DAY + int((gap or timedelta(days=1)).total_seconds())


@dataclass(frozen=True, slots=True)
class Archive:
    """Where CloudNativePG archives a server's log and base backups."""

    bucket: S3Bucket
    folder: str
    """Of the bucket."""
    secret: str
    """The keys to it."""
    keep: int
    """Days."""
    schedule: str
    """Of base backups, as cron says it."""
    resources: Resources
    """Of the container that archives."""


def archive_of_platform(platform: Platform, cluster: str) -> Archive | None:
    """The shared server's."""
    said = platform.postgresql.archive if platform.postgresql else None
    if said is None:
        return None
    folder, secret = (
        said.bucket.prefix or platform_folder(cluster),
        secret_name(PLATFORM, "backup", said.bucket.generation),
    )
    return Archive(said.bucket, folder, secret, said.keep, said.schedule, said.resources)


def archives(tenant: Tenant) -> bool:
    """Whether the tenant's own PostgreSQL archives its log by itself."""
    return tenant.backup.kind is Backup.POINT_IN_TIME and tenant.database.kind is Database.STATEFULSET


def archived_by_operator(tenant: Tenant) -> bool:
    """Whether CloudNativePG archives the log of the tenant's own cluster."""
    return tenant.backup.kind is Backup.POINT_IN_TIME and tenant.database.kind is Database.CNPG


def _loads(tenant: Tenant) -> bool:
    return tenant.restore is not None and tenant.restore.source is RestoreFrom.DUMP


def loads_beside(tenant: Tenant) -> bool:
    """Whether a dump is loaded by a container beside PostgreSQL: Synapse's roles own nothing there but tables."""
    return _loads(tenant) and tenant.database.kind is Database.STATEFULSET


def loads_by_job(tenant: Tenant) -> bool:
    """Whether the restore's Job loads it: it logs in as the owner of the database."""
    return _loads(tenant) and tenant.database.kind is not Database.STATEFULSET


def archive_folder(tenant: Tenant) -> str:
    """Where in the tenant's part of the bucket its log is archived; "" where it is not."""
    if archived_by_operator(tenant):
        return "postgresql"
    return FOLDERS[tenant.backup.archiver] if archives(tenant) else ""


def duties(tenant: Tenant) -> dict[str, tuple[str, ...]]:
    """What the sidecar of each component backs up: keys where the signing key is read, media where it is mounted."""
    if tenant.backup.kind is Backup.NONE:
        return {}
    found: dict[str, tuple[str, ...]] = {"synapse": ("keys",)}
    if tenant.media.kind is Media.PVC:
        keeper = media_keeper(tenant)
        found[keeper] = (*found.get(keeper, ()), "media")
    return found


def copies_media(tenant: Tenant) -> bool:
    """Whether media is copied from its bucket to the one of backups: no Pod has it all."""
    return tenant.backup.kind is not Backup.NONE and tenant.media.kind is Media.S3


def by_the_clock(tenant: Tenant) -> tuple[str, ...]:
    """The CronJobs of backups."""
    return ("dump", "verify", "drill", *((COPY,) if copies_media(tenant) else ()))


def scratch_of(tenant: Tenant) -> tuple[str, ...]:
    """Sizes of the volumes that live as long as a Pod of backups."""
    spec = tenant.backup
    return () if spec.kind is Backup.NONE else (spec.scratch or tenant.database.storage,)


def buckets_of(tenant: Tenant) -> dict[str, tuple[S3Bucket, ...]]:
    """The buckets that each component reaches for backups."""
    spec = tenant.backup
    if spec.kind is Backup.NONE:
        return {}
    assert spec.bucket and spec.second
    first: tuple[S3Bucket, ...] = (spec.bucket,)
    both = (*first, spec.second)
    found = {component: both if "keys" in what else first for component, what in duties(tenant).items()}
    if archives(tenant) or archived_by_operator(tenant) or loads_beside(tenant):
        found["postgresql"] = first
    found |= {"dump": first, "verify": both, "drill": first}
    copied = (*first, tenant.media.s3) if tenant.media.s3 else first
    found |= {COPY: copied} if copies_media(tenant) else {}
    return found | ({"restore": copied} if tenant.restore else {})


def clients(tenant: Tenant) -> tuple[str, ...]:
    """The components that connect to PostgreSQL, as Synapse does."""
    return tuple(component for component in buckets_of(tenant) if component in CLIENTS)
