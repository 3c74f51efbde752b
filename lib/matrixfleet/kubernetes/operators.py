"""Managed operators: what Argo CD renders from their upstream charts, and what may come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matrixfleet.kubernetes.argocd import ANY_NAME
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.pods import LOGS
from matrixfleet.model.choices import Edge, Provision
from matrixfleet.model.release import Chart
from matrixfleet.plan import PlatformPlan

# What the upstream charts render (deploy/charts/cert-manager/templates, charts/cloudnative-pg/templates).
KINDS = [
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", ANY_NAME),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", ANY_NAME),
    ("apiextensions.k8s.io", "CustomResourceDefinition", ANY_NAME),
    ("rbac.authorization.k8s.io", "ClusterRole", ANY_NAME),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", ANY_NAME),
    ("", "Service", ""),
    ("", "ServiceAccount", ""),
    ("apps", "Deployment", ""),
    ("rbac.authorization.k8s.io", "Role", ""),
    ("rbac.authorization.k8s.io", "RoleBinding", ""),
]


@dataclass(frozen=True)
class Operator:
    """One of them."""

    called: str
    chart: Chart
    kinds: list[tuple[str, str, str]]
    places: list[str]
    """Its namespaces, its own first."""
    values: Object

    @property
    def source(self) -> Object:
        """As an Application names it."""
        return {
            "repoURL": self.chart.repository,
            "chart": self.chart.chart,
            "targetRevision": self.chart.version,
            "helm": {"releaseName": self.called, "valuesObject": self.values},
        }


def sized(cpu: str, memory: str) -> Object:
    """Requests and limits of a container of an operator."""
    requests = {"cpu": cpu, "memory": memory, "ephemeral-storage": f"{LOGS}Mi"}
    return {"requests": requests, "limits": {"memory": memory}}


def operators_of(plan: PlatformPlan) -> Iterator[Operator]:
    """Those that a cluster has the platform install. Their projects admit cluster roles and webhooks; that is why they
    are projects of their own."""
    operators, charts = plan.cluster.operators, plan.release.charts
    if operators.cert_manager is Provision.MANAGED:
        # CRDs outlive the Application: with them would go every Certificate of every tenant.
        values: Object = {"crds": {"enabled": True, "keep": True}}
        # A lost node takes neither the webhook, without which no Certificate can be changed, nor the renewals: another
        # controller is elected.
        budget = {"podDisruptionBudget": {"enabled": True, "maxUnavailable": 1}}
        values |= {"replicaCount": 2, "resources": sized("50m", "512Mi"), **budget}
        values["webhook"] = {"replicaCount": 2, "resources": sized("20m", "128Mi"), **budget}
        values["cainjector"] = {"replicaCount": 2, "resources": sized("20m", "512Mi"), **budget}
        if plan.cluster.edge.controller is Edge.GATEWAY_API:
            # Its HTTP-01 solver makes HTTPRoutes only then.
            values["config"] = {
                "apiVersion": "controller.config.cert-manager.io/v1alpha1",
                "kind": "ControllerConfiguration",
                "enableGatewayAPI": True,
            }
        if plan.cluster.edge.controller is Edge.INGRESS_NGINX:
            # Exact paths of HTTP-01 begin with a dot, which its admission refuses (cert-manager 1.18, release notes).
            values["config"] = {
                "apiVersion": "controller.config.cert-manager.io/v1alpha1",
                "kind": "ControllerConfiguration",
                "featureGates": {"ACMEHTTP01IngressPathTypeExact": False},
            }
        kinds = [
            *KINDS,
            ("batch", "Job", ""),
            ("policy", "PodDisruptionBudget", ""),
            ("", "Namespace", "cert-manager"),
        ]
        yield Operator("cert-manager", charts.cert_manager, kinds, ["cert-manager", "kube-system"], values)
    if operators.cloudnative_pg and operators.cloudnative_pg.provision is Provision.MANAGED:
        place = operators.cloudnative_pg.namespace
        kinds = [*KINDS, ("", "ConfigMap", ""), ("", "Namespace", place)]
        values = {"replicaCount": 2, "resources": sized("100m", "512Mi")}
        yield Operator("cloudnative-pg", charts.cloudnative_pg, kinds, [place], values)
        if operators.cloudnative_pg.barman_cloud:
            # It must be in the operator's namespace, and of it there is one (its documentation, "Installation"; its
            # chart's strategy is Recreate).
            signed = [("cert-manager.io", kind, "") for kind in ("Certificate", "Issuer")]
            values = {"resources": sized("50m", "256Mi")}
            kinds = [*kinds, *signed]
            yield Operator("barman-cloud", charts.barman_cloud, kinds, [place], values)
