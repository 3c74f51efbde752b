"""Secrets that come from a store outside the cluster: an order for each Secret in each of its namespaces.

What is ordered is never fetched twice: a generation keeps its value, whatever happens to the store.
"""

from collections.abc import Callable, Iterator

from matrixfleet.drawing import In, component
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import KEEP, make
from matrixfleet.model.choices import Secrets
from matrixfleet.plan import PlatformPlan, TenantPlan, waves
from matrixfleet.plan.secrets import Secret

# The order of a generation that is rotated out is kept, with its Secret, for a revert: not out of sync.
KEPT = KEEP | {"argocd.argoproj.io/compare-options": "IgnoreExtraneous"}


@component("workload/secrets")
def main(plan: TenantPlan | PlatformPlan) -> Iterator[Object | In]:
    """The orders; none where the cluster makes its Secrets itself."""
    order = ORDERS.get(plan.cluster.secrets.kind)
    for secret in plan.secrets if order else ():
        for namespace in secret.namespaces:
            thing = order(plan, secret, namespace)
            yield thing if namespace == plan.namespace else In(f"workload/secrets/{namespace}", thing)


def external_secret(plan: TenantPlan, secret: Secret, namespace: str) -> Object:
    """For external-secrets. Fields that its CRD defaults are written out, or Argo CD reports them as a
    difference. Orphan and Retain: neither the order nor the store takes the Secret with it."""
    store = plan.cluster.secrets.store
    assert store is not None

    def remote(key: str) -> Object:
        return {
            "key": secret.remote,
            "property": key,
            "conversionStrategy": "Default",
            "decodingStrategy": "None",
            "metadataPolicy": "None",
        }

    spec = {
        "refreshPolicy": "CreatedOnce",
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": store.name},
        "target": {
            "name": secret.name,
            "creationPolicy": "Orphan",
            "deletionPolicy": "Retain",
            "immutable": True,
        },
        "data": [{"secretKey": key, "remoteRef": remote(key)} for key, _ in secret.keys],
    }
    return order_of(plan, "ExternalSecret", "external-secrets.io/v1", secret, namespace, spec)


def vault_static_secret(plan: TenantPlan, secret: Secret, namespace: str) -> Object:
    """For the Vault Secrets Operator. Its Secret goes with the order, so the order is kept. Version 1 of the
    key is what was put there first; what is put over it later is another generation's business. Only the
    named keys are taken, and not the operator's own `_raw`, which holds them all once more."""
    vault = plan.cluster.secrets.vault
    assert vault is not None
    spec = {
        "vaultAuthRef": vault.auth,
        "type": "kv-v2",
        "mount": vault.mount,
        "path": secret.remote,
        "version": 1,
        "hmacSecretData": True,
        "destination": {
            "name": secret.name,
            "create": True,
            "overwrite": False,
            "transformation": {
                "excludeRaw": True,
                "includes": ["^" + key.replace(".", "[.]") + "$" for key, _ in secret.keys],
            },
        },
    }
    return order_of(plan, "VaultStaticSecret", "secrets.hashicorp.com/v1beta1", secret, namespace, spec)


def order_of(plan: TenantPlan, kind: str, api: str, secret: Secret, namespace: str, spec: Object) -> Object:
    """An order, called as the Secret that it brings."""
    return make(
        plan,
        kind,
        "secrets",
        api=api,
        name=secret.name,
        namespace=namespace,
        wave=waves.SECRETS,
        annotations=KEPT,
        spec=spec,
    )


ORDERS: dict[Secrets, Callable[[TenantPlan, Secret, str], Object]] = {
    Secrets.EXTERNAL_SECRETS: external_secret,
    Secrets.VAULT: vault_static_secret,
}
