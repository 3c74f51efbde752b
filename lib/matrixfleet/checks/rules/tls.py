"""Every public host is served with a certificate that somebody issues, and plain HTTP only sends to HTTPS.

An Ingress whose secret nobody makes is served with the controller's own certificate: clients and other
servers refuse it, and nothing on the cluster says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Entry, Finding, Tree
from matrixfleet.model.fleet import PLATFORM

Route = tuple[str, str]
"""A host, and the Secret of its certificate; "" where it is served in plain."""
MIDDLEWARES = "traefik.ingress.kubernetes.io/router.middlewares"


def of_ingress(entry: Entry) -> Iterator[Route]:
    """The hosts of an Ingress."""
    secrets = {host: tls.get("secretName", "") for tls in entry.spec.get("tls", []) for host in tls.get("hosts", [])}
    for rule in entry.spec.get("rules", []):
        yield rule.get("host", "*"), secrets.get(rule.get("host", "*"), "")


ROUTES: dict[str, Callable[[Entry], Iterator[Route]]] = {"Ingress": of_ingress}
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
    redirects = {
        (entry.cluster, f"{entry.namespace}-{entry.name}@kubernetescrd")
        for entry in tree.of_kind("Middleware")
        if (entry.spec.get("redirectScheme") or {}).get("scheme") == "https"
    }
    routes = [(entry, *route) for kind, read in ROUTES.items() for entry in tree.of_kind(kind) for route in read(entry)]
    served = {(entry.cluster, host) for entry, host, secret in routes if secret}
    for entry, host, secret in routes:
        if (entry.cluster, host) not in served:
            yield entry, f"host {host}: expected tls with a secretName in some {entry.kind}, got none"
        if secret:
            certificate = certificates.get((entry.cluster, entry.namespace, secret))
            if certificate is None:
                yield entry, f"host {host}: no Certificate makes its Secret {entry.namespace}/{secret}"
            elif not covers(certificate.spec.get("dnsNames", []), host):
                yield certificate, f"dnsNames: expected {host}, which {entry} serves with it"
            elif certificate.spec["issuerRef"].get("kind") != "ClusterIssuer":
                yield certificate, f"issuerRef: expected a ClusterIssuer, since {host} is public"
        else:
            names = str(entry.annotations.get(MIDDLEWARES, "")).split(",")
            if not any((entry.cluster, name) in redirects for name in names):
                yield entry, f"host {host} in plain HTTP: expected {MIDDLEWARES} to name a redirect to https"


def covers(names: list[str], host: str) -> bool:
    """Whether a certificate's names hold a host; a wildcard stands for one label."""
    return host in names or f"*.{host.partition('.')[2]}" in names
