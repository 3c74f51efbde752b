"""The plan of one target: everything its components draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from matrixfleet.errors import FleetError, Refused
from matrixfleet.model import Fleet, Target, Tenant
from matrixfleet.model.choices import Secrets, Turn
from matrixfleet.model.cluster import Cluster
from matrixfleet.model.fleet import SHARED_NAMESPACE
from matrixfleet.model.release import Release
from matrixfleet.plan.edge import (
    PublicHost,
    RouterLimits,
    body_limit_of,
    public_hosts_of,
    router_limits_of,
    well_known_of,
)
from matrixfleet.plan.flows import Flow, bootstrap_flow, flows_of
from matrixfleet.plan.names import LONGEST_TENANT, component_name
from matrixfleet.plan.oidc import Login, logins_of
from matrixfleet.plan.postgresql import login_role_of, settings_of
from matrixfleet.plan.processes import ConnectionBudget, Process, budget_of, processes_of
from matrixfleet.plan.routes import Backend, Route, routes_of
from matrixfleet.plan.secrets import Secret, secrets_of, shared_turn_secret
from matrixfleet.plan.storage import Volume, volumes_of
from matrixfleet.plan.turn import TurnServer, turn_of_platform, turn_of_tenant, uris_for
from matrixfleet.plan.workloads import (
    Guest,
    Quota,
    Workload,
    bootstrap_workload,
    guests_of,
    quota_of,
    turn_workload,
    workloads_of,
)

# Applications of the platform: root, and one a managed operator.
RESERVED = frozenset({"root", "platform", "cert-manager"})


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

    def secret(self, purpose: str) -> Secret:
        """The secret of a purpose."""
        return next(secret for secret in self.secrets if secret.purpose == purpose)

    def called(self, component: str) -> str:
        """The name of a component's objects."""
        return component_name(self.name, component)

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
    def namespaces(self) -> tuple[str, ...]:
        """None where the platform runs nothing of its own."""
        return (self.namespace, self.turn_namespace) if self.turn else ()

    @cached_property
    def workloads(self) -> dict[str, Workload]:
        """Coturn, and the Job that makes its secret."""
        if self.turn is None:
            return {}
        return {"bootstrap": bootstrap_workload(self.release), "turn": turn_workload(self.turn, self.release)}

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """Coturn's."""
        return (shared_turn_secret(self.target.platform, self.turn_namespace),) if self.turn else ()

    @cached_property
    def flows(self) -> tuple[Flow, ...]:
        """The Job's; Coturn is on the nodes' network."""
        return (bootstrap_flow(self.cluster),) if self.turn else ()

    def verify(self) -> None:
        """Refuse what cannot be."""
        self.verify_turn(("platform", "turn"))
        if self.turn and self.cluster.secrets.kind is not Secrets.KUBERNETES:
            raise Refused(
                ("platform", "turn"),
                f"a shared relay is built with cluster.secrets.kind: kubernetes alone, got {self.cluster.secrets.kind};"
                " give each tenant a relay of its own (turn.kind), or none",
            )


@dataclass(frozen=True)
class TenantPlan(Plan):
    """One homeserver."""

    @cached_property
    def tenant(self) -> Tenant:
        """What was said."""
        assert self.target.tenant is not None
        return self.target.tenant

    @cached_property
    def namespace(self) -> str:
        """Of everything but a Coturn on the nodes' network."""
        return self.tenant.namespace or self.name

    @cached_property
    def turn(self) -> TurnServer | None:
        """The tenant's own Coturn."""
        return turn_of_tenant(self.tenant, self.namespace, self.turn_namespace)

    @cached_property
    def turn_uris(self) -> tuple[str, ...]:
        """Where clients find their relay, whoever runs it."""
        return uris_for(self.tenant, self.target.platform)

    @cached_property
    def borrows(self) -> tuple[Secret, ...]:
        """Secrets of the platform's that this tenant copies."""
        return tuple(secret for secret in self.secrets if secret.copied)

    def address(self, component: str) -> str:
        """A component's Service, fully qualified: resolvers need no search path for it."""
        return f"{self.called(component)}.{self.namespace}.svc.{self.cluster.network.domain}"

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
        return workloads_of(self.tenant, self.cluster, self.release, self.processes, self.turn)

    @cached_property
    def guests(self) -> tuple[Guest, ...]:
        """Who else runs here."""
        return guests_of(self.cluster.edge)

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """What is secret."""
        readers = tuple(process.component for process in self.processes)
        shared = None
        if self.tenant.turn.kind is Turn.SHARED:
            place = f"{SHARED_NAMESPACE}-turn"
            shared = shared_turn_secret(self.target.platform, place, self.namespace, readers)
        return secrets_of(self.name, self.tenant, self.cluster, self.namespace, self.turn, shared, readers)

    @cached_property
    def logins(self) -> tuple[Login, ...]:
        """OpenID providers."""
        return logins_of(self.tenant.auth.providers)

    @cached_property
    def joins_email(self) -> bool:
        """Whether the mail server's password must be joined to Synapse's configuration: `smtp_pass` has no
        `_path` beside it."""
        return self.tenant.email is not None and self.tenant.email.user is not None

    @cached_property
    def login_role(self) -> str:
        """The database role that Synapse logs in as."""
        return login_role_of(self.tenant.database.credentials)

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
        return flows_of(self.tenant, self.cluster, self.processes, self.workloads, self.guests, self.turn)

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
    def public_hosts(self) -> tuple[PublicHost, ...]:
        """What the world sees."""
        return public_hosts_of(self.tenant)

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
    def postgresql(self) -> dict[str, str]:
        """PostgreSQL's settings."""
        return settings_of(self.tenant.database)

    @cached_property
    def quota(self) -> Quota:
        """What the namespace may ask for."""
        return quota_of(self.workloads, self.guests, tuple(volume.size for volume in self.volumes), self.turn)

    def verify(self) -> None:
        """Refuse what cannot be. Raises Refused with the key that must change."""
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
        self.verify_turn(("matrix", "turn"))
        if self.tenant.turn.kind is Turn.SHARED and self.target.platform.turn is None:
            raise Refused(
                ("matrix", "turn", "kind"),
                f"shared is the platform's Coturn and cluster {self.cluster.name} has none; say platform.turn in"
                f" its platform target, or another kind",
            )
        _ = self.budget


def plan_of(fleet: Fleet, name: str) -> TenantPlan | PlatformPlan:
    """The plan of one target. Raises FleetError."""
    target = fleet.target(name)
    plan = PlatformPlan(target) if target.tenant is None else TenantPlan(target)
    try:
        plan.verify()
    except Refused as refused:
        raise FleetError([fleet.fault(name, refused.key, refused.message)]) from refused
    return plan
