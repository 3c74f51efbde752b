"""The plan of one target: everything its components draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from matrixfleet.errors import FleetError, Refused
from matrixfleet.model import Fleet, Target, Tenant
from matrixfleet.model.choices import Turn
from matrixfleet.model.cluster import Cluster
from matrixfleet.model.release import Release
from matrixfleet.plan.edge import PublicHost, RouterLimits, public_hosts_of, router_limits_of, well_known_of
from matrixfleet.plan.flows import Flow, flows_of
from matrixfleet.plan.names import LONGEST_TENANT, component_name
from matrixfleet.plan.postgresql import login_role_of, settings_of
from matrixfleet.plan.processes import ConnectionBudget, Process, budget_of, processes_of
from matrixfleet.plan.secrets import Secret, secrets_of
from matrixfleet.plan.storage import Volume, volumes_of
from matrixfleet.plan.workloads import Guest, Quota, Workload, guests_of, quota_of, workloads_of

# Applications of the platform: root, and one a managed operator.
RESERVED = frozenset({"root", "platform", "cert-manager"})


@dataclass(frozen=True)
class _Plan:
    target: Target
    drawn: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)
    """Group and kind of every object drawn so far, by top folder, and the name of those that live in no
    namespace: what an AppProject admits is exactly this. Filled by the drawing itself, read by the
    component that comes last."""

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


@dataclass(frozen=True)
class PlatformPlan(_Plan):
    """A cluster's shared parts."""

    namespace = ""
    namespaces: tuple[str, ...] = ()

    @property
    def workloads(self) -> dict[str, Workload]:
        """None of its own."""
        return {}

    def called(self, component: str) -> str:
        """The name of a component's objects."""
        return component_name(self.name, component)


@dataclass(frozen=True)
class TenantPlan(_Plan):
    """One homeserver."""

    @cached_property
    def tenant(self) -> Tenant:
        """What was said."""
        assert self.target.tenant is not None
        return self.target.tenant

    @cached_property
    def namespace(self) -> str:
        """Of everything but Coturn."""
        return self.tenant.namespace or self.name

    @cached_property
    def turn_namespace(self) -> str:
        """Of Coturn: the nodes' network is forbidden by Pod Security `restricted`, so it is fenced off
        from the namespace that keeps to it."""
        return f"{self.namespace}-turn"

    @cached_property
    def has_turn(self) -> bool:
        """Whether this tenant runs a Coturn of its own."""
        return self.tenant.turn.kind is Turn.DAEMONSET

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace that belongs to the tenant."""
        return (self.namespace, self.turn_namespace) if self.has_turn else (self.namespace,)

    def called(self, component: str) -> str:
        """The name of a component's objects."""
        return component_name(self.name, component)

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
        return workloads_of(self.tenant, self.cluster, self.release, self.processes)

    @cached_property
    def guests(self) -> tuple[Guest, ...]:
        """Who else runs here."""
        return guests_of()

    @cached_property
    def secrets(self) -> tuple[Secret, ...]:
        """What is secret."""
        return secrets_of(self.name, self.tenant, self.cluster, self.namespace, self.turn_namespace)

    def secret(self, purpose: str) -> Secret:
        """The secret of a purpose."""
        return next(secret for secret in self.secrets if secret.purpose == purpose)

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
        return flows_of(self.tenant, self.cluster, self.workloads, self.guests)

    @cached_property
    def public_hosts(self) -> tuple[PublicHost, ...]:
        """What the world sees."""
        return public_hosts_of(self.tenant)

    @cached_property
    def router_limits(self) -> RouterLimits:
        """What one router may use."""
        return router_limits_of(self.tenant.router.resources)

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
        """What the namespace may ask for; Coturn is not in it."""
        inside = {name: one for name, one in self.workloads.items() if name != "turn"}
        return quota_of(inside, self.guests, tuple(volume.size for volume in self.volumes))

    def verify(self) -> None:
        """Refuse what cannot be. Raises Refused with the key that must change."""
        if len(self.name) > LONGEST_TENANT:
            raise Refused(
                (),
                f"expected a target's name of {LONGEST_TENANT} characters or fewer, got {len(self.name)}:"
                " objects are called <tenant>-<component> and Kubernetes ends labels at 63; rename the file",
            )
        if self.name in RESERVED or self.name.endswith("-fence"):
            raise Refused(
                (),
                f"expected another name than {self.name!r}: its Application would be called as one of the"
                f" platform's ({', '.join(sorted(RESERVED))}) or another tenant's fence; rename the file",
            )
        if self.has_turn and self.tenant.turn.tls and self.cluster.issuers.dns is None:
            raise Refused(
                ("matrix", "turn"),
                f"turn.tls needs a DNS-01 issuer and cluster {self.cluster.name} has none: hosts.turn points"
                " at nodes, where no edge answers HTTP-01; set cluster.issuers.dns, or turn.tls: false",
            )
        _ = self.budget


def plan_of(fleet: Fleet, name: str) -> TenantPlan | PlatformPlan:
    """The plan of one target. Raises FleetError."""
    target = fleet.target(name)
    if target.tenant is None:
        return PlatformPlan(target)
    plan = TenantPlan(target)
    try:
        plan.verify()
    except Refused as refused:
        raise FleetError([fleet.fault(name, refused.key, refused.message)]) from refused
    return plan
