"""The dashboards, by Grafana's own typed builder: `make dashboards` writes them beside this file, and compiling reads
what is there, since the builder takes longer to import than a tenant to compile.

One Prometheus is one cluster: the variable `cluster` is the data source. `tenant` is the label that every series has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)

HERE = Path(__file__).parent
SOURCE = DataSourceRef(type_val="prometheus", uid="${cluster}")
MINE = 'tenant=~"$tenant"'
SYNAPSE = f'{MINE}, server_name!="", job!~"router|postgresql|redis|turn|element|pgbouncer"'
Queries = Mapping[str, str]
"""Legend to query."""


def per_second(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{MINE}{more}}}[$__rate_interval]))"


def either(bundled: str, operator: str, more: str = "") -> str:
    """A metric of postgres_exporter, or where CloudNativePG runs the server its own of the same meaning."""
    return f"({bundled}{{{MINE}{more}}} or {operator}{{{MINE}{more}}})"


def either_per_second(name: str, by: str, more: str = "") -> str:
    """The rate of a counter that both have, CloudNativePG with its prefix."""
    rates = (f"rate({one}{{{MINE}{more}}}[$__rate_interval])" for one in (name, f"cnpg_{name}"))
    return f"sum by ({by}) ({' or '.join(rates)})"


def quantile(share: float, metric: str, by: str, more: str = "") -> str:
    inner = f"sum by ({by}, le) (rate({metric}_bucket{{{MINE}{more}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {inner})"


def targets(panel: Any, queries: Queries) -> Any:
    for legend, query in queries.items():
        panel = panel.with_target(prometheus.Dataquery().expr(query).legend_format(legend))
    return panel


def graph(title: str, unit: str, queries: Queries, told: str = "") -> Any:
    """A line a series, half of the width."""
    panel = timeseries.Panel().title(title).unit(unit).datasource(SOURCE).span(12).height(8).min(0)
    return targets(panel.description(told) if told else panel, queries)


def number(title: str, unit: str, queries: Queries, told: str = "") -> Any:
    """What it is now."""
    panel = stat.Panel().title(title).unit(unit).datasource(SOURCE).span(6).height(4)
    return targets(panel.description(told) if told else panel, queries)


def tenants(many: bool) -> Any:
    variable = build.QueryVariable("tenant").label("Tenant").datasource(SOURCE)
    variable = variable.query("label_values(up, tenant)").refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable = variable.sort(VariableSort.ALPHABETICAL_ASC)
    return variable.multi(True).include_all(True).all_value(".+") if many else variable


def board(name: str, title: str, rows: Mapping[str, list[Any]], many: bool = False) -> Any:
    """A dashboard of rows; its links lead to the others with the same cluster, tenant and time."""
    links = build.DashboardLink("Matrix").type(DashboardLinkType.DASHBOARDS).tags(["matrix-fleet"])
    made = (
        build.Dashboard(title)
        .uid(f"matrix-fleet-{name}")
        .tags(["matrix-fleet"])
        .timezone("browser")
        .refresh("1m")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("cluster").label("Cluster").type("prometheus"))
        .with_variable(tenants(many))
        .link(links.as_dropdown(True).include_vars(True).keep_time(True))
    )
    for row, panels in rows.items():
        made = made.with_row(build.Row(row))
        for panel in panels:
            made = made.with_panel(panel)
    return made.build()


def fleet() -> Any:
    errors = f"tenant:matrix_request_errors:ratio_rate5m{{{MINE}}}"
    down = f'up{{{MINE}, job="synapse", stopped!="true"}} == 0'
    firing = 'ALERTS{alertstate="firing", tenant=~"$tenant"'
    return board(
        "fleet",
        "Matrix: fleet",
        {
            "Now": [
                number("Homeservers up", "none", {"": f'count(up{{{MINE}, job="synapse"}} == 1)'}),
                number("Homeservers down", "none", {"": f"count({down}) or vector(0)"}),
                number("Critical alerts", "none", {"": f'count({firing}, severity="critical"}}) or vector(0)'}),
                number("Warnings", "none", {"": f'count({firing}, severity="warning"}}) or vector(0)'}),
            ],
            "What people notice": [
                graph("Requests that fail", "percentunit", {"{{tenant}}": errors}, "The objective is 0.1 percent."),
                graph(
                    "Budget of errors left, 30 days at this hour's rate",
                    "percentunit",
                    {"{{tenant}}": f"1 - tenant:matrix_request_errors:ratio_rate1h{{{MINE}}} / 0.001"},
                ),
                graph(
                    "Sends over a second",
                    "percentunit",
                    {"{{tenant}}": f"tenant:matrix_slow_sends:ratio_rate1h{{{MINE}}}"},
                ),
                graph(
                    "Events that leave late for other servers",
                    "percentunit",
                    {"{{tenant}}": f"tenant:matrix_late_federation:ratio_rate1h{{{MINE}}}"},
                ),
            ],
            "How much": [
                graph(
                    "Requests",
                    "reqps",
                    {"{{tenant}}": per_second("haproxy_frontend_http_requests_total", "tenant", ', proxy="matrix"')},
                ),
                graph(
                    "People a day",
                    "none",
                    {"{{tenant}}": f"max by (tenant) (synapse_admin_daily_active_users{{{MINE}}})"},
                ),
                graph(
                    "CPU of Synapse",
                    "none",
                    {"{{tenant}}": f"sum by (tenant) (rate(process_cpu_seconds_total{{{SYNAPSE}}}[$__rate_interval]))"},
                ),
                graph(
                    "Size of databases",
                    "bytes",
                    {
                        "{{tenant}}": "max by (tenant) "
                        + either(
                            "pg_database_size_bytes", "cnpg_pg_database_size_bytes", ', datname!~"template.+|postgres"'
                        )
                    },
                ),
            ],
        },
        many=True,
    )


def tenant() -> Any:
    return board(
        "tenant",
        "Matrix: tenant",
        {
            "Now": [
                number("Processes up", "none", {"": f"sum(up{{{MINE}}})"}),
                number("Processes down", "none", {"": f"count(up{{{MINE}}} == 0) or vector(0)"}),
                number("People a day", "none", {"": f"max(synapse_admin_daily_active_users{{{MINE}}})"}),
                number("Versions", "none", {"{{version}}": f"count by (version) (synapse_build_info{{{MINE}}})"}),
            ],
            "What people notice": [
                graph(
                    "Answers",
                    "reqps",
                    {"{{code}}": per_second("haproxy_frontend_http_responses_total", "code", ', proxy="matrix"')},
                ),
                graph(
                    "Requests that fail",
                    "percentunit",
                    {"5 minutes": f"tenant:matrix_request_errors:ratio_rate5m{{{MINE}}}"},
                ),
                graph(
                    "Time to send a message",
                    "s",
                    {
                        f"{share:.0%}": quantile(
                            share,
                            "synapse_http_server_response_time_seconds",
                            "tenant",
                            ', servlet="RoomSendEventRestServlet"',
                        )
                        for share in (0.5, 0.95, 0.99)
                    },
                ),
                graph(
                    "First syncs over ten seconds",
                    "percentunit",
                    {"5 minutes": f"tenant:matrix_slow_syncs:ratio_rate5m{{{MINE}}}"},
                ),
            ],
            "Other servers": [
                graph(
                    "Events that wait to leave",
                    "none",
                    {"events": f"sum(synapse_federation_transaction_queue_pending_pdus{{{MINE}}})"},
                ),
                graph(
                    "Events that leave late",
                    "percentunit",
                    {"5 minutes": f"tenant:matrix_late_federation:ratio_rate5m{{{MINE}}}"},
                ),
            ],
            "What it uses": [
                graph(
                    "CPU",
                    "none",
                    {"{{job}} {{index}}": f"rate(process_cpu_seconds_total{{{SYNAPSE}}}[$__rate_interval])"},
                ),
                graph("Memory", "bytes", {"{{job}} {{index}}": f"process_resident_memory_bytes{{{SYNAPSE}}}"}),
            ],
        },
    )


def synapse() -> Any:
    return board(
        "synapse",
        "Matrix: Synapse",
        {
            "Requests": [
                graph(
                    "By servlet",
                    "reqps",
                    {"{{servlet}}": f"topk(10, {per_second('synapse_http_server_response_count_total', 'servlet')})"},
                ),
                graph(
                    "Time, 95 percent",
                    "s",
                    {
                        "{{job}}": quantile(
                            0.95, "synapse_http_server_response_time_seconds", "job", ', servlet!="SyncRestServlet"'
                        )
                    },
                    "Without syncs, which wait for news.",
                ),
                graph(
                    "In flight",
                    "none",
                    {"{{job}}": f"sum by (job) (synapse_http_server_in_flight_requests_count{{{MINE}}})"},
                ),
                # Synapse counts these alone; people who are refused are 4xx of the router.
                graph(
                    "Other servers refused for a limit",
                    "reqps",
                    {"{{job}}": per_second("synapse_rate_limit_reject_total", "job")},
                ),
            ],
            "Processes": [
                graph(
                    "CPU",
                    "none",
                    {"{{job}} {{index}}": f"rate(process_cpu_seconds_total{{{SYNAPSE}}}[$__rate_interval])"},
                    "One core is all that one process uses.",
                ),
                graph(
                    "Event loop, 99 percent",
                    "s",
                    {"{{job}} {{index}}": quantile(0.99, "python_twisted_reactor_tick_time", "job, index")},
                ),
                graph("Memory", "bytes", {"{{job}} {{index}}": f"process_resident_memory_bytes{{{SYNAPSE}}}"}),
                graph(
                    "Background work",
                    "none",
                    {
                        "{{name}}": f"topk(10, {per_second('synapse_background_process_db_txn_duration_seconds_total', 'name')})"
                    },
                ),
            ],
            "Database": [
                graph(
                    "Wait for a connection, 95 percent",
                    "s",
                    {"{{job}}": quantile(0.95, "synapse_storage_schedule_time", "job")},
                ),
                graph("Queries, 99 percent", "s", {"{{verb}}": quantile(0.99, "synapse_storage_query_time", "verb")}),
                graph(
                    "Transactions by time",
                    "none",
                    {"{{desc}}": f"topk(10, {per_second('synapse_storage_transaction_time_sum_total', 'desc')})"},
                ),
                graph(
                    "Events stored",
                    "ops",
                    {"events": per_second("synapse_storage_events_persisted_events_total", "tenant")},
                ),
            ],
            "Caches": [
                graph("Hits", "ops", {"{{name}}": f"topk(10, {per_second('synapse_util_caches_cache_hits', 'name')})"}),
                graph("Evicted", "ops", {"{{reason}}": per_second("synapse_util_caches_cache_evicted_size", "reason")}),
            ],
            "Other servers, phones, bridges": [
                graph(
                    "Events that wait to leave",
                    "none",
                    {"{{index}}": f"synapse_federation_transaction_queue_pending_pdus{{{MINE}}}"},
                ),
                graph(
                    "Events that came",
                    "ops",
                    {"events": per_second("synapse_federation_server_received_pdus_total", "tenant")},
                ),
                graph(
                    "Pushes",
                    "ops",
                    {
                        "sent": per_second("synapse_http_httppusher_http_pushes_processed_total", "tenant"),
                        "failed": per_second("synapse_http_httppusher_http_pushes_failed_total", "tenant"),
                    },
                ),
                graph(
                    "Behind the newest event",
                    "none",
                    {
                        "{{name}}": f"max by (tenant) (synapse_event_persisted_position{{{MINE}}})"
                        f" - on (tenant) group_right min by (tenant, name) (synapse_event_processing_positions{{{MINE}}})"
                    },
                ),
            ],
        },
    )


def postgresql() -> Any:
    hits = either_per_second("pg_stat_database_blks_hit", "tenant")
    reads = either_per_second("pg_stat_database_blks_read", "tenant")
    limit = f'pg_settings_max_connections{{{MINE}}} or cnpg_pg_settings_setting{{{MINE}, name="max_connections"}}'
    return board(
        "postgresql",
        "Matrix: PostgreSQL",
        {
            "Server": [
                graph(
                    "Connections",
                    "none",
                    {
                        "{{state}}": f"sum by (state) {either('pg_stat_activity_count', 'cnpg_backends_total')}",
                        "limit of one instance": f"max({limit})",
                    },
                ),
                graph(
                    "Size",
                    "bytes",
                    {
                        "{{datname}}": "max by (datname) "
                        + either("pg_database_size_bytes", "cnpg_pg_database_size_bytes")
                    },
                ),
                graph(
                    "Longest transaction",
                    "s",
                    {
                        "{{state}}": "max by (state) "
                        + either("pg_stat_activity_max_tx_duration", "cnpg_backends_max_tx_duration_seconds")
                    },
                ),
                graph(
                    "Locks",
                    "none",
                    {
                        "{{mode}}": f"sum by (mode) (pg_locks_count{{{MINE}}})",
                        "sessions that wait (CloudNativePG)": f"sum(cnpg_backends_waiting_total{{{MINE}}})",
                    },
                    "CloudNativePG counts the sessions that wait for a lock, and not the locks.",
                ),
            ],
            "Work": [
                graph(
                    "Transactions",
                    "ops",
                    {
                        "committed": either_per_second("pg_stat_database_xact_commit", "tenant"),
                        "rolled back": either_per_second("pg_stat_database_xact_rollback", "tenant"),
                    },
                ),
                graph("Reads answered from memory", "percentunit", {"{{tenant}}": f"{hits} / ({hits} + {reads})"}),
                graph(
                    "Temporary files",
                    "Bps",
                    {"{{datname}}": either_per_second("pg_stat_database_temp_bytes", "datname", ', datname!=""')},
                ),
                graph(
                    "Deadlocks",
                    "ops",
                    {"{{datname}}": either_per_second("pg_stat_database_deadlocks", "datname", ', datname!=""')},
                ),
            ],
            "Replicas and archive": [
                graph("Replica behind (CloudNativePG)", "s", {"{{index}}": f"cnpg_pg_replication_lag{{{MINE}}}"}),
                graph(
                    "Replicas that stream (CloudNativePG)",
                    "none",
                    {"{{index}}": f"cnpg_pg_replication_streaming_replicas{{{MINE}}}"},
                ),
                graph(
                    "Since the last archived segment",
                    "s",
                    {
                        "{{tenant}}": f"pg_stat_archiver_last_archive_age{{{MINE}}}",
                        "{{index}} (CloudNativePG)": f"cnpg_pg_stat_archiver_seconds_since_last_archival{{{MINE}}}",
                    },
                ),
                graph(
                    "Archiving that failed",
                    "ops",
                    {
                        "{{tenant}}": per_second("pg_stat_archiver_failed_count", "tenant"),
                        "{{tenant}} (CloudNativePG)": per_second("cnpg_pg_stat_archiver_failed_count", "tenant"),
                    },
                ),
            ],
        },
    )


def coturn() -> Any:
    return board(
        "coturn",
        "Matrix: Coturn",
        {
            "Calls": [
                graph("Allocations", "none", {"{{type}}": f"sum by (type) (turn_total_allocations{{{MINE}}})"}),
                graph(
                    "To and from clients, of sessions that ended",
                    "Bps",
                    {
                        way: per_second(f"turn_total_traffic_{name}", "tenant")
                        for way, name in (("received", "rcvb"), ("sent", "sentb"))
                    },
                ),
                graph(
                    "To and from peers, of sessions that ended",
                    "Bps",
                    {
                        way: per_second(f"turn_total_traffic_peer_{name}", "tenant")
                        for way, name in (("received", "rcvb"), ("sent", "sentb"))
                    },
                ),
                graph(
                    "Bindings",
                    "reqps",
                    {
                        "asked": per_second("stun_binding_request", "tenant"),
                        "answered": per_second("stun_binding_response", "tenant"),
                        "errors": per_second("stun_binding_error", "tenant"),
                    },
                ),
            ],
        },
    )


def edge() -> Any:
    # Each router's mean weighs as much as it answers.
    slow = f"haproxy_backend_response_time_average_seconds{{{MINE}}}"
    busy = f"rate(haproxy_backend_http_requests_total{{{MINE}}}[$__rate_interval])"
    return board(
        "edge",
        "Matrix: edge and router",
        {
            "At the door": [
                graph(
                    "Answers",
                    "reqps",
                    {"{{code}}": per_second("haproxy_frontend_http_responses_total", "code", ', proxy="matrix"')},
                ),
                graph(
                    "Sessions", "none", {"{{index}}": f'haproxy_frontend_current_sessions{{{MINE}, proxy="matrix"}}'}
                ),
                graph(
                    "In",
                    "Bps",
                    {"{{index}}": per_second("haproxy_frontend_bytes_in_total", "index", ', proxy="matrix"')},
                ),
                graph(
                    "Out",
                    "Bps",
                    {"{{index}}": per_second("haproxy_frontend_bytes_out_total", "index", ', proxy="matrix"')},
                ),
            ],
            "Behind it": [
                graph(
                    "Processes that take requests",
                    "none",
                    {"{{proxy}}": f"min by (proxy) (haproxy_backend_active_servers{{{MINE}}})"},
                ),
                graph(
                    "Waiting for one",
                    "none",
                    {"{{proxy}}": f"sum by (proxy) (haproxy_backend_current_queue{{{MINE}}})"},
                ),
                graph(
                    "Time to answer, on average",
                    "s",
                    {"{{proxy}}": f"sum by (proxy) ({slow} * {busy}) / (sum by (proxy) ({busy}) > 0)"},
                ),
                graph(
                    "Failed on the way",
                    "ops",
                    {
                        "connections": per_second("haproxy_backend_connection_errors_total", "tenant"),
                        "answers": per_second("haproxy_backend_response_errors_total", "tenant"),
                        "tried again": per_second("haproxy_backend_retry_warnings_total", "tenant"),
                    },
                ),
            ],
            "From outside": [
                graph("Answers as it should", "none", {"{{instance}}": f"probe_success{{{MINE}}}"}),
                graph("Time to answer", "s", {"{{instance}}": f"probe_duration_seconds{{{MINE}}}"}),
            ],
            "Certificates": [
                graph(
                    "Days left of what is served",
                    "d",
                    {"{{instance}}": f"(probe_ssl_earliest_cert_expiry{{{MINE}}} - time()) / 86400"},
                ),
                graph(
                    "Days left",
                    "d",
                    {
                        "{{namespace}} {{name}}": '(certmanager_certificate_expiration_timestamp_seconds{namespace=~"$tenant.*"} - time()) / 86400'
                    },
                ),
            ],
        },
    )


DASHBOARDS: dict[str, Callable[[], Any]] = {
    "fleet": fleet,
    "tenant": tenant,
    "synapse": synapse,
    "postgresql": postgresql,
    "coturn": coturn,
    "edge": edge,
}


def texts() -> dict[str, str]:
    """Each dashboard's file name and JSON."""
    return {
        f"{name}.json": json.dumps(made(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
        for name, made in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (HERE / name).write_text(text, encoding="utf-8")
