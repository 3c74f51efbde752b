"""Whatever an object names is there, with the keys that are named, and comes no later than its user.

Argo CD waits for a wave to be healthy before the next: a Pod in an earlier wave than its ConfigMap waits for
ever. A Secret is made by something that must have finished, so its maker is a wave ahead of the Pods; an
Ingress serves without its certificate until that comes. Between Applications there is no order. And a Secret that is
made is read: one that nobody names was forgotten, or its reader was.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.pods import Reference, maker, references
from matrixfleet.checks.tree import POD_KINDS, Entry, Finding, Tree
from matrixfleet.model.fleet import PLATFORM

OBJECTS = ("Ingress", "Gateway", "Certificate", "Issuer", "Cluster", "Pooler", "AlertmanagerConfig", "ObjectStore")
"""Kinds other than Pods' that name Secrets, or what those are made by, in their namespace."""


def check(tree: Tree) -> Iterator[Finding]:
    """Every reference that must be fulfilled, and every Secret that is made."""
    read: set[tuple[str, str]] = set()
    for entry, reference in all_references(tree):
        if reference.kind == "Secret":
            read.add((entry.cluster, reference.name))
        if not reference.optional:
            for fault in faults(tree, entry, reference):
                yield tree.finding(entry, "references", fault)
    # Istio's Gateways name Secrets beside the gateway's Pods, wherever they lie themselves.
    for gateway in tree.of_kind("Gateway"):
        for server in gateway.spec.get("servers", []):
            read.add((gateway.cluster, (server.get("tls") or {}).get("credentialName", "")))
    # By name alone: Jobs carry some from one namespace to another under the same name.
    for (cluster, namespace, name), (source, _) in tree.produced_secrets.items():
        # What is the platform's is there before the first tenant that reads it.
        if (cluster, name) not in read and not source.target.endswith(f".{PLATFORM}"):
            yield tree.finding(source, "references", f"Secret {namespace}/{name}: expected a reader, nothing names it")


def all_references(tree: Tree) -> Iterator[tuple[Entry, Reference]]:
    """Who names what in its namespace: Pods, then objects. The only list of kinds that refer to Secrets."""
    for pod in tree.pods:
        for reference in references(pod):
            yield pod.entry, reference
    for entry in tree.of_kind(*OBJECTS):
        for reference in (*of_certificates(entry), *of_databases(entry), *of_receivers(entry), *of_stores(entry)):
            yield entry, reference


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


def of_receivers(entry: Entry) -> Iterator[Reference]:
    """Addresses that an AlertmanagerConfig names in its namespace."""
    for receiver in entry.spec.get("receivers", []) if entry.kind == "AlertmanagerConfig" else ():
        for config in (one for key, ways in receiver.items() if key.endswith("Configs") for one in ways):
            for key in ("apiURL", "urlSecret"):
                if key in config:
                    yield Reference(key, "Secret", config[key]["name"], {config[key]["key"]: ""})


def of_stores(entry: Entry) -> Iterator[Reference]:
    """The keys to a bucket that an ObjectStore of the Barman Cloud plugin names in its namespace."""
    if entry.kind != "ObjectStore":
        return
    configuration = entry.spec["configuration"]
    for key, one in (configuration.get("s3Credentials") or {}).items():
        if isinstance(one, dict):
            yield Reference(f"s3Credentials.{key}", "Secret", one["name"], {one["key"]: ""})
    if "endpointCA" in configuration:
        authority = configuration["endpointCA"]
        yield Reference("endpointCA", "Secret", authority["name"], {authority["key"]: ""})


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
