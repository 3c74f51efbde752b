"""Settings of a PostgreSQL, derived from its memory."""

from __future__ import annotations

from matrixfleet.model.database import Server
from matrixfleet.model.types import bytes_of

_MIB = 1024**2


ROLE_KEEPER = "role_keeper"
"""The role that sets passwords; the name in its certificate."""


def settings_of(database: Server) -> dict[str, str]:
    """postgresql.conf by name.

    Shares of memory follow PostgreSQL's own advice (docs, 19.4 Resource Consumption): a quarter for
    shared_buffers; work_mem so small that every connection may use it twice and the rest still fits.
    """
    memory = bytes_of(database.resources.memory) // _MIB
    work = max(4, memory // 4 // database.max_connections // 2)
    wal = min(8192, max(1024, bytes_of(database.storage) // _MIB // 20))
    return {
        "shared_buffers": f"{memory // 4}MB",
        "effective_cache_size": f"{memory * 6 // 10}MB",
        "work_mem": f"{work}MB",
        "maintenance_work_mem": f"{min(1024, max(64, memory // 16))}MB",
        "max_connections": str(database.max_connections),
        "max_wal_size": f"{wal}MB",
        "min_wal_size": f"{wal // 4}MB",
        "checkpoint_completion_target": "0.9",
        # Volumes are network disks or SSDs: a random page costs little more than the next one.
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
        # Huge pages that a Pod did not ask for are there to map and not to use: the kernel kills who touches them.
        # docs, 19.4: `try` is the default and cannot see it (docker-library/postgres#451).
        "huge_pages": "off",
        # Synapse's queries are short; what a plan of theirs is thought to cost is not (docs, 32.1): compiling it takes
        # longer than running it.
        "jit": "off",
        "wal_compression": "on",
        "password_encryption": "scram-sha-256",
        "idle_in_transaction_session_timeout": "30min",
        "log_min_duration_statement": "5s",
        "log_checkpoints": "on",
        "log_lock_waits": "on",
    }
