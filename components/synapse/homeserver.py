"""homeserver.yaml: whole at compile time, since Synapse merges several files only at the top level.

Option names are those of docs/usage/configuration/config_documentation.md; a test holds each against the
pinned version's, since Synapse's parser accepts unknown ones silently.
"""

from typing import Any

from matrixfleet.model.choices import SigningKey
from matrixfleet.model.tenant import Rate, Tenant
from matrixfleet.model.types import bytes_of
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.networks import denied

Options = dict[str, Any]
_MIB = 1024**2


def homeserver(plan: TenantPlan) -> Options:
    """The configuration of the main process."""
    tenant = plan.tenant
    return {
        "server_name": tenant.server_name,
        "public_baseurl": f"https://{tenant.hosts.matrix}/",
        "report_stats": False,
        **listeners(plan),
        **database(plan),
        **secrets(plan),
        **media(plan),
        **federation(tenant),
        **accounts(tenant),
        **rate_limits(tenant),
        **caches(tenant),
        "presence": {"enabled": tenant.synapse.presence},
        **turn(plan),
        "log_config": "/etc/synapse/log.yaml",
    }


def listeners(plan: TenantPlan) -> Options:
    """Ports as the plan names them. Behind the router, whose X-Forwarded-For is believed: it writes
    exactly one address, and no other Pod reaches this port."""
    ports = plan.workloads["synapse"].ports
    names = ["client", "federation"] if plan.tenant.synapse.federation.enabled else ["client"]
    http = {
        "port": ports["http"],
        "type": "http",
        "bind_addresses": ["0.0.0.0"],
        "x_forwarded": True,
        "resources": [{"names": names, "compress": False}],
    }
    metrics = {"port": ports["metrics"], "type": "metrics", "bind_addresses": ["0.0.0.0"]}
    return {"listeners": [http, metrics], "enable_metrics": True}


def database(plan: TenantPlan) -> Options:
    """PostgreSQL with its certificate verified. Keepalives find a dead server within half a minute."""
    pool = plan.tenant.synapse.connection_pool
    args = {
        "user": plan.login_role,
        "dbname": "synapse",
        "host": plan.address("postgresql"),
        "port": plan.workloads["postgresql"].ports["postgresql"],
        "sslmode": "verify-full",
        "sslrootcert": "/tls/database/ca.crt",
        "cp_min": pool.min,
        "cp_max": pool.max,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    return {"database": {"name": "psycopg2", "args": args}}


def secrets(plan: TenantPlan) -> Options:
    """Files, each by its `_path` option: nothing secret stands in this configuration."""
    own = plan.secret("synapse")
    options = {f"{key}_path": own.path(key) for key, _ in own.keys}
    if plan.tenant.synapse.signing_key is SigningKey.VOLUME:
        folder = next(volume.mount for volume in plan.volumes if volume.purpose == "signing-key")
        options["signing_key_path"] = f"{folder}/signing.key"
    else:
        options["signing_key_path"] = plan.secret("signing-key").path("signing.key")
    if not plan.tenant.auth.registration.shared_secret:
        del options["registration_shared_secret_path"]
    return options


def media(plan: TenantPlan) -> Options:
    """Media on its volume, and previews that cannot be used to look into private networks."""
    tenant = plan.tenant
    folder = next(volume.mount for volume in plan.volumes if volume.purpose == "media")
    nobody = denied(plan.cluster.network.private)
    options: Options = {
        "media_store_path": folder,
        "max_upload_size": f"{bytes_of(tenant.synapse.max_upload_size) // _MIB}M",
        "ip_range_blacklist": nobody,
        "url_preview_enabled": tenant.synapse.url_previews,
    }
    if tenant.synapse.url_previews:
        options["url_preview_ip_range_blacklist"] = nobody
    return options


def federation(tenant: Tenant) -> Options:
    """Whom it talks to. Keys of other servers come from themselves and, for those that are gone, from
    matrix.org, as Synapse does by default."""
    spec = tenant.synapse.federation
    if not spec.enabled:
        return {"federation_domain_whitelist": [], "trusted_key_servers": []}
    options: Options = {
        "trusted_key_servers": [{"server_name": "matrix.org"}],
        "suppress_key_server_warning": True,
    }
    if spec.allow:
        options["federation_domain_whitelist"] = list(spec.allow)
    return options


def accounts(tenant: Tenant) -> Options:
    """Who may be somebody here."""
    return {
        "enable_registration": False,
        "allow_guest_access": tenant.synapse.guests,
        "password_config": {"enabled": True},
    }


def rate_limits(tenant: Tenant) -> Options:
    """Token buckets."""
    limits = tenant.synapse.rate_limits

    def bucket(rate: Rate) -> Options:
        return {"per_second": rate.per_second, "burst_count": rate.burst_count}

    return {
        "rc_message": bucket(limits.message),
        "rc_registration": bucket(limits.registration),
        "rc_login": {
            "address": bucket(limits.login_address),
            "account": bucket(limits.login_account),
            "failed_attempts": bucket(limits.login_failed),
        },
    }


def caches(tenant: Tenant) -> Options:
    """Sizes by the factor, and a ceiling by what jemalloc says is used. All three sub-options are needed
    for it to act (synapse/config/cache.py)."""
    spec = tenant.synapse.caches
    ceiling = int(bytes_of(tenant.synapse.resources.memory) * spec.memory_share) // _MIB
    return {
        "caches": {
            "global_factor": spec.global_factor,
            "cache_autotuning": {
                "max_cache_memory_usage": f"{ceiling}M",
                "target_cache_memory_usage": f"{ceiling * 4 // 5}M",
                "min_cache_ttl": "5m",
            },
        }
    }


def turn(plan: TenantPlan) -> Options:
    """Where calls find their relay; clients get credentials that end after an hour."""
    if not plan.has_turn:
        return {}
    spec, host = plan.tenant.turn, plan.tenant.hosts.turn
    uris = [f"turn:{host}:{spec.port}?transport={transport}" for transport in ("udp", "tcp")]
    if spec.tls:
        uris.append(f"turns:{host}:{spec.tls_port}?transport=tcp")
    return {
        "turn_uris": uris,
        "turn_shared_secret_path": plan.secret("turn").path("shared_secret"),
        "turn_user_lifetime": "1h",
        "turn_allow_guests": plan.tenant.synapse.guests,
    }


def logging_of(plan: TenantPlan) -> Options:
    """JSON lines on stdout, and on the logs' volume where there is one: five files that fill four fifths
    of it at most. SQL is kept out of the log: at DEBUG it would hold what people write."""
    handlers: Options = {
        "console": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    }
    logs = next((volume for volume in plan.volumes if volume.purpose == "logs"), None)
    if logs:
        handlers["file"] = {
            "class": "logging.handlers.RotatingFileHandler",
            "formatter": "json",
            "filename": f"{logs.mount}/synapse.log",
            "maxBytes": bytes_of(logs.size) * 4 // 5 // 5,
            "backupCount": 4,
            "encoding": "utf8",
        }
    return {
        "version": 1,
        "formatters": {"json": {"class": "synapse.logging.TerseJsonFormatter"}},
        "handlers": handlers,
        "loggers": {"synapse.storage.SQL": {"level": "INFO"}},
        "root": {"level": plan.tenant.synapse.log_level, "handlers": list(handlers)},
        "disable_existing_loggers": False,
    }
