"""Synapse's database role: a Job that sees to it before Synapse starts.

On the bundled server it sets the password, so that the server need not restart for it: PostgreSQL's Pod names no
password. A new generation is a new Secret, and a Pod that names another Secret is another Pod: were it the
server's, every rotation would restart it. The Job logs in over the network with a certificate of the tenant's own
authority, as a role that sets passwords and reaches no data.

CloudNativePG sets passwords itself. There the Job logs in as Synapse will, and has the role become the owner of
every table from then on, which any role may do for itself; it waits until that works.
"""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.authority import CLIENT, signed
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import config_map
from matrixfleet.kubernetes.pods import (
    Mount,
    configuration,
    container,
    job,
    pod_template,
    secret_files,
    tls_files,
)
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.postgresql import ROLE_KEEPER
from matrixfleet.templates import read

FOLDER = "/etc/postgresql"
TLS = "/tls/roles"


@component("workload/roles")
def main(plan: TenantPlan) -> Iterator[Object]:
    """Certificate, script, Job; nothing where somebody else sees to roles."""
    if "roles" not in plan.workloads:
        return
    ours = "postgresql" in plan.workloads
    files = {name: read(__file__, name) for name in (("roles.sh", "password.sql") if ours else ("become.sh",))}
    if ours:
        yield signed(plan, "roles", CLIENT, commonName=ROLE_KEEPER)
    yield config_map(plan, "roles", files)
    yield keeper(plan, files) if ours else login(plan, files)


def keeper(plan: TenantPlan, files: dict[str, str]) -> Object:
    """The Job that sets a password. Its name carries its content, the Secret's name in it: a rotation makes a
    new one, a revert the one before once more."""
    tls = tls_files("roles", plan.called("roles-tls"), ("tls.crt", "tls.key", "ca.crt"))
    who = {
        "PGDATABASE": "postgres",
        "PGUSER": ROLE_KEEPER,
        "PGSSLROOTCERT": f"{TLS}/ca.crt",
        "PGSSLCERT": f"{TLS}/tls.crt",
        "PGSSLKEY": f"{TLS}/tls.key",
    }
    command = ["sh", f"{FOLDER}/roles.sh", plan.database.login]
    return made(plan, files, command, [tls, secret_files(plan.secret("database"))], who)


def login(plan: TenantPlan, files: dict[str, str]) -> Object:
    """The Job that logs in. Not through a pooler: what that kept open from before would not know."""
    assert plan.database.server_authority is not None
    tls = tls_files("roles", plan.database.server_authority, ("ca.crt",))
    who = {
        "PGDATABASE": plan.database.name,
        "PGUSER": plan.database.login,
        "PGSSLROOTCERT": f"{TLS}/ca.crt",
    }
    command = ["sh", f"{FOLDER}/become.sh", str(plan.database.owner)]
    return made(plan, files, command, [tls, secret_files(plan.secret("database"))], who)


def made(
    plan: TenantPlan, files: dict[str, str], command: list[str], mounts: list[Mount], who: dict[str, str]
) -> Object:
    """A Job with libpq's variables."""
    mounts = [configuration(plan, "roles", FOLDER), *mounts]
    server = plan.database.server
    where = {"PGHOST": server.host, "PGPORT": str(server.port), **who, "PGSSLMODE": "verify-full"}
    if plan.tenant.restore:
        # Passwords come back as they were then: set them once more.
        where["AFTER_RESTORE"] = plan.tenant.restore.name
    env = [{"name": name, "value": value} for name, value in where.items()]
    template = pod_template(
        plan,
        "roles",
        [container(plan, "roles", "roles", command, mounts, env=env)],
        mounts,
        reads=files,
        restartPolicy="OnFailure",
    )
    return job(plan, "roles", template)
