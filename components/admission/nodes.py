"""Pods, volumes and Services: what reaches a node, a volume of others, or an address of others."""

import json
from collections.abc import Iterator

from matrixfleet.kubernetes.objects import HOST_PATHS
from matrixfleet.plan import PlatformPlan

from .policy import BY_ARGOCD, OURS, Policy, cel

ON_NODES = OURS | {"pod-security.kubernetes.io/enforce": "privileged"}
"""Namespaces of a Coturn on the nodes' network, and of the agent that reads logs."""
CONTAINERS = {
    "containers": "object.spec.containers"
    " + (has(object.spec.initContainers) ? object.spec.initContainers : [])"
    " + (has(object.spec.ephemeralContainers) ? object.spec.ephemeralContainers : [])"
}


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """Each of them."""
    yield from (volumes(plan), importance(plan), on_nodes(plan), networks(), services())


def volumes(plan: PlatformPlan) -> Policy:
    """Of a class that the cluster names, and new: not a volume or a snapshot that is there already, which would be
    somebody's. Of a claim that is bound the API server itself lets none of it change."""
    storage = plan.cluster.storage
    names = sorted({each.name for each in storage.named})
    return Policy(
        "storage-class",
        "",
        "v1",
        ("persistentvolumeclaims",),
        {
            f"has(object.spec.storageClassName) && object.spec.storageClassName in {json.dumps(names)}": (
                f"its storage class is none of {', '.join(names)}"
            ),
            "request.operation != 'CREATE' || (!has(object.spec.volumeName) && !has(object.spec.selector)"
            " && !has(object.spec.dataSource) && !has(object.spec.dataSourceRef))": (
                "it asks for a volume that is there already (volumeName, selector, dataSource)"
            ),
        },
    )


def importance(plan: PlatformPlan) -> Policy:
    """Not by name: the API server writes the name of a cluster's default class into Pods that say none."""
    classes = plan.cluster.priority_classes
    known = ", ".join(sorted(classes)) or "the fleet, which has none"
    return Policy(
        "priority-class",
        "",
        "v1",
        ("pods",),
        {
            f"!has(object.spec.priority) || object.spec.priority <= {max(classes.values(), default=0)}": (
                f"its priority class is none of {known}, and more important"
            )
        },
    )


def on_nodes(plan: PlatformPlan) -> Policy:
    """A namespace that Pod Security leaves open for the sake of host network, or of folders of its node that it
    names, is open for nothing else, and for no other programs: those of each release that the cluster offers."""
    releases = plan.target.releases.values()
    images = sorted({image.reference for each in releases for image in (each.images.coturn, each.images.vector)})
    return Policy(
        "on-nodes",
        "",
        "v1",
        ("pods", "pods/ephemeralcontainers"),
        {
            "!(has(object.spec.hostPID) && object.spec.hostPID)"
            " && !(has(object.spec.hostIPC) && object.spec.hostIPC)": ("it would see the node's processes"),
            "!has(object.spec.volumes) || object.spec.volumes.all(volume, !has(volume.hostPath)"
            " || volume.hostPath.path in variables.lent)": "it would mount the node's files",
            "variables.containers.all(one, has(one.securityContext)"
            " && !(has(one.securityContext.privileged) && one.securityContext.privileged)"
            " && has(one.securityContext.allowPrivilegeEscalation) && !one.securityContext.allowPrivilegeEscalation"
            " && has(one.securityContext.capabilities) && has(one.securityContext.capabilities.drop)"
            " && 'ALL' in one.securityContext.capabilities.drop"
            " && (!has(one.securityContext.capabilities.add)"
            " || one.securityContext.capabilities.add.all(each, each == 'NET_BIND_SERVICE')))": (
                "a container of it may more than bind ports"
            ),
            "size(variables.lent) > 0 || has(object.spec.securityContext)"
            " && has(object.spec.securityContext.runAsNonRoot) && object.spec.securityContext.runAsNonRoot"
            " && variables.containers.all(one,"
            " !has(one.securityContext.runAsNonRoot) || one.securityContext.runAsNonRoot)": "it may run as root",
            f"variables.containers.all(one, one.image in {cel(images)})": (
                "an image of it is not one that a release has on nodes"
            ),
        },
        CONTAINERS
        | {
            "said": "has(namespaceObject.metadata.annotations) ? namespaceObject.metadata.annotations : {}",
            "lent": f"'{HOST_PATHS}' in variables.said ? variables.said['{HOST_PATHS}'].split(',') : []",
        },
        ON_NODES,
    )


def networks() -> Policy:
    """The network of a Pod is the cluster's, where NetworkPolicies hold it: no other (Multus), no address that it chooses
    (Calico, OVN, Cilium). Plugins write their own annotations when a Pod is there already."""
    keys = "^(k8s[.]v1[.]cni[.]cncf[.]io|v1[.]multus-cni[.]io|cni[.]projectcalico[.]org|egress[.]projectcalico[.]org"
    keys += "|k8s[.]ovn[.]org|ovn[.]kubernetes[.]io|ipam[.]cilium[.]io|cni[.]cilium[.]io)/"
    return Policy(
        "pod-networks",
        "",
        "v1",
        ("pods",),
        {
            "request.operation != 'CREATE' || !has(object.metadata.annotations)"
            f" || !object.metadata.annotations.exists(key, key.matches({cel(keys)}))": "it asks for another network or address",
        },
    )


def services() -> Policy:
    """A Service leads to Pods of its own namespace: not to an address that it names, nor to another's name."""
    return Policy(
        "services",
        "",
        "v1",
        ("services",),
        {
            "!has(object.spec.externalIPs) || size(object.spec.externalIPs) == 0": (
                "it would take traffic to addresses that are not its own (externalIPs)"
            ),
            f"!{BY_ARGOCD} || !has(object.spec.loadBalancerIP) || object.spec.loadBalancerIP == ''": (
                "it would take an address by its number (loadBalancerIP)"
            ),
            "!has(object.spec.type) || object.spec.type != 'ExternalName'": (
                "it would stand for a name that is not its own (ExternalName)"
            ),
        },
    )
