"""Whatever an object names is there, with the keys that are named, and comes no later than its user.

Argo CD waits for a wave to be healthy before the next: a Pod in an earlier wave than its ConfigMap waits for
ever. A Secret is made by something that must have finished, so its maker is a wave ahead of the Pods; an
Ingress serves without its certificate until that comes. Between Applications there is no order.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.pods import Reference, maker, references
from matrixfleet.checks.tree import POD_KINDS, Entry, Finding, Tree


def check(tree: Tree) -> Iterator[Finding]:
    """Pods, then certificates and who uses them."""
    for pod in tree.pods:
        for reference in references(pod):
            if not reference.optional:
                for fault in faults(tree, pod.entry, reference):
                    yield tree.finding(pod.entry, "references", fault)
    for entry in tree.of_kind("Ingress", "Gateway", "Certificate", "Issuer", "Cluster", "Pooler"):
        for reference in (*of_certificates(entry), *of_databases(entry)):
            for fault in faults(tree, entry, reference):
                yield tree.finding(entry, "references", fault)


def of_certificates(entry: Entry) -> Iterator[Reference]:
    """What an Ingress, a Gateway, a Certificate or an Issuer names in its namespace."""
    pair = {"tls.crt": "", "tls.key": ""}
    if entry.kind == "Ingress":
        for tls in entry.spec.get("tls", []):
            if tls.get("secretName"):
                yield Reference("tls", "Secret", tls["secretName"], pair)
    elif entry.kind == "Gateway":
        for listener in entry.spec.get("listeners", []):
            for reference in (listener.get("tls") or {}).get("certificateRefs", []):
                yield Reference("tls", "Secret", reference["name"], pair)
    elif entry.kind == "Certificate":
        if entry.spec["issuerRef"].get("kind", "Issuer") == "Issuer":
            yield Reference("issuerRef", "Issuer", entry.spec["issuerRef"]["name"])
    elif "ca" in entry.spec:
        yield Reference("ca", "Secret", entry.spec["ca"]["secretName"], pair)


def of_databases(entry: Entry) -> Iterator[Reference]:
    """What CloudNativePG's Cluster and Pooler name in their namespace."""
    if entry.kind == "Pooler":
        yield Reference("cluster", "Cluster", entry.spec["cluster"]["name"])
    if entry.kind == "Cluster":
        said = entry.spec.get("certificates") or {}
        for key, files in (("serverTLSSecret", {"tls.crt": "", "tls.key": ""}), ("serverCASecret", {"ca.crt": ""})):
            if key in said:
                yield Reference(key, "Secret", said[key], files)
        for role in (entry.spec.get("managed") or {}).get("roles", []):
            if "passwordSecret" in role:
                wanted = {"username": "", "password": ""}
                yield Reference(f"role {role['name']}", "Secret", role["passwordSecret"]["name"], wanted)


def faults(tree: Tree, entry: Entry, reference: Reference) -> Iterator[str]:
    """What is wrong with one reference."""
    what = f"{reference.by}: {reference.kind} {reference.name}"
    made = maker(tree, entry, reference)
    if made is None:
        yield f"{what}: expected it in namespace {entry.namespace}, nothing makes it"
        return
    source, keys = made
    for key in reference.files:
        if key not in keys:
            yield f"{what}: expected a key {key}, its keys are {', '.join(sorted(keys)) or 'none'}"
    if reference.kind == "PersistentVolumeClaim" and entry.spec.get("replicas") == 0:
        # No Pod waits for it; rule volume-waves says where it belongs.
        return
    latest = entry.wave - (1 if reference.kind == "Secret" and entry.kind in POD_KINDS else 0)
    if (source.target, source.part) == (entry.target, entry.part) and source.wave > latest:
        yield f"{what}: expected {source} in wave {latest} or earlier, got {source.wave}"
