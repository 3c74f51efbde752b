"""Walls that the API server itself keeps around the namespaces of this fleet: policies in CEL, without a webhook.

Argo CD's projects say which kinds go where; these say what may be in them, also for what a controller or a person
makes. They read what is a tenant's from its Namespace, which nobody but the fence changes, so that a tenant that
comes or goes changes nothing here.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from matrixfleet.drawing import component
from matrixfleet.kubernetes.argocd import HUB
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import HOST_PATHS, HOSTS, PART_OF, SEVERAL, make
from matrixfleet.plan import PlatformPlan

API = "admissionregistration.k8s.io/v1"
OURS = {"app.kubernetes.io/part-of": PART_OF}
ON_NODES = OURS | {"pod-security.kubernetes.io/enforce": "privileged"}
"""Namespaces of a Coturn on the nodes' network, and of the agent that reads logs."""

# A namespace of several tenants does not say whose a host is.
HOST_VARIABLES = {
    "said": "has(namespaceObject.metadata.annotations) ? namespaceObject.metadata.annotations : {}",
    "free": f"'{SEVERAL}' in variables.said",
    "hosts": f"'{HOSTS}' in variables.said ? variables.said['{HOSTS}'].split(',') : []",
}
CONTAINERS = {
    "containers": "object.spec.containers"
    " + (has(object.spec.initContainers) ? object.spec.initContainers : [])"
    " + (has(object.spec.ephemeralContainers) ? object.spec.ephemeralContainers : [])"
}


class Policy(NamedTuple):
    """What every object of a kind in some namespaces must be."""

    name: str
    group: str
    version: str
    resources: tuple[str, ...]
    demands: Mapping[str, str]
    """Expressions, and what is said to whom breaks one: it names the fault and not the value."""
    variables: Mapping[str, str] = {}
    namespaces: Mapping[str, str] = OURS
    """Labels of the namespaces."""


@component("fence/admission")
def main(plan: PlatformPlan) -> Iterator[Object]:
    """A policy a kind, and what binds it to the namespaces."""
    # Where a hub syncs this cluster, Applications are in the hub's.
    projects = [applications(plan)] if plan.cluster.argocd.server == HUB else []
    for policy in (*hosts(), *classes(plan), nodes(), services(), *projects):
        yield validating(plan, policy)
        yield binding(plan, policy)


def hosts() -> Iterator[Policy]:
    """Whatever brings traffic or a public certificate for a host: the host is the namespace's own."""
    yield Policy(
        "ingress-hosts",
        "networking.k8s.io",
        "v1",
        ("ingresses",),
        {
            "variables.free || has(object.spec.rules) && object.spec.rules.all(rule,"
            " has(rule.host) && rule.host in variables.hosts)": "a host of it is not this namespace's",
            "variables.free || !has(object.spec.tls) || object.spec.tls.all(entry, !has(entry.hosts)"
            " || entry.hosts.all(host, host in variables.hosts))": "a TLS host of it is not this namespace's",
            "!has(object.spec.defaultBackend)": "it takes every host that nobody else has (defaultBackend)",
        },
        HOST_VARIABLES,
    )
    yield Policy(
        "gateway-hosts",
        "gateway.networking.k8s.io",
        "v1",
        ("gateways",),
        {
            "variables.free || object.spec.listeners.all(listener, !has(listener.hostname)"
            " || listener.hostname in variables.hosts)": "a listener's host is not this namespace's"
        },
        HOST_VARIABLES,
    )
    yield Policy(
        "httproute-hosts",
        "gateway.networking.k8s.io",
        "v1",
        ("httproutes",),
        {
            "variables.free || has(object.spec.hostnames) && size(object.spec.hostnames) > 0"
            " && object.spec.hostnames.all(host, host in variables.hosts)": "a host of it is not this namespace's"
        },
        HOST_VARIABLES,
    )
    yield Policy(
        "certificate-hosts",
        "cert-manager.io",
        "v1",
        ("certificates",),
        {
            "variables.free || !has(object.spec.issuerRef.kind) || object.spec.issuerRef.kind != 'ClusterIssuer'"
            " || (has(object.spec.dnsNames) && object.spec.dnsNames.all(host, host in variables.hosts)"
            " && (!has(object.spec.commonName) || object.spec.commonName in variables.hosts))": (
                "a public name of it is not this namespace's"
            )
        },
        HOST_VARIABLES,
    )


def classes(plan: PlatformPlan) -> Iterator[Policy]:
    """Classes of the edge, of volumes and of importance: those that the cluster's class names."""
    edge, storage = json.dumps(plan.cluster.edge.class_name), plan.cluster.storage
    volumes = sorted({each.name for each in (storage.media, storage.database, storage.signing_key, storage.logs)})
    annotation = "'kubernetes.io/ingress.class'"
    yield Policy(
        "ingress-class",
        "networking.k8s.io",
        "v1",
        ("ingresses",),
        {
            # Google's controller reads the annotation alone.
            f"has(object.spec.ingressClassName) ? object.spec.ingressClassName == {edge}"
            f" : has(object.metadata.annotations) && {annotation} in object.metadata.annotations"
            f" && object.metadata.annotations[{annotation}] == {edge}": (
                f"its class is not {plan.cluster.edge.class_name}"
            )
        },
    )
    yield Policy(
        "gateway-class",
        "gateway.networking.k8s.io",
        "v1",
        ("gateways",),
        {f"object.spec.gatewayClassName == {edge}": f"its class is not {plan.cluster.edge.class_name}"},
    )
    yield Policy(
        "storage-class",
        "",
        "v1",
        ("persistentvolumeclaims",),
        {
            f"has(object.spec.storageClassName) && object.spec.storageClassName in {json.dumps(volumes)}": (
                f"its storage class is none of {', '.join(volumes)}"
            )
        },
    )
    # Not by name: the API server writes the name of a cluster's default class into Pods that say none.
    classes = plan.cluster.priority_classes
    known = ", ".join(sorted(classes)) or "the fleet, which has none"
    yield Policy(
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


def nodes() -> Policy:
    """A namespace that Pod Security leaves open for the sake of host network, or of folders of its node that it
    names, is open for nothing else."""
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
        },
        CONTAINERS
        | {
            "said": HOST_VARIABLES["said"],
            "lent": f"'{HOST_PATHS}' in variables.said ? variables.said['{HOST_PATHS}'].split(',') : []",
        },
        ON_NODES,
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
            "!has(object.spec.type) || object.spec.type != 'ExternalName'": (
                "it would stand for a name that is not its own (ExternalName)"
            ),
        },
    )


def applications(plan: PlatformPlan) -> Policy:
    """An Application of this repository is in the project of its own name. The root admits Applications by kind, so
    one that was smuggled into a folder that it reads could else name a neighbour's project, and reach what that may."""
    argocd = plan.cluster.argocd
    return Policy(
        "application-project",
        "argoproj.io",
        "v1alpha1",
        ("applications",),
        {
            "!variables.ours || object.spec.project == object.metadata.name": "its project is not its own",
        },
        {
            "sources": "(has(object.spec.source) ? [object.spec.source] : [])"
            " + (has(object.spec.sources) ? object.spec.sources : [])",
            "ours": f"variables.sources.exists(source, source.repoURL == {json.dumps(argocd.repository)})",
        },
        {"kubernetes.io/metadata.name": argocd.namespace},
    )


def validating(plan: PlatformPlan, policy: Policy) -> Object:
    """The policy itself."""
    spec: Object = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": [
                {
                    "apiGroups": [policy.group],
                    "apiVersions": [policy.version],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": list(policy.resources),
                    # Written out: the API server would, and Argo CD see a difference for ever.
                    "scope": "*",
                }
            ],
        },
        # What is on its way out must lose its finalizers, whatever it was.
        "matchConditions": [{"name": "stays", "expression": "!has(object.metadata.deletionTimestamp)"}],
    }
    if policy.variables:
        spec["variables"] = [{"name": name, "expression": said} for name, said in policy.variables.items()]
    spec["validations"] = [
        {"expression": expression, "message": message, "reason": "Forbidden"}
        for expression, message in policy.demands.items()
    ]
    return make(
        plan,
        "ValidatingAdmissionPolicy",
        "admission",
        api=API,
        name=f"{PART_OF}-{policy.name}",
        namespace=None,
        wave=0,
        spec=spec,
    )


def binding(plan: PlatformPlan, policy: Policy) -> Object:
    """Where it holds: in every namespace of this fleet, and in no other of the cluster."""
    return make(
        plan,
        "ValidatingAdmissionPolicyBinding",
        "admission",
        api=API,
        name=f"{PART_OF}-{policy.name}",
        namespace=None,
        wave=1,
        spec={
            "policyName": f"{PART_OF}-{policy.name}",
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": dict(policy.namespaces)}},
        },
    )
