"""Backups: what makes and tries them by the clock, and the Job of a restore.

What only one Pod may mount is backed up beside the program that has it: docs/backups.md says where.
"""

from collections.abc import Iterator

from matrixfleet.backup import archive, archiver, environment, files, from_postgresql, mounts, scripts
from matrixfleet.backup.pods import OLDEST, signing_key
from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import make
from matrixfleet.kubernetes.pods import Mount, claimed, container, cron_job, disk, job, pod_template, scratch
from matrixfleet.model.choices import Backup, State
from matrixfleet.plan import TenantPlan, waves
from matrixfleet.plan.backup import (
    COPY,
    by_the_clock,
    copies_media,
    drill_of,
    duties,
    loads_by_job,
    oldest,
    schedule_of,
    scratch_of,
    verify_of,
)
from matrixfleet.plan.names import secret_name
from matrixfleet.plan.storage import MEDIA

TMP = scratch("tmp", "/tmp", "1Gi")


@component("workload/backup")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Scripts, CronJobs, and while a restore is said its Job; nothing where there are no backups."""
    spec = plan.tenant.backup
    if spec.kind is Backup.NONE:
        return
    yield make(plan, "ConfigMap", "backup", wave=waves.DATABASE, data=files(plan))
    read = scripts(plan, *by_the_clock(plan.tenant), *(("restore",) if plan.tenant.restore else ()))
    read |= archive(plan) | from_postgresql(plan, "dump")[2]
    yield make(plan, "ConfigMap", "dump", wave=waves.DATABASE, data=read)
    # Nothing is tried, and nothing old is replaced, while something is brought back; nor by a standby.
    restoring = plan.tenant.restore is not None
    idle = restoring or plan.tenant.follows(plan.cluster.name)
    stopped = plan.tenant.state is State.STOPPED
    yield cron_job(plan, "dump", dump(plan, read), schedule_of(plan.name, spec), suspend=idle)
    yield cron_job(plan, "verify", verify(plan, read), verify_of(plan.name), suspend=stopped)
    # Its volume is there as long as its Pod: for an hour it can be looked at, then it goes.
    yield cron_job(plan, "drill", drill(plan, read), drill_of(plan.name, spec), suspend=idle, kept=3600)
    if copies_media(plan.tenant):
        # Also while Synapse is stopped: what it took last is copied.
        yield cron_job(plan, COPY, copy(plan, read), schedule_of(plan.name, spec), suspend=idle)
    if restoring:
        yield job(plan, "restore", restore(plan, read))


def clockwork(
    plan: TenantPlan,
    name: str,
    arguments: list[str],
    read: dict[str, str],
    more: list[Mount],
    env: list[Object],
) -> Object:
    """A Pod that runs one script to its end."""
    mounted = [*mounts(plan, name, plan.called("dump")), TMP, *more]
    command = ["bash", f"/etc/backup/{name}.sh", *arguments]
    return pod_template(
        plan,
        name,
        [container(plan, name, name, command, mounted, env=env)],
        mounted,
        reads=read,
        # Another try of a drill is in the same Pod, so on the same volume: another Pod would claim another.
        restartPolicy="OnFailure" if name in ("restore", "drill") else "Never",
    )


def dump(plan: TenantPlan, read: dict[str, str]) -> Object:
    """Reads the database as Synapse does."""
    env, reached, _ = from_postgresql(plan, "dump")
    keep = str(plan.tenant.backup.keep.dumps)
    return clockwork(plan, "dump", [], read, reached, [*env, *environment(plan, KEEP_DUMPS=keep)])


def archive_of(plan: TenantPlan) -> tuple[dict[str, str], list[Mount]]:
    """What asks the archive needs: environment and mounts; nothing where there is none."""
    found = archiver(plan)
    if found is None:
        return {}, []
    return {"ARCHIVER": "/etc/backup/archiver.sh", **found.environment}, list(found.memory)


def copy(plan: TenantPlan, read: dict[str, str]) -> Object:
    """Reads one bucket, writes the other."""
    return clockwork(plan, COPY, [], read, [], environment(plan, media=True))


def verify(plan: TenantPlan, read: dict[str, str]) -> Object:
    """Asks the buckets alone."""
    media = [duty for what in duties(plan.tenant).values() for duty in what if duty == "media"]
    more, memory = archive_of(plan)
    said = schedule_of(plan.name, plan.tenant.backup)
    env = environment(plan, places=True, OLDEST=str(OLDEST), OLDEST_DUMP=str(oldest(said)), **more)
    media += [COPY] if copies_media(plan.tenant) else []
    lock = ["lock"] if plan.tenant.backup.lock else []
    what = ["keys", "dump", *(["base"] if more else []), *media, *lock]
    return clockwork(plan, "verify", what, read, memory, env)


def drill(plan: TenantPlan, read: dict[str, str]) -> Object:
    """A server of its own, on a disk of its own, that nobody reaches."""
    (size,) = scratch_of(plan.tenant)
    storage = plan.cluster.storage.scratch
    room = [
        disk("scratch", "/var/lib/postgresql", size, storage.name if storage else None),
        scratch("socket", "/var/run/postgresql", "1Mi", memory=True),
        scratch("shm", "/dev/shm", "256Mi", memory=True),
    ]
    more, memory = archive_of(plan)
    env = environment(plan, MAX_CONNECTIONS=str(plan.tenant.database.max_connections), **more)
    what = ["dump", *(["archive"] if more else [])]
    return clockwork(plan, "drill", what, read, [*room, *memory], env)


def restore(plan: TenantPlan, read: dict[str, str]) -> Object:
    """Media and keys, once the database is back: it mounts what Synapse's Pods mount while they are not there."""
    said = plan.tenant.restore
    assert said is not None
    env, reached, _ = from_postgresql(plan, "restore")
    more = {"RESTORE": said.name, "RESTORE_MEDIA": "yes" if said.media else "no", "UNTIL": said.until_utc}
    if loads_by_job(plan.tenant):
        more["RESTORE_DATABASE"] = "yes"
    for volume in plan.volumes:
        if volume.purpose == "media":
            reached = [*reached, claimed(volume)]
            more["MEDIA"] = MEDIA
        if volume.purpose == "signing-key":
            more |= {"KEY": signing_key(plan), "GIVEN_KEY": "/secrets/restored-key/signing.key"}
            name = secret_name(plan.name, "restored-key", 1)
            given = {"secret": {"secretName": name, "optional": True, "defaultMode": 0o440}}
            reached = [*reached, claimed(volume), Mount("restored-key", "/secrets/restored-key", given)]
    env += environment(plan, media=copies_media(plan.tenant), **more)
    return clockwork(plan, "restore", [], read, reached, env)
