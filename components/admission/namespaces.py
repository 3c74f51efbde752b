"""Namespaces: what the other policies go by is not their writer's to leave out."""

from collections.abc import Iterator

from matrixfleet.kubernetes.objects import HOST_PATHS, PART_OF, SEVERAL
from matrixfleet.kubernetes.operators import operators_of
from matrixfleet.plan import PlatformPlan

from .policy import SAID, TRACKING, Policy, cel, of_tenants, tenant

LABELS = "(has(object.metadata.labels) ? object.metadata.labels : {})"
PART = "app.kubernetes.io/part-of"
ENFORCE = "pod-security.kubernetes.io/enforce"


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """Of all that is this fleet's, and of what a tenant's folder says of its own."""
    app = f"{SAID}[?'{TRACKING}'].orValue('').split(':')[0]"
    charts = [f"{plan.cluster.name}-{each.called}" for each in operators_of(plan)]
    own = f"({app}.startsWith('{plan.cluster.name}-') && !({app} in {cel(charts or [''])}))"
    was = f"oldObject != null && has(oldObject.metadata.labels) && oldObject.metadata.labels[?'{PART}'].orValue('') == '{PART_OF}'"
    yield Policy(
        "namespaces",
        "",
        "v1",
        ("namespaces",),
        {
            f"{LABELS}[?'{PART}'].orValue('') == '{PART_OF}'": f"policies would not hold in it (label {PART})",
            f"{LABELS}[?'{ENFORCE}'].orValue('') in ['restricted', 'privileged']"
            f" && {LABELS}[?'{ENFORCE}-version'].orValue('latest') == 'latest'": (
                "Pod Security would hold less in it, or an older version of it (label pod-security.kubernetes.io)"
            ),
        },
        {},
        None,
        {"ours": f"{own} || ({was})"},
    )
    shared = cel(list(plan.target.namespaces)) if plan.target.namespaces else "['']"
    yield Policy(
        "tenants-namespaces",
        "",
        "v1",
        ("namespaces",),
        {
            f"object.metadata.name in variables.places"
            f" && (!(object.metadata.name in {shared}) || object.metadata.name == variables.tenant)": "it is not this tenant's",
            f"{LABELS}[?'{ENFORCE}'].orValue('') == 'restricted' || object.metadata.name == variables.places[0] + '-turn'"
            " || object.metadata.name == variables.tenant + '-turn'": "Pods in it could take more than Pod Security restricted lets them",
            f"!('{HOST_PATHS}' in {SAID})": "it lends files of nodes",
            f"!('{SEVERAL}' in {SAID}) || variables.tenant in {shared}": "it says that several tenants share it",
        },
        tenant(plan, parts=True),
        None,
        of_tenants(plan),
    )
