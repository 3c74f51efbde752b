"""PostgreSQL as CloudNativePG runs it: a tenant's own, or the platform's with a database of each tenant."""

from collections.abc import Iterator

from matrixfleet.drawing import In, component
from matrixfleet.kubernetes.authority import SERVER, authority, signed
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import KEEP, PART_OF, budget, make
from matrixfleet.kubernetes.pods import EVICTABLE, LOGS, ROLLING, STANDBY, lost_node, scraped_by_annotations, spread
from matrixfleet.model.choices import Database, Metrics, Pooling
from matrixfleet.model.database import Server
from matrixfleet.model.fleet import PLATFORM, SHARED_NAMESPACE
from matrixfleet.plan import Plan, PlatformPlan, TenantPlan, waves
from matrixfleet.plan.backup import Archive
from matrixfleet.plan.database import METRICS_OF_INSTANCES, METRICS_OF_POOLERS, roles_on_shared
from matrixfleet.plan.names import component_name
from matrixfleet.plan.postgresql import settings_of
from matrixfleet.plan.secrets import AUTHORITY

API = "postgresql.cnpg.io/v1"
BARMAN = "barman-cloud.cloudnative-pg.io"
# The rules before these are the operator's own, and the rule behind them would admit any password from anywhere
# (pkg/postgres/configuration.go). Who may connect to a database is a member of the role that it is named after.
HBA = ("hostssl samerole all all scram-sha-256", "host all all all reject")
LOCALE = {"encoding": "UTF8", "localeCollate": "C", "localeCType": "C"}


@component("workload/cnpg")
def main(plan: TenantPlan | PlatformPlan) -> Iterator[Object | In]:
    """Certificates, Cluster and Pooler; for a tenant of a shared one its Database."""
    if isinstance(plan, TenantPlan) and plan.tenant.database.kind is Database.SHARED:
        yield In("shared", database(plan))
    server = plan.server if isinstance(plan, TenantPlan) else plan.target.platform.postgresql
    if server is None or (isinstance(plan, TenantPlan) and plan.tenant.database.kind is not Database.CNPG):
        return
    yield from authority(plan)
    # The operator reads it anew when it is renewed, for this label.
    reload = {"labels": {"cnpg.io/reload": ""}}
    yield signed(plan, "postgresql", SERVER, dnsNames=names(plan, server), secretTemplate=reload)
    yield cluster(plan, server)
    if plan.archive:
        yield from archived(plan, plan.archive)
    if server.pooling is Pooling.PGBOUNCER:
        yield pooler(plan, server)
        if server.pgbouncer.replicas > 1:
            yield budget(plan, "pgbouncer", "postgresql", waves.DATABASE, pooled(plan))


def names(plan: Plan, server: Server) -> list[str]:
    """Every name under which instances and poolers are asked for: a Pooler shows the server's certificate."""
    services = [plan.called(f"postgresql-{kind}") for kind in ("rw", "r", "ro")]
    services += [plan.called("pgbouncer")] if server.pooling is Pooling.PGBOUNCER else []
    endings = (
        "",
        f".{plan.namespace}",
        f".{plan.namespace}.svc",
        f".{plan.namespace}.svc.{plan.cluster.network.domain}",
    )
    return [service + ending for service in services for ending in endings]


def inherited(plan: TenantPlan | PlatformPlan, port: int) -> Object:
    """Metadata of the Pods that the operator makes; annotations tell a Prometheus without an operator of them."""
    made: Object = {"labels": {"app.kubernetes.io/part-of": PART_OF}, "annotations": dict(EVICTABLE)}
    if plan.cluster.metrics is Metrics.ANNOTATIONS:
        follows = isinstance(plan, TenantPlan) and plan.tenant.follows(plan.cluster.name)
        made["annotations"] |= scraped_by_annotations(port, "/metrics") | ({STANDBY: "true"} if follows else {})
    return made


def cluster(plan: TenantPlan | PlatformPlan, server: Server) -> Object:
    """A primary and its replicas. A commit waits for one replica while there is one: what was accepted outlives
    the primary."""
    tls = plan.called("postgresql-tls")
    many = server.instances > 1
    # A minute of messages is what a lost cluster costs at most; the operator's own is five.
    timeout = {"archive_timeout": "60s"} if plan.archive else {}
    spec = {
        "instances": server.instances,
        "imageName": plan.release.images.cloudnative_pg.reference,
        "enableSuperuserAccess": False,
        # With a single instance a budget could only forbid the drain.
        "enablePDB": many,
        "primaryUpdateStrategy": "unsupervised",
        "primaryUpdateMethod": "switchover" if many else "restart",
        "bootstrap": {"initdb": bootstrap(plan)},
        "managed": {"roles": list(managed_roles(plan))},
        "certificates": {"serverTLSSecret": tls, "serverCASecret": tls},
        "postgresql": {
            "parameters": settings_of(server) | timeout,
            "pg_hba": list(HBA),
            **({"synchronous": {"method": "any", "number": 1, "dataDurability": "preferred"}} if many else {}),
        },
        "storage": {
            "size": server.storage,
            "storageClass": plan.cluster.storage.database.name,
            "resizeInUseVolumes": True,
        },
        **({"plugins": [archiver(plan)]} if plan.archive else {}),
        "resources": {
            "requests": {
                "cpu": server.resources.cpu,
                "memory": server.resources.memory,
                "ephemeral-storage": "1Gi",
            },
            "limits": {"memory": server.resources.memory},
        },
        "affinity": {
            "enablePodAntiAffinity": True,
            # Two instances on one node are lost together. An instance without a node of its own waits.
            "podAntiAffinityType": "required" if many else "preferred",
            "topologyKey": "kubernetes.io/hostname",
        },
        "topologySpreadConstraints": spread({"cnpg.io/cluster": plan.called("postgresql")}),
        **({"priorityClassName": plan.priority_class} if plan.priority_class else {}),
        "seccompProfile": {"type": "RuntimeDefault"},
        "inheritedMetadata": inherited(plan, METRICS_OF_INSTANCES),
    }
    made = of_cnpg(plan, "Cluster", plan.called("postgresql"), spec, keep=True)
    if isinstance(plan, TenantPlan) and plan.tenant.active:
        # What was active before is built anew from another's archive and goes on with its own: one server's history.
        made["metadata"]["annotations"]["cnpg.io/skipEmptyWalArchiveCheck"] = "enabled"
        if plan.tenant.follows(plan.cluster.name):
            spec |= following(plan, plan.tenant.active)
    return made


def following(plan: TenantPlan, active: str) -> Object:
    """A replica cluster: it begins with a base backup of the active cluster's server and replays that one's archive."""
    parameters = {
        "barmanObjectName": plan.called("postgresql"),
        "serverName": component_name(plan.target.places[active][0], "postgresql"),
    }
    # What the API server would fill in is written out, or Argo CD reports it.
    origin = {"name": BARMAN, "enabled": True, "isWALArchiver": False, "parameters": parameters}
    return {
        "bootstrap": {"recovery": {"source": active, "database": "synapse", "owner": "synapse"}},
        "replica": {"enabled": True, "source": active},
        "externalClusters": [{"name": active, "plugin": origin}],
    }


def archiver(plan: TenantPlan | PlatformPlan) -> Object:
    """The plugin that archives the log. The in-tree Barman is on its way out of CloudNativePG."""
    parameters = {"barmanObjectName": plan.called("postgresql")}
    return {"name": BARMAN, "enabled": True, "isWALArchiver": True, "parameters": parameters}


def archived(plan: Plan, spec: Archive) -> Iterator[Object]:
    """Where the log and base backups go, and when base backups are made."""
    name = plan.called("postgresql")
    keys = {
        "accessKeyId": {"name": spec.secret, "key": "access_key_id"},
        "secretAccessKey": {"name": spec.secret, "key": "secret_access_key"},
    }
    store: Object = {
        "destinationPath": f"s3://{spec.bucket.bucket}/{spec.folder}",
        **({"endpointURL": spec.bucket.endpoint} if spec.bucket.endpoint else {}),
        **({"endpointCA": {"name": spec.secret, "key": AUTHORITY}} if spec.bucket.ca else {}),
        "s3Credentials": keys,
        "wal": {"compression": "gzip"},
        # A base backup begins at once, not at the end of the next spread checkpoint.
        "data": {"compression": "gzip", "immediateCheckpoint": True},
    }
    asked = {**dict(spec.resources), "ephemeral-storage": f"{LOGS}Mi"}
    resources = {"requests": asked, "limits": {"memory": spec.resources.memory}}
    variables = {"AWS_DEFAULT_REGION": spec.bucket.region, **spec.bucket.checksum_environment}
    env = [{"name": name, "value": value} for name, value in variables.items()]
    yield make(
        plan,
        "ObjectStore",
        "postgresql",
        api="barmancloud.cnpg.io/v1",
        name=name,
        wave=waves.SECRETS,
        spec={
            "configuration": store,
            "retentionPolicy": f"{spec.keep}d",
            "instanceSidecarConfiguration": {
                "env": env,
                "resources": resources,
                "retentionPolicyIntervalSeconds": 1800,
            },
        },
    )
    schedule = {
        # Seconds first.
        "schedule": f"0 {spec.schedule}",
        "backupOwnerReference": "cluster",
        "cluster": {"name": name},
        "immediate": True,
        "suspend": False,
        "method": "plugin",
        "pluginConfiguration": {"name": BARMAN},
    }
    yield of_cnpg(plan, "ScheduledBackup", name, schedule)


def bootstrap(plan: TenantPlan | PlatformPlan) -> Object:
    """The first database. The platform's own is nobody's: tenants have a Database each."""
    name = "synapse" if isinstance(plan, TenantPlan) else "platform"
    return {"database": name, "owner": name, "dataChecksums": True, **LOCALE}


def managed_roles(plan: TenantPlan | PlatformPlan) -> Iterator[Object]:
    """Of each database the owner, who logs in nowhere, and two who log in, with the password of one generation
    each. Fields that the operator would default are written out, or Argo CD reports them."""
    plain = {
        "ensure": "present",
        "connectionLimit": -1,
        "inherit": True,
        **dict.fromkeys(("superuser", "createdb", "createrole", "replication", "bypassrls"), False),
    }
    for roles, secrets in plan.managed_roles.values():
        yield {"name": roles.owner, "login": False, "disablePassword": True, **plain}
        for role, secret in secrets.items():
            password: Object = {"passwordSecret": {"name": secret}} if secret else {"disablePassword": True}
            yield {"name": role, "login": True, **password, "inRoles": [roles.owner], **plain}


def pooler(plan: TenantPlan | PlatformPlan, server: Server) -> Object:
    """PgBouncer before the primary, in session mode; the operator sees to its users and certificates."""
    connections = server.max_connections
    spec = {
        "cluster": {"name": plan.called("postgresql")},
        "instances": server.pgbouncer.replicas,
        "type": "rw",
        "pgbouncer": {
            "poolMode": "session",
            "parameters": {
                # A session holds its connection: fewer would have Synapse wait.
                "default_pool_size": str(connections),
                "max_client_conn": str(connections * 2),
                "server_login_retry": "1",
                "query_wait_timeout": "60",
            },
        },
        "deploymentStrategy": ROLLING,
        "template": {
            "metadata": inherited(plan, METRICS_OF_POOLERS),
            "spec": {
                **({"priorityClassName": plan.priority_class} if plan.priority_class else {}),
                "topologySpreadConstraints": spread(pooled(plan)),
                "tolerations": lost_node(),
                "containers": [
                    {
                        "name": "pgbouncer",
                        "image": plan.release.images.pgbouncer.reference,
                        "resources": {
                            "requests": {
                                "cpu": server.pgbouncer.resources.cpu,
                                "memory": server.pgbouncer.resources.memory,
                                "ephemeral-storage": f"{LOGS}Mi",
                            },
                            "limits": {"memory": server.pgbouncer.resources.memory},
                        },
                    }
                ],
            },
        },
    }
    return of_cnpg(plan, "Pooler", plan.called("pgbouncer"), spec)


def database(plan: TenantPlan) -> Object:
    """A tenant's database on the platform's server, where that is. Kept, whatever becomes of this object."""
    spec = {
        "cluster": {"name": component_name(PLATFORM, "postgresql")},
        "name": plan.database.name,
        "owner": roles_on_shared(plan.name).owner,
        "template": "template0",
        "ensure": "present",
        "databaseReclaimPolicy": "retain",
        **LOCALE,
    }
    return of_cnpg(plan, "Database", plan.called("postgresql"), spec, keep=True, namespace=SHARED_NAMESPACE)


def of_cnpg(plan: Plan, kind: str, name: str, spec: Object, *, keep: bool = False, namespace: str = "") -> Object:
    """An object of the operator's."""
    return make(
        plan,
        kind,
        "postgresql",
        api=API,
        name=name,
        namespace=namespace,
        wave=waves.DATABASE,
        annotations=KEEP if keep else None,
        spec=spec,
    )


def pooled(plan: Plan) -> dict[str, str]:
    """Labels of PgBouncer's Pods, as the operator sets them."""
    return {"cnpg.io/poolerName": plan.called("pgbouncer")}
