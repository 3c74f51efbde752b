"""What the tenants of a cluster share, and the root Application that finds every target of the cluster."""

from collections.abc import Iterator

from matrixfleet.drawing import In, component
from matrixfleet.kubernetes.argocd import API, FOLDER, HUB, application, folder, project
from matrixfleet.kubernetes.edges import http01_solver
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.objects import KEEP, make
from matrixfleet.kubernetes.operators import operators_of
from matrixfleet.model.cluster import Issuer, StorageClassSpec
from matrixfleet.plan import PlatformPlan

from .stores import provider_of


@component("workload")
def main(plan: PlatformPlan) -> Iterator[Object | In]:
    """Storage classes, issuers, the store of secrets, managed operators, then Argo CD's objects for them."""
    storage = plan.cluster.storage
    for spec in storage.named:
        if spec.provisioner:
            yield In("workload/storage", storage_class(plan, spec, kept=spec is not storage.scratch))
    for name, value in plan.cluster.priority_classes.items():
        yield In("workload/priority", priority_class(plan, name, value))
    for issuer in (plan.cluster.issuers.web, plan.cluster.issuers.dns):
        if issuer and issuer.acme:
            yield In("workload/issuers", cluster_issuer(plan, issuer))
    if store := secret_store(plan):
        yield In("workload/secrets", store)
    for thing in operators(plan):
        yield In(FOLDER, thing)
    for thing in synced(plan):
        yield In(FOLDER, thing)
    for thing in root(plan):
        yield In("bootstrap", thing)


def storage_class(plan: PlatformPlan, spec: StorageClassSpec, *, kept: bool) -> Object:
    """A storage class.

    kept: whether its volumes outlive their claims, so that a claim that was deleted by mistake loses no data
    """
    return make(
        plan,
        "StorageClass",
        "storage",
        api="storage.k8s.io/v1",
        name=spec.name,
        namespace=None,
        wave=0,
        annotations=KEEP,
        provisioner=spec.provisioner,
        parameters=dict(spec.parameters),
        reclaimPolicy="Retain" if kept else "Delete",
        allowVolumeExpansion=True,
        # A volume is made where its Pod will run, not in some other zone.
        volumeBindingMode="WaitForFirstConsumer",
    )


def priority_class(plan: PlatformPlan, name: str, value: int) -> Object:
    """What Pods that name it are worth to the scheduler."""
    return make(
        plan,
        "PriorityClass",
        "priority",
        api="scheduling.k8s.io/v1",
        name=name,
        namespace=None,
        wave=0,
        value=value,
        globalDefault=False,
        preemptionPolicy="PreemptLowerPriority",
        description=f"Tenants of {plan.cluster.name} that name it.",
    )


def cluster_issuer(plan: PlatformPlan, issuer: Issuer) -> Object:
    """An ACME account; its key is cert-manager's, in a Secret of its own."""
    acme = issuer.acme
    assert acme is not None
    http01 = {"http01": http01_solver(plan.cluster)}
    spec = {
        "acme": {
            "server": acme.server,
            "email": acme.email,
            "privateKeySecretRef": {"name": f"{issuer.name}-account"},
            "solvers": [{"dns01": acme.dns01} if acme.dns01 else http01],
        }
    }
    return make(
        plan,
        "ClusterIssuer",
        "issuers",
        api="cert-manager.io/v1",
        name=issuer.name,
        namespace=None,
        wave=1,
        # Its CRD comes with an operator that may still be on its way.
        annotations={"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"},
        spec=spec,
    )


def secret_store(plan: PlatformPlan) -> Object | None:
    """The ClusterSecretStore that every tenant's ExternalSecrets name; none where the cluster has it. No
    condition narrows it: what a tenant may name is what was compiled, and rule isolation holds that."""
    store = plan.cluster.secrets.store
    provider = provider_of(store) if store else None
    if store is None or provider is None:
        return None
    return make(
        plan,
        "ClusterSecretStore",
        "secrets",
        api="external-secrets.io/v1",
        name=store.name,
        namespace=None,
        wave=1,
        # Its CRD comes with an operator that may still be on its way.
        annotations={"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"},
        spec={"provider": provider},
    )


def operators(plan: PlatformPlan) -> Iterator[Object]:
    """Managed operators: Argo CD renders the upstream chart."""
    for each in operators_of(plan):
        name, place = f"{plan.cluster.name}-{each.called}", each.places[0]
        described, sources = f"{each.called}, from its upstream chart.", [each.chart.repository]
        yield project(plan, name, described, kinds=each.kinds, namespaces=each.places, sources=sources)
        options = ["CreateNamespace=true"]
        yield application(plan, name, each.source, project_name=name, namespace=place, options=options)


def synced(plan: PlatformPlan) -> Iterator[Object]:
    """The platform's own Applications, where there is something for them to sync."""
    parts = {
        "fence": f"Walls around what the tenants of {plan.cluster.name} share.",
        "workload": f"What the tenants of {plan.cluster.name} share.",
    }
    for part, description in parts.items():
        if part not in plan.drawn:
            continue
        name = plan.application if part == "workload" else f"{plan.application}-{part}"
        # Objects without a namespace still need a destination; no namespaced kind is admitted.
        places = sorted(plan.places[part]) or [plan.cluster.argocd.namespace]
        yield project(plan, name, description, kinds=plan.drawn[part], namespaces=places)
        source = folder(plan, f"{plan.path}/{part}")
        yield application(plan, name, source, project_name=name, namespace=places[0], owns=part != "fence")


def root(plan: PlatformPlan) -> Iterator[Object]:
    """Applied once by hand. It reads the cluster's argocd folder, and no folder below it, and admits AppProjects and
    Applications into Argo CD's namespace, nothing else and nowhere else."""
    name, argocd = f"{plan.cluster.name}-root", plan.cluster.argocd
    kinds = [(API.partition("/")[0], kind, "") for kind in ("AppProject", "Application")]
    yield project(
        plan,
        name,
        f"Finds the targets of {plan.cluster.name}.",
        kinds=kinds,
        namespaces=[argocd.namespace],
        server=HUB,
    )
    yield application(
        plan,
        name,
        folder(plan, f"compiled/{plan.cluster.name}/{FOLDER.removeprefix('../')}", recurse=False),
        project_name=name,
        namespace=argocd.namespace,
        server=HUB,
        # Deleted by mistake, it would take every homeserver of the cluster with it.
        owns=False,
    )
