"""Every kind that a tenant's project may admit: what an object of it could reach beyond its namespace, and what holds it.

A project admits what is compiled; a test fails when a kind is compiled for a tenant that has no row here. Quotas, Pod
Security and the walls of the namespace hold for all of them, and tenants-metadata for their labels and annotations.
"""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind, where the API has it, and the decision."""

    group: str
    version: str
    kind: str
    resource: str
    parts: tuple[str, ...]
    """In which of a target's folders it is compiled."""
    policies: tuple[str, ...] = ()
    """What holds it, without the prefix of their names."""
    why: str = ""
    """What it reaches, or why it reaches nothing."""


WORK, FENCE, SHARED = ("workload",), ("fence",), ("shared",)
POD = "its Pods are held: Pod Security, on-nodes, priority-class, quota; they use ServiceAccounts and Secrets of theirs"
OWN = "acts in its own namespace alone"
KINDS = (
    Kind("", "v1", "ConfigMap", "configmaps", WORK, (), "what looks for it by a label (Grafana's sidecar) finds none"),
    Kind("", "v1", "LimitRange", "limitranges", FENCE, (), OWN),
    Kind("", "v1", "Namespace", "namespaces", FENCE, ("namespaces", "tenants-namespaces"), "what policies go by"),
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", WORK, ("storage-class",), "volumes of others"),
    Kind("", "v1", "ResourceQuota", "resourcequotas", FENCE, (), "takes more of the cluster; the fence is reviewed"),
    Kind("", "v1", "Service", "services", WORK, ("services",), "addresses and names of others"),
    Kind("", "v1", "ServiceAccount", "serviceaccounts", FENCE, (), "a cloud's role trusts it by namespace and name"),
    Kind("apps", "v1", "DaemonSet", "daemonsets", WORK, (), POD),
    Kind("apps", "v1", "Deployment", "deployments", WORK, (), POD),
    Kind("apps", "v1", "StatefulSet", "statefulsets", WORK, (), POD),
    Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", WORK, (), OWN),
    Kind("barmancloud.cnpg.io", "v1", "ObjectStore", "objectstores", WORK, ("tenants-objectstores",), "the node's login"),
    Kind("batch", "v1", "CronJob", "cronjobs", WORK, (), POD),
    Kind("batch", "v1", "Job", "jobs", WORK, (), POD),
    Kind("cert-manager.io", "v1", "Certificate", "certificates", WORK + SHARED, ("certificate-hosts", "tenants-certificates"),
         "public names; labels of a Secret. In a gateway's namespace (Istio) hosts are reviewed: it says none"),
    Kind("cert-manager.io", "v1", "Issuer", "issuers", WORK, ("tenants-issuers",), "accounts and stores of others"),
    Kind("cloud.google.com", "v1", "BackendConfig", "backendconfigs", WORK, (), "is named by Services beside it alone"),
    Kind("external-secrets.io", "v1", "ExternalSecret", "externalsecrets", WORK, ("externalsecret-paths",), "the store"),
    Kind("gateway.envoyproxy.io", "v1alpha1", "ClientTrafficPolicy", "clienttrafficpolicies", WORK, (),
         "is of the Gateway beside it alone"),
    Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways", WORK, ("gateway-hosts", "gateway-class"),
         "hosts; a certificate of another namespace needs a ReferenceGrant there"),
    Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", WORK, ("httproute-hosts", "tenants-httproutes"),
         "hosts, Gateways, Services of others"),
    Kind("monitoring.coreos.com", "v1alpha1", "AlertmanagerConfig", "alertmanagerconfigs", WORK,
         ("tenants-alertmanagerconfigs",), "alerts of others"),
    Kind("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", WORK, ("tenants-podmonitors",), "others' Pods, labels"),
    Kind("monitoring.coreos.com", "v1", "Probe", "probes", WORK, ("tenants-probes",), "addresses that Prometheus reaches"),
    Kind("networking.gke.io", "v1beta1", "FrontendConfig", "frontendconfigs", WORK, (), "is named by Ingresses beside it"),
    Kind("networking.istio.io", "v1", "DestinationRule", "destinationrules", FENCE, ("tenants-destinationrules",),
         "sidecars of others"),
    Kind("networking.istio.io", "v1", "Gateway", "gateways", WORK, ("tenants-istio-gateways",), "hosts, certificates"),
    Kind("networking.istio.io", "v1", "ServiceEntry", "serviceentries", FENCE, ("tenants-destinationrules",),
         "sidecars of others"),
    Kind("networking.istio.io", "v1", "Sidecar", "sidecars", FENCE, (), OWN),
    Kind("networking.istio.io", "v1", "VirtualService", "virtualservices", WORK, ("tenants-virtualservices",),
         "hosts, sidecars and Services of others"),
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses", WORK, ("ingress-hosts", "ingress-class", "tenants-ingresses"),
         "hosts, the edge's configuration"),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", FENCE, (),
         "opens its own namespace; another's default-deny holds there; the fence is reviewed"),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", WORK, (), "delays a drain, which a person sees"),
    Kind("postgresql.cnpg.io", "v1", "Cluster", "clusters", WORK, ("tenants-clusters",), "what the operator makes of it"),
    Kind("postgresql.cnpg.io", "v1", "Database", "databases", SHARED, ("tenants-databases",), "databases of others"),
    Kind("postgresql.cnpg.io", "v1", "Pooler", "poolers", WORK, ("tenants-poolers",), "what the operator makes of it"),
    Kind("postgresql.cnpg.io", "v1", "ScheduledBackup", "scheduledbackups", WORK, (), OWN),
    Kind("rbac.authorization.k8s.io", "v1", "Role", "roles", FENCE + SHARED, ("tenants-roles",), "Secrets of others"),
    Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", FENCE + SHARED, ("tenants-rolebindings",),
         "ClusterRoles, other people"),
    Kind("secrets.hashicorp.com", "v1beta1", "VaultStaticSecret", "vaultstaticsecrets", WORK, ("vaultstaticsecret-paths",),
         "the store"),
    Kind("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies", FENCE, (), OWN),
    Kind("security.istio.io", "v1", "PeerAuthentication", "peerauthentications", FENCE, (), OWN),
    Kind("telemetry.istio.io", "v1", "Telemetry", "telemetries", FENCE, (), OWN),
    Kind("traefik.io", "v1alpha1", "Middleware", "middlewares", WORK, ("tenants-middlewares",), "is named by routers"),
    Kind("traefik.io", "v1alpha1", "ServersTransport", "serverstransports", WORK, (), "is named by Services; Secrets beside it"),
)  # fmt: skip


def admitted(part: str) -> list[str]:
    """Of what lives in a namespace, as `group/kind`: what a project of a tenant's part may admit."""
    return sorted(f"{each.group}/{each.kind}" for each in KINDS if part in each.parts and each.kind != "Namespace")
