"""The bundled PostgreSQL: one server on one volume, TLS by a certificate authority of the tenant's own."""

from collections.abc import Iterator
from dataclasses import replace

from matrixfleet.backup import archive, archiver, environment, mounts, scripts
from matrixfleet.backup.pods import INTERVAL, PAUSE, folder
from matrixfleet.drawing import component
from matrixfleet.kubernetes.authority import SERVER, authority, signed
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import claim_template, config_map, make, service
from matrixfleet.kubernetes.pods import (
    Mount,
    configuration,
    container,
    pod_template,
    probe,
    recent,
    scratch,
    stateful_set,
    tls_files,
)
from matrixfleet.model.choices import RestoreFrom
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.backup import ARCHIVE, SIDECAR, archives, loads_beside
from matrixfleet.plan.postgresql import settings_of
from matrixfleet.templates import read, render

DATA = "/var/lib/postgresql/data"
SOCKET = "/var/run/postgresql"
FILES = ("initdb.sh", "reconcile.sh", "roles.sql", "pg_hba.conf", "pg_ident.conf")


@component("workload/postgresql")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Certificates, configuration, Service, StatefulSet; nothing where the server is another's."""
    if "postgresql" not in plan.workloads:
        return
    yield from authority(plan)
    yield signed(plan, "postgresql", SERVER, dnsNames=[plan.address("postgresql")])
    files = {name: read(__file__, name) for name in FILES}
    settings = settings_of(plan.server)
    if archived := archiver(plan):
        # A minute of messages is what a lost volume costs at most.
        settings |= {"archive_mode": "on", "archive_command": archived.push, "archive_timeout": "60s"}
    files["postgresql.conf"] = render(__file__, "postgresql.conf.j2", settings=settings, socket=SOCKET)
    yield config_map(plan, "postgresql", files)
    kept = backups(plan)
    if kept:
        yield make(plan, "ConfigMap", "archive", wave=plan.workloads["postgresql"].wave, data=kept)
    yield service(plan, "postgresql", headless=True)
    yield server(plan, files, kept)


def backups(plan: TenantPlan) -> dict[str, str]:
    """The scripts of what stands beside the server to archive it or to bring it back."""
    names = ["archive", "loop", "base"] if archives(plan.tenant) else []
    if plan.tenant.restore:
        names.append(f"restore_{plan.tenant.restore.source}")
    return scripts(plan, *names) | archive(plan) if names else {}


def tools(plan: TenantPlan, data: Mount, socket: Mount) -> tuple[list[Object], list[Object], list[Mount]]:
    """Init containers, containers and mounts for that; nothing without backups."""
    archived, restore = archiver(plan), plan.tenant.restore
    if not archived and not restore:
        return [], [], []
    keys = mounts(plan, "postgresql", plan.called("archive"))
    own = [*keys, scratch("backup-tmp", "/tmp", "1Gi")]
    called = archived.environment if archived else {}
    asked = {"RESTORE": restore.name, "UNTIL": restore.until_utc} if restore else {}
    if restore and restore.timeline:
        asked["TIMELINE"] = str(restore.timeline)
    here = {"PGHOST": SOCKET, "PGDATABASE": "synapse", "PGUSER": "postgres", **called}
    init: list[Object] = []
    beside: list[Object] = []
    if archived:
        own += archived.memory
        command = ["bash", "/etc/backup/archive.sh"]
        looks = [*own, replace(data, read_only=True)]
        init.append(container(plan, "postgresql", ARCHIVE, command, looks, env=variables(called | asked)))
        clock = {"INTERVAL": str(INTERVAL), "PAUSE": str(PAUSE)}
        command = ["bash", "/etc/backup/loop.sh", "base"]
        env = environment(plan, **here, **clock)
        beside.append(container(plan, "postgresql", SIDECAR, command, [*own, data, socket], env=env))
    if restore:
        env = environment(plan, **here, **asked)
        if restore.source is RestoreFrom.ARCHIVE:
            command = ["bash", "/etc/backup/restore_archive.sh"]
            init.append(container(plan, "postgresql", "restore", command, [*own, data], env=env))
        else:
            command = ["bash", "/etc/backup/restore_dump.sh"]
            roles = [*own, socket, configuration(plan, "postgresql", "/etc/postgresql")]
            done = probe(5, 1, 5, exec={"command": ["test", "-e", "/tmp/restored"]})
            beside.append(container(plan, "postgresql", "restore", command, roles, env=env, readinessProbe=done))
    return init, beside, own


def variables(values: dict[str, str]) -> list[Object]:
    """As a container has them."""
    return [{"name": name, "value": value} for name, value in values.items()]


def server(plan: TenantPlan, files: dict[str, str], kept: dict[str, str]) -> Object:
    """The server, and beside it the reconciler: roles as the plan has them, and a reload when
    cert-manager renews the certificate."""
    (volume,) = plan.volumes_for("postgresql")
    data = Mount(volume.name, volume.mount, {}, read_only=False)
    config = configuration(plan, "postgresql", "/etc/postgresql")
    socket = scratch("socket", SOCKET, "1Mi", memory=True)
    tls = tls_files("database", plan.called("postgresql-tls"), ("tls.crt", "tls.key", "ca.crt"))
    shared = scratch("shm", "/dev/shm", "256Mi", memory=True)
    tmp = scratch("tmp", "/tmp", "64Mi")

    def reports(question: str) -> Object:
        return {"exec": {"command": ["sh", "-c", question]}}

    # A query, not a connection: the server answers and Synapse's role is there.
    query = "SELECT count(*) FROM pg_roles WHERE rolname = 'synapse'"
    ready = f'psql -XAtq -h {SOCKET} -U postgres -d synapse -c "{query}" | grep -qx 1'
    # 1 means that it refuses connections while it starts or recovers: alive, and not to be killed.
    alive = f"pg_isready -q -h {SOCKET}; [ $? -le 1 ]"
    prepare, beside, others = tools(plan, data, socket)
    # What archive_command and restore_command read: settings with their keys in memory, or Secrets; and authorities.
    archived, archiving = archiver(plan), []
    if archived:
        kept_at = plan.called("archive")
        archiving = [folder(kept_at), *archived.memory] if archived.memory else mounts(plan, "postgresql", kept_at)
    postgres = container(
        plan,
        "postgresql",
        "postgresql",
        ["postgres", "-D", DATA, "-c", "config_file=/etc/postgresql/postgresql.conf"],
        [
            data,
            config,
            socket,
            tls,
            shared,
            tmp,
            *archiving,
        ],
        env=variables(archived.environment) if archived else [],
        ports={"postgresql": plan.workloads["postgresql"].ports["postgresql"]},
        # Half an hour: killed while it replays its log, a server would begin again and again.
        startupProbe=probe(5, 360, 5, **reports(ready)),
        readinessProbe=probe(10, 3, 5, **reports(ready)),
        livenessProbe=probe(20, 6, 5, **reports(alive)),
    )
    reconciler = container(
        plan,
        "postgresql",
        "reconciler",
        ["sh", "/etc/postgresql/reconcile.sh"],
        [config, socket, tls],
        livenessProbe=recent(f"{socket.path}/reconciler", minutes=3),
    )
    restore = plan.tenant.restore
    aside = [restore.name] if restore and loads_beside(plan.tenant) else []
    initdb = ["sh", "/etc/postgresql/initdb.sh", DATA, *aside]
    exporters = [exporter(plan, socket)] if "exporter" in plan.workloads["postgresql"].containers else []
    template = pod_template(
        plan,
        "postgresql",
        [postgres, reconciler, *exporters, *beside],
        [data, config, socket, tls, shared, tmp, *others],
        init=[*prepare, container(plan, "postgresql", "initdb", initdb, [data, config, tmp])],
        reads={plan.called("postgresql"): files, plan.called("archive"): kept} if kept else files,
        # Fast shutdown writes a checkpoint; killed before, the next start replays the log instead.
        terminationGracePeriodSeconds=120,
    )
    return stateful_set(plan, "postgresql", template, claims=[claim_template(plan, volume)])


def exporter(plan: TenantPlan, socket: Mount) -> Object:
    """Its numbers, by its socket: the server takes this container's user for the role `exporter`, which reads
    statistics and no table."""
    return container(
        plan,
        "postgresql",
        "exporter",
        ["/bin/postgres_exporter", "--collector.long_running_transactions", "--collector.database_wraparound"],
        [replace(socket, read_only=True)],
        env=[{"name": "DATA_SOURCE_NAME", "value": f"host={SOCKET} user=exporter dbname=synapse sslmode=disable"}],
        ports={"metrics": plan.workloads["postgresql"].ports["metrics"]},
        livenessProbe=probe(30, 3, 5, httpGet={"path": "/", "port": "metrics"}),
    )
