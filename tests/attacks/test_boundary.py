"""A tenant's file takes what its cluster allows, and nothing of anybody else's.

Each case changes one thing in one file; the message is at the line that asks for it. Beside each kind is what is allowed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fleets import Repository
from matrixfleet.cli.compile import read_fleet
from matrixfleet.errors import FleetError

EU1 = "inventory/classes/cluster/eu1.yml"
FILE = "inventory/targets/eu1/acme.yml"
TENANT = """\
classes:
  - pattern.single-tenant
parameters:
  matrix:
    size: small
    server_name: acme.example.org
    hosts:
      matrix: matrix.acme.example.org
"""
REACH = '    email: {{host: mail.example.net, sender: "a@example.org", reach: [{}]}}\n'
CALLS = "      turn: turn.acme.example.org\n    turn: {{kind: daemonset, port: 3478, {}}}\n"
BALANCED = "      turn: turn.acme.example.org\n    turn: {{kind: deployment, external_address: 203.0.113.9, {}}}\n"


def lines(tmp_path: Path, text: str, *cluster: tuple[str, str]) -> list[str]:
    """What a person reads of a fleet with one more tenant, and a changed cluster."""
    repository = Repository(tmp_path)
    for old, new in cluster:
        repository.edit(EU1, old, new)
    repository.write(FILE, text)
    try:
        read_fleet(tmp_path)
    except FleetError as error:
        return str(error).splitlines()
    return []


NAMESPACES = [
    "kube-system", "kube-public", "kube-node-lease", "default", "argocd", "argocd-eu", "openshift", "openshift-gitops",
    "cert-manager", "cnpg-system", "external-secrets", "vault-secrets-operator-system", "istio-system", "traefik",
    "monitoring", "prometheus", "grafana", "loki", "logging", "gke-managed-system", "fleet", "fleet-turn", "fleet-logs",
    "platform", "cattle-fleet-system", "flux-system", "kyverno", "gatekeeper-system", "metallb-system", "ingress-nginx",
    "longhorn-system", "calico-system", "tigera-operator", "aws-observability", "azure-arc",
]  # fmt: skip


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_namespace_of_the_platforms(namespace: str, tmp_path: Path) -> None:
    found = lines(tmp_path, f"{TENANT}    namespace: {namespace}\n")
    assert any(f"{FILE}:9: matrix.namespace: namespace {namespace!r} is reserved: " in line for line in found), found
    assert all(line.startswith(f"{FILE}:9: ") for line in found), found


def test_whatever_the_cluster_class_names_is_reserved(tmp_path: Path) -> None:
    """By key, so that a cluster's own names count: the edge, monitoring, the stores of logs and secrets, Argo CD."""
    repository = Repository(tmp_path)
    text = repository.read(EU1)
    text = text.replace("namespace: traefik", "namespace: the-edge").replace(
        "namespace: monitoring", "namespace: the-metrics"
    )
    text = text.replace("namespace: loki", "namespace: the-logs").replace(
        "    argocd:\n", "    argocd:\n      namespace: the-gitops\n"
    )
    text = text.replace(
        "    logs:\n      kind", "    secrets: {kind: vault, vault: {auth: the-vault/default}}\n    logs:\n      kind"
    )
    repository.write(EU1, text)
    named = {
        "the-edge": "cluster.edge.peers.0.namespace",
        "the-metrics": "cluster.network.monitoring.namespace",
        "the-logs": "cluster.logs.store.reach.0.namespace",
        "the-gitops": "cluster.argocd.namespace",
        "the-vault": "cluster.secrets.vault.auth",
    }
    for namespace, key in named.items():
        repository.write(FILE, f"{TENANT}    namespace: {namespace}\n")
        with pytest.raises(FleetError) as caught:
            read_fleet(tmp_path)
        expected = f"{FILE}:9: matrix.namespace: namespace {namespace!r} is reserved: {key} names it; expected a namespace of its own; name another"
        assert expected in str(caught.value).splitlines(), str(caught.value)


def test_by_the_files_name(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write("inventory/targets/eu1/monitoring.yml", TENANT)
    repository.write(
        "inventory/targets/eu1/kube-apps.yml",
        "parameters:\n  namespace:\n    quota: {cpu: 1, memory: 1Gi, pods: 1, claims: 1, storage: 1Gi}\n",
    )
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    found = str(caught.value).splitlines()
    assert (
        "inventory/targets/eu1/monitoring.yml:1: namespace 'monitoring' is reserved: cluster.network.monitoring.namespace names it;"
        " expected a namespace of its own; rename the file, or set namespace"
    ) in found
    assert any(
        line.startswith("inventory/targets/eu1/kube-apps.yml:1: namespace 'kube-apps' is reserved: kube-*")
        for line in found
    )


@pytest.mark.parametrize("claimed", ["chess-club", "matrix-prod", "matrix-prod-turn"])
def test_a_neighbours_namespace_is_told_at_the_claim(claimed: str, tmp_path: Path) -> None:
    """Whatever sorts first: `acme` comes before both, and the fault is at its line all the same."""
    found = lines(tmp_path, f"{TENANT}    namespace: {claimed}\n")
    assert found and all(line.startswith(f"{FILE}:9: matrix.namespace: namespace on cluster eu1 ") for line in found), (
        found
    )


def test_a_cluster_lists_namespaces(tmp_path: Path) -> None:
    listed = ("    tenants:\n", "    tenants:\n      namespaces: [matrix-*, chess-club, acme-*]\n")
    expected = (
        f"{FILE}:1: namespace 'acme' is none that tenants of eu1 may have (cluster.tenants.namespaces);"
        " expected matrix-* or chess-club or acme-*"
    )
    assert lines(tmp_path / "a", TENANT, listed) == [expected]
    assert lines(tmp_path / "b", f"{TENANT}    namespace: acme-chat\n", listed) == []


HOSTS = {
    "another domain": ("acme.example.org\n", "acme.test\n", "server_name: 'acme.test' is of no domain that tenants of eu1 may have"),
    "a domain that ends alike": ("matrix.acme.example.org", "matrix.notexample.org", "hosts.matrix: 'matrix.notexample.org' is of no domain"),
    "git's host": ("matrix.acme.example.org", "git.example.com", "hosts.matrix: 'git.example.com' is the platform's own (git.example.com)"),
    "below git's host": ("matrix.acme.example.org", "a.git.example.com", "hosts.matrix: 'a.git.example.com' is the platform's own"),
    "a cluster's API server": ("matrix.acme.example.org", "us1.k8s.example.com", "hosts.matrix: 'us1.k8s.example.com' is the platform's own"),
    "the cluster's domain": ("matrix.acme.example.org", "kubernetes.default.svc.cluster.local", "hosts.matrix: 'kubernetes.default.svc.cluster.local' is the platform's own (cluster.local)"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTS)
def test_a_name_that_is_not_the_tenants(name: str, tmp_path: Path) -> None:
    old, new, expected = HOSTS[name]
    found = lines(tmp_path, TENANT.replace(old, new, 1))
    assert any(f"matrix.{expected}" in line and line.startswith(f"{FILE}:") for line in found), found


@pytest.mark.parametrize(
    "label", ["argocd", "grafana", "git", "gitlab", "prometheus", "alertmanager", "vault", "registry"]
)
def test_names_of_a_platform_where_no_domain_is_listed(label: str, tmp_path: Path) -> None:
    unlisted = ("      domains: [example.com, example.net, example.org]\n", "")
    found = lines(tmp_path / "a", TENANT.replace("matrix.acme.example.org", f"{label}.acme.test"), unlisted)
    assert found == [
        f"{FILE}:8: matrix.hosts.matrix: '{label}.acme.test' looks like the platform's own; expected another name, or"
        " cluster.tenants.domains that says which domains tenants may have"
    ]
    assert lines(tmp_path / "b", TENANT.replace("example.org", "anything.test"), unlisted) == []


def test_a_domain_within_a_domain_is_kept_back(tmp_path: Path) -> None:
    kept = ("      domains: [", "      reserved_domains: [staff.example.org]\n      domains: [")
    found = lines(tmp_path, TENANT.replace("matrix.acme", "chat.staff"), kept)
    assert found == [
        f"{FILE}:8: matrix.hosts.matrix: 'chat.staff.example.org' is the platform's own (staff.example.org); expected a name of the tenant's"
    ]


TWICE = {
    "element": ("      element: matrix.acme.example.org\n", "7: matrix.hosts: expected element other than matrix, got 'matrix.acme.example.org'; each is served by something else"),
    "turn and matrix": ("      turn: matrix.acme.example.org\n", "7: matrix.hosts: expected turn other than matrix, got 'matrix.acme.example.org'; each is served by something else"),
    "turn and server_name": ("      turn: acme.example.org\n", "4: matrix: expected hosts.turn other than server_name, got 'acme.example.org'; the edge serves /.well-known/matrix on server_name; name another host, or well_known.serve: false"),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_two_names_of_one_tenant(name: str, tmp_path: Path) -> None:
    text, expected = TWICE[name]
    assert f"{FILE}:{expected}" in lines(tmp_path, TENANT + text)


def test_one_name_for_users_and_clients(tmp_path: Path) -> None:
    assert lines(tmp_path, TENANT.replace("matrix.acme", "acme")) == []


NEVER = {
    "the metadata address": ("169.254.169.254/32", "a metadata address, which gives credentials"),
    "its network": ("169.254.0.0/17", "a metadata address"),
    "Azure's": ("168.63.129.16/32", "a metadata address"),
    "within a network": ("168.63.0.0/16", "a metadata address"),
    "Amazon's over IPv6": ("fd00:ec2::254/128", "a metadata address"),
    "Alibaba's": ("100.100.100.200/32", "a metadata address"),
    "the world": ("0.0.0.0/0", "a metadata address"),
    "half of it": ("128.0.0.0/1", "a metadata address"),
    "the world over IPv6": ("::/0", "a metadata address"),
    "the API server": ("10.20.0.11/32", "the API server (cluster.network.api_server)"),
    "a node": ("10.30.9.1/32", "the nodes, where kubelets listen (cluster.network.nodes)"),
    "a private network": ("192.168.7.0/24", "is no network that tenants of eu1 may reach (cluster.tenants.reach.networks)"),
    "more than is listed": ("10.30.0.0/15", "the nodes"),
    "this machine": ("127.0.0.1/32", "is no network that tenants of eu1 may reach"),
    "NAT64": ("64:ff9b::a01:203/128", "is no network that tenants of eu1 may reach"),
    "unique local addresses": ("fd12::/64", "is no network that tenants of eu1 may reach"),
    "multicast": ("224.0.0.1/32", "is no network that tenants of eu1 may reach"),
}  # fmt: skip
NODES = ("    network:\n", "    network:\n      nodes: [10.30.9.0/24, 198.51.100.0/28]\n")


@pytest.mark.parametrize("name", NEVER)
def test_a_network_that_no_tenant_may_reach(name: str, tmp_path: Path) -> None:
    network, expected = NEVER[name]
    found = lines(tmp_path, TENANT + REACH.format(f'{{cidrs: ["{network}"], port: 587}}'), NODES)
    assert found and all(
        line.startswith(f"{FILE}:9: matrix.email.reach[0].cidrs[0]: ") and expected in line for line in found
    ), found


@pytest.mark.parametrize("port", [10250, 10255, 10256, 10257, 10259, 2379, 2380])
def test_a_port_of_the_kubelet(port: int, tmp_path: Path) -> None:
    found = lines(tmp_path, TENANT + REACH.format(f"{{cidrs: [10.40.0.5/32], port: {port}}}"))
    assert found == [
        f"{FILE}:9: matrix.email.reach[0].cidrs[0]: port {port} is the kubelet's or the control plane's; expected the port of a service"
    ]


@pytest.mark.parametrize("network", ["10.40.0.0/28", "93.184.215.0/24", "2606:2800::/32"])
def test_a_network_that_is_allowed(network: str, tmp_path: Path) -> None:
    assert lines(tmp_path, TENANT + REACH.format(f'{{cidrs: ["{network}"], port: 587}}'), NODES) == []


PODS = {
    "Argo CD": ("argocd", "namespace 'argocd' is of Argo CD, which no tenant may reach"),
    "Kubernetes": ("kube-system", "namespace 'kube-system' is of Kubernetes, which no tenant may reach"),
    "monitoring": ("monitoring", "namespace 'monitoring' is of monitoring, which no tenant may reach"),
    "another tenant": ("matrix-prod", "namespace 'matrix-prod' is another tenant's (matrix-prod); expected none of them"),
    "a listed one that is a tenant's": ("chess-club", "namespace 'chess-club' is another tenant's (chess-club)"),
    "one that is not listed": ("payments", "namespace 'payments' is none that tenants of eu1 may reach (cluster.tenants.reach.namespaces); expected one of"),
    "Pods beside the edge": ("traefik", "namespace 'traefik' is none that tenants of eu1 may reach"),
}  # fmt: skip
LISTED = ("namespaces: [bridges,", "namespaces: [kube-system, argocd, monitoring, chess-club, bridges,")


@pytest.mark.parametrize("name", PODS)
def test_pods_that_no_tenant_may_reach(name: str, tmp_path: Path) -> None:
    namespace, expected = PODS[name]
    found = lines(tmp_path, TENANT + REACH.format(f"{{namespace: {namespace}, pods: {{app: x}}, port: 587}}"), LISTED)
    assert found and all(
        line.startswith(f"{FILE}:9: matrix.email.reach[0].namespace: ") and expected in line for line in found
    ), found


@pytest.mark.parametrize(
    "peer",
    [
        "namespace: bridges, pods: {app: irc}",
        "namespace: acme, pods: {app: irc}",
        "namespace: traefik, pods: {app.kubernetes.io/name: traefik}",
    ],
)
def test_pods_that_are_allowed(peer: str, tmp_path: Path) -> None:
    port = 8443 if "traefik" in peer else 587
    assert lines(tmp_path, TENANT + REACH.format(f"{{{peer}, port: {port}}}")) == []


def test_other_ports_of_the_edge(tmp_path: Path) -> None:
    peer = "namespace: traefik, pods: {app.kubernetes.io/name: traefik}, port: 9000"
    assert lines(tmp_path, TENANT + REACH.format(f"{{{peer}}}")) == [
        f"{FILE}:9: matrix.email.reach[0].namespace: the edge serves its names at port 8443 (cluster.edge.pod_ports); expected one of these, got 9000"
    ]


def test_other_ports_of_a_load_balancers_networks(tmp_path: Path) -> None:
    edge = (
        "pods: {app.kubernetes.io/name: traefik}\n",
        "pods: {app.kubernetes.io/name: traefik}\n        - cidrs: [10.77.0.0/24]\n",
    )
    assert lines(tmp_path, TENANT + REACH.format("{cidrs: [10.77.0.0/24], port: 22}"), edge) == [
        f"{FILE}:9: matrix.email.reach[0].cidrs[0]: the edge is at 10.77.0.0/24: expected port 443 or 8448, got 22"
    ]


@pytest.mark.parametrize("port", [10250, 2379])
def test_a_port_of_the_kubelet_by_way_of_a_database(port: int, tmp_path: Path) -> None:
    pem = '"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----"'
    said = f"    database: {{kind: external, external: {{host: db.example.net, port: {port}, ca: {pem}, reach: [{{cidrs: [10.30.0.0/16]}}]}}}}\n"
    (found,) = lines(tmp_path, TENANT + said)
    assert found.startswith(f"{FILE}:9: matrix.database.external.reach[0].cidrs[0]: port {port} is the kubelet's"), (
        found
    )


def test_a_tenant_that_becomes_a_namespace(tmp_path: Path) -> None:
    """With a quota of its own, which no ceiling holds."""
    quota = "{cpu: '100000', memory: 900Ti, pods: 1000000, claims: 100000, storage: 9000Ti}"
    (found,) = lines(tmp_path, f"parameters:\n  namespace:\n    quota: {quota}\n")
    assert found.startswith(f"{FILE}:2: namespace: 'acme' is no namespace of several tenants on eu1"), found


@pytest.mark.parametrize("namespace", ["minio", "sso", "storage", "bridges"])
def test_a_namespace_of_a_service_that_tenants_share(namespace: str, tmp_path: Path) -> None:
    found = lines(tmp_path, TENANT + f"    namespace: {namespace}\n")
    assert any(
        line.startswith(
            f"{FILE}:9: matrix.namespace: namespace '{namespace}' is reserved: cluster.tenants.reach.namespaces"
        )
        for line in found
    ), found


ADDRESSES = {
    "another tenant's": ("203.0.113.80", "balancer's address on cluster eu1 '203.0.113.80' is eu1.acme's already"),
    "metadata": ("169.254.169.254", "169.254.169.254 is a metadata address"),
    "the host itself": ("127.0.0.1", "127.0.0.1 is the host itself or its own link; expected the balancer's address"),
    "the API server": ("10.20.0.10", "10.20.0.10 is the API server"),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_of_a_balancer(name: str, tmp_path: Path) -> None:
    address, expected = ADDRESSES[name]
    said = BALANCED.replace("203.0.113.9", address)
    assert said != BALANCED
    found = lines(tmp_path, TENANT + said.format("port: 3478"))
    assert any("matrix.turn.external_address: " in line and expected in line for line in found), found


def test_two_that_ask_alike_are_both_told(tmp_path: Path) -> None:
    """Nobody knows who was there first: whoever asks is told, whatever the alphabet says."""
    found = lines(tmp_path, TENANT + BALANCED.replace("203.0.113.9", "203.0.113.80").format("port: 3478"))
    assert {line.partition(":")[0] for line in found} == {FILE, "inventory/targets/eu1/matrix-ha.yml"}, found
    repository = Repository(tmp_path / "namespaces")
    for name in ("aaa", "zzz"):
        text = TENANT.replace("acme", name) + "    namespace: rooms\n"
        repository.write(f"inventory/targets/eu1/{name}.yml", text)
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path / "namespaces")
    told = {line.partition(":")[0] for line in str(caught.value).splitlines() if "matrix.namespace" in line}
    assert told == {"inventory/targets/eu1/aaa.yml", "inventory/targets/eu1/zzz.yml"}


def test_an_annotation_with_anothers_address(tmp_path: Path) -> None:
    found = lines(tmp_path, TENANT + BALANCED.format("annotations: {metallb.io/loadBalancerIPs: 203.0.113.80}"))
    assert len(found) == 1 and "expected turn.external_address (203.0.113.9) alone, got '203.0.113.80'" in found[0], (
        found
    )


def test_a_name_server_of_the_platforms(tmp_path: Path) -> None:
    found = lines(tmp_path, TENANT + "      element: ns1.example.com\n")
    assert any("'ns1.example.com' is the platform's own" in line for line in found), found


EVERYWHERE = {
    "an application service": "    appservices: {irc: {reach: [{cidrs: [192.168.7.0/24], port: 80}]}}\n",
    "a provider": "    auth: {kind: oidc, providers: {sso: {preset: keycloak, issuer: 'https://sso.example.net/realms/a', client_id: m, reach: [{cidrs: [192.168.7.0/24], port: 443}]}}}\n",
    "an external database": "    database: {kind: external, external: {host: db.example.net, ca: \"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\", reach: [{cidrs: [192.168.7.0/24]}]}}\n",
    "media": "    media: {kind: s3, s3: {endpoint: 'https://s3.example.net', region: one, bucket: media, reach: [{cidrs: [192.168.7.0/24], port: 443}]}}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_destination_is_held(name: str, tmp_path: Path) -> None:
    found = lines(tmp_path, TENANT + EVERYWHERE[name])
    assert any(
        "192.168.7.0/24 is no network that tenants of eu1 may reach" in line and line.startswith(f"{FILE}:9: ")
        for line in found
    ), found


WITHIN = "expected ports of nodes within 3478, 5349, 49152-65535 (cluster.tenants.node_ports)"
PORTS = {
    "port: 22": "matrix.turn: expected port without 22, which is SSH's, got 22",
    "port: 10250": "matrix.turn: expected port without 10248 to 10259, which is Kubernetes's own, got 10250",
    "port: 30500": "matrix.turn: expected port without 30000 to 32767, which is of Services (NodePort), got 30500",
    "port: 3000": f"matrix.turn.port: {WITHIN}, got 3000",
    "tls_port: 443": f"matrix.turn.tls_port: {WITHIN}, got 443",
    "relay_ports: {first: 30000, last: 32767}": "matrix.turn: expected relay_ports without 30000 to 32767, which is of Services (NodePort), got '30000 to 32767'",
    "relay_ports: {first: 40000, last: 65535}": f"matrix.turn.relay_ports: {WITHIN}, got 40000-65535",
}  # fmt: skip


@pytest.mark.parametrize("said", PORTS)
def test_ports_of_nodes(said: str, tmp_path: Path) -> None:
    text = TENANT + CALLS.replace("port: 3478, ", "").format(f"node_selector: {{turn: acme}}, {said}")
    assert f"{FILE}:10: {PORTS[said]}" in lines(tmp_path, text)


KEYS = {
    "Argo CD's": ("annotations: {argocd.argoproj.io/sync-options: Replace=true}", "is read by the platform's own tools"),
    "the product's": ("annotations: {matrix-fleet/hosts: git.example.com}", "is read by the platform's own tools"),
    "a snippet": ("annotations: {nginx.ingress.kubernetes.io/server-snippet: 'return 200;'}", "is read by the platform's own tools"),
    "a snippet in capitals": ("annotations: {nginx.org/Server-Snippets: x}", "is read by the platform's own tools"),
    "a scrape": ("annotations: {prometheus.io/scrape: 'true'}", "is read by the platform's own tools"),
    "one that is not listed": ("annotations: {service.beta.kubernetes.io/aws-load-balancer-internal: 'true'}", "is none that tenants of eu1 may set (cluster.tenants.annotations); expected one of"),
    "a control plane's node": ("node_selector: {node-role.kubernetes.io/control-plane: ''}", "is read by the platform's own tools"),
    "a node's name": ("node_selector: {kubernetes.io/hostname: node-1}", "is read by the platform's own tools"),
    "a label that is not listed": ("node_selector: {pool: payments}", "is none that tenants of eu1 may set (cluster.tenants.node_labels); expected one of turn"),
    "another's name for its balancer": ("annotations: {load-balancer.hetzner.cloud/hostname: git.example.com}", "'git.example.com' is the platform's own"),
    "another's domain in a list": ("annotations: {load-balancer.hetzner.cloud/hostname: 'a.example.org, b.test'}", "'b.test' is of no domain"),
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_keys_of_free_maps(name: str, tmp_path: Path) -> None:
    said, expected = KEYS[name]
    everything = (
        "annotations: [",
        "annotations: [load-balancer.hetzner.cloud/*, '*argoproj*', 'matrix-fleet/*', '*snippet*', prometheus.io/*, ",
    )
    found = lines(tmp_path, TENANT + BALANCED.format(said), everything)
    assert found and all(line.startswith(f"{FILE}:10: matrix.turn.") and expected in line for line in found), found


def test_keys_that_are_allowed(tmp_path: Path) -> None:
    said = "annotations: {load-balancer.hetzner.cloud/hostname: turn.acme.example.org}, node_selector: {turn: acme}"
    allowed = ("annotations: [", "annotations: [load-balancer.hetzner.cloud/*, ")
    assert lines(tmp_path, TENANT + BALANCED.format(said), allowed) == []


SIZES = {
    "cpu": ("    synapse: {resources: {cpu: '100', memory: 1Gi}}\n", "CPU in all, more than cluster.tenants.size.tenant.cpu (64) allows"),
    "memory": ("    synapse: {resources: {cpu: '1', memory: 300Gi}}\n", "of memory in all, more than cluster.tenants.size.tenant.memory (256Gi) allows"),
    "storage": ("    media: {storage: 5Ti}\n", "of storage in all, more than cluster.tenants.size.tenant.storage (4Ti) allows"),
    "pods": ("    workers: {client_reader: {replicas: 50}, federation_reader: {replicas: 50}}\n    database: {max_connections: 2000}\n", "Pods, more than cluster.tenants.size.tenant.pods (100) allows"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_tenant_has_a_ceiling(name: str, tmp_path: Path) -> None:
    text, expected = SIZES[name]
    found = lines(tmp_path, TENANT + text)
    assert any(line.startswith(f"{FILE}:5: matrix.size: ") and expected in line for line in found), found


def test_all_tenants_together_have_a_ceiling(tmp_path: Path) -> None:
    ceiling = ("      size:\n", "      size:\n        cluster: {pods: 20, storage: 100Gi}\n")
    found = lines(tmp_path, TENANT, ceiling)
    assert len(found) == 2
    assert all(
        line.startswith(f"{EU1}:") and ": cluster.tenants.size.cluster: its tenants together: " in line
        for line in found
    ), found


ROUTERS = {
    "{cpu: '65', memory: 1Gi}": "matrix.router.resources.cpu: expected 64 cores or fewer, HAProxy's most threads, got 65",
    "{cpu: '1', memory: 16Mi}": "matrix.router.resources.memory: expected memory for 400 to 500000 connections (48Mi to 19Gi), got room for -410",
    "{cpu: '1', memory: 40Gi}": "matrix.router.resources.memory: expected memory for 400 to 500000 connections (48Mi to 19Gi), got room for 1047756",
}  # fmt: skip


@pytest.mark.parametrize("resources", ROUTERS)
def test_a_program_has_bounds(resources: str, tmp_path: Path) -> None:
    found = lines(tmp_path, f"{TENANT}    router: {{resources: {resources}}}\n")
    assert any(line.startswith(f"{FILE}:9: {ROUTERS[resources]}") for line in found), found
