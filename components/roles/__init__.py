"""The password of Synapse's database role: a Job that sets it, so that the server need not restart for it.

PostgreSQL's Pod names no password. A new generation is a new Secret, and a Pod that names another Secret is
another Pod: were it the server's, every rotation would restart it. The Job logs in over the network with a
certificate of the tenant's own authority, as a role that sets passwords and reaches no data.
"""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map, make
from matrixfleet.kubernetes.pods import configuration, container, job, pod_template, secret_files, tls_files
from matrixfleet.plan import TenantPlan, waves
from matrixfleet.plan.postgresql import ROLE_KEEPER
from matrixfleet.templates import read

TLS = "/tls/roles"
FILES = ("roles.sh", "password.sql")


@component("workload/roles")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Certificate, script, Job."""
    yield certificate(plan)
    files = {name: read(__file__, name) for name in FILES}
    yield config_map(plan, "roles", files)
    yield maker(plan, files)


def certificate(plan: TenantPlan) -> Object:
    """Who it is: PostgreSQL takes the name in it for the role's."""
    spec = {
        "secretName": plan.called("roles-tls"),
        "commonName": ROLE_KEEPER,
        "usages": ["client auth"],
        "duration": "2160h",
        "renewBefore": "720h",
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "issuerRef": {"name": plan.called("postgresql-ca"), "kind": "Issuer", "group": "cert-manager.io"},
    }
    return make(plan, "Certificate", "roles", api="cert-manager.io/v1", wave=waves.SECRETS, spec=spec)


def maker(plan: TenantPlan, files: dict[str, str]) -> Object:
    """The Job. Its name carries its content, the Secret's name in it: a rotation makes a new one, a revert
    the one before once more."""
    mounts = [
        configuration(plan, "roles", "/etc/postgresql"),
        secret_files(plan.secret("database")),
        tls_files("roles", plan.called("roles-tls"), ("tls.crt", "tls.key", "ca.crt")),
    ]
    where = {
        "PGHOST": plan.address("postgresql"),
        "PGPORT": str(plan.workloads["postgresql"].ports["postgresql"]),
        "PGDATABASE": "postgres",
        "PGUSER": ROLE_KEEPER,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": f"{TLS}/ca.crt",
        "PGSSLCERT": f"{TLS}/tls.crt",
        "PGSSLKEY": f"{TLS}/tls.key",
    }
    template = pod_template(
        plan,
        "roles",
        [
            container(
                plan,
                "roles",
                "roles",
                ["sh", "/etc/postgresql/roles.sh", plan.login_role],
                mounts,
                env=[{"name": name, "value": value} for name, value in where.items()],
            )
        ],
        mounts,
        reads=files,
        restartPolicy="OnFailure",
    )
    return job(plan, "roles", template)
