"""Every public host is served with a certificate that somebody issues, and plain HTTP only sends to HTTPS.

An Ingress whose secret nobody makes is served with the controller's own certificate: clients and other
servers refuse it, and nothing on the cluster says so. What is told only by a Gateway in another namespace or
by a cloud's certificate manager is not seen here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Entry, Finding, Json, Tree
from matrixfleet.model.fleet import PLATFORM

MIDDLEWARES = "traefik.ingress.kubernetes.io/router.middlewares"
FRONTEND = "networking.gke.io/v1beta1.FrontendConfig"
ALB = "alb.ingress.kubernetes.io"
# By these an Ingress with TLS answers plain HTTP too, with a redirect.
REDIRECTING = {
    "nginx.org/ssl-redirect": "true",
    "nginx.ingress.kubernetes.io/ssl-redirect": "true",
    "haproxy-ingress.github.io/ssl-redirect": "true",
    "appgw.ingress.kubernetes.io/ssl-redirect": "true",
    f"{ALB}/ssl-redirect": "443",
}


class Route(NamedTuple):
    """One host of an object that takes hosts."""

    host: str
    secret: str = ""
    """The Secret of its certificate."""
    elsewhere: bool = False
    """Whether its certificate is told elsewhere: by a load balancer, by somebody else's Gateway."""
    redirects: bool = False
    """Whether plain HTTP is sent to HTTPS by it."""
    place: str = ""
    """The namespace of that Secret; the object's own unless said."""

    @property
    def serves(self) -> bool:
        """Whether it is served over TLS."""
        return bool(self.secret) or self.elsewhere


def of_ingress(tree: Tree, entry: Entry) -> Iterator[Route]:
    """The hosts of an Ingress."""
    said = entry.annotations
    secrets = {host: tls.get("secretName", "") for tls in entry.spec.get("tls", []) for host in tls.get("hosts", [])}
    balanced = '"HTTPS"' in str(said.get(f"{ALB}/listen-ports", ""))
    redirects = any(said.get(key) == value for key, value in REDIRECTING.items()) or by_frontend(tree, entry)
    for rule in entry.spec.get("rules", []):
        host = rule.get("host", "*")
        yield Route(host, secrets.get(host, ""), balanced, redirects or by_middleware(tree, entry))


def by_middleware(tree: Tree, entry: Entry) -> bool:
    """Whether one of Traefik's Middlewares, of its own namespace, redirects what an Ingress takes."""
    for said in str(entry.annotations.get(MIDDLEWARES, "")).split(","):
        name = said.removesuffix("@kubernetescrd").removeprefix(f"{entry.namespace}-")
        found = tree.find(entry.cluster, "Middleware", entry.namespace, name)
        scheme = (found.spec.get("redirectScheme") or {}).get("scheme") if found else None
        if found and scheme == "https" and said == f"{entry.namespace}-{name}@kubernetescrd":
            return True
    return False


def by_frontend(tree: Tree, entry: Entry) -> bool:
    """Whether Google's FrontendConfig redirects what an Ingress takes."""
    found = tree.find(entry.cluster, "FrontendConfig", entry.namespace, str(entry.annotations.get(FRONTEND, "")))
    return found is not None and bool((found.spec.get("redirectToHttps") or {}).get("enabled"))


def of_http_route(tree: Tree, entry: Entry) -> Iterator[Route]:
    """The hosts of an HTTPRoute, on each listener that it names."""
    rules: list[Json] = entry.spec.get("rules", [])
    redirects = bool(rules) and all(map(to_https, rules))
    for parent in entry.spec.get("parentRefs", []):
        gateway = tree.find(entry.cluster, "Gateway", parent.get("namespace", entry.namespace), parent["name"])
        listeners = {one["name"]: one for one in gateway.spec.get("listeners", [])} if gateway else {}
        listener = listeners.get(parent.get("sectionName", ""), {})
        references = (listener.get("tls") or {}).get("certificateRefs") or [{}]
        for host in entry.spec.get("hostnames", ["*"]):
            mine = listener.get("hostname", host) == host
            secret = references[0].get("name", "") if mine else ""
            if mine or len(entry.spec["parentRefs"]) == 1:
                yield Route(host, secret, gateway is None and not redirects, redirects)


def to_https(rule: Json) -> bool:
    """Whether a rule of an HTTPRoute does nothing but redirect to HTTPS."""
    schemes = [one["requestRedirect"].get("scheme") for one in rule.get("filters", []) if "requestRedirect" in one]
    return schemes == ["https"] and not rule.get("backendRefs")


def of_virtual_service(tree: Tree, entry: Entry) -> Iterator[Route]:
    """The hosts of a VirtualService, on each server of its Gateway that takes them. The Secrets are read by the
    gateway's Pods, where those are. Of a Gateway that is somebody else's only the redirect is seen here: the first
    rule that takes a request has it, so it stands before what serves."""
    target = target_of(tree, entry)
    place = target.cluster.edge.certificate_namespace if target else ""
    rules: list[Json] = entry.spec.get("http") or [{}]
    plain = [match.get("port") for match in rules[0].get("match") or []] == [80]
    redirects = plain and (rules[0].get("redirect") or {}).get("scheme") == "https"
    for host, named in product(entry.spec.get("hosts", ["*"]), entry.spec.get("gateways", [])):
        gateway = None if "/" in named else tree.find(entry.cluster, "Gateway", entry.namespace, named)
        if "/" in named:
            yield Route(host, elsewhere=True, redirects=redirects)
            continue
        servers = gateway.spec.get("servers", []) if gateway else []
        mine = [one.get("tls") or {} for one in servers if f"{entry.namespace}/{host}" in one.get("hosts", [])]
        for tls in mine or [{}]:
            yield Route(host, tls.get("credentialName", ""), redirects=bool(tls.get("httpsRedirect")), place=place)


ROUTES: dict[str, Callable[[Tree, Entry], Iterator[Route]]] = {
    "Ingress": of_ingress,
    "HTTPRoute": of_http_route,
    "VirtualService": of_virtual_service,
}
"""How each kind that takes hosts names them."""


def check(tree: Tree) -> Iterator[Finding]:
    """Hosts, then issuers."""
    yield from (tree.finding(entry, "tls", fault) for entry, fault in host_faults(tree))
    platforms = {entry.cluster for entry in tree.objects if entry.target.endswith(f".{PLATFORM}")}
    for entry in tree.of_kind("Certificate"):
        issuer = entry.spec["issuerRef"]
        namespace = "" if issuer.get("kind") == "ClusterIssuer" else entry.namespace
        kind = issuer.get("kind", "Issuer")
        known = tree.find(entry.cluster, kind, namespace, issuer["name"]) is not None
        if not known and (namespace or not there_already(tree, entry, issuer["name"], platforms)):
            message = f"expected one that is compiled or that the cluster has, got {kind} {issuer['name']}"
            yield tree.finding(entry, "tls", f"issuerRef: {message}")


def there_already(tree: Tree, certificate: Entry, name: str, platforms: set[str]) -> bool:
    """Whether the cluster has an issuer that is not compiled here: the class names it, and says not how to
    make it, or its platform target is not part of this tree."""
    target = target_of(tree, certificate)
    issuers = (target.cluster.issuers.web, target.cluster.issuers.dns) if target else ()
    named = [issuer for issuer in issuers if issuer and issuer.name == name]
    return any(issuer.acme is None or certificate.cluster not in platforms for issuer in named)


def host_faults(tree: Tree) -> Iterator[tuple[Entry, str]]:
    """Hosts without a certificate, and plain ones that lead nowhere else."""
    certificates: dict[tuple[str, str, str], Entry] = {
        (entry.cluster, entry.namespace, entry.spec["secretName"]): entry for entry in tree.of_kind("Certificate")
    }
    routes = [
        (entry, route) for kind, read in ROUTES.items() for entry in tree.of_kind(kind) for route in read(tree, entry)
    ]
    served = {(entry.cluster, route.host) for entry, route in routes if route.serves}
    redirected = {(entry.cluster, route.host) for entry, route in routes if route.redirects}
    for entry, route in routes:
        host, secret = route.host, route.secret
        if (entry.cluster, host) not in served:
            yield entry, f"host {host}: expected tls with a secretName in some {entry.kind}, got none"
        elif (entry.cluster, host) not in redirected:
            yield entry, f"host {host}: expected a redirect of plain HTTP to https by some {entry.kind}, got none"
        if secret:
            place = route.place or entry.namespace
            certificate = certificates.get((entry.cluster, place, secret))
            if certificate is None:
                yield entry, f"host {host}: no Certificate makes its Secret {place}/{secret}"
            elif not covers(certificate.spec.get("dnsNames", []), host):
                yield certificate, f"dnsNames: expected {host}, which {entry} serves with it"
            elif certificate.spec["issuerRef"].get("kind") != "ClusterIssuer":
                yield certificate, f"issuerRef: expected a ClusterIssuer, since {host} is public"
        elif not route.serves and not route.redirects:
            how = {"Ingress": f"{MIDDLEWARES} to name", "VirtualService": "its Gateway to make"}.get(
                entry.kind, "its rules to be"
            )
            yield entry, f"host {host} in plain HTTP: expected {how} a redirect to https"


def covers(names: list[str], host: str) -> bool:
    """Whether a certificate's names hold a host; a wildcard stands for one label."""
    return host in names or f"*.{host.partition('.')[2]}" in names
