"""`matrix-fleet status`: one line a tenant of a cluster, from its Prometheus, and from its API server
where kubectl has one."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matrixfleet.cli.table import table
from matrixfleet.errors import Fault, FleetError, did_you_mean
from matrixfleet.kubernetes.objects import PART_OF
from matrixfleet.model import Fleet
from matrixfleet.model.choices import State
from matrixfleet.model.types import bytes_of

INSTANCE = "app.kubernetes.io/instance"
OUR_OWN = f"app.kubernetes.io/part-of={PART_OF}"
# Each answers with the label `tenant`, and perhaps one more.
QUERIES = {
    "up": 'sum by (tenant) (up{job!="probe"})',
    "targets": 'count by (tenant) (up{job!="probe"})',
    "version": "count by (tenant, version) (synapse_build_info)",
    "alerts": 'count by (tenant, alertname) (ALERTS{alertstate="firing", severity="critical"})',
    "database": 'max by (tenant) (pg_database_size_bytes{datname!~"template.+|postgres"})',
    "archived": (
        "max by (tenant) (pg_stat_archiver_last_archive_age"
        " or (cnpg_pg_stat_archiver_seconds_since_last_archival and cnpg_pg_stat_archiver_archived_count > 0))"
    ),
    # kube-state-metrics knows no tenant: a CronJob's name begins with it.
    "dumped": (
        "time() - max by (tenant) (label_replace("
        'kube_cronjob_status_last_successful_time{cronjob=~".+-dump"}, "tenant", "$1", "cronjob", "(.+)-dump"))'
    ),
    "certificate": "min by (tenant) (probe_ssl_earliest_cert_expiry) - time()",
}
ASKED = 10
"""Seconds that Prometheus may take for an answer."""


@dataclass(frozen=True)
class Status:
    """How one tenant is. None where nobody knows."""

    tenant: str
    health: str
    """`well`, `stopped`, `unseen`, or what is wrong."""
    version: str | None
    """Of Synapse; several while a rollout goes on."""
    pods_ready: int | None
    pods: int | None
    """As the API server knows them."""
    database_bytes: int | None
    database_limit: int | None
    """The size of its volume; None where the server is not the tenant's own."""
    backup_age: float | None
    """Seconds since what could be restored: the last archived segment of the database's log, or the last dump."""
    certificate_days: float | None
    """Until the first of the certificates that are served ends."""


def status_of(top: Path, cluster: str, prometheus: str, context: str = "") -> list[Status]:
    """Every tenant of a cluster. Raises FleetError for a cluster that there is not, and where nobody answers."""
    fleet = Fleet.read(top / "inventory")
    clusters = sorted({name.rpartition(".")[0] for name in fleet.names})
    if cluster not in clusters:
        raise FleetError(
            [Fault("inventory/targets", 0, "", f"no cluster {cluster!r}{did_you_mean(cluster, clusters)}")]
        )
    found = {name: asked(prometheus, query) for name, query in QUERIES.items()}
    pods = pods_of(context) if context or os.environ.get("KUBECONFIG") else None
    names = [name for name in fleet.names if name.rpartition(".")[0] == cluster]
    return [one_of(fleet, name, found, pods) for name in names if fleet.target(name).tenant]


def one_of(
    fleet: Fleet, name: str, found: Mapping[str, list[Any]], pods: Mapping[str, tuple[int, int]] | None
) -> Status:
    """One tenant, of what was answered."""
    short = name.rpartition(".")[2]
    tenant = fleet.target(name).tenant
    assert tenant is not None

    def number(key: str) -> float | None:
        values = [float(one["value"][1]) for one in found[key] if one["metric"].get("tenant") == short]
        return values[0] if values else None

    def words(key: str, label: str) -> list[str]:
        return sorted(one["metric"][label] for one in found[key] if one["metric"].get("tenant") == short)

    up, targets, seconds = number("up"), number("targets"), number("certificate")
    ages = [age for age in (number("archived"), number("dumped")) if age is not None]
    alerts, database = words("alerts", "alertname"), number("database")
    ready, count = (pods or {}).get(short, (None, None))
    if tenant.follows(fleet.target(name).cluster.name):
        health = f"standby of {tenant.active}"
    elif tenant.state is State.STOPPED:
        health = "stopped"
    elif targets is None:
        health = "unseen"
    elif alerts:
        health = ", ".join(alerts)
    else:
        health = "well" if up == targets else f"{targets - (up or 0):.0f} of {targets:.0f} targets down"
    own = tenant.database.kind in ("statefulset", "cnpg")
    return Status(
        tenant=short,
        health=health,
        version=" and ".join(words("version", "version")) or None,
        pods_ready=ready,
        pods=count,
        database_bytes=None if database is None else int(database),
        database_limit=bytes_of(tenant.database.storage) if own else None,
        backup_age=min(ages, default=None),
        certificate_days=None if seconds is None else round(seconds / 86400, 1),
    )


def asked(prometheus: str, query: str) -> list[Any]:
    """What Prometheus answers now. Raises FleetError where it does not."""
    address = f"{prometheus.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query, 'time': time.time()})}"
    try:
        with urllib.request.urlopen(address, timeout=ASKED) as answer:
            return list(json.load(answer)["data"]["result"])
    except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
        message = f"expected Prometheus's API below {prometheus}, got {error}; is kubectl port-forward running?"
        raise FleetError([Fault("", 0, "--prometheus", message)]) from error


def pods_of(context: str) -> dict[str, tuple[int, int]]:
    """How many Pods of each target are ready, and how many there are. Raises FleetError where kubectl fails."""
    command = ["kubectl", *(["--context", context] if context else [])]
    command += ["get", "pods", "-A", "-l", OUR_OWN, "-o", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        told = str(getattr(error, "stderr", "") or error).strip()
        raise FleetError([Fault("", 0, "kubectl", told)]) from error
    found: dict[str, tuple[int, int]] = {}
    for pod in json.loads(done.stdout)["items"]:
        # What ran to its end is no Pod that should be ready.
        if pod["status"].get("phase") != "Succeeded":
            owner = pod["metadata"]["labels"].get(INSTANCE, "")
            conditions = pod["status"].get("conditions", [])
            ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
            before = found.get(owner, (0, 0))
            found[owner] = before[0] + ready, before[1] + 1
    return found


def as_json(found: list[Status]) -> str:
    """For programs."""
    return json.dumps([asdict(one) for one in found], indent=2)


def age_of(seconds: float | None) -> str:
    """An age for people, in minutes below two hours."""
    if seconds is None:
        return "-"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def as_table(found: list[Status]) -> str:
    """For people: a line each, - where nobody knows."""
    rows = [("TENANT", "HEALTH", "VERSION", "PODS", "DATABASE", "BACKUP", "CERTIFICATE")]
    for one in found:
        size = "-" if one.database_bytes is None else f"{one.database_bytes / 1024**3:.1f}Gi"
        limit = "" if one.database_limit is None else f" of {one.database_limit / 1024**3:.0f}Gi"
        rows.append(
            (
                one.tenant,
                one.health,
                one.version or "-",
                "-" if one.pods is None else f"{one.pods_ready}/{one.pods}",
                size + limit,
                age_of(one.backup_age),
                "-" if one.certificate_days is None else f"{one.certificate_days:.0f} days",
            )
        )
    return table(rows)
