"""What follows from what was said, for what the reference fleet does not show."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, StrictUndefined

from fleets import TOP
from matrixfleet.checks import Tree, run
from matrixfleet.drawing import draw_target
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet
from matrixfleet.model.cluster import Network
from matrixfleet.plan import TenantPlan, plan_of
from matrixfleet.plan.networks import denied_ranges, public
from matrixfleet.plan.postgresql import settings_of
from matrixfleet.synapse.homeserver import homeserver

PROD = "eu1.matrix-prod"


def changed(fleet: Fleet, *changes: tuple[tuple[str, ...], Any], name: str = PROD) -> Fleet:
    for key, value in changes:
        fleet = fleet.changed(name if key[0] == "matrix" else fleet.platform_name(name), key, value)
    return fleet


def drawn(fleet: Fleet, name: str = PROD) -> Tree:
    """One target, and its cluster's platform."""
    texts = {}
    for target in (name, f"{name.partition('.')[0]}.platform"):
        for path, text in draw_target(fleet, target, TOP).items():
            texts[f"{target.replace('.', '/')}/{path}"] = text
    return Tree.of(texts, fleet)


WORKERS = {
    "generic": {"replicas": 3},
    "client_reader": {"replicas": 2, "autoscale": {"max_replicas": 4}},
    "federation_reader": {"replicas": 1},
    "event_persister": {"replicas": 2},
    "federation_sender": {"replicas": 2},
    "pusher": {"replicas": 1},
    "media_repository": {"replicas": 1},
    "background": {"replicas": 1},
    "stream_writers": {
        "ephemeral": {"streams": ["typing", "to_device", "presence"]},
        "accounts": {"streams": ["account_data", "receipts", "push_rules", "device_lists"]},
    },
}
WITH_WORKERS: list[tuple[tuple[str, ...], Any]] = [
    (("matrix", "workers"), WORKERS),
    (("matrix", "synapse", "signing_key"), "secret"),
    (("matrix", "database", "max_connections"), 500),
    (("matrix", "router"), {"replicas": 2}),
]
PRIVATE_SSO = {
    "kind": "oidc",
    "password": False,
    "providers": {
        "sso": {
            "preset": "keycloak",
            "issuer": "https://sso.example.com/realms/main",
            "client_id": "matrix",
            "reach": [
                {"cidrs": ["10.30.0.0/24"], "port": 443},
                {"namespace": "sso", "pods": {"app": "keycloak"}, "port": 8443},
            ],
        }
    },
}

EXTERNAL = {
    "kind": "external",
    "external": {
        "host": "postgres.example.net",
        "port": 5433,
        "name": "chat",
        "user": "chat_app",
        "ca": """-----BEGIN CERTIFICATE-----
MIIBkTCCATegAwIBAgIUE15w2RZYkcFdIcH0C/8HDzCp4d0wCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTRXhhbXBsZSBEYXRhYmFzZSBDQTAeFw0yNjExMjQxMDAzMjla
Fw0zNjExMjExMDAzMjlaMB4xHDAaBgNVBAMME0V4YW1wbGUgRGF0YWJhc2UgQ0Ew
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASkS1jZlwrqs3NP84bUAxi8jkoebABr
E6KgU2hnJJvW4pYEnUC4cUb6AoXiBM6x8TW3css5VJRtY9RqLN9tyV1lo1MwUTAd
BgNVHQ4EFgQU4g9UxWOWpQIjR8hu2Ipbllyj0GgwHwYDVR0jBBgwFoAU4g9UxWOW
pQIjR8hu2Ipbllyj0GgwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBF
AiEAzDzS65S+IhMg6GIoYzgHPZWj3E32ycpiTqis5Ro9/UcCIEvVMgIGFFCNtY79
AjzZi0sRtYEgSMXRornVwwdCLu92
-----END CERTIFICATE-----
""",
    },
}
MESH: list[tuple[tuple[str, ...], Any]] = [(("cluster", "mesh"), "istio"), (("cluster", "istio"), {"cni": True})]
OPERATOR = (("cluster", "operators", "cloudnative_pg"), {"version": "1.30.0"})
SHARED = (("platform", "postgresql"), {"resources": {"cpu": "1", "memory": "4Gi"}, "max_connections": 200})

BUCKET = {
    "endpoint": "https://minio.storage.example.net:9000",
    "region": "us-east-1",
    "bucket": "media",
    "prefix": "prod",
    "store_remote": False,
    "ca": EXTERNAL["external"]["ca"],  # type: ignore[index]
    "reach": [{"namespace": "minio", "pods": {"app": "minio"}, "port": 9000}],
}

# Everything a tenant may say that changes shape, each drawn and held against every rule.
VARIANTS: dict[str, list[tuple[tuple[str, ...], Any]]] = {
    "STOPPED": [(("matrix", "state"), "stopped")],
    "Metrics NONE": [(("cluster", "metrics"), "none"), (("cluster", "network", "monitoring"), None)],
    "all workers": WITH_WORKERS,
    "all workers, stopped": [*WITH_WORKERS, (("matrix", "state"), "stopped")],
    "a few workers": [
        (("matrix", "workers"), {"generic": {"replicas": 2}}),
        (("matrix", "synapse", "signing_key"), "secret"),
    ],
    "the largest size": [(("matrix", "size"), "xlarge"), (("matrix", "synapse", "signing_key"), "secret")],
    "media in a bucket": [(("matrix", "media"), {"kind": "s3", "s3": {"region": "eu-central-1", "bucket": "media"}})],
    "media in a bucket of one's own": [(("matrix", "media"), {"kind": "s3", "cache": "1Gi", "s3": BUCKET})],
    "media in a bucket, all workers": [
        *WITH_WORKERS,
        (("matrix", "workers", "media_repository"), {"replicas": 3}),
        (("matrix", "media"), {"kind": "s3", "s3": BUCKET}),
    ],
    "Mesh ISTIO": MESH,
    "Mesh ISTIO, all workers, PGBOUNCER": [
        *WITH_WORKERS,
        (("matrix", "database", "pooling"), "pgbouncer"),
        MESH[0],
        (MESH[1][0], {"cni": True, "revision": "1-29-1", "proxy": {"cpu": "50m", "memory": "96Mi"}}),
    ],
    "Mesh ISTIO, its edge outside, scraped by annotations": [*MESH, (("cluster", "metrics"), "annotations")],
    "Mesh ISTIO, CNPG, TURN DEPLOYMENT": [
        *MESH,
        OPERATOR,
        (("matrix", "database", "kind"), "cnpg"),
        (("matrix", "turn"), {"kind": "deployment", "external_address": "203.0.113.9"}),
    ],
    "Mesh ISTIO of this tenant alone": [MESH[1], (("matrix", "mesh"), "istio")],
    "Mesh ISTIO, this tenant in Mesh NONE": [*MESH, (("matrix", "mesh"), "none")],
    "Mesh ISTIO, a private provider, mail, an EXTERNAL database": [
        *MESH,
        (("matrix", "auth"), PRIVATE_SSO),
        (("matrix", "email"), {"host": "smtp.example.com", "user": "matrix", "sender": "chat@example.com"}),
        (("matrix", "database"), {**EXTERNAL, "pooling": "pgbouncer"}),
    ],
    "metrics by annotations": [(("cluster", "metrics"), "annotations")],
    "no TURN over TLS": [(("matrix", "turn", "tls"), False)],
    "TURN on some nodes": [(("matrix", "turn", "node_selector"), {"turn": "yes"})],
    "TURN on nodes behind NAT": [(("matrix", "turn", "external_addresses"), {"10.20.0.31": "203.0.113.31"})],
    "TURN DEPLOYMENT": [(("matrix", "turn"), {"kind": "deployment", "external_address": "203.0.113.9"})],
    "TURN by deployment, scraped by annotations, other ports": [
        (
            ("matrix", "turn"),
            {
                "kind": "deployment",
                "external_address": "203.0.113.9",
                "port": 443,
                "tls": False,
                "relay_ports": {"first": 50000, "last": 50047},
                "annotations": {"metallb.io/loadBalancerIPs": "203.0.113.9"},
                "node_selector": {"turn": "yes"},
            },
        ),
        (("cluster", "metrics"), "annotations"),
    ],
    "TURN EXTERNAL": [
        (
            ("matrix", "turn"),
            {"kind": "external", "external": {"uris": ["turns:turn.example.net:443?transport=tcp"]}, "secret": 2},
        )
    ],
    "TURN SHARED": [
        (("matrix", "turn"), {"kind": "shared"}),
        (("platform", "turn"), {"host": "turn.platform.example.com", "node_selector": {"turn": "yes"}}),
    ],
    "server_name is the host": [(("matrix", "server_name"), "matrix.example.com")],
    "no Element": [(("matrix", "hosts", "element"), None)],
    "a namespace of another name": [(("matrix", "namespace"), "talk")],
    "guests": [(("matrix", "synapse", "guests"), True)],
    "some servers only": [(("matrix", "synapse", "federation"), {"allow": ["example.net"]})],
    "no registration": [(("matrix", "auth"), {"registration": {"shared_secret": False}})],
    "PGBOUNCER before a STATEFULSET": [(("matrix", "database", "pooling"), "pgbouncer")],
    "PGBOUNCER, rotated": [
        (("matrix", "database", "pooling"), "pgbouncer"),
        (("matrix", "database", "pgbouncer"), {"replicas": 2}),
        (("matrix", "database", "credentials"), 2),
    ],
    "CNPG": [OPERATOR, (("matrix", "database", "kind"), "cnpg")],
    "CNPG, one instance, a pooler, rotated": [
        OPERATOR,
        (("matrix", "database", "kind"), "cnpg"),
        (("matrix", "database", "instances"), 1),
        (("matrix", "database", "pooling"), "pgbouncer"),
        (("matrix", "database", "credentials"), 3),
    ],
    "an EXTERNAL database on the Internet": [(("matrix", "database"), EXTERNAL)],
    "an EXTERNAL database in a private network, pooled": [
        (
            ("matrix", "database"),
            {
                **EXTERNAL,
                "external": {**EXTERNAL["external"], "reach": [{"cidrs": ["10.40.0.0/28"]}]},
                "pooling": "pgbouncer",
                "credentials": 4,
            },
        )
    ],
    "a SHARED database, rotated": [
        OPERATOR,
        SHARED,
        (("matrix", "database"), {"kind": "shared", "credentials": 2}),
        (("platform", "release"), "stable"),
    ],
    "a SHARED database behind its pooler": [
        OPERATOR,
        (SHARED[0], {**SHARED[1], "pooling": "pgbouncer", "pgbouncer": {"replicas": 2}}),
        (("matrix", "database"), {"kind": "shared", "pooling": "pgbouncer"}),
    ],
    "a PriorityClass": [(("cluster", "priority_classes"), {"high": 1000}), (("matrix", "priority_class"), "high")],
    "rotated": [(("matrix", "secrets"), 2), (("matrix", "turn", "secret"), 3)],
    "a longer name for the edge's balancers": [
        (("cluster", "edge", "peers"), [{"cidrs": ["192.0.2.0/28"]}]),
        (
            ("cluster", "network", "private"),
            ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fd00::/8"],
        ),
    ],
    "OIDC presets: KEYCLOAK, ENTRA, GOOGLE, GITHUB, AUTHENTIK, GENERIC": [
        (
            ("matrix", "auth"),
            {
                "kind": "oidc",
                "providers": {
                    "keycloak": {
                        "preset": "keycloak",
                        "issuer": "https://sso.example.com/realms/main",
                        "client_id": "matrix",
                        "backchannel_logout": True,
                        "generation": 2,
                    },
                    "entra": {
                        "preset": "entra",
                        "directory": "00000000-0000-0000-0000-000000000000",
                        "client_id": "matrix",
                    },
                    "google": {"preset": "google", "client_id": "matrix", "requirements": {"hd": ["example.com"]}},
                    "github": {"preset": "github", "client_id": "matrix", "registration": False},
                    "authentik": {
                        "preset": "authentik",
                        "issuer": "https://id.example.com/application/o/matrix/",
                        "client_id": "matrix",
                    },
                    "old": {
                        "preset": "generic",
                        "name": "The old one",
                        "issuer": "https://old.example.com:8443/",
                        "client_id": "matrix",
                        "scopes": ["openid", "groups"],
                        "endpoints": {
                            "authorization": "https://old.example.com:8443/authorize",
                            "token": "https://old.example.com:8443/token",
                            "userinfo": "https://old.example.com:8443/user",
                            "jwks": "https://old.example.com:8443/keys",
                        },
                        "mapping": {"subject": "{{ user.number }}", "localpart": "{{ user.login }}"},
                        "backchannel_logout": True,
                    },
                },
            },
        ),
    ],
    "no password, a provider in a private network": [
        (("matrix", "synapse", "federation"), {"enabled": False}),
        (("matrix", "synapse", "url_previews"), False),
        (("matrix", "auth"), PRIVATE_SSO),
    ],
    "registration by token": [(("matrix", "auth"), {"registration": {"tokens": True}})],
    "mail by STARTTLS": [
        (("matrix", "email"), {"host": "smtp.example.com", "user": "matrix", "sender": "chat@example.com"}),
    ],
    "mail by IMPLICIT TLS, from a closed homeserver": [
        (("matrix", "synapse", "federation"), {"enabled": False}),
        (("matrix", "synapse", "url_previews"), False),
        (
            ("matrix", "email"),
            {"host": "smtp.example.com", "port": 465, "security": "implicit", "sender": "chat@example.com"},
        ),
    ],
    "mail in a private network, unencrypted": [
        (
            ("matrix", "email"),
            {
                "host": "mail.example.com",
                "port": 25,
                "security": "none",
                "sender": "chat@example.com",
                "reach": [{"cidrs": ["10.30.0.25/32"], "port": 25}],
            },
        ),
    ],
    "a policy": [
        (
            ("matrix", "consent"),
            {
                "version": "1.0",
                "text": "Be {kind} & <brief>.\n\nNo spam: {{ secret }}.",
                "block": "Agree first: %(consent_uri)s",
            },
        ),
        (("matrix", "admin_contact"), "ops@example.com"),
    ],
    "bridges, bots and modules": [
        (
            ("matrix", "appservices"),
            {
                "irc": {"reach": [{"namespace": "bridges", "pods": {"app": "irc"}, "port": 8090}]},
                "old-pbx": {"generation": 3, "reach": [{"cidrs": ["10.30.0.9/32"], "port": 9000}]},
                "bot": {},
            },
        ),
        (
            ("matrix", "modules"),
            [{"module": "synapse.handlers.oidc.JinjaOidcMappingProvider", "config": {"display_name_template": "x"}}],
        ),
        (
            ("releases", "stable", "modules"),
            {"synapse.handlers.oidc.JinjaOidcMappingProvider": {"keys": ["display_name_template"]}},
        ),
    ],
    "everything ends": [
        (
            ("matrix", "retention"),
            {
                "remote_media": "30d",
                "local_media": "2y",
                "messages": {"default": "1y", "at_least": "1d", "at_most": "5y"},
                "forgotten_rooms": "28d",
                "redacted": "3d",
                "addresses": "14d",
            },
        ),
    ],
    "integrations and themes": [
        (
            ("matrix", "element"),
            {
                "integrations": {
                    "ui_url": "https://dimension.example.com/",
                    "rest_url": "https://dimension.example.com/api",
                },
                "branding": {
                    "logo": "https://example.com/logo.svg",
                    "footer_links": {"Privacy": "https://example.com/privacy"},
                    "themes": [{"name": "Deep", "is_dark": True, "colors": {"accent-color": "#123456"}}],
                    "default_theme": "custom-Deep",
                },
            },
        )
    ],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_rule_holds(variant: str, fleet: Fleet) -> None:
    tree = drawn(changed(fleet, *VARIANTS[variant]))
    assert [str(finding) for finding in run(tree, whole_fleet=False)] == []


def test_stopped_scales_synapse_alone_to_nothing(fleet: Fleet) -> None:
    tree = drawn(changed(fleet, (("matrix", "state"), "stopped")))
    mine = [entry for entry in tree.of_kind("Deployment", "StatefulSet") if entry.target == PROD]
    replicas = {entry.name: entry.spec["replicas"] for entry in mine}
    assert replicas == {
        "matrix-prod-synapse": 0,
        "matrix-prod-router": 1,
        "matrix-prod-element": 1,
        "matrix-prod-postgresql": 1,
    }


def test_a_rotation_changes_references_of_its_consumers_alone(fleet: Fleet) -> None:
    before = draw_target(fleet, PROD, TOP)
    after = draw_target(changed(fleet, (("matrix", "turn", "secret"), 2)), PROD, TOP)
    touched = {path.split("/")[1] for path in before if before[path] != after.get(path)}
    assert touched - {"README.md"} == {
        "synapse",
        "turn",
        "bootstrap",
        "role-matrix-prod-bootstrap.yaml",
        "role-matrix-prod-bootstrap-turn.yaml",
    }
    synapse = "workload/synapse/deployment-matrix-prod-synapse.yaml"
    assert "matrix-prod-turn-2" in after[synapse] and "matrix-prod-turn-1" not in after[synapse]


def test_a_balanced_relay_is_reached_on_its_ports_alone(fleet: Fleet) -> None:
    tree = drawn(changed(fleet, *VARIANTS["TURN DEPLOYMENT"]))
    policy = tree.find("eu1", "NetworkPolicy", "matrix-prod", "matrix-prod-turn")
    assert policy is not None
    assert [[peer["ipBlock"]["cidr"] for peer in rule["from"]] for rule in policy.spec["ingress"][:2]] == [
        ["0.0.0.0/0", "::/0"]
    ] * 2
    assert policy.spec["ingress"][1]["ports"] == [{"protocol": "UDP", "port": 49152, "endPort": 49191}]
    assert policy.spec["egress"][0]["ports"] == [{"protocol": "UDP", "port": 1, "endPort": 65535}]
    assert "except" in policy.spec["egress"][0]["to"][0]["ipBlock"]
    hard = tree.find("eu1", "ResourceQuota", "matrix-prod", "matrix-prod-fence")
    assert hard is not None
    assert (hard.spec["hard"]["services.loadbalancers"], hard.spec["hard"]["services.nodeports"]) == ("1", "44")
    assert tree.find("eu1", "Namespace", "", "matrix-prod-turn") is None
    assert tree.find("eu1", "PodMonitor", "matrix-prod", "matrix-prod-turn") is not None


def test_a_shared_relay_is_read_by_name_and_changes_nothing_of_the_platform(fleet: Fleet) -> None:
    shared = changed(fleet, VARIANTS["TURN SHARED"][1])
    alone = draw_target(shared, "eu1.platform", TOP)
    shared = changed(shared, VARIANTS["TURN SHARED"][0])
    assert draw_target(shared, "eu1.platform", TOP) == alone
    tree = drawn(shared)
    role = tree.find("eu1", "Role", "fleet-turn", "matrix-prod-bootstrap")
    assert role is not None and role.part == "shared"
    assert role.doc["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["platform-turn-1"], "verbs": ["get"]}
    ]
    project = tree.find("eu1", "AppProject", "argocd", "eu1-matrix-prod-shared")
    assert project is not None
    assert [place["namespace"] for place in project.spec["destinations"]] == ["fleet-turn"]
    assert {kind["kind"] for kind in project.spec["namespaceResourceWhitelist"]} == {"Role", "RoleBinding"}
    config = tree.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
    assert config is not None
    options = yaml.safe_load(config.doc["data"]["homeserver.yaml"])
    assert options["turn_uris"][0] == "turn:turn.platform.example.com:3478?transport=udp"


def test_two_tenants_share_one_relay(fleet: Fleet) -> None:
    club = "eu1.chess-club"
    fleet = changed(fleet, *VARIANTS["TURN SHARED"])
    fleet = changed(fleet, (("matrix", "turn"), {"kind": "shared"}), name=club)
    assert fleet.clashes == ()
    texts = drawn(fleet).texts | drawn(fleet, club).texts
    assert [
        str(finding) for finding in run(Tree.of(texts, fleet), whole_fleet=True) if "isolation" in str(finding)
    ] == []


def configured(tmp_path: Path, address: str, addresses: str) -> subprocess.CompletedProcess[str]:
    """configure.sh, with its folders moved."""
    (tmp_path / "turnserver.conf").write_text("realm=turn.example.com\n")
    (tmp_path / "addresses").write_text(addresses)
    (tmp_path / "shared_secret").write_text("s")
    script = (TOP / "components/turn/configure.sh").read_text()
    for folder in ("/etc/coturn/addresses", "/etc/coturn/turnserver.conf"):
        script = script.replace(folder, str(tmp_path / folder.rpartition("/")[2]))
    script = script.replace("/run/turn/turnserver.conf", str(tmp_path / "out.conf"))
    return subprocess.run(
        ["sh", "-c", script, "sh", str(tmp_path / "shared_secret")],
        env={"ADDRESS": address, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_node_behind_nat_finds_its_public_address(tmp_path: Path) -> None:
    addresses = "10.20.0.31 203.0.113.31\n10.20.0.32 203.0.113.32\n"
    assert configured(tmp_path, "10.20.0.32", addresses).returncode == 0
    lines = (tmp_path / "out.conf").read_text().splitlines()
    assert lines[2:] == [
        "listening-ip=10.20.0.32",
        "relay-ip=10.20.0.32",
        "external-ip=203.0.113.32/10.20.0.32",
        "allowed-peer-ip=10.20.0.32",
    ]
    assert configured(tmp_path, "10.1.2.3", "* 203.0.113.9\n").returncode == 0
    assert "external-ip=203.0.113.9/10.1.2.3" in (tmp_path / "out.conf").read_text()
    assert configured(tmp_path, "198.51.100.3", "").returncode == 0
    assert "external-ip" not in (tmp_path / "out.conf").read_text()


def test_a_node_behind_nat_that_is_not_listed_says_so(tmp_path: Path) -> None:
    done = configured(tmp_path, "10.20.0.33", "10.20.0.31 203.0.113.31\n")
    assert done.returncode == 1
    assert done.stderr == (
        "this node's address 10.20.0.33 is not among turn.external_addresses; add it with its public address\n"
    )


def plan(fleet: Fleet, name: str = PROD) -> TenantPlan:
    found = plan_of(fleet, name)
    assert isinstance(found, TenantPlan)
    return found


def test_postgresql_memory_fits(fleet: Fleet) -> None:
    settings = settings_of(plan(fleet).server)
    assert settings["shared_buffers"] == "768MB" and settings["max_connections"] == "100"
    worst = 768 + 2 * 100 * int(settings["work_mem"].removesuffix("MB"))
    assert worst <= 3072


def test_the_budget_fits_or_is_refused(fleet: Fleet) -> None:
    assert plan(fleet).budget.total == 21
    with pytest.raises(FleetError, match=r"matrix\.database\.max_connections: expected 211 or more"):
        plan_of(changed(fleet, (("matrix", "synapse", "connection_pool"), {"max": 200})), PROD)


def test_the_budget_holds_while_everything_rolls(fleet: Fleet) -> None:
    """Each process with its rollout's surplus, at its autoscaler's most, counted from the objects."""
    for name in fleet.names:
        found = plan_of(fleet, name)
        if not isinstance(found, TenantPlan):
            continue
        most = {"main": found.tenant.synapse.connection_pool.max}
        for text in draw_target(fleet, name, TOP).values():
            one = yaml.safe_load(text) if text.startswith("apiVersion:") else {"kind": "", "metadata": {}}
            component = one["metadata"].get("labels", {}).get("app.kubernetes.io/component", "")
            if component == "synapse" or component not in {process.component for process in found.processes}:
                continue
            pool = found.tenant.synapse.connection_pool.max
            if one["kind"] in ("Deployment", "StatefulSet"):
                rolling = one["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", 0)
                most[component] = (one["spec"].get("replicas", 0) + rolling) * pool
            elif one["kind"] == "HorizontalPodAutoscaler":
                most[f"{component} autoscaled"] = (one["spec"]["maxReplicas"] + 1) * pool
        parts = dict(found.budget.parts)
        for component, connections in most.items():
            assert parts[component.removesuffix(" autoscaled")] >= connections, (name, component)
        assert found.budget.total <= found.budget.limit


def test_caches_follow_the_memory(fleet: Fleet) -> None:
    tree = drawn(changed(fleet, (("matrix", "synapse", "resources", "memory"), "4Gi")))
    config = tree.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
    assert config is not None
    tuning = yaml.safe_load(config.doc["data"]["homeserver.yaml"])["caches"]["cache_autotuning"]
    assert tuning["max_cache_memory_usage"] == "2048M"


def test_a_workers_caches_follow_its_own_memory(fleet: Fleet) -> None:
    tree = drawn(changed(fleet, *WITH_WORKERS, (("matrix", "synapse", "resources", "memory"), "8Gi")))
    config = tree.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-generic")
    assert config is not None
    tuning = yaml.safe_load(config.doc["data"]["worker.yaml"])["caches"]["cache_autotuning"]
    assert tuning["max_cache_memory_usage"] == "512M", "half of its 1Gi, not of main's 8Gi"


def network(private: tuple[str, ...], nodes: tuple[str, ...] = ()) -> Network:
    return Network.model_construct(private=private, nodes=nodes)


def test_the_internet_is_without_what_is_private() -> None:
    ((everything, cut),) = public(network(("11.0.0.0/24",), ("12.0.0.1/32", "2a00::1/128")))
    assert everything == "0.0.0.0/0"
    assert {"10.0.0.0/8", "11.0.0.0/24", "12.0.0.1/32", "168.63.129.16/32", "192.168.0.0/16"} < set(cut)
    six = public(network(("10.0.0.0/8", "fd00::/8"), ("2a00::1/128",)))[1]
    assert six[0] == "::/0" and {"2a00::1/128", "8000::/1"} < set(six[1])


def test_ranges_for_coturn() -> None:
    ranges = denied_ranges(network(("10.0.0.0/8",), ("12.0.0.1/32",)))
    assert {"10.0.0.0-10.255.255.255", "12.0.0.1"} < set(ranges)
    assert not any(one.startswith(("::-", "::/")) or one == "::" for one in ranges)


def test_a_provider_in_a_private_network_has_a_flow_with_its_reason(fleet: Fleet) -> None:
    closed = plan(changed(fleet, *VARIANTS["no password, a provider in a private network"]))
    found = {(flow.target_name, flow.ports_told, flow.reason) for flow in closed.flows if flow.source == "synapse"}
    why = "log-in by sso: discovery, tokens, keys"
    assert {("OpenID provider sso", "TCP 443", why), ("OpenID provider sso", "TCP 8443", why)} <= found
    assert ("the Internet", "TCP 443", "push gateways") in found


def test_a_closed_homeserver_reaches_the_ports_that_were_named(fleet: Fleet) -> None:
    closed = plan(changed(fleet, *VARIANTS["mail by IMPLICIT TLS, from a closed homeserver"]))
    (internet,) = (flow for flow in closed.flows if flow.target_name == "the Internet")
    assert (internet.ports_told, internet.reason) == ("TCP 443, TCP 465", "push gateways, mail")


def test_who_asks_other_servers(fleet: Fleet) -> None:
    """An event persister invites, the writer of device lists fetches them; no other writer leaves the tenant."""
    asking = {"synapse", "generic", "event-persister", "federation-sender", "media-repository"}

    def outward(closed: bool) -> set[str]:
        federation = (("matrix", "synapse", "federation", "enabled"), not closed)
        flows = plan(changed(fleet, *WITH_WORKERS, federation)).flows
        return {flow.source_name for flow in flows if flow.target_name == "the Internet"}

    assert {*asking, "writer-accounts"} <= outward(closed=False)
    assert "writer-ephemeral" not in outward(closed=False)
    assert not {"event-persister", "writer-accounts"} & outward(closed=True)


def test_a_bridge_talks_to_the_router_alone(fleet: Fleet) -> None:
    bridged = plan(changed(fleet, *VARIANTS["bridges, bots and modules"]))
    found = {(flow.source_name, flow.target_name) for flow in bridged.flows if "service" in flow.source_name}
    assert found == {("application service irc", "router")}


LDAP = "ldap_auth_provider.LdapAuthProviderModule"
PRIVATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_a_module_has_files_a_way_and_an_authority(fleet: Fleet) -> None:
    """LDAP: a directory in a private network, its password by file, its certificate by an authority of one's own."""
    reach = [{"cidrs": ["10.30.0.9/32"], "port": 636}]
    module = {
        "module": LDAP,
        "id": "ldap",
        "secrets": ["bind_password_file"],
        "config": {"uri": "ldaps://ldap.example.com"},
    }
    workers = changed(
        fleet,
        *WITH_WORKERS,
        (("releases", "stable", "modules"), {LDAP: {"keys": ["uri"], "secrets": ["bind_password_file"]}}),
        (("matrix", "modules"), [{**module, "ca": PRIVATE, "reach": reach}]),
    )
    tree = drawn(workers)
    config = tree.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
    assert config is not None and config.doc["data"]["authorities.crt"] == PRIVATE
    (said,) = yaml.safe_load(config.doc["data"]["homeserver.yaml"])["modules"]
    where = "/secrets/module-ldap/bind_password_file"
    assert said == {"module": LDAP, "config": {"uri": "ldaps://ldap.example.com", "bind_password_file": where}}
    processes = [process.component for process in plan(workers).processes]
    ways = {flow.source_name for flow in plan(workers).flows if flow.target_name == "module ldap"}
    assert ways == set(processes) and len(ways) > 5
    for pod in tree.pods:
        if pod.labels["app.kubernetes.io/component"] in processes:
            (synapse,) = [one for one in pod.containers if one["name"] == "synapse"]
            values = {one["name"]: one.get("value") for one in synapse["env"]}
            assert values["SSL_CERT_FILE"].endswith("/authorities.crt") and values["SSL_CERT_DIR"] == "/etc/ssl/certs"
            assert "/secrets/module-ldap" in [one["mountPath"] for one in synapse["volumeMounts"]]
            assert pod.volumes["secret-module-ldap"]["secret"]["secretName"] == "matrix-prod-module-ldap-1"


def test_who_may_not_be_asked_is_no_notary(fleet: Fleet) -> None:
    """Synapse asks its notary whatever the allow-list says, refuses itself, and logs a traceback for each key."""

    def notaries(*allow: str) -> list[dict[str, str]]:
        tree = drawn(changed(fleet, (("matrix", "synapse", "federation", "allow"), list(allow))))
        config = tree.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
        assert config is not None
        found: list[dict[str, str]] = yaml.safe_load(config.doc["data"]["homeserver.yaml"])["trusted_key_servers"]
        return found

    assert notaries() == notaries("matrix.org", "example.net") == [{"server_name": "matrix.org"}]
    assert notaries("example.net") == []


def test_a_policy_is_text_to_browsers_and_to_synapse(fleet: Fleet) -> None:
    tree = drawn(changed(fleet, *VARIANTS["a policy"]))
    config = tree.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
    assert config is not None
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(config.doc["data"]["policy.html"])
    person = {"user": "@a:example.com", "userhmac": "00", "version": "1.0", "has_consented": False}
    asked = page.render(**person, public_version=False)
    assert "<p>Be &#123;kind&#125; &amp; &lt;brief&gt;.</p>" in asked
    assert "<p>No spam: &#123;&#123; secret &#125;&#125;.</p>" in asked
    assert 'name="h" value="00"' in asked and "<form" not in page.render(**person, public_version=True)
    assert "<form" not in page.render(**{**person, "has_consented": True}, public_version=False)


def test_element_offers_what_there_is(fleet: Fleet) -> None:
    def features(variant: str) -> dict[str, bool]:
        tree = drawn(changed(fleet, *VARIANTS[variant]))
        config = tree.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-element")
        assert config is not None
        defaults = json.loads(config.doc["data"]["config.json"])["setting_defaults"]
        return {key: value for key, value in defaults.items() if key.startswith("UIFeature")}

    assert features("rotated") == {"UIFeature.registration": False}
    assert features("registration by token") == {"UIFeature.registration": True}
    assert features("no password, a provider in a private network") == {
        "UIFeature.registration": False,
        "UIFeature.passwordReset": False,
    }


def test_sidecars_have_room_and_jobs_end(fleet: Fleet) -> None:
    plain, meshed = plan(fleet), plan(changed(fleet, *MESH))
    pods = sum(one.replicas + one.surge for name, one in meshed.workloads.items() if name not in ("bootstrap", "turn"))
    assert meshed.quota.cpu - plain.quota.cpu == 100 * pods
    assert meshed.quota.memory - plain.quota.memory == 128 * pods
    tree = drawn(changed(fleet, *MESH))
    mine = [pod for pod in tree.pods if pod.entry.target == PROD]
    labels = {pod.labels["app.kubernetes.io/component"]: pod.labels.get("sidecar.istio.io/inject") for pod in mine}
    assert labels.pop("bootstrap") == labels.pop("turn") == "false"
    assert set(labels.values()) == {"true"}
    (roles,) = [pod for pod in tree.pods if pod.entry.kind == "Job" and "roles" in pod.entry.name]
    assert roles.annotations["sidecar.istio.io/nativeSidecar"] == "true"


def test_the_edge_outside_the_mesh_is_an_exception(fleet: Fleet) -> None:
    def plain_ports(fleet: Fleet) -> dict[str, str]:
        found = drawn(fleet).find("eu1", "PeerAuthentication", "matrix-prod", "matrix-prod-router")
        assert found is not None
        told = str(found.annotations["matrix-fleet/exceptions"]).splitlines()
        assert len(told) == len(found.spec["portLevelMtls"])
        return dict(line.split(": ", 1) for line in told)

    outside = changed(fleet, *MESH)
    assert plain_ports(outside).keys() == {"TCP 8080", "TCP 8405"}
    peer = {"namespace": "traefik", "pods": {"app": "traefik"}, "service_account": "traefik"}
    inside = changed(outside, (("cluster", "edge", "peers"), [peer]))
    assert plain_ports(inside).keys() == {"TCP 8405"}
    policy = drawn(inside).find("eu1", "AuthorizationPolicy", "matrix-prod", "matrix-prod-router")
    assert policy is not None and "cluster.local/ns/traefik/sa/traefik" in str(policy.spec["rules"])


def idle(fleet: Fleet, name: str = PROD) -> dict[str, str]:
    """Hosts whose connections may be idle for ever, by DestinationRule."""
    rules = drawn(fleet, name).of_kind("DestinationRule")
    assert all(rule.spec["trafficPolicy"] == {"connectionPool": {"tcp": {"idleTimeout": "0s"}}} for rule in rules)
    return {rule.name: rule.spec["host"] for rule in rules}


def test_connections_of_stores_stay_open_both_ways(fleet: Fleet) -> None:
    assert idle(changed(fleet, *MESH, *WITH_WORKERS)) == {
        "matrix-prod-postgresql": "matrix-prod-postgresql.matrix-prod.svc.cluster.local",
        "matrix-prod-redis": "matrix-prod-redis.matrix-prod.svc.cluster.local",
    }
    external = changed(fleet, *MESH, (("matrix", "database"), {**EXTERNAL, "pooling": "pgbouncer"}))
    assert idle(external) == {
        "matrix-prod-postgresql": "postgres.example.net",
        "matrix-prod-pgbouncer": "matrix-prod-pgbouncer.matrix-prod.svc.cluster.local",
    }
    assert idle(fleet, "ap1.tenant-a") == {"tenant-a-postgresql": "platform-postgresql-rw.fleet.svc.cluster.local"}
    for pod in drawn(changed(fleet, *MESH, *WITH_WORKERS)).pods:
        config = pod.annotations.get("proxy.istio.io/config")
        if pod.labels["app.kubernetes.io/component"] in ("postgresql", "redis"):
            assert yaml.safe_load(config) == {"proxyMetadata": {"ISTIO_META_IDLE_TIMEOUT": "0s"}}
        else:
            assert config is None


def test_sidecars_log_where_that_is_said(fleet: Fleet) -> None:
    def logs(istio: dict[str, Any]) -> Any:
        (found,) = drawn(changed(fleet, MESH[0], (MESH[1][0], istio))).of_kind("Telemetry")[:1]
        return found.spec["accessLogging"]

    assert logs({"cni": True}) == [{"disabled": True}]
    assert logs({"cni": True, "access_logs": True}) == [{"providers": [{"name": "envoy"}]}]


def test_a_tenant_goes_into_the_mesh_alone(fleet: Fleet) -> None:
    def sidecars(fleet: Fleet, name: str) -> set[str]:
        pods = [pod for pod in drawn(fleet, name).pods if pod.entry.target == name]
        return {str(pod.labels.get("sidecar.istio.io/inject")) for pod in pods}

    alone = changed(fleet, MESH[1], (("matrix", "mesh"), "istio"))
    assert "true" in sidecars(alone, PROD) and sidecars(alone, "eu1.chess-club") == {"None"}
    # In a namespace of several tenants its walls stay, and meet no sidecar of this one.
    without = changed(fleet, (("matrix", "mesh"), "none"), name="ap1.tenant-b")
    assert sidecars(without, "ap1.tenant-b") == {"None"} and "true" in sidecars(without, "ap1.tenant-a")
    kinds = {entry.kind for entry in drawn(without, "ap1.tenant-b").objects if entry.target == "ap1.tenant-b"}
    assert not kinds & {"PeerAuthentication", "AuthorizationPolicy", "DestinationRule", "ServiceEntry", "Sidecar"}


def test_hosts_outside_are_known_by_name(fleet: Fleet) -> None:
    mail = {"host": "smtp.mail.svc.cluster.local", "sender": "chat@example.com"}
    said = [
        *MESH,
        (("matrix", "auth"), PRIVATE_SSO),
        (("matrix", "database"), EXTERNAL),
        (("matrix", "email"), {**mail, "host": "smtp.example.com"}),
        (("matrix", "media"), {"kind": "s3", "s3": BUCKET}),
        (("matrix", "synapse", "signing_key"), "secret"),
    ]
    entries = {entry.name: entry.spec for entry in drawn(changed(fleet, *said)).of_kind("ServiceEntry")}
    ports = {name: [(port["number"], port["protocol"]) for port in spec["ports"]] for name, spec in entries.items()}
    assert ports == {
        "matrix-prod-outside-oidc-sso": [(443, "TLS")],
        "matrix-prod-outside-mail": [(587, "TCP")],
        "matrix-prod-outside-bucket": [(9000, "TLS")],
        "matrix-prod-outside-database": [(5433, "TCP")],
    }
    assert entries["matrix-prod-outside-oidc-sso"]["hosts"] == ["sso.example.com"]
    for spec in entries.values():
        # No address of its own choosing, and known to nobody else.
        assert (spec["resolution"], spec["location"], spec["exportTo"]) == ("NONE", "MESH_EXTERNAL", ["."])
    inside = changed(fleet, *MESH, (("matrix", "email"), mail))
    assert not drawn(inside).of_kind("ServiceEntry"), "a Service is no host outside"


def test_spans_go_to_their_agent_alone(fleet: Fleet) -> None:
    """Tracing.JAEGER: every process names the agent and may reach it, over UDP."""
    agent = {"namespace": "tracing", "pods": {"app": "jaeger"}, "port": 6831}
    said = {"kind": "jaeger", "host": "jaeger.tracing.svc.cluster.local", "reach": agent, "share": 0.01}
    changed = fleet.changed("eu1.platform", ("cluster", "tracing"), said)
    plan = plan_of(changed, "eu1.matrix-ha")
    told = {flow.source for flow in plan.flows if flow.target_name == "the tracing agent"}
    assert told == {process.component for process in plan.processes}
    assert {flow.ports for flow in plan.flows if flow.reason == "spans"} == {(("UDP", 6831),)}
    options = homeserver(plan)["opentracing"]
    assert options["homeserver_whitelist"] == [] and options["jaeger_config"]["sampler"]["param"] == 0.01
    assert options["jaeger_config"]["local_agent"]["reporting_host"] == said["host"]
    assert "opentracing" not in homeserver(plan_of(fleet, "eu1.matrix-ha"))
