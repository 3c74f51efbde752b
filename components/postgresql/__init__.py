"""The bundled PostgreSQL: one server on one volume, TLS by a certificate authority of the tenant's own."""

from collections.abc import Iterator
from dataclasses import replace

from matrixfleet.drawing import component
from matrixfleet.kubernetes.authority import SERVER, authority, signed
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import claim_template, config_map, service
from matrixfleet.kubernetes.pods import (
    Mount,
    configuration,
    container,
    pod_template,
    probe,
    scratch,
    stateful_set,
    tls_files,
)
from matrixfleet.plan import TenantPlan
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
    files["postgresql.conf"] = render(__file__, "postgresql.conf.j2", settings=settings_of(plan.server), socket=SOCKET)
    yield config_map(plan, "postgresql", files)
    yield service(plan, "postgresql", headless=True)
    yield server(plan, files)


def server(plan: TenantPlan, files: dict[str, str]) -> Object:
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
    postgres = container(
        plan,
        "postgresql",
        "postgresql",
        ["postgres", "-D", DATA, "-c", "config_file=/etc/postgresql/postgresql.conf"],
        [data, config, socket, tls, shared, tmp],
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
    )
    initdb = container(plan, "postgresql", "initdb", ["sh", "/etc/postgresql/initdb.sh", DATA], [data, config, tmp])
    exporters = [exporter(plan, socket)] if "exporter" in plan.workloads["postgresql"].containers else []
    mounts = [data, config, socket, tls, shared, tmp]
    template = pod_template(
        plan,
        "postgresql",
        [postgres, reconciler, *exporters],
        mounts,
        init=[initdb],
        reads=files,
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
