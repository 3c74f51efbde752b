"""Every public name in a namespace is one that its Namespace says, or the API server would refuse the object.

The policies that the platform compiles hold Ingresses, Gateways, HTTPRoutes and public Certificates against the
annotation; what they would refuse must not first be seen in a sync that fails.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.tree import Entry, Finding, Tree

HOSTS = "matrix-fleet/hosts"
SEVERAL = "matrix-fleet/several-tenants"


def check(tree: Tree) -> Iterator[Finding]:
    """What names a host, against its Namespace."""
    for entry in tree.of_kind("Ingress", "Gateway", "HTTPRoute", "Certificate"):
        home = tree.find(entry.cluster, "Namespace", "", entry.namespace)
        if home is None:
            continue
        several = home.annotations.get(SEVERAL) == "true"
        key = f"{HOSTS}.{entry.target.rpartition('.')[2]}" if several else HOSTS
        said = str(home.annotations.get(key, "")).split(",")
        for host in sorted(named(entry) - {*said}):
            message = f"names {host}; expected one of annotation {key} of {home}, got {', '.join(said) or 'none'}"
            yield tree.finding(entry, "admitted-hosts", message)


def named(entry: Entry) -> set[str]:
    """Public names of an object; a Certificate of the namespace's own authority has none."""
    spec = entry.spec
    if entry.kind == "Ingress":
        hosts = {host for one in spec.get("tls", []) for host in one.get("hosts", [])}
        return hosts | {rule.get("host", "*") for rule in spec.get("rules", [])}
    if entry.kind == "Gateway":
        return {one["hostname"] for one in spec.get("listeners", []) if "hostname" in one}
    if entry.kind == "HTTPRoute":
        return set(spec.get("hostnames", ["*"]))
    return set(spec.get("dnsNames", [])) if spec["issuerRef"].get("kind") == "ClusterIssuer" else set()
