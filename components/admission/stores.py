"""What an operator fetches from a store for a tenant: only what lies under the tenant's own name there."""

import re
from collections.abc import Iterator

from matrixfleet.model.choices import Secrets
from matrixfleet.plan import PlatformPlan
from matrixfleet.plan.secrets import remote_key

from .policy import Policy, cel, of_tenants, tenant

# After the tenant's own part no slash and no dot: a path that is cleaned on its way would lead out again.
NAME = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"


def policies(plan: PlatformPlan) -> Iterator[Policy]:
    """Of the kind that the cluster uses; projects refuse every other."""
    secrets = plan.cluster.secrets
    marked = remote_key(secrets, plan.cluster.name, "TENANT", "NAME")
    before, _, after = marked.partition("TENANT")
    between = after.removesuffix("NAME")
    own = f"matches({cel('^' + re.escape(before))} + variables.tenant + {cel(re.escape(between) + NAME + '$')})"
    mine = "startsWith(variables.tenant + '-')"
    if secrets.kind is Secrets.EXTERNAL_SECRETS and secrets.store:
        yield Policy(
            "externalsecret-paths",
            "external-secrets.io",
            "v1",
            ("externalsecrets",),
            {
                "has(object.spec.secretStoreRef) && object.spec.secretStoreRef.kind == 'ClusterSecretStore'"
                f" && object.spec.secretStoreRef.name == {cel(secrets.store.name)}": "its store is not the cluster's",
                "!has(object.spec.dataFrom)": "it asks for more than keys by name (dataFrom)",
                "!has(object.spec.data) || object.spec.data.all(one, !has(one.sourceRef))": (
                    "a key of it has a source of its own (sourceRef)"
                ),
                f"!has(object.spec.data) || object.spec.data.all(one, one.remoteRef.key.{own})": (
                    "a key of it is not this tenant's in the store"
                ),
                f"has(object.spec.target) && has(object.spec.target.name) && object.spec.target.name.{mine}"
                " && !has(object.spec.target.template) && !has(dyn(object.spec.target).manifest)": (
                    "what it makes is not a Secret of this tenant's name"
                ),
            },
            tenant(plan),
            None,
            of_tenants(plan),
        )
    if secrets.kind is Secrets.VAULT and secrets.vault:
        yield Policy(
            "vaultstaticsecret-paths",
            "secrets.hashicorp.com",
            "v1beta1",
            ("vaultstaticsecrets",),
            {
                f"has(object.spec.vaultAuthRef) && object.spec.vaultAuthRef == {cel(secrets.vault.auth)}": (
                    "its way to log in is not the cluster's (vaultAuthRef)"
                ),
                f"object.spec.mount == {cel(secrets.vault.mount)} && !has(object.spec.namespace)": (
                    "its mount or namespace in the store is not the cluster's"
                ),
                f"object.spec.path.{own}": "its path is not this tenant's in the store",
                f"object.spec.destination.name.{mine}": "what it makes is not a Secret of this tenant's name",
            },
            tenant(plan),
            None,
            of_tenants(plan),
        )
