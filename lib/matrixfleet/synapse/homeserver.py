"""homeserver.yaml: whole at compile time, since Synapse merges several files only at the top level.

Option names are those of docs/usage/configuration/config_documentation.md; a test holds each against the
pinned version's, since Synapse's parser accepts unknown ones silently.
"""

from typing import Any

from matrixfleet.model.choices import SigningKey, Tracing
from matrixfleet.model.resources import Resources
from matrixfleet.model.tenant import Rate, Tenant
from matrixfleet.model.types import bytes_of
from matrixfleet.model.workers import WorkerResources
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.families import any_address
from matrixfleet.plan.networks import denied
from matrixfleet.plan.processes import Kind, Process
from matrixfleet.plan.storage import MEDIA
from matrixfleet.synapse.accounts import accounts, consent, email, retention, services, single_sign_on

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
        **accounts(plan),
        **single_sign_on(plan),
        **consent(tenant),
        **email(tenant.email),
        **services(plan),
        **retention(tenant),
        **rate_limits(tenant),
        **caches(tenant, tenant.synapse.resources),
        "presence": {"enabled": tenant.synapse.presence},
        **turn(plan),
        **workers(plan),
        **lock(plan),
        **tracing(plan),
        "log_config": "/etc/synapse/log.yaml",
    }


def listeners(plan: TenantPlan) -> Options:
    """Ports as the plan names them. Behind the router, whose X-Forwarded-For is believed: it writes
    exactly one address, and no other Pod reaches this port."""
    return {"listeners": listening(plan, plan.processes[0]), "enable_metrics": True}


def listening(plan: TenantPlan, process: Process) -> list[Options]:
    """The listeners of one process, by the ports that its workload has."""
    # openid/userinfo is below /_matrix/federation, and is what integration managers and call services ask, not servers.
    public = ["client", "federation" if plan.tenant.synapse.federation.enabled else "openid"]
    if process.component == "media-repository":
        public = ["media"]
    elif process.kind is Kind.MAIN and plan.tenant.consent:
        public.append("consent")
    found: list[Options] = []
    for name, port in plan.workloads[process.component].ports.items():
        listener: Options = {"port": port, "type": "metrics" if name == "metrics" else "http"}
        listener["bind_addresses"] = [any_address(plan.cluster.network)]
        if name == "http":
            listener["x_forwarded"] = True
        if name != "metrics":
            names = public if name == "http" else [name]
            listener["resources"] = [{"names": names, "compress": False}]
        found.append(listener)
    return found


def database(plan: TenantPlan) -> Options:
    """PostgreSQL with its certificate verified. Keepalives find a dead server within half a minute."""
    pool = plan.tenant.synapse.connection_pool
    args = {
        "user": plan.database.login,
        "dbname": plan.database.name,
        "host": plan.database.door.host,
        "port": plan.database.door.port,
        "sslmode": "verify-full",
        "sslrootcert": "/tls/database/ca.crt" if plan.database.authority else "/etc/synapse/database-ca.crt",
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
    options: Options = {f"{key}_path": own.path(key) for key, _ in own.keys}
    if plan.tenant.synapse.signing_key is SigningKey.VOLUME:
        folder = next(volume.mount for volume in plan.volumes if volume.purpose == "signing-key")
        options["signing_key_path"] = f"{folder}/signing.key"
    else:
        options["signing_key_path"] = plan.secret("signing-key").path("signing.key")
    if old := plan.tenant.synapse.old_signing_keys:
        options["old_signing_keys"] = {name: key.model_dump() for name, key in old.items()}
    if not plan.tenant.auth.registration.shared_secret:
        del options["registration_shared_secret_path"]
    return options


def media(plan: TenantPlan) -> Options:
    """Media on its volume or in its bucket, and previews that cannot be used to look into private networks."""
    tenant = plan.tenant
    nobody = denied(plan.cluster.network)
    options: Options = {
        "media_store_path": MEDIA,
        **bucket(tenant),
        "max_upload_size": upload_limit(tenant),
        "ip_range_blacklist": nobody,
        "url_preview_enabled": tenant.synapse.url_previews,
    }
    # Names of this cluster's own homeservers lead there (synapse: ip_range_whitelist wins over the blacklist).
    own = {"ip_range_whitelist": list(plan.cluster.edge.addresses)} if plan.cluster.edge.addresses else {}
    options |= own
    if tenant.synapse.url_previews:
        options["url_preview_ip_range_blacklist"] = nobody
        options |= {f"url_preview_{key}": value for key, value in own.items()}
    return options


def upload_limit(tenant: Tenant) -> str | int:
    """The largest upload as Synapse reads it: to the byte what the router lets through."""
    size = bytes_of(tenant.synapse.max_upload_size)
    return size if size % _MIB else f"{size // _MIB}M"


def tracing(plan: TenantPlan) -> Options:
    """Spans to an agent, by jaeger-client's own options (its README). No other homeserver is told of them: the list of
    those is empty."""
    spec = plan.cluster.tracing
    if spec.kind is Tracing.NONE or spec.reach is None:
        return {}
    config = {
        "sampler": {"type": "probabilistic", "param": spec.share},
        "local_agent": {"reporting_host": spec.host, "reporting_port": spec.reach.port},
        "logging": False,
    }
    return {"opentracing": {"enabled": True, "homeserver_whitelist": [], "jaeger_config": config}}


def bucket(tenant: Tenant) -> Options:
    """The S3 storage provider. Synchronous, so that an upload which was answered is in the bucket, and whatever
    is in the cache may go: it is a copy. The provider reads what it uploads from media_store_path, so
    `enable_local_media_storage: false` does not go with it (matrix-org/synapse-s3-storage-provider#162)."""
    spec = tenant.media.s3
    if spec is None:
        return {}
    config = {
        "bucket": spec.bucket,
        "region_name": spec.region,
        **({"endpoint_url": spec.endpoint} if spec.endpoint else {}),
        "prefix": f"{tenant.folder(spec)}/",
    }
    provider = {
        "module": "s3_storage_provider.S3StorageProviderBackend",
        "store_local": True,
        "store_remote": spec.store_remote,
        "store_synchronous": True,
        "config": config,
    }
    return {"media_storage_providers": [provider]}


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
        if "matrix.org" not in spec.allow:
            # Synapse would ask it all the same, be refused by itself, and log a traceback for each key.
            options["trusted_key_servers"] = []
    return options


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


def caches(tenant: Tenant, resources: Resources | WorkerResources) -> Options:
    """Sizes by the factor, and a ceiling by what jemalloc says is used of a process's own limit. All three
    sub-options are needed for it to act (synapse/config/cache.py)."""
    spec = tenant.synapse.caches
    ceiling = int(bytes_of(resources.memory) * spec.memory_share) // _MIB
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
    if not plan.turn_uris:
        return {}
    return {
        "turn_uris": list(plan.turn_uris),
        "turn_shared_secret_path": plan.secret("turn").path("shared_secret"),
        "turn_user_lifetime": "1h",
        "turn_allow_guests": plan.tenant.synapse.guests,
    }


def workers(plan: TenantPlan) -> Options:
    """Who does what, in the words that every process reads alike. Names of processes are names of Pods."""
    if len(plan.processes) == 1:
        return {}
    secret = plan.secret("workers")
    instances: Options = {}
    writers: dict[str, list[str]] = {}
    for process in plan.processes:
        if not process.replicates:
            continue
        port = plan.workloads[process.component].ports["replication"]
        if process.kind is Kind.MAIN:
            instances["main"] = {"host": plan.address("synapse"), "port": port}
            continue
        for member in plan.members(process):
            instances[member] = {"host": plan.member_address(process, member), "port": port}
            for stream in process.streams:
                writers.setdefault(stream, []).append(member)
    options: Options = {
        "redis": {
            "enabled": True,
            "host": plan.address("redis"),
            "port": plan.workloads["redis"].ports["redis"],
            "password_path": secret.path("redis_password"),
        },
        "worker_replication_secret_path": secret.path("replication_secret"),
        "instance_map": instances,
    }
    if writers:
        options["stream_writers"] = writers
    return options | duties(plan)


def lock(plan: TenantPlan) -> Options:
    """Main's volume where it keeps nothing else: mounted is what matters, since one Pod alone can."""
    locked = next((volume for volume in plan.volumes_for("synapse") if volume.purpose == "lock"), None)
    return {"pid_file": f"{locked.mount}/homeserver.pid"} if locked else {}


def duties(plan: TenantPlan) -> Options:
    """Duties that main hands over, each to the processes that are named for it and to nobody else."""
    pools = {process.component: plan.members(process) for process in plan.processes}
    options: Options = {}
    if "federation-sender" in pools:
        options["federation_sender_instances"] = pools["federation-sender"]
    if "pusher" in pools:
        options["pusher_instances"] = pools["pusher"]
    if "background" in pools:
        (background,) = pools["background"]
        options |= {
            "run_background_tasks_on": background,
            "update_user_directory_from_worker": background,
            "notify_appservices_from_worker": background,
        }
    if "media-repository" in pools:
        # Of several the first: it has the previews that it clears away.
        media_repository, *_ = pools["media-repository"]
        options |= {
            "enable_media_repo": False,
            "media_instance_running_background_jobs": media_repository,
        }
    return options


def worker(plan: TenantPlan, process: Process) -> Options:
    """worker.yaml, read after homeserver.yaml: what differs for one pool. The worker's own name is the
    one line that only its Pod knows, and comes last."""
    return {
        "worker_app": process.app,
        "worker_listeners": listening(plan, process),
        "worker_log_config": "/etc/synapse-worker/log.yaml",
        # Main's limit is not this one's: below main's ceiling it would be killed before a cache was cut back.
        **caches(plan.tenant, process.resources),
        # Media is one process's: another would make its folder at start, on a root that it cannot write.
        "enable_media_repo": process.component == "media-repository",
    }


def logging_of(plan: TenantPlan, process: Process) -> Options:
    """JSON lines on stdout, and on the logs' volume where there is one: five files that fill four fifths
    of it at most. SQL is kept out of the log: at DEBUG it would hold what people write."""
    handlers: Options = {
        "console": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    }
    logs = next((volume for volume in plan.volumes_for(process.component) if volume.purpose == "logs"), None)
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
