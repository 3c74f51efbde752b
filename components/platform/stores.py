"""What external-secrets must know of a store: its ClusterSecretStore's provider, fields as its CRD has them."""

from matrixfleet.kubernetes.emit import Object
from matrixfleet.model.stores import Account, AwsStore, AzureStore, GcpStore, KubernetesStore, StoreSpec, VaultStore


def provider_of(store: StoreSpec) -> Object | None:
    """The provider; None where the class says not how to make the store."""
    if store.vault:
        return {"vault": vault(store.vault)}
    if store.aws:
        return {"aws": aws(store.aws)}
    if store.gcp:
        return {"gcpsm": gcp(store.gcp)}
    if store.azure:
        return {"azurekv": azure(store.azure)}
    if store.kubernetes:
        return {"kubernetes": kubernetes(store.kubernetes)}
    return None


def account(of: Account) -> Object:
    """A ServiceAccount, whose token external-secrets asks the cluster for."""
    return {"name": of.name, "namespace": of.namespace}


def vault(store: VaultStore) -> Object:
    """A key-value engine of version 2."""
    login = {"mountPath": store.auth_mount, "role": store.role, "serviceAccountRef": account(store.account)}
    return {"server": store.server, "path": store.mount, "version": "v2", "auth": {"kubernetes": login}}


def aws(store: AwsStore) -> Object:
    """Secrets Manager."""
    login = {"serviceAccountRef": account(store.account)}
    return {"service": "SecretsManager", "region": store.region, "auth": {"jwt": login}}


def gcp(store: GcpStore) -> Object:
    """Secret Manager."""
    login = {
        "clusterLocation": store.cluster_location,
        "clusterName": store.cluster_name,
        "serviceAccountRef": account(store.account),
    }
    return {"projectID": store.project, "auth": {"workloadIdentity": login}}


def azure(store: AzureStore) -> Object:
    """Key Vault."""
    return {
        "authType": "WorkloadIdentity",
        "vaultUrl": store.vault_url,
        "serviceAccountRef": account(store.account),
        "environmentType": "PublicCloud",
    }


def kubernetes(store: KubernetesStore) -> Object:
    """A namespace of a cluster."""
    namespace, _, name = store.ca.partition("/")
    ca = {"type": "ConfigMap", "name": name, "namespace": namespace, "key": "ca.crt"}
    return {
        "server": {"url": store.server, "caProvider": ca},
        "remoteNamespace": store.namespace,
        "auth": {"serviceAccount": account(store.account)},
    }
