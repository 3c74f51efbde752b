"""Who archives the bundled PostgreSQL's log, makes its base backups, brings it back and looks after what is stored.

Each program has a script of its own beside this file with the same functions, one for each of these duties; `base.sh`,
`restore_archive.sh`, `drill.sh`, `verify.sh` and `archive.sh` call them and know no program. PostgreSQL itself calls
one command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from matrixfleet.kubernetes.pods import Mount, scratch
from matrixfleet.model import choices
from matrixfleet.model.media import S3Bucket
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.backup import archive_folder, archives
from matrixfleet.templates import read, render

FOLDER = "/etc/backup"
AUTHORITIES = "authorities.crt"


@dataclass(frozen=True, slots=True)
class Archiver:
    """One of them, for one tenant."""

    push: str
    """PostgreSQL's archive_command: a file of the log to the archive."""
    script: str
    """The file beside this one with the other duties."""
    environment: dict[str, str]
    """What every container that calls it has."""
    files: dict[str, str] = field(default_factory=dict)
    """What it reads in FOLDER."""
    memory: tuple[Mount, ...] = ()
    """Where its keys are joined to its settings, and PostgreSQL finds both. Without, it reads the Secrets."""


BOUNDED = "timeout 60"
"""A bucket that is away is tried for many minutes by either, and PostgreSQL cannot stop meanwhile: it tries again by
itself."""


def archiver(plan: TenantPlan) -> Archiver | None:
    """The tenant's; none where its log is archived by an operator, or not at all."""
    return KINDS[plan.tenant.backup.archiver](plan) if archives(plan.tenant) else None


def archive(plan: TenantPlan) -> dict[str, str]:
    """The files of whatever calls it."""
    found = archiver(plan)
    return {"archiver.sh": read(__file__, found.script), **found.files} if found else {}


def _pgbackrest(plan: TenantPlan) -> Archiver:
    """https://pgbackrest.org/configuration.html"""
    bucket = _bucket(plan)
    keep, prefix = plan.tenant.backup.keep.archive, _path(plan)
    conf = render(__file__, "pgbackrest.conf.j2", bucket=bucket, prefix=prefix, keep=keep)
    return Archiver(
        f"{BOUNDED} pgbackrest --stanza=synapse archive-push %p",
        "pgbackrest.sh",
        {"PGBACKREST_CONFIG": "/run/backup/pgbackrest.conf"},
        {"pgbackrest.conf": conf},
        (scratch("archive", "/run/backup", "1Mi", memory=True),),
    )


def _wal_g(plan: TenantPlan) -> Archiver:
    """https://wal-g.readthedocs.io: PostgreSQL, STORAGES, and "Encryption" of the first page."""
    bucket = _bucket(plan)
    environment = {
        "WALG_S3_PREFIX": f"s3://{bucket.bucket}/{_path(plan)}",
        "AWS_REGION": bucket.region,
        "AWS_SHARED_CREDENTIALS_FILE": plan.secret("backup").path("credentials"),
        **bucket.checksum_environment,
        # 64 hexadecimal characters: libsodium's 32 bytes.
        "WALG_LIBSODIUM_KEY_PATH": plan.secret("backup-key").path("passphrase"),
        "WALG_LIBSODIUM_KEY_TRANSFORM": "hex",
        "WALG_COMPRESSION_METHOD": "zstd",
        # As many streams as the sidecar's memory holds, and PostgreSQL's beside its own: WAL-G's 16 are made for more.
        "WALG_UPLOAD_CONCURRENCY": "2",
        "WALG_DOWNLOAD_CONCURRENCY": "2",
        # What changed since the last full one, so that a restore reads two of them at most.
        "WALG_DELTA_MAX_STEPS": "6",
        "WALG_DELTA_ORIGIN": "LATEST_FULL",
        # Another server's log does not replace this one's.
        "WALG_PREVENT_WAL_OVERWRITE": "true",
        # It counts: one a week, and the one before those, from which the oldest moment is restored.
        "KEEP_FULL": str(-(-plan.tenant.backup.keep.archive // 7) + 1),
    }
    if bucket.endpoint:
        environment |= {"AWS_ENDPOINT": f"https://{bucket.host}:{bucket.port}", "AWS_S3_FORCE_PATH_STYLE": "true"}
    if bucket.ca:
        environment["WALG_S3_CA_CERT_FILE"] = f"{FOLDER}/{AUTHORITIES}"
    return Archiver(f'{BOUNDED} wal-g wal-push "%p"', "wal-g.sh", environment)


def _bucket(plan: TenantPlan) -> S3Bucket:
    bucket = plan.tenant.backup.bucket
    assert bucket
    return bucket


def _path(plan: TenantPlan) -> str:
    """Where in the bucket it is: another program's archive beside it stays what it is."""
    return f"{plan.tenant.folder(_bucket(plan))}/{archive_folder(plan.tenant)}"


KINDS: dict[choices.Archiver, Callable[[TenantPlan], Archiver]] = {
    choices.Archiver.PGBACKREST: _pgbackrest,
    choices.Archiver.WAL_G: _wal_g,
}
