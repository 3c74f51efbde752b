"""Where a tenant's state is: which server, behind which door, under which roles, by which authority."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matrixfleet.model import Cluster, Peer, Tenant
from matrixfleet.model.choices import Database, Pooling
from matrixfleet.model.database import Server
from matrixfleet.model.fleet import PLATFORM, SHARED_NAMESPACE, Platform
from matrixfleet.plan.backup import clients
from matrixfleet.plan.flows import Flow, Outside, api_flows
from matrixfleet.plan.names import component_name, secret_name
from matrixfleet.plan.secrets import RANDOM, TAKEN, Secret, fixed
from matrixfleet.plan.workloads import Guest

PORT = 5432
"""Of PostgreSQL and of what stands before it."""
STATUS, METRICS_OF_INSTANCES, METRICS_OF_POOLERS = 8000, 9187, 9127
"""Of CloudNativePG's instance manager (its docs, networking.md and monitoring.md)."""
CLUSTER_LABEL, POOLER_LABEL = "cnpg.io/cluster", "cnpg.io/poolerName"


@dataclass(frozen=True, slots=True)
class Roles:
    """One role owns every table and logs in nowhere; two members log in, a generation of the password each in
    turn, so that a rotation ends nobody's connection."""

    owner: str
    even: str
    odd: str

    def login(self, generation: int) -> str:
        """Who logs in with a generation's password."""
        return self.odd if generation % 2 else self.even


OWN = Roles("synapse", "synapse_even", "synapse_odd")
"""On a server of the tenant's own."""


def roles_on_shared(tenant: str) -> Roles:
    """On the platform's server. Prefixes, so that no tenant's name with a suffix is another's."""
    word = tenant.replace("-", "_")
    return Roles(f"synapse_{word}", f"login_even_{word}", f"login_odd_{word}")


@dataclass(frozen=True, slots=True)
class Door:
    """Something that speaks PostgreSQL's protocol."""

    place: str | Outside
    """A component or a guest of the tenant, or where it is outside."""
    host: str
    """Its name, which its certificate has."""
    port: int = PORT


@dataclass(frozen=True, slots=True)
class Reached:
    """How a tenant reaches its state."""

    server: Door
    """PostgreSQL itself."""
    door: Door
    """What Synapse connects to: the server, or the pooler before it."""
    name: str
    """The database."""
    login: str
    """Whom Synapse logs in as."""
    owner: str | None
    """Who it is from then on; None where somebody else sees to that."""
    authority: str | None
    """The Secret whose `ca.crt` signed the door's certificate; None where the inventory says it."""
    server_authority: str | None
    """The same for the server."""
    previous: str | None
    """Whom the password of the generation before opens the door for."""

    @property
    def pooled(self) -> bool:
        """Whether something stands between."""
        return self.server != self.door


def shared_ca(platform: Platform) -> Secret:
    """The authority of the platform's server alone, without its key: tenants copy it."""
    return Secret(
        "database-ca",
        secret_name(PLATFORM, "database-ca", 1),
        (("ca.crt", f"{TAKEN}{component_name(PLATFORM, 'postgresql-tls')}"),),
        (SHARED_NAMESPACE,),
        (),
        (),
    )


def instances(cluster: str, namespace: str) -> Outside:
    """Instances of another namespace's server."""
    return Outside("the platform's PostgreSQL", (Peer(namespace=namespace, pods={CLUSTER_LABEL: cluster}),))


def reached_by(name: str, tenant: Tenant, cluster: Cluster, namespace: str, platform: Platform) -> Reached:
    """How a tenant reaches its state."""
    spec, domain = tenant.database, cluster.network.domain
    kind = spec.kind

    def here(component: str, service: str = "", owner: str = name, where: str = namespace) -> str:
        return f"{component_name(owner, service or component)}.{where}.svc.{domain}"

    generation = spec.credentials
    tls = component_name(name, "postgresql-tls")
    roles = OWN
    if kind is Database.EXTERNAL:
        assert spec.external is not None
        outside = Outside("PostgreSQL", spec.external.reach, None if spec.external.reach else cluster.network)
        server = Door(outside, spec.external.host, spec.external.port)
        door = Door("pgbouncer", here("pgbouncer")) if spec.pooling is Pooling.PGBOUNCER else server
        authority = None if door == server else component_name(name, "pgbouncer-tls")
        external = spec.external
        return Reached(server, door, external.name, external.user, None, authority, None, None)
    if kind is Database.SHARED:
        roles = roles_on_shared(name)
        place = instances(component_name(PLATFORM, "postgresql"), SHARED_NAMESPACE)
        server = door = Door(place, here("postgresql", "postgresql-rw", PLATFORM, SHARED_NAMESPACE))
        tls = secret_name(PLATFORM, "database-ca", 1)
        authority = tls
        if spec.pooling is Pooling.PGBOUNCER:
            pods = {POOLER_LABEL: component_name(PLATFORM, "pgbouncer")}
            place = Outside("the platform's PgBouncer", (Peer(namespace=SHARED_NAMESPACE, pods=pods),))
            door = Door(place, here("pgbouncer", "", PLATFORM, SHARED_NAMESPACE))
    else:
        service = "postgresql-rw" if kind is Database.CNPG else "postgresql"
        server = door = Door("postgresql", here("postgresql", service))
        authority = tls
        if spec.pooling is Pooling.PGBOUNCER:
            door = Door("pgbouncer", here("pgbouncer"))
            # CloudNativePG's Pooler shows the server's certificate, which has its name too.
            authority = tls if kind is Database.CNPG else component_name(name, "pgbouncer-tls")
    previous = roles.login(generation - 1) if generation > 1 else None
    return Reached(server, door, roles.owner, roles.login(generation), roles.owner, authority, tls, previous)


def passwords(roles: Roles, generation: int, name: str) -> dict[str, str | None]:
    """The Secret of each login role's password, for CloudNativePG: the generation's, the one before, or none.

    name: of the tenant
    """
    found: dict[str, str | None] = {roles.even: None, roles.odd: None}
    for one in (generation - 1, generation):
        if one:
            found[roles.login(one)] = secret_name(name, "database", one)
    return found


def shared_passwords(name: str, tenant: Tenant) -> Iterator[Secret]:
    """What the platform makes for one tenant, where it is verified: the password, and the one before."""
    roles, generation = roles_on_shared(name), tenant.database.credentials
    for one in range(max(1, generation - 1), generation + 1):
        yield Secret(
            f"database-{name}-{one}",
            secret_name(name, "database", one),
            (("username", fixed(roles.login(one))), ("password", RANDOM)),
            (SHARED_NAMESPACE,),
            ("postgresql",),
            ("matrix", "database", "credentials"),
        )


def instance_guests(owner: str, server: Server) -> Iterator[Guest]:
    """Pods that CloudNativePG makes: instances, with one more while a Job makes a new one, and poolers, with one
    more while they roll."""
    yield Guest(
        "postgresql",
        {CLUSTER_LABEL: component_name(owner, "postgresql")},
        {"postgresql": PORT, "status": STATUS, "metrics": METRICS_OF_INSTANCES},
        server.resources,
        server.instances + 1,
        "an instance of PostgreSQL, made by CloudNativePG",
        claims=(server.storage,) * server.instances,
    )
    if server.pooling is Pooling.PGBOUNCER:
        yield Guest(
            "pgbouncer",
            {POOLER_LABEL: component_name(owner, "pgbouncer")},
            {"postgresql": PORT, "metrics": METRICS_OF_POOLERS},
            server.pgbouncer.resources,
            server.pgbouncer.replicas + 1,
            "PgBouncer, made by CloudNativePG",
        )


def sharer_flows(name: str, tenant: Tenant, guests: tuple[Guest, ...]) -> Iterator[Flow]:
    """What a tenant opens to the platform's server: its Jobs to the server itself, Synapse to its door."""
    door = "pgbouncer" if tenant.database.pooling is Pooling.PGBOUNCER else "postgresql"
    software = {"app.kubernetes.io/name": "postgresql"}, {"app.kubernetes.io/name": "synapse"}
    dumps = [({"app.kubernetes.io/component": component}, "postgresql") for component in clients(tenant)]
    for own, guest in ((software[0], "postgresql"), *dumps, (software[1], door)):
        if guest in {one.name for one in guests}:
            labels = {**own, "app.kubernetes.io/instance": name}
            peer = Peer(namespace=tenant.namespace or name, pods=labels)
            yield Flow(Outside(f"tenant {name}", (peer,)), guest, (("TCP", PORT),), f"the state of {name}")


def instance_flows(cluster: Cluster, guests: tuple[Guest, ...]) -> Iterator[Flow]:
    """Between the instances, their poolers, and the operator, which asks each instance how it is."""
    names = {guest.name for guest in guests}
    if "postgresql" not in names:
        return
    assert cluster.operators.cloudnative_pg is not None
    operator = cluster.operators.cloudnative_pg
    outside = Outside("CloudNativePG", (Peer(namespace=operator.namespace, pods=operator.pods),))
    dns = Outside("cluster DNS", cluster.network.dns)
    yield Flow(outside, "postgresql", (("TCP", STATUS), ("TCP", PORT)), "the operator asks how an instance is")
    # The primary's liveness probe asks its peers: one that is cut off from all of them must stop.
    beside = ("TCP", PORT), ("TCP", STATUS)
    yield Flow("postgresql", "postgresql", beside, "replicas follow the primary, which sees that it is not alone")
    for name in ("postgresql", "pgbouncer"):
        if name in names:
            yield from api_flows(name, cluster, "its instance manager reads what it is to be")
            yield Flow(name, dns, (("UDP", 53), ("TCP", 53)), "finds the primary and the Kubernetes API")
    if "pgbouncer" in names:
        yield Flow("pgbouncer", "postgresql", (("TCP", PORT),), "the sessions of its clients")
