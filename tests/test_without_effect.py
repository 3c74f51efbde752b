"""Keys that are valid and change nothing are told; the same keys where they do something are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleets import Repository
from matrixfleet.cli.compile import read_fleet
from matrixfleet.model import Fleet
from matrixfleet.plan.warnings import warnings_of

EU1, US1 = "inventory/classes/cluster/eu1.yml", "inventory/classes/cluster/us1.yml"
CHESS, PROD, HA = (f"inventory/targets/eu1/{name}.yml" for name in ("chess-club", "matrix-prod", "matrix-ha"))
RESEARCH, TENANT = "inventory/targets/us1/research.yml", "inventory/targets/ap1/tenant-a.yml"
BARE = "  - feature.calls\nparameters:\n  matrix:\n"
BACKED = BARE.replace("parameters", "  - feature.backups\nparameters")
CASES: dict[str, tuple[str, str, str, str]] = {
    "alerts where nothing is scraped by an operator": (
        RESEARCH,
        "    auth:\n",
        "    alerts: {email: [ops@example.com]}\n    auth:\n",
        "matrix.alerts",
    ),
    "alerts of a platform without the operator": (
        "inventory/targets/us1/platform.yml",
        "  - release.stable\n",
        "  - release.stable\nparameters:\n  platform: {alerts: {email: [ops@example.com]}}\n",
        "platform.alerts",
    ),
    "a relay's name without a relay": (
        CHESS,
        "    hosts:\n",
        "    hosts:\n      turn: turn.chess.example.org\n",
        "matrix.hosts.turn",
    ),
    "ports of no relay": (CHESS, "    element:\n", "    turn: {port: 3480}\n    element:\n", "matrix.turn.port"),
    "Element Web's without Element Web": (
        RESEARCH,
        "    auth:\n",
        "    element: {replicas: 2}\n    auth:\n",
        "matrix.element",
    ),
    "Redis without workers": (CHESS, "    element:\n", "    redis: {password: 2}\n    element:\n", "matrix.redis"),
    "senders of a closed server": (
        HA,
        "  - feature.backups\n",
        "  - feature.backups\n  - feature.closed-federation\n",
        "matrix.workers.federation_sender",
    ),
    "resources of no worker": (
        CHESS,
        "    element:\n",
        "    workers: {pusher: {replicas: 0, resources: {memory: 2Gi}}}\n    element:\n",
        "matrix.workers.pusher.resources",
    ),
    "a cache of a volume": (CHESS, "    element:\n", "    media: {cache: 4Gi}\n    element:\n", "matrix.media.cache"),
    "a volume of a server elsewhere": (
        TENANT,
        "    size: small\n",
        "    size: small\n    database: {storage: 50Gi}\n",
        "matrix.database.storage",
    ),
    "a generation of no password": (
        CHESS,
        "    element:\n",
        "    email: {host: mail.example.net, sender: a@example.org, generation: 2}\n    element:\n",
        "matrix.email.generation",
    ),
    "an archive's days of dumps": (
        PROD,
        BARE,
        f"{BACKED}    backup: {{kind: dumps, keep: {{archive: 20}}}}\n",
        "matrix.backup.keep.archive",
    ),
    "checksums of a bucket of keys": (
        HA,
        "{bucket: {bucket: matrix-backups-group}}",
        "{bucket: {bucket: matrix-backups-group}, second: {checksums: when_supported}}",
        "matrix.backup.second.checksums",
    ),
    "a worker of a closed server that scales itself": (
        HA,
        "  matrix:\n",
        "  matrix:\n    synapse: {federation: {enabled: false}}\n"
        "    workers: {federation_reader: {replicas: 0, autoscale: {max_replicas: 2}}}\n",
        "matrix.workers.federation_reader",
    ),
    "labels for an operator that is not there": (
        US1,
        "    metrics: annotations\n",
        "    metrics: annotations\n    monitoring: {labels: {a: b}}\n",
        "cluster.monitoring",
    ),
    "an entry point of no port": (
        EU1,
        "      class_name: traefik\n",
        "      class_name: traefik\n      federation_entrypoint: fed\n",
        "cluster.edge.federation_entrypoint",
    ),
    "limits of an agent that is not there": (
        US1,
        "    metrics: annotations\n",
        "    metrics: annotations\n    logs: {lines_per_second: 5}\n",
        "cluster.logs.lines_per_second",
    ),
    "a share of nothing": (EU1, "    owners:", "    tracing: {share: 0.5}\n    owners:", "cluster.tracing.share"),
    "a path in no store": (EU1, "    owners:", "    secrets: {path: mine}\n    owners:", "cluster.secrets.path"),
    "parameters of a class that the cluster has": (
        US1,
        "      media: {name: gp3}\n",
        "      media: {name: gp3, parameters: {type: gp3}}\n",
        "cluster.storage.media.parameters",
    ),
}


def told(fleet: Fleet) -> set[str]:
    return {fault.key for fault in warnings_of(fleet) if "has no effect" in fault.message}


@pytest.mark.parametrize("kind", CASES)
def test_a_key_without_effect_is_told(kind: str, tmp_path: Path) -> None:
    path, old, new, key = CASES[kind]
    repository = Repository(tmp_path)
    repository.edit(path, old, new)
    found = [fault for fault in warnings_of(read_fleet(tmp_path)) if fault.key == key]
    assert found and "has no effect, since " in found[0].message and found[0].line > 1, found


def test_the_reference_fleet_has_none_of_them(fleet: Fleet) -> None:
    assert told(fleet) == set()


@pytest.mark.parametrize(("archiver", "reads"), [("wal-g", True), ("pgbackrest", False)])
def test_checksums_are_told_where_the_archiver_has_none(archiver: str, reads: bool, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    said = f"    backup: {{archiver: {archiver}, bucket: {{checksums: when_supported}}}}\n"
    repository.edit(PROD, BARE, BACKED + said)
    assert ("matrix.backup.bucket.checksums" not in told(read_fleet(tmp_path))) is reads
