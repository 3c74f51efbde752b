"""The targets of one repository, read once a process: the only way one target sees another."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from matrixfleet.errors import Fault, FleetError, did_you_mean
from matrixfleet.inventory.render import Rendered, render
from matrixfleet.inventory.source import Key, Said, Source, dotted
from matrixfleet.model.alerts import Alerts
from matrixfleet.model.base import Model
from matrixfleet.model.boundary import Taken, boundary_faults, class_faults, hosts_in, shared_namespace_faults
from matrixfleet.model.choices import Database, State, Turn
from matrixfleet.model.cluster import IN_CLUSTER, Cluster
from matrixfleet.model.cron import Cron, at_least_every
from matrixfleet.model.database import Server
from matrixfleet.model.faults import sentences
from matrixfleet.model.media import S3Bucket, server_of
from matrixfleet.model.merging import UnknownList, last_lists, nulls, of_other_kinds, removed, without_nulls
from matrixfleet.model.moves import PlatformMoves
from matrixfleet.model.release import Release
from matrixfleet.model.resources import Resources, starts_with
from matrixfleet.model.tenant import Element, Tenant
from matrixfleet.model.turn import SharedTurn, ports_on_nodes
from matrixfleet.model.types import Cpu, Host, HttpsUrl, Memory, Name, expected

# Set by Kapitan and reclass themselves, not by an operator.
_FOREIGN = ("kapitan", "_reclass_", "_kapitan_")
PLATFORM = "platform"
SHARED_NAMESPACE = "fleet"
"""Of what the platform runs for its tenants; beside it fleet-turn and fleet-logs."""
_T = TypeVar("_T", bound=Model)


def platform_folder(cluster: str) -> str:
    """The first folder of what a cluster's platform has in a bucket."""
    return f"{PLATFORM}-{cluster}"


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks are merged key by key; anything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        held = merged.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            value = _merged(held, value)
        merged[key] = value
    return merged


class SharedElement(Element):
    """The platform's Element Web: people name their homeserver, and find it by its .well-known."""

    host: Host
    """Where it is served."""
    server_name: Host
    """The homeserver that it offers first."""
    homeserver: HttpsUrl
    """That one's address (`base_url`)."""

    @model_validator(mode="after")
    def _one_name_each(self) -> SharedElement:
        if urlsplit(self.homeserver).hostname == self.host:
            raise expected("homeserver other than host", self.homeserver, "each is served by something else")
        return self


class SharedArchive(Model):
    """The log and base backups of the platform's PostgreSQL, by the Barman Cloud plugin: any moment of any one tenant.
    Barman encrypts nothing: turn on the bucket's own encryption, and give it nobody else's."""

    bucket: S3Bucket
    """Where. The keys are the Secret `platform-backup-<generation>`; the folder is `platform-<cluster>` unless said.
    With `ca` that Secret has it too, as the key `ca.crt`: Barman Cloud reads it there."""
    keep: int = Field(default=14, ge=7, le=365)
    """How many days back any moment can be restored."""
    schedule: Annotated[Cron, at_least_every(2, "any moment is restored from the base backup before it")] = "47 1 * * *"
    """When a base backup is made."""
    resources: Annotated[Resources, starts_with("128Mi")] = Resources(cpu="100m", memory="512Mi")
    """Of the container beside each instance that archives."""


class SharedPostgresql(Server):
    """The platform's PostgreSQL, by CloudNativePG: tenants with database.kind shared have a database and roles
    of their own on it. One of them that is busy is felt by all."""

    archive: SharedArchive | None = None
    """Where its log is archived; nowhere unless said."""


class Platform(Model):
    """What a cluster's platform target decides beside the cluster itself."""

    release: Name = "stable"
    """Which release its managed operators and shared parts are of."""
    turn: SharedTurn | None = None
    """A Coturn for the tenants that have none of their own (matrix.turn.kind: shared)."""
    postgresql: SharedPostgresql | None = None
    """A PostgreSQL for the tenants that have none of their own (matrix.database.kind: shared)."""
    element: SharedElement | None = None
    """An Element Web for whoever has none of their own."""
    alerts: Alerts | None = None
    """Who is told of alerts on what is the platform's own; whoever Alertmanager's own route names unless said."""
    moves: PlatformMoves = Field(default_factory=dict)
    """Changes of the cluster and of the platform that `matrix-fleet check --base` refuses unless they are declared
    here, each as `WAS -> IS` by the key that the check names. Default: none. See docs/moves.md."""

    @model_validator(mode="after")
    def _one_name_each(self) -> Platform:
        if self.turn and self.element and self.turn.host == self.element.host:
            raise expected("turn.host other than element.host", self.turn.host, "each is served by something else")
        return self


class Quota(Model):
    """What all tenants of a shared namespace may ask for together. Said, not derived: a tenant more changes no
    file of another, and a check holds the sum against it."""

    cpu: Cpu
    """Requested."""
    memory: Memory
    """Requested and limited."""
    pods: int = Field(ge=1)
    """Pods, those of operators included."""
    claims: int = Field(ge=1)
    """PersistentVolumeClaims."""
    storage: Memory
    """Of all claims."""
    balancers: int = Field(default=0, ge=0)
    """Services of type LoadBalancer. Default: 0. One for each tenant with turn.kind deployment."""
    node_ports: int = Field(default=0, ge=0)
    """Ports of those Services, each of which takes a port of every node. Default: 0. With turn.kind deployment a tenant
    takes its relay ports, 40 unless set, and two for each port that Coturn listens on."""


class SharedNamespace(Model):
    """One namespace for several tenants. Inside it tenancy is soft: quota, Pod Security and whoever may read
    Secrets there are the namespace's, not a tenant's."""

    quota: Quota
    """For all of them."""
    release: Name = "stable"
    """Which release its objects are labelled with."""


class NamespaceTarget(Model):
    """The parameters of a target that is a namespace for several tenants: the file's name is its name."""

    namespace: SharedNamespace
    """The namespace."""


class TenantTarget(Model):
    """The parameters of a tenant's target. The cluster is the folder it lies in."""

    matrix: Tenant
    """The homeserver."""


class PlatformTarget(Model):
    """The parameters of a cluster's platform target: what is said once and read by every tenant on it.

    A tenant's own parameters do not carry it: a fleet of a thousand would render it a thousand times."""

    cluster: Cluster
    """The cluster: set by a cluster class."""
    releases: dict[Name, Release]
    """The releases that it offers, by name: each set by a release class."""
    sizes: dict[Name, dict[str, Any]]
    """The sizes that it offers, by name: each set by a size class. A size says what a tenant may say
    below `matrix`, and a tenant that says it too wins."""
    platform: Platform = Field(default_factory=Platform)
    """The platform."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target, read."""

    name: str
    """As Kapitan names it: "eu1.acme"."""
    cluster: Cluster
    release_name: str
    release: Release
    tenant: Tenant | None
    """None for a platform target."""
    platform: Platform
    """What its cluster's platform target decides."""
    namespace: SharedNamespace | None = None
    """Of a target that is a namespace for several tenants."""
    neighbours: bool = False
    """Whether a tenant's namespace is one for several tenants."""
    sharers: tuple[tuple[str, Tenant], ...] = ()
    """Of a platform target: the tenants, by name, whose database is the platform's."""
    releases: Mapping[str, Release] = field(default_factory=dict)
    """Of a platform target: every release that its cluster offers, by name."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Of a platform target: the tenants of its cluster whose namespace is not called like them, and that namespace."""
    namespaces: tuple[str, ...] = ()
    """Of a platform target: its cluster's targets that are a namespace for several tenants."""
    synced: tuple[Target, ...] = ()
    """Of a platform target whose cluster has Argo CD: the platforms of clusters that an Argo CD syncs from afar, as
    this one may. The inventory does not say which hub has which."""
    members: tuple[Target, ...] = ()
    """Of a target that is a namespace for several tenants: those tenants."""
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Of a tenant that says `active`: every cluster with a target of its homeserver, that one's name and namespace."""

    @property
    def short(self) -> str:
        """The file's name: the tenant's name, or "platform"."""
        return self.name.rpartition(".")[2]


class Fleet:
    """All targets, each parsed when it is asked for."""

    def __init__(self, parameters: Rendered, source: Source) -> None:
        self._parameters = parameters
        self._platforms: dict[str, PlatformTarget] = {}
        self.source = source

    @classmethod
    def read(cls, inventory: Path) -> Fleet:
        """From the files, for the command line. Raises FleetError."""
        source = Source(inventory.resolve())
        return cls(render(source.inventory, source), source)

    @classmethod
    def from_kapitan(cls, inventory: Mapping[str, Any], path: Path) -> Fleet:
        """From Kapitan's own rendered inventory (`kapitan.cached.global_inv`): the same data, unboxed."""
        return cls({name: node["parameters"] for name, node in inventory.items()}, Source(path.resolve()))

    @property
    def names(self) -> list[str]:
        """Every target, sorted."""
        return sorted(self._parameters)

    def target(self, name: str) -> Target:
        """One target. Raises FleetError for what is wrong with it."""
        platform = self.platform(name)
        tenant = namespace = None
        own = name == self.platform_name(name)
        self._hold_one_of_a_kind(name)
        if not own:
            self._hold_classes(name, platform.cluster)
        sharers: tuple[tuple[str, Tenant], ...] = ()
        elsewhere: dict[str, str] = {}
        namespaces: tuple[str, ...] = ()
        synced: tuple[Target, ...] = ()
        if own:
            release, sharers = platform.platform.release, tuple(self._sharers(name, platform))
            elsewhere, namespaces = self._elsewhere(name), self._namespaces(name)
            synced = tuple(self._synced(name, platform.cluster))
        elif self.is_namespace(name):
            namespace = self._parsed(name, NamespaceTarget, self._own(name)).namespace
            release = namespace.release
            self._hold(name, shared_namespace_faults(platform.cluster, name.rpartition(".")[2]))
        else:
            tenant = self._tenant(name, platform)
            release = tenant.release
            short = name.rpartition(".")[2]
            self._hold(name, boundary_faults(platform.cluster, short, tenant, self._taken(name)))
        if release not in platform.releases:
            offered = did_you_mean(release, list(platform.releases))
            key = (
                "platform" if own else "namespace" if namespace else "matrix",
                "release",
            )
            raise FleetError([self.fault(name, key, f"no release {release!r} on {platform.cluster.name}{offered}")])
        return Target(
            name,
            platform.cluster,
            release,
            platform.releases[release],
            tenant,
            platform.platform,
            namespace,
            tenant is not None and self._shared(name, tenant.namespace),
            sharers,
            platform.releases if name == self.platform_name(name) else {},
            elsewhere,
            namespaces,
            synced,
            tuple(self._members(name)) if namespace else (),
            self.places(name),
        )

    def _hold(self, name: str, faults: Iterator[tuple[Key, str]]) -> None:
        """Raise FleetError where a target asks for more than its cluster allows."""
        found = [self.fault(name, key, message) for key, message in faults]
        if found:
            raise FleetError(found)

    def _hold_one_of_a_kind(self, name: str) -> None:
        """Raise FleetError where a target has two patterns or two clusters: the last one would win, key by key."""
        for folder in ("pattern", "cluster"):
            found = self.source.classes_below(name, folder)
            for used, file, line in found[1:]:
                message = f"expected one class of {folder}/, got {used!r} beside {found[0][0]!r}; remove one of them"
                raise FleetError([Fault(file, line, "classes", message)])

    def _hold_classes(self, name: str, cluster: Cluster) -> None:
        """Raise FleetError where a target's file names a class that tenants may not name."""
        path = self.source.shown(name)
        found = [
            Fault(path, line, "classes", message)
            for line, message in class_faults(cluster, self.source.classes_of(name))
        ]
        if found:
            raise FleetError(found)

    @cached_property
    def _hosts(self) -> list[str]:
        """Hosts of the addresses in every cluster class."""
        raw = (self.raw(name, ("cluster",)) for name in self.names if name == self.platform_name(name))
        return hosts_in(raw)

    @cached_property
    def _holders(self) -> dict[str, dict[str, set[str]]]:
        """Tenants by cluster and namespace."""
        found: dict[str, dict[str, set[str]]] = {}
        for name in self.names:
            folder, _, short = name.rpartition(".")
            if isinstance(self.raw(name, ("matrix",)), Mapping):
                namespace = str(self.raw(name, ("matrix", "namespace")) or short)
                found.setdefault(folder, {}).setdefault(namespace, set()).add(short)
        return found

    def _taken(self, name: str) -> Taken:
        """What others have on a target's cluster."""
        return Taken(self._hosts, self._holders.get(name.rpartition(".")[0], {}))

    def _neighbours(self, name: str) -> list[tuple[str, str]]:
        """Every target of a cluster, and its short name."""
        cluster = name.rpartition(".")[0]
        return [(other, other.rpartition(".")[2]) for other in self.names if other.rpartition(".")[0] == cluster]

    def _elsewhere(self, name: str) -> dict[str, str]:
        said = {short: self.raw(other, ("matrix", "namespace")) for other, short in self._neighbours(name)}
        return {short: place for short, place in said.items() if isinstance(place, str) and place != short}

    def _members(self, name: str) -> Iterator[Target]:
        for other, _ in self._neighbours(name):
            if self.raw(other, ("matrix", "namespace")) == name.rpartition(".")[2]:
                yield self.target(other)

    def _namespaces(self, name: str) -> tuple[str, ...]:
        return tuple(short for other, short in self._neighbours(name) if self.is_namespace(other))

    def _synced(self, name: str, cluster: Cluster) -> Iterator[Target]:
        if cluster.argocd.server != IN_CLUSTER:
            return
        for other in self.names:
            server = self.raw(other, ("cluster", "argocd", "server"))
            if other != name and other == self.platform_name(other) and server not in (None, IN_CLUSTER):
                yield self.target(other)

    def places(self, name: str) -> dict[str, tuple[str, str]]:
        """Of a target that says `active`: cluster, name and namespace of each of its homeserver's, itself included."""
        server = self.raw(name, ("matrix", "server_name"))
        if not isinstance(self.raw(name, ("matrix", "active")), str):
            return {}
        found = (other.rpartition(".") for other in self.names if self.raw(other, ("matrix", "server_name")) == server)
        return {
            folder: (short, str(self.raw(f"{folder}.{short}", ("matrix", "namespace")) or short))
            for folder, _, short in found
        }

    def _shared(self, name: str, namespace: str | None) -> bool:
        """Whether a target's namespace is a target of its own."""
        return self.raw(f"{name.rpartition('.')[0]}.{namespace}", ("namespace",)) is not None

    def is_namespace(self, name: str) -> bool:
        """Whether a target is a namespace for several tenants."""
        return "namespace" in self._parameters[name]

    def _sharers(self, name: str, platform: PlatformTarget) -> Iterator[tuple[str, Tenant]]:
        """Tenants of a platform whose database is on its server, as that needs to know them."""
        cluster = name.rpartition(".")[0]
        for other in self.names if platform.platform.postgresql else ():
            folder, _, short = other.rpartition(".")
            if folder == cluster and self.raw(other, ("matrix", "database", "kind")) == Database.SHARED:
                yield short, self._tenant(other, platform)

    def _tenant(self, name: str, platform: PlatformTarget) -> Tenant:
        """A tenant's own words over those of its size."""
        said = self._own(name)
        tenant = said.get("matrix")
        size = self.raw(name, ("matrix", "size"))
        if isinstance(tenant, dict):
            for key in of_other_kinds(tenant, self.source, name):
                tenant = removed(tenant, key)
            said["matrix"] = tenant
        if isinstance(tenant, dict) and isinstance(size, str):
            if size not in platform.sizes:
                offered = did_you_mean(size, list(platform.sizes))
                message = f"no size {size!r} on {platform.cluster.name}{offered}"
                raise FleetError([self.fault(name, ("matrix", "size"), message)])
            said["matrix"] = _merged(platform.sizes[size], tenant)
        parsed = self._parsed(name, TenantTarget, said).matrix
        standby = parsed.follows(platform.cluster.name)
        return parsed.model_copy(update={"state": State.STOPPED}) if standby else parsed

    @staticmethod
    def platform_name(name: str) -> str:
        """The platform target of a target's cluster."""
        return f"{name.rpartition('.')[0]}.{PLATFORM}"

    def platform(self, name: str) -> PlatformTarget:
        """What a target's cluster says, read once. Raises FleetError."""
        platform = self.platform_name(name)
        if platform not in self._platforms:
            self._platforms[platform] = self._read_platform(name, platform)
        return self._platforms[platform]

    def _read_platform(self, name: str, platform: str) -> PlatformTarget:
        folder = platform.rpartition(".")[0]
        if platform not in self._parameters:
            message = f"cluster {folder!r} has no platform target; expected inventory/targets/{folder}/{PLATFORM}.yml"
            raise FleetError([self.fault(name, (), message)])
        parsed = self._parsed(platform, PlatformTarget, self._own(platform))
        if parsed.cluster.name != folder:
            message = f"expected {folder!r}, the folder of its targets, got {parsed.cluster.name!r}"
            hint = f"; use class cluster.{folder}"
            raise FleetError([self.fault(platform, ("cluster", "name"), message + hint)])
        self._hold_sizes(platform, parsed)
        return parsed

    def _hold_sizes(self, platform: str, parsed: PlatformTarget) -> None:
        """Raise FleetError where a size sets a volume: it would shrink or change with the size's name."""
        faults = []
        for size, keys in product(parsed.sizes, (("media", "storage"), ("database", "storage"), ("logs", "volume"))):
            said = self.raw(platform, ("sizes", size, *keys))
            if said is not None:
                message = f"expected none in a size, got {str(said)!r}; a volume outlives a size: set it per tenant"
                faults.append(self.fault(platform, ("sizes", size, *keys), f"{message}, matrix.{'.'.join(keys)}"))
        if faults:
            raise FleetError(faults)

    def _own(self, name: str) -> dict[str, Any]:
        """What an operator said of a target."""
        said = {key: value for key, value in self._parameters[name].items() if key not in _FOREIGN}
        if "?{" in repr(said):
            message = "expected no Kapitan reference (?{...}); secrets are named in the model, never inlined"
            raise FleetError([self.fault(name, (), message)])
        try:
            return {key: last_lists(value, self.source, name, (key,)) for key, value in said.items()}
        except UnknownList as unknown:
            message = (
                "expected a list written out: it replaces the one of the classes before, and a reference would not"
            )
            raise FleetError([self.fault(name, unknown.key, message)]) from unknown

    def _taken_back(self, name: str, said: dict[str, Any]) -> dict[str, Any]:
        """What is left of a target's parameters where null takes back what was set before."""
        found = [
            self.fault(name, key, "expected a value, got null; it takes back what a class sets, and none sets this")
            for key in nulls(said, ())
            if not any(place.sets for place in self.said(name, key))
        ]
        if found:
            raise FleetError(found)
        return {key: without_nulls(value) for key, value in said.items()}

    def _parsed(self, name: str, model: type[_T], said: dict[str, Any]) -> _T:
        """A target as the model has it. Raises FleetError."""
        try:
            return model.model_validate(self._taken_back(name, said))
        except ValidationError as error:
            raise FleetError(self.fault(name, key, text) for key, text in sentences(model, error)) from error

    def components(self, name: str) -> list[str]:
        """The folders of the components that draw a target, in their order."""
        items = self._parameters[name]["kapitan"]["compile"]
        return [str(path) for item in items for path in item["input_paths"]]

    def changed(self, name: str, key: Key, value: Any) -> Fleet:
        """A fleet in which one target says another value."""
        parameters = copy.deepcopy(dict(self._parameters[name]))
        here: Any = parameters
        for part in key[:-1]:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        here[key[-1]] = value
        return Fleet({**self._parameters, name: parameters}, self.source)

    def raw(self, name: str, key: Key) -> Any:
        """What the inventory says at a key, or None where it says nothing."""
        here: Any = self._parameters.get(name)
        for part in key:
            try:
                here = here[part]
            except (KeyError, IndexError, TypeError):
                return None
        return here

    def said(self, name: str, key: Key) -> list[Said]:
        """Every place that sets a key of a target, in the order in which they win: its size, its classes,
        itself."""
        places: list[Said] = []
        size = self.raw(name, ("matrix", "size"))
        if key[:1] == ("matrix",) and isinstance(size, str):
            places = self.source.said(self.platform_name(name), ("sizes", size, *key[1:]))
        return places + self.source.said(name, key)

    def fault(self, name: str, key: Key, message: str) -> Fault:
        """A fault at the line that sets a key of a target; at the nearest block around it where nothing
        does."""
        for length in range(len(key), 0, -1):
            places = self.said(name, key[:length])
            if places:
                return Fault(places[-1].file, places[-1].line, dotted(key), message)
        return Fault(self.source.shown(name), 1, dotted(key), message)

    def _claims(self) -> Iterator[tuple[str, str, str, Key]]:
        """What a tenant holds alone: (kind, value, target, key). Read raw, so that one tenant's typo does
        not hide another's clash, and quickly, since every worker process does it."""
        for name in self.names:
            folder, _, short = name.rpartition(".")
            # A hub holds many clusters' Applications: eu1 with a-b, and eu1-a with b.
            yield "Application", f"{folder}-{short}", name, ()
            for part in ("turn", "element"):
                shared = self.raw(name, ("platform", part))
                if isinstance(shared, Mapping):
                    yield "host name", str(shared.get("host")), name, ("platform", part, "host")
            bucket = self.raw(name, ("platform", "postgresql", "archive", "bucket"))
            if isinstance(bucket, Mapping):
                where = self._part(bucket, platform_folder(folder))
                yield "bucket's part", where, name, ("platform", "postgresql", "archive", "bucket")
            if name == self.platform_name(name):
                for owned in (SHARED_NAMESPACE, f"{SHARED_NAMESPACE}-turn", f"{SHARED_NAMESPACE}-logs"):
                    yield f"namespace on cluster {folder}", owned, name, ("platform",)
            if self.is_namespace(name):
                yield f"namespace on cluster {folder}", short, name, ("namespace",)
            tenant = self._parameters[name].get("matrix")
            if not isinstance(tenant, Mapping):
                continue
            yield "host name", str(tenant.get("server_name")), name, ("matrix", "server_name")
            hosts = tenant.get("hosts")
            for key, host in without_nulls(hosts).items() if isinstance(hosts, Mapping) else ():
                yield "host name", str(host), name, ("matrix", "hosts", key)
            for said in (("media", "s3"), ("backup", "bucket"), ("backup", "second")):
                bucket = self.raw(name, ("matrix", *said))
                if isinstance(bucket, Mapping):
                    where = self._part(bucket, str(tenant.get("server_name")))
                    yield "bucket's part", where, name, ("matrix", *said)
            relay = self.raw(name, ("matrix", "turn"))
            if isinstance(relay, Mapping) and relay.get("kind") == "deployment" and relay.get("external_address"):
                address = str(relay["external_address"])
                yield f"balancer's address on cluster {folder}", address, name, ("matrix", "turn", "external_address")
            namespace = tenant.get("namespace") or short
            if self._shared(name, str(namespace)):
                # A shared namespace is nobody's; Coturn beside it is, by the name of its own namespace.
                yield f"namespace on cluster {folder}", f"{short}-turn", name, ()
                continue
            for owned in (namespace, f"{namespace}-turn"):
                yield f"namespace on cluster {folder}", str(owned), name, ("matrix", "namespace")

    @staticmethod
    def _part(bucket: Mapping[str, Any], folder: str) -> str:
        """Whose part of which bucket, as it was written."""
        return f"{server_of(bucket.get('endpoint'))}/{bucket.get('bucket')}/{bucket.get('prefix') or folder}"

    def on_nodes(self, name: str) -> bool:
        """Whether a tenant runs a Coturn of its own on the nodes' network."""
        said = self.raw(name, ("matrix", "turn"))
        return isinstance(said, Mapping) and said.get("kind") == Turn.DAEMONSET

    def _relays(self) -> Iterator[tuple[str, Key, Mapping[str, Any], list[tuple[int, int]]]]:
        """Every Coturn on nodes: its target, where that says so, which nodes, and which of their ports. Read
        raw, like claims. The platform's first: a tenant that wants its ports is at fault, not the platform."""
        for name in sorted(self.names, key=lambda name: name != self.platform_name(name)):
            key: Key = ("platform", "turn") if name == self.platform_name(name) else ("matrix", "turn")
            said = self.raw(name, key)
            if isinstance(said, Mapping) and (key[0] == "platform" or said.get("kind") == Turn.DAEMONSET):
                nodes = said.get("node_selector")
                yield name, key, nodes if isinstance(nodes, Mapping) else {}, ports_on_nodes(said)

    def _port_clashes(self) -> Iterator[Fault]:
        """Two Coturns that may meet on a node and want the same of its ports: the second never starts."""
        by_cluster: dict[str, list[tuple[str, Key, Mapping[str, Any], list[tuple[int, int]]]]] = {}
        for name, key, nodes, ports in self._relays():
            others = by_cluster.setdefault(name.rpartition(".")[0], [])
            for other, its_key, its_nodes, its_ports in others:
                shared = [
                    (max(first, start), min(last, end))
                    for (first, last), (start, end) in product(ports, its_ports)
                    if first <= end and start <= last
                ]
                if shared and not any(its_nodes.get(label, value) != value for label, value in nodes.items()):
                    place = self.fault(other, its_key, "")
                    taken = ", ".join(f"{first} to {last}" if first < last else str(first) for first, last in shared)
                    message = f"ports {taken} of nodes are {other}'s already ({place.file}:{place.line}, {place.key})"
                    hint = "expected other ports, or a node_selector that keeps the two apart"
                    yield self.fault(name, key, f"{message}; {hint}")
                    break
            others.append((name, key, nodes, ports))

    @cached_property
    def clashes(self) -> tuple[Fault, ...]:
        """Two targets that claim the same: a name, a namespace, an output folder."""
        faults = []
        for name in self.names:
            # Kapitan takes the output folder from here: a wrong value overwrites another target's.
            said = self.raw(name, ("kapitan", "vars", "target"))
            if said != name:
                message = f"expected {name!r}, the file's own name, got {said!r}; remove it, the classes derive it"
                faults.append(self.fault(name, ("kapitan", "vars", "target"), message))
        holders: dict[tuple[str, str], tuple[str, Key]] = {}
        # What a target has by its name comes first: whoever asks for it with a key is at fault, not its owner.
        for claim in sorted(self._claims(), key=self._asked):
            kind, value, name, key = claim
            holder = holders.setdefault((kind, value), (name, key))
            if holder[0] == name or self._one_homeserver(holder[0], name):
                continue
            wanted = "expected one tenant's alone"
            if key == ("matrix", "server_name"):
                wanted += ", or the same matrix.active in both, on two clusters"
            pairs = [((name, key), holder)]
            if self._asked(claim) and self._asked((kind, value, *holder)):
                # Neither has it by its name: nobody knows who was there first, so both are told.
                pairs.append((holder, (name, key)))
            for told, other in pairs:
                place = self.fault(*other, "")
                said = f"{kind} {value!r} is {other[0]}'s already ({place.file}:{place.line})"
                faults.append(self.fault(*told, f"{said}; {wanted}"))
        return (*faults, *self._standby_faults(), *self._port_clashes())

    def _asked(self, claim: tuple[str, str, str, Key]) -> bool:
        """Whether a claim is for something that is more another's: a namespace by a key and not by a file's name, a
        host outside of one's own server_name, a folder of a bucket that is called otherwise, any balancer's address."""
        kind, value, name, key = claim
        own = str(self.raw(name, ("matrix", "server_name")) or "")
        if kind == "host name":
            return bool(own) and value != own and not value.endswith(f".{own}")
        if kind == "bucket's part":
            return bool(own) and value.rpartition("/")[2] != own
        if key == ("matrix", "turn", "external_address"):
            return True
        return key == ("matrix", "namespace") and self.raw(name, key) is not None

    def _one_homeserver(self, one: str, other: str) -> bool:
        """Whether two targets are one homeserver on two clusters, of which one is active."""
        said = [[self.raw(name, ("matrix", key)) for key in ("server_name", "active")] for name in (one, other)]
        return said[0] == said[1] and said[0][1] is not None and one.partition(".")[0] != other.partition(".")[0]

    def _standby_faults(self) -> Iterator[Fault]:
        """What keeps a standby from following."""
        for name in self.names:
            places = self.places(name)
            key: Key = ("matrix", "active")
            active, here = self.raw(name, key), name.rpartition(".")
            if not places:
                continue
            if active not in places:
                message = f"no target of this homeserver on cluster {active!r}"
                yield self.fault(name, key, f"{message}; expected one of {', '.join(sorted(places))}")
            elif len(places) > 2:
                told = ", ".join(sorted(places))
                yield self.fault(name, key, f"expected one standby, got targets of this homeserver on {told}")
            elif active != here[0]:
                origin = f"{active}.{places[active][0]}"
                if places[active][0] == here[2]:
                    message = f"expected another name than {here[2]!r}, which is {origin}'s: archives are called by it"
                    yield self.fault(name, (), f"{message}; rename the file")
                kept = ("matrix", "backup", "bucket")
                for each in ("endpoint", "bucket", "prefix"):
                    mine, its = (self.raw(one, (*kept, each)) for one in (name, origin))
                    if mine != its and not (each == "endpoint" and server_of(mine) == server_of(its)):
                        message = (
                            f"expected {its!r}, as {origin} has it, got {mine!r}; its database follows that archive"
                        )
                        yield self.fault(name, (*kept, each), message)
