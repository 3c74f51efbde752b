"""Who is on the other side of a flow, as NetworkPolicies see it."""

from __future__ import annotations

from pydantic import Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.types import Cidr, LabelKey, LabelValue, Name, ObjectName, Port, expected


class Peer(Model):
    """Who is on the other side of a flow: Pods by namespace and labels, or networks."""

    namespace: Name | None = None
    """The namespace of the Pods."""
    pods: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels that every one of the Pods has."""
    cidrs: tuple[Cidr, ...] = ()
    """Networks, for what is no Pod: a cloud's load balancer, an API server."""
    service_account: ObjectName | None = None
    """With a mesh: the ServiceAccount of the Pods, where they are in it. Without they are outside, and what
    they reach takes them without mutual TLS: the NetworkPolicy alone tells who they are."""

    @model_validator(mode="after")
    def _one_kind(self) -> Peer:
        if bool(self.cidrs) == bool(self.namespace):
            raise expected("either namespace with pods, or cidrs", "both" if self.cidrs else "neither of them")
        if self.namespace and not self.pods:
            raise expected("pods: the labels of the Pods in that namespace", "none")
        if self.service_account and not self.namespace:
            raise expected("namespace, since service_account is said", "none")
        return self


class Reach(Peer):
    """Something that a tenant talks to and that is not on the Internet: where it is, as NetworkPolicies see
    it. A public name that leads back into the same cluster is such a thing too: its packets end at the edge's
    Pods, on the Pods' port."""

    port: Port
    """TCP, where the connection ends: the Pods' port, not a Service's."""
