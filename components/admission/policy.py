"""A policy in CEL, what binds it, and who wrote an object.

Argo CD sets the annotation of its tracking on everything that it applies, over what a manifest says
(argo-cd docs/user-guide/resource_tracking.md): so an object says which Application's folder it came from, and a policy
that goes by it holds in every namespace, whatever labels that has.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import PART_OF, make
from matrixfleet.plan import PlatformPlan

API = "admissionregistration.k8s.io/v1"
OURS = {"app.kubernetes.io/part-of": PART_OF}
TRACKING = "argocd.argoproj.io/tracking-id"
SAID = "(has(object.metadata.annotations) ? object.metadata.annotations : {})"
# `<application>:<group>/<kind>:<namespace>/<name>`
APPLICATION = f"object.metadata.annotations['{TRACKING}'].split(':')[0]"
BY_ARGOCD = (
    "(request.operation == 'CREATE' || (has(request.options) && has(request.options.fieldManager)"
    " && request.options.fieldManager == 'argocd-controller'))"
)
"""An object that Argo CD has just applied: what a controller writes into one that is there is that controller's. Argo CD
has one name for it under server-side apply (common/common.go), and a sync that goes otherwise is refused by its options."""
PARTS = ("-fence", "-shared")
"""What an Application's name ends with, unless it is that of the target's workload."""


class Policy(NamedTuple):
    """What every object of a kind must be: in some namespaces, or of some Applications."""

    name: str
    group: str
    version: str
    resources: tuple[str, ...]
    demands: Mapping[str, str]
    """Expressions, and what is said to whom breaks one: it names the fault and not the value."""
    variables: Mapping[str, str] = {}
    namespaces: Mapping[str, str] | None = OURS
    """Labels of the namespaces; None for wherever an object is."""
    conditions: Mapping[str, str] = {}
    """Expressions by name: without all of them an object is let alone."""
    more: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """Further groups, versions and resources."""


def cel(value: Any) -> str:
    """A literal. CEL of Kubernetes wants the values of a map, and of a list, to be of one type: dyn() makes them so."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{cel(str(key))}: dyn({cel(each)})" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(cel(each) if isinstance(each, str) else f"dyn({cel(each)})" for each in value) + "]"
    return json.dumps(value)


def of_tenants(plan: PlatformPlan) -> dict[str, str]:
    """Conditions: Argo CD applied it, from a folder of this cluster that is not the platform's."""
    own = f"{plan.cluster.name}-"
    platform = [f"{plan.application}{part}" for part in ("", *PARTS)]
    said = f"{SAID}[?'{TRACKING}'].orValue('').split(':')[0]"
    return {"tenants": f"{said}.startsWith('{own}') && !({said} in {cel(platform)})"}


def tenant(plan: PlatformPlan, *, parts: bool = False) -> dict[str, str]:
    """Variables: the target, from the Application. parts: whether it may be that of a part that is not the workload."""
    own = f"{APPLICATION}.substring({len(plan.cluster.name) + 1})"
    if not parts:
        return {"tenant": own}
    cut = "variables.own"
    for part in PARTS:
        cut = (
            f"variables.own.endsWith('{part}') ? variables.own.substring(0, size(variables.own) - {len(part)}) : {cut}"
        )
    return {"own": own, "tenant": cut, "places": places(plan)}


def places(plan: PlatformPlan) -> str:
    """The namespaces of `variables.tenant`: called like it, unless its file says another."""
    elsewhere = cel(plan.target.elsewhere) if plan.target.elsewhere else "{'': dyn('')}"
    return (
        f"variables.tenant in {elsewhere}"
        f" ? [string({elsewhere}[variables.tenant]), string({elsewhere}[variables.tenant]) + '-turn', variables.tenant + '-turn']"
        " : [variables.tenant, variables.tenant + '-turn']"
    )


def validating(plan: PlatformPlan, policy: Policy) -> Object:
    """The policy itself."""
    first = (policy.group, policy.version, policy.resources)
    spec: Object = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": [
                {
                    "apiGroups": [group],
                    "apiVersions": [version],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": list(resources),
                    # Written out: the API server would, and Argo CD see a difference for ever.
                    "scope": "*",
                }
                for group, version, resources in (first, *policy.more)
            ],
        },
        # What is on its way out must lose its finalizers, whatever it was.
        "matchConditions": [
            {"name": name, "expression": said}
            for name, said in {"stays": "!has(object.metadata.deletionTimestamp)", **policy.conditions}.items()
        ],
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
    """Where it holds: in namespaces of this fleet, or wherever its conditions find an object of this fleet's."""
    where: Object = {}
    if policy.namespaces is not None:
        where = {"matchResources": {"namespaceSelector": {"matchLabels": dict(policy.namespaces)}}}
    return make(
        plan,
        "ValidatingAdmissionPolicyBinding",
        "admission",
        api=API,
        name=f"{PART_OF}-{policy.name}",
        namespace=None,
        wave=1,
        spec={"policyName": f"{PART_OF}-{policy.name}", "validationActions": ["Deny"], **where},
    )
