"""The targets of one repository, read once a process: the only way one target sees another."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from matrixfleet.errors import Fault, FleetError
from matrixfleet.inventory.render import Rendered, render
from matrixfleet.inventory.source import Key, Source
from matrixfleet.model.base import Model
from matrixfleet.model.cluster import Cluster
from matrixfleet.model.faults import sentences
from matrixfleet.model.release import Release
from matrixfleet.model.tenant import Tenant

# Set by Kapitan and reclass themselves, not by an operator.
_FOREIGN = ("kapitan", "_reclass_", "_kapitan_")
PLATFORM = "platform"


class Platform(Model):
    """What a cluster's platform target holds beside the cluster itself."""


class TenantTarget(Model):
    """The parameters of a tenant's target."""

    cluster: Cluster
    """The cluster it runs on: set by a cluster class."""
    release: Release
    """The versions it runs: set by a release class."""
    matrix: Tenant
    """The homeserver."""


class PlatformTarget(Model):
    """The parameters of a platform target."""

    cluster: Cluster
    """The cluster: set by a cluster class."""
    release: Release
    """The versions: set by a release class."""
    platform: Platform = Field(default_factory=Platform)
    """The platform."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target, read."""

    name: str
    """As Kapitan names it: "eu1.acme"."""
    cluster: Cluster
    release: Release
    tenant: Tenant | None
    """None for a platform target."""

    @property
    def short(self) -> str:
        """The file's name: the tenant's name, or "platform"."""
        return self.name.rpartition(".")[2]


class Fleet:
    """All targets, each parsed when it is asked for."""

    def __init__(self, parameters: Rendered, source: Source) -> None:
        self._parameters = parameters
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
        raw = self._parameters[name]
        said = {key: value for key, value in raw.items() if key not in _FOREIGN}
        is_platform = name.rpartition(".")[2] == PLATFORM
        model: type[TenantTarget] | type[PlatformTarget] = PlatformTarget if is_platform else TenantTarget
        try:
            parsed = model.model_validate(said)
        except ValidationError as error:
            raise FleetError(self.fault(name, key, text) for key, text in sentences(model, error)) from error
        faults = list(self._identity_faults(name, raw, parsed.cluster))
        if faults:
            raise FleetError(faults)
        tenant = parsed.matrix if isinstance(parsed, TenantTarget) else None
        return Target(name, parsed.cluster, parsed.release, tenant)

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
        here: Any = self._parameters[name]
        for part in key:
            try:
                here = here[part]
            except (KeyError, IndexError, TypeError):
                return None
        return here

    def fault(self, name: str, key: Key, message: str) -> Fault:
        """A fault at the line that sets a key of a target."""
        return self.source.fault(name, key, message)

    def _identity_faults(self, name: str, raw: Mapping[str, Any], cluster: Cluster) -> Iterator[Fault]:
        folder = name.rpartition(".")[0]
        if folder != cluster.name:
            yield self.fault(
                name,
                ("cluster", "name"),
                f"expected the cluster whose folder holds {name}, {folder!r}, got {cluster.name!r};"
                f" use class cluster.{folder} or move the file to inventory/targets/{cluster.name}/",
            )
        if "?{" in repr(raw):
            yield self.fault(
                name,
                (),
                "expected no Kapitan reference (?{...}); secrets are named in the model, never inlined",
            )

    def _claims(self) -> Iterator[tuple[str, str, str, Key]]:
        """What a tenant holds alone: (kind, value, target, key). Read raw, so that one tenant's typo does
        not hide another's clash, and quickly, since every worker process does it."""
        for name in self.names:
            folder, _, short = name.rpartition(".")
            # A hub holds many clusters' Applications: eu1 with a-b, and eu1-a with b.
            yield "Application", f"{folder}-{short}", name, ()
            tenant = self._parameters[name].get("matrix")
            if not isinstance(tenant, Mapping):
                continue
            yield "host name", str(tenant.get("server_name")), name, ("matrix", "server_name")
            hosts = tenant.get("hosts")
            for key, host in hosts.items() if isinstance(hosts, Mapping) else ():
                yield "host name", str(host), name, ("matrix", "hosts", key)
            namespace = tenant.get("namespace") or short
            for owned in (namespace, f"{namespace}-turn"):
                yield f"namespace on cluster {folder}", str(owned), name, ("matrix", "namespace")

    @cached_property
    def clashes(self) -> tuple[Fault, ...]:
        """Two targets that claim the same: a name, a namespace, an output folder."""
        faults = []
        for name in self.names:
            # Kapitan takes the output folder from here: a wrong value overwrites another target's.
            said = self.raw(name, ("kapitan", "vars", "target"))
            if said != name:
                message = (
                    f"expected {name!r}, the file's own name, got {said!r}; remove it, class common sets it"
                )
                faults.append(self.fault(name, ("kapitan", "vars", "target"), message))
        holders: dict[tuple[str, str], tuple[str, Key]] = {}
        for kind, value, name, key in self._claims():
            holder = holders.setdefault((kind, value), (name, key))
            if holder[0] != name:
                file, line = self.source.locate(*holder)
                said = f"{kind} {value!r} is {holder[0]}'s already ({file}:{line})"
                faults.append(self.fault(name, key, f"{said}; expected one tenant's alone"))
        return tuple(faults)
