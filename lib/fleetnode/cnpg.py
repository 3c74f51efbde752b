"""CloudNativePG's Cluster and Pooler as Pods: one PostgreSQL and one PgBouncer with what the objects say.

Parameters, roles, hba lines, names, labels, ports and certificates are the operator's; its instance manager, its
replicas and its failover are not here, so nothing about them is proved. Read in CloudNativePG 1.30: which parameters
it fixes (pkg/postgres/configuration.go), its hba lines, and how PgBouncer asks for passwords.
"""

from __future__ import annotations

import base64
from typing import Any

from fleetnode.certificates import Authority
from podrunner.objects import Object, Objects, identity

POSTGRES_USER, PGBOUNCER_USER = 26, 998
ASKER = "cnpg_pooler_pgbouncer"
"""The role by which PgBouncer asks for passwords."""


def expanded(objects: list[Object]) -> list[Object]:
    """The objects with every Cluster and Pooler joined by its Pods, in the Cluster's own wave."""
    made = [new for one in objects if one["kind"] == "Cluster" for new in _cluster(one)]
    made += [new for one in objects if one["kind"] == "Pooler" for new in _pooler(one)]
    return [*objects, *made]


def secrets(objects: list[Object], store: Objects) -> None:
    """What the operator would make: its authority for clients, and the certificate that PgBouncer logs in by."""
    for cluster in objects:
        if cluster["kind"] != "Cluster":
            continue
        _, namespace, name = identity(cluster)
        if store.get("Secret", namespace, f"{name}-pooler") is None:
            authority = Authority(f"{name} clients")
            certificate, key = authority.client(ASKER)
            data = {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.pem}
            encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
            store.add(
                {"kind": "Secret", "metadata": {"name": f"{name}-pooler", "namespace": namespace}, "data": encoded}
            )


def _cluster(cluster: Object) -> list[Object]:
    """A StatefulSet of one primary, and the Services -rw, -r and -ro."""
    _, namespace, name = identity(cluster)
    spec = cluster["spec"]
    labels = {
        **spec.get("inheritedMetadata", {}).get("labels", {}),
        "cnpg.io/cluster": name,
        "cnpg.io/instanceName": f"{name}-1",
        "cnpg.io/instanceRole": "primary",
        "cnpg.io/podRole": "instance",
    }
    files = {
        "postgresql.conf": _parameters(spec["postgresql"]["parameters"]),
        "pg_hba.conf": _hba(spec["postgresql"].get("pg_hba", [])),
        "initdb.sh": _INITDB,
        "roles.sql": _roles(spec),
        "reconcile.sh": _RECONCILE,
    }
    wave = cluster["metadata"].get("annotations", {})
    tls = spec["certificates"]["serverTLSSecret"]
    passwords = sorted(
        {role["passwordSecret"]["name"] for role in spec["managed"]["roles"] if "passwordSecret" in role}
    )
    mounts = [
        {"name": "data", "mountPath": "/var/lib/postgresql/data"},
        {"name": "configuration", "mountPath": "/etc/postgresql", "readOnly": True},
        {"name": "run", "mountPath": "/run/postgresql"},
        {"name": "tls", "mountPath": "/tls", "readOnly": True},
        {"name": "pooler", "mountPath": "/secrets/pooler", "readOnly": True},
        *({"name": f"password-{secret}", "mountPath": f"/secrets/{secret}", "readOnly": True} for secret in passwords),
    ]
    image = spec["imageName"]
    ready = {
        "exec": {"command": ["sh", "-c", "psql -XAtqc \"SELECT 1 FROM pg_roles WHERE rolname = 'ready'\" | grep -qx 1"]}
    }
    server = {
        "name": "postgres",
        "image": image,
        "command": [
            "postgres",
            "-D",
            "/var/lib/postgresql/data/pgdata",
            "-c",
            "config_file=/etc/postgresql/postgresql.conf",
        ],
        "env": [{"name": "PGHOST", "value": "/run/postgresql"}],
        "ports": [{"name": "postgresql", "containerPort": 5432}],
        "readinessProbe": {**ready, "periodSeconds": 1, "timeoutSeconds": 5},
        "volumeMounts": mounts,
    }
    keeper = {
        "name": "reconciler",
        "image": image,
        "command": ["sh", "/etc/postgresql/reconcile.sh"],
        "env": [{"name": "PGHOST", "value": "/run/postgresql"}],
        "volumeMounts": mounts,
    }
    owner = spec["bootstrap"]["initdb"]
    initdb = {
        "name": "bootstrap-controller",
        "image": image,
        "command": ["sh", "/etc/postgresql/initdb.sh", owner.get("encoding", "UTF8"), owner.get("localeCollate", "C")],
        "volumeMounts": mounts,
    }
    pod = {
        "securityContext": {"runAsUser": POSTGRES_USER, "runAsGroup": POSTGRES_USER, "fsGroup": POSTGRES_USER},
        "terminationGracePeriodSeconds": 120,
        "initContainers": [initdb],
        "containers": [server, keeper],
        "volumes": [
            {"name": "configuration", "configMap": {"name": f"{name}-instance"}},
            {"name": "run", "emptyDir": {"medium": "Memory"}},
            {"name": "tls", "secret": {"secretName": tls, "defaultMode": 0o440}},
            {"name": "pooler", "secret": {"secretName": f"{name}-pooler", "defaultMode": 0o440}},
            *({"name": f"password-{one}", "secret": {"secretName": one, "defaultMode": 0o440}} for one in passwords),
        ],
    }
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": spec["storage"]["size"]}}}}
    where = {"namespace": namespace, "annotations": wave}
    selector = {"cnpg.io/cluster": name, "cnpg.io/instanceRole": "primary"}
    return [
        {"kind": "ConfigMap", "metadata": {"name": f"{name}-instance", **where}, "data": files},
        {
            "kind": "StatefulSet",
            "metadata": {"name": name, **where},
            "spec": {
                "replicas": 1,
                "template": {"metadata": {"labels": labels}, "spec": pod},
                "volumeClaimTemplates": [claim],
            },
        },
        *(_service(f"{name}-{kind}", where, selector) for kind in ("rw", "r", "ro")),
    ]


def _pooler(pooler: Object) -> list[Object]:
    """A Deployment of one PgBouncer, and its Service."""
    _, namespace, name = identity(pooler)
    spec = pooler["spec"]
    cluster = spec["cluster"]["name"]
    settings = {
        "listen_addr": "*",
        "listen_port": "5432",
        "unix_socket_dir": "/tmp",
        "auth_type": "scram-sha-256",
        # The certificate is the proof: the role has no password.
        "auth_file": "/etc/pgbouncer/users.txt",
        "auth_user": ASKER,
        "auth_query": "SELECT usename, passwd FROM public.user_search($1)",
        "pool_mode": spec["pgbouncer"].get("poolMode", "session"),
        "client_tls_sslmode": "require",
        "client_tls_cert_file": "/tls/tls.crt",
        "client_tls_key_file": "/tls/tls.key",
        "server_tls_sslmode": "verify-ca",
        "server_tls_ca_file": "/tls/ca.crt",
        "server_tls_cert_file": "/secrets/pooler/tls.crt",
        "server_tls_key_file": "/secrets/pooler/tls.key",
        "log_stats": "0",
        "ignore_startup_parameters": "extra_float_digits,options",
        "server_reset_query": "DISCARD ALL",
        **spec["pgbouncer"].get("parameters", {}),
    }
    lines = ["[databases]", f"* = host={cluster}-{spec['type']}.{namespace}.svc.cluster.local", "[pgbouncer]"]
    lines += [f"{key} = {value}" for key, value in settings.items()]
    files = {"pgbouncer.ini": "\n".join(lines) + "\n", "users.txt": f'"{ASKER}" ""\n'}
    where = {"namespace": namespace, "annotations": pooler["metadata"].get("annotations", {})}
    labels = {**spec["template"]["metadata"].get("labels", {}), "cnpg.io/poolerName": name, "cnpg.io/podRole": "pooler"}
    labels |= {"cnpg.io/cluster-pooler": cluster}
    mounts = [
        {"name": "configuration", "mountPath": "/etc/pgbouncer", "readOnly": True},
        {"name": "tls", "mountPath": "/tls", "readOnly": True},
        {"name": "pooler", "mountPath": "/secrets/pooler", "readOnly": True},
    ]
    image = spec["template"]["spec"]["containers"][0]["image"]
    container = {
        "name": "pgbouncer",
        "image": image,
        "command": ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"],
        "ports": [{"name": "pgbouncer", "containerPort": 5432}],
        "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
        "volumeMounts": mounts,
    }
    pod = {
        "securityContext": {"runAsUser": PGBOUNCER_USER, "runAsGroup": PGBOUNCER_USER, "fsGroup": PGBOUNCER_USER},
        "containers": [container],
        "volumes": [
            {"name": "configuration", "configMap": {"name": f"{name}-pgbouncer"}},
            {"name": "tls", "secret": {"secretName": f"{cluster}-tls", "defaultMode": 0o440}},
            {"name": "pooler", "secret": {"secretName": f"{cluster}-pooler", "defaultMode": 0o440}},
        ],
    }
    return [
        {"kind": "ConfigMap", "metadata": {"name": f"{name}-pgbouncer", **where}, "data": files},
        {
            "kind": "Deployment",
            "metadata": {"name": name, **where},
            "spec": {"replicas": 1, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        _service(name, where, {"cnpg.io/poolerName": name}),
    ]


def _service(name: str, where: Object, selector: dict[str, str]) -> Object:
    ports = [{"name": "postgres", "protocol": "TCP", "port": 5432, "targetPort": 5432}]
    return {"kind": "Service", "metadata": {"name": name, **where}, "spec": {"selector": selector, "ports": ports}}


def _parameters(parameters: dict[str, str]) -> str:
    fixed = {
        "listen_addresses": "*",
        "port": "5432",
        "unix_socket_directories": "/run/postgresql",
        "hba_file": "/etc/postgresql/pg_hba.conf",
        "ssl": "on",
        "ssl_cert_file": "/tls/tls.crt",
        "ssl_key_file": "/tls/tls.key",
        "ssl_ca_file": "/secrets/pooler/ca.crt",
        "wal_level": "logical",
        "dynamic_shared_memory_type": "posix",
        "full_page_writes": "on",
    }
    return "".join(f"{key} = '{value}'\n" for key, value in {**fixed, **parameters}.items())


def _hba(lines: list[str]) -> str:
    """The operator's fixed lines, ours, and its default; not those of its replicas."""
    return "\n".join(
        ["local all all peer", f"hostssl all {ASKER} all cert", *lines, "host all all all scram-sha-256", ""]
    )


def _roles(spec: Object) -> str:
    """The managed roles, the database, and the function that the operator makes for PgBouncer."""
    initdb = spec["bootstrap"]["initdb"]
    database, owner = initdb["database"], initdb["owner"]
    lines = ["SET client_min_messages = warning;"]
    for role in spec["managed"]["roles"]:
        lines += _role(role)
    lines += [
        f"SELECT 'CREATE DATABASE {database} OWNER {owner}' "
        f"WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec",
        *_ASKER,
        f"\\connect {database}",
        *_ASKER_FUNCTION,
    ]
    # The last that is made: the readiness probe looks for it.
    lines += _created("ready")
    return "\n".join(lines) + "\n"


def _created(name: str) -> list[str]:
    return [f"SELECT 'CREATE ROLE {name}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') \\gexec"]


def _role(role: dict[str, Any]) -> list[str]:
    name = role["name"]
    flags = ("superuser", "createdb", "createrole", "replication", "bypassrls", "login", "inherit")
    words = [flag.upper() if role.get(flag) else f"NO{flag.upper()}" for flag in flags]
    lines = [
        *_created(name),
        f"ALTER ROLE {name} {' '.join(words)} CONNECTION LIMIT {role.get('connectionLimit', -1)};",
    ]
    lines += [f"GRANT {group} TO {name};" for group in role.get("inRoles", [])]
    if "passwordSecret" in role:
        lines += [
            f"\\set password `cat /secrets/{role['passwordSecret']['name']}/password`",
            f"ALTER ROLE {name} PASSWORD :'password';",
        ]
    elif role.get("disablePassword"):
        lines.append(f"ALTER ROLE {name} PASSWORD NULL;")
    return lines


_ASKER = [
    *_created(ASKER),
    f"ALTER ROLE {ASKER} LOGIN;",
]
_ASKER_FUNCTION = [
    "CREATE OR REPLACE FUNCTION public.user_search(uname TEXT) RETURNS TABLE (usename name, passwd text)",
    "  LANGUAGE sql SECURITY DEFINER AS 'SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename=$1;';",
    "REVOKE ALL ON FUNCTION public.user_search(text) FROM public;",
    f"GRANT EXECUTE ON FUNCTION public.user_search(text) TO {ASKER};",
]
_INITDB = """set -eu
data=/var/lib/postgresql/data/pgdata
[ -s $data/PG_VERSION ] || initdb --pgdata=$data --username=postgres --encoding=$1 --locale=$2 --data-checksums
"""
_RECONCILE = """set -eu
trap 'exit 0' TERM INT
until pg_isready -q; do sleep 0.2; done
psql -Xq -v ON_ERROR_STOP=1 -U postgres -d postgres -f /etc/postgresql/roles.sql
while :; do sleep 3600 & wait $!; done
"""
