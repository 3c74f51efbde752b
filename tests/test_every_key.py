"""Every documented key is compiled: the model is walked, and a key that no fixture sets fails.

Fixtures are the reference fleet, the variants of test_plan.py, which are drawn there, and EXTRA here.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from fleets import TOP
from matrixfleet.checks import all_rules
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet
from matrixfleet.model.fleet import NamespaceTarget, PlatformTarget, TenantTarget
from matrixfleet.model.release import Images
from matrixfleet.model.workers import Named, Workers
from test_plan import EXTERNAL, MESH, OPERATOR, PROD, VARIANTS, changed, drawn

Path = tuple[str, ...]
SHARED_NAMESPACE = "ap1.matrix-tenants"


def documented(annotation: Any, path: Path = ()) -> Iterator[Path]:
    """Every key that may be set; `*` for an entry of a mapping or of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield (*path, name)
            yield from documented(field.annotation, (*path, name))
        return
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union, typing.Annotated):
        for one in inner if origin is not typing.Annotated else inner[:1]:
            yield from documented(one, path)
    elif origin in (dict, tuple):
        yield from documented(inner[1] if origin is dict else inner[0], (*path, "*"))


def shown(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every key that a parsed target sets."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            yield (*path, name)
            yield from shown(getattr(value, name), (*path, name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from shown(inner, (*path, "*"))
    elif isinstance(value, tuple):
        for inner in value:
            yield from shown(inner, (*path, "*"))


def of_fleet(fleet: Fleet, name: str) -> set[Path]:
    """The keys that a target and its platform set."""
    target, platform = fleet.target(name), fleet.platform(name)
    found = {key for field in PlatformTarget.model_fields for key in shown(getattr(platform, field), (field,))}
    if target.tenant:
        found |= {("matrix",), *shown(target.tenant, ("matrix",))}
    if target.namespace:
        found |= {("namespace",), *shown(target.namespace, ("namespace",))}
    return found | {(field,) for field in PlatformTarget.model_fields}


Changes = list[tuple[Path, Any]]
CA = typing.cast(Any, EXTERNAL["external"])["ca"]
PODS = {"namespace": "storage", "pods": {"app": "x"}, "service_account": "x"}
PEERS = [{"cidrs": ["10.30.0.0/24"]}, PODS]
REACH = [{"cidrs": ["10.30.0.0/24"], "port": 443}, {**PODS, "port": 9000}]
NEEDS = {"cpu": "200m", "memory": "600Mi"}
RATE = {"per_second": 2.5, "burst_count": 7}
POOL = {"replicas": 1, "resources": NEEDS}
SCALED = {**POOL, "autoscale": {"max_replicas": 3, "cpu_percent": 60}}
ALERTS = {"email": ["ops@example.com"], "slack": {"channel": "#ops", "generation": 2}, "webhook": {"generation": 2}}
ACCOUNT = {"namespace": "external-secrets", "name": "fleet"}
BRANDING = {
    "brand": "Chat",
    "logo": "https://example.com/l.svg",
    "welcome_background": "https://example.com/b.jpg",
    "footer_links": {"Imprint": "https://example.com/i"},
    "accent": "#112233",
    "default_theme": "custom-Night",
    "themes": [{"name": "Night", "is_dark": True, "colors": {"accent-color": "#112233"}}],
}
ACME = {"email": "ops@example.com", "dns01": {"route53": {"region": "one"}}}
LDAP = "ldap_auth_provider.LdapAuthProviderModule"
MANAGER = {"ui_url": "https://m.example.com/ui", "rest_url": "https://m.example.com/api"}


def bucket(name: str) -> dict[str, Any]:
    """A bucket of one's own, every key of it set."""
    found = {"endpoint": f"https://{name}.storage.example.net:9000", "region": "one", "bucket": name, "prefix": "prod"}
    found["checksums"] = "when_supported"
    return {**found, "generation": 2, "reach": REACH, "ca": CA}


def store(provider: str, **said: Any) -> Changes:
    """Secrets from a store that the platform describes."""
    made = {"name": "fleet", "provider": provider, provider: {**said, "account": ACCOUNT}}
    return [(("cluster", "secrets"), {"kind": "external-secrets", "path": "mine", "store": made})]


BACKUP = {
    "kind": "point-in-time",
    "bucket": bucket("first"),
    "second": bucket("second"),
    "lock": 7,
    "archiver": "pgbackrest",
    "schedule": "5 3 * * *",
    "drill": "5 5 * * 1",
    "keep": {"dumps": 9, "archive": 9, "media": 9},
    "resources": NEEDS,
    "scratch": "40Gi",
    "recipients": [
        "age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97r",
        "age13zrjcjzywuapuwttxy08hwrvh96fmmwprm2dktup7en9hseq43jskh47uf",
    ],
}
EDGE = ("cluster", "edge")
PLATFORM_TURN = {
    "host": "turn.eu1.example.com",
    "resources": NEEDS,
    "port": 3479,
    "tls": True,
    "tls_port": 5350,
    "secret": 2,
    "relay_ports": {"first": 49152, "last": 50000},
    "node_selector": {"turn": "yes"},
    "external_addresses": {"10.20.0.31": "203.0.113.31"},
}
EXTRA: dict[str, Changes] = {
    "what people see and reach": [
        *MESH,
        (("cluster", "storage", "least"), "2Gi"),
        (
            ("cluster", "storage", "scratch"),
            {"name": "scratch", "provisioner": "csi.example.com", "parameters": {"type": "ssd"}, "encrypted": True},
        ),
        (("matrix", "release"), "stable"),
        (("matrix", "calls"), "legacy"),
        (("matrix", "alerts"), ALERTS),
        (("matrix", "appservices"), {"irc": {"generation": 2, "reach": REACH, "ca": CA}}),
        (("releases", "stable", "modules"), {LDAP: {"keys": ["uri"], "secrets": ["bind_password_file"]}}),
        (
            ("matrix", "modules"),
            [
                {
                    "module": LDAP,
                    "id": "ldap",
                    "config": {"uri": "ldaps://ldap.example.com"},
                    "secrets": ["bind_password_file"],
                    "generation": 2,
                    "ca": CA,
                    "reach": REACH,
                }
            ],
        ),
        (
            ("matrix", "email"),
            {
                "host": "smtp.example.com",
                "user": "m",
                "sender": "m@example.com",
                "generation": 2,
                "reach": REACH,
                "ca": CA,
            },
        ),
        (("matrix", "consent"), {"version": "1", "text": "Be kind", "name": "Rules", "at_registration": False}),
        (
            ("matrix", "auth"),
            {
                "kind": "oidc",
                "providers": {
                    "sso": {
                        "preset": "keycloak",
                        "issuer": "https://sso.example.com/realms/main",
                        "client_id": "matrix",
                        "reach": REACH,
                        "ca": CA,
                        "mapping": {"display_name": "{{ user.name }}", "email": "{{ user.email }}"},
                    }
                },
            },
        ),
        (("matrix", "element", "resources"), NEEDS),
        (("matrix", "element", "branding"), BRANDING),
        (("matrix", "turn", "resources"), NEEDS),
        (("matrix", "turn", "tls_port"), 5350),
        (("matrix", "turn", "port"), 3479),
        (("cluster", "tenants", "node_ports"), [{"first": 3000, "last": 6000}, {"first": 49152, "last": 65535}]),
    ],
    "Synapse": [
        (("matrix", "synapse", "caches", "memory_share"), 0.4),
        (("matrix", "synapse", "log_level"), "WARNING"),
        (("matrix", "synapse", "max_upload_size"), "20Mi"),
        (
            ("matrix", "synapse", "old_signing_keys"),
            {"ed25519:a_1": {"key": "A" * 43, "expired_ts": 1_700_000_000_000}},
        ),
        (
            ("matrix", "synapse", "rate_limits"),
            dict.fromkeys(("message", "login_address", "login_account", "login_failed", "registration"), RATE),
        ),
    ],
    "workers": [
        (("matrix", "synapse", "signing_key"), "secret"),
        (("matrix", "database", "max_connections"), 500),
        (("matrix", "redis"), {"password": 2}),
        (
            ("matrix", "workers"),
            {
                **dict.fromkeys(
                    ("generic", "event_persister", "federation_sender", "pusher", "media_repository", "background"),
                    POOL,
                ),
                "client_reader": SCALED,
                "federation_reader": SCALED,
            },
        ),
    ],
    "backups, media in a bucket": [
        *MESH,
        (("matrix", "media"), {"kind": "s3", "s3": {**bucket("media"), "store_remote": False}}),
        (("matrix", "backup"), BACKUP),
    ],
    "a restore": [
        (("matrix", "backup"), BACKUP),
        (("matrix", "state"), "stopped"),
        (
            ("matrix", "restore"),
            {"name": "again", "source": "archive", "until": "2026-03-01T14:05:00Z", "timeline": 2, "media": False},
        ),
    ],
    "a homeserver on two clusters": [
        OPERATOR,
        (
            ("cluster", "operators", "cloudnative_pg"),
            {"version": "1.30.0", "barman_cloud": True, "namespace": "postgres-operator", "pods": {"app": "cnpg"}},
        ),
        (("matrix", "synapse", "signing_key"), "secret"),
        (("matrix", "media"), {"kind": "s3", "s3": bucket("media")}),
        (("matrix", "database", "kind"), "cnpg"),
        (
            ("matrix", "backup"),
            {key: value for key, value in BACKUP.items() if key != "archiver"} | {"bucket": bucket("first")},
        ),
        (("matrix", "active"), "eu1"),
    ],
    "a database elsewhere": [
        *MESH,
        (
            ("matrix", "database"),
            {
                **EXTERNAL,
                "external": {**typing.cast(Any, EXTERNAL["external"]), "reach": PEERS},
                "pooling": "pgbouncer",
                "pgbouncer": {"replicas": 2, "resources": NEEDS},
            },
        ),
    ],
    "addresses, a CNI and moves": [
        (("cluster", "edge", "addresses"), ["10.77.0.9/32"]),
        (("cluster", "network", "api_server", "service"), "10.96.0.1"),
        (("cluster", "network", "cni"), "aws-vpc-cni"),
        (("cluster", "network", "ip_family"), "ipv4"),
        (("matrix", "moves"), {"matrix.database.kind": "external -> statefulset"}),
        (("platform", "moves"), {"cluster.argocd.namespace": "argo -> argocd"}),
        (("releases", "stable", "charts", "cert_manager", "kubernetes"), {"first": "1.31", "last": "1.37"}),
        (("releases", "stable", "charts", "cert_manager", "supported_until"), "2099-12-31"),
        (("releases", "stable", "charts", "barman_cloud", "kubernetes"), {"first": "1.31", "last": "1.37"}),
        (("releases", "stable", "charts", "barman_cloud", "supported_until"), "2099-12-31"),
    ],
    "the platform's own": [
        *MESH,
        (("cluster", "operators", "cloudnative_pg"), {"version": "1.30.0", "barman_cloud": True}),
        (("matrix", "turn"), {"kind": "none"}),
        (("platform", "turn"), PLATFORM_TURN),
        (("platform", "alerts"), ALERTS),
        (
            ("platform", "element"),
            {
                "host": "element.example.net",
                "server_name": "example.com",
                "homeserver": "https://matrix.example.com",
                "branding": BRANDING,
                "integrations": MANAGER,
                "replicas": 2,
                "resources": NEEDS,
            },
        ),
        (
            ("platform", "postgresql"),
            {
                "resources": {"cpu": "1", "memory": "2Gi"},
                "instances": 2,
                "pooling": "pgbouncer",
                "pgbouncer": {"replicas": 2, "resources": NEEDS},
                "archive": {
                    "bucket": bucket("archive"),
                    "keep": 9,
                    "schedule": "5 2 * * *",
                    "resources": NEEDS,
                },
            },
        ),
    ],
    "the cluster": [
        *((key, value) for key, value in MESH if key[-1] == "mesh"),
        (
            ("cluster", "istio"),
            {
                "cni": True,
                "access_logs": True,
                "namespace": "mesh-system",
                "pods": {"app": "istiod"},
                "revision": "one",
                "proxy": NEEDS,
            },
        ),
        (
            ("cluster", "argocd"),
            {"namespace": "gitops", "repository": "https://git.example.com/f.git", "revision": "refs/heads/live"},
        ),
        (
            ("cluster", "issuers", "web", "acme"),
            {
                "server": "https://acme.example.net/dir",
                "email": "ops@example.com",
                "dns01": {"route53": {"region": "one"}},
            },
        ),
        (("cluster", "issuers", "dns", "acme", "server"), "https://acme.example.net/dir"),
        (("cluster", "logs", "lines_per_second"), 50),
        (("cluster", "logs", "resources"), NEEDS),
        (
            ("cluster", "logs", "store"),
            {"address": "https://loki.example.com", "user": "fleet", "generation": 2, "reach": REACH, "ca": CA},
        ),
        (("cluster", "monitoring", "runbooks"), "https://git.example.com/runbooks/"),
        (("cluster", "network", "dns"), PEERS),
        (("cluster", "network", "monitoring"), PODS),
        (("cluster", "network", "domain"), "fleet.internal"),
        (("cluster", "network", "nodes"), ["203.0.113.64/28"]),
        (
            ("cluster", "storage", "database"),
            {"name": "db", "provisioner": "csi.example.com", "parameters": {"a": "b"}, "encrypted": True},
        ),
        (
            ("cluster", "storage", "media"),
            {"name": "media", "provisioner": "csi.example.com", "parameters": {"a": "b"}, "encrypted": True},
        ),
        (
            ("cluster", "storage", "logs"),
            {"name": "logs", "provisioner": "csi.example.com", "parameters": {"a": "b"}, "encrypted": True},
        ),
        (("cluster", "tenants", "classes"), ["pattern.*", "feature.*"]),
        (("cluster", "tenants", "namespaces"), ["matrix-*", "chess-*"]),
        (("cluster", "tenants", "reserved_domains"), ["admin.example.com"]),
        (("cluster", "tenants", "size", "cluster"), {"cpu": "200", "memory": "900Gi", "storage": "40Ti", "pods": 900}),
        (
            ("cluster", "tracing"),
            {"kind": "jaeger", "host": "jaeger.example.com", "share": 0.01, "reach": {**PODS, "port": 6831}},
        ),
    ],
    "monitoring and tracing by networks": [
        (("cluster", "network", "monitoring"), {"cidrs": ["10.30.0.0/24"]}),
        (
            ("cluster", "tracing"),
            {"kind": "jaeger", "host": "jaeger.example.com", "reach": {"cidrs": ["10.30.0.0/24"], "port": 6831}},
        ),
    ],
    "Traefik's entry points": [
        ((*EDGE, "http_entrypoint"), "http"),
        ((*EDGE, "https_entrypoint"), "https"),
        ((*EDGE, "federation_on_8448"), True),
        ((*EDGE, "federation_entrypoint"), "fed"),
    ],
    "Amazon's balancer": [
        (
            EDGE,
            {
                "controller": "aws-alb",
                "class_name": "alb",
                "peers": [{"cidrs": ["10.40.0.0/24"]}],
                "source_ranges": ["203.0.113.0/24"],
                "certificate_arns": ["arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d"],
            },
        ),
    ],
    "Amazon's load balancer that finds certificates": [
        (
            EDGE,
            {
                "controller": "aws-alb",
                "class_name": "alb",
                "peers": [{"cidrs": ["10.40.0.0/24"]}],
                "certificate_discovery": True,
            },
        ),
    ],
    "Google's load balancer": [
        (
            EDGE,
            {
                "controller": "gke",
                "class_name": "gce",
                "peers": [{"cidrs": ["130.211.0.0/22", "35.191.0.0/16"]}],
                "trusted_hops": 2,
                "ssl_policy": "modern",
            },
        ),
        (("cluster", "issuers", "web", "acme"), ACME),
    ],
    "Envoy Gateway": [
        (EDGE, {"controller": "gateway-api", "class_name": "envoy", "envoy_gateway": True, "peers": [PODS]}),
    ],
    "somebody's Gateway": [
        (
            EDGE,
            {
                "controller": "gateway-api",
                "class_name": "envoy",
                "peers": [PODS],
                "gateway": {
                    "namespace": "gateways",
                    "name": "public",
                    "http_listener": "web",
                    "https_listeners": ["tls"],
                },
            },
        ),
    ],
    "Google's store": store("gcp", project="one", cluster_location="one", cluster_name="one"),
    "Azure's store": store("azure", vault_url="https://fleet.vault.azure.net"),
    "Kubernetes as a store": store(
        "kubernetes", server="https://k8s.example.net", ca="external-secrets/ca", namespace="secrets"
    ),
    "Vault as a store": store("vault", server="https://vault.example.com", mount="kv", auth_mount="k8s", role="fleet"),
    "the Vault operator": [
        (("cluster", "secrets"), {"kind": "vault", "vault": {"auth": "vault/default", "mount": "kv"}})
    ],
    "digests": [
        (("cluster", "require_digests"), True),
        *((("releases", "stable", "images", name, "digest"), "sha256:" + "0" * 64) for name in Images.model_fields),
    ],
}


def with_namespace(fleet: Fleet) -> Fleet:
    """A namespace for several tenants, every key of it set."""
    quota = {
        "cpu": "8",
        "memory": "24Gi",
        "pods": 60,
        "claims": 12,
        "storage": "200Gi",
        "balancers": 1,
        "node_ports": 44,
    }
    return fleet.changed(SHARED_NAMESPACE, ("namespace",), {"quota": quota, "release": "stable"})


def fixtures(fleet: Fleet) -> Iterator[set[Path]]:
    """What each fixture sets."""
    for name in fleet.names:
        yield of_fleet(fleet, name)
    for changes in (*VARIANTS.values(), *EXTRA.values()):
        yield of_fleet(changed(fleet, *changes), PROD)
    yield of_fleet(with_namespace(fleet), SHARED_NAMESPACE)


def row(path: Path) -> Path:
    """A key, every image being a row of one table."""
    return (*path[:3], "*", *path[4:]) if path[:3] == ("releases", "*", "images") and len(path) > 4 else path


NEVER = {
    # Refused with a reason, and so documented.
    *(
        ("matrix", "workers", name, "autoscale")
        for name, field in Workers.model_fields.items()
        if field.annotation is Named
    ),
}


def test_every_documented_key_is_compiled(fleet: Fleet) -> None:
    wanted = {row(path) for model in (TenantTarget, PlatformTarget, NamespaceTarget) for path in documented(model)}
    held = {row(path) for found in fixtures(fleet) for path in found}
    missing = sorted(".".join(path) for path in wanted - held - NEVER)
    assert not missing, "no fixture compiles " + ", ".join(missing)


@pytest.mark.parametrize("kind", EXTRA)
def test_each_of_them_is_drawn_and_holds(kind: str, fleet: Fleet) -> None:
    after = changed(fleet, *EXTRA[kind])
    assert after.clashes == ()
    tree = drawn(after)
    assert not tree.broken
    found = [finding for rule in all_rules() if not rule.whole_fleet for finding in rule.check(tree)]
    assert [str(one) for one in found] == []


def test_a_shared_namespace_of_a_release(fleet: Fleet) -> None:
    assert draw_target(with_namespace(fleet), SHARED_NAMESPACE, TOP)
