"""A router leads to Services that exist, serves files that it has, and agrees with its Synapse.

HAProxy starts with a server that has no address, and answers 503 for it for ever. A body limit that is not
Synapse's cuts uploads off, or lets them travel in vain; an X-Forwarded-For that a client wrote is believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrixfleet.checks.said import homeservers, target_of
from matrixfleet.checks.tree import Entry, Finding, Json, Tree

SERVER = re.compile(r"^\s*(?:server\s+\S+|server-template\s+\S+\s+\S+)\s+(\S+)", re.MULTILINE)
ADDRESS = re.compile(
    r"(?:(?P<pod>[^.]+)\.)?(?P<service>[^.]+)\.(?P<namespace>[^.]+)\.svc\.(?P<domain>[^:]+):(?P<port>\d+)"
)
LIMIT = re.compile(r"if (!?path_upload) \{ req\.hdr\(content-length\) -m int gt (\d+) \}", re.IGNORECASE)
FORWARDED = re.compile(r"^\s*http-request set-header X-Forwarded-For\s", re.MULTILINE | re.IGNORECASE)
BELIEVED = re.compile(r"^\s*http-request set-src (?!var\(txn\.address\) )(.*)$", re.MULTILINE)
REQUEST = 200 * 65536
"""Bytes that Synapse reads of any request (MAX_REQUEST_SIZE of synapse/api/constants.py)."""
UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


def check(tree: Tree) -> Iterator[Finding]:
    """Each haproxy.cfg."""
    synapse = {entry.target: options for entry, options in homeservers(tree)}
    folders = folders_of(tree)
    for entry in tree.of_kind("ConfigMap"):
        text = (entry.doc.get("data") or {}).get("haproxy.cfg")
        if text:
            faults = [*server_faults(tree, entry, text), *file_faults(entry, text, folders)]
            faults += synapse_faults(text, synapse.get(entry.target, {}))
            yield from (tree.finding(entry, "router", f"haproxy.cfg: {fault}") for fault in faults)


def server_faults(tree: Tree, entry: Entry, text: str) -> Iterator[str]:
    """Where `server` lines lead."""
    target = target_of(tree, entry)
    for address in SERVER.findall(text):
        match = ADDRESS.fullmatch(address)
        if match is None:
            yield f"server {address}: expected <service>.<namespace>.svc.<domain>:<port>"
            continue
        if target and match["domain"] != target.cluster.network.domain:
            yield f"server {address}: expected domain {target.cluster.network.domain}"
        service = tree.find(entry.cluster, "Service", match["namespace"], match["service"])
        if service is None:
            yield f"server {address}: no Service {match['namespace']}/{match['service']} is compiled"
        elif int(match["port"]) not in [port["port"] for port in service.spec["ports"]]:
            yield f"server {address}: {service} has no port {match['port']}"
        if match["pod"] and not has_pod(tree, entry, match):
            yield f"server {address}: no StatefulSet of Service {match['service']} has a Pod {match['pod']}"


def has_pod(tree: Tree, entry: Entry, match: re.Match[str]) -> bool:
    """Whether a StatefulSet names such a Pod; one that is stopped has the names of all."""
    name, _, ordinal = match["pod"].rpartition("-")
    found = tree.find(entry.cluster, "StatefulSet", match["namespace"], name)
    if found is None or found.spec.get("serviceName") != match["service"] or not ordinal.isdigit():
        return False
    replicas = found.spec.get("replicas", 1)
    return bool(replicas == 0 or int(ordinal) < replicas)


def folders_of(tree: Tree) -> dict[tuple[str, str, str], set[str]]:
    """Where Pods see a ConfigMap as a folder, by cluster, namespace and name."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for pod in tree.pods:
        for mount in (mount for one in pod.containers for mount in one.get("volumeMounts", [])):
            name = (pod.volumes.get(mount["name"], {}).get("configMap") or {}).get("name", "")
            key = (pod.entry.cluster, pod.entry.namespace, name)
            found.setdefault(key, set()).add(mount["mountPath"])
    return found


def file_faults(entry: Entry, text: str, folders: dict[tuple[str, str, str], set[str]]) -> Iterator[str]:
    """Files below the folder where Pods see this ConfigMap."""
    for folder in sorted(folders.get((entry.cluster, entry.namespace, entry.name), ())):
        named = set(re.findall(rf"{re.escape(folder)}/([^\s\"',;]+)", text))
        for file in sorted(named - entry.doc["data"].keys()):
            yield f"names {folder}/{file}, which is no key of this ConfigMap"


def synapse_faults(text: str, options: Json) -> Iterator[str]:
    """Where it and the homeserver behind it disagree."""
    if "max_upload_size" in options:
        limits = {path: int(limit) for path, limit in LIMIT.findall(text)}
        for path, wanted in {"path_upload": bytes_of(str(options["max_upload_size"])), "!path_upload": REQUEST}.items():
            if limits.get(path) != wanted:
                yield f"content-length of {path}: expected at most {wanted}, got {limits.get(path, 'no limit')}"
    trusting = [port for port in options.get("listeners", []) if port.get("x_forwarded")]
    if trusting and not FORWARDED.search(text):
        yield "expected http-request set-header X-Forwarded-For, since Synapse believes it (x_forwarded)"
    if trusting:
        yield from address_faults(text)


def address_faults(text: str) -> Iterator[str]:
    """Where a client's address is taken as it was written: one that cannot be read leaves the edge's own there."""
    for source in BELIEVED.findall(text):
        yield f"http-request set-src {source}: expected var(txn.address), an address that was read or refused"
    refusals = re.findall(r"^\s*http-request return status 400 .* if (.*)$", text, re.MULTILINE)
    for wanted in ("forwarded !{ var(txn.address) -m found }", "{ req.fhdr(x-forwarded-for) -m reg"):
        if "set-src" in text and not any(one.startswith(wanted) for one in refusals):
            yield f"expected http-request return status 400 if {wanted}"


def bytes_of(size: str) -> int:
    """A size as Synapse reads it: K, M and G are binary."""
    return int(size[:-1]) * UNITS[size[-1]] if size[-1:] in UNITS else int(size)
