"""The Synapse processes of a tenant. There is exactly one main process, whatever the pattern: two of
them on one database corrupt it, since each believes itself the only writer of every stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from matrixfleet.errors import Refused
from matrixfleet.model import Tenant
from matrixfleet.model.choices import Backup, State
from matrixfleet.model.resources import Resources
from matrixfleet.model.workers import Named, Stateless, Stream, WorkerResources
from matrixfleet.plan import backup

GENERIC_WORKER = "synapse.app.generic_worker"
# Connections beside Synapse's: PostgreSQL's own superuser_reserved_connections (3; the reconciler is one), the
# exporter, the Job that sets a password, and room for a person with psql and a dump of one's own.
RESERVED_CONNECTIONS = 3 + 3 + 1 + 4


class Kind(Enum):
    """How a process may be replicated."""

    MAIN = "main"
    """Once."""
    NAMED = "named"
    """By stable names, which others know."""
    STATELESS = "stateless"
    """By any number."""


@dataclass(frozen=True, slots=True)
class Process:
    """A Synapse process, or a pool of equal ones."""

    component: str
    """Names its objects: synapse (main), generic, federation-sender, ..."""
    kind: Kind
    app: str
    """Synapse's module that runs it."""
    count: int
    """How many there are while the tenant runs; with autoscaling the least."""
    most: int
    """The most there may be."""
    replicas: int
    """How many are wanted now: none while the tenant is stopped."""
    connections: int
    """`cp_max`: what each may open."""
    resources: Resources | WorkerResources
    serves: bool
    """Whether requests are routed to it."""
    streams: tuple[str, ...] = ()
    """Streams that it writes, in Synapse's words: it listens for replication then."""
    autoscale_cpu: int | None = None
    """Percent of requested CPU that an autoscaler aims at."""
    internet: bool = False
    """Whether it opens connections to the Internet."""
    federates: bool = False
    """Whether it asks other servers, and nobody else on the Internet."""

    @property
    def surge(self) -> int:
        """How many more there are during a rollout: a Deployment starts one before another ends, StatefulSets and main
        replace."""
        return 1 if self.kind is Kind.STATELESS else 0

    @property
    def called(self) -> str:
        """For people."""
        return "main" if self.kind is Kind.MAIN else self.component

    @property
    def replicates(self) -> bool:
        """Whether other processes connect to it."""
        return self.kind is Kind.MAIN or bool(self.streams)


@dataclass(frozen=True, slots=True)
class ConnectionBudget:
    """Connections to PostgreSQL: what may be opened against what there is."""

    parts: tuple[tuple[str, int], ...]
    """Who may open how many."""
    limit: int
    """`max_connections`."""

    @property
    def synapse(self) -> int:
        """What Synapse may open."""
        return sum(count for name, count in self.parts if name != "reserved")

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(count for _, count in self.parts)


def processes_of(tenant: Tenant) -> tuple[Process, ...]:
    """The processes, main first; every one at nothing while the tenant is stopped."""
    running = tenant.state is State.RUNNING
    connections = tenant.synapse.connection_pool.max
    workers = tenant.workers

    def pool(
        component: str,
        spec: Named | Stateless,
        *,
        serves: bool = False,
        internet: bool = False,
        federates: bool = False,
        streams: tuple[str, ...] = (),
    ) -> Process:
        scale = spec.autoscale
        return Process(
            component,
            Kind.STATELESS if isinstance(spec, Stateless) else Kind.NAMED,
            GENERIC_WORKER,
            spec.replicas,
            scale.max_replicas if scale else spec.replicas,
            spec.replicas if running else 0,
            connections,
            spec.resources,
            serves,
            streams,
            scale.cpu_percent if scale else None,
            internet,
            federates,
        )

    main = Process(
        component="synapse",
        kind=Kind.MAIN,
        app="synapse.app.homeserver",
        count=1,
        most=1,
        replicas=1 if running else 0,
        connections=connections,
        resources=tenant.synapse.resources,
        serves=True,
        internet=True,
    )
    pools = [
        # A join, an invite or a key query is a request to another server, made by whoever serves it.
        pool("generic", workers.generic, serves=True, internet=True),
        pool("client-reader", workers.client_reader, serves=True, internet=True),
        pool("federation-reader", workers.federation_reader, serves=True, internet=True),
        # Before it writes an invitation, it has the guest's server sign it (handlers/message.py).
        pool("event-persister", workers.event_persister, federates=True, streams=("events",)),
        *(
            pool(
                f"writer-{name}",
                Named(resources=writer.resources),
                serves=True,
                # Who writes device lists asks other servers for those of their people (handlers/device.py).
                federates=Stream.DEVICE_LISTS in writer.streams,
                streams=tuple(stream.value for stream in writer.streams),
            )
            for name, writer in sorted(workers.stream_writers.items())
        ),
        pool("federation-sender", workers.federation_sender, internet=True),
        pool("pusher", workers.pusher, internet=True),
        # Who quarantines media writes that down, and only who has media quarantines.
        pool(
            "media-repository",
            workers.media_repository,
            serves=True,
            internet=True,
            streams=("quarantined_media_changes",),
        ),
        pool("background", workers.background, internet=True),
    ]
    return (main, *(one for one in pools if one.count or one.autoscale_cpu))


def budget_of(tenant: Tenant, processes: tuple[Process, ...]) -> ConnectionBudget:
    """The connection budget. Raises Refused when it does not fit: Synapse does not fail on a database
    that is full, it stalls while its health endpoint goes on answering 200."""
    parts = [(process.called, (process.most + process.surge) * process.connections) for process in processes]
    if tenant.backup.kind is not Backup.NONE:
        parts.append(("backups", backup.CONNECTIONS))
    budget = ConnectionBudget((*parts, ("reserved", RESERVED_CONNECTIONS)), tenant.database.max_connections)
    if budget.total > budget.limit:
        told = " + ".join(f"{name} {count}" for name, count in budget.parts)
        raise Refused(
            ("matrix", "database", "max_connections"),
            f"expected {budget.total} or more ({told}), got {budget.limit};"
            " raise it, or lower synapse.connection_pool.max",
        )
    return budget
