"""What is kept of a tenant's data outside its cluster, and how it comes back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Archiver, Backup, Built, RestoreFrom
from matrixfleet.model.cron import Cron, at_least_every
from matrixfleet.model.media import S3Bucket
from matrixfleet.model.resources import Resources, starts_with
from matrixfleet.model.types import Id, Memory, at_least, expected, unlike

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _recipient(value: Any) -> str:
    """A key in Bech32 with its checksum (BIP 173), the prefix `age`: https://age-encryption.org/v1."""
    wanted = "a recipient of age (age1..., as age-keygen prints it)"
    if not isinstance(value, str) or not re.fullmatch(f"age1[{_BECH32}]{{58}}", value):
        raise expected(wanted, value)
    checked, prefix = 1, [ord(letter) for letter in "age"]
    for number in (*(one >> 5 for one in prefix), 0, *(one & 31 for one in prefix), *map(_BECH32.index, value[4:])):
        top, checked = checked >> 25, (checked & 0x1FFFFFF) << 5 ^ number
        for bit, constant in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checked ^= constant if top >> bit & 1 else 0
    if checked != 1:
        raise expected(wanted, value, "its checksum is wrong: a letter was lost or changed on the way")
    return value


Recipient = Annotated[str, BeforeValidator(_recipient), WithJsonSchema({"type": "string", "pattern": "^age1"})]
"""Whom age encrypts to."""


def _moment(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise expected("a moment with its zone, in quotes (2026-03-01T14:05:00Z)", str(value))
    return moment


Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A point in time."""


class Keep(Model):
    """How long backups are kept, in days."""

    dumps: int = Field(default=14, ge=2, le=3650)
    """One dump a day. What somebody deletes is gone from the backups this many days later, too."""
    archive: int = Field(default=14, ge=7, le=365)
    """How far back any moment can be restored."""
    media: int = Field(default=30, ge=2, le=3650)
    """How long media of a volume stays after it was deleted. What is copied from a bucket stays."""


class BackupSpec(Model):
    """Backups. Everything is encrypted before it leaves its Pod, but what CloudNativePG archives: there it is the
    bucket's own encryption."""

    kind: Built[Backup] = Backup.NONE
    """Dumps once a day; or those and an archive from which any moment can be restored, a minute behind at most."""
    archiver: Built[Archiver] = Archiver.PGBACKREST
    """Of kind point-in-time, with the bundled PostgreSQL: what archives it. Another one begins an archive of its own
    beside the one that is there."""
    bucket: S3Bucket | None = None
    """Where it is kept; required. The keys are the Secret `<tenant>-backup-<generation>`. Of kind point-in-time with
    CloudNativePG that Secret has `ca` too, where it is said, as the key `ca.crt`: Barman Cloud reads it there."""
    second: S3Bucket | None = None
    """Another bucket, in another region, where the tenant's keys are kept too; required. The keys to it are the
    Secret `<tenant>-backup-second-<generation>`."""
    recipients: tuple[Recipient, ...] = ()
    """People who can read the tenant's keys, each alone; two or more. A tenant's own list replaces the one of a class:
    whom it does not name reads nothing."""
    lock: int | None = Field(default=None, ge=1, le=365)
    """Object lock of the first bucket, in days: for so long it keeps what the tenant's keys removed or overwrote, and
    for so long after it was written nobody removes anything. Its owner turns it on, and takes out what was there, as
    the tenant's page says; verify looks for versions."""
    schedule: Annotated[Cron, at_least_every(2, "a restore loses what was written since the last")] | None = None
    """When a dump is made, and media is copied from its bucket. Default: once a day between 1 and 5 o'clock UTC, each
    tenant in a minute of its own. A class that sets it has all of its tenants begin at once."""
    drill: Annotated[Cron, at_least_every(8, "an alert fires for drills that are older")] | None = None
    """When the newest backups are restored beside the tenant, looked at, and thrown away. Default: on Sundays between 4
    and 20 o'clock UTC, each tenant in a minute of its own."""
    keep: Keep = Keep()
    """How long."""
    resources: Annotated[Resources, starts_with("128Mi")] = Resources(cpu="100m", memory="512Mi")
    """Of each container that makes or tries a backup. A scratch server has the database's."""
    scratch: Annotated[Memory, at_least("1Gi")] | None = None
    """Size of the volume that a restore test makes, restores to and removes (`cluster.storage.scratch`). Default: the
    database's size."""

    @model_validator(mode="after")
    def _whole(self) -> BackupSpec:
        if self.kind is Backup.NONE:
            if self.model_fields_set - {"kind"}:
                said = min(self.model_fields_set - {"kind"})
                raise expected(f"kind: dumps or point-in-time, since {said} is said", str(self.kind))
            return self
        if "archiver" in self.model_fields_set and self.kind is not Backup.POINT_IN_TIME:
            raise expected("kind: point-in-time, since archiver is said", str(self.kind))
        for name, bucket in (("bucket", self.bucket), ("second", self.second)):
            if bucket is None:
                raise expected(f"{name}, since kind is {self.kind}", "none", "docs/backups.md says what it takes")
        if len(self.recipients) < 2:
            raise expected(
                "two recipients or more", len(self.recipients), "with the only key lost, the tenant's keys are lost too"
            )
        first, second = self.bucket, self.second
        unlike(self.recipients, "recipients")
        if first and second and first.is_bucket_of(second):
            raise expected(f"second in another bucket than {first.bucket}", second.bucket)
        return self


class Restore(Model):
    """A restore. It happens once for each name, keeps what it replaces, and needs state: stopped."""

    name: Id
    """Of this restore. What was there before is kept under it; another name restores again."""
    source: Built[RestoreFrom] = RestoreFrom.ARCHIVE
    """What the database is restored from."""
    until: Moment | None = None
    """The moment to restore to: the archive's last before it, or the newest dump before it. The newest there is,
    unless said."""
    timeline: int | None = Field(default=None, ge=1)
    """Of the archive: whose log is replayed up to `until`. A server that was restored goes on on the next one, and that
    is followed unless said."""
    media: bool = True
    """Whether media that is not there is restored too."""

    @model_validator(mode="after")
    def _timeline_has_a_moment(self) -> Restore:
        if self.timeline is None:
            return self
        if self.source is not RestoreFrom.ARCHIVE:
            raise expected("source: archive, since timeline is said", str(self.source), "a dump has none")
        if self.until is None:
            raise expected("until, since timeline is said", "none", "the newest base backup may be of another timeline")
        return self

    @property
    def until_utc(self) -> str:
        """The moment in UTC, as scripts compare it; "" where the newest is meant."""
        return self.until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if self.until else ""
