"""The plan of one target: everything its components draw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from matrixfleet.errors import FleetError, Refused, did_you_mean
from matrixfleet.model import Fleet, Target, Tenant
from matrixfleet.model.alerts import Alerts
from matrixfleet.model.choices import Database, IpFamily, Logs, Mesh, Metrics, Pooling, Secrets, Turn
from matrixfleet.model.cluster import Cluster, Issuer, Istio
from matrixfleet.model.database import Server
from matrixfleet.model.fleet import PLATFORM, SHARED_NAMESPACE
from matrixfleet.model.networks import LOOPBACK, holds, overlaps
from matrixfleet.model.release import Release, numbers
from matrixfleet.model.types import bytes_of, millicores_of
from matrixfleet.plan.backup import (
    Archive,
    archive_folder,
    archive_of_platform,
    archived_by_operator,
    clients,
    schedule_of,
    scratch_of,
)
from matrixfleet.plan.ceilings import Requests, requests_of, verify_router, verify_size
from matrixfleet.plan.database import (
    OWN,
    Reached,
    Roles,
    instance_flows,
    instance_guests,
    passwords,
    reached_by,
    roles_on_shared,
    shared_ca,
    shared_passwords,
    sharer_flows,
)
from matrixfleet.plan.edge import (
    PublicHost,
    RouterLimits,
    body_limit_of,
    public_hosts_of,
    router_limits_of,
    well_known_of,
)
from matrixfleet.plan.element import Web, web_of_platform, web_of_tenant
from matrixfleet.plan.flows import (
    EDGE,
    Flow,
    archive_flows,
    bootstrap_flows,
    flows_of,
    logs_flows,
    probe_flows,
    visitor_flows,
)
from matrixfleet.plan.mesh import mesh_flows, with_proxies
from matrixfleet.plan.names import LONGEST_TENANT, component_name
from matrixfleet.plan.oidc import Login, logins_of
from matrixfleet.plan.probes import Check, checks_of, probed
from matrixfleet.plan.processes import RESERVED_CONNECTIONS, ConnectionBudget, Process, budget_of, processes_of
from matrixfleet.plan.routes import Backend, Route, routes_of
from matrixfleet.plan.secrets import (
    Secret,
    alert_secrets,
    archive_secrets,
    borrowed,
    logs_secret,
    secrets_of,
    shared_turn_secret,
)
from matrixfleet.plan.storage import Volume, media_keeper, volumes_of
from matrixfleet.plan.turn import TurnServer, turn_of_platform, turn_of_tenant, uris_for
from matrixfleet.plan.workloads import (
    METRICS_OF_PROBES,
    Guest,
    Quota,
    Workload,
    bootstrap_workload,
    element_workload,
    guests_of,
    logs_workload,
    probes_workload,
    quota_of,
    turn_workload,
    workloads_of,
)

# Applications of the platform: root, and one a managed operator.
RESERVED = frozenset({"root", "platform", "barman-cloud", "cert-manager", "cloudnative-pg"})


@dataclass(frozen=True)
class Plan:
    """What every target has."""

    target: Target
    drawn: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)
    """Group and kind of every object drawn so far, by top folder, and the name of those that live in no
    namespace: what an AppProject admits is exactly this. Filled by the drawing itself, read by the
    component that comes last."""
    places: dict[str, set[str]] = field(default_factory=dict)
    """Namespaces of every object drawn so far, by top folder: where an AppProject admits it."""

    @property
    def name(self) -> str:
        """The tenant's name, or "platform"."""
        return self.target.short

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        return self.target.cluster

    @property
    def release(self) -> Release:
        """The versions."""
        return self.target.release

    @property
    def istio(self) -> Istio | None:
        """The mesh that this target is in."""
        return self.cluster.istio if self.cluster.mesh is Mesh.ISTIO else None

    @property
    def application(self) -> str:
        """The Application's name. The cluster stands first, since a hub's Argo CD holds many clusters'."""
        return f"{self.cluster.name}-{self.name}"

    @property
    def path(self) -> str:
        """The target's folder in the repository."""
        return f"compiled/{self.cluster.name}/{self.name}"

    @cached_property
    def namespace(self) -> str:
        """Of everything but a Coturn on the nodes' network."""
        raise NotImplementedError

    @cached_property
    def turn_namespace(self) -> str:
        """Of a Coturn on the nodes' network, which Pod Security `restricted` forbids: so it is fenced off
        from the namespace that keeps to it."""
        return f"{self.namespace}-turn"

    @cached_property
    def logs_namespace(self) -> str:
        """Of the agent that reads logs: it mounts its node's files as root, which Pod Security forbids."""
        return f"{self.namespace}-logs"

    @cached_property
    def turn(self) -> TurnServer | None:
        """The Coturn that this target runs."""
        raise NotImplementedError

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace of this target."""
        beside = self.turn.namespace if self.turn else self.namespace
        return (self.namespace,) if beside == self.namespace else (self.namespace, beside)

    @cached_property
    def workloads(self) -> dict[str, Workload]:
        """What runs, by component."""
        raise NotImplementedError

    @cached_property
    def guests(self) -> tuple[Guest, ...]:
        """Who else runs here."""
        return ()

    @cached_property
    def priority_class(self) -> str | None:
        """Of every Pod; none unless said."""
        return None

    @cached_property
    def alerts(self) -> Alerts | None:
        """Who is told of its alerts."""
        return None

    @cached_property
    def archive(self) -> Archive | None:
        """Where CloudNativePG archives the server that is this target's."""
        return None

    @cached_property
    def web_issuer(self) -> Issuer:
        """Who signs for its public hosts."""
        return self.cluster.issuers.web

    @cached_property
    def web(self) -> Web | None:
        """The Element Web that this target runs."""
        return None

    @cached_property
    def public_hosts(self) -> tuple[PublicHost, ...]:
        """What the world sees."""
        return (self.web.host,) if self.web else ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every public name that is this target's own: those at the edge, and its relay's."""
        return tuple(sorted({each.host for each in self.public_hosts} | ({self.turn.host} if self.turn else set())))

    @cached_property
    def prober(self) -> str:
        """Who tries it: the platform's exporter."""
        service = f"{component_name(PLATFORM, 'probes')}.{SHARED_NAMESPACE}.svc.{self.cluster.network.domain}"
        return f"{service}:{METRICS_OF_PROBES}"

    @cached_property
    def body_limit(self) -> int:
        """MiB of a request at the edge."""
        return 1

    @cached_property
    def owned_namespaces(self) -> tuple[str, ...]:
        """Those that this target makes."""
        return self.namespaces

    def place(self, component: str) -> str:
        """The namespace of a component."""
        workload = self.workloads.get(component)
        if workload and workload.on_nodes:
            return self.turn_namespace
        return self.logs_namespace if workload and workload.reads_nodes else self.namespace

    def address(self, component: str) -> str:
        """A component's Service, fully qualified: resolvers need no search path for it."""
        return f"{self.called(component)}.{self.namespace}.svc.{self.cluster.network.domain}"

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """What is secret."""
        raise NotImplementedError

    @cached_property
    def flows(self) -> tuple[Flow, ...]:
        """Who talks to whom."""
        raise NotImplementedError

    @cached_property
    def quota(self) -> Quota:
        """What the namespace may ask for."""
        return quota_of(self.workloads, self.guests, (), self.turn)

    @property
    def requests(self) -> Requests:
        """What it requests of its cluster."""
        return requests_of(self.quota, self.workloads)

    def secret(self, purpose: str) -> Secret:
        """The secret of a purpose."""
        for secret in self.secrets:
            if secret.purpose == purpose:
                return secret
        planned = ", ".join(sorted({secret.purpose for secret in self.secrets})) or "none"
        raise LookupError(f"no secret {purpose} is planned for {self.name}; planned are {planned}")

    def called(self, component: str) -> str:
        """The name of a component's objects."""
        return component_name(self.name, component)

    def verify_operator(self, key: tuple[str | int, ...]) -> None:
        """Refuse a database that nobody would run."""
        if self.cluster.operators.cloudnative_pg is None:
            raise Refused(
                key,
                f"it takes CloudNativePG and cluster {self.cluster.name} has none;"
                " say cluster.operators.cloudnative_pg, or database.kind: statefulset",
            )

    def verify_redis(self, key: tuple[str | int, ...]) -> None:
        """Refuse workers where Synapse would not find Redis: it connects by Twisted's connectTCP, which looks for IPv4
        addresses of a name alone (synapse/replication/tcp/redis.py; twisted.internet.base, ThreadedResolver)."""
        if "redis" in self.workloads and self.cluster.network.ip_family is IpFamily.IPV6:
            raise Refused(
                key,
                f"workers talk through Redis, which Synapse finds by IPv4 alone, and cluster {self.cluster.name} has"
                " cluster.network.ip_family: ipv6; expected a tenant without workers, or a dual-stack cluster",
            )

    def verify_archive(self, key: tuple[str | int, ...]) -> None:
        """Refuse an archive that nobody would write."""
        operator = self.cluster.operators.cloudnative_pg
        if self.archive and operator and not operator.barman_cloud:
            raise Refused(
                key,
                f"an archive with CloudNativePG takes the Barman Cloud plugin and cluster {self.cluster.name} has none;"
                " install it and say cluster.operators.cloudnative_pg.barman_cloud: true, or do without",
            )

    def verify_name(self) -> None:
        """Refuse a name that would be two things."""
        if len(self.name) > LONGEST_TENANT:
            raise Refused(
                (),
                f"expected a target's name of {LONGEST_TENANT} characters or fewer, got {len(self.name)}:"
                " objects are called <tenant>-<component> and Kubernetes ends labels at 63; rename the file",
            )
        if self.name in RESERVED or self.name.endswith(("-fence", "-shared")):
            raise Refused(
                (),
                f"expected another name than {self.name!r}: its Application would be called as one of the"
                f" platform's ({', '.join(sorted(RESERVED))}) or another tenant's fence; rename the file",
            )

    def verify_turn(self, key: tuple[str | int, ...]) -> None:
        """Refuse a relay that cannot be."""
        if self.turn and self.turn.spec.tls and self.cluster.issuers.dns is None:
            host = "hosts.turn points at nodes" if key[0] == "matrix" else "its host points at nodes"
            raise Refused(
                key,
                f"turn.tls needs a DNS-01 issuer and cluster {self.cluster.name} has none: {host},"
                " where no edge answers HTTP-01; set cluster.issuers.dns, or turn.tls: false",
            )


@dataclass(frozen=True)
class PlatformPlan(Plan):
    """A cluster's shared parts."""

    @cached_property
    def turn(self) -> TurnServer | None:
        """The Coturn that tenants share."""
        return turn_of_platform(self.target.platform, f"{SHARED_NAMESPACE}-turn")

    @cached_property
    def namespace(self) -> str:
        """Of what runs here."""
        return SHARED_NAMESPACE

    @cached_property
    def alerts(self) -> Alerts | None:
        """Who is told of alerts on what is its own."""
        return self.target.platform.alerts

    @cached_property
    def archive(self) -> Archive | None:
        """As the platform says."""
        return archive_of_platform(self.target.platform, self.cluster.name)

    @cached_property
    def web(self) -> Web | None:
        """The Element Web that tenants share."""
        return web_of_platform(self.target.platform)

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """None where the platform runs nothing of its own."""
        logs = self.cluster.logs.kind is not Logs.STDOUT
        platform = self.target.platform
        here = self.web or platform.postgresql or self.turn or self.makes_secrets or self.alerts or probed(self.cluster)
        wanted = {self.namespace: here, self.turn_namespace: self.turn, self.logs_namespace: logs}
        return tuple(place for place, needed in wanted.items() if needed)

    @cached_property
    def makes_secrets(self) -> bool:
        """Whether a Job makes its Secrets."""
        return bool(self.secrets) and self.cluster.secrets.kind is Secrets.KUBERNETES

    @cached_property
    def workloads(self) -> dict[str, Workload]:
        """What tenants share, and the Job that makes its secrets."""
        scraped = self.cluster.metrics is not Metrics.NONE
        found = [bootstrap_workload(self.release)] if self.makes_secrets else []
        if self.web:
            found.append(element_workload(self.web.spec, self.release, scraped))
        if self.turn:
            found.append(turn_workload(self.turn, self.release))
        if self.logs_namespace in self.namespaces:
            found.append(logs_workload(self.cluster.logs, self.release, scraped))
        if probed(self.cluster):
            found.append(probes_workload(self.release))
        return with_proxies(self.istio, {workload.component: workload for workload in found})

    @cached_property
    def guests(self) -> tuple[Guest, ...]:
        """Pods that operators make here."""
        server = self.target.platform.postgresql
        return (
            *(instance_guests(self.name, server) if server else ()),
            *(guests_of(self.cluster.edge) if self.web else ()),
        )

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """Coturn's, and for each tenant on the shared PostgreSQL its password."""
        found = [shared_turn_secret(self.target.platform, self.turn_namespace)] if self.turn else []
        if self.target.platform.postgresql:
            found.append(shared_ca(self.target.platform))
            found += archive_secrets(self.target.platform, self.cluster, self.namespace)
        for name, tenant in self.target.sharers:
            found += shared_passwords(name, tenant)
        if self.cluster.logs.store and self.cluster.logs.store.user:
            found.append(logs_secret(self.cluster, self.cluster.logs.store, self.logs_namespace))
        if self.alerts:
            found += alert_secrets(self.alerts, self.cluster, PLATFORM, self.namespace, ("platform", "alerts"))
        return tuple(found)

    @cached_property
    def flows(self) -> tuple[Flow, ...]:
        """The Job's, the instances', and who comes in; a Coturn on the nodes' network is in none."""
        found = [*bootstrap_flows(self.cluster)] if "bootstrap" in self.workloads else []
        found += logs_flows(self.cluster, self.workloads)
        found += probe_flows(self.cluster, self.workloads)
        found += instance_flows(self.cluster, self.guests)
        found += archive_flows(self.cluster, self.archive)
        for name, tenant in self.target.sharers:
            found += sharer_flows(name, tenant, self.guests)
        found += visitor_flows(self.cluster, self.workloads, self.guests)
        found += mesh_flows(self.istio, self.cluster, self.workloads, found)
        return tuple(found)

    @cached_property
    def managed_roles(self) -> dict[str, tuple[Roles, dict[str, str | None]]]:
        """For each database of the shared server its roles, and the Secret of each password."""
        return {
            name: (roles_on_shared(name), passwords(roles_on_shared(name), tenant.database.credentials, name))
            for name, tenant in self.target.sharers
        }

    def verify_shared_budget(self) -> None:
        """Refuse more connections of all tenants together than the server has."""
        server = self.target.platform.postgresql
        if server is None:
            return
        parts = [(name, budget_of(tenant, processes_of(tenant)).synapse) for name, tenant in self.target.sharers]
        total = sum(count for _, count in parts) + RESERVED_CONNECTIONS
        if total > server.max_connections:
            told = " + ".join(f"{name} {count}" for name, count in (*parts, ("reserved", RESERVED_CONNECTIONS)))
            raise Refused(
                ("platform", "postgresql", "max_connections"),
                f"expected {total} or more ({told}), got {server.max_connections};"
                " raise it, or lower synapse.connection_pool.max of the tenants",
            )

    def verify_operator_version(self) -> None:
        """Refuse an operator that is there and older than the release's."""
        operator, least = self.cluster.operators.cloudnative_pg, self.release.charts.cloudnative_pg.installs
        if operator and operator.version and numbers(operator.version) < numbers(least):
            raise Refused(
                ("cluster", "operators", "cloudnative_pg", "version"),
                f"expected CloudNativePG {least}, as release {self.target.release_name} has it, or newer, got"
                f" {operator.version}; update the operator first",
            )

    def verify(self) -> None:
        """Refuse what cannot be."""
        self.verify_operator_version()
        self.verify_turn(("platform", "turn"))
        shared = {
            "turn": ("relay", "a relay of its own (turn.kind), or none"),
            "postgresql": ("PostgreSQL", "a database of its own (database.kind)"),
        }
        for key, (what, instead) in shared.items():
            if getattr(self.target.platform, key) and self.cluster.secrets.kind is not Secrets.KUBERNETES:
                raise Refused(
                    ("platform", key),
                    f"a shared {what} is built with cluster.secrets.kind: kubernetes alone,"
                    f" got {self.cluster.secrets.kind}; give each tenant {instead}",
                )
        if self.target.platform.postgresql:
            self.verify_operator(("platform", "postgresql"))
            self.verify_archive(("platform", "postgresql", "archive"))
        self.verify_shared_budget()


@dataclass(frozen=True)
class NamespacePlan(Plan):
    """A namespace for several tenants: its walls, and nothing inside them."""

    @property
    def istio(self) -> Istio | None:
        """The cluster's: tenants may be in it, each as it says."""
        return self.cluster.istio

    @cached_property
    def namespace(self) -> str:
        """As the file is called."""
        return self.name

    @cached_property
    def turn(self) -> TurnServer | None:
        """None: a tenant's, or the platform's."""
        return None

    @cached_property
    def workloads(self) -> dict[str, Workload]:
        """Nothing."""
        return {}

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """None."""
        return ()

    @cached_property
    def flows(self) -> tuple[Flow, ...]:
        """None."""
        return ()

    @cached_property
    def quota(self) -> Quota:
        """As it was said."""
        assert self.target.namespace is not None
        said = self.target.namespace.quota
        memory = bytes_of(said.memory) // 1024**2
        return Quota(
            millicores_of(said.cpu),
            memory,
            said.pods,
            said.claims,
            bytes_of(said.storage),
            said.balancers,
            said.node_ports,
        )

    def verify(self) -> None:
        """Refuse what cannot be."""
        self.verify_name()
        self.verify_balancers()

    def verify_balancers(self) -> None:
        """Refuse tenants' Coturns that the quota has no room for."""
        assert self.target.namespace is not None
        said, offered = self.target.namespace.quota, {}
        for member in self.target.members:
            turn = turn_of_tenant(member.tenant, self.namespace, "") if member.tenant else None
            if turn and not turn.on_nodes:
                offered[member.short] = len(turn.ports) + len(turn.relays)
        ports = sum(offered.values())
        if len(offered) > said.balancers or ports > said.node_ports:
            raise Refused(
                ("namespace", "quota"),
                f"expected balancers: {len(offered)} and node_ports: {ports} or more, which Coturn of"
                f" {', '.join(sorted(offered))} takes, got {said.balancers} and {said.node_ports}",
            )


@dataclass(frozen=True)
class TenantPlan(Plan):
    """One homeserver."""

    @cached_property
    def tenant(self) -> Tenant:
        """What was said."""
        assert self.target.tenant is not None
        return self.target.tenant

    @property
    def istio(self) -> Istio | None:
        """As the tenant says, or its cluster."""
        return self.cluster.istio if (self.tenant.mesh or self.cluster.mesh) is Mesh.ISTIO else None

    @cached_property
    def namespace(self) -> str:
        """Of everything but a Coturn on the nodes' network."""
        return self.tenant.namespace or self.name

    @cached_property
    def turn(self) -> TurnServer | None:
        """The tenant's own Coturn."""
        return turn_of_tenant(self.tenant, self.namespace, self.turn_namespace)

    @cached_property
    def turn_namespace(self) -> str:
        """Beside the tenant's namespace; where that is shared, the tenant's own."""
        return f"{self.name if self.target.neighbours else self.namespace}-turn"

    @cached_property
    def owned_namespaces(self) -> tuple[str, ...]:
        """A shared one is made by its own target."""
        shared = (self.namespace,) if self.target.neighbours else ()
        return tuple(place for place in self.namespaces if place not in shared)

    @cached_property
    def database(self) -> Reached:
        """How Synapse reaches its state."""
        return reached_by(self.name, self.tenant, self.cluster, self.namespace, self.target.platform)

    @cached_property
    def managed_roles(self) -> dict[str, tuple[Roles, dict[str, str | None]]]:
        """For each database of the tenant's own cluster its roles, and the Secret of each password."""
        return {"synapse": (OWN, passwords(OWN, self.tenant.database.credentials, self.name))}

    @cached_property
    def turn_uris(self) -> tuple[str, ...]:
        """Where clients find their relay, whoever runs it."""
        return uris_for(self.tenant, self.target.platform)

    @cached_property
    def borrows(self) -> tuple[Secret, ...]:
        """Secrets of the platform's that this tenant copies."""
        return tuple(secret for secret in self.secrets if secret.copied)

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        """Synapse's processes."""
        return processes_of(self.tenant)

    @cached_property
    def budget(self) -> ConnectionBudget:
        """Database connections."""
        return budget_of(self.tenant, self.processes)

    @cached_property
    def workloads(self) -> dict[str, Workload]:
        """What runs."""
        found = workloads_of(self.tenant, self.cluster, self.release, self.processes, self.turn)
        return with_proxies(self.istio, found)

    @cached_property
    def guests(self) -> tuple[Guest, ...]:
        """Who else runs here."""
        spec = self.tenant.database
        instances = instance_guests(self.name, spec) if spec.kind is Database.CNPG else ()
        return (*instances, *guests_of(self.cluster.edge))

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """What is secret."""
        readers = tuple(process.component for process in self.processes)
        shared: list[Secret] = []
        if self.tenant.turn.kind is Turn.SHARED:
            place = f"{SHARED_NAMESPACE}-turn"
            shared.append(borrowed(shared_turn_secret(self.target.platform, place), self.namespace, readers))
        roles = OWN
        if self.tenant.database.kind is Database.SHARED:
            roles = roles_on_shared(self.name)
            password = list(shared_passwords(self.name, self.tenant))[-1]
            password = replace(password, purpose="database")
            shared += (
                borrowed(secret, self.namespace, ("roles", *readers, *clients(self.tenant)))
                for secret in (password, shared_ca(self.target.platform))
            )
        return secrets_of(
            self.name, self.tenant, self.cluster, self.namespace, self.turn, tuple(shared), readers, roles.login
        )

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """What is tried from outside."""
        return tuple(checks_of(self.tenant, self.turn)) if probed(self.cluster) else ()

    @cached_property
    def logins(self) -> tuple[Login, ...]:
        """OpenID providers."""
        return logins_of(self.tenant.auth.providers)

    @cached_property
    def joins_email(self) -> bool:
        """Whether the mail server's password must be joined to Synapse's configuration: `smtp_pass` has no
        `_path` beside it."""
        return self.tenant.email is not None and self.tenant.email.user is not None

    def caches_media(self, component: str) -> bool:
        """Whether a component's processes keep a part of a bucket on their node's disk."""
        return self.tenant.media.s3 is not None and component == media_keeper(self.tenant)

    def temporary_files(self, component: str) -> str:
        """Size of /tmp of a component's Synapse processes. A body of more than 100 kB is a file there before anything
        of its request is checked (twisted.web.http), and so are fetched previews: room for uploads at the same time."""
        uploads = 4 * bytes_of(self.tenant.synapse.max_upload_size) if component == media_keeper(self.tenant) else 0
        return f"{max(1024**3, uploads) // 1024**2}Mi" if uploads > 1024**3 else "1Gi"

    @cached_property
    def volumes(self) -> tuple[Volume, ...]:
        """What is kept."""
        return volumes_of(self.name, self.tenant, self.cluster)

    def volumes_for(self, component: str) -> tuple[Volume, ...]:
        """The volumes of one component."""
        return tuple(volume for volume in self.volumes if volume.owner == component)

    @cached_property
    def flows(self) -> tuple[Flow, ...]:
        """Who talks to whom."""
        said = flows_of(
            self.tenant, self.cluster, self.processes, self.workloads, self.guests, self.turn, self.database
        )
        return (
            *said,
            *instance_flows(self.cluster, self.guests),
            *mesh_flows(self.istio, self.cluster, self.workloads, said),
        )

    @cached_property
    def routing(self) -> tuple[tuple[Route, ...], tuple[Backend, ...]]:
        """Which process answers which request."""
        return routes_of(self.processes)

    def members(self, process: Process) -> list[str]:
        """The names of a named pool's processes: their Pods' names, and Synapse's `worker_name`s."""
        return [f"{self.called(process.component)}-{ordinal}" for ordinal in range(process.count)]

    def member_address(self, process: Process, member: str) -> str:
        """Where one process of a named pool is reached: its Pod, by the headless Service."""
        return f"{member}.{self.address(process.component)}"

    @cached_property
    def priority_class(self) -> str | None:
        """As the tenant says."""
        return self.tenant.priority_class

    @cached_property
    def alerts(self) -> Alerts | None:
        """As the tenant says."""
        return self.tenant.alerts

    @cached_property
    def archive(self) -> Archive | None:
        """As the tenant says."""
        spec = self.tenant.backup
        if spec.bucket is None or not archived_by_operator(self.tenant):
            return None
        folder = f"{self.tenant.folder(spec.bucket)}/{archive_folder(self.tenant)}"
        secret = self.secret("backup").name
        return Archive(spec.bucket, folder, secret, spec.keep.archive, schedule_of(self.name, spec), spec.resources)

    @cached_property
    def web_issuer(self) -> Issuer:
        """Of a homeserver on two clusters one that asks DNS: the world's names lead to the other one until it moves."""
        issuers = self.cluster.issuers
        return issuers.dns if self.tenant.active and issuers.dns else issuers.web

    @cached_property
    def web(self) -> Web | None:
        """The tenant's own Element Web."""
        return web_of_tenant(self.tenant)

    @cached_property
    def public_hosts(self) -> tuple[PublicHost, ...]:
        """What the world sees."""
        return (*public_hosts_of(self.tenant), *super().public_hosts)

    @cached_property
    def router_limits(self) -> RouterLimits:
        """What one router may use."""
        return router_limits_of(self.tenant.router.resources)

    @cached_property
    def body_limit(self) -> int:
        """MiB of a request at the edge."""
        return body_limit_of(self.tenant)

    @cached_property
    def well_known(self) -> dict[str, dict[str, object]]:
        """Server discovery."""
        return well_known_of(self.tenant)

    @cached_property
    def server(self) -> Server:
        """The server that is the tenant's own."""
        return self.tenant.database

    @cached_property
    def quota(self) -> Quota:
        """What the namespace may ask for."""
        claims = (*(volume.size for volume in self.volumes), *scratch_of(self.tenant))
        return quota_of(self.workloads, self.guests, claims, self.turn)

    def verify(self) -> None:
        """Refuse what cannot be. Raises Refused with the key that must change."""
        self.verify_name()
        self.verify_turn(("matrix", "turn"))
        if self.tenant.turn.kind is Turn.SHARED and self.target.platform.turn is None:
            raise Refused(
                ("matrix", "turn", "kind"),
                f"shared is the platform's Coturn and cluster {self.cluster.name} has none; say platform.turn in"
                f" its platform target, or another kind",
            )
        self.verify_admin_networks()
        self.verify_database()
        verify_router(self.router_limits)
        verify_size(self.cluster.tenants.size.tenant, self.requests)
        self.verify_modules()
        if self.tenant.active and self.cluster.issuers.dns is None:
            raise Refused(
                ("matrix", "active"),
                f"it takes a DNS-01 issuer and cluster {self.cluster.name} has none: a standby's certificates are"
                " signed while its names lead elsewhere; set cluster.issuers.dns",
            )
        if self.tenant.restore and self.tenant.follows(self.cluster.name):
            raise Refused(
                ("matrix", "restore"),
                f"a standby has what {self.tenant.active} archives; restore there, or make it active",
            )
        if self.tenant.mesh is Mesh.ISTIO and self.cluster.istio is None:
            raise Refused(
                ("matrix", "mesh"), f"cluster {self.cluster.name} has no Istio; say cluster.istio, or mesh: none"
            )
        known = self.cluster.priority_classes
        if self.priority_class and self.priority_class not in known:
            raise Refused(
                ("matrix", "priority_class"),
                f"no PriorityClass {self.priority_class!r} on {self.cluster.name}"
                f"{did_you_mean(self.priority_class, list(known))}; cluster.priority_classes names them",
            )
        _ = self.budget

    def verify_modules(self) -> None:
        """Refuse a module that the release does not list, and what it does not list of its configuration: a module is
        code that runs beside the signing key."""
        offered = self.release.modules
        for index, one in enumerate(self.tenant.modules):
            key: tuple[str | int, ...] = ("matrix", "modules", index)
            if one.module not in offered:
                known = did_you_mean(one.module, list(offered)) or "; it has none"
                message = f"no module {one.module!r} in release {self.target.release_name}{known}"
                raise Refused((*key, "module"), f"{message}; expected one of the release class's `modules`")
            keys = offered[one.module].keys
            for name in (name for name in one.config if name not in keys):
                known = did_you_mean(name, keys) or "; it has none"
                message = f"unknown key of {one.module} in release {self.target.release_name}{known}"
                raise Refused((*key, "config", name), message)
            files = offered[one.module].secrets
            for number, name in enumerate(one.secrets):
                if name not in files:
                    known = did_you_mean(name, files) or "; it has none"
                    message = (
                        f"no key of {one.module} in release {self.target.release_name} that names a file with a secret"
                    )
                    raise Refused((*key, "secrets", number), f"{message}: {name!r}{known}")
        named = [one.id for one in self.tenant.modules if one.id]
        for index, one in enumerate(self.tenant.modules):
            if one.id and named.count(one.id) > 1:
                raise Refused(("matrix", "modules", index, "id"), f"expected an id for each, got {one.id!r} twice")

    def verify_admin_networks(self) -> None:
        """Refuse networks of administrators that hold the edge, the router or a node: a client whose address one of
        those hides would be an administrator's."""
        edge, network = self.cluster.edge, self.cluster.network
        peers = [one for peer in edge.peers for one in peer.cidrs]
        hidden = {
            "cluster.edge.peers": peers,
            "cluster.network.nodes": network.nodes,
            "the router itself": LOOPBACK,
        }
        # Which of the private networks is the Pods' nobody says: the edge's Pods may be in any, the router is in one.
        pods = [] if all(peer.cidrs for peer in edge.peers) else network.private
        for number, allowed in enumerate(self.tenant.synapse.admin_api.allow):
            held = [(where, one) for where, some in hidden.items() for one in some if overlaps(allowed, one)]
            private = "cluster.network.private, where the edge's Pods are" if pods else "cluster.network.private"
            held += [(private, one) for one in pods if overlaps(allowed, one)]
            held += [(private, one) for one in network.private if holds(allowed, one)]
            if held:
                where, one = held[0]
                raise Refused(
                    ("matrix", "synapse", "admin_api", "allow", number),
                    f"expected a network of administrators alone, got {allowed!r}, which has addresses of {one}"
                    f" ({where}); name the public network that they come from, or leave it out and use kubectl"
                    " port-forward",
                )

    @cached_property
    def direct_clients(self) -> bool:
        """Whether anything but the edge sends requests to the router: bridges in the cluster, the canary."""
        port = self.workloads["router"].ports["http"]
        sources = [flow.source for flow in self.flows if flow.target == "router" and ("TCP", port) in flow.ports]
        return any(isinstance(source, str) or source.name != EDGE for source in sources)

    def verify_database(self) -> None:
        """Refuse a server that is not there."""
        kind, key = self.tenant.database.kind, ("matrix", "database", "kind")
        if kind is Database.CNPG:
            self.verify_operator(key)
        self.verify_archive(("matrix", "backup", "kind"))
        self.verify_redis(("matrix", "workers"))
        if kind is Database.SHARED:
            server = self.target.platform.postgresql
            if server is None:
                raise Refused(
                    key,
                    f"shared is the platform's PostgreSQL and cluster {self.cluster.name} has none; say"
                    " platform.postgresql in its platform target, or another kind",
                )
            if self.tenant.database.pooling is Pooling.PGBOUNCER and server.pooling is not Pooling.PGBOUNCER:
                raise Refused(
                    ("matrix", "database", "pooling"),
                    "the shared server has no pooler; say platform.postgresql.pooling: pgbouncer, or none here",
                )


AnyPlan = TenantPlan | PlatformPlan | NamespacePlan


def plan_of(fleet: Fleet, name: str) -> AnyPlan:
    """The plan of one target. Raises FleetError."""
    target = fleet.target(name)
    plan: AnyPlan
    if target.namespace:
        plan = NamespacePlan(target)
    else:
        plan = PlatformPlan(target) if target.tenant is None else TenantPlan(target)
    try:
        plan.verify()
    except Refused as refused:
        raise FleetError([fleet.fault(name, refused.key, refused.message)]) from refused
    return plan
