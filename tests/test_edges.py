"""Every kind of edge with every pattern: all rules hold, and each serves what it should as it can."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fleets import TOP
from matrixfleet.checks import Tree, run
from matrixfleet.cli.compile import compile_fleet
from matrixfleet.drawing import draw_target
from matrixfleet.errors import FleetError
from matrixfleet.kubernetes.edges import KINDS
from matrixfleet.model import Fleet
from matrixfleet.model.choices import BUILT, Edge, Pattern
from matrixfleet.plan.edge import REQUEST_TIMEOUT
from test_plan import PROD, changed

BALANCERS = [{"cidrs": ["198.51.100.0/24"]}]
CONTROLLERS = [{"namespace": "ingress", "pods": {"app.kubernetes.io/name": "controller"}}]
ARN = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d"
# As a cluster class says it.
SPECS: dict[Edge, dict[str, Any]] = {
    Edge.TRAEFIK: {"class_name": "traefik", "peers": CONTROLLERS},
    Edge.GATEWAY_API: {"class_name": "envoy", "peers": CONTROLLERS},
    Edge.ISTIO: {
        "peers": [{"namespace": "istio-ingress", "pods": {"istio": "ingress"}, "service_account": "ingress"}],
    },
    Edge.NGINX: {"class_name": "nginx", "peers": CONTROLLERS},
    Edge.INGRESS_NGINX: {"class_name": "nginx", "peers": CONTROLLERS},
    Edge.HAPROXY: {"class_name": "haproxy", "peers": CONTROLLERS},
    Edge.AWS_ALB: {"class_name": "alb", "peers": BALANCERS, "certificate_arns": [ARN]},
    Edge.GKE: {"class_name": "gce", "peers": BALANCERS, "trusted_hops": 2},
    Edge.AZURE_AGIC: {"class_name": "azure-application-gateway", "peers": BALANCERS},
}
# A tenant of each pattern: a pattern that is built joins here.
PATTERNS: dict[Pattern, str] = {
    Pattern.SINGLE_TENANT: PROD,
    Pattern.MULTI_TENANT: "ap1.tenant-a",
    Pattern.HIGH_AVAILABILITY: "eu1.matrix-ha",
}
NO_HTTP01 = (Edge.ISTIO, Edge.NGINX, Edge.GKE)
ON_8448 = (Edge.TRAEFIK, Edge.GATEWAY_API, Edge.ISTIO, Edge.NGINX, Edge.AWS_ALB, Edge.AZURE_AGIC)


def with_edge(fleet: Fleet, edge: Edge, name: str = PROD, **more: Any) -> Fleet:
    changes: list[tuple[tuple[str, ...], Any]] = [
        (("cluster", "edge"), {"controller": str(edge), **SPECS[edge], **more}),
    ]
    if edge is Edge.ISTIO:
        changes += [(("cluster", "mesh"), "istio"), (("cluster", "istio"), {"cni": True})]
    if edge in NO_HTTP01:
        dns = fleet.raw(fleet.platform_name(PROD), ("cluster", "issuers", "dns", "acme"))
        changes.append((("cluster", "issuers", "web", "acme"), dns))
    return changed(fleet, *changes, name=name)


def drawn(fleet: Fleet, name: str = PROD) -> Tree:
    texts = {}
    beside = [f"{name.partition('.')[0]}.matrix-tenants"] if fleet.target(name).neighbours else []
    for target in (name, fleet.platform_name(name), *beside):
        for path, text in draw_target(fleet, target, TOP).items():
            texts[f"{target.replace('.', '/')}/{path}"] = text
    return Tree.of(texts, fleet)


def annotations(tree: Tree, kind: str, name: str) -> dict[str, str]:
    found = tree.find("eu1", kind, "matrix-prod", name)
    assert found is not None, name
    return dict(found.annotations)


def test_everything_that_is_built_is_in_the_matrix() -> None:
    assert SPECS.keys() == KINDS.keys() == set(BUILT[Edge])
    assert PATTERNS.keys() == set(BUILT[Pattern])


@pytest.mark.parametrize("federation", [False, True], ids=["443", "8448"])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("edge", SPECS)
def test_every_rule_holds(edge: Edge, pattern: Pattern, federation: bool, fleet: Fleet) -> None:
    name = PATTERNS[pattern]
    if federation and edge not in ON_8448:
        with pytest.raises(FleetError, match="federation_on_8448: false"):
            drawn(with_edge(fleet, edge, name, federation_on_8448=True), name)
        return
    tree = drawn(with_edge(fleet, edge, name, **({"federation_on_8448": True} if federation else {})), name)
    assert [str(finding) for finding in run(tree, whole_fleet=False)] == []


@pytest.mark.parametrize("edge", [edge for edge in SPECS if edge not in (Edge.GATEWAY_API, Edge.ISTIO, Edge.GKE)])
def test_ingresses_have_the_class(edge: Edge, fleet: Fleet) -> None:
    ingresses = drawn(with_edge(fleet, edge)).of_kind("Ingress")
    assert {entry.spec["ingressClassName"] for entry in ingresses} == {SPECS[edge]["class_name"]}


@pytest.mark.parametrize("edge", [edge for edge in SPECS if edge is not Edge.AWS_ALB])
def test_a_certificate_covers_every_host(edge: Edge, fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, edge))
    made = {entry.name: entry.spec.get("dnsNames") for entry in tree.of_kind("Certificate")}
    assert made["matrix-prod-matrix"] == ["matrix.example.com", "example.com"]
    assert made["matrix-prod-element"] == ["chat.example.com"]


def test_traefik(fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, Edge.TRAEFIK, federation_on_8448=True))
    said = annotations(tree, "Ingress", "matrix-prod-matrix")
    assert said["traefik.ingress.kubernetes.io/router.entrypoints"] == "websecure,federation"
    (transport,) = tree.of_kind("ServersTransport")
    assert transport.spec["forwardingTimeouts"]["responseHeaderTimeout"] == f"{REQUEST_TIMEOUT}s"


# By annotations of one Ingress: redirect, body limit (max_upload_size is 50M), timeout.
BY_ANNOTATION: dict[Edge, dict[str, str]] = {
    Edge.NGINX: {
        "nginx.org/ssl-redirect": "true",
        "nginx.org/client-max-body-size": "BODYm",
        "nginx.org/proxy-read-timeout": "300s",
        "nginx.org/proxy-send-timeout": "300s",
    },
    Edge.INGRESS_NGINX: {
        "nginx.ingress.kubernetes.io/ssl-redirect": "true",
        "nginx.ingress.kubernetes.io/proxy-body-size": "BODYm",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "300",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "300",
    },
    Edge.HAPROXY: {
        "haproxy-ingress.github.io/ssl-redirect": "true",
        "haproxy-ingress.github.io/proxy-body-size": "BODYm",
        "haproxy-ingress.github.io/timeout-server": "300s",
    },
    Edge.AWS_ALB: {
        "alb.ingress.kubernetes.io/group.name": "eu1-matrix-prod",
        "alb.ingress.kubernetes.io/scheme": "internet-facing",
        "alb.ingress.kubernetes.io/target-type": "ip",
        "alb.ingress.kubernetes.io/listen-ports": '[{"HTTP": 80}, {"HTTPS": 443}]',
        "alb.ingress.kubernetes.io/ssl-redirect": "443",
        "alb.ingress.kubernetes.io/ssl-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "alb.ingress.kubernetes.io/load-balancer-attributes": "idle_timeout.timeout_seconds=300,"
        "routing.http.xff_header_processing.mode=append",
        "alb.ingress.kubernetes.io/certificate-arn": ARN,
    },
    Edge.AZURE_AGIC: {
        "appgw.ingress.kubernetes.io/ssl-redirect": "true",
        "appgw.ingress.kubernetes.io/request-timeout": "300",
        "appgw.ingress.kubernetes.io/health-probe-path": "/health",
        "appgw.ingress.kubernetes.io/health-probe-port": "8080",
        "appgw.ingress.kubernetes.io/health-probe-status-codes": "200",
        "appgw.ingress.kubernetes.io/connection-draining": "true",
        "appgw.ingress.kubernetes.io/connection-draining-timeout": "60",
    },
}


@pytest.mark.parametrize("edge", BY_ANNOTATION)
def test_by_annotation(edge: Edge, fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, edge))
    said = annotations(tree, "Ingress", "matrix-prod-matrix")
    tenant = fleet.target(PROD).tenant
    assert tenant is not None
    body = max(13, int(tenant.synapse.max_upload_size.removesuffix("Mi"))) + 1
    wanted = {key: value.replace("BODY", str(body)) for key, value in BY_ANNOTATION[edge].items()}
    assert {key: value for key, value in said.items() if not key.startswith("argocd")} == wanted


def test_nginx_on_8448(fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, Edge.NGINX, federation_on_8448=True))
    assert annotations(tree, "Ingress", "matrix-prod-matrix")["nginx.org/listen-ports-ssl"] == "443,8448"


def test_aws_alb(fleet: Fleet) -> None:
    grouped = drawn(with_edge(fleet, Edge.AWS_ALB, load_balancer_group="public"))
    said = annotations(grouped, "Ingress", "matrix-prod-element")
    assert said["alb.ingress.kubernetes.io/group.name"] == "public"
    more = {"certificate_arns": [], "certificate_discovery": True}
    tree = drawn(with_edge(fleet, Edge.AWS_ALB, federation_on_8448=True, source_ranges=["203.0.113.0/24"], **more))
    said = annotations(tree, "Ingress", "matrix-prod-element")
    assert said["alb.ingress.kubernetes.io/inbound-cidrs"] == "203.0.113.0/24"
    assert said["alb.ingress.kubernetes.io/listen-ports"] == '[{"HTTP": 80}, {"HTTPS": 443}, {"HTTPS": 8448}]'
    assert "alb.ingress.kubernetes.io/certificate-arn" not in said
    # Nothing that reads Secrets, so nobody who would solve a challenge for them.
    assert not [entry for entry in tree.of_kind("Certificate") if entry.spec["issuerRef"]["name"] == "letsencrypt"]
    assert tree.find("eu1", "NetworkPolicy", "matrix-prod", "matrix-prod-acme-solver") is None
    router, element = (annotations(tree, "Service", f"matrix-prod-{name}") for name in ("router", "element"))
    assert router["alb.ingress.kubernetes.io/healthcheck-path"] == "/health"
    assert element["alb.ingress.kubernetes.io/healthcheck-path"] == "/"
    draining = "deregistration_delay.timeout_seconds=60"
    assert {one["alb.ingress.kubernetes.io/target-group-attributes"] for one in (router, element)} == {draining}
    namespace = tree.find("eu1", "Namespace", "", "matrix-prod")
    assert namespace is not None and namespace.labels["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"


def test_azure_on_8448(fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, Edge.AZURE_AGIC, federation_on_8448=True))
    said = annotations(tree, "Ingress", "matrix-prod-matrix-federation")
    assert said["appgw.ingress.kubernetes.io/override-frontend-port"] == "8448"
    assert "appgw.ingress.kubernetes.io/ssl-redirect" not in said


def test_gke(fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, Edge.GKE))
    (ingress,) = tree.of_kind("Ingress")
    assert ingress.annotations["kubernetes.io/ingress.class"] == "gce" and "ingressClassName" not in ingress.spec
    assert [rule["host"] for rule in ingress.spec["rules"]] == ["matrix.example.com", "example.com", "chat.example.com"]
    (front,) = tree.of_kind("FrontendConfig")
    assert front.spec["redirectToHttps"]["enabled"] is True and "sslPolicy" not in front.spec
    (other,) = drawn(with_edge(fleet, Edge.GKE, ssl_policy="modern")).of_kind("FrontendConfig")
    assert other.spec["sslPolicy"] == "modern"
    assert ingress.annotations["networking.gke.io/v1beta1.FrontendConfig"] == front.name
    backends = {entry.name: entry.spec for entry in tree.of_kind("BackendConfig")}
    assert backends.keys() == {"matrix-prod-router", "matrix-prod-element"}
    assert all(spec["timeoutSec"] >= REQUEST_TIMEOUT for spec in backends.values())
    assert all(spec["connectionDraining"] == {"drainingTimeoutSec": 60} for spec in backends.values())
    assert backends["matrix-prod-router"]["healthCheck"] == {"type": "HTTP", "port": 8080, "requestPath": "/health"}
    service = annotations(tree, "Service", "matrix-prod-router")
    assert service["cloud.google.com/backend-config"] == '{"default": "matrix-prod-router"}'
    assert service["cloud.google.com/neg"] == '{"ingress": true}'


def test_a_gateway_of_its_own(fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, Edge.GATEWAY_API, federation_on_8448=True))
    (gateway,) = tree.of_kind("Gateway")
    assert gateway.spec["gatewayClassName"] == "envoy"
    listeners = {one["name"]: one for one in gateway.spec["listeners"]}
    assert [(name, one["port"]) for name, one in listeners.items()] == [
        ("http", 80),
        ("https.matrix.example.com", 443),
        ("federation.matrix.example.com", 8448),
        ("https.example.com", 443),
        ("federation.example.com", 8448),
        ("https.chat.example.com", 443),
        ("federation.chat.example.com", 8448),
    ]
    secret = listeners["https.example.com"]["tls"]["certificateRefs"][0]
    assert secret == {"group": "", "kind": "Secret", "name": "matrix-prod-matrix-tls"}
    routes = {entry.name: entry.spec for entry in tree.of_kind("HTTPRoute")}
    assert routes.keys() == {
        "matrix-prod-matrix",
        "matrix-prod-matrix-well-known-matrix",
        "matrix-prod-matrix-redirect",
        "matrix-prod-element",
        "matrix-prod-element-redirect",
    }
    well_known = routes["matrix-prod-matrix-well-known-matrix"]
    assert well_known["hostnames"] == ["example.com"]
    assert well_known["rules"][0]["matches"][0]["path"]["value"] == "/.well-known/matrix"
    timeout = routes["matrix-prod-matrix"]["rules"][0]["timeouts"]["request"]
    assert int(timeout.removesuffix("s")) >= REQUEST_TIMEOUT
    redirect = routes["matrix-prod-matrix-redirect"]
    assert redirect["hostnames"] == ["matrix.example.com", "example.com"]
    assert [parent["sectionName"] for parent in redirect["parentRefs"]] == ["http"]
    certificate = annotations(tree, "Certificate", "matrix-prod-matrix")
    assert certificate["acme.cert-manager.io/http01-parentrefname"] == gateway.name
    issuer = tree.find("eu1", "ClusterIssuer", "", "letsencrypt")
    assert issuer is not None
    assert issuer.spec["acme"]["solvers"] == [{"http01": {"gatewayHTTPRoute": {"serviceType": "ClusterIP"}}}]


def test_a_gateway_that_all_share(fleet: Fleet) -> None:
    shared = {"namespace": "gateways", "name": "public", "https_listeners": ["https", "federation"]}
    tree = drawn(with_edge(fleet, Edge.GATEWAY_API, gateway=shared))
    assert [str(finding) for finding in run(tree, whole_fleet=False)] == []
    assert not tree.of_kind("Gateway")
    assert tree.find("eu1", "Certificate", "matrix-prod", "matrix-prod-matrix") is None
    route = tree.find("eu1", "HTTPRoute", "matrix-prod", "matrix-prod-matrix")
    assert route is not None
    parents = [(one["namespace"], one["name"], one["sectionName"]) for one in route.spec["parentRefs"]]
    assert parents == [("gateways", "public", "https"), ("gateways", "public", "federation")]


# Seconds after which each closes an idle connection to a backend, and those until it has heard that a Pod leaves: by
# the documentation that lib/matrixfleet/plan/edge.py names.
IDLE = {Edge.GATEWAY_API: 3600, Edge.ISTIO: 3600, Edge.AWS_ALB: 300, Edge.GKE: 600, Edge.AZURE_AGIC: 300}
UNTIL_TOLD = {Edge.AWS_ALB: 30, Edge.GKE: 60, Edge.AZURE_AGIC: 90}


@pytest.mark.parametrize("edge", SPECS)
def test_a_backend_outlasts_its_edge(edge: Edge, fleet: Fleet) -> None:
    """Who closes an idle connection first must be the edge, and who leaves must serve until the edge knows."""
    tree = drawn(with_edge(fleet, edge))
    for name, file, line in (
        ("router", "haproxy.cfg", r"timeout http-keep-alive (\d+)s"),
        ("element", "nginx.conf", r"keepalive_timeout (\d+)s;"),
    ):
        config = tree.find("eu1", "ConfigMap", "matrix-prod", f"matrix-prod-{name}")
        assert config is not None
        (seconds,) = re.findall(line, config.doc["data"][file])
        assert int(seconds) > IDLE.get(edge, 60), name
        deployment = tree.find("eu1", "Deployment", "matrix-prod", f"matrix-prod-{name}")
        assert deployment is not None
        pod = deployment.spec["template"]["spec"]
        leaves = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert leaves >= UNTIL_TOLD.get(edge, 5), name
        # What it has begun ends within what is left.
        assert pod["terminationGracePeriodSeconds"] >= leaves + 25, name


def served(tree: Tree, host: str) -> list[tuple[str, str]]:
    """Each path of a host and the Service behind it, whatever the kind of edge; an edge takes the longest that fits."""
    found = []
    for entry in tree.of_kind("Ingress"):
        for rule in entry.spec["rules"]:
            if rule["host"] == host and not entry.name.endswith("-redirect"):
                found += [(one["path"], one["backend"]["service"]["name"]) for one in rule["http"]["paths"]]
    for entry in tree.of_kind("HTTPRoute"):
        for rule in entry.spec["rules"] if host in entry.spec["hostnames"] else []:
            for backend in rule.get("backendRefs", []):
                found.append((rule["matches"][0]["path"]["value"], backend["name"]))
    for entry in tree.of_kind("VirtualService"):
        if host in entry.spec["hosts"]:
            rules = [rule for rule in entry.spec["http"] if "route" in rule]
            found.append(tuple((one["match"][0]["uri"]["prefix"], short(one)) for one in rules))  # type: ignore[arg-type]
    return found


def short(rule: dict[str, Any]) -> str:
    return str(rule["route"][0]["destination"]["host"]).partition(".")[0]


APEX = [("/.well-known/matrix", "matrix-prod-router"), ("/", "matrix-prod-element")]


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("edge", SPECS)
def test_element_web_at_the_homeservers_own_name(edge: Edge, shared: bool, fleet: Fleet) -> None:
    more: dict[str, Any] = {}
    if shared:
        if edge not in (Edge.GATEWAY_API, Edge.ISTIO):
            return
        listeners = {"https_listeners": ["https"]} if edge is Edge.GATEWAY_API else {}
        more = {"gateway": {"namespace": "gateways", "name": "public", **listeners}}
    apex = changed(with_edge(fleet, edge, **more), (("matrix", "hosts", "element"), "example.com"))
    tree = drawn(apex)
    assert [str(finding) for finding in run(tree, whole_fleet=False)] == []
    # In one object of Istio, in this order: between several objects of one host there is none.
    assert sorted(served(tree, "example.com"), reverse=True) == ([tuple(APEX)] if edge is Edge.ISTIO else APEX)
    for gateway in tree.of_kind("Gateway"):
        if edge is Edge.GATEWAY_API:
            names = [(one.get("hostname"), one["port"]) for one in gateway.spec["listeners"]]
        else:
            names = [(host, one["port"]["number"]) for one in gateway.spec["servers"] for host in one["hosts"]]
        assert len(names) == len(set(names)), f"{gateway}: {names}"
    certificates = [name for one in tree.of_kind("Certificate") for name in one.spec.get("dnsNames", [])]
    assert len(certificates) == len(set(certificates)), certificates


def test_the_router_answers_whoever_asks_for_its_health(fleet: Fleet) -> None:
    config = drawn(fleet).find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-router")
    assert config is not None
    text = config.doc["data"]["haproxy.cfg"]
    assert text.index('string "ok" if { path /health }') < text.index("if !path_public")


def test_a_path_is_not_rewritten(fleet: Fleet) -> None:
    """%2F is part of a name: whatever rewrites a path decodes it first."""
    for edge in SPECS:
        told = "".join(drawn(with_edge(fleet, edge)).texts.values())
        assert "rewrite" not in told and "backend-path-prefix" not in told, edge


WORKLOAD = "eu1/matrix-prod/workload/edge"
# What the rules say of kinds that the reference fleet does not show.
BREAKS: list[tuple[Edge, str, tuple[str | int, ...], Any, str]] = [
    (
        Edge.NGINX,
        "ingress-matrix-prod-matrix",
        ("metadata", "annotations", "nginx.org/ssl-redirect"),
        "false",
        "host example.com: expected a redirect of plain HTTP to https by some Ingress, got none [tls]",
    ),
    (
        Edge.GKE,
        "frontendconfig-matrix-prod-edge",
        ("spec", "redirectToHttps", "enabled"),
        False,
        "host chat.example.com: expected a redirect of plain HTTP to https by some Ingress, got none [tls]",
    ),
    (
        Edge.AWS_ALB,
        "ingress-matrix-prod-matrix",
        ("metadata", "annotations", "alb.ingress.kubernetes.io/listen-ports"),
        '[{"HTTP": 80}]',
        "host matrix.example.com: expected tls with a secretName in some Ingress, got none [tls]",
    ),
    (
        Edge.GATEWAY_API,
        "gateway-matrix-prod-edge",
        ("spec", "listeners", 1, "tls", "certificateRefs", 0, "name"),
        "nobody",
        "tls: Secret nobody: expected it in namespace matrix-prod, nothing makes it [references]",
    ),
    (
        Edge.GATEWAY_API,
        "gateway-matrix-prod-edge",
        ("spec", "listeners", 1, "tls", "certificateRefs", 0, "name"),
        "nobody",
        "host matrix.example.com: no Certificate makes its Secret matrix-prod/nobody [tls]",
    ),
    (
        Edge.GATEWAY_API,
        "httproute-matrix-prod-element",
        ("spec", "parentRefs", 0, "sectionName"),
        "http",
        "host chat.example.com: expected tls with a secretName in some HTTPRoute, got none [tls]",
    ),
    (
        Edge.GATEWAY_API,
        "httproute-matrix-prod-element-redirect",
        ("spec", "rules", 0, "filters"),
        [],
        "host chat.example.com: expected a redirect of plain HTTP to https by some HTTPRoute, got none [tls]",
    ),
    (
        Edge.GATEWAY_API,
        "httproute-matrix-prod-element-redirect",
        ("spec", "rules", 0, "filters"),
        [],
        "host chat.example.com in plain HTTP: expected its rules to be a redirect to https [tls]",
    ),
    (
        Edge.GATEWAY_API,
        "httproute-matrix-prod-element",
        ("spec", "rules", 0, "backendRefs", 0, "port"),
        81,
        "backend: expected a Service matrix-prod-element with a port 81 [ports]",
    ),
    (
        Edge.GATEWAY_API,
        "httproute-matrix-prod-element",
        ("metadata", "annotations", "argocd.argoproj.io/sync-wave"),
        "3",
        "the order is database, main process, workers, router and Element Web, edge [wave-order]",
    ),
]


@pytest.mark.parametrize(("edge", "file", "keys", "to", "says"), BREAKS)
def test_rules_know_its_kinds(
    edge: Edge, file: str, keys: tuple[str | int, ...], to: Any, says: str, fleet: Fleet
) -> None:
    def change(doc: Any) -> None:
        for key in keys[:-1]:
            doc = doc[key]
        doc[keys[-1]] = to

    tree = drawn(with_edge(fleet, edge)).edited(f"{WORKLOAD}/{file}.yaml", change)
    found = [str(finding) for finding in run(tree, whole_fleet=False)]
    assert any(line.endswith(says) for line in found), found


def test_hosts_of_routes_are_one_tenants(fleet: Fleet) -> None:
    """A route and a listener of another tenant's host, and a Gateway of another tenant's namespace."""
    gateways = with_edge(fleet, Edge.GATEWAY_API)
    texts = dict(drawn(gateways).texts)
    for path, text in draw_target(gateways, "eu1.chess-club", TOP).items():
        texts[f"eu1/chess-club/{path}"] = text
    tree = Tree.of(texts, gateways)
    assert [str(finding) for finding in run(tree, whole_fleet=True) if finding.rule == "isolation"] == []

    def steal(doc: Any) -> None:
        doc["spec"]["hostnames"] = ["chat.example.com"]
        doc["spec"]["parentRefs"][0]["namespace"] = "matrix-prod"

    def listen(doc: Any) -> None:
        doc["spec"]["listeners"][1]["hostname"] = "matrix.example.com"

    folder = "eu1/chess-club/workload/edge"
    tree = tree.edited(f"{folder}/httproute-chess-club-element.yaml", steal)
    tree = tree.edited(f"{folder}/gateway-chess-club-edge.yaml", listen)
    found = "\n".join(str(finding) for finding in run(tree, whole_fleet=True) if finding.rule == "isolation")
    assert "host chat.example.com is eu1.matrix-prod's already" in found
    assert "host matrix.example.com is eu1.matrix-prod's already" in found
    assert "reaches into matrix-prod, eu1.matrix-prod's" in found


def test_an_archived_edge_is_warned_of(fleet: Fleet, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from fleets import Repository

    repository = Repository(tmp_path)
    path = "inventory/classes/cluster/eu1.yml"
    repository.edit(
        path, "controller: traefik\n      class_name: traefik", "controller: ingress-nginx\n      class_name: nginx"
    )
    compile_fleet(tmp_path, ["eu1.chess-club"])
    told = [line for line in capsys.readouterr().err.splitlines() if "releases." not in line]
    assert told == [
        f"warning: {path}:8: cluster.edge.controller: ingress-nginx was archived upstream in March 2026 and gets no"
        " security fixes; docs/edges.md compares the others"
    ]


SHARED_GATEWAY = {"gateway": {"namespace": "gateways", "name": "edge"}}


def test_istio_on_a_gateway_of_the_tenants_own(fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, Edge.ISTIO, federation_on_8448=True))
    (gateway,) = tree.of_kind("Gateway")
    assert gateway.namespace == "matrix-prod" and gateway.spec["selector"] == {"istio": "ingress"}
    plain, *served = gateway.spec["servers"]
    assert plain["port"]["number"] == 80 and plain["tls"] == {"httpsRedirect": True}
    assert plain["hosts"] == [
        "matrix-prod/matrix.example.com",
        "matrix-prod/example.com",
        "matrix-prod/chat.example.com",
    ]
    assert [(one["port"]["name"], one["port"]["number"], one["tls"]["credentialName"]) for one in served] == [
        ("https-matrix", 443, "matrix-prod-matrix-tls"),
        ("federation-matrix", 8448, "matrix-prod-matrix-tls"),
        ("https-element", 443, "matrix-prod-element-tls"),
        ("federation-element", 8448, "matrix-prod-element-tls"),
    ]
    services = {entry.name: entry.spec for entry in tree.of_kind("VirtualService")}
    assert services.keys() == {"matrix-prod-matrix", "matrix-prod-matrix-well-known-matrix", "matrix-prod-element"}
    (rule,) = services["matrix-prod-matrix"]["http"]
    assert rule["retries"] == {"attempts": 0}, "a message would be sent twice"
    assert "timeout" not in rule, "a long poll would end"
    assert rule["route"][0]["destination"]["host"] == "matrix-prod-router.matrix-prod.svc.cluster.local"
    assert all(spec["exportTo"] == [".", "istio-ingress"] for spec in services.values())
    ports = tree.find("eu1", "Service", "matrix-prod", "matrix-prod-router").spec["ports"]  # type: ignore[union-attr]
    assert {port["name"]: port["appProtocol"] for port in ports} == {"http": "http", "metrics": "tcp"}


def test_certificates_lie_where_istios_gateway_reads_them(fleet: Fleet) -> None:
    """In a part of its own: the tenant's project admits nothing else in the gateway's namespace."""
    tree = drawn(with_edge(fleet, Edge.ISTIO))
    made = {entry.path: entry for entry in tree.of_kind("Certificate") if entry.namespace == "istio-ingress"}
    assert made.keys() == {
        "eu1/matrix-prod/shared/certificate-matrix-prod-matrix.yaml",
        "eu1/matrix-prod/shared/certificate-matrix-prod-element.yaml",
    }
    project = tree.find("eu1", "AppProject", "argocd", "eu1-matrix-prod-shared")
    assert project is not None
    assert project.spec["namespaceResourceWhitelist"] == [{"group": "cert-manager.io", "kind": "Certificate"}]
    assert [one["namespace"] for one in project.spec["destinations"]] == ["istio-ingress"]
    assert tree.find("eu1", "NetworkPolicy", "matrix-prod", "matrix-prod-acme-solver") is None


def test_istio_on_a_gateway_that_all_share(fleet: Fleet) -> None:
    tree = drawn(with_edge(fleet, Edge.ISTIO, **SHARED_GATEWAY))
    assert [str(finding) for finding in run(tree, whole_fleet=False)] == []
    service = tree.find("eu1", "VirtualService", "matrix-prod", "matrix-prod-matrix")
    assert service is not None and not tree.of_kind("Gateway")
    first, second = service.spec["http"]
    assert first == {"match": [{"port": 80}], "redirect": {"scheme": "https", "redirectCode": 301}}
    assert second["retries"] == {"attempts": 0}
    assert service.spec["gateways"] == ["gateways/edge"]
    assert service.spec["exportTo"] == [".", "gateways", "istio-ingress"]
    edge = [one.name for one in tree.of_kind("Certificate") if one.labels["app.kubernetes.io/component"] == "edge"]
    assert edge == [], "nobody would read their Secrets"


REDIRECT_LOST = "expected a redirect of plain HTTP to https by some VirtualService, got none [tls]"
SERVICE, GATEWAY = "virtualservice-matrix-prod-matrix", "gateway-matrix-prod-edge"
ISTIO_BREAKS: list[tuple[dict[str, Any], str, tuple[str | int, ...], Any, str]] = [
    (SHARED_GATEWAY, SERVICE, ("http", 0, "redirect", "scheme"), "http", REDIRECT_LOST),
    (SHARED_GATEWAY, SERVICE, ("http", 0, "match"), [{"port": 443}], REDIRECT_LOST),
    ({}, GATEWAY, ("servers", 0, "tls"), {}, REDIRECT_LOST),
    (
        {},
        GATEWAY,
        ("servers", 1, "tls", "credentialName"),
        "nobody",
        "host matrix.example.com: no Certificate makes its Secret istio-ingress/nobody [tls]",
    ),
    (
        {},
        GATEWAY,
        ("servers", 1, "hosts"),
        ["matrix-prod/example.com"],
        "host matrix.example.com: expected tls with a secretName in some VirtualService, got none [tls]",
    ),
    (
        {},
        GATEWAY,
        ("servers", 0, "hosts", 0),
        "matrix.example.com",
        "hosts: expected matrix-prod/ before matrix.example.com; routes of any namespace bind to it [isolation]",
    ),
    (
        {},
        SERVICE,
        ("exportTo",),
        ["*"],
        "exportTo: expected namespaces by name, or `.`; sidecars of every tenant hear of it, got ['*'] [isolation]",
    ),
    (
        {},
        SERVICE,
        ("http", 0, "route", 0, "destination", "host"),
        "matrix-prod-router.other.svc.cluster.local",
        "expected a Service matrix-prod-router.other.svc.cluster.local",
    ),
]


@pytest.mark.parametrize(("more", "file", "keys", "to", "says"), ISTIO_BREAKS)
def test_rules_know_istios_kinds(
    more: dict[str, Any], file: str, keys: tuple[str | int, ...], to: Any, says: str, fleet: Fleet
) -> None:
    def change(doc: Any) -> None:
        here = doc["spec"]
        for key in keys[:-1]:
            here = here[key]
        here[keys[-1]] = to

    tree = drawn(with_edge(fleet, Edge.ISTIO, **more)).edited(f"{WORKLOAD}/{file}.yaml", change)
    found = [str(finding) for finding in run(tree, whole_fleet=True)]
    assert any(says in line for line in found), found


def test_hosts_of_istio_are_one_tenants(fleet: Fleet) -> None:
    meshed = with_edge(fleet, Edge.ISTIO)
    texts = dict(drawn(meshed).texts)
    for path, text in draw_target(meshed, "eu1.chess-club", TOP).items():
        texts[f"eu1/chess-club/{path}"] = text
    tree = Tree.of(texts, meshed)
    assert [str(finding) for finding in run(tree, whole_fleet=True) if finding.rule == "isolation"] == []

    def steal(doc: Any) -> None:
        doc["spec"]["hosts"] = ["chat.example.com"]
        doc["spec"]["gateways"] = ["matrix-prod/matrix-prod-edge"]

    def listen(doc: Any) -> None:
        doc["spec"]["servers"][1]["hosts"] = ["matrix-prod/matrix.example.com"]

    folder = "eu1/chess-club/workload/edge"
    tree = tree.edited(f"{folder}/virtualservice-chess-club-element.yaml", steal)
    tree = tree.edited(f"{folder}/gateway-chess-club-edge.yaml", listen)
    found = [str(finding) for finding in run(tree, whole_fleet=True) if finding.rule == "isolation"]
    assert any("host chat.example.com is eu1.matrix-prod's already" in line for line in found)
    assert any("host matrix.example.com is eu1.matrix-prod's already" in line for line in found)
    assert any("reaches into matrix-prod, eu1.matrix-prod's" in line for line in found)
    assert any("hosts: expected chess-club/ before matrix-prod/matrix.example.com" in line for line in found)


@pytest.mark.parametrize(
    ("size", "limit"), [("1Mi", "14m"), ("12Mi", "14m"), ("13Mi", "14m"), ("50Mi", "51m"), ("2Gi", "2049m")]
)
def test_an_edge_lets_through_what_synapse_reads(size: str, limit: str, fleet: Fleet) -> None:
    """A small limit of uploads is none of federation's: its transactions may have 12.5 MiB."""
    for edge, key in (
        (Edge.NGINX, "client-max-body-size"),
        (Edge.INGRESS_NGINX, "proxy-body-size"),
        (Edge.HAPROXY, "proxy-body-size"),
    ):
        changed = with_edge(fleet, edge).changed(PROD, ("matrix", "synapse", "max_upload_size"), size)
        said = annotations(
            drawn(changed.changed(PROD, ("matrix", "media", "storage"), "20Gi")), "Ingress", "matrix-prod-matrix"
        )
        assert [value for name, value in said.items() if name.endswith(key)] == [limit]


def test_paths_with_a_dot_pass_ingress_nginx(fleet: Fleet) -> None:
    """Its admission takes letters, digits, `-`, `_` and `/` in other types of paths (strict-validate-path-type)."""
    for edge in BY_ANNOTATION:
        for entry in drawn(with_edge(fleet, edge)).of_kind("Ingress"):
            for path in (path for rule in entry.spec["rules"] for path in rule["http"]["paths"]):
                assert (path["pathType"] == "ImplementationSpecific") is (edge is Edge.INGRESS_NGINX)


def test_envoy_gateway_keeps_paths(fleet: Fleet) -> None:
    """Its Gateway has a policy beside it that leaves %2F alone; no other edge gets that kind."""
    (policy,) = drawn(with_edge(fleet, Edge.GATEWAY_API, envoy_gateway=True)).of_kind("ClientTrafficPolicy")
    (gateway,) = drawn(with_edge(fleet, Edge.GATEWAY_API, envoy_gateway=True)).of_kind("Gateway")
    assert [(ref["kind"], ref["name"]) for ref in policy.spec["targetRefs"]] == [("Gateway", gateway.name)]
    assert policy.namespace == gateway.namespace
    assert policy.spec["path"] == {"escapedSlashesAction": "KeepUnchanged", "disableMergeSlashes": True}
    assert not list(drawn(with_edge(fleet, Edge.GATEWAY_API)).of_kind("ClientTrafficPolicy"))
