"""Roles and RoleBindings of tenants: those of the Job that makes Secrets, and no other shape."""

from collections.abc import Iterator

from matrixfleet.model.fleet import SHARED_NAMESPACE
from matrixfleet.plan import PlatformPlan

from .policy import Policy, cel, of_tenants, tenant

API = "rbac.authorization.k8s.io"
SHARED = [SHARED_NAMESPACE, f"{SHARED_NAMESPACE}-turn"]
"""Where a tenant's Job reads what it copies."""
COPIED = "^(platform-turn|platform-database-ca)-[0-9]+$"
"""What the platform lends to every tenant."""


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """Of both kinds."""
    variables = {
        **tenant(plan, parts=True),
        "shared": f"object.metadata.namespace in {cel(SHARED)}",
        "named": "object.metadata.name == variables.tenant + '-bootstrap'"
        " || object.metadata.name == variables.tenant + '-bootstrap-turn'",
    }
    here = "variables.shared || object.metadata.namespace in variables.places"
    mine = (
        f"name.matches({cel(COPIED)}) || (variables.shared ? name.matches('^' + variables.tenant + '-database-[0-9]+$')"
    )
    mine += " : name.startsWith(variables.tenant + '-'))"
    get = "rule.verbs == ['get'] && has(rule.resourceNames) && size(rule.resourceNames) > 0"
    create = "rule.verbs == ['create'] && !has(rule.resourceNames) && !variables.shared"
    yield Policy(
        "tenants-roles",
        API,
        "v1",
        ("roles",),
        {
            f"variables.named && ({here})": "it is not the Role of this tenant's bootstrap Job",
            "!has(object.rules) || object.rules.all(rule, has(rule.apiGroups) && rule.apiGroups == ['']"
            " && has(rule.resources) && rule.resources == ['secrets'] && !has(rule.nonResourceURLs)"
            f" && (({get}) || ({create})))": "it may more than create Secrets and get those that it names",
            f"!has(object.rules) || object.rules.all(rule, !has(rule.resourceNames)"
            f" || rule.resourceNames.all(name, {mine}))": "a Secret that it names is not this tenant's",
        },
        variables,
        None,
        of_tenants(plan),
    )
    yield Policy(
        "tenants-rolebindings",
        API,
        "v1",
        ("rolebindings",),
        {
            f"variables.named && ({here})": "it is not the RoleBinding of this tenant's bootstrap Job",
            "object.roleRef.kind == 'Role' && object.roleRef.name == object.metadata.name": (
                "it binds another Role than its own"
            ),
            "has(object.subjects) && object.subjects.all(one, one.kind == 'ServiceAccount'"
            " && one.name == variables.tenant + '-bootstrap' && has(one.namespace) && one.namespace in variables.places)": (
                "it binds another than this tenant's bootstrap Job"
            ),
        },
        variables,
        None,
        of_tenants(plan),
    )
