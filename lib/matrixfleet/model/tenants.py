"""What the platform lets its tenants have on one cluster.

Whoever may edit a tenant's file must not be able to take what is somebody else's. Whatever a tenant's file can take
from the cluster is listed here; anything else is refused with its file and line (boundary.py).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.types import Cidr, Cpu, Host, Memory, Name, Port, expected, words

ClassPattern = Annotated[
    str, BeforeValidator(words(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*(\.\*)?", "a class, or a folder of classes (feature.*)"))
]
"""A class of the inventory, or all of a folder."""
NamePattern = Annotated[
    str, BeforeValidator(words(r"[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?", "a namespace, * for any letters (matrix-*)"))
]
"""A namespace, `*` standing for any letters."""
KeyPattern = Annotated[
    str,
    BeforeValidator(
        words(r"[A-Za-z0-9*][A-Za-z0-9*._/-]{0,315}", "a key, * for any letters (load-balancer.hetzner.cloud/*)")
    ),
]
"""The key of an annotation or a label, `*` standing for any letters."""


class NodePorts(Model):
    """Ports of the nodes, both ends included."""

    first: Port
    """The first."""
    last: Port
    """The last; the first again for a single port."""

    @model_validator(mode="after")
    def _ordered(self) -> NodePorts:
        if self.first > self.last:
            raise expected(f"first at most last ({self.last})", self.first)
        return self


class Destinations(Model):
    """Destinations that are not on the Internet and that `reach` in a tenant's file may name. A tenant's own namespace
    and the edge need not be listed. Metadata addresses, the API server, nodes, Argo CD, monitoring and other tenants
    are refused even where they are listed."""

    networks: tuple[Cidr, ...] = ()
    """Private networks: a mail server, an identity provider, a bucket. Public addresses need not be listed."""
    namespaces: tuple[Name, ...] = ()
    """Namespaces of this cluster."""


class Ceiling(Model):
    """The most that may be requested. Unset values are not limited."""

    cpu: Cpu | None = None
    """CPU requested by all Pods."""
    memory: Memory | None = None
    """Memory requested by all Pods, which is their limit too."""
    storage: Memory | None = None
    """Storage requested by all volumes."""
    pods: int | None = Field(default=None, ge=1)
    """Pods, those that operators make included."""


class Ceilings(Model):
    """How large tenants may become. Requests are compared: the ResourceQuota of the tenant's namespace, which has room
    for every rollout, and its Pods on the nodes' network."""

    tenant: Ceiling = Ceiling(cpu="256", memory="1Ti", storage="20Ti", pods=200)
    """Each tenant. The default is more than the largest size takes with high availability; it stops a slip of the
    keyboard, not a greedy tenant."""
    cluster: Ceiling = Ceiling()
    """All tenants of the cluster together; a shared namespace counts with its quota."""


class TenantPolicy(Model):
    """What a tenant's file may take from its cluster."""

    classes: tuple[ClassPattern, ...] = ("pattern.*", "feature.*", "homeserver.*")
    """Classes that a tenant's file may name. Leave out a feature that tenants may not turn on themselves."""
    namespaces: tuple[NamePattern, ...] = ("*",)
    """Namespaces that a tenant may have, by its file's name or by `namespace`. Narrow it where the cluster runs other
    things too (`matrix-*`). Namespaces of Kubernetes, of operators and of what the cluster class names are refused
    always."""
    shared_namespaces: tuple[Name, ...] = ()
    """Targets of this cluster that are a namespace of several tenants (a block `namespace` with a quota), by the names
    of their files. No other file may be one: its quota is held by no ceiling. Default: none."""
    domains: tuple[Host, ...] = ()
    """Domains that a tenant's hosts may be of: these names and all below them. Unset, any name that is not the
    platform's own: names that the cluster class has in an address, and names that begin with argocd, grafana, git and
    the like."""
    reserved_domains: tuple[Host, ...] = ()
    """Names within `domains` that no tenant may have, and all below them: what the platform itself serves there."""
    reach: Destinations = Destinations()
    """Destinations of `reach`."""
    node_ports: tuple[NodePorts, ...] = (
        NodePorts(first=3478, last=3478),
        NodePorts(first=5349, last=5349),
        NodePorts(first=49152, last=65535),
    )
    """Ports of the nodes that a tenant's Coturn may listen on; the default are TURN's own (RFC 8656) and the IANA's
    dynamic range."""
    annotations: tuple[KeyPattern, ...] = ()
    """Annotations that a tenant may set on its Services. None unless listed: a balancer's annotation can cost money or
    move an address. Argo CD's, this product's and snippets of configuration are refused always."""
    node_labels: tuple[KeyPattern, ...] = ()
    """Labels of nodes that a tenant may select by."""
    size: Ceilings = Ceilings()
    """How much a tenant may request."""
