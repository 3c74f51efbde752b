"""No tenant shares with another what must be its own, nor reaches into another's namespace.

A namespace of several tenants is marked as one: there every object is some tenant's, and whatever selects Pods
names whose. Hosts, names of servers, namespaces, Secrets, databases, roles, parts of buckets, ports of nodes, and
alerts; over all clusters, since a host or a name is the world's. A host is one tenant's with every path below it: one
route's prefix would catch another's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations, product

from matrixfleet.checks.network import GUESTS, NAMESPACE, allowances, labels_in, place_of
from matrixfleet.checks.pods import relays, selector_of, stopped
from matrixfleet.checks.said import homeservers
from matrixfleet.checks.tree import ORDERS, Entry, Finding, Json, Pod, Tree, made_in, ordered_secret
from matrixfleet.model.fleet import PLATFORM
from matrixfleet.model.media import server_of

WHOLE_FLEET = True
SEVERAL = "matrix-fleet/several-tenants"
WORLDS = ("host", "server_name", "media")
"""Claims that one cluster alone may make in all the world."""
INSTANCE = "app.kubernetes.io/instance"
SOLVER = "acme.cert-manager.io/http01-solver"
"""Of cert-manager's solvers: alike for all tenants, and gone when they have answered."""
IDENTITY = re.compile(r"/ns/([a-z0-9-]+)/sa/")
SERVICE = re.compile(r"\.([a-z0-9-]+)\.svc\b")
Range = tuple[str, int, int]
"""Protocol, first and last port."""


def check(tree: Tree) -> Iterator[Finding]:
    """What is claimed twice, who reaches where, ports of nodes."""
    yield from claimed_twice(tree)
    owners = {(entry.cluster, entry.name): entry for entry in tree.of_kind("Namespace") if is_tenants(entry)}
    shared = {place for place, owner in owners.items() if owner.annotations.get(SEVERAL) == "true"}
    for entry in filter(is_tenants, tree.objects):
        if (entry.cluster, entry.namespace) in shared:
            for fault in strangers(entry):
                yield tree.finding(entry, "isolation", fault)
        for fault in (*heard_elsewhere(entry), *others_alerts(entry)):
            yield tree.finding(entry, "isolation", fault)
        for namespace in sorted(reaches(entry)):
            owner = owners.get((entry.cluster, namespace), entry)
            if owner.target != entry.target and (entry.cluster, namespace) not in shared:
                message = f"reaches into {namespace}, {owner.target}'s ({owner.path}); expected its own alone"
                yield tree.finding(entry, "isolation", message)
    yield from ports_shared(tree)


def is_tenants(entry: Entry) -> bool:
    """Whether it is a tenant's, and no Argo CD object: those live in Argo CD's namespace."""
    return not entry.target.endswith(f".{PLATFORM}") and entry.part not in ("argocd", "bootstrap")


def claimed_twice(tree: Tree) -> Iterator[Finding]:
    """Each claim has one holder. A standby claims nothing of the world's: the homeserver is active elsewhere."""
    holders: dict[tuple[str, ...], Entry] = {}
    followers = standbys(tree)
    for claim, entry in claims(tree):
        if claim[0] in WORLDS and entry.target in followers:
            continue
        holder = holders.setdefault(claim, entry)
        if holder.target != entry.target:
            message = f"{' '.join(claim)} is {holder.target}'s already ({holder}, {holder.path})"
            yield tree.finding(entry, "isolation", f"{message}; expected its own")


def standbys(tree: Tree) -> set[str]:
    """Targets whose database only follows another cluster's, and that run no main process."""
    following = {one.target for one in tree.of_kind("Cluster") if (one.spec.get("replica") or {}).get("enabled")}
    return {target for target in following if stopped(tree, target)}


def claims(tree: Tree) -> Iterator[tuple[tuple[str, ...], Entry]]:
    """What each tenant holds."""
    for entry in filter(is_tenants, tree.of_kind("Ingress")):
        for rule in entry.spec.get("rules", []):
            yield ("host", rule.get("host", "*")), entry
    for entry in filter(is_tenants, tree.of_kind("HTTPRoute")):
        for host in entry.spec.get("hostnames", ["*"]):
            yield ("host", host), entry
    for entry in filter(is_tenants, tree.of_kind("Gateway")):
        for listener in entry.spec.get("listeners", []):
            # Without a name it is its own Gateway's, whose address is the tenant's.
            if "hostname" in listener:
                yield ("host", listener["hostname"]), entry
        for host in (host for server in entry.spec.get("servers", []) for host in server["hosts"]):
            yield ("host", host.rpartition("/")[2]), entry
    for entry in filter(is_tenants, tree.of_kind("VirtualService")):
        for host in entry.spec.get("hosts", []):
            yield ("host", host), entry
    for entry, options in homeservers(tree):
        yield ("server_name", str(options.get("server_name"))), entry
        for provider in options.get("media_storage_providers") or ():
            bucket = provider["config"]
            where = (server_of(bucket.get("endpoint_url")), bucket.get("bucket"), bucket.get("prefix"))
            yield ("media", "/".join(map(str, where))), entry
    for entry in filter(is_tenants, tree.of_kind("Namespace")):
        yield ("namespace", entry.name, "of cluster", entry.cluster), entry
    for entry in filter(is_tenants, tree.of_kind("Cluster")):
        for role in (entry.spec.get("managed") or {}).get("roles", []):
            yield ("role", role["name"], "of", f"{entry.namespace}/{entry.name}", "of cluster", entry.cluster), entry
    for entry in tree.of_kind("Database"):
        server = f"{entry.namespace}/{entry.spec['cluster']['name']}"
        yield ("database", entry.spec["name"], "of", server, "of cluster", entry.cluster), entry
    for entry in filter(is_tenants, tree.objects):
        # Two folders with one object: each Application would set it to its own, for ever.
        if entry.namespace:
            yield (entry.kind, f"{entry.namespace}/{entry.name}", "of cluster", entry.cluster), entry
    for entry in filter(is_tenants, tree.of_kind("ConfigMap", "Certificate", *ORDERS)):
        for namespace, name in made_by(entry):
            yield ("Secret", f"{namespace}/{name}", "of cluster", entry.cluster), entry
        # Over all clusters: they may share a store.
        yield from ((("store's secret", remote), entry) for remote in remote_keys(entry))


def made_by(entry: Entry) -> Iterator[tuple[str, str]]:
    """Namespace and name of every Secret that is made because of an object."""
    if entry.kind == "Certificate":
        yield entry.namespace, entry.spec["secretName"]
    if entry.kind in ORDERS:
        yield entry.namespace, ordered_secret(entry)[0]
    for secret in listed(entry):
        # Two tenants of one namespace may copy what is the platform's.
        if "copied" not in secret["keys"].values():
            yield from ((namespace, secret["name"]) for namespace in made_in(secret))


def strangers(entry: Entry) -> Iterator[str]:
    """Selectors of an object in a namespace of several tenants that may find another tenant's Pods."""
    # A Gateway of Istio selects the gateway's Pods, which are nobody's here.
    found = [("spec.selector", selector_of(entry) or {})] if entry.kind not in ("Ingress", "Gateway") else []
    if entry.kind == "NetworkPolicy":
        found = [("podSelector", entry.spec.get("podSelector") or {})]
        for rule in allowances(entry):
            at = f"{rule.side} rule {rule.number}"
            found += [
                (at, peer["podSelector"])
                for peer in rule.peers
                if place_of(entry, peer)[1] == entry.namespace and "podSelector" in peer
            ]
    tenant = entry.target.rpartition(".")[2]
    for at, said in found:
        labels = said.get("matchLabels") or {}
        guests = [str(labels[guest]) for guest in GUESTS if guest in labels]
        mine = labels.get(INSTANCE) == tenant or any(guest.startswith(f"{tenant}-") for guest in guests)
        if said and not mine and SOLVER not in labels:
            yield f"{at}: expected {INSTANCE}: {tenant}, since several tenants share {entry.namespace}, got {labels}"


def others_alerts(entry: Entry) -> Iterator[str]:
    """A tenant's receivers, where its alerts alone do not come in, or its causes that silence another's alerts."""
    if entry.kind != "AlertmanagerConfig":
        return
    mine = {"name": "tenant", "value": entry.target.rpartition(".")[2], "matchType": "="}
    rules = entry.spec.get("inhibitRules") or []
    said = [("route", entry.spec["route"].get("matchers") or [])]
    said += [
        (f"inhibitRules {number}", rule.get(side) or [])
        for number, rule in enumerate(rules, 1)
        for side in ("sourceMatch", "targetMatch")
    ]
    for at, matchers in said:
        if mine not in matchers:
            yield f"{at}: expected a matcher tenant={mine['value']}, or another tenant's alerts are its own"


def heard_elsewhere(entry: Entry) -> Iterator[str]:
    """What Istio tells to every sidecar of the mesh, or takes from every namespace, unless it is told otherwise."""
    if entry.kind in ("DestinationRule", "ServiceEntry", "VirtualService"):
        exported = entry.spec.get("exportTo") or ["*"]
        if "*" in exported:
            yield f"exportTo: expected namespaces by name, or `.`; sidecars of every tenant hear of it, got {exported}"
    servers = entry.spec.get("servers", []) if entry.kind == "Gateway" else []
    for host in (host for server in servers for host in server["hosts"]):
        if not host.startswith(f"{entry.namespace}/"):
            yield f"hosts: expected {entry.namespace}/ before {host}; routes of any namespace bind to it"


def listed(entry: Entry) -> list[Json]:
    """The list of a bootstrap Job."""
    text = (entry.doc.get("data") or {}).get("secrets.json")
    return json.loads(text) if text else []


def remote_keys(entry: Entry) -> set[str]:
    """What an order asks a store for."""
    if entry.kind == "VaultStaticSecret":
        return {str(entry.spec.get("path"))}
    return (
        {one["remoteRef"]["key"] for one in entry.spec.get("data") or ()} if entry.kind == "ExternalSecret" else set()
    )


def reaches(entry: Entry) -> set[str]:
    """Every namespace that an object lives in or names."""
    found = {entry.namespace}
    if entry.kind == "NetworkPolicy":
        peers = [peer for rule in allowances(entry) for peer in rule.peers]
        found |= {labels_in(peer, "namespaceSelector").get(NAMESPACE, "") for peer in peers}
    elif entry.kind == "VirtualService":
        found |= {gateway.rpartition("/")[0] for gateway in entry.spec.get("gateways", [])}
        found |= set(SERVICE.findall(repr(entry.spec)))
    elif entry.kind == "HTTPRoute":
        found |= {parent.get("namespace", "") for parent in entry.spec.get("parentRefs", [])}
    elif entry.kind == "AuthorizationPolicy":
        found |= set(IDENTITY.findall(str(entry.spec)))
    elif entry.kind == "RoleBinding":
        found |= {subject.get("namespace", "") for subject in entry.doc.get("subjects", [])}
    elif entry.kind == "ConfigMap":
        found |= {namespace for secret in listed(entry) for namespace in secret["namespaces"]}
        for text in (entry.doc.get("data") or {}).values():
            found |= set(SERVICE.findall(text))
    return found - {""}


def ports_shared(tree: Tree) -> Iterator[Finding]:
    """Pods of two targets that may meet on a node and want the same of its ports."""
    by_cluster: dict[str, list[tuple[Pod, list[Range]]]] = {}
    for pod in tree.pods:
        ranges = list(node_ports(tree, pod))
        if ranges:
            by_cluster.setdefault(pod.entry.cluster, []).append((pod, ranges))
    for pods in by_cluster.values():
        for (one, first), (other, second) in combinations(pods, 2):
            if one.entry.target == other.entry.target or apart(one, other):
                continue
            for (protocol, start, end), (same, begin, stop) in product(first, second):
                if protocol == same and start <= stop and begin <= end:
                    ports = f"{protocol} {max(start, begin)}-{min(end, stop)} of a node"
                    message = f"{ports}: {other.entry} takes it too ({other.entry.path})"
                    yield tree.finding(one.entry, "isolation", f"{message}; expected other ports or nodes")


def node_ports(tree: Tree, pod: Pod) -> Iterator[Range]:
    """Ports of its node that a Pod takes: host ports, all of its ports on the host network, and relays."""
    for one in pod.containers:
        for port in one.get("ports", []):
            number = port.get("hostPort") or (port["containerPort"] if pod.host_network else 0)
            if number:
                yield port.get("protocol", "TCP"), number, number
    if pod.host_network:
        yield from (("UDP", first, last) for first, last in relays(tree, pod))


def apart(one: Pod, other: Pod) -> bool:
    """Whether node selectors keep two Pods off each other's nodes."""
    here, there = (pod.spec.get("nodeSelector") or {} for pod in (one, other))
    return any(key in there and there[key] != value for key, value in here.items())
