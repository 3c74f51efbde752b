"""Labels and annotations: controllers that look for them in every namespace find none but those that are compiled.

Dashboards and data sources of Grafana, copies of Secrets between namespaces, names in DNS, snippets in a proxy's
configuration are asked for so. What others added to a live object before is let alone.
"""

import re
from collections.abc import Iterator

from matrixfleet.kubernetes.edges import ANNOTATIONS, NAMESPACE_LABELS
from matrixfleet.model.choices import Edge
from matrixfleet.plan import PlatformPlan

from .edge import host_variables
from .kinds import KINDS
from .policy import BY_ARGOCD, TRACKING, Policy, cel, of_tenants, tenant

ARGOCD = "argocd.argoproj.io"
OPTIONS = ["Prune=false", "Prune=confirm", "Delete=false", "Delete=confirm", "SkipDryRunOnMissingResource=true"]
KNOWN = [
    TRACKING,
    f"{ARGOCD}/sync-wave",
    f"{ARGOCD}/sync-options",
    f"{ARGOCD}/compare-options",
    f"{ARGOCD}/ignore-healthcheck",
    "cnpg.io/skipEmptyWalArchiveCheck",
    # The API server's own, into each DaemonSet.
    "deprecated.daemonset.template.generation",
]
LABELS = "^(app[.]kubernetes[.]io/(name|instance|component|part-of|version|managed-by)|kubernetes[.]io/metadata[.]name"
LABELS += "|pod-security[.]kubernetes[.]io/(enforce|audit|warn))$"
_BALANCER = "request.kind.kind == 'Service' && object.metadata.name == variables.tenant + '-turn'"
"""The only object whose annotations a tenant's file says."""


def balancer(plan: PlatformPlan) -> str:
    """Whether an annotation is of a tenant's balancer, and one that the cluster lets tenants set."""
    patterns = "|".join(re.escape(one).replace("\\*", ".*") for one in plan.cluster.tenants.annotations)
    return (
        f"({_BALANCER} && key.matches({cel(f'^({patterns})$')}) && !key.startsWith('{ARGOCD}/'))"
        if patterns
        else "false"
    )


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """For all kinds of tenants, and for Secrets whoever makes them."""
    known = KNOWN + sorted(ANNOTATIONS[plan.cluster.edge.controller])
    edge = NAMESPACE_LABELS.get(plan.cluster.edge.controller, {})
    labels = sorted({*plan.cluster.monitoring.labels, *edge}) or [""]
    groups: dict[tuple[str, str], list[str]] = {}
    for each in KINDS:
        groups.setdefault((each.group, each.version), []).append(each.resource)
    (first, resources), *more = groups.items()
    hostname = "external-dns.alpha.kubernetes.io/hostname"
    yield Policy(
        "tenants-metadata",
        *first,
        tuple(resources),
        {
            f"!{BY_ARGOCD} || !has(object.metadata.annotations) || object.metadata.annotations.all(key, key in {cel(known)}"
            f" || key.startsWith('matrix-fleet/') || key in variables.before || {balancer(plan)})": (
                "an annotation of it is not one that is compiled"
            ),
            # A proxy's configuration is made of them.
            f"!has(object.metadata.annotations) || object.metadata.annotations.all(key, !(key in {cel(known)})"
            " || !object.metadata.annotations[key].matches('[;`$#\\n\\r]'))": "an annotation of it ends what it is put into",
            f"!has(object.metadata.annotations) || !('{ARGOCD}/sync-options' in object.metadata.annotations)"
            f" || object.metadata.annotations['{ARGOCD}/sync-options'].split(',').all(one, one in {cel(OPTIONS)})": (
                "Argo CD would sync it otherwise (sync-options)"
            ),
            f"!has(object.metadata.annotations) || !('{hostname}' in object.metadata.annotations)"
            f" || object.metadata.annotations['{hostname}'].split(',').all(host, host in variables.hosts)": (
                "a name that it asks for in DNS is not this namespace's"
            ),
            f"!{BY_ARGOCD} || !has(object.metadata.labels) || object.metadata.labels.all(key, key.matches({cel(LABELS)})"
            f" || key in {cel(labels)} || key in variables.labels)": "a label of it is not one that is compiled",
        },
        {
            **host_variables(plan),
            **tenant(plan),
            "before": "oldObject != null && has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}",
            "labels": "oldObject != null && has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}",
        },
        None,
        of_tenants(plan),
        tuple((*key, tuple(found)) for key, found in more),
    )
    # The Job that makes a tenant's Secrets runs what its folder says.
    yield Policy(
        "secrets-labels",
        "",
        "v1",
        ("secrets",),
        {
            "!has(object.metadata.labels) || !object.metadata.labels.exists(key, key.startsWith('grafana_'))": (
                "Grafana's sidecar would read it"
            )
        },
    )
    yield Policy(
        "tenants-certificates",
        "cert-manager.io",
        "v1",
        ("certificates",),
        {
            "!has(object.spec.secretTemplate) || (!has(object.spec.secretTemplate.annotations)"
            " && (!has(object.spec.secretTemplate.labels)"
            " || object.spec.secretTemplate.labels.all(key, key == 'cnpg.io/reload')))": (
                "its Secret would have labels or annotations of its own (secretTemplate)"
            ),
            "object.spec.secretName.startsWith(variables.tenant + '-')": "its Secret is not called as this tenant's are",
        },
        tenant(plan, parts=True),
        None,
        of_tenants(plan),
    )
    if plan.cluster.edge.controller is Edge.TRAEFIK:
        https = "object.metadata.namespace + '-' + variables.tenant"
        router = "traefik.ingress.kubernetes.io/router"
        edge = plan.cluster.edge
        points = sorted(
            {edge.http_entrypoint, edge.https_entrypoint}
            | ({edge.federation_entrypoint} if edge.federation_on_8448 else set())
        )
        yield Policy(
            "tenants-traefik",
            "networking.k8s.io",
            "v1",
            ("ingresses",),
            {
                f"!has(object.metadata.annotations) || !('{router}.entrypoints' in object.metadata.annotations)"
                f" || object.metadata.annotations['{router}.entrypoints'].split(',').all(one, one in {cel(points)})": (
                    "its entry point is not the cluster's"
                ),
                f"!has(object.metadata.annotations) || !('{router}.middlewares' in object.metadata.annotations)"
                f" || object.metadata.annotations['{router}.middlewares'] == {https} + '-https@kubernetescrd'": (
                    "its middleware is another's"
                ),
            },
            tenant(plan),
            None,
            of_tenants(plan),
        )
    if plan.cluster.edge.controller is Edge.AWS_ALB:
        group = "alb.ingress.kubernetes.io/group.name"
        wanted = (
            cel(plan.cluster.edge.load_balancer_group)
            if plan.cluster.edge.load_balancer_group
            else f"'{plan.cluster.name}-' + variables.tenant"
        )
        yield Policy(
            "tenants-alb",
            "networking.k8s.io",
            "v1",
            ("ingresses",),
            {
                f"has(object.metadata.annotations) && '{group}' in object.metadata.annotations"
                f" && object.metadata.annotations['{group}'] == {wanted}": "its load balancer is another's (group.name)",
            },
            tenant(plan),
            None,
            of_tenants(plan),
        )
