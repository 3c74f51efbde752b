"""The Synapse processes of a tenant. There is exactly one main process, whatever the pattern: two of
them on one database corrupt it, since each believes itself the only writer of every stream."""

from __future__ import annotations

from dataclasses import dataclass

from matrixfleet.errors import Refused
from matrixfleet.model import Resources, Tenant
from matrixfleet.model.choices import State

# Connections beside Synapse's: PostgreSQL's own superuser_reserved_connections (3; the reconciler is one), the
# Job that sets a password, and room for a person with psql and a dump.
RESERVED_CONNECTIONS = 3 + 1 + 4


@dataclass(frozen=True, slots=True)
class Process:
    """A Synapse process, or a pool of equal ones."""

    name: str
    """main, or the worker's name."""
    component: str
    """The component that names its objects."""
    app: str
    """Synapse's module that runs it."""
    replicas: int
    connections: int
    """`cp_max`: what each replica may open."""
    resources: Resources


@dataclass(frozen=True, slots=True)
class ConnectionBudget:
    """Connections to PostgreSQL: what may be opened against what there is."""

    parts: tuple[tuple[str, int], ...]
    """Who may open how many."""
    limit: int
    """`max_connections`."""

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(count for _, count in self.parts)


def processes_of(tenant: Tenant) -> tuple[Process, ...]:
    """The processes; every one at nothing while the tenant is stopped."""
    running = tenant.state is State.RUNNING
    main = Process(
        "main",
        "synapse",
        "synapse.app.homeserver",
        1 if running else 0,
        tenant.synapse.connection_pool.max,
        tenant.synapse.resources,
    )
    return (main,)


def budget_of(tenant: Tenant, processes: tuple[Process, ...]) -> ConnectionBudget:
    """The connection budget. Raises Refused when it does not fit: Synapse does not fail on a database
    that is full, it stalls while its health endpoint goes on answering 200."""
    parts = [(process.name, max(process.replicas, 1) * process.connections) for process in processes]
    budget = ConnectionBudget((*parts, ("reserved", RESERVED_CONNECTIONS)), tenant.database.max_connections)
    if budget.total > budget.limit:
        told = " + ".join(f"{name} {count}" for name, count in budget.parts)
        raise Refused(
            ("matrix", "database", "max_connections"),
            f"expected {budget.total} or more ({told}), got {budget.limit};"
            " raise it, or lower synapse.connection_pool.max",
        )
    return budget
