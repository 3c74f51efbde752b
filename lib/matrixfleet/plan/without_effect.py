"""Keys that are valid and change nothing: what somebody set, and why it has no effect."""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.errors import Fault
from matrixfleet.inventory.source import Key
from matrixfleet.model import Cluster, Fleet, Tenant
from matrixfleet.model.choices import Archiver, Backup, Database, Logs, Media, Metrics, Secrets, Tracing, Turn
from matrixfleet.model.cluster import StorageClassSpec
from matrixfleet.model.fleet import Platform
from matrixfleet.plan.backup import archived_by_operator, archives

Found = tuple[Key, str]


def without_effect(fleet: Fleet, name: str) -> Iterator[Fault]:
    """A warning for each such key of a target that its file or a class sets; sizes set more than one tenant needs."""
    target = fleet.target(name)
    if target.namespace:
        return
    if target.tenant:
        found = _of_tenant(target.tenant, target.cluster)
    else:
        found = _of_platform(target.platform, target.cluster)
    for key, why in found:
        places = fleet.source.said(name, key)
        if places and places[-1].sets:
            yield Fault(places[-1].file, places[-1].line, ".".join(map(str, key)), f"has no effect, since {why}")


def _of_tenant(tenant: Tenant, cluster: Cluster) -> Iterator[Found]:
    matrix = ("matrix",)
    if cluster.metrics is not Metrics.PROMETHEUS_OPERATOR:
        if tenant.alerts:
            yield (*matrix, "alerts"), f"cluster.metrics is {cluster.metrics}"
        if tenant.probes.canary:
            yield (*matrix, "probes", "canary"), f"cluster.metrics is {cluster.metrics}: nobody is told when it fails"
    if tenant.hosts.turn and tenant.turn.kind not in (Turn.DAEMONSET, Turn.DEPLOYMENT):
        yield (*matrix, "hosts", "turn"), f"turn.kind is {tenant.turn.kind}"
    if tenant.turn.kind is Turn.NONE:
        for key in sorted(tenant.turn.model_fields_set - {"kind"}):
            yield (*matrix, "turn", key), "turn.kind is none"
    if not tenant.hosts.element:
        yield (*matrix, "element"), "hosts.element is not set"
    if not tenant.workers.any:
        yield (*matrix, "redis"), "there are no workers"
    if not tenant.synapse.federation.enabled:
        for key in ("federation_sender", "federation_reader"):
            pool = getattr(tenant.workers, key)
            if pool.replicas or pool.autoscale:
                yield (*matrix, "workers", key), "synapse.federation.enabled is false: set replicas: 0"
    for key in tenant.workers.model_fields_set - {"stream_writers"}:
        pool = getattr(tenant.workers, key)
        if not (pool.replicas or pool.autoscale):
            yield (*matrix, "workers", key, "resources"), f"workers.{key}.replicas is 0"
    unused = {Media.PVC: "cache", Media.S3: "storage"}[tenant.media.kind]
    yield (*matrix, "media", unused), f"media.kind is {tenant.media.kind}"
    if tenant.database.kind in (Database.EXTERNAL, Database.SHARED):
        for key in ("storage", "resources"):
            yield (*matrix, "database", key), f"database.kind is {tenant.database.kind}"

    if tenant.email and not tenant.email.user:
        yield (*matrix, "email", "generation"), "email.user is not set"
    if tenant.backup.kind is Backup.DUMPS:
        yield (*matrix, "backup", "keep", "archive"), "backup.kind is dumps"
        yield (*matrix, "backup", "archiver"), "backup.kind is dumps"
    by_wal_g = archives(tenant) and tenant.backup.archiver is Archiver.WAL_G
    if not (archived_by_operator(tenant) or by_wal_g):
        yield (*matrix, "backup", "bucket", "checksums"), "neither Barman Cloud nor WAL-G archives to it"
    yield (*matrix, "backup", "second", "checksums"), "neither Barman Cloud nor WAL-G archives to it"
    for index, module in enumerate(tenant.modules):
        if not module.secrets:
            yield (*matrix, "modules", index, "generation"), "modules.secrets is not set"


def _of_platform(platform: Platform, cluster: Cluster) -> Iterator[Found]:
    if platform.alerts and cluster.metrics is not Metrics.PROMETHEUS_OPERATOR:
        yield ("platform", "alerts"), f"cluster.metrics is {cluster.metrics}"
    if cluster.metrics is Metrics.NONE:
        yield ("cluster", "network", "monitoring"), "cluster.metrics is none"
    if cluster.metrics is not Metrics.PROMETHEUS_OPERATOR:
        yield ("cluster", "monitoring"), f"cluster.metrics is {cluster.metrics}"
    if not cluster.edge.federation_on_8448:
        yield ("cluster", "edge", "federation_entrypoint"), "edge.federation_on_8448 is false"
    if cluster.logs.kind is Logs.STDOUT:
        for key in ("lines_per_second", "resources"):
            yield ("cluster", "logs", key), "logs.kind is stdout"
    if cluster.tracing.kind is Tracing.NONE:
        yield ("cluster", "tracing", "share"), "tracing.kind is none"
    if cluster.secrets.kind is Secrets.KUBERNETES:
        yield ("cluster", "secrets", "path"), "secrets.kind is kubernetes"
    for key, storage in cluster.storage:
        if isinstance(storage, StorageClassSpec) and storage.parameters and not storage.provisioner:
            yield ("cluster", "storage", key, "parameters"), "there is no provisioner: the cluster has this class"
