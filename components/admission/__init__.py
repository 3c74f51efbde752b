"""Walls that the API server itself keeps around the namespaces of this fleet: policies in CEL, without a webhook.

Argo CD's projects say which kinds go where; these say what may be in them. Some hold in the fleet's namespaces, also for
what a controller or a person makes; what is a tenant's they read from its Namespace. Others hold for whatever Argo CD
applies from a tenant's folder, wherever it goes. A tenant that comes or goes changes nothing here.
kinds.py says of each kind what holds it.
"""

from collections.abc import Iterator

from matrixfleet.drawing import component
from matrixfleet.kubernetes.argocd import HUB
from matrixfleet.kubernetes.emit import Object
from matrixfleet.plan import PlatformPlan

from . import argocd, databases, edge, metadata, monitoring, namespaces, nodes, roles, stores
from .policy import binding, validating


@component("fence/admission")
def main(plan: PlatformPlan) -> Iterator[Object]:
    """A policy a kind, and what binds it."""
    found = [edge.policies(plan), nodes.policies(plan), namespaces.policies(plan), metadata.policies(plan)]
    found += [roles.policies(plan), stores.policies(plan), databases.policies(plan), monitoring.policies(plan)]
    # Where a hub syncs this cluster, Applications are in the hub's.
    found += [argocd.policies(plan)] if plan.cluster.argocd.server == HUB else []
    for policy in (each for policies in found for each in policies):
        yield validating(plan, policy)
        yield binding(plan, policy)
