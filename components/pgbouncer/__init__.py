"""PgBouncer before a PostgreSQL that no operator runs; CloudNativePG has a Pooler of its own."""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.authority import SERVER, authority, signed
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map, service
from matrixfleet.kubernetes.pods import (
    ROLLING,
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
from matrixfleet.templates import read, render

FOLDER = "/etc/pgbouncer"


@component("workload/pgbouncer")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Certificate, configuration, Service, Deployment; nothing where nothing is pooled here."""
    if "pgbouncer" not in plan.workloads:
        return
    if "postgresql" not in plan.workloads:
        yield from authority(plan)
    yield signed(plan, "pgbouncer", SERVER, dnsNames=[plan.address("pgbouncer")])
    external = plan.tenant.database.external
    files = {
        "pgbouncer.ini": render(
            __file__,
            "pgbouncer.ini.j2",
            database=plan.database,
            connections=plan.budget.synapse,
            scraped="exporter" in plan.workloads["pgbouncer"].containers,
            ca=f"{FOLDER}/server-ca.crt" if external else "/tls/server/ca.crt",
        ),
        **{name: read(__file__, name) for name in ("users.sh", "run.sh")},
    }
    if external:
        files["server-ca.crt"] = external.ca
    yield config_map(plan, "pgbouncer", files)
    yield service(plan, "pgbouncer")
    yield deployment(plan, "pgbouncer", template(plan, files), strategy=ROLLING)


def template(plan: TenantPlan, files: dict[str, str]) -> Object:
    """Its Pod. Passwords of this generation and the one before: both roles log in while Synapse rolls."""
    config = configuration(plan, "pgbouncer", FOLDER)
    users = scratch("run", "/run/pgbouncer", "1Mi", memory=True)
    tls = tls_files("pgbouncer", plan.called("pgbouncer-tls"), ("tls.crt", "tls.key"))
    server = []
    if plan.database.server_authority:
        server = [tls_files("server", plan.database.server_authority, ("ca.crt",))]
    logins = {plan.database.login: plan.secret("database")}
    previous = [secret for secret in plan.secrets if secret.purpose == "database-previous"]
    if previous and plan.database.previous:
        logins[plan.database.previous] = previous[0]
    exporters = []
    if "exporter" in plan.workloads["pgbouncer"].containers:
        logins["exporter"] = plan.secret("pgbouncer")
        exporters = [exporter(plan)]
    secrets = [secret_files(secret) for secret in logins.values()]
    pairs = [word for role, secret in logins.items() for word in (role, secret.path("password"))]
    listens = {"tcpSocket": {"port": "postgresql"}}
    pgbouncer = container(
        plan,
        "pgbouncer",
        "pgbouncer",
        ["bash", f"{FOLDER}/run.sh"],
        [config, users, tls, *server],
        ports={"postgresql": plan.workloads["pgbouncer"].ports["postgresql"]},
        startupProbe=probe(1, 30, 2, **listens),
        readinessProbe=probe(5, 2, 2, **listens),
        livenessProbe=probe(15, 3, 2, **listens),
    )
    init = container(plan, "pgbouncer", "users", ["sh", f"{FOLDER}/users.sh", *pairs], [config, users, *secrets])
    mounts = [config, users, tls, *server, *secrets]
    return pod_template(
        plan, "pgbouncer", [pgbouncer, *exporters], mounts, init=[init], reads=files, terminationGracePeriodSeconds=30
    )


def exporter(plan: TenantPlan) -> Object:
    """Its numbers, by its own console. The exporter has no option for a file with the password; within the Pod nobody
    stands between the two."""
    told = f"host=127.0.0.1 port={plan.workloads['pgbouncer'].ports['postgresql']} user=exporter dbname=pgbouncer"
    password = {"name": plan.secret("pgbouncer").name, "key": "password"}
    return container(
        plan,
        "pgbouncer",
        "exporter",
        ["/bin/pgbouncer_exporter"],
        [],
        env=[
            {"name": "PGBOUNCER_EXPORTER_CONNECTION_STRING", "value": f"{told} sslmode=require"},
            {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": password}},
        ],
        ports={"metrics": plan.workloads["pgbouncer"].ports["metrics"]},
        livenessProbe=probe(30, 3, 5, httpGet={"path": "/", "port": "metrics"}),
    )
