"""Every alert has a runbook, asks for metrics that exist, fires when it should and is silent when it should be."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.model.choices import Database

RULES = TOP / "components/alerts/rules.yml"
RUNBOOKS = TOP / "docs/runbooks"
SEEN = TOP / "tests/metrics"
"""Names of metrics as the running programs showed them, a file each: Synapse 1.163.2, postgres_exporter and
redis_exporter of Debian 12, HAProxy 2.6 under a compiled configuration. Their Go runtime's are left out."""
# As their documentation names them: Coturn (src/apps/relay/prom_server.c), CloudNativePG
# (config/manager/default-monitoring.yaml), cert-manager
# (docs/devops-tips/prometheus-metrics), the kubelet (volume statistics), Prometheus.
DOCUMENTED = {
    *("stun_binding_request", "stun_binding_response", "stun_binding_error", "turn_total_allocations"),
    *("turn_total_traffic_rcvb", "turn_total_traffic_sentb"),
    *("turn_total_traffic_peer_rcvb", "turn_total_traffic_peer_sentb"),
    *("cnpg_collector_up", "cnpg_pg_replication_lag", "cnpg_pg_replication_streaming_replicas"),
    *(
        "cnpg_pg_replication_in_recovery",
        "cnpg_pg_settings_setting",
        "cnpg_backends_total",
        "cnpg_backends_waiting_total",
    ),
    *("cnpg_backends_max_tx_duration_seconds", "cnpg_pg_database_size_bytes"),
    *(f"cnpg_pg_stat_database_{name}" for name in ("xact_commit", "xact_rollback", "blks_hit", "blks_read")),
    *("cnpg_pg_stat_database_temp_bytes", "cnpg_pg_stat_database_deadlocks"),
    # docs/src/connection_pooling.md; pgbouncer_exporter (README).
    *("cnpg_pgbouncer_last_collection_error", "cnpg_pgbouncer_pools_cl_waiting"),
    "pgbouncer_pools_client_waiting_connections",
    # config/manager/default-monitoring.yaml; the plugin's internal/cnpgi/instance/metrics.go.
    *("cnpg_pg_stat_archiver_seconds_since_last_archival", "cnpg_pg_stat_archiver_failed_count"),
    "cnpg_pg_stat_archiver_archived_count",
    "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp",
    "certmanager_certificate_expiration_timestamp_seconds",
    *("kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"),
    # kube-state-metrics (docs/metrics/workload/cronjob-metrics.md).
    *("kube_cronjob_status_last_successful_time", "kube_cronjob_created", "kube_cronjob_spec_suspend"),
    *("kube_cronjob_status_last_schedule_time", "kube_cronjob_next_schedule_time"),
    # docs/metrics/workload/pod-metrics.md, docs/metrics/cluster/node-metrics.md.
    *("kube_pod_info", "kube_node_status_condition"),
    "up",
    # pgbouncer_exporter (README), nginx-prometheus-exporter (README).
    *("pgbouncer_up", "nginx_up"),
    # blackbox_exporter (README, prober/http.go).
    *("probe_success", "probe_duration_seconds", "probe_ssl_earliest_cert_expiry"),
    # Vector (reference/configuration/sources/internal_metrics).
    *("vector_component_errors_total", "vector_component_discarded_events_total"),
    "vector_component_received_events_total",
    # kube-state-metrics (docs/metrics/workload/pod-metrics.md).
    "kube_pod_info",
}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


class Case(NamedTuple):
    """Series in promtool's notation, a value a minute, with which an alert fires or not."""

    fires: dict[str, str]
    silent: dict[str, str]
    minutes: int = 30
    every: str = "1m"
    """How often values come, and rules are evaluated."""


T = 'tenant="t"'
WORKER = f'{T}, server_name="example.org", job="generic", index="0"'
ROUTER = f'{T}, job="router"'
SERVING = 'up{tenant="t2", job="router", namespace="t", pod="t-router-x"}'
RECEIVED, SOURCE = "vector_component_received_events_total", 'component_id="pods"'
AGENT = f'{T}, job="logs", index="platform-logs-x"'


def responses(errors: str, good: str, served: str = "0x1000", synapse: dict[str, str] | None = None) -> dict[str, str]:
    """What the router counts: errors, and those among them that came from Synapse; and what Synapse counts by code."""
    frontend = f'haproxy_frontend_http_responses_total{{{ROUTER}, proxy="matrix", code='
    server = f'haproxy_server_http_responses_total{{{ROUTER}, proxy="main", server="main", code="5xx"}}'
    own = {
        f'synapse_http_server_responses_total{{{T}, job="synapse", method="GET", code="{code}"}}': values
        for code, values in (synapse or {}).items()
    }
    return {frontend + '"5xx"}': errors, frontend + '"2xx"}': good, server: served, **own}


def by_weight(night: str, day: str) -> dict[str, str]:
    """Two hours of a request a minute, and then a busy one: errors, and everything."""
    frontend = f'haproxy_frontend_http_responses_total{{{ROUTER}, proxy="matrix", code='
    return {
        f'haproxy_server_http_responses_total{{{ROUTER}, proxy="main", code="5xx"}}': "0x400",
        frontend + '"5xx"}': night,
        frontend + '"2xx"}': day,
    }


def share(metric: str, labels: str, bound: str, within: str, every: str) -> dict[str, str]:
    """A histogram of which only one bound matters."""
    return {f'{metric}_bucket{{{labels}, le="{bound}"}}': within, f"{metric}_count{{{labels}}}": every}


def after_quiet(each: int) -> str:
    """So many a minute after a quiet hour: where nobody asked there is no share, which would hide those that follow."""
    return f"0x60 {each}+{each}x140"


def histogram(metric: str, labels: str, bounds: dict[str, str]) -> dict[str, str]:
    return {f'{metric}_bucket{{{labels}, le="{bound}"}}': values for bound, values in bounds.items()}


SEND = ("synapse_http_server_response_time_seconds", f'{T}, servlet="RoomSendEventRestServlet"', "1.0")
SYNC = (
    "synapse_http_server_response_time_seconds",
    f'{T}, servlet="SyncRestServlet", tag="sync_v2:initial_sync"',
    "10.0",
)
LATE = ("synapse_event_processing_lag_by_event", f'{T}, name="federation_sender"', "10.0")
SLOW = {"0.1": "0x200", "5.0": "0+100x200", "+Inf": "0+100x200"}
QUICK = {"0.1": "0+100x200", "5.0": "0+100x200", "+Inf": "0+100x200"}


def behind(name: str, positions: str) -> dict[str, str]:
    return {
        f"synapse_event_persisted_position{{{T}}}": "10000x60",
        f'synapse_event_processing_positions{{{T}, name="{name}"}}': positions,
    }


def pushes(failed: str) -> dict[str, str]:
    return {
        f"synapse_http_httppusher_http_pushes_failed_total{{{T}}}": failed,
        f"synapse_http_httppusher_http_pushes_processed_total{{{T}}}": "0+10x60",
    }


def success(check: str) -> str:
    return f'probe_success{{{T}, check="{check}", instance="https://h/{check}"}}'


def claim(left: str) -> dict[str, str]:
    labels = 'namespace="t", persistentvolumeclaim="data-t-postgresql-0"'
    return {
        f"kubelet_volume_stats_available_bytes{{{labels}}}": left,
        f"kubelet_volume_stats_capacity_bytes{{{labels}}}": "100x60",
    }


UP = {f"up{{{ROUTER}}}": "1x60", f'up{{{T}, job="synapse"}}': "1x60"}


def lost_node(ready: str) -> dict[str, str]:
    return {
        'kube_pod_info{namespace="t", pod="t-synapse-x", node="n", created_by_kind="ReplicaSet"}': "1x30",
        'kube_pod_info{namespace="x", pod="x", node="other", created_by_kind="ReplicaSet"}': "1x30",
        'kube_node_status_condition{node="n", condition="Ready", status="true"}': ready,
        f'up{{namespace="t", pod="t-synapse-x", {ROUTER}}}': "1x30",
    }


def succeeded(name: str, times: str) -> dict[str, str]:
    return {
        f'kube_cronjob_status_last_successful_time{{namespace="t", cronjob="t-{name}"}}': times,
        f'kube_cronjob_created{{namespace="t", cronjob="t-{name}"}}': "0x300",
    }


CASES = {
    "MatrixErrorsBurnFast": Case(responses("0+5x200", "0+95x200"), responses("0x200", "0+95x200"), 100),
    "MatrixErrorsBurnSlow": Case(responses("0+1x500", "0+99x500"), responses("0x500", "0+99x500"), 400),
    # After a quiet hour: where nobody asked there is no share, and not one that hides the others for an hour.
    "MatrixSendsSlow": Case(
        share(*SEND, "0x60 80+80x100", "0x60 100+100x100"), share(*SEND, "0+100x200", "0+100x200"), 100
    ),
    "MatrixInitialSyncsSlow": Case(
        share(*SYNC, "0x80 50+50x100", "0x80 100+100x100"), share(*SYNC, "0+99x200", "0+100x200"), 120
    ),
    "MatrixFederationLate": Case(
        share(*LATE, "0x80 50+50x100", "0x80 100+100x100"), share(*LATE, "0+100x200", "0+100x200"), 120
    ),
    "SynapseMainDown": Case({**UP, f'up{{{T}, job="synapse"}}': "1x5 0x60"}, UP),
    "SynapseWorkerDown": Case({f"up{{{WORKER}}}": "1x5 0x60"}, {f'up{{{WORKER}, stopped="true"}}': "0x60"}),
    "SynapseRestartsOften": Case(
        {f"process_start_time_seconds{{{WORKER}}}": "100x10 700x10 1300x10 1900x10 2500x60"},
        {f"process_start_time_seconds{{{WORKER}}}": "100x10 700x60"},
        50,
    ),
    "SynapseEventLoopSlow": Case(
        histogram("python_twisted_reactor_tick_time", WORKER, SLOW),
        histogram("python_twisted_reactor_tick_time", WORKER, QUICK),
    ),
    "SynapseProcessSaturated": Case(
        {f"process_cpu_seconds_total{{{WORKER}}}": "0+59x60"}, {f"process_cpu_seconds_total{{{WORKER}}}": "0+20x60"}, 40
    ),
    "SynapseWaitsForConnections": Case(
        histogram("synapse_storage_schedule_time", WORKER, SLOW),
        histogram("synapse_storage_schedule_time", WORKER, QUICK),
    ),
    "SynapseQueriesSlow": Case(
        histogram("synapse_storage_query_time", WORKER, SLOW),
        histogram("synapse_storage_query_time", WORKER, QUICK),
        40,
    ),
    "SynapseFederationStuck": Case(behind("federation_sender", "8000x60"), behind("federation_sender", "9990x60")),
    "SynapseAppServicesStuck": Case(behind("appservice_sender", "8000x60"), behind("appservice_sender", "9990x60")),
    "SynapsePushesFail": Case(pushes("0+90x60"), pushes("0+1x60"), 50),
    "SynapseVersionsDiffer": Case(
        {
            f'synapse_build_info{{{T}, job="a", version="1"}}': "1x90",
            f'synapse_build_info{{{T}, job="b", version="2"}}': "1x90",
        },
        {
            f'synapse_build_info{{{T}, job="a", version="1"}}': "1x90",
            f'synapse_build_info{{{T}, job="b", version="1"}}': "1x90",
        },
        80,
    ),
    "RouterDown": Case({**UP, f"up{{{ROUTER}}}": "1x5 0x60"}, UP),
    "RouterBackendEmpty": Case(
        {f'haproxy_backend_active_servers{{{ROUTER}, proxy="sync"}}': "3x5 0x60"},
        {f'haproxy_backend_active_servers{{{ROUTER}, proxy="sync"}}': "3x5 1x60"},
    ),
    "PostgresqlDown": Case({f"pg_up{{{T}}}": "1x5 0x60"}, {f"pg_up{{{T}}}": "1x60"}),
    "PostgresqlConnectionsNearlyUsed": Case(
        {f'pg_stat_activity_count{{{T}, state="idle"}}': "90x60", f"pg_settings_max_connections{{{T}}}": "100x60"},
        {f'pg_stat_activity_count{{{T}, state="idle"}}': "50x60", f"pg_settings_max_connections{{{T}}}": "100x60"},
    ),
    "PostgresqlIdleInTransaction": Case(
        {f'pg_stat_activity_max_tx_duration{{{T}, state="idle in transaction"}}': "0+60x60"},
        {f'pg_stat_activity_max_tx_duration{{{T}, state="active"}}': "0+60x60"},
    ),
    "PostgresqlReplicaBehind": Case(
        {f"cnpg_pg_replication_lag{{{T}}}": "0+60x60"}, {f"cnpg_pg_replication_lag{{{T}}}": "1x60"}
    ),
    "PostgresqlStandbyBehind": Case(
        {f'cnpg_pg_replication_lag{{{T}, standby="true", stopped="true"}}': "0+60x60"},
        # Late by what is archived once a minute; and a replica's is another alert.
        {f'cnpg_pg_replication_lag{{{T}, standby="true"}}': "90x60", f"cnpg_pg_replication_lag{{{T}}}": "900x60"},
        40,
    ),
    "PostgresqlWithoutReplica": Case(
        {
            **{f'cnpg_collector_up{{{T}, index="{one}"}}': "1x60" for one in "ab"},
            f"cnpg_pg_replication_streaming_replicas{{{T}}}": "0x60",
        },
        # A single instance has none by design.
        {f"cnpg_collector_up{{{T}}}": "1x60", f"cnpg_pg_replication_streaming_replicas{{{T}}}": "0x60"},
    ),
    "RedisDown": Case({f"redis_up{{{T}}}": "1x5 0x60"}, {f"redis_up{{{T}}}": "1x60"}),
    "RedisMemoryNearlyUsed": Case(
        {f"redis_memory_used_bytes{{{T}}}": "95x60", f"redis_memory_max_bytes{{{T}}}": "100x60"},
        {f"redis_memory_used_bytes{{{T}}}": "95x60", f"redis_memory_max_bytes{{{T}}}": "0x60"},
    ),
    "LogsAgentDown": Case({f"up{{{AGENT}}}": "1x5 0x60"}, {f"up{{{AGENT}}}": "1x60"}, 40),
    "LogsNothingReceived": Case(
        # The agent's source has no series at all where no Pod matched.
        {f"up{{{AGENT}}}": "1x90", SERVING: "1x90"},
        {f"up{{{AGENT}}}": "1x90", SERVING: "1x90", f"{RECEIVED}{{{AGENT}, {SOURCE}}}": "0+1x90"},
        80,
    ),
    "LogsNotHandedOn": Case(
        {f'vector_component_errors_total{{{AGENT}, component_id="store"}}': "0+5x60"},
        {f'vector_component_errors_total{{{AGENT}, component_id="store"}}': "7x60"},
        40,
    ),
    "LogLinesDropped": Case(
        {f'vector_component_discarded_events_total{{{AGENT}, component_id="limit"}}': "0+50x60"},
        # Lines of nobody are dropped by design.
        {f'vector_component_discarded_events_total{{{AGENT}, component_id="clean"}}': "0+50x60"},
        40,
    ),
    "PgbouncerDown": Case({f"pgbouncer_up{{{T}}}": "1x5 0x60"}, {f"pgbouncer_up{{{T}}}": "1x60"}),
    "PgbouncerClientsWait": Case(
        {f"cnpg_pgbouncer_pools_cl_waiting{{{T}}}": "0x5 3x60"},
        {f"pgbouncer_pools_client_waiting_connections{{{T}}}": "0x60"},
    ),
    "ElementDown": Case(
        {f"nginx_up{{{T}}}": "1x5 0x60"},
        {f'nginx_up{{{T}, index="a"}}': "1x60", f'nginx_up{{{T}, index="b"}}': "0x60"},
    ),
    "ProbesDown": Case({f'up{{{T}, job="probes"}}': "1x5 0x60"}, {f'up{{{T}, job="probes"}}': "1x60"}),
    **{
        name: Case({success(check): "1x5 0x60"}, {success(check): "1x60", success("other"): "0x60"})
        for name, check in {
            "ProbeClientFails": "client",
            "ProbeFederationFails": "federation",
            "ProbeWellKnownFails": "well-known",
            "ProbeElementFails": "element",
            "ProbeTurnFails": "turns-tcp",
        }.items()
    },
    # promtool's clock begins at 0.
    "ProbeCertificateExpires": Case(
        {f'probe_ssl_earliest_cert_expiry{{{T}, instance="https://h"}}': "900000x90"},
        {f'probe_ssl_earliest_cert_expiry{{{T}, instance="https://h"}}': "9000000x90"},
        80,
    ),
    # The third that fails; and one that fails between two that do not.
    "MatrixCanaryFails": Case(succeeded("canary", "0x60"), succeeded("canary", "0x11 660x60"), 17),
    "VolumeNearlyFull": Case(claim("5x60"), claim("50x60")),
    # promtool's clock begins at 0.
    "CertificateExpires": Case(
        {'certmanager_certificate_expiration_timestamp_seconds{name="t-matrix", namespace="t"}': "900000x90"},
        {'certmanager_certificate_expiration_timestamp_seconds{name="t-matrix", namespace="t"}': "9000000x90"},
        80,
    ),
    "MatrixBackupLate": Case(succeeded("dump", "0x60"), succeeded("dump", "0+3600x60"), 40 * 60, "1h"),
    "MatrixBackupWrong": Case(succeeded("verify", "0x80"), succeeded("verify", "0+3600x80"), 60 * 60, "1h"),
    "MatrixDrillFailed": Case(succeeded("drill", "0x300"), succeeded("drill", "0+3600x300"), 200 * 60, "1h"),
    "MatrixBaseBackupLate": Case(
        {f"barman_cloud_cloudnative_pg_io_last_available_backup_timestamp{{{T}}}": "0x80"},
        {f"barman_cloud_cloudnative_pg_io_last_available_backup_timestamp{{{T}}}": "0+3600x80"},
        60 * 60,
        "1h",
    ),
    "NodeLost": Case(
        lost_node("0x30"),
        # A node that answers; and one without Pods of ours.
        lost_node("1x30") | {'kube_node_status_condition{node="other", condition="Ready", status="true"}': "0x30"},
    ),
    "MatrixArchiveBehind": Case(
        {f"pg_stat_archiver_last_archive_age{{{T}}}": "1000x60", f"pg_stat_archiver_failed_count{{{T}}}": "0+1x60"},
        # A server where nothing happens has nothing to archive.
        {f"pg_stat_archiver_last_archive_age{{{T}}}": "1000x60", f"pg_stat_archiver_failed_count{{{T}}}": "3x60"},
    ),
}


def runs(last: str, following: str) -> dict[str, str]:
    name = 'namespace="t", cronjob="t-dump"'
    return {
        f"kube_cronjob_status_last_schedule_time{{{name}}}": last,
        f"kube_cronjob_next_schedule_time{{{name}}}": following,
    }


SINCE = f"cnpg_pg_stat_archiver_seconds_since_last_archival{{{T}}}"
FAILED = f"cnpg_pg_stat_archiver_failed_count{{{T}}}"
ERR = f'synapse_outgoing_replication_requests_total{{{T}, name="send_event", code="ERR"}}'
ON_A, ON_B = (f'{T}, job="logs", index="logs-{node}", namespace="l", pod="logs-{node}"' for node in "ab")
OTHER_NODE = {
    **{f"up{{{agent}}}": "1x90" for agent in (ON_A, ON_B)},
    f"{RECEIVED}{{{ON_A}, {SOURCE}}}": "0+1x90",
    **{f'kube_pod_info{{namespace="l", pod="logs-{node}", node="{node}"}}': "1x90" for node in "ab"},
    SERVING: "1x90",
}
"""Agents on two nodes of which one receives lines."""
ALSO = {
    "LogsNothingReceived on one node": Case(
        {**OTHER_NODE, 'kube_pod_info{namespace="t", pod="t-router-x", node="b"}': "1x90"},
        # A node without Pods of the fleet has no lines.
        {**OTHER_NODE, 'kube_pod_info{namespace="t", pod="t-router-x", node="a"}': "1x90"},
        80,
    ),
    "LogsNothingReceived of an empty cluster": Case(
        {f"up{{{AGENT}}}": "1x90", SERVING: "1x90", f"{RECEIVED}{{{AGENT}, {SOURCE}}}": "7x90"},
        {f"up{{{AGENT}}}": "1x90"},
        80,
    ),
    # Synapse failed; and other people's servers are dead, which it says with 502 and 504.
    "MatrixErrorsBurnFast of Synapse": Case(
        responses("0+5x200", "0+95x200", "0+5x200", {"500": "0+5x200"}),
        responses("0+5x200", "0+95x200", "0+5x200", {"502": "0+4x200", "504": "0+1x200", "200": "0+95x200"}),
        100,
    ),
    "MatrixErrorsBurnSlow of Synapse": Case(
        responses("0+1x500", "0+99x500", "0+1x500", {"503": "0+1x500"}),
        responses("0+1x500", "0+99x500", "0+1x500", {"502": "0+1x500"}),
        400,
    ),
    "MatrixErrorsBurnFast between workers": Case(
        responses("0+5x200", "0+95x200", "0+5x200", {"502": "0+5x200"}) | {ERR: "0+5x200"},
        responses("0+5x200", "0+95x200", "0+5x200", {"502": "0+5x200"}) | {ERR: "7x200"},
        100,
    ),
    # Hours of two a minute that are answered, then half an hour in which 1,000 a minute fail; and the other way round,
    # where a mean of shares says 8 percent, and 60 of 330,000 failed.
    "MatrixErrorsBurnSlow by weight": Case(
        by_weight("0x330 0+1000x70", "0+2x330 660x70"), by_weight("0x330 0+2x70", "0+1000x330 330000x70"), 370
    ),
    "MatrixSendsSlow by weight": Case(
        share(*SEND, "0x60 0+1x50 50x60", "0x60 0+1x50 50+100x60"),
        share(*SEND, "0+1000x150 150000x50", "0+1000x150 150000+1x50"),
        165,
    ),
    "MatrixArchiveBehind by CloudNativePG": Case(
        {SINCE: "1000x60", FAILED: "0+1x60"}, {SINCE: "1000x60", FAILED: "3x60"}
    ),
    "MatrixArchiveBehind from the first": Case({SINCE: "-1x60", FAILED: "0+1x60"}, {SINCE: "-1x60", FAILED: "0x60"}),
    "MatrixBackupLate of two days": Case(
        # A run of hour 24 that had no success; and nothing that is due before hour 48.
        succeeded("dump", "0x80") | runs("0x24 86400x40", "86400x24 172800x40"),
        succeeded("dump", "0x80") | runs("0x80", "172800x80"),
        40 * 60,
        "1h",
    ),
    "MatrixBackupLate where nothing runs": Case(
        succeeded("dump", "0x80") | runs("0x80", "86400x80"),
        succeeded("dump", "0x80") | runs("0x80", "345600x80"),
        40 * 60,
        "1h",
    ),
    "MatrixBackupLate of a standby": Case(
        succeeded("dump", "0x60"),
        succeeded("dump", "0x60") | {'kube_cronjob_spec_suspend{namespace="t", cronjob="t-dump"}': "1x60"},
        40 * 60,
        "1h",
    ),
}
"""More of one alert: what is before a space is its name."""


C = f'{T}, index="t-postgresql-1"'
PLATFORM = 'tenant="platform"'
BACKENDS = f'cnpg_backends_total{{{C}, usename="synapse_odd", state="idle"}}'
CLUSTER_LIMIT = f'cnpg_pg_settings_setting{{{C}, name="max_connections"}}'
POOLER = f'{T}, job="pgbouncer"'
RECOVERY = "cnpg_pg_replication_in_recovery"


def of_platform(case: Case) -> Case:
    """The same of the platform's server, which no router stands before."""

    def there(series: dict[str, str]) -> dict[str, str]:
        return {one.replace(T, PLATFORM): values for one, values in series.items() if 'job="router"' not in one}

    return case._replace(fires=there(case.fires), silent=there(case.silent))


CLOUDNATIVE_PG = {
    "PostgresqlDown": [
        Case(
            {f"cnpg_collector_up{{{C}}}": "1x5 0x60"},
            {f"cnpg_collector_up{{{C}}}": "1x60", f"{RECOVERY}{{{C}}}": "0x60"},
        ),
        # Its Pods are gone.
        Case(
            {f'up{{{T}, job="postgresql"}}': "1x5 _x60", **UP, f"up{{{POOLER}}}": "1x60"},
            {f'up{{{T}, job="postgresql"}}': "1x60", **UP, f"up{{{POOLER}}}": "1x60"},
        ),
        # Replicas without a primary; a standby has none by design.
        Case({f"{RECOVERY}{{{C}}}": "0x5 1x60"}, {f'{RECOVERY}{{{C}, standby="true"}}': "1x60"}),
    ],
    "PostgresqlConnectionsNearlyUsed": [
        Case(
            {BACKENDS: "90x60", CLUSTER_LIMIT: "100x60"},
            # Each instance has its own limit; senders to replicas count to another one.
            {
                BACKENDS: "50x60",
                f'cnpg_backends_total{{{C}, usename="streaming_replica", state="active"}}': "40x60",
                CLUSTER_LIMIT: "100x60",
                BACKENDS.replace("sql-1", "sql-2"): "50x60",
                CLUSTER_LIMIT.replace("sql-1", "sql-2"): "100x60",
            },
        )
    ],
    "PostgresqlIdleInTransaction": [
        Case(
            {f'cnpg_backends_max_tx_duration_seconds{{{C}, state="{state}"}}': "0+60x60"},
            {f'cnpg_backends_max_tx_duration_seconds{{{C}, state="active"}}': "0+60x60"},
        )
        for state in ("idle in transaction", "idle in transaction (aborted)")
    ],
    "PostgresqlReplicaBehind": [CASES["PostgresqlReplicaBehind"]],
    "PostgresqlStandbyBehind": [CASES["PostgresqlStandbyBehind"]],
    "PostgresqlWithoutReplica": [
        CASES["PostgresqlWithoutReplica"],
        # The replica's Pod is gone, and its numbers with it.
        Case(
            {
                f'cnpg_collector_up{{{T}, index="a"}}': "1x60",
                f'cnpg_collector_up{{{T}, index="b"}}': "1x5 _x60",
                f'cnpg_pg_replication_streaming_replicas{{{T}, index="a"}}': "1x5 0x60",
            },
            {
                f'cnpg_collector_up{{{T}, index="a"}}': "1x60",
                f'cnpg_collector_up{{{T}, index="b"}}': "1x60",
                f'cnpg_pg_replication_streaming_replicas{{{T}, index="a"}}': "1x60",
            },
        ),
    ],
    "PgbouncerDown": [
        Case({f"up{{{POOLER}}}": "1x5 0x60"}, {f"up{{{POOLER}}}": "1x60"}),
        Case(
            {f"cnpg_pgbouncer_last_collection_error{{{POOLER}}}": "0x5 1x60"},
            {f"cnpg_pgbouncer_last_collection_error{{{POOLER}}}": "0x60"},
        ),
        Case(
            {f"up{{{POOLER}}}": "1x5 _x60", f'up{{{T}, job="postgresql"}}': "1x60", **UP},
            {f"up{{{POOLER}}}": "1x60", f'up{{{T}, job="postgresql"}}': "1x60", **UP},
        ),
    ],
    "PgbouncerClientsWait": [
        Case(
            {f"cnpg_pgbouncer_pools_cl_waiting{{{POOLER}}}": "0x5 3x60"},
            {f"cnpg_pgbouncer_pools_cl_waiting{{{POOLER}}}": "0x60"},
        )
    ],
    "VolumeNearlyFull": [
        Case(
            *(
                {key.replace("data-t-postgresql-0", "t-postgresql-1"): v for key, v in claim(left).items()}
                for left in ("5x60", "50x60")
            )
        )
    ],
}
NO_REPLICAS = {"PostgresqlReplicaBehind", "PostgresqlStandbyBehind", "PostgresqlWithoutReplica"}
"""A server of kind statefulset has none."""
BUNDLED = {
    "PostgresqlIdleInTransaction": [
        CASES["PostgresqlIdleInTransaction"],
        Case(
            {f'pg_stat_activity_max_tx_duration{{{T}, state="idle in transaction (aborted)"}}': "0+60x60"},
            {f'pg_stat_activity_max_tx_duration{{{T}, state="idle"}}': "0+60x60"},
        ),
    ],
    "PgbouncerClientsWait": [
        Case(
            {f"pgbouncer_pools_client_waiting_connections{{{T}}}": "0x5 3x60"},
            {f"pgbouncer_pools_client_waiting_connections{{{T}}}": "0x60"},
        )
    ],
}
OF_DATABASES = [
    rule["alert"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule and group["name"] == "matrix-postgresql"
] + ["VolumeNearlyFull"]
# An external server has numbers where its owner keeps them; what Synapse waits for is seen at Synapse and PgBouncer.
KINDS: dict[Database, dict[str, list[Case]]] = {
    Database.STATEFULSET: {name: BUNDLED.get(name, [CASES[name]]) for name in OF_DATABASES if name not in NO_REPLICAS},
    Database.CNPG: CLOUDNATIVE_PG,
    Database.SHARED: {
        name: [of_platform(case) for case in cases] for name, cases in CLOUDNATIVE_PG.items() if name in OF_DATABASES
    },
    Database.EXTERNAL: {
        "PgbouncerDown": [CASES["PgbouncerDown"]],
        "PgbouncerClientsWait": BUNDLED["PgbouncerClientsWait"],
    },
}


def test_every_kind_of_database_has_cases() -> None:
    assert KINDS.keys() == set(Database)
    every = set(OF_DATABASES)
    assert KINDS[Database.CNPG].keys() == KINDS[Database.SHARED].keys() == every
    assert KINDS[Database.STATEFULSET].keys() == every - NO_REPLICAS
    assert KINDS[Database.EXTERNAL].keys() == {name for name in every if name.startswith("Pgbouncer")}


def unseen(query: str) -> set[str]:
    """Names in a query that no program showed, no documentation names and no rule records."""
    seen = DOCUMENTED | {name for path in SEEN.glob("*.txt") for name in path.read_text().split()}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    bare = re.sub(
        r'"(?:[^"\\]|\\.)*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|on|without|ignoring|group_left) \([^)]*\)', " ", query
    )
    names = set(re.findall(r"[a-z_:]{2,}[a-z0-9_:]*(?![a-z0-9_:]*\s*\()", bare))
    names -= {
        "and",
        "unless",
        "or",
        "time",
        "by",
        "on",
        "sum",
        "max",
        "min",
        "count",
        "rate",
        "le",
        "group_right",
        "offset",
    }
    return {name for name in names - recorded if not {name, re.sub(r"_(bucket|count|sum)$", "", name)} & seen}


def test_every_alert_has_cases_and_a_runbook() -> None:
    assert CASES.keys() == ALERTS.keys()
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_is(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning") and rule["for"]
    assert "$labels.tenant" in rule["annotations"]["summary"] and rule["annotations"]["description"]
    runbook = (RUNBOOKS / f"{name}.md").read_text()
    assert runbook.startswith(f"# {name}\n") and "## Look here" in runbook and "## Do this" in runbook


def test_every_metric_was_seen_or_is_documented() -> None:
    for rule in rules():
        assert not unseen(rule["expr"]), f"{rule.get('alert')}: nobody has seen {unseen(rule['expr'])}"


def test_they_come_last(tree: Tree) -> None:
    """They live where Prometheus does: where that is not there yet, nothing else waits for them."""
    for entry in tree.of_kind("PrometheusRule"):
        others = [one for one in tree.objects if one.target == entry.target and one.part == "workload"]
        last = [one for one in others if one.wave >= entry.wave]
        assert {one.namespace for one in last} == {entry.namespace} == {"monitoring"}


def test_the_cluster_gets_them_with_their_runbooks(tree: Tree) -> None:
    (entry,) = [entry for entry in tree.of_kind("PrometheusRule") if entry.cluster == "eu1"]
    compiled = {rule["alert"]: rule for group in entry.spec["groups"] for rule in group["rules"] if "alert" in rule}
    assert compiled.keys() == ALERTS.keys() and entry.labels["release"] == "kube-prometheus-stack"
    for name, rule in compiled.items():
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md")


PROMTOOL = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed; .ci/run installs it")


@PROMTOOL
@pytest.mark.parametrize("name", [*ALERTS, *ALSO])
def test_it_fires_and_is_silent(name: str, tmp_path: Path) -> None:
    evaluate(name.split()[0], [(CASES | ALSO)[name]], "t", tmp_path)


@PROMTOOL
@pytest.mark.parametrize("kind", list(Database), ids=str)
def test_it_fires_and_is_silent_with_every_kind_of_database(kind: Database, tmp_path: Path) -> None:
    for name, cases in KINDS[kind].items():
        evaluate(name, cases, "platform" if kind is Database.SHARED and name != "VolumeNearlyFull" else "t", tmp_path)


def evaluate(name: str, cases: list[Case], tenant: str, tmp_path: Path) -> None:
    """Have promtool evaluate the rules over both series of each case."""
    firing = f'count by (tenant) (ALERTS{{alertname="{name}", alertstate="firing"}})'

    def scenario(case: Case, series: dict[str, str], found: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "interval": case.every,
            "input_series": [{"series": one, "values": values} for one, values in series.items()],
            "promql_expr_test": [{"expr": firing, "eval_time": f"{case.minutes}m", "exp_samples": found}],
        }

    tests = []
    for case in cases:
        tests.append(scenario(case, case.fires, [{"labels": f'{{tenant="{tenant}"}}', "value": 1}]))
        tests.append(scenario(case, case.silent, []))
    # A test file has one pace.
    (every,) = {case.every for case in cases}
    said = {"rule_files": [str(RULES)], "evaluation_interval": every, "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(said))
    command = ["promtool", "test", "rules", str(tmp_path / "tests.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
